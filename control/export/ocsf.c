/* Each record becomes one event of the class that `classes` names for its type, made of parts that several classes share; a
 * refused command and a masked answer also give a finding. Class and activity numbers: schema.ocsf.io, export.md 3. */
#include "control/export/ocsf.h"

#include <stdio.h>
#include <string.h>

#include "control/journal/base64.h"
#include "control/journal/merkle.h"

enum {
	NETWORK_ACTIVITY = 4001,
	AUTHENTICATION = 3002,
	AUTHORIZE_SESSION = 3003,
	APPLICATION_LIFECYCLE = 6002,
	API_ACTIVITY = 6003,
	DATASTORE_ACTIVITY = 6005,
	DETECTION_FINDING = 2004,
	DATA_SECURITY_FINDING = 2006,
};

enum { OTHER = 99 };
enum { INFORMATIONAL = 1, LOW, MEDIUM, HIGH };
enum { ALLOWED = 1, DENIED = 2, MODIFIED = 4 };
enum { DISPOSITION_ALLOWED = 1, DISPOSITION_BLOCKED = 2, DISPOSITION_APPROVED = 8, DISPOSITION_CORRECTED = 11, DISPOSITION_DELAYED = 14,
       DISPOSITION_REVOKED = 24, DISPOSITION_REJECTED = 25, DISPOSITION_ERROR = 27 };

/* First match wins; a type that ends with '.' stands for all that begin with it. */
static const struct class_row {
	const char *type;
	int class_uid, activity, severity;
} classes[] = {
	{ "session.open", NETWORK_ACTIVITY, 1, INFORMATIONAL },
	{ "session.close", NETWORK_ACTIVITY, 2, INFORMATIONAL },
	{ "payload", NETWORK_ACTIVITY, 6, INFORMATIONAL },
	{ "auth.ok", AUTHENTICATION, 1, INFORMATIONAL },
	{ "auth.fail", AUTHENTICATION, 1, MEDIUM },
	{ "approval.grant", AUTHORIZE_SESSION, 1, LOW },
	{ "approval.", AUTHORIZE_SESSION, OTHER, INFORMATIONAL },
	{ "break_glass", AUTHORIZE_SESSION, 1, HIGH },
	{ "cmd", DATASTORE_ACTIVITY, OTHER, INFORMATIONAL },
	{ "hold", DATASTORE_ACTIVITY, OTHER, LOW },
	{ "resp", DATASTORE_ACTIVITY, OTHER, INFORMATIONAL },
	{ "resp.part", DATASTORE_ACTIVITY, OTHER, INFORMATIONAL },
	{ "policy.", APPLICATION_LIFECYCLE, 8, LOW },
	{ "node.boot", APPLICATION_LIFECYCLE, 3, INFORMATIONAL },
	{ "journal.stop", APPLICATION_LIFECYCLE, 4, HIGH },
	{ "journal.resume", APPLICATION_LIFECYCLE, 3, MEDIUM },
	{ "journal.alarm", APPLICATION_LIFECYCLE, OTHER, HIGH },
	{ "read.", API_ACTIVITY, 2, INFORMATIONAL },
	{ "export", API_ACTIVITY, 2, LOW },
	{ "kill", API_ACTIVITY, 4, HIGH },
	{ "revoke.", API_ACTIVITY, 4, MEDIUM },
	{ "", APPLICATION_LIFECYCLE, OTHER, INFORMATIONAL },
};

static const struct verb_row {
	const char *verb;
	int activity;
} verbs[] = {
	{ "select", 4 }, { "explain", 4 }, { "show", 4 }, { "insert", 5 }, { "copy-in", 5 }, { "update", 2 }, { "merge", 2 }, { "delete", 7 },
	{ "truncate", 7 }, { "copy-out", 1 }, { "copy", 1 }, { "fetch", 1 },
};

bool ocsf_schema(struct ocsf *o, const char *version)
{
	o->agents = strcmp(version, "1.9.0-dev") == 0;
	return o->agents || strcmp(version, "1.8.0") == 0;
}

static const struct class_row *class_of(const char *type)
{
	const struct class_row *row = classes;

	for (; *row->type; row++) {
		size_t len = strlen(row->type);

		if (row->type[len - 1] == '.' ? strncmp(type, row->type, len) == 0 : strcmp(type, row->type) == 0)
			break;
	}
	return row;
}

/* The activity of a statement's verb, or of a completion tag ("SELECT 5"). */
static int activity_of(const char *word)
{
	size_t len = strcspn(word, " ");

	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (strlen(verbs[i].verb) == len && strncasecmp(verbs[i].verb, word, len) == 0)
			return verbs[i].activity;
	return OTHER;
}

/* --- Parts; NULL when the record says nothing of it, and "s*" of json_pack then leaves the member out --- */

static json_t *text(const char *s)
{
	return *s ? json_string(s) : NULL;
}

static json_t *endpoint(const struct event_end *end, const char *name)
{
	if (!*end->address)
		return *name ? json_pack("{s:s}", "svc_name", name) : NULL;
	return json_pack("{s:s, s:I, s:s*, s:o*}", "ip", end->address, "port", (json_int_t)end->port, "svc_name", *name ? name : NULL, "vlan_uid",
			 end->vlan ? json_sprintf("%lld", (long long)end->vlan) : NULL);
}

static json_t *user(const struct event *e)
{
	const char *uid = *e->person ? e->person : e->subject;

	return json_pack("{s:s, s:o*, s:o*}", "uid", *uid ? uid : "unknown", "name", text(e->subject), "domain", text(e->issuer));
}

static json_t *actor(const struct event *e)
{
	return json_pack("{s:o, s:o*}", "user", user(e), "session", *e->session ? json_pack("{s:s}", "uid", e->session) : NULL);
}

static json_t *agent(const struct event *e)
{
	return *e->agent ? json_pack("{s:s, s:o*}", "uid", e->agent, "instance_uid", text(e->run)) : NULL;
}

/* The first object that the statement names, else the database. */
static json_t *database(const struct event *e)
{
	return json_pack("{s:s, s:i}", "name", *e->database ? e->database : e->service, "type_id", 1);
}

static json_t *table(const struct event *e)
{
	const json_t *objects = e->writes ? e->writes : e->reads;
	const char *name = json_string_value(json_array_get(objects, 0));

	return name ? json_pack("{s:s}", "name", name) : NULL;
}

static json_t *policy(const struct event *e)
{
	return *e->policy ? json_pack("{s:s, s:s, s:b}", "uid", e->policy, "type", "sluice", "is_applied", 1) : NULL;
}

static json_t *rule(const struct event *e)
{
	const char *id = json_string_value(json_array_get(e->rules, 0));

	return id ? json_pack("{s:s, s:s}", "uid", id, "name", id) : NULL;
}

/* Where the record is, and all that OCSF has no member for. */
static json_t *unmapped(const struct ocsf *o, const struct event *e, struct bytes record)
{
	struct merkle_hash leaf = merkle_leaf(record);
	char hex[2 * sizeof leaf + 1] = "";
	struct writer w = writer_of(hex, sizeof hex - 1);
	json_t *out;

	hex_write(&w, bytes_of(&leaf, sizeof leaf));
	out = json_pack("{s:{s:I, s:s, s:s, s:O*, s:O*, s:s*}}", "sluice", "index", (json_int_t)e->index, "leaf", hex, "type", e->type, "data",
			json_object_get(e->record, "data"), "masked", e->masked, "verdict", *e->verdict ? e->verdict : NULL);
	if (*e->approval)
		(void)json_object_set_new(out, "approval", json_pack("{s:s, s:s}", "id", e->approval, "statement_hash", e->statement_hash));
	if (!o->agents && *e->agent)
		(void)json_object_set_new(out, "ai_agent", agent(e));
	return out;
}

/* What every event has. Takes over nothing; members are added by the caller. */
static json_t *event_base(const struct ocsf *o, const struct event *e, struct bytes record, int class_uid, int activity, int severity,
			  const char *suffix)
{
	json_t *out = json_pack("{s:i, s:i, s:i, s:I, s:I, s:i}", "class_uid", class_uid, "category_uid", class_uid / 1000, "activity_id", activity,
				"type_uid", (json_int_t)class_uid * 100 + activity, "time", (json_int_t)e->time_ms, "severity_id", severity);
	json_t *profiles = json_pack("[s]", "security_control");
	bool agents = o->agents && class_uid / 1000 != 3 && class_uid / 1000 != 2;

	if (agents)
		(void)json_array_append_new(profiles, json_string("ai_operation"));
	(void)json_object_set_new(out, "metadata",
				  json_pack("{s:s, s:{s:s, s:s, s:s}, s:o, s:o, s:s, s:o, s:o*, s:o*}", "version", o->agents ? "1.9.0-dev" : "1.8.0", "product",
					    "name", "Sluice", "vendor_name", "Sluice", "version", SLUICE_VERSION, "profiles", profiles, "uid",
					    json_sprintf("%s#%llu%s", o->origin, (unsigned long long)e->index, suffix), "event_code", e->type, "sequence",
					    json_integer((json_int_t)e->index), "log_name", text(o->origin), "correlation_uid", text(e->session)));
	(void)json_object_set_new(out, "unmapped", unmapped(o, e, record));
	if (agents && *e->agent)
		(void)json_object_set_new(out, "ai_agent", agent(e));
	return out;
}

static void put(json_t *object, const char *key, json_t *value)
{
	if (value)
		(void)json_object_set_new(object, key, value);
}

/* Which way it was decided, by verdict or by the record's type. */
static void put_decision(json_t *out, const struct event *e)
{
	int action = ALLOWED, disposition = DISPOSITION_ALLOWED;

	if (strcmp(e->verdict, "blocked") == 0) {
		action = DENIED;
		disposition = DISPOSITION_BLOCKED;
	} else if (strcmp(e->type, "hold") == 0) {
		action = OTHER;
		disposition = DISPOSITION_DELAYED;
		put(out, "action", json_string("Held"));
	} else if (e->masked_cells > 0) {
		action = MODIFIED;
		disposition = DISPOSITION_CORRECTED;
	} else if (strcmp(e->verdict, "error") == 0) {
		disposition = DISPOSITION_ERROR;
	} else if (strcmp(e->type, "approval.grant") == 0) {
		disposition = DISPOSITION_APPROVED;
	} else if (strcmp(e->type, "approval.deny") == 0 || strcmp(e->type, "auth.fail") == 0) {
		action = DENIED;
		disposition = DISPOSITION_REJECTED;
	} else if (strcmp(e->type, "kill") == 0 || strncmp(e->type, "revoke.", 7) == 0) {
		action = DENIED;
		disposition = DISPOSITION_REVOKED;
	}
	put(out, "action_id", json_integer(action));
	put(out, "disposition_id", json_integer(disposition));
	put(out, "policy", policy(e));
	put(out, "firewall_rule", rule(e));
}

static void put_status(json_t *out, const struct event *e, bool good)
{
	put(out, "status_id", json_integer(good ? 1 : 2));
	put(out, "status_code", text(e->code));
	put(out, "status_detail", good ? NULL : text(*e->reason && strcmp(e->reason, "none") != 0 ? e->reason : e->cause));
}

static void put_ends(json_t *out, const struct event *e)
{
	put(out, "src_endpoint", endpoint(&e->source, *e->source.address ? "" : "control socket"));
	put(out, "dst_endpoint", endpoint(&e->target, e->service));
}

static void fill_datastore(json_t *out, const struct event *e)
{
	put(out, "actor", actor(e));
	put_ends(out, e);
	put(out, "database", database(e));
	put(out, "table", table(e));
	put(out, "type_id", json_integer(1));
	if (*e->text)
		put(out, "query_info", json_pack("{s:s, s:s}", "query_string", e->text, "name", *e->verb ? e->verb : e->type));
	if (*e->verb)
		put(out, "activity_name", json_string(e->verb));
	if (strcmp(e->type, "resp") == 0)
		put(out, "duration", json_integer((json_int_t)(e->duration_us / 1000)));
	put_status(out, e, strcmp(e->verdict, "blocked") != 0 && strcmp(e->verdict, "error") != 0);
}

static void fill_class(json_t *out, const struct event *e, int class_uid)
{
	json_t *groups;

	switch (class_uid) {
	case DATASTORE_ACTIVITY:
		fill_datastore(out, e);
		break;
	case NETWORK_ACTIVITY:
		put_ends(out, e);
		put(out, "status_detail", text(e->cause));
		break;
	case AUTHENTICATION:
		put(out, "user", user(e));
		put_ends(out, e);
		put(out, "service", json_pack("{s:s}", "name", *e->service ? e->service : "sluice"));
		put(out, "auth_protocol_id", json_integer(strcmp(e->how, "bearer") == 0 ? 6 : 99));
		put_status(out, e, strcmp(e->type, "auth.ok") == 0);
		break;
	case AUTHORIZE_SESSION:
		put(out, "user", user(e));
		put(out, "session", *e->session ? json_pack("{s:s}", "uid", e->session) : NULL);
		groups = json_array();
		(void)json_array_append_new(groups, json_sprintf("%s %s", e->type, e->approval));
		put(out, "privileges", groups);
		break;
	case API_ACTIVITY:
		put(out, "actor", actor(e));
		put_ends(out, e);
		put(out, "api", json_pack("{s:s, s:{s:s}}", "operation", e->type, "service", "name", "sluice-control"));
		break;
	default:
		put(out, "app", json_pack("{s:s, s:s}", "name", "Sluice", "version", SLUICE_VERSION));
		break;
	}
}

static json_t *main_event(const struct ocsf *o, const struct event *e, struct bytes record)
{
	const struct class_row *row = class_of(e->type);
	int activity = row->activity;
	json_t *out;

	if (row->class_uid == DATASTORE_ACTIVITY)
		activity = activity_of(*e->verb ? e->verb : e->tag);
	out = event_base(o, e, record, row->class_uid, activity, strcmp(e->verdict, "blocked") == 0 ? MEDIUM : row->severity, "");
	if (activity == OTHER)
		put(out, "activity_name", json_string(*e->verb ? e->verb : e->type));
	fill_class(out, e, row->class_uid);
	put_decision(out, e);
	put(out, "message", json_sprintf("%s %s%s%s", e->type, e->verdict, *e->text ? ": " : "", e->text));
	return out;
}

/* `main_uid`: of the event that it was found in. */
static json_t *finding(const struct ocsf *o, const struct event *e, struct bytes record, int class_uid, const char *title)
{
	json_t *out = event_base(o, e, record, class_uid, 1, class_uid == DETECTION_FINDING ? MEDIUM : LOW, "/finding");
	json_t *uid = json_sprintf("%s#%llu", o->origin, (unsigned long long)e->index);

	put(out, "finding_info", json_pack("{s:s, s:s, s:[{s:O, s:I}]}", "uid", json_string_value(uid), "title", title, "related_events", "uid", uid,
					   "type_uid", (json_int_t)json_integer_value(json_object_get(out, "type_uid"))));
	json_decref(uid);
	put(out, "status_id", json_integer(1));
	put(out, "is_alert", json_boolean(class_uid == DETECTION_FINDING));
	if (class_uid == DETECTION_FINDING)
		put(out, "evidences", json_pack("[{s:o, s:o*, s:o*}]", "actor", actor(e), "src_endpoint", endpoint(&e->source, ""), "data",
						*e->text ? json_pack("{s:s}", "statement", e->text) : NULL));
	else
		put(out, "actor", actor(e));
	put_decision(out, e);
	put(out, "message", json_sprintf("%s: %s %s", title, e->type, e->text));
	return out;
}

unsigned ocsf_events(const struct ocsf *o, const struct event *e, struct bytes record, json_t *out[OCSF_EVENTS_MAX])
{
	unsigned n = 0;

	out[n++] = main_event(o, e, record);
	if (strcmp(e->verdict, "blocked") == 0 && strcmp(e->type, "cmd") == 0)
		out[n++] = finding(o, e, record, DETECTION_FINDING, "command refused");
	else if (strcmp(e->type, "kill") == 0 || strncmp(e->type, "revoke.", 7) == 0)
		out[n++] = finding(o, e, record, DETECTION_FINDING, "access revoked");
	else if (strcmp(e->type, "resp") == 0 && e->masked_cells > 0)
		out[n++] = finding(o, e, record, DATA_SECURITY_FINDING, "personal data masked");
	for (unsigned i = 0; i < n; i++) {
		if (out[i])
			continue;
		for (unsigned k = 0; k < n; k++)
			json_decref(out[k]);
		return 0;
	}
	return n;
}
