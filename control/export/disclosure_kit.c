/* The sessions and the approval of disclosure_kit.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "control/export/disclosure_kit.h"
#include "control/journal/base64.h"
#include "control/journal/journal_fixture.h"

const char *const kit_secret[2] = { "alpha-4111111111111111", "beta-4222222222222222" };

void kit_session_text(unsigned number, char out[33])
{
	snprintf(out, 33, "%032x", number + 10);
}

/* session.open with the commitment, then a command with one sealed chunk, of the two sessions. */
void kit_session(struct journal *j, struct payload_keys *keys, unsigned number)
{
	struct seal seal;
	struct record_seal place = { .seal = &seal, .dir = bytes_str("i"), .number = 4096 * number + 1 };
	uint8_t id[16] = { 0 }, hash[32], text[1024], payload[300];
	char session[33];
	struct record_chunk chunk;
	struct writer w = writer_of(text, sizeof text);
	struct jcs c = jcs_of(&w);
	uint64_t index;

	id[15] = (uint8_t)(number + 10);
	kit_session_text(number, session);
	assert_true(payload_keys_make(keys, id, FIXTURE_TIME, &seal));
	seal_commitment(&seal, hash);
	jcs_open(&c);
	jcs_key(&c, "data");
	jcs_open(&c);
	jcs_put_hex(&c, "key_h", bytes_of(hash, 32));
	jcs_close(&c);
	jcs_put_int(&c, "n", 0);
	jcs_put_str(&c, "sess", session);
	jcs_put_str(&c, "t", "session.open");
	jcs_put_str(&c, "ts", "2026-11-20T10:00:00.000000Z");
	jcs_close(&c);
	assert_int_equal(journal_append(j, jcs_done(&c), &index), JOURNAL_OK);
	snprintf((char *)payload, sizeof payload, "SELECT '%s'", kit_secret[number]);
	assert_int_equal(journal_chunk_sealed(j, &place, bytes_str((char *)payload), &chunk), JOURNAL_OK);
	w = writer_of(text, sizeof text);
	c = jcs_of(&w);
	jcs_open(&c);
	jcs_put_int(&c, "n", 1);
	jcs_key(&c, "pl");
	jcs_array(&c);
	record_chunk_put(&c, "i", place.number, &chunk);
	jcs_array_close(&c);
	jcs_put_str(&c, "sess", session);
	jcs_put_str(&c, "t", "cmd");
	jcs_put_str(&c, "ts", "2026-11-20T10:00:01.000000Z");
	jcs_close(&c);
	assert_int_equal(journal_append(j, jcs_done(&c), &index), JOURNAL_OK);
}

/* --- the records of an approval of the first session's key ---------------------------------------------------------------- */

void kit_approval(struct journal *j, uint64_t record[KIT_APPROVAL_RECORDS])
{
	char statement[512], h[65] = "", session[33], text[KIT_APPROVAL_RECORDS][1600];
	struct writer w = writer_of(h, sizeof h - 1);

	kit_session_text(0, session);
	snprintf(statement, sizeof statement,
		 "{\"cmd\":{\"norm\":\"{\\\"args\\\":{\\\"sessions\\\":[\\\"%s\\\"]},\\\"operation\\\":\\\"journal.disclose\\\"}\"},\"quorum\":2,\"reason\":\"why\",\"who\":{\"person\":\"ivan\"}}", session);
	hex_write(&w, bytes_of(merkle_sha256(bytes_str(statement)).b, 32));
	snprintf(text[0], sizeof text[0], "{\"appr\":{\"h\":\"%s\",\"id\":\"" KIT_APPROVAL "\"},\"data\":{\"quorum\":2,\"ref\":0,\"statement\":%s,\"statement_len\":%zu},\"t\":\"approval.request\",\"who\":{\"person\":\"ivan\"}}", h, statement, strlen(statement));
	for (unsigned i = 0; i < 2; i++)
		snprintf(text[1 + i], sizeof text[0],
			 "{\"appr\":{\"h\":\"%s\",\"id\":\"" KIT_APPROVAL "\"},\"data\":{\"extra\":{\"doc\":{\"reason\":\"seen\",\"statement\":\"%s\",\"v\":1,\"vote\":\"approve\",\"voter\":\"%s\"}}},\"t\":\"approval.vote\"}",
			 h, h, i ? "dora" : "bob");
	for (unsigned i = 0; i < 2; i++)
		snprintf(text[3 + i], sizeof text[0], "{\"appr\":{\"h\":\"%s\",\"id\":\"" KIT_APPROVAL "\"},\"data\":{},\"t\":\"%s\"}", h, i ? "key.disclose" : "approval.consume");
	for (unsigned i = 0; i < KIT_APPROVAL_RECORDS; i++)
		assert_int_equal(journal_append(j, bytes_str(text[i]), &record[i]), JOURNAL_OK);
}

/* --- a held command of the first session, and the people who let it pass --------------------------------------------------- */

static uint64_t append(struct journal *j, const char *format, ...)
{
	static char text[4096];
	uint64_t index;
	va_list args;

	va_start(args, format);
	assert_true(vsnprintf(text, sizeof text, format, args) < (int)sizeof text);
	va_end(args);
	assert_int_equal(journal_append(j, bytes_str(text), &index), JOURNAL_OK);
	return index;
}

uint64_t kit_held(struct journal *j, struct payload_keys *keys, const struct kit_held *held)
{
	char statement[512], h[65] = "", session[33], pl[512];
	struct writer w = writer_of(h, sizeof h - 1);
	struct seal seal;
	struct record_seal place = { .seal = &seal, .dir = bytes_str("s"), .number = 4000 };
	struct record_chunk chunk;
	uint8_t id[16] = { [15] = 10 };
	struct jcs c;
	uint64_t request;

	kit_session_text(0, session);
	assert_true(payload_keys_find(keys, id, &seal));
	snprintf(statement, sizeof statement,
		 "{\"cmd\":{\"norm\":\"DELETE FROM customers WHERE id = 7\"},\"id\":\"" KIT_HELD "\",\"kind\":\"once-hold\",\"max_uses\":1,\"n\":2,\"node\":\"test-node\",\"quorum\":2,\"sess\":\"%s\",\"who\":{\"person\":\"ivan\"}}", session);
	hex_write(&w, bytes_of(merkle_sha256(bytes_str(statement)).b, 32));
	(void)append(j, "{\"n\":2,\"sess\":\"%s\",\"t\":\"hold\"}", session);
	if (held->other_statement)
		statement[strlen(statement) - 4] ^= 1;
	assert_int_equal(journal_chunk_sealed(j, &place, bytes_str(statement), &chunk), JOURNAL_OK);
	w = writer_of(pl, sizeof pl - 1);
	c = jcs_of(&w);
	jcs_array(&c);
	record_chunk_put(&c, "s", place.number, &chunk);
	jcs_array_close(&c);
	pl[jcs_done(&c).len] = 0;
	request = append(j, "{\"appr\":{\"h\":\"%s\",\"id\":\"" KIT_HELD "\"},\"data\":{\"kind\":\"once-hold\",\"quorum\":2,\"ref\":2,\"statement_len\":%zu},\"nc\":0,\"pl\":%s,\"ref\":2,\"sess\":\"%s\",\"t\":\"approval.request\",\"who\":{\"person\":\"ivan\"}}",
			 h, strlen(statement), pl, session);
	for (unsigned i = 0; i < 2 && held->voter[i]; i++)
		(void)append(j, "{\"appr\":{\"h\":\"%s\",\"id\":\"" KIT_HELD "\"},\"data\":{\"extra\":{\"doc\":{\"reason\":\"seen\",\"statement\":\"%s\",\"v\":1,\"vote\":\"approve\",\"voter\":\"%s\"}}},\"t\":\"approval.vote\"}", h, h, held->voter[i]);
	(void)append(j, "{\"appr\":{\"h\":\"%s\",\"id\":\"" KIT_HELD "\"},\"data\":{},\"t\":\"approval.grant\"}", h);
	(void)append(j, "{\"appr\":{\"h\":\"%s\",\"id\":\"" KIT_HELD "\"},\"data\":{},\"nc\":1,\"sess\":\"%s\",\"t\":\"approval.consume\"}", held->other_hash ? KIT_OTHER_HASH : h, session);
	return request;
}
