/* settings.h: sluice.conf, the installation's own file: where things are and who runs them. What may pass is the policy's.
 *
 * Every process of the node reads the same file and takes its part; an unknown name or a wrong type refuses the file
 * (config.h). Paths are absolute. Strings live until settings_close. One thread, at start only.
 *
 *	node = "a";                                  # name of the appliance in every record
 *	origin = "sluice.example/journal/a";         # of the journal's checkpoints; default "sluice.local/journal/<node>"
 *	key_overlap = "7d";                          # how long old and new checkpoint keys both sign (sluice journal rotate-key)
 *	run_dir = "/run/sluice";                     # a tmpfs: rings, policy image, control socket
 *	state_dir = "/var/lib/sluice";               # journal/, signer/, keys/
 *	policy = "/etc/sluice/policy.cfg";
 *	credentials = "/etc/sluice/credentials";     # a file for each `login` of the policy; root only
 *	egress_ca = "/etc/sluice/egress-ca";         # CA files that issuers name
 *	libexec = "/usr/libexec/sluice";             # the helpers' programs
 *	classes = "/usr/share/sluice/classes.hsdb";  # the compiled data classes; default <libexec>/../../share/sluice/classes.hsdb
 *	workers = 1;                                 # packet workers, a core each: lcores names one more. They share flows and memory evenly
 *	users : { group = "sluice"; control = "sluice"; dataplane = "sluice-dataplane"; signer = "sluice-signer";
 *	          egress = "sluice-egress"; sqlparse = "sluice-sqlparse"; export = "sluice-export"; };  # left out: whoever starts it
 *	upstream = ( { service = "billing-db"; roots = "/etc/sluice/billing-ca.pem";
 *	               certificate = "/etc/sluice/billing.pem"; key = "/etc/sluice/billing.key"; } );  # both or neither; default: minted
 *	timestamp : { url = "http://tsa.example/";           # RFC 3161 authority for checkpoints; https, or http: its answers are signed
 *	              roots = "/etc/sluice/tsa-ca.pem";      # whom its answers have to be signed by, PEM
 *	              ca = "web.pem"; };                     # of an https URL: a file of egress_ca; left out: the system's store
 *	witness = ( { url = "https://w.example/sluice";       # of the witness's add-checkpoint, without that word (C2SP tlog-witness)
 *	              key = "w.example+<id>+<base64>";       # as sluice-witness --key prints it
 *	              ca = "web.pem"; } );                   # as for timestamp
 *	quorum_alarm = "15m";                        # an alarm when no checkpoint has got as many cosignatures as the policy wants for so long
 *	streams = ( { name = "siem"; host = "siem.example"; port = 6514; form = "ocsf";   # or "cef"; schema = "1.8.0" (default) or "1.9.0-dev"
 *	              ca = "/etc/sluice/siem-ca.pem";               # the receiver's certificate leads to it and names the host
 *	              certificate = "/etc/sluice/export.pem"; key = "/etc/sluice/export.key"; } );  # ours; readable by users.export
 *	                                             # events as RFC 5424 messages over TLS, from the first record on; state_dir/export/ keeps how far
 *	                                             # prune_waits = "on" (default): no record is pruned that the receiver has not confirmed; "off" gives that up
 *	dataplane : { ports = [ "0000:03:00.0", "0000:03:00.1" ];  # PCI addresses, or "net_af_packet0,iface=eth1"
 *	              eal = [ "--no-huge" ]; lcores = "2-3"; # the first is the main thread's; several on one core: "0@0,1@1,2@1"
 *	              idle = "adaptive"; flows = "16k"; memory = "512Mi";
 *	              unnamed_port = "drop"; tunnels = "pass"; double_tags = "inspect"; standby = "on"; splice = "on"; };
 */
#ifndef PLATFORM_OS_SETTINGS_H
#define PLATFORM_OS_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/limits.h"

#define SETTINGS_EAL_MAX 32
#define SETTINGS_PORTS 2
#define SETTINGS_WITNESSES 8
#define SETTINGS_STREAMS 8
#define SETTINGS_STREAM_NAME_BYTES 33

enum settings_idle { SETTINGS_IDLE_ADAPTIVE, SETTINGS_IDLE_POLL };
enum settings_tunnels { SETTINGS_TUNNELS_PASS, SETTINGS_TUNNELS_DROP };
enum settings_double_tags { SETTINGS_DOUBLE_TAGS_INSPECT, SETTINGS_DOUBLE_TAGS_DROP };
enum settings_unnamed { SETTINGS_UNNAMED_DROP, SETTINGS_UNNAMED_PASS };

struct settings_upstream {
	const char *service, *roots;   /* roots: path of a PEM file */
	const char *certificate, *key; /* towards agents, PEM files; NULL: Sluice's own authority mints one */
};

enum settings_stream_form { SETTINGS_STREAM_OCSF, SETTINGS_STREAM_CEF };

struct settings_stream {
	const char *name, *host;
	unsigned port;
	enum settings_stream_form form;
	const char *schema;                 /* of OCSF */
	const char *ca, *certificate, *key; /* PEM files */
	bool prune_waits;                   /* nothing is pruned that its receiver has not confirmed */
};

struct settings {
	const char *node, *origin, *run_dir, *state_dir, *policy, *credentials, *egress_ca, *libexec, *classes;
	unsigned workers;
	uint64_t key_overlap_s;
	struct {
		const char *group, *control, *dataplane, *signer, *egress, *sqlparse, *export; /* NULL: whoever starts it */
	} users;
	struct settings_upstream *upstream;
	unsigned upstream_count;
	struct settings_stream stream[SETTINGS_STREAMS];
	unsigned stream_count;
	struct {
		const char *url, *roots, *ca; /* url NULL: no authority; ca "": the system's store */
	} timestamp;
	struct {
		const char *url, *key, *ca;
	} witness[SETTINGS_WITNESSES];
	unsigned witnesses;
	uint64_t quorum_alarm_s;
	struct {
		const char *port[SETTINGS_PORTS]; /* NULL when the group `dataplane` is left out */
		const char *eal[SETTINGS_EAL_MAX];
		unsigned eal_count;
		const char *lcores; /* NULL: as the EAL chooses */
		enum settings_idle idle;
		uint64_t flows, memory_bytes;
		bool standby; /* a process that bridges while the data plane is down; only where both ports are interfaces of the kernel */
		bool splice;  /* opaque flows go over to forwarding once their begin is on record; off: they stay terminated */
		enum settings_unnamed unnamed_port; /* guarded target, port that no service names */
		enum settings_tunnels tunnels; /* IP in IP and GRE; what leads to a guarded target is never passed */
		enum settings_double_tags double_tags; /* QinQ in front of a guarded target */
	} dataplane;
	char origin_default[LIMIT_NAME_BYTES], classes_default[LIMIT_NAME_BYTES];
	struct config *file;
};

/* NULL with everything that is wrong in `why`, one problem a line. */
struct settings *settings_open(const char *path, char *why, size_t why_size);
void settings_close(struct settings *s);

/* The kernel's interface behind a wire port that the kernel drives as well (net_af_packet, net_af_xdp). False for any other. */
bool settings_interface(const char *device, char *out, size_t cap);

#endif
