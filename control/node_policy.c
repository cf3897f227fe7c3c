/* node_policy.c: the policy file becomes an image in the run directory, a record in the journal, and an order to the workers.
 *
 * A file that does not pass the check changes nothing. A file that says the same as the one in force changes nothing either. The
 * generation is a counter that the journal keeps, so a number never names two images; images of the last generations stay in
 * the run directory, because events that name them may still be in the rings. */
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/node.h"
#include "dataplane/match/match.h"
#include "platform/os/log.h"
#include "platform/os/shm.h"

#define CLASSES_BYTES_MAX (64u << 20)

static const char *image_name(uint64_t generation, char out[64])
{
	snprintf(out, 64, "policy-%llu", (unsigned long long)generation);
	return out;
}

static bool classes_load(struct node *n, char *err, size_t err_size)
{
	FILE *f = fopen(n->settings->classes, "re");
	long len = f && fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
	char why[256] = "cannot be read";

	if (len > 0 && (size_t)len <= CLASSES_BYTES_MAX && fseek(f, 0, SEEK_SET) == 0 && (n->classes = malloc((size_t)len)))
		n->classes_len = fread(n->classes, 1, (size_t)len, f);
	if (f)
		fclose(f);
	if (n->classes_len && n->classes_len == (size_t)len)
		n->match = match_set_load(n->classes, n->classes_len, why, sizeof(why));
	if (!n->match)
		snprintf(err, err_size, "%s: data classes: %s: run sluice-rules compile", n->settings->classes, why);
	return n->match != NULL;
}

bool node_policy_start(struct node *n, char *err, size_t err_size)
{
	n->generation = journal_cursor_get(n->journal, INBOX_CURSOR_GENERATION);
	return classes_load(n, err, err_size);
}

/* Maps a published image and remembers it. */
static const struct policy_image *image_open(struct node *n, uint64_t generation, char *err, size_t err_size)
{
	char name[64], why[OS_ERROR_BYTES] = "";
	struct node_image *slot = &n->image[0];
	struct bytes mapped = shm_map(n->settings->run_dir, image_name(generation, name), LIMIT_POLICY_IMAGE_BYTES, why);
	const struct policy_image *image = mapped.base ? policy_image_open(mapped.base, mapped.len, why, sizeof(why)) : NULL;

	if (!image || policy_generation(image) != generation) {
		snprintf(err, err_size, "%s", why);
		shm_unmap((void *)mapped.base, mapped.len);
		return NULL;
	}
	for (unsigned i = 1; i < NODE_IMAGES; i++) {
		if (n->image[i].image != n->current && n->image[i].generation < slot->generation)
			slot = &n->image[i];
		else if (slot->image && slot->image == n->current)
			slot = &n->image[i];
	}
	shm_unmap((void *)slot->mapped.base, slot->mapped.len);
	*slot = (struct node_image){ .generation = generation, .mapped = mapped, .image = image };
	return image;
}

const struct policy_image *node_image(void *ctx, uint64_t generation)
{
	struct node *n = ctx;
	char err[OS_ERROR_BYTES];

	if (generation == 0 || (n->current && policy_generation(n->current) == generation))
		return n->current;
	for (unsigned i = 0; i < NODE_IMAGES; i++) {
		if (n->image[i].image && n->image[i].generation == generation)
			return n->image[i].image;
	}
	/* Of the process before this one. A worker that invents numbers gets no further than a file name. */
	return generation < n->generation ? image_open(n, generation, err, sizeof(err)) : NULL;
}

static void report_text(struct config_report *report, char *err, size_t err_size)
{
	size_t at = 0;

	config_report_sort(report);
	err[0] = 0;
	for (unsigned i = 0; i < report->count && at + 2 < err_size; i++) {
		if (report->problem[i].warning)
			continue;
		if (at)
			err[at++] = '\n';
		config_problem_text(report, &report->problem[i], err + at, err_size - at);
		at += strlen(err + at);
	}
}

static struct policy_tree *tree_read(struct node *n, char *err, size_t err_size)
{
	const struct policy_detectors detectors = policy_detectors_of_set(n->match);
	struct config_report report;
	struct policy_tree *tree;

	if (!config_report_init(&report, n->settings->policy)) {
		snprintf(err, err_size, "policy: out of memory: free some");
		return NULL;
	}
	tree = policy_open(n->settings->policy, &detectors, &report);
	if (!tree)
		report_text(&report, err, err_size);
	else if (report.warnings)
		log_info("policy: %u warnings: see sluice policy check", report.warnings);
	config_report_free(&report);
	return tree;
}

static bool image_publish(struct node *n, const struct policy_tree *tree, uint64_t generation, char *err, size_t err_size)
{
	char name[64], why[OS_ERROR_BYTES];
	uint8_t *image = NULL;
	size_t len = 0;
	bool good;

	if (!policy_compile(tree, bytes_of(n->classes, n->classes_len), generation, &image, &len, err, err_size))
		return false;
	good = shm_publish(n->settings->run_dir, image_name(generation, name), bytes_of(image, len), 0640, why);
	if (!good)
		snprintf(err, err_size, "%s", why);
	free(image);
	return good;
}

struct commit {
	const struct node *n;
	const struct policy_tree *tree;
	uint8_t source[32], parent[32];
};

static void describe_commit(struct jcs *j, const void *from)
{
	const struct commit *c = from;

	jcs_put_str(j, "comment", c->tree->comment ? c->tree->comment : "");
	jcs_put_uint(j, "generation", c->n->generation);
	jcs_put_hex(j, "hash", bytes_of(c->tree->hash, 32));
	jcs_put_str(j, "name", c->tree->name);
	jcs_put_hex(j, "parent", bytes_of(c->parent, 32));
	jcs_put_hex(j, "source", bytes_of(c->source, 32));
	jcs_put_int(j, "version", c->tree->version);
}

/* policy.commit, with the source text as a chunk. */
static void commit_record(struct node *n, struct commit *c)
{
	static uint8_t text[LIMIT_POLICY_FILE_BYTES];
	struct entry_chunk list[ENTRY_CHUNKS_MAX];
	struct entry e = { .type = "policy.commit", .data = { describe_commit, c }, .policy_sha256 = c->tree->hash, .chunks = list };
	FILE *f = fopen(n->settings->policy, "re");
	size_t len = f ? fread(text, 1, sizeof(text), f) : 0;

	if (f)
		fclose(f);
	SHA256(text, len, c->source);
	(void)inbox_chunks(n->inbox, NULL, "policy", bytes_of(text, len), list, &e.chunks_count);
	(void)inbox_append(n->inbox, &e, true, NULL);
}

static struct identity *identity_renew(struct node *n, const struct policy_tree *tree, char *err, size_t err_size)
{
	struct identity_issuer issuers[LIMIT_ISSUERS];
	unsigned count = policy_issuers(tree, issuers);

	return identity_create(issuers, count, n->identity, err, err_size);
}

/* Everything was checked: from here on nothing fails. */
static void take(struct node *n, struct policy_tree *tree, struct identity *identity, const struct policy_image *image)
{
	if (n->tree)
		policy_close(n->tree);
	identity_destroy(n->identity);
	n->tree = tree;
	n->identity = identity;
	n->current = image;
	n->policy_loaded_us = n->now.wall_us;
	/* An idle node's tree grows by its ticks, so it has one a minute then. */
	journal_publish_every(n->journal, (tree->journal.checkpoint_ms ? tree->journal.checkpoint_ms : 1000) * 1000);
}

static void tell(struct node *n)
{
	for (unsigned w = 0; w < n->settings->workers; w++) {
		node_orders_services(n, w);
		node_orders_snapshot(n, w);
	}
	approvals_policy_changed(n->approvals);
	node_regrant_all(n);
	node_check_sessions(n, true); /* an issuer that the new policy does not name vouches for nobody */
	node_fetch(n);
}

static void forget_old(struct node *n)
{
	char path[400], name[64];

	if (n->generation <= NODE_IMAGES)
		return;
	snprintf(path, sizeof(path), "%.240s/%s", n->settings->run_dir, image_name(n->generation - NODE_IMAGES, name));
	unlink(path);
}

/* After a restart: the image that the workers have, when the file still says the same. */
static const struct policy_image *image_reuse(struct node *n, const struct policy_tree *tree)
{
	char err[OS_ERROR_BYTES];
	const struct policy_image *image = n->generation ? image_open(n, n->generation, err, sizeof(err)) : NULL;

	if (!image || memcmp(policy_hash(image), tree->hash, POLICY_HASH_BYTES) ||
	    !bytes_equal(policy_class_database(image), bytes_of(n->classes, n->classes_len)))
		return NULL;
	return image;
}

bool node_policy_load(struct node *n, bool *changed, char *err, size_t err_size)
{
	struct policy_tree *tree = (node_beat(n, true), tree_read(n, err, err_size));
	struct commit c = { .n = n, .tree = tree };
	const struct policy_image *image;
	struct identity *identity;
	bool first = !n->current;

	if (changed)
		*changed = false;
	if (!tree)
		return false;
	if (!first && !memcmp(tree->hash, n->tree->hash, POLICY_HASH_BYTES)) {
		policy_close(tree);
		return true;
	}
	image = first ? image_reuse(n, tree) : NULL;
	if (!image) {
		if (!image_publish(n, tree, n->generation + 1, err, err_size) || !(image = image_open(n, n->generation + 1, err, err_size))) {
			policy_close(tree);
			return false;
		}
	}
	identity = identity_renew(n, tree, err, err_size);
	if (!identity) {
		policy_close(tree);
		return false;
	}
	if (!first)
		memcpy(c.parent, policy_hash(n->current), 32);
	take(n, tree, identity, image);
	node_anchors_policy(n);
	if (policy_generation(image) != n->generation) {
		n->generation = policy_generation(image);
		journal_cursor_set(n->journal, INBOX_CURSOR_GENERATION, n->generation);
		commit_record(n, &c);
		forget_old(n);
		if (changed)
			*changed = true;
	}
	tell(n);
	log_info("policy %s version %u: generation %llu", tree->name, tree->version, (unsigned long long)n->generation);
	return true;
}

void node_policy_close(struct node *n)
{
	for (unsigned i = 0; i < NODE_IMAGES; i++)
		shm_unmap((void *)n->image[i].mapped.base, n->image[i].mapped.len);
	if (n->tree)
		policy_close(n->tree);
	match_set_free(n->match);
	free(n->classes);
}
