/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Kinds of memory, as data: how an area of it is made, what becomes of it when
 * it is told to move, and what shows that it is still of that kind.
 *
 * An area is mapped in one process and filled in the same or in a child of it
 * (subject.h), so that each interface can be shown each kind.
 */
#ifndef TESTBED_BACKING_H
#define TESTBED_BACKING_H

#include <stdbool.h>

#include "counters.h"
#include "pages.h"
#include "peer.h"

enum fate {
	FATE_MOVES,
	/* Mapped more than once: skipped without failure but by MOVE_ALL. */
	FATE_SHARED,
	/* No page that could move, and no failure either. */
	FATE_ABSENT,
	/* Held by somebody: each page is tried, and counted as failed. */
	FATE_PINNED,
};

struct area;

struct backing {
	const char *name;	/* as in the axis of the coverage */
	enum fate fate;
	int absent;		/* FATE_ABSENT: what move_pages(2) answers */
	long count;		/* base pages of an area, a multiple of @folio */
	long folio;		/* base pages that move as one */
	long mapped;		/* of them, from the first on; 0: all */
	bool twice;		/* mapped at two addresses of one process */
	bool thp;		/* folios are as large as a PMD maps */
	/* New pages are the page cache's, by the task's policy alone. */
	bool page_cache;
	bool renews;		/* @finish replaces all pages by new ones */
	long missing;		/* base pages behind it, not there till @finish */
	bool (*splits)(void);	/* migration splits them; NULL: it does not */
	/* Set area->pages over new, empty memory. 0 or -1. */
	int (*map)(struct area *area);
	/* Fill it, on the node that pages->want says. 0, -1 or -errno. */
	long (*fill)(struct area *area);
	/* "" if it is what it claims to be; from any process, at any time. */
	const char *(*check)(struct area *area);
	/*
	 * "" if what only shows by changing it is right, too; once, at the
	 * end, in the process that filled it.
	 */
	const char *(*finish)(struct area *area);
	/* Undo what outlives the process, in the one that mapped it. */
	void (*release)(struct area *area);
};

struct area {
	const struct backing *backing;
	struct pages *pages;
	long folio;		/* base pages that move as one on this kernel */
	int home;		/* the node that it was filled on */
	int policy;		/* the node that it was bound to since, or -1 */
	long thps;		/* that it still has */
	int fd;			/* of its file, or of what holds it; or -1 */
	char *twin;		/* a second mapping of the same pages */
	struct peer other;	/* a process that maps them, too; pid 0: none */
	long saved[4];		/* whatever release puts back, or check knows */
	struct problems problems;
};

/* What becomes of a kind in a case, where that is not what becomes of most. */
struct backing_outcome {
	const struct backing *backing;
	int outcome;
};

/* That of @backing in @table, which ends without a kind; @most if not there. */
int backing_outcome(const struct backing_outcome *table,
		    const struct backing *backing, int most);

/* Map an area of @backing, @pages over it, that is to be on @node. 0 or -1. */
int area_map(struct area *area, const struct backing *backing,
	     struct pages *pages, int node);

/* Fill what area_map() made; the caller may be a child of its. 0 or not. */
long area_fill(struct area *area);

/* Where its pages are to be now: what it has of @count from @first, on @node */
void area_want(struct area *area, long first, long count, int node);
void area_want_all(struct area *area, int node);

/* Whether MPOL_MF_MOVE or MPOL_MF_MOVE_ALL in @flags moves it. */
bool area_moves(const struct area *area, unsigned int flags);

/* Folios of the first @count base pages that were elsewhere at the snapshot. */
long area_misplaced(const struct area *area, long count, int node);

/*
 * Add to @want what it counts to move those to @node with @flags. THPs that
 * this splits are none from then on.
 */
void area_count(struct area *area, struct counters_want *want, long count,
		int node, unsigned int flags);

/* Pages verified, as pages_verify(), then the kind by its own check. */
const char *area_verify(struct area *area, const char *what);

const char *area_finish(struct area *area);
void area_release(struct area *area);

/* For those who make kinds. */

/*
 * Reserve @bytes of addresses, at a multiple of @align, that no neighbour
 * merges with. MAP_FAILED if that cannot be.
 */
void *area_reserve(size_t bytes, size_t align);

/* Map count base pages of @fd, or anonymous ones for -1, at such a place. */
int area_map_fd(struct area *area, int fd, int prot, int flags, size_t align);

/*
 * Around what allocates pages of @area by the policy of the task: bind it to
 * the node that they are wanted on, but with pages->by_policy. 0 or -errno.
 */
long area_bind_task(const struct area *area);
long area_unbind_task(const struct area *area);

/* Have another process map all pages, by reading. 0 or -1. */
long area_share(struct area *area);

/* "" if each page that is there has kpageflags @set and none of @clear. */
const char *area_has_flags(struct area *area, uint64_t set, uint64_t clear);

/* "" if its content is all there when read anew; written to, too. */
const char *area_content(struct area *area);
const char *area_write(struct area *area);

/* Whether none of it is in memory, no cache included: by mincore(2). */
bool area_is_out(struct area *area);

/*
 * Read all pages that are wanted on a node: "" if that brings them there, by
 * two ways, with their content. Old frames and their state are gone.
 */
const char *area_read_back(struct area *area);

/* Have all CPUs' batches put on the LRU: only what is there is paged out. */
long area_drain(struct area *area);

/* Page it out until none of it is in memory; "" or why that cannot be. */
const char *area_page_out(struct area *area);

#endif /* TESTBED_BACKING_H */
