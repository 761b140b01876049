// SPDX-License-Identifier: GPL-2.0-only
/*
 * mixhold: pages of all kinds, allocated through each other on one node, and
 * given back kind by kind when the host says so, for tests that look at what
 * that leaves of the node's free memory.
 *
 *	mixhold dense|sparse --pages N --bind NODE
 *
 * N pages are the user's, a multiple of 64, or of 4096; lib/mixture.h says what
 * comes between them. The seed is always the same. It prints
 *
 *	{"ready": true, "pages": 122880}
 *
 * and then answers each line of its input with a line of JSON:
 *
 *	drop users	{"result": 0}
 *	drop files	{"result": 0}
 *	settle		{"result": 0}	none of the node's free pages is in the
 *			list of a CPU any more; -1: some stay there
 *	end		{"result": 0}	the pages in pipes: how many had lost
 *			their content
 *
 * The end of the input ends it, with status 0; 2 when it could not begin.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "mixture.h"
#include "pagetypes.h"
#include "ramfs.h"
#include "tool.h"

#define SEED		20051116
#define MAX_PAGES	(1L << 24)

static struct mixture mixture;
static int node;
static FILE *out;

static void answer(const char *request)
{
	long result;

	if (!strcmp(request, "drop users"))
		result = mixture_drop_users(&mixture);
	else if (!strcmp(request, "drop files"))
		result = mixture_drop_files(&mixture);
	else if (!strcmp(request, "settle"))
		result = pagetypes_settle(node);
	else if (!strcmp(request, "end"))
		result = mixture_end(&mixture);
	else {
		fputs("{\"error\": \"unknown request\"}\n", out);
		return;
	}
	fprintf(out, "{\"result\": %ld}\n", result);
}

int main(int argc, char **argv)
{
	bool dense = argc > 1 && !strcmp(argv[1], "dense");
	bool sparse = argc > 1 && !strcmp(argv[1], "sparse");
	long pages, group = dense ? MIXTURE_DENSE : MIXTURE_SPARSE;

	if (!dense && !sparse) {
		fputs("usage: mixhold dense|sparse --pages N --bind NODE\n",
		      stderr);
		return 2;
	}
	out = tool_output();
	tool_options(argc - 1, argv + 1, group, MAX_PAGES, &pages, &node);
	if (ramfs_begin())
		tool_fail("ramfs");
	if (mixture_begin(&mixture, node, pages, group, SEED))
		tool_fail("cannot allocate the mixture");
	tool_serve(out, pages, answer);
	return 0;
}
