/* The kernel hands frames over without their outer VLAN tag and tells it beside (PACKET_AUXDATA), and tells of checksums and
 * segments that are still to be made (PACKET_VNET_HDR). Both are put together again for sending, so that what leaves is what
 * came. */
#include "dataplane/standby/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BURST 32
#define FRAME_BYTES 65600 /* a segment of the kernel's before it is cut, with its headers */
#define TAG_BYTES 4
#define SOCKET_BYTES (8 << 20)

struct slot {
	struct virtio_net_hdr offload;
	struct iovec in[2], out[2];
	_Alignas(struct cmsghdr) uint8_t control[64];
	uint8_t frame[TAG_BYTES + FRAME_BYTES];
};

struct wire {
	int fd[WIRE_PORTS];
	struct slot *slot; /* BURST of them */
	struct mmsghdr in[BURST], out[BURST];
};

static bool fail(char *err, const char *interface, const char *what)
{
	snprintf(err, OS_ERROR_BYTES, "standby on %.32s: %.40s: %.60s: start as root, check ip link", interface, what, strerror(errno));
	return false;
}

static bool idle(int fd)
{
	static struct sock_filter nothing[] = { { BPF_RET | BPF_K, 0, 0, 0 } };
	const struct sock_fprog filter = { .len = 1, .filter = nothing };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) == 0;
}

static bool option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

/* The filter is there before the socket is bound: not one frame of the time before is kept. */
static bool open_one(int *fd, const char *interface, char *err)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(interface) };
	struct packet_mreq promiscuous = { .mr_ifindex = at.sll_ifindex, .mr_type = PACKET_MR_PROMISC };

	if (at.sll_ifindex == 0)
		return fail(err, interface, "no such interface");
	*fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return fail(err, interface, "packet socket");
	if (!idle(*fd) || !option(*fd, SOL_PACKET, PACKET_VNET_HDR, 1) || !option(*fd, SOL_PACKET, PACKET_AUXDATA, 1) ||
	    !option(*fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1))
		return fail(err, interface, "options of the packet socket");
	if (!option(*fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BYTES))
		(void)option(*fd, SOL_SOCKET, SO_RCVBUF, SOCKET_BYTES);
	(void)option(*fd, SOL_PACKET, PACKET_QDISC_BYPASS, 1);
	if (bind(*fd, (struct sockaddr *)&at, sizeof at) < 0 || setsockopt(*fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous) < 0)
		return fail(err, interface, "bind");
	return true;
}

static void slot_set_up(struct wire *w, unsigned i)
{
	struct slot *s = &w->slot[i];

	s->in[0] = (struct iovec){ &s->offload, sizeof s->offload };
	s->in[1] = (struct iovec){ s->frame + TAG_BYTES, FRAME_BYTES };
	s->out[0] = s->in[0];
	w->in[i].msg_hdr = (struct msghdr){ .msg_iov = s->in, .msg_iovlen = 2, .msg_control = s->control, .msg_controllen = sizeof s->control };
}

struct wire *wire_open(const char *const interface[WIRE_PORTS], char err[OS_ERROR_BYTES])
{
	struct wire *w = calloc(1, sizeof *w);
	bool good = w != NULL;

	for (unsigned i = 0; w && i < WIRE_PORTS; i++)
		w->fd[i] = -1;
	if (w)
		w->slot = calloc(BURST, sizeof *w->slot);
	if (!w || !w->slot) {
		snprintf(err, OS_ERROR_BYTES, "standby: no memory: free some");
		wire_close(w);
		return NULL;
	}
	for (unsigned i = 0; good && i < WIRE_PORTS; i++)
		good = open_one(&w->fd[i], interface[i], err);
	for (unsigned i = 0; i < BURST; i++)
		slot_set_up(w, i);
	if (good)
		return w;
	wire_close(w);
	return NULL;
}

void wire_close(struct wire *w)
{
	for (unsigned i = 0; w && i < WIRE_PORTS; i++)
		if (w->fd[i] >= 0)
			close(w->fd[i]);
	if (w)
		free(w->slot);
	free(w);
}

int wire_fd(const struct wire *w, unsigned port)
{
	return w->fd[port];
}

bool wire_arm(struct wire *w)
{
	bool good = true;

	for (unsigned i = 0; i < WIRE_PORTS; i++)
		good &= option(w->fd[i], SOL_SOCKET, SO_DETACH_FILTER, 0);
	return good;
}

void wire_disarm(struct wire *w)
{
	for (unsigned i = 0; i < WIRE_PORTS; i++)
		(void)idle(w->fd[i]);
}

/* The tag that the kernel took out, put back behind the addresses. */
static struct bytes whole(struct slot *s, const struct msghdr *m, size_t len)
{
	uint8_t *frame = s->frame + TAG_BYTES;
	struct msghdr header = *m;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(&header, c)) {
		struct tpacket_auxdata aux;
		uint16_t tag[2];

		if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA || c->cmsg_len < CMSG_LEN(sizeof aux) || len < 12)
			continue;
		memcpy(&aux, CMSG_DATA(c), sizeof aux);
		if (!(aux.tp_status & TP_STATUS_VLAN_VALID))
			continue;
		memmove(s->frame, frame, 12);
		tag[0] = htons(aux.tp_status & TP_STATUS_VLAN_TPID_VALID ? aux.tp_vlan_tpid : ETHERTYPE_VLAN);
		tag[1] = htons(aux.tp_vlan_tci);
		memcpy(s->frame + 12, tag, sizeof tag);
		if (s->offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
			s->offload.csum_start = (uint16_t)(s->offload.csum_start + TAG_BYTES);
		if (s->offload.gso_type != VIRTIO_NET_HDR_GSO_NONE)
			s->offload.hdr_len = (uint16_t)(s->offload.hdr_len + TAG_BYTES);
		return bytes_of(s->frame, len + TAG_BYTES);
	}
	return bytes_of(frame, len);
}

/* Sends what is in w->out; a frame that the kernel refuses is left out and counted. */
static void send_all(struct wire *w, unsigned port, unsigned count, struct wire_count *total)
{
	unsigned at = 0;

	while (at < count) {
		int sent = sendmmsg(w->fd[port], w->out + at, count - at, MSG_DONTWAIT);

		if (sent > 0) {
			at += (unsigned)sent;
			total->bridged += (unsigned)sent;
			continue;
		}
		if (sent < 0 && errno == EINTR)
			continue;
		at++;
		total->unsent++;
	}
}

unsigned wire_forward(struct wire *w, unsigned port, wire_may_pass *may_pass, void *context, struct wire_count *count)
{
	int came;
	unsigned passing = 0;

	for (unsigned i = 0; i < BURST; i++)
		w->in[i].msg_hdr.msg_controllen = sizeof w->slot[i].control;
	came = recvmmsg(w->fd[port], w->in, BURST, MSG_DONTWAIT, NULL);
	for (int i = 0; i < came; i++) {
		struct slot *s = &w->slot[i];
		struct bytes frame;

		if (w->in[i].msg_len < sizeof s->offload || (w->in[i].msg_hdr.msg_flags & MSG_TRUNC)) {
			count->dropped++;
			continue;
		}
		frame = whole(s, &w->in[i].msg_hdr, w->in[i].msg_len - sizeof s->offload);
		if (!may_pass(context, frame)) {
			count->dropped++;
			continue;
		}
		s->out[1] = (struct iovec){ (void *)(uintptr_t)frame.base, frame.len };
		w->out[passing++].msg_hdr = (struct msghdr){ .msg_iov = s->out, .msg_iovlen = 2 };
	}
	send_all(w, 1 - port, passing, count);
	return came > 0 ? (unsigned)came : 0;
}
