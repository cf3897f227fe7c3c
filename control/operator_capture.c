/* operator_capture.c: capture start, stop, list, save. Each is a record; that of start is durable before a frame is copied, that of
 * save before a byte is given out. */
#include <stdio.h>

#include "control/capture/filter.h"
#include "control/journal/base64.h"
#include "control/node_capture.h"
#include "control/operator_verbs.h"
#include "platform/base/random.h"
#include "platform/base/secret.h"
#include "platform/os/config.h"

#define REASON_BYTES_MAX 500u
#define FOR_DEFAULT "5m"
#define FOR_MS_MAX (24ull * 3600 * 1000)
#define BYTES_DEFAULT "256Mi"
#define BYTES_MIN (16ull << 10)
#define BYTES_MAX (16ull << 30)

static bool reason_ok(struct operation *o, const char *verb)
{
	const char *reason = operation_text(o, "reason");

	if (reason && strlen(reason) >= 4 && strlen(reason) <= REASON_BYTES_MAX && jcs_is_utf8(bytes_str(reason)))
		return true;
	operation_fail(o, FRAME_USAGE, "%s: no reason: give --reason, 4 to %u bytes of text", verb, REASON_BYTES_MAX);
	return false;
}

/* The service's listeners as targets. */
static bool add_service(struct operation *o, const char *service, struct capture_request *r)
{
	const struct policy_image *image = o->node->current;
	int i = image ? policy_service_by_name(image, bytes_str(service)) : -1;
	unsigned listeners = i >= 0 ? policy_service(image, (unsigned)i).listeners : 0;

	if (i < 0 || listeners == 0) {
		operation_fail(o, FRAME_USAGE, "capture start: service %.60s: the policy in force has none of this name: see sluice policy show", service);
		return false;
	}
	if (listeners > CAPTURE_TARGETS) {
		operation_fail(o, FRAME_REFUSED, "capture start: service %.60s: has more than %u addresses: give a filter with target instead", service, CAPTURE_TARGETS);
		return false;
	}
	for (unsigned k = 0; k < listeners; k++) {
		struct policy_listener l = policy_service_listener(image, (unsigned)i, k);
		struct capture_place *p = &r->target_of[k];

		*p = (struct capture_place){ .family = l.family, .prefix = l.family == 4 ? 32 : 128, .port = l.port, .vlan = l.any_vlan ? CAPTURE_ANY_VLAN : l.vlan };
		memcpy(p->address, l.address, sizeof(p->address));
	}
	r->targets = listeners;
	return true;
}

static bool read_what(struct operation *o, struct capture_request *r)
{
	const char *service = operation_text(o, "service"), *filter = operation_text(o, "filter");
	char err[CAPTURE_FILTER_ERROR_BYTES];

	*r = capture_filter_none();
	if (!service && !filter) {
		operation_fail(o, FRAME_USAGE, "capture start: of what: give --service or --filter");
		return false;
	}
	if (service && !add_service(o, service, r))
		return false;
	if (filter && !capture_filter_parse(filter, r, err)) {
		operation_fail(o, FRAME_USAGE, "capture start: --filter: %s", err);
		return false;
	}
	if (!capture_request_ok(r)) {
		operation_fail(o, FRAME_REFUSED, "capture start: the service has an address that a worker cannot look for: give a filter instead");
		return false;
	}
	return true;
}

static bool read_limits(struct operation *o, struct recorder_job *job)
{
	const char *last = operation_text(o, "for"), *max = operation_text(o, "max");
	uint64_t ms;

	if (!config_parse_duration_ms(last ? last : FOR_DEFAULT, &ms) || ms == 0 || ms > FOR_MS_MAX) {
		operation_fail(o, FRAME_USAGE, "capture start: --for: not a time up to 24h: such as 30s, 5m or 1h");
		return false;
	}
	if (!config_parse_bytes(max ? max : BYTES_DEFAULT, &job->bytes_max) || job->bytes_max < BYTES_MIN || job->bytes_max > BYTES_MAX) {
		operation_fail(o, FRAME_USAGE, "capture start: --max: not a size from 16Ki to 16Gi: such as 256Mi or 1Gi");
		return false;
	}
	job->for_us = ms * 1000;
	return true;
}

static bool may_begin(struct operation *o)
{
	struct node *n = o->node;

	if (json_object_get(o->args, "payload") && !json_is_false(json_object_get(o->args, "payload")))
		operation_fail(o, FRAME_REFUSED, "capture start: --payload: needs an approval of kind admin, which this version cannot ask for: leave it out, headers are captured");
	else if (node_capture_running(n) || !recorder_idle(n->captures->recorder))
		operation_fail(o, FRAME_REFUSED, "capture start: a capture is running: wait for its end, or sluice capture stop");
	else if (n->captures->count == CAPTURES_KEPT)
		operation_fail(o, FRAME_REFUSED, "capture start: %u files are kept already: destroy the key of one: sluice journal erase ID", CAPTURES_KEPT);
	else if (journal_level(n->journal) != JOURNAL_LEVEL_OK)
		operation_fail(o, FRAME_REFUSED, "capture start: the volume is over 80 %% full: free room for the journal first");
	else
		return reason_ok(o, "capture start");
	return false;
}

static void record_start(struct operation *o, const struct capture_row *row, const struct recorder_job *job)
{
	uint8_t hash[32];
	char commitment[65] = "", seconds[24], max[24];
	const char *const pairs[] = { "capture", row->id, "filter", row->filter, "for_s", seconds, "key_h", commitment, "max_bytes", max, "reason",
				      operation_text(o, "reason"), "service", row->service, "what", "headers", NULL };
	struct writer w = writer_of(commitment, sizeof(commitment) - 1);

	seal_commitment(&job->seal, hash);
	hex_write(&w, bytes_of(hash, sizeof(hash)));
	snprintf(seconds, sizeof(seconds), "%llu", (unsigned long long)(job->for_us / 1000000));
	snprintf(max, sizeof(max), "%llu", (unsigned long long)job->bytes_max);
	node_record(o->node, "capture.start", o->who, pairs);
}

void operation_capture_start(struct operation *o)
{
	struct node *n = o->node;
	struct captures *c = n->captures;
	struct recorder_job *job = &c->job;
	const char *service = operation_text(o, "service"), *filter = operation_text(o, "filter");
	uint8_t id[SEAL_SESSION_BYTES];
	struct capture_row *row;
	struct writer w;

	if (!may_begin(o))
		return;
	*job = (struct recorder_job){ .wall_us = n->now.wall_us };
	random_secret(id, sizeof(id));
	if (!read_what(o, &job->request) || !read_limits(o, job))
		return;
	if (!payload_keys_make(n->payload_keys, id, n->now.wall_us, &job->seal)) {
		operation_fail(o, FRAME_REFUSED, "capture start: no key can be kept: check the disk of the state directory");
		return;
	}
	row = &c->row[c->count++];
	*row = (struct capture_row){ .running = true, .known = true, .begun_us = n->now.wall_us, .until_us = n->now.wall_us + job->for_us };
	w = writer_of(row->id, sizeof(row->id) - 1);
	hex_write(&w, bytes_of(id, sizeof(id)));
	snprintf(row->service, sizeof(row->service), "%s", service ? service : "");
	snprintf(row->filter, sizeof(row->filter), "%s", filter ? filter : "");
	snprintf(job->comment, sizeof(job->comment), "capture %s; node %.60s; service %s; filter %s", row->id, n->settings->node, service ? row->service : "any",
		 row->filter[0] ? row->filter : "none");
	record_start(o, row, job);
	c->due = true; /* once that is on disk */
	o->result = json_pack("{s:s, s:o}", "capture", row->id, "until", operation_time(row->until_us));
}

static struct capture_row *named(struct operation *o, const char *verb)
{
	const char *id = operation_text(o, "id");
	struct capture_row *row = node_capture_find(o->node, id);

	if (!row)
		operation_fail(o, FRAME_REFUSED, "%s: capture %.32s: there is none, or more than one: see sluice capture list", verb, id ? id : "");
	return row;
}

void operation_capture_stop(struct operation *o)
{
	struct capture_row *row;
	const char *pairs[] = { "capture", NULL, "reason", operation_text(o, "reason"), NULL };

	if (!reason_ok(o, "capture stop") || !(row = named(o, "capture stop")))
		return;
	if (!row->running) {
		operation_fail(o, FRAME_REFUSED, "capture stop: capture %s: has ended: see sluice capture list", row->id);
		return;
	}
	pairs[1] = row->id;
	node_record(o->node, "capture.stop", o->who, pairs);
	/* It only stops what is taken down; nothing waits for the record. */
	node_capture_stop(o->node);
	o->result = json_pack("{s:s}", "stopping", row->id);
}

void operation_capture_list(struct operation *o)
{
	json_t *list = json_array();

	(void)node_capture_running(o->node);
	for (unsigned i = 0; i < o->node->captures->count; i++)
		json_array_append_new(list, node_capture_json(&o->node->captures->row[i]));
	o->result = json_pack("{s:o}", "captures", list);
}

/* To a file it is saved; on standard output it is read. */
void operation_capture_save(struct operation *o)
{
	bool to_file = json_is_true(json_object_get(o->args, "to_file"));
	struct capture_row *row = named(o, "capture save");
	const char *pairs[] = { "capture", NULL, NULL };

	if (!row)
		return;
	pairs[1] = row->id;
	node_record(o->node, to_file ? "capture.save" : "capture.read", o->who, pairs);
	o->stream = json_pack("{s:s, s:s}", "what", "capture", "id", row->id);
}
