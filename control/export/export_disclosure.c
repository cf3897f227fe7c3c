/* The records that show who allowed it are proven like any other; statement and votes stand in them, and lie beside them as files so that
 * sha256sum can be run on them. */
#include "control/export/export_disclosure.h"

#include <stdlib.h>
#include <string.h>

#include "control/export/bundle_approvals.h"
#include "control/journal/base64.h"
#include "platform/base/secret.h"

#define SESSION_DIGITS (2 * SEAL_SESSION_BYTES)

/* --- the keys ------------------------------------------------------------------------------------------------------------ */

static bool in_list(const char *list, struct bytes session)
{
	for (const char *at = list; session.len == SESSION_DIGITS && strlen(at) >= SESSION_DIGITS; at += SESSION_DIGITS + 1) {
		if (!memcmp(at, session.base, SESSION_DIGITS))
			return true;
		if (!at[SESSION_DIGITS])
			break;
	}
	return false;
}

bool export_disclosure_allows(const struct export_request *request, struct bytes session)
{
	const struct export_disclosure *d = request->disclosure;

	if (!request->disclose)
		return false;
	return !d || !d->sessions || !d->sessions[0] || in_list(d->sessions, session);
}

bool export_disclosure_tell(struct disclosure_told *told, struct bytes session, const char *word, bool *first)
{
	*first = false;
	if (!told->out && !(told->out = open_memstream(&told->text, &told->len)))
		return false;
	if (fflush(told->out) != 0)
		return false;
	*first = !memmem(told->text, told->len, session.base, session.len);
	return !*first || fprintf(told->out, "%.*s %s\n", (int)session.len, (const char *)session.base, word) > 0;
}

void export_disclosure_free(struct disclosure_told *told)
{
	if (told->out)
		fclose(told->out);
	free(told->text);
	*told = (struct disclosure_told){ 0 };
}

static bool has_key(struct payload_keys *keys, struct bytes session)
{
	uint8_t id[SEAL_SESSION_BYTES];
	struct writer w = writer_of(id, sizeof id);
	struct seal key = { 0 };
	bool found = hex_read(session, &w) && w.len == sizeof id && payload_keys_find(keys, id, &key);

	secret_wipe(&key, sizeof key);
	return found;
}

/* Those that were named and met by no record with sealed payload. */
static bool tell_the_rest(const struct export_request *request, struct disclosure_told *told)
{
	const char *list = request->disclosure->sessions;
	bool first, good = true;

	for (const char *at = list; good && at && strlen(at) >= SESSION_DIGITS; at += SESSION_DIGITS + (at[SESSION_DIGITS] == ',')) {
		struct bytes session = bytes_of(at, SESSION_DIGITS);

		good = export_disclosure_tell(told, session, has_key(request->disclose, session) ? "none" : "erased", &first);
	}
	return good;
}

static uint64_t count_erased(const struct disclosure_told *told)
{
	uint64_t count = 0;

	for (const char *at = told->text; at && (at = strstr(at, " erased\n")); at++)
		count++;
	return count;
}

/* --- the approval -------------------------------------------------------------------------------------------------------- */

const char *export_disclosure_write(const struct export_request *request, struct bundle *b, struct archive *a, struct disclosure_told *told, struct bytes note,
				    uint64_t *erased)
{
	const struct export_disclosure *d = request->disclosure;
	const char *wrong = NULL;
	char name[64];

	if (d && (!tell_the_rest(request, told) || fflush(told->out) != 0))
		return "out of memory";
	*erased = count_erased(told);
	for (unsigned i = 0; d && !wrong && i < d->records; i++)
		wrong = bundle_approvals_put(b, a, d->approval, d->record[i], note);
	snprintf(name, sizeof name, "approvals/%.40s/keys", d ? d->approval : "");
	if (d && !wrong && !bundle_file(b, name, bytes_of(told->text, told->len)))
		wrong = "the approval cannot be written: see the disk's space";
	return wrong;
}
