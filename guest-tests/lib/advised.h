/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pages of a child that are advised upon: by the child itself, madvise(2), or
 * from outside, process_madvise(2). The child stands still but for that.
 *
 * One at a time.
 */
#ifndef TESTBED_ADVISED_H
#define TESTBED_ADVISED_H

#include <stdbool.h>
#include <sys/uio.h>

#include "subject.h"

struct advised {
	struct subject subject;
	bool from_outside;
};

/*
 * Start the child, its pages populated as they are wanted and on the LRU lists.
 * A range of its own for a case to change is what pages_map() made. 0 or not.
 */
long advised_start(struct advised *a);

/*
 * Advise upon @count pages from @first on. 0 if all was taken; -errno; or the
 * bytes that process_madvise(2) took, where these are not all.
 */
long advise(struct advised *a, long first, long count, int advice);

/* process_madvise(2) of @pid, as it is. What it took or -errno. */
long advise_ranges(pid_t pid, const struct iovec *ranges, long count,
		   int advice);

/* Have the child bind @count pages from @first on to @node; nothing moves. */
long advised_bind(struct advised *a, long first, long count, int node);

/* Have it give its task the policy MPOL_BIND to @node, the default for -1. */
long advised_bind_task(struct advised *a, int node);

/* Have it unmap them. 0 or -errno. */
long advised_unmap(struct advised *a, long first, long count);

/* Have it read them: how many have lost their content. They are on the LRU. */
long advised_read(struct advised *a, long first, long count);

/* Of them, those in memory: mapped or in the swap cache; -1 if it died. */
long advised_in_memory(struct advised *a, long first, long count);

/*
 * Advise MADV_PAGEOUT until they are in memory no more; they are wanted
 * UNTOUCHED from then on. "" or what went wrong.
 */
const char *advised_page_out(struct advised *a, long first, long count);

#endif /* TESTBED_ADVISED_H */
