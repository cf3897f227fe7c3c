/* operator_capture.c: capture start, stop, list, save. Each is a record; that of start is durable before a frame is copied, that of
 * save before a byte is given out. One with payload begins when two persons have approved it (node_deeds.c). */
#include <stdarg.h>
#include <stdio.h>

#include "control/capture/filter.h"
#include "control/journal/base64.h"
#include "control/journal/jcs_read.h"
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

/* Why something cannot be captured, as a text that a person can act on. */
struct refusal {
	enum frame_status status;
	char text[300];
};

[[gnu::format(printf, 3, 4)]] static bool refuse(struct refusal *why, enum frame_status status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why->text, sizeof(why->text), format, args);
	va_end(args);
	why->status = status;
	return false;
}

/* The service's listeners as targets. */
static bool add_service(const struct node *n, const char *service, struct capture_request *r, struct refusal *why)
{
	const struct policy_image *image = n->current;
	int i = image ? policy_service_by_name(image, bytes_str(service)) : -1;
	unsigned listeners = i >= 0 ? policy_service(image, (unsigned)i).listeners : 0;

	if (i < 0 || listeners == 0)
		return refuse(why, FRAME_USAGE, "service %.60s: the policy in force has none of this name: see sluice policy show", service);
	if (listeners > CAPTURE_TARGETS)
		return refuse(why, FRAME_REFUSED, "service %.60s: has more than %u addresses: give a filter with target instead", service, CAPTURE_TARGETS);
	for (unsigned k = 0; k < listeners; k++) {
		struct policy_listener l = policy_service_listener(image, (unsigned)i, k);
		struct capture_place *p = &r->target_of[k];

		*p = (struct capture_place){ .family = l.family, .prefix = l.family == 4 ? 32 : 128, .port = l.port, .vlan = l.any_vlan ? CAPTURE_ANY_VLAN : l.vlan };
		memcpy(p->address, l.address, sizeof(p->address));
	}
	r->targets = listeners;
	return true;
}

/* `service` and `filter`: "" when not given. */
static bool read_what(const struct node *n, const char *service, const char *filter, struct capture_request *r, struct refusal *why)
{
	char err[CAPTURE_FILTER_ERROR_BYTES];

	*r = capture_filter_none();
	if (!service[0] && !filter[0])
		return refuse(why, FRAME_USAGE, "of what: give --service or --filter");
	if (service[0] && !add_service(n, service, r, why))
		return false;
	if (filter[0] && !capture_filter_parse(filter, r, err))
		return refuse(why, FRAME_USAGE, "--filter: %s", err);
	return capture_request_ok(r) || refuse(why, FRAME_REFUSED, "the service has an address that a worker cannot look for: give a filter instead");
}

static bool read_limits(struct operation *o, struct recorder_job *job, struct refusal *why)
{
	const char *last = operation_text(o, "for"), *max = operation_text(o, "max");
	uint64_t ms;

	if (!config_parse_duration_ms(last ? last : FOR_DEFAULT, &ms) || ms == 0 || ms > FOR_MS_MAX)
		return refuse(why, FRAME_USAGE, "--for: not a time up to 24h: such as 30s, 5m or 1h");
	if (!config_parse_bytes(max ? max : BYTES_DEFAULT, &job->bytes_max) || job->bytes_max < BYTES_MIN || job->bytes_max > BYTES_MAX)
		return refuse(why, FRAME_USAGE, "--max: not a size from 16Ki to 16Gi: such as 256Mi or 1Gi");
	job->for_us = ms * 1000;
	return true;
}

static bool may_begin(struct node *n, struct refusal *why)
{
	if (node_capture_running(n) || !recorder_idle(n->captures->recorder))
		return refuse(why, FRAME_REFUSED, "a capture is running: wait for its end, or sluice capture stop");
	if (n->captures->count == CAPTURES_KEPT)
		return refuse(why, FRAME_REFUSED, "%u files are kept already: destroy the key of one: sluice journal erase ID", CAPTURES_KEPT);
	if (journal_level(n->journal) != JOURNAL_LEVEL_OK)
		return refuse(why, FRAME_REFUSED, "the volume is over 80 %% full: free room for the journal first");
	return true;
}

struct started {
	const struct capture_row *row;
	const struct recorder_job *job;
	char commitment[65];
	const char *reason;
};

static void describe_start(struct jcs *j, const void *from)
{
	const struct started *s = from;
	char seconds[24], max[24];

	snprintf(seconds, sizeof(seconds), "%llu", (unsigned long long)(s->job->for_us / 1000000));
	snprintf(max, sizeof(max), "%llu", (unsigned long long)s->job->bytes_max);
	jcs_put_str(j, "capture", s->row->id);
	jcs_put_str(j, "filter", s->row->filter);
	jcs_put_str(j, "for_s", seconds);
	jcs_put_str(j, "key_h", s->commitment);
	jcs_put_str(j, "max_bytes", max);
	jcs_put_str(j, "reason", s->reason);
	jcs_put_str(j, "service", s->row->service);
	jcs_put_str(j, "what", s->job->payload ? "frames" : "headers");
}

/* The record, and the job that begins once it is on disk. `a`: the approval of one with payload. */
static struct capture_row *begin(struct node *n, const char *service, const char *filter, const char *reason, struct bytes who, const struct approval *a, struct refusal *why)
{
	struct captures *c = n->captures;
	struct recorder_job *job = &c->job;
	uint8_t id[SEAL_SESSION_BYTES], hash[32];
	struct started said = { .job = job, .reason = reason };
	const struct entry e = { .type = "capture.start", .who = who, .data = { describe_start, &said }, .approval_id = a ? a->id_text : NULL,
				 .approval_sha256 = a ? a->statement_sha256 : NULL, .policy_sha256 = a && n->current ? policy_hash(n->current) : NULL };
	struct capture_row *row;
	struct writer w = writer_of(said.commitment, sizeof(said.commitment) - 1);

	random_secret(id, sizeof(id));
	if (!payload_keys_make(n->payload_keys, id, n->now.wall_us, &job->seal)) {
		(void)refuse(why, FRAME_REFUSED, "no key can be kept: check the disk of the state directory");
		return NULL;
	}
	seal_commitment(&job->seal, hash);
	hex_write(&w, bytes_of(hash, sizeof(hash)));
	said.row = row = &c->row[c->count];
	*row = (struct capture_row){ .running = true, .known = true, .payload = job->payload, .begun_us = n->now.wall_us, .until_us = n->now.wall_us + job->for_us };
	w = writer_of(row->id, sizeof(row->id) - 1);
	hex_write(&w, bytes_of(id, sizeof(id)));
	snprintf(row->service, sizeof(row->service), "%s", service);
	snprintf(row->filter, sizeof(row->filter), "%s", filter);
	snprintf(job->comment, sizeof(job->comment), "capture %s; node %.60s; service %s; filter %s", row->id, n->settings->node, service[0] ? row->service : "any",
		 row->filter[0] ? row->filter : "none");
	if (!inbox_append(n->inbox, &e, true, NULL)) {
		(void)refuse(why, FRAME_REFUSED, "the journal does not take its record: see sluice show journal");
		return NULL;
	}
	c->count++;
	c->due = true;
	return row;
}

void operation_capture_start(struct operation *o)
{
	const char *service = operation_text(o, "service"), *filter = operation_text(o, "filter");
	struct node *n = o->node;
	struct recorder_job *job = &n->captures->job;
	struct refusal why;
	struct capture_row *row = NULL;
	bool good;

	if (!may_begin(n, &why)) {
		operation_fail(o, why.status, "capture start: %s", why.text);
		return;
	}
	if (!reason_ok(o, "capture start"))
		return;
	service = service ? service : "";
	filter = filter ? filter : "";
	*job = (struct recorder_job){ .wall_us = n->now.wall_us };
	good = read_what(n, service, filter, &job->request, &why) && read_limits(o, job, &why);
	if (good && json_is_true(json_object_get(o->args, "payload"))) {
		node_deeds_capture(o, job->for_us / 1000000, job->bytes_max);
		return;
	}
	if (good)
		row = begin(n, service, filter, operation_text(o, "reason"), o->who, NULL, &why);
	if (row)
		o->result = json_pack("{s:s, s:o}", "capture", row->id, "until", operation_time(row->until_us));
	else
		operation_fail(o, why.status, "capture start: %s", why.text);
}

/* A text of the statement, "" when there is none that fits. */
static void text_of(struct jcs_value args, const char *name, char *out, size_t cap)
{
	struct writer w = writer_of(out, cap - 1);
	bool good = jcs_read_str(jcs_get(args, name), &w);

	out[good ? w.len : 0] = 0;
}

const char *node_capture_begin(struct node *n, const struct approval *a, struct jcs_value args)
{
	static char went[340];
	struct recorder_job *job = &n->captures->job;
	char service[64], filter[512], reason[APPROVAL_REASON_BYTES];
	struct refusal why;
	int64_t seconds, bytes;

	if (!may_begin(n, &why)) {
		snprintf(went, sizeof(went), "not done: %s", why.text);
		return went;
	}
	text_of(args, "service", service, sizeof(service));
	text_of(args, "filter", filter, sizeof(filter));
	text_of(jcs_value_of(bytes_of(a->statement, a->statement_len)), "reason", reason, sizeof(reason));
	if (!jcs_read_int(jcs_get(args, "for_s"), &seconds) || !jcs_read_int(jcs_get(args, "max_bytes"), &bytes) || seconds <= 0 || bytes <= 0)
		return "not done: the statement cannot be read";
	*job = (struct recorder_job){ .wall_us = n->now.wall_us, .for_us = (uint64_t)seconds * 1000000, .bytes_max = (uint64_t)bytes, .payload = true };
	if (read_what(n, service, filter, &job->request, &why) && begin(n, service, filter, reason, bytes_of(a->who, a->who_len), a, &why))
		return "";
	snprintf(went, sizeof(went), "not done: %s", why.text);
	return went;
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
