/* bundle_kit.h: for tests: a directory with a journal in it, the keys that sign both, and bundles that are looked at and changed there in a shell, as
 * by their reader. What must not fail ends the test that called.
 *
 *     dir/            where commands that run in a bundle find what they left in ".."
 *     dir/journal     dir/out: the bundle     dir/copy: of it, to be changed
 */
#ifndef CONTROL_EXPORT_BUNDLE_KIT_H
#define CONTROL_EXPORT_BUNDLE_KIT_H

#include "control/export/export.h"
#include "control/journal/journal_fixture.h"

struct bundle_kit {
	char dir[128], journal_dir[160], out[160], copy[160];
	struct fixture_signer signer; /* of the journal */
	struct export_key *key;       /* of the node, for manifests */
	struct archive *archive;      /* NULL until there is a journal */
};

/* The directory and the keys; no journal yet. False: it cannot be. */
bool bundle_kit_make(struct bundle_kit *k);
void bundle_kit_free(struct bundle_kit *k);

/* A journal of `count` records of the fixture's under a checkpoint and `more` behind it, and its archive. */
bool bundle_kit_published(struct bundle_kit *k, uint64_t count, uint64_t more);
/* One that the test fills: opened, to be written on; then committed, published, closed, and what is there now is the archive. */
struct journal *bundle_kit_open(struct bundle_kit *k);
void bundle_kit_close(struct bundle_kit *k, struct journal *j);
/* No journal and no bundle, as after bundle_kit_make, and new keys of the journal. */
void bundle_kit_anew(struct bundle_kit *k);

/* The bundle of what `request` asks for, at `out`, signed; the request needs no `out`, no `key` and no `keys`. */
void bundle_kit_export(struct bundle_kit *k, struct export_request *request, struct export_result *result);
/* The same when it may be refused: false with a text. */
bool bundle_kit_may_export(struct bundle_kit *k, struct export_request *request, struct export_result *result, char err[EXPORT_ERROR_BYTES]);
/* Removes `out` and `copy`. */
void bundle_kit_drop(struct bundle_kit *k);

/* The status of a script that runs in `in` and knows nothing of us (its environment is PATH); what it says is in `said`, as far as that has room. */
int bundle_kit_shell(const char *in, const char *script, char *said, size_t size);
/* The same for one that is put together; what it says is in the file `log` there. */
__attribute__((format(printf, 2, 3))) int bundle_kit_run(const char *in, const char *format, ...);

/* What somebody does who changed a bundle: makes its manifest fit again. */
void bundle_kit_manifest(const char *bundle);
/* The same by somebody who has the export key too: only what the files say is left to tell. */
void bundle_kit_forge(struct bundle_kit *k, const char *bundle);

#endif
