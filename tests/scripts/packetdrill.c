/* packetdrill.c: reads the subset of packetdrill's language that means something to one half of a pair.
 *
 * A packetdrill script is a conversation with one socket. The half towards the script's peer plays that socket: half[CLIENT]
 * when the script listens, half[SERVER] when it connects. What the other end of the pair has to say (the server's SYN-ACK,
 * the client's SYN and ACK) is made up from what the script expects. Each statement becomes a line of our own language;
 * expected packets are compared here, because one of them may stand for several of ours: nothing here is segmented by a NIC.
 * As in packetdrill, a packet that was sent and not expected is noticed at the next one that is expected.
 *
 * Understood: times (`+N`, absolute, `~`, `...`, `*`), `<` and `>` packets with MSS, window scale, SACK, timestamps and `<...>`, socket,
 * bind, listen, accept, connect, fcntl, read, write, send, recv, shutdown, close. Windows, PSH and timestamps of what is sent are not
 * compared; `%{ }%` (a kernel's tcp_info) is skipped. A script that needs something else is a TAP skip with its reason: options of
 * sockets and kernels, addresses, TCP Fast Open, MD5, ECN, urgent pointers, ICMP, `MSG_` flags, epoll, ioctl.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/packet/packet.h"
#include "tests/scripts/play.h"

#define TOLERANCE_US 5000 /* packetdrill's own default is 4 ms */
#define ANY_TIME_US 120000000ull
#define TEXT_MAX (1u << 18)

struct drill {
	struct play *p;
	char *reason;
	bool connects, opened, ended;
	unsigned side;           /* the half that plays the socket */
	uint64_t at_us;          /* of the statement before, since the start */
	uint64_t slack_us;       /* of this statement: up to so much later */
	bool refused;            /* by the conductor, since the pair is done: */
	struct tcp_segment refusal;
};

static bool not_for_us(struct drill *d, const char *what)
{
	if (!*d->reason)
		snprintf(d->reason, LINE_TEXT_MAX, "%.100s", what);
	return false;
}

static bool fail(struct drill *d, const char *what)
{
	snprintf(d->p->error, LINE_TEXT_MAX, "%.200s", what);
	return false;
}

static bool line(struct drill *d, const char *format, ...)
{
	char text[LINE_TEXT_MAX];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	d->p->lenient = true;
	return play_line(d->p, text);
}

static const char *who(unsigned side)
{
	return side == TCP_CLIENT ? "client" : "server";
}

/* What goes out on the other wire is not the script's business. */
static void forget_other(struct drill *d)
{
	while (stage_next(d->p->stage, !d->side))
		continue;
}

/* --- Time: "+.1", "0.3", "+0~+.2", "+0...0.01", "*" --- */

static bool pass(struct drill *d, uint64_t us)
{
	if (us == 0)
		return true;
	stage_advance(d->p->stage, us);
	return true;
}

static const char *take_time(struct drill *d, const char *at)
{
	bool relative = *at == '+';
	double seconds;
	char *end;
	uint64_t target;

	d->slack_us = 0;
	if (*at == '*') {
		d->slack_us = ANY_TIME_US;
		return at + 1;
	}
	seconds = strtod(at + relative, &end);
	target = (uint64_t)(seconds * 1e6 + 0.5) + (relative ? d->at_us : 0);
	(void)pass(d, target > d->at_us ? target - d->at_us : 0);
	d->at_us = target > d->at_us ? target : d->at_us;
	if (*end == '~') {
		const char *upto = end + 1 + (end[1] == '+');

		d->slack_us = (uint64_t)(strtod(upto, &end) * 1e6 + 0.5) - (uint64_t)(seconds * 1e6 + 0.5);
	} else if (!strncmp(end, "...", 3)) {
		(void)strtod(end + 3 + (end[3] == '+'), &end);
	}
	return end;
}

/* --- Packets --- */

struct drill_packet {
	char flags[16], options[LINE_TEXT_MAX];
	uint32_t seq, end, len, ack, window;
	bool has_ack, has_window, has_options;
};

static void skip(const char **at)
{
	while (isspace((unsigned char)**at))
		(*at)++;
}

/* Options that only one kernel has. A `sack` list and the rest are in our own form already. */
static bool known_options(struct drill *d, const char *options)
{
	static const char *const foreign[] = { "FO", "md5", "mp", "exp", "ACC", "add_", "<", "Unk", "0x" };

	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		if (strstr(options, foreign[i]))
			return not_for_us(d, "TCP options that the pair strips or does not know");
	return true;
}

static bool read_packet(struct drill *d, const char *at, struct drill_packet *k)
{
	int used = 0;

	*k = (struct drill_packet){ 0 };
	skip(&at);
	if (*at == '[' || *at == '(')
		return not_for_us(d, "ECN or IP fields");
	if (!strncmp(at, "icmp", 4) || !strncmp(at, "udp", 3) || !strncmp(at, "ipv", 3) || !strncmp(at, "gre", 3))
		return not_for_us(d, "ICMP, UDP or tunnels");
	if (sscanf(at, "%15s %u:%u(%u)%n", k->flags, &k->seq, &k->end, &k->len, &used) != 4)
		return not_for_us(d, "a packet that is not understood");
	if (strpbrk(k->flags, "EWAN"))
		return not_for_us(d, "ECN: the pair does not negotiate it");
	for (at += used; skip(&at), *at; at += used) {
		used = 0;
		if (sscanf(at, "ack %u%n", &k->ack, &used) == 1 && used) {
			k->has_ack = true;
		} else if (sscanf(at, "win %u%n", &k->window, &used) == 1 && used) {
			k->has_window = true;
		} else if (sscanf(at, "<%511[^>]>%n", k->options, &used) == 1 && used) {
			k->has_options = true;
		} else {
			return not_for_us(d, "urgent pointers and other fields");
		}
	}
	if (!strcmp(k->options, "...")) { /* any: none are compared, and a SYN has the usual ones */
		k->has_options = false;
		snprintf(k->options, sizeof(k->options), "%s",
			 strchr(k->flags, 'S') ? "mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 8" : "");
	}
	return known_options(d, k->options);
}

static bool send_in(struct drill *d, unsigned side, const struct drill_packet *k)
{
	char ack[32] = "", window[32] = "";

	if (k->has_ack)
		snprintf(ack, sizeof(ack), "ack %u", k->ack);
	if (k->has_window)
		snprintf(window, sizeof(window), "win %u", k->window);
	return line(d, "%s> %s %u:%u(%u) %s %s <%.300s>", who(side), k->flags, k->seq, k->end, k->len, ack, window, k->options);
}

/* The other end's part of the handshake, which no script shows. */
static bool complete(struct drill *d)
{
	forget_other(d);
	if (!line(d, "%s> . 1:1(0) ack 1 win 65535", who(!d->side)))
		return false;
	forget_other(d);
	d->opened = true;
	return true;
}

static uint8_t flags_of(const char *letters)
{
	static const char names[] = "FSRP.U";
	uint8_t bits = 0;

	for (; *letters; letters++)
		if (strchr(names, *letters))
			bits |= (uint8_t)(1u << (strchr(names, *letters) - names));
	return bits & (uint8_t)~TCP_PSH;
}

static bool inbound(struct drill *d, const char *at)
{
	struct drill_packet k;
	bool syn;

	if (!read_packet(d, at, &k))
		return false;
	syn = strchr(k.flags, 'S') != NULL;
	if (!d->p->stage->opened && (!syn || d->connects))
		return not_for_us(d, "packets of no connection are the conductor's");
	if (d->p->stage->opened && d->p->stage->pair.half[d->side].state == TCP_CLOSED && !d->p->stage->pair.half[d->side].aborted) {
		struct tcp_segment s = { .seq = k.seq, .ack = k.ack, .flags = flags_of(k.flags), .payload_bytes = k.len };

		d->refused = packet_segment_refusal(&s, &d->refusal);
		return true;
	}
	if (d->opened || !syn || !d->connects) {
		if (!send_in(d, d->side, &k))
			return false;
		if (!syn && !d->opened && !d->connects && tcp_established(&d->p->stage->pair.half[0]))
			return complete(d);
		forget_other(d);
		return true;
	}
	if (!strchr(k.flags, '.'))
		return not_for_us(d, "simultaneous open: refused between the two ends of one connection");
	if (!send_in(d, TCP_SERVER, &k))
		return false;
	forget_other(d);
	return tcp_state_synchronized(d->p->stage->pair.half[TCP_SERVER].state) ? complete(d) : true;
}

static struct stage_sent *next_sent(struct drill *d)
{
	struct stage_sent *sent = stage_next(d->p->stage, d->side);

	while (!sent && d->slack_us > 0) {
		uint64_t step = d->slack_us < 1000 ? d->slack_us : 1000;

		stage_advance(d->p->stage, step);
		d->slack_us -= step;
		d->at_us += step;
		sent = stage_next(d->p->stage, d->side);
	}
	if (!sent) { /* within the tolerance it may still come */
		stage_advance(d->p->stage, TOLERANCE_US);
		sent = stage_next(d->p->stage, d->side);
		d->at_us += TOLERANCE_US;
	}
	return sent;
}

static bool differs(struct drill *d, const char *what, const struct stage_sent *sent)
{
	char text[256];

	snprintf(d->p->error, LINE_TEXT_MAX, "%.40s; sent was %.200s", what, play_text(d->p, d->side, &sent->segment, text));
	return false;
}

static bool same_sack(struct drill *d, const char *options, const struct stage_sent *sent)
{
	const char *at = strstr(options, "sack ");
	unsigned start, end, i = 0;
	int used;

	for (at = at ? at + 5 : ""; sscanf(at, " %u:%u%n", &start, &end, &used) == 2; at += used, i++)
		if (i >= sent->segment.options.sack_count || sent->segment.options.sack[i].start - play_base(d->p, d->side) != start ||
		    sent->segment.options.sack[i].end - play_base(d->p, d->side) != end)
			return false;
	return i == sent->segment.options.sack_count;
}

/* One expected packet, which may come as several segments. */
static bool compare(struct drill *d, const struct drill_packet *k)
{
	uint32_t at = k->seq, ours = play_base(d->p, !d->side);
	uint8_t want = flags_of(k->flags);

	do {
		struct stage_sent *sent = next_sent(d);
		const struct tcp_segment *s = sent ? &sent->segment : NULL;
		bool last;

		if (!sent)
			return fail(d, at == k->seq ? "nothing was sent" : "only a part was sent");
		last = at + s->payload_bytes == k->end;
		if (s->seq - ours != at && !(want & TCP_RST))
			return differs(d, "seq", sent);
		if (((s->flags & ~TCP_PSH) ^ want) & (last ? 0xff : ~TCP_FIN & 0xff & ~(want & TCP_RST ? TCP_ACK : 0)))
			return differs(d, "flags", sent);
		if (at + s->payload_bytes > k->end || (!last && s->payload_bytes == 0))
			return differs(d, "length", sent);
		if (k->has_ack && s->flags & TCP_ACK && s->ack - play_base(d->p, d->side) != k->ack)
			return differs(d, "ack", sent);
		if (k->has_options && !(want & TCP_SYN) && !same_sack(d, k->options, sent))
			return differs(d, "SACK blocks", sent);
		at += s->payload_bytes;
	} while (at != k->end);
	return true;
}

static bool outbound(struct drill *d, const char *at)
{
	struct drill_packet k;
	bool syn;

	if (!read_packet(d, at, &k))
		return false;
	if (d->refused) {
		d->refused = false;
		return (d->refusal.flags == flags_of(k.flags) && d->refusal.seq == k.seq && d->refusal.ack == k.ack) ||
		       fail(d, "the refusal of a segment of no connection differs");
	}
	syn = strchr(k.flags, 'S') != NULL;
	if (syn && d->connects && !d->p->stage->opened) {
		struct drill_packet first = k;

		first.has_window = true;
		first.window = 65535;
		return send_in(d, TCP_CLIENT, &first) && compare(d, &k);
	}
	if (syn && !d->connects && !d->opened && d->p->stage->pair.half[TCP_CLIENT].state == TCP_LISTEN) {
		struct drill_packet answer = k;

		answer.has_window = true;
		answer.window = 65535;
		forget_other(d);
		if (!send_in(d, TCP_SERVER, &answer))
			return false;
	}
	return compare(d, &k);
}

/* --- System calls --- */

static bool written(struct drill *d, long wanted, long result)
{
	if (result < 0)
		return true;
	if (wanted > result) /* how much a kernel's socket takes is its own matter */
		wanted = result;
	if (d->p->stage->written_bytes[d->side] + wanted > STAGE_STREAM_MAX)
		return not_for_us(d, "more bytes than the stage keeps");
	for (long part; wanted > 0; wanted -= part) {
		part = wanted < STAGE_PAYLOAD_MAX ? wanted : STAGE_PAYLOAD_MAX;
		if (!line(d, "%s: write %ld %ld", who(d->side), part, part))
			return false;
	}
	return true;
}

static bool got(struct drill *d, long result)
{
	return result <= 0 || line(d, "%s: read %ld", who(d->side), result);
}

static bool closed(struct drill *d)
{
	struct tcp_half *half = &d->p->stage->pair.half[d->side];

	if (!tcp_established(half) && half->state != TCP_CLOSED)
		return not_for_us(d, "a close before the connection is open: nobody holds it on our side");
	/* RFC 2525 2.17: a close with bytes unread is a reset. */
	if (tcp_readable_bytes(half) > 0 && tcp_established(half))
		return line(d, "%s: abort", who(d->side));
	return line(d, "%s: close", who(d->side));
}

static bool harmless_option(const char *args)
{
	static const char *const harmless[] = { "SO_REUSEADDR", "TCP_NODELAY", "IP_TOS", "IP_MTU_DISCOVER", "SO_SNDBUF", "TCP_CONGESTION" };

	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
		if (strstr(args, harmless[i]))
			return true;
	return false;
}

/* The third argument of write(fd, buf, n), send(fd, buf, n, flags) and the like. */
static long count_of(const char *args)
{
	const char *comma = strchr(args, ',');

	comma = comma ? strchr(comma + 1, ',') : NULL;
	return comma ? strtol(comma + 1, NULL, 0) : 0;
}

static bool is(const char *name, const char *names)
{
	const char *found = strstr(names, name);
	size_t len = strlen(name);

	return found && len > 0 && (found == names || found[-1] == ' ') && (found[len] == ' ' || found[len] == 0);
}

static bool call(struct drill *d, const char *at)
{
	char name[32] = "";
	int used = 0;
	const char *args, *equals = strrchr(at, '=');
	long result;

	if (sscanf(at, "%31[a-z_0-9](%n", name, &used) != 1 || !used || !equals)
		return not_for_us(d, "a statement that is not understood");
	args = at + used;
	result = strtol(equals + 1, NULL, 0);
	if (is(name, "socket bind listen accept fcntl getsockopt"))
		return true;
	if (!strcmp(name, "setsockopt"))
		return harmless_option(args) || not_for_us(d, "a socket option that the pair has no equal of");
	if (!strcmp(name, "connect")) {
		d->connects = true;
		d->side = TCP_SERVER;
		return true;
	}
	if (!d->p->stage->opened)
		return result == 0 || not_for_us(d, "a socket that is not connected");
	if (strstr(args, "MSG_"))
		return not_for_us(d, "flags of send and recv");
	if (is(name, "write send sendto"))
		return written(d, count_of(args), result);
	if (is(name, "read recv recvfrom"))
		return got(d, result);
	if (!strcmp(name, "close"))
		return closed(d);
	if (!strcmp(name, "shutdown"))
		return strstr(args, "SHUT_RD)") ? true : line(d, "%s: close", who(d->side));
	snprintf(d->reason, LINE_TEXT_MAX, "the system call %s", name);
	return false;
}

/* --- The file --- */

/* What both ends offer is in the packets, and how much a socket buffers, or paces, is the kernel's own matter. */
static bool harmless_command(const char *at)
{
	static const char *const harmless[] = { "defaults.sh", "sysctl_restore", "tcp_timestamps=0", "tcp_wmem", "tcp_min_tso_segs", "tcp_pacing",
						"tcp_tso_win_divisor", "tcp_congestion_control=cubic" };
	char text[LINE_TEXT_MAX];
	char *save, *part;

	snprintf(text, sizeof(text), "%s", at);
	text[strcspn(text, "`")] = 0;
	for (part = strtok_r(text, "\n\\", &save); part; part = strtok_r(NULL, "\n\\", &save)) {
		bool found = part[strspn(part, " \t")] == 0 || strstr(part, "set_sysctls.py") == part + strlen(part) - strlen("set_sysctls.py ");

		for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
			found |= strstr(part, harmless[i]) != NULL;
		if (!found)
			return false;
	}
	return true;
}

static bool statement(struct drill *d, const char *at)
{
	bool ok;

	skip(&at);
	if (!*at)
		return true;
	if (*at == '`')
		return harmless_command(at + 1) || not_for_us(d, "a kernel's setting, or a command");
	if (*at == '-') {
		if (!strncmp(at, "--tolerance_usecs", 17) || !strncmp(at, "--strict_segments", 17))
			return true;
		return not_for_us(d, "addresses, time stamp units and other settings of packetdrill itself");
	}
	if (*at != '+' && *at != '*' && *at != '.' && !isdigit((unsigned char)*at))
		return not_for_us(d, "a statement without a time");
	at = take_time(d, at);
	skip(&at);
	if (!strncmp(at, "%{", 2)) /* tcp_info of a kernel */
		return true;
	if (*at == '`')
		return statement(d, at);
	if (*at == '<')
		ok = inbound(d, at + 1);
	else if (*at == '>')
		ok = outbound(d, at + 1);
	else
		ok = call(d, at);
	return ok;
}

/* Comments out, in place; newlines stay. */
static void strip(char *text)
{
	char *to = text;

	for (char *at = text; *at;) {
		if (at[0] == '/' && at[1] == '/') {
			while (*at && *at != '\n')
				at++;
		} else if (at[0] == '/' && at[1] == '*') {
			while (*at && !(at[0] == '*' && at[1] == '/')) {
				if (*at == '\n')
					*to++ = '\n';
				at++;
			}
			at += *at ? 2 : 0;
		} else {
			*to++ = *at++;
		}
	}
	*to = 0;
}

static char *whole_file(FILE *file)
{
	static char text[TEXT_MAX];
	size_t len;

	rewind(file);
	len = fread(text, 1, sizeof(text) - 1, file);
	text[len] = 0;
	return text;
}

bool packetdrill_is(FILE *file)
{
	bool found = strstr(whole_file(file), "socket(") != NULL;

	rewind(file);
	return found;
}

/* The end of a statement that begins at `at`: its line, but quoted commands and assertions may be longer. */
static char *end_of(char *at)
{
	char *open = strstr(at, "%{"), *end = strchr(at, '\n'), *tick = strchr(at, '`');

	if (open && end && open < end)
		end = strstr(open, "}%");
	else if (tick && end && tick < end)
		end = strchr(tick + 1, '`');
	end = end ? strchr(end, '\n') : NULL;
	while (end && (end[1] == ' ' || end[1] == '\t')) { /* a statement goes on in a line that does not begin with a time */
		char *next = end + 1;

		while (*next == ' ' || *next == '\t')
			next++;
		if (strchr("+*.`%0123456789\n", *next))
			break;
		*end = ' ';
		end = strchr(next, '\n');
	}
	return end;
}

bool packetdrill_play(struct play *p, FILE *file, unsigned *line_number, char reason[LINE_TEXT_MAX])
{
	struct drill d = { .p = p, .reason = reason };
	char *at = whole_file(file);

	strip(at);
	p->stage->config.send_bytes_max = 4u << 20;
	p->stage->config.probe_alone_us = p->stage->config.rto_min_us; /* as the kernel that the scripts were written for */
	*line_number = 1;
	while (at && *at) {
		char *end = end_of(at);
		unsigned lines = 0;

		for (char *c = at; end && c <= end; c++)
			lines += *c == '\n';
		if (end)
			*end = 0;
		if (!statement(&d, at))
			return false;
		*line_number += lines;
		at = end ? end + 1 : NULL;
	}
	if (!d.p->stage->opened)
		return not_for_us(&d, "nothing of it is a packet of a connection");
	return true;
}
