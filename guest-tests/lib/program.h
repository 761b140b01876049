/* SPDX-License-Identifier: GPL-2.0-only */
/* A program of the guest, run to its end as a user would: what it says, too. */
#ifndef TESTBED_PROGRAM_H
#define TESTBED_PROGRAM_H

#include <stddef.h>

struct program {
	/* Called in the new process, before it becomes the program; or NULL. */
	int (*become)(void);
	int status;		/* its exit status, or 128 + the signal's number */
	char said[8192];	/* on both outputs, in order; cut off if longer */
};

/* What it ends with where @become failed or there is no such program. */
#define PROGRAM_NOT_RUN		127

/*
 * Run @path with arguments, the last one NULL, in an empty environment. 0, or
 * -1 if no process could be made.
 */
int program_run(struct program *p, const char *path, ...)
	__attribute__((sentinel));

#endif /* TESTBED_PROGRAM_H */
