#include "platform/os/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/os/config.h"

struct reading {
	struct settings *s;
	struct config *c;
	const struct config_item *root;
};

static const char *path_read(struct reading *r, const char *name, const char *otherwise)
{
	const char *path = config_string(r->c, r->root, name, otherwise ? CONFIG_OPTIONAL : CONFIG_REQUIRED, otherwise);

	if (path && (path[0] != '/' || strlen(path) > 240))
		config_item_error(r->c, r->root, "bad-path", "%s: not an absolute path of at most 240 characters: write it in full", name);
	return path;
}

static bool node_ok(const char *node)
{
	return node && strlen(node) <= 63 && strspn(node, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == strlen(node);
}

static void general_read(struct reading *r)
{
	struct settings *s = r->s;

	s->node = config_string(r->c, r->root, "node", CONFIG_OPTIONAL, "a");
	if (!node_ok(s->node))
		config_item_error(r->c, r->root, "bad-name", "node: not a name of letters, digits, dots and dashes: rename it");
	snprintf(s->origin_default, sizeof(s->origin_default), "sluice.local/journal/%.63s", s->node ? s->node : "");
	s->origin = config_string(r->c, r->root, "origin", CONFIG_OPTIONAL, s->origin_default);
	s->run_dir = path_read(r, "run_dir", "/run/sluice");
	s->state_dir = path_read(r, "state_dir", "/var/lib/sluice");
	s->policy = path_read(r, "policy", NULL);
	s->credentials = path_read(r, "credentials", "/etc/sluice/credentials");
	s->egress_ca = path_read(r, "egress_ca", "/etc/sluice/egress-ca");
	s->libexec = path_read(r, "libexec", "/usr/libexec/sluice");
	snprintf(s->classes_default, sizeof(s->classes_default), "%.200s/../../share/sluice/classes.hsdb", s->libexec ? s->libexec : "");
	s->classes = path_read(r, "classes", s->classes_default);
	s->key_overlap_s = config_duration_ms(r->c, r->root, "key_overlap", CONFIG_OPTIONAL, 1000, 366ull * 86400000, 7ull * 86400000) / 1000;
	s->quorum_alarm_s = config_duration_ms(r->c, r->root, "quorum_alarm", CONFIG_OPTIONAL, 1000, 366ull * 86400000, 900000) / 1000;
	s->workers = (unsigned)config_int(r->c, r->root, "workers", CONFIG_OPTIONAL, 1, LIMIT_WORKERS, 1);
}

static void users_read(struct reading *r)
{
	const struct config_item *users = config_group(r->c, r->root, "users", CONFIG_OPTIONAL);

	if (!users)
		return;
	r->s->users.group = config_string(r->c, users, "group", CONFIG_OPTIONAL, NULL);
	r->s->users.control = config_string(r->c, users, "control", CONFIG_OPTIONAL, NULL);
	r->s->users.dataplane = config_string(r->c, users, "dataplane", CONFIG_OPTIONAL, NULL);
	r->s->users.signer = config_string(r->c, users, "signer", CONFIG_OPTIONAL, NULL);
	r->s->users.egress = config_string(r->c, users, "egress", CONFIG_OPTIONAL, NULL);
	r->s->users.sqlparse = config_string(r->c, users, "sqlparse", CONFIG_OPTIONAL, NULL);
	r->s->users.export = config_string(r->c, users, "export", CONFIG_OPTIONAL, NULL);
}

static void upstream_read(struct reading *r)
{
	const struct config_item *list = config_list(r->c, r->root, "upstream", CONFIG_OPTIONAL);
	unsigned count = config_length(list);

	if (count > LIMIT_SERVICES) {
		config_item_error(r->c, list, "too-many", "upstream: more entries than services are possible: remove some");
		return;
	}
	r->s->upstream = calloc(count + 1, sizeof(*r->s->upstream));
	for (unsigned i = 0; r->s->upstream && i < count; i++) {
		const struct config_item *entry = config_element(r->c, list, i);

		r->s->upstream[i].service = config_string(r->c, entry, "service", CONFIG_REQUIRED, "");
		r->s->upstream[i].roots = config_string(r->c, entry, "roots", CONFIG_REQUIRED, "");
		r->s->upstream[i].certificate = config_string(r->c, entry, "certificate", CONFIG_OPTIONAL, NULL);
		r->s->upstream[i].key = config_string(r->c, entry, "key", CONFIG_OPTIONAL, NULL);
		if (!r->s->upstream[i].certificate != !r->s->upstream[i].key)
			config_item_error(r->c, entry, "half-certificate", "certificate and key belong together: give both or neither");
		r->s->upstream_count = i + 1;
	}
}

/* What a URL may look like is egress's to say; here, that it is one. */
static const char *url_read(struct reading *r, const struct config_item *group, bool plain)
{
	const char *url = config_string(r->c, group, "url", CONFIG_REQUIRED, "");

	if (strncmp(url, "https://", 8) != 0 && !(plain && strncmp(url, "http://", 7) == 0))
		config_item_error(r->c, group, "bad-url", "url: does not begin with https://%s: write it in full", plain ? " or http://" : "");
	return url;
}

static void timestamp_read(struct reading *r)
{
	const struct config_item *group = config_group(r->c, r->root, "timestamp", CONFIG_OPTIONAL);

	if (!group)
		return;
	r->s->timestamp.url = url_read(r, group, true);
	r->s->timestamp.roots = config_string(r->c, group, "roots", CONFIG_REQUIRED, "");
	r->s->timestamp.ca = config_string(r->c, group, "ca", CONFIG_OPTIONAL, "");
}

static void witnesses_read(struct reading *r)
{
	const struct config_item *list = config_list(r->c, r->root, "witness", CONFIG_OPTIONAL);
	unsigned count = config_length(list);

	if (count > SETTINGS_WITNESSES) {
		config_item_error(r->c, list, "too-many", "witness: more than 8: remove some");
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		const struct config_item *entry = config_element(r->c, list, i);

		r->s->witness[i].url = url_read(r, entry, false);
		r->s->witness[i].key = config_string(r->c, entry, "key", CONFIG_REQUIRED, "");
		r->s->witness[i].ca = config_string(r->c, entry, "ca", CONFIG_OPTIONAL, "");
		r->s->witnesses = i + 1;
	}
}

static const char *entry_path(struct reading *r, const struct config_item *entry, const char *name)
{
	const char *path = config_string(r->c, entry, name, CONFIG_REQUIRED, "");

	if (path && path[0] != '/')
		config_item_error(r->c, entry, "bad-path", "%s: not an absolute path: write it in full", name);
	return path;
}

static bool stream_name_ok(const struct settings *s, const char *name)
{
	size_t len = name ? strlen(name) : 0;

	for (unsigned i = 0; len && i < s->stream_count; i++)
		if (strcmp(s->stream[i].name, name) == 0)
			return false;
	return len > 0 && len < SETTINGS_STREAM_NAME_BYTES && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

static void streams_read(struct reading *r)
{
	static const char *const forms[] = { "ocsf", "cef", NULL }, *const switches[] = { "on", "off", NULL };
	const struct config_item *list = config_list(r->c, r->root, "streams", CONFIG_OPTIONAL);
	unsigned count = config_length(list);

	if (count > SETTINGS_STREAMS) {
		config_item_error(r->c, list, "too-many", "streams: more than 8: remove some");
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		const struct config_item *entry = config_element(r->c, list, i);
		struct settings_stream *s = &r->s->stream[i];

		s->name = config_string(r->c, entry, "name", CONFIG_REQUIRED, "");
		s->host = config_string(r->c, entry, "host", CONFIG_REQUIRED, "");
		s->port = (unsigned)config_int(r->c, entry, "port", CONFIG_OPTIONAL, 1, 65535, 6514);
		s->form = config_word(r->c, entry, "form", CONFIG_OPTIONAL, forms, SETTINGS_STREAM_OCSF);
		s->schema = config_string(r->c, entry, "schema", CONFIG_OPTIONAL, "1.8.0");
		s->prune_waits = config_word(r->c, entry, "prune_waits", CONFIG_OPTIONAL, switches, 0) == 0;
		s->ca = entry_path(r, entry, "ca");
		s->certificate = entry_path(r, entry, "certificate");
		s->key = entry_path(r, entry, "key");
		if (!stream_name_ok(r->s, s->name))
			config_item_error(r->c, entry, "bad-name", "name: not 1 to 32 small letters, digits and dashes, or there twice: rename it");
		if (s->schema && strcmp(s->schema, "1.8.0") != 0 && strcmp(s->schema, "1.9.0-dev") != 0)
			config_item_error(r->c, entry, "bad-schema", "schema: no such schema: 1.8.0 or 1.9.0-dev");
		r->s->stream_count = i + 1;
	}
}

static void dataplane_read(struct reading *r)
{
	static const char *const idle[] = { "adaptive", "poll", NULL }, *const unnamed[] = { "drop", "pass", NULL };
	static const char *const tunnels[] = { "pass", "drop", NULL }, *const double_tags[] = { "inspect", "drop", NULL };
	static const char *const switches[] = { "on", "off", NULL };
	const struct config_item *group = config_group(r->c, r->root, "dataplane", CONFIG_OPTIONAL), *ports, *eal;

	r->s->dataplane.flows = 16384;
	r->s->dataplane.memory_bytes = 512u << 20;
	r->s->dataplane.standby = r->s->dataplane.splice = true;
	if (!group)
		return;
	ports = config_strings(r->c, group, "ports", CONFIG_REQUIRED);
	eal = config_strings(r->c, group, "eal", CONFIG_OPTIONAL);
	if (ports && config_length(ports) != SETTINGS_PORTS)
		config_item_error(r->c, ports, "bad-ports", "ports: not two: name the agents' port, then the targets' port");
	for (unsigned i = 0; i < SETTINGS_PORTS && i < config_length(ports); i++)
		r->s->dataplane.port[i] = config_string_at(r->c, ports, i);
	if (config_length(eal) > SETTINGS_EAL_MAX)
		config_item_error(r->c, eal, "too-many", "eal: more than 32 words: leave some out");
	for (unsigned i = 0; i < SETTINGS_EAL_MAX && i < config_length(eal); i++)
		r->s->dataplane.eal[r->s->dataplane.eal_count++] = config_string_at(r->c, eal, i);
	r->s->dataplane.lcores = config_string(r->c, group, "lcores", CONFIG_OPTIONAL, NULL);
	r->s->dataplane.idle = config_word(r->c, group, "idle", CONFIG_OPTIONAL, idle, SETTINGS_IDLE_ADAPTIVE);
	r->s->dataplane.flows = config_count(r->c, group, "flows", CONFIG_OPTIONAL, 64, 1000000, 16384);
	r->s->dataplane.memory_bytes = config_bytes(r->c, group, "memory", CONFIG_OPTIONAL, 16u << 20, 1ULL << 40, 512u << 20);
	r->s->dataplane.unnamed_port = config_word(r->c, group, "unnamed_port", CONFIG_OPTIONAL, unnamed, SETTINGS_UNNAMED_DROP);
	r->s->dataplane.tunnels = config_word(r->c, group, "tunnels", CONFIG_OPTIONAL, tunnels, SETTINGS_TUNNELS_PASS);
	r->s->dataplane.double_tags = config_word(r->c, group, "double_tags", CONFIG_OPTIONAL, double_tags, SETTINGS_DOUBLE_TAGS_INSPECT);
	r->s->dataplane.standby = config_word(r->c, group, "standby", CONFIG_OPTIONAL, switches, 0) == 0;
	r->s->dataplane.splice = config_word(r->c, group, "splice", CONFIG_OPTIONAL, switches, 0) == 0;
}

bool settings_interface(const char *device, char *out, size_t cap)
{
	const char *at = strstr(device, ",iface=");
	size_t len = at ? strcspn(at + 7, ",") : 0;

	if (len == 0 || len >= cap || (strncmp(device, "net_af_packet", 13) != 0 && strncmp(device, "net_af_xdp", 10) != 0))
		return false;
	memcpy(out, at + 7, len);
	out[len] = 0;
	return true;
}

static void report_write(struct config_report *report, char *why, size_t why_size)
{
	size_t at = 0;

	config_report_sort(report);
	why[0] = 0;
	for (unsigned i = 0; i < report->count && at + 1 < why_size; i++) {
		if (report->problem[i].warning)
			continue;
		if (at)
			why[at++] = '\n';
		config_problem_text(report, &report->problem[i], why + at, why_size - at);
		at += strlen(why + at);
	}
}

struct settings *settings_open(const char *path, char *why, size_t why_size)
{
	struct settings *s = calloc(1, sizeof(*s));
	struct reading r = { .s = s };
	struct config_report report;

	if (!s || !config_report_init(&report, path)) {
		snprintf(why, why_size, "%s: out of memory: free some", path);
		free(s);
		return NULL;
	}
	s->file = r.c = config_open(path, &report);
	if (r.c) {
		r.root = config_root(r.c);
		general_read(&r);
		users_read(&r);
		upstream_read(&r);
		timestamp_read(&r);
		witnesses_read(&r);
		streams_read(&r);
		dataplane_read(&r);
		config_finish(r.c);
	}
	if (!r.c || report.errors) {
		report_write(&report, why, why_size);
		settings_close(s);
		s = NULL;
	}
	config_report_free(&report);
	return s;
}

void settings_close(struct settings *s)
{
	if (!s)
		return;
	if (s->file)
		config_close(s->file);
	free(s->upstream);
	free(s);
}
