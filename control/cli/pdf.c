/* pdf.c: the report's page as PDF. A program that is not ours makes it, confined (platform/os/outside.h): what it reads was written by agents. */
#include "control/cli/pdf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/export/bundle.h"
#include "control/export/report.h"
#include "control/journal/tiles.h"
#include "platform/os/outside.h"

/* A4, nine points, the paper's style in place of the page's. */
#define PDF_RENDERER "/usr/bin/mutool"
#define PDF_ARGUMENTS "convert", "-X", "-U", "paper.css", "-W", "595", "-H", "842", "-S", "9", "-o", "report.pdf", "report.html"
#define PDF_BYTES_MAX (64u << 20)
#define PDF_MEMORY (1ull << 30)
#define PDF_CPU_S 120
#define PDF_WALL_S 300

/* What the program left, if it is a PDF. */
static bool take(const char *directory, char **pdf, size_t *len)
{
	char path[320];
	struct stat st;
	int fd;
	bool good;

	snprintf(path, sizeof(path), "%s/report.pdf", directory);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	good = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 5 && st.st_size <= PDF_BYTES_MAX && (*pdf = malloc((size_t)st.st_size));
	for (*len = 0; good && *len < (size_t)st.st_size;) {
		ssize_t got = read(fd, *pdf + *len, (size_t)st.st_size - *len);

		good = got > 0;
		*len += good ? (size_t)got : 0;
	}
	if (fd >= 0)
		close(fd);
	if (good && memcmp(*pdf, "%PDF-", 5) == 0)
		return true;
	free(*pdf);
	*pdf = NULL;
	return false;
}

static bool missing(struct cli *c, const char *why)
{
	cli_fail(c, FRAME_REFUSED, "PDF: %s: %s: install Debian's package %s, or print the HTML", PDF_RENDERER, why, PDF_PACKAGE);
	return false;
}

bool pdf_possible(struct cli *c)
{
	return access(PDF_RENDERER, X_OK) == 0 || missing(c, strerror(errno));
}

bool pdf_make(struct cli *c, struct bytes html, char **pdf, size_t *len)
{
	static const char *const argv[] = { PDF_RENDERER, PDF_ARGUMENTS, NULL };
	char directory[] = "/tmp/sluice-pdf.XXXXXX", why[OS_ERROR_BYTES] = "";
	const struct outside o = { .argv = argv, .directory = directory, .cpu_s = PDF_CPU_S, .wall_s = PDF_WALL_S, .memory_bytes = PDF_MEMORY, .file_bytes = PDF_BYTES_MAX };
	enum outside_result result = OUTSIDE_FAILED;
	bool good = false;

	*pdf = NULL;
	if (!mkdtemp(directory) || tiles_write_file(directory, "report.html", html) != 0 || tiles_write_file(directory, "paper.css", bytes_str(report_paper_css)) != 0) {
		cli_fail(c, FRAME_REFUSED, "PDF: %s: %s: see the disk's space", directory, strerror(errno));
	} else {
		result = outside_run(&o, why);
		good = result == OUTSIDE_DONE && take(directory, pdf, len);
		if (result == OUTSIDE_ABSENT)
			(void)missing(c, "cannot be run");
		else if (!good)
			cli_fail(c, FRAME_REFUSED, "PDF: %s: take a smaller range, or print the HTML", why[0] ? why : "no PDF was made");
	}
	bundle_remove(directory);
	return good;
}
