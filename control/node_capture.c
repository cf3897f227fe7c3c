#include "control/node_capture.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/capture/sealed.h"
#include "control/journal/base64.h"
#include "control/operator_verbs.h"
#include "platform/base/secret.h"
#include "platform/os/log.h"
#include "platform/os/shm.h"

#define LOOK_US (60ull * 1000000)

static void id_text(const uint8_t id[SEAL_SESSION_BYTES], char out[CAPTURE_ID_BYTES])
{
	struct writer w = writer_of(out, CAPTURE_ID_BYTES - 1);

	hex_write(&w, bytes_of(id, SEAL_SESSION_BYTES));
	out[w.len] = 0;
}

bool node_capture_map(struct node *n, char err[OS_ERROR_BYTES])
{
	struct captures *c = calloc(1, sizeof(*c));
	char name[24];

	snprintf(err, OS_ERROR_BYTES, "captures: no memory");
	n->captures = c;
	for (unsigned w = 0; c && w < n->settings->workers; w++) {
		snprintf(name, sizeof(name), "capture-%u", w);
		c->memory[w] = shm_open_or_make(n->settings->run_dir, name, sizeof(struct capture_file), 0660, err);
		if (!c->memory[w])
			return false;
	}
	return c != NULL;
}

bool node_capture_prepare(struct node *n, char err[OS_ERROR_BYTES])
{
	snprintf(n->captures->dir, sizeof(n->captures->dir), "%s/captures", n->settings->state_dir);
	return recorder_make_dir(n->captures->dir, err);
}

/* --- the list ------------------------------------------------------------------------------------------------------------ */

static struct capture_row *row_add(struct captures *c, const char *id)
{
	struct capture_row *row = c->count < CAPTURES_KEPT ? &c->row[c->count++] : NULL;

	if (row) {
		*row = (struct capture_row){ .whole = true };
		snprintf(row->id, sizeof(row->id), "%s", id);
	}
	return row;
}

struct capture_row *node_capture_find(struct node *n, const char *id)
{
	struct capture_row *found = NULL;

	for (unsigned i = 0; id && strlen(id) >= 4 && i < n->captures->count; i++) {
		if (strncmp(n->captures->row[i].id, id, strlen(id)) != 0)
			continue;
		if (found)
			return NULL; /* not unique */
		found = &n->captures->row[i];
	}
	return found;
}

struct capture_row *node_capture_running(struct node *n)
{
	struct captures *c = n->captures;
	struct capture_row *last = c->count ? &c->row[c->count - 1] : NULL;

	if (!last || !last->running)
		return NULL;
	recorder_progress(c->recorder, &last->frames, &last->bytes);
	return last;
}

static json_t *number(bool known, uint64_t value)
{
	return known ? json_integer((json_int_t)value) : json_null();
}

json_t *node_capture_json(const struct capture_row *row)
{
	return json_pack("{s:s, s:s, s:s?, s:s?, s:o, s:o, s:o, s:s?, s:o, s:o, s:o, s:b, s:s?}", "id", row->id, "state", row->running ? "running" : "ended", "service",
			 row->service[0] ? row->service : NULL, "filter", row->known ? row->filter : NULL, "begun", operation_time(row->begun_us), "until",
			 operation_time(row->until_us), "ended", operation_time(row->ended_us), "cause", row->cause, "frames", number(row->known, row->frames), "bytes",
			 json_integer((json_int_t)row->bytes), "overruns", number(row->known && !row->running, row->overruns), "whole", row->whole && !row->running,
			 "what", !row->known ? NULL : row->payload ? "frames" : "headers");
}

json_t *node_capture_health(struct node *n)
{
	const struct capture_row *row = node_capture_running(n);
	json_t *list = json_array();

	if (row)
		json_array_append_new(list, node_capture_json(row));
	return list;
}

/* Of a file that an earlier process wrote. */
static void row_of_file(struct captures *c, int dir_fd, const char *name)
{
	struct stat at;
	struct capture_row *row;

	if (strlen(name) != CAPTURE_ID_BYTES - 1 || strspn(name, "0123456789abcdef") != CAPTURE_ID_BYTES - 1 || fstatat(dir_fd, name, &at, AT_SYMLINK_NOFOLLOW) != 0 ||
	    !(row = row_add(c, name)))
		return;
	row->bytes = (uint64_t)at.st_size;
	row->ended_us = (uint64_t)at.st_mtim.tv_sec * 1000000 + (uint64_t)at.st_mtim.tv_nsec / 1000;
}

static int by_end(const void *a, const void *b)
{
	const struct capture_row *left = a, *right = b;

	return (left->ended_us > right->ended_us) - (left->ended_us < right->ended_us);
}

static void list_files(struct captures *c)
{
	DIR *d = opendir(c->dir);
	struct dirent *e;

	while (d && (e = readdir(d)))
		row_of_file(c, dirfd(d), e->d_name);
	if (d)
		closedir(d);
	qsort(c->row, c->count, sizeof(*c->row), by_end);
}

/* --- begin and end ------------------------------------------------------------------------------------------------------- */

static void record_lost(struct node *n, const char *id)
{
	const char *const pairs[] = { "capture", id, "cause", "control_lost", "whole", "false", NULL };
	struct capture_row *row = node_capture_find(n, id);

	node_record(n, "capture.end", (struct bytes){ 0 }, pairs);
	if (row) {
		row->cause = "control_lost";
		row->whole = false;
	}
	log_warn("capture %s: the process before this one did not end it: its file can be read as far as it goes", id);
}

bool node_capture_start(struct node *n, char err[OS_ERROR_BYTES])
{
	struct captures *c = n->captures;
	struct recorder_config config = { .dir = c->dir, .workers = n->settings->workers, .port_text = { "faces agents", "faces targets" } };
	uint8_t lost[CAPTURES_KEPT][SEAL_SESSION_BYTES];
	unsigned count = 0;

	memcpy(config.memory, c->memory, sizeof(config.memory));
	for (unsigned i = 0; i < CAPTURE_PORTS; i++)
		config.port_name[i] = n->settings->dataplane.port[i] ? n->settings->dataplane.port[i] : i ? "port 1" : "port 0";
	while (count < CAPTURES_KEPT && recorder_recover(c->dir, lost[count]))
		count++;
	c->recorder = recorder_create(&config, err);
	if (!c->recorder)
		return false;
	list_files(c);
	for (unsigned i = 0; i < count; i++) {
		char id[CAPTURE_ID_BYTES];

		id_text(lost[i], id);
		record_lost(n, id);
	}
	return true;
}

void node_capture_commit(struct node *n)
{
	struct captures *c = n->captures;

	if (!c->due)
		return;
	c->due = false;
	recorder_begin(c->recorder, &c->job);
}

static void number_text(uint64_t value, char out[24])
{
	snprintf(out, 24, "%llu", (unsigned long long)value);
}

static void ended(struct node *n, const struct recorder_end *end)
{
	struct capture_row *row = &n->captures->row[n->captures->count - 1];
	char bytes[24], frames[24], matched[24], overruns[24], silent[24];
	const char *const pairs[] = { "bytes", bytes, "capture", row->id, "cause", recorder_cause_word(end->cause), "frames", frames, "matched", matched, "overruns", overruns,
				      "silent_workers", silent, "whole", end->whole ? "true" : "false", NULL };

	row->running = false;
	row->whole = end->whole;
	row->ended_us = n->now.wall_us;
	row->cause = recorder_cause_word(end->cause);
	row->frames = end->frames;
	row->bytes = end->bytes;
	row->matched = end->matched;
	row->overruns = end->overruns;
	number_text(end->bytes, bytes);
	number_text(end->frames, frames);
	number_text(end->matched, matched);
	number_text(end->overruns, overruns);
	number_text(end->silent, silent);
	node_record(n, "capture.end", (struct bytes){ 0 }, pairs);
	log_info("capture %s: ended (%s): %s frames, %s missing because a ring was full", row->id, row->cause, frames, overruns);
}

/* Whoever has no key has no use for the file. */
static void forget_unreadable(struct node *n)
{
	struct captures *c = n->captures;

	for (unsigned i = 0; i < c->count;) {
		uint8_t id[SEAL_SESSION_BYTES];
		struct writer w = writer_of(id, sizeof(id));
		char path[400];
		struct seal key;

		if (c->row[i].running || !hex_read(bytes_str(c->row[i].id), &w) || payload_keys_find(n->payload_keys, id, &key)) {
			secret_wipe(&key, sizeof(key));
			i++;
			continue;
		}
		snprintf(path, sizeof(path), "%.320s/%s", c->dir, c->row[i].id);
		if (unlink(path) == 0)
			log_info("capture %s: its key was destroyed: the file is removed", c->row[i].id);
		memmove(&c->row[i], &c->row[i + 1], (--c->count - i) * sizeof(*c->row));
	}
}

void node_capture_tick(struct node *n)
{
	struct captures *c = n->captures;
	struct recorder_end end;

	if (recorder_ended(c->recorder, &end))
		ended(n, &end);
	if (c->count == 0)
		return;
	/* The journal's room is worth more. */
	if (c->row[c->count - 1].running && journal_level(n->journal) != JOURNAL_LEVEL_OK)
		recorder_stop(c->recorder, RECORDER_DISK);
	if (n->now.mono_us - c->looked_us < LOOK_US)
		return;
	c->looked_us = n->now.mono_us;
	forget_unreadable(n);
}

void node_capture_stop(struct node *n)
{
	struct captures *c = n->captures;

	/* Not even begun: its end finds it so. */
	node_capture_commit(n);
	recorder_stop(c->recorder, RECORDER_STOPPED);
}

void node_capture_end(struct node *n)
{
	struct recorder_end end;

	if (!n->captures || !n->captures->recorder || !node_capture_running(n))
		return;
	recorder_stop(n->captures->recorder, RECORDER_ENDING);
	if (recorder_await(n->captures->recorder, &end))
		ended(n, &end);
}

void node_capture_close(struct node *n)
{
	struct captures *c = n->captures;

	if (!c)
		return;
	recorder_destroy(c->recorder);
	for (unsigned w = 0; w < n->settings->workers; w++)
		shm_unmap(c->memory[w], sizeof(struct capture_file));
	secret_wipe(&c->job.seal, sizeof(c->job.seal));
	free(c);
	n->captures = NULL;
}
