/* One result with an observation a control that had anything to examine, and a finding on its objective: not satisfied when a
 * record broke it. UUIDs are version 5 (RFC 9562 5.5, the only named kind that OSCAL takes), in the name space of URLs. */
#include <stdio.h>
#include <string.h>
#include <openssl/evp.h>

#include "control/export/report.h"

static json_t *uuid(const struct assess *a, const char *origin, const char *what, const char *name)
{
	static const uint8_t url_space[16] = { 0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8 };
	char text[16 + 512];
	uint8_t h[20] = { 0 };
	int len = snprintf(text + 16, sizeof text - 16, "%s|%llu|%llu|%llu|%s|%s", origin, (unsigned long long)a->first, (unsigned long long)a->last,
			   (unsigned long long)a->records, what, name);

	memcpy(text, url_space, sizeof url_space);
	len = len < (int)sizeof text - 16 ? len : (int)sizeof text - 17;
	(void)EVP_Digest(text, 16 + (size_t)len, h, NULL, EVP_sha1(), NULL);
	h[6] = (uint8_t)((h[6] & 0x0f) | 0x50);
	h[8] = (uint8_t)((h[8] & 0x3f) | 0x80);
	return json_sprintf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7], h[8],
			    h[9], h[10], h[11], h[12], h[13], h[14], h[15]);
}

static json_t *evidence(const struct assess_control *c)
{
	json_t *list = json_array();
	const uint64_t *index = c->broken ? c->fault : c->sample;
	uint64_t n = c->broken ? c->broken : c->examined;

	for (uint64_t i = 0; i < n && i < ASSESS_SAMPLES; i++)
		(void)json_array_append_new(list, json_pack("{s:o, s:s}", "href", json_sprintf("proofs/%llu.tlog-proof", (unsigned long long)index[i]),
							     "description", c->broken ? "a record that answers no" : "a record that was examined"));
	return list;
}

static json_t *observation(const struct assess *a, const char *origin, const struct assess_control *c, const char *now)
{
	return json_pack("{s:o, s:s, s:o, s:[s], s:o, s:s}", "uuid", uuid(a, origin, "observation", c->id), "title", c->title, "description",
			 json_sprintf("%s Asked of %llu records; %llu answer no.", c->question, (unsigned long long)c->examined, (unsigned long long)c->broken),
			 "methods", "EXAMINE", "relevant-evidence", evidence(c), "collected", now);
}

static json_t *finding(const struct assess *a, const char *origin, const struct assess_control *c)
{
	return json_pack("{s:o, s:s, s:s, s:{s:s, s:s, s:{s:s}}, s:[{s:o}]}", "uuid", uuid(a, origin, "finding", c->id), "title", c->title, "description",
			 c->question, "target", "type", "objective-id", "target-id", c->objective, "status", "state",
			 c->broken ? "not-satisfied" : "satisfied", "related-observations", "observation-uuid", uuid(a, origin, "observation", c->id));
}

json_t *report_oscal(const struct assess *a, const char *origin, const char *now)
{
	json_t *observations = json_array(), *findings = json_array(), *selections = json_array(), *result;

	for (unsigned i = 0; i < a->controls; i++) {
		const struct assess_control *c = &a->control[i];

		if (c->examined == 0)
			continue;
		(void)json_array_append_new(observations, observation(a, origin, c, now));
		(void)json_array_append_new(findings, finding(a, origin, c));
		(void)json_array_append_new(selections, json_pack("{s:s}", "control-id", c->id));
	}
	if (json_array_size(selections) == 0) {
		json_decref(observations);
		json_decref(findings);
		json_decref(selections);
		return NULL;
	}
	result = json_pack("{s:o, s:s, s:o, s:s, s:s, s:{s:[{s:o}]}, s:o, s:o}", "uuid", uuid(a, origin, "result", ""), "title",
			   "Questions asked of the audit journal", "description",
			   json_sprintf("Records %llu to %llu of %s.", (unsigned long long)a->first, (unsigned long long)a->last, origin), "start", a->since, "end",
			   a->until, "reviewed-controls", "control-selections", "include-controls", selections, "observations", observations, "findings",
			   findings);
	return json_pack("{s:{s:o, s:{s:s, s:s, s:s, s:s}, s:{s:s}, s:[o]}}", "assessment-results", "uuid", uuid(a, origin, "document", ""), "metadata", "title",
			 "Sluice: assessment results from the audit journal", "last-modified", now, "version", SLUICE_VERSION, "oscal-version", "1.1.2",
			 "import-ap", "href", "#", "results", result);
}
