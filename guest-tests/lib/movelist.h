/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The arrays of move_pages(2), with what is wanted of the third: pages as they
 * are asked for, where to, and what is said of each. There is an entry more
 * than the kernel is told of, so that one written past the end shows.
 */
#ifndef TESTBED_MOVELIST_H
#define TESTBED_MOVELIST_H

#include "pages.h"

/* What no kernel writes: an entry that still holds it was not written. */
#define UNWRITTEN	-12345

struct movelist {
	long count;
	void **addrs;
	int *nodes;
	int *status;
	int *want;		/* of status */
	struct problems problems;
};

/*
 * Room for @count entries: the pages of @p from the first on and over again,
 * each to @node, which is what is wanted as its status. 0 or -1.
 */
int movelist_make(struct movelist *list, const struct pages *p, long count,
		  int node);

/* Send entries from @first on, @count of them, to @node; want it there. */
void movelist_send(struct movelist *list, long first, long count, int node);

/* Want @status of entries from @first on, @count of them. */
void movelist_want(struct movelist *list, long first, long count, int status);

/* Forget what was written: the call is to be made anew. */
void movelist_clear(struct movelist *list);

/* The call, with MPOL_MF_x in @flags; 0 for a query. 0, a count or -errno. */
long movelist_call(struct movelist *list, pid_t pid, int flags);

/* "" if each status is as wanted, else which are not. */
const char *movelist_check(struct movelist *list);

#endif /* TESTBED_MOVELIST_H */
