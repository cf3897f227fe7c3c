#include "control/export/bundle_copies.h"

#include <stdlib.h>

#include "control/export/export_disclosure.h"
#include "control/export/frames.h"
#include "control/export/replay.h"
#include "control/export/report.h"
#include "control/export/stream.h"

struct bundle_copies {
	struct bundle *bundle;
	struct archive *archive;
	struct stream_request request;
	struct stream *events;
	struct assess assess;
	struct frames *frames;
	uint64_t index; /* of the record whose lines come */
};

static bool put_frame(void *ctx, const char *name, struct bytes file)
{
	return bundle_file(ctx, name, file);
}

struct bundle_copies *bundle_copies_open(struct bundle *b, struct archive *a, const char *origin)
{
	const struct frames_to to = { "events/", ".ocsf.jsonl.zst", put_frame, b };
	struct bundle_copies *c = calloc(1, sizeof *c);
	char err[EXPORT_ERROR_BYTES];

	if (!c)
		return NULL;
	c->bundle = b;
	c->archive = a;
	c->request = (struct stream_request){ .form = STREAM_OCSF, .origin = origin };
	c->events = stream_open(a, &c->request, err);
	c->frames = frames_create(&to);
	if (c->events && c->frames && assess_create(&c->assess)) {
		stream_assesses(c->events, &c->assess);
		return c;
	}
	bundle_copies_close(c);
	return NULL;
}

void bundle_copies_close(struct bundle_copies *c)
{
	if (!c)
		return;
	stream_close(c->events);
	assess_destroy(&c->assess);
	frames_destroy(c->frames);
	free(c);
}

static bool put_line(void *ctx, struct bytes line)
{
	struct bundle_copies *c = ctx;

	return frames_line(c->frames, c->index, line);
}

bool bundle_copies_record(struct bundle_copies *c, uint64_t index)
{
	c->index = index;
	return stream_record(c->events, index, put_line, c);
}

static bool put_pdf(struct bundle_copies *c, const struct export_request *request, struct bytes page)
{
	char *pdf = NULL;
	size_t len = 0;
	bool ok = request->render(request->render_ctx, page, &pdf, &len) && bundle_file(c->bundle, "report.pdf", bytes_of(pdf, len));

	free(pdf);
	return ok;
}

static bool put_report(struct bundle_copies *c, const struct export_request *request, const struct assess *assess, enum report_form form, const char *name)
{
	size_t len;
	char *text;
	bool ok;

	if (!report_text(assess, form, c->request.origin, time(NULL), &text, &len))
		return form == REPORT_OSCAL; /* these records answer no question of a control */
	ok = bundle_file(c->bundle, name, bytes_of(text, len)) && (form != REPORT_HTML || !request->render || put_pdf(c, request, bytes_of(text, len)));
	free(text);
	return ok;
}

static bool put_cast(void *ctx, struct bytes text)
{
	return bundle_stream_write(ctx, text);
}

bool bundle_copies_finish(struct bundle_copies *c, const struct export_request *request, const struct archive_filter *filter, struct bundle_picks *picks,
			  char err[EXPORT_ERROR_BYTES])
{
	struct payload_keys *opens = filter->session && export_disclosure_allows(request, bytes_str(filter->session)) ? request->disclose : NULL;
	bool ok;

	snprintf(err, EXPORT_ERROR_BYTES, "the bundle's copies for people cannot be made: see the disk's space");
	ok = frames_finish(c->frames) && bundle_picks_report(picks, &c->assess) && put_report(c, request, &c->assess, REPORT_HTML, "report.html") &&
	     put_report(c, request, &c->assess, REPORT_OSCAL, "assessment-results.json");
	if (!ok || !filter->session)
		return ok;
	return bundle_stream_open(c->bundle, "replay.cast") &&
	       replay_write(c->archive, opens, filter, REPLAY_ASCIICAST, put_cast, c->bundle, err) && bundle_stream_close(c->bundle);
}
