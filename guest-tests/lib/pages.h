/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A range of pages and what a test holds true of each.
 *
 * A case maps the pages, says where it wants them, populates them there, takes
 * a snapshot, lets the kernel do its work, says where it wants them now and
 * verifies. Verifying looks at all that migration must keep, whatever the case
 * is about: the node by two ways, the content, the frame (a new one if and
 * only if the node changed) and the page's state.
 */
#ifndef TESTBED_PAGES_H
#define TESTBED_PAGES_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "problems.h"

/* Where a page may be wanted besides on a node: what move_pages(2) says. */
#define UNTOUCHED	(-ENOENT)
#define UNMAPPED	(-EFAULT)

struct page_state {
	uint64_t pagemap;
	uint64_t kflags;
	int status;
};

struct pages {
	char *addr;
	long count;
	uint64_t seed;		/* of the content */
	pid_t pid;		/* whose page tables are looked at; 0: mine */
	int *want;		/* a node, UNTOUCHED or UNMAPPED */
	struct page_state *was;	/* at the snapshot */
	struct page_state *now;
	uint64_t unkept;	/* kpageflags that may come and go: 1 << KPF_x */
	bool by_policy;		/* populate them wherever the kernel does */
	/* What pattern_check() is to others; NULL: pattern_check() itself. */
	int (*check)(const void *page, uint64_t seed, uint64_t number);
	struct problems problems;
};

/*
 * Map @count untouched base pages, MAP_PRIVATE or MAP_SHARED, with inaccessible
 * pages around them, so that no neighbour merges with them. 0 or -1.
 */
int pages_map(struct pages *p, long count, int sharing);

/*
 * The same at @addr, in the place of whatever is there: MAP_HUGETLB and its
 * like may go with it.
 */
int pages_map_at(struct pages *p, void *addr, long count, int flags);

/*
 * Look after @count base pages of a mapping that is there already, of a file,
 * of huge pages; none of them is touched or wanted anywhere yet. 0 or -1.
 */
int pages_over(struct pages *p, void *addr, long count);

void *pages_at(const struct pages *p, long index);

/* Fault page @index in for reading, or for writing without changing it. */
void pages_read(const struct pages *p, long index);
void pages_write(const struct pages *p, long index);

/* Want @count pages from @first on to be on @node. */
void pages_want(struct pages *p, long first, long count, int node);

/* Want all of them there. */
void pages_want_all(struct pages *p, int node);

/* Want them dealt out over the nodes of @set, page by page in turn. */
void pages_want_dealt(struct pages *p, unsigned long set);

/* Want those that were on @from at the snapshot on @to. */
void pages_want_moved(struct pages *p, int from, int to);

/* How many are wanted elsewhere than they were at the snapshot. */
long pages_to_move(const struct pages *p);

/*
 * Fill every page that is wanted on a node, allocating it there, without
 * leaving a policy on the range or on the task; by_policy: wherever it comes to
 * be by those that are set. 0 or -errno.
 */
long pages_populate(struct pages *p);

/* Note what is; "" if all is as wanted, else what is not. */
const char *pages_snapshot(struct pages *p);

/* "" if all is as wanted, else what is not. @what names it to the host. */
const char *pages_verify(struct pages *p, const char *what);

/* How many pages have lost their content, the untouched not counted. */
long pages_bad(const struct pages *p);

/* Let the frame of page @index be any until the next snapshot. */
void pages_forget_frame(struct pages *p, long index);

/* "" if process @pid maps the same frames, else where it does not. */
const char *pages_shared_with(struct pages *p, pid_t pid);

/*
 * "default", "bind:0-1" and so on: the policy that governs page @index, found
 * without touching the page.
 */
const char *pages_policy(const struct pages *p, long index);

#endif /* TESTBED_PAGES_H */
