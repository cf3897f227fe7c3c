#include "control/operator_verbs.h"

#include <stdarg.h>
#include <stdio.h>

#include "platform/os/log.h"
#include "platform/os/shm.h"

void operation_fail(struct operation *o, enum frame_status status, const char *format, ...)
{
	va_list arguments;

	o->status = status;
	va_start(arguments, format);
	vsnprintf(o->error, sizeof(o->error), format, arguments);
	va_end(arguments);
}

const char *operation_text(const struct operation *o, const char *name)
{
	return json_string_value(json_object_get(o->args, name));
}

void operation_identified(struct operation *o, struct principal *p, const struct identity_failure *why)
{
	o->waiting = false;
	o->identified(o, p, why);
}

json_t *operation_time(uint64_t wall_us)
{
	char text[ENTRY_TIME_BYTES];

	return wall_us ? json_string(entry_time(wall_us, text)) : json_null();
}

/* --- show ---------------------------------------------------------------------------------------------------------------- */

static json_t *hex_json(const uint8_t *bytes, size_t len)
{
	char text[65];

	for (size_t i = 0; i < len && i < 32; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	return json_string(text);
}

json_t *operation_policy_json(const struct node *n)
{
	if (!n->current)
		return json_null();
	return json_pack("{s:s, s:i, s:o, s:I, s:o, s:s}", "name", n->tree->name, "version", (int)n->tree->version, "hash",
			 hex_json(policy_hash(n->current), 32), "generation", (json_int_t)n->generation, "loaded", operation_time(n->policy_loaded_us), "file",
			 n->settings->policy);
}

void operation_version(struct operation *o)
{
	o->result = json_pack("{s:s, s:s}", "version", SLUICE_VERSION, "node", o->node->settings->node);
}

/* How many services hold back how much until it is on record. */
static json_t *audit_json(const struct policy_image *image)
{
	unsigned count[POLICY_AUDIT_count] = { 0 };
	json_t *out = json_object();

	for (unsigned i = 0; image && i < policy_counts(image).services; i++)
		count[policy_service(image, i).audit]++;
	for (unsigned i = 0; i < POLICY_AUDIT_count; i++)
		json_object_set_new(out, policy_audit_words[i], json_integer(count[i]));
	return out;
}

void operation_policy_show(struct operation *o)
{
	o->result = json_pack("{s:o, s:o}", "policy", operation_policy_json(o->node), "services_by_audit", audit_json(o->node->current));
}

void operation_policy_reload(struct operation *o)
{
	char why[FRAME_REQUEST_BYTES / 16];
	bool changed = false;

	if (!node_policy_load(o->node, &changed, why, sizeof(why)))
		operation_fail(o, FRAME_USAGE, "%s", why);
	else
		o->result = json_pack("{s:b, s:o}", "changed", changed, "policy", operation_policy_json(o->node));
}

void operation_key_fingerprints(struct operation *o)
{
	struct node *n = o->node;
	const struct checkpoint_keys *keys = &n->signer.keys;
	char fingerprint[CA_FINGERPRINT_BYTES], export_key[EXPORT_KEY_FINGERPRINT_BYTES], vkey[256] = "";
	struct writer w = writer_of(vkey, sizeof(vkey) - 1);

	ca_fingerprint(n->ca, fingerprint);
	export_key_fingerprint(n->export_key, export_key);
	if (keys->has_ed25519 && checkpoint_vkey_write(keys, &w))
		vkey[w.len] = 0;
	o->result = json_pack("{s:s, s:s+, s:s, s:s?, s:s}", "ca_sha256", fingerprint, "ca_file", n->settings->run_dir, "/ca.pem", "export_key_sha256", export_key, "log_vkey", vkey[0] ? vkey : NULL,
			      "origin", n->settings->origin);
}

/* A reader of the journal announces itself: what it reads is a record before it has read. It then opens the directory itself. */
void operation_journal_read(struct operation *o)
{
	const char *what = operation_text(o, "what"), *detail = operation_text(o, "detail"), *recipients = operation_text(o, "recipients");
	const char *const pairs[] = { "detail", detail ? detail : "", "recipients", recipients ? recipients : "", "what", what ? what : "", NULL };
	const char *const by_root[] = { "by", "administrator of the machine", "detail", detail ? detail : "", NULL };
	char type[64], dir[320], vkey[256] = "";
	struct writer w = writer_of(vkey, sizeof(vkey) - 1);

	if (!what || strlen(what) > 40 || strspn(what, "abcdefghijklmnopqrstuvwxyz") != strlen(what) || (detail && strlen(detail) > 500) ||
	    (recipients && (strlen(recipients) > 1024 || strspn(recipients, "0123456789abcdef,") != strlen(recipients)))) {
		operation_fail(o, FRAME_USAGE, "read: not a kind of reading: use the sluice command");
		return;
	}
	snprintf(type, sizeof(type), strcmp(what, "export") ? "read.%s" : "%s", what);
	if (node_record(o->node, type, o->who, pairs) == UINT64_MAX ||
	    (json_is_true(json_object_get(o->args, "keys")) && node_record(o->node, "key.disclose", o->who, by_root) == UINT64_MAX)) {
		operation_fail(o, FRAME_REFUSED, "read: the journal does not take the record of it: see sluice show journal");
		return;
	}
	snprintf(dir, sizeof(dir), "%s/journal", o->node->settings->state_dir);
	if (o->node->signer.keys.has_ed25519 && checkpoint_vkey_write(&o->node->signer.keys, &w))
		vkey[w.len] = 0;
	o->result = json_pack("{s:s, s:s}", "dir", dir, "vkey", vkey);
}

/* --- dispatch ------------------------------------------------------------------------------------------------------------ */

static const struct {
	const char *verb;
	bool administrator; /* alone may */
	void (*run)(struct operation *o);
} verbs[] = {
	{ "show health", false, operation_health },
	{ "show journal", false, operation_journal },
	{ "show version", false, operation_version },
	{ "show workers", false, operation_workers },
	{ "show drops", false, operation_drops },
	{ "show ports", false, operation_ports },
	{ "show flows", false, operation_flows },
	{ "show flow", false, operation_flow },
	{ "show policy", false, operation_policy_show },
	{ "policy reload", true, operation_policy_reload },
	{ "session list", false, operation_sessions },
	{ "session kill", true, operation_session_kill },
	{ "approval list", false, operation_approvals },
	{ "approval show", false, operation_approval_show },
	{ "approval vote", false, operation_approval_vote },
	{ "approval revoke", false, operation_approval_revoke },
	{ "identity test", false, operation_identity_test },
	{ "capture start", true, operation_capture_start },
	{ "capture stop", true, operation_capture_stop },
	{ "capture list", false, operation_capture_list },
	{ "capture save", true, operation_capture_save },
	{ "key show-fingerprints", false, operation_key_fingerprints },
	{ "journal erase", false, operation_journal_erase },
	{ "journal prune", false, operation_journal_prune },
	{ "journal rotate-key", false, operation_journal_rotate_key },
	{ "journal disclose", false, operation_journal_disclose },
	{ "journal hold add", false, operation_hold_add },
	{ "journal hold list", false, operation_hold_list },
	{ "journal hold release", false, operation_hold_release },
	{ "journal read", true, operation_journal_read },
	{ "read", false, operation_read },
};

void operation_run(struct operation *o, const char *verb)
{
	for (unsigned i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		const char *const refused[] = { "verb", verbs[i].verb, NULL };

		if (strcmp(verbs[i].verb, verb))
			continue;
		if (verbs[i].administrator && !o->administrator) {
			node_record(o->node, "admin.refused", o->who, refused);
			operation_fail(o, FRAME_NOT_PERMITTED, "%s: not permitted for uid %u: run it as root or as the user of sluice-control", verb, o->uid);
			return;
		}
		verbs[i].run(o);
		return;
	}
	operation_fail(o, FRAME_USAGE, "%.60s: no such verb in this version of sluice-control: see sluice --help", verb);
}
