/* pdf.h: the report's page as PDF, made by a program of Debian's. */
#ifndef CONTROL_CLI_PDF_H
#define CONTROL_CLI_PDF_H

#include "control/cli/cli.h"
#include "platform/base/bytes.h"

#define PDF_PACKAGE "mupdf-tools"

/* Whether the program is installed; false after an error line. */
bool pdf_possible(struct cli *c);
/* The page as PDF, which is the caller's to free. False after an error line. */
bool pdf_make(struct cli *c, struct bytes html, char **pdf, size_t *len);

#endif
