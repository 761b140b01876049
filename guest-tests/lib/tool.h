/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A tool that holds pages for the host: it is told how many and where, says
 * that it is ready, and answers each line of its input with a line of JSON.
 */
#ifndef TESTBED_TOOL_H
#define TESTBED_TOOL_H

#include <stdio.h>

/* End with status 2 and what errno says of @what. */
_Noreturn void tool_fail(const char *what);

/* "--pages N --bind NODE", @least to @most pages; else end with the usage. */
void tool_options(int argc, char **argv, long least, long most, long *count,
		  int *node);

/* Standard output for answers alone: what the library prints is dropped. */
FILE *tool_output(void);

/* Say on @out that @pages are there, and serve until the input ends. */
void tool_serve(FILE *out, long pages, void (*answer)(const char *request));

#endif /* TESTBED_TOOL_H */
