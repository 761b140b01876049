/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A range moved to a node as a whole, and all five things checked: for cases
 * that are about what else must survive the move.
 *
 * One range at a time, from relocate() to relocate_verify().
 */
#ifndef TESTBED_RELOCATE_H
#define TESTBED_RELOCATE_H

#include "pages.h"
#include "syscalls.h"

struct relocation {
	int node;
	int flags;	/* MPOL_MF_MOVE or MPOL_MF_MOVE_ALL */
	int step;	/* pages a folio: move_pages(2) is told of one each */
	long thps;	/* how many of them are mapped by a PMD; all move */
};

/*
 * Take a snapshot, then move all pages that are there by move_pages(2). ""
 * if the call and every status say that they moved.
 */
const char *relocate(struct pages *p, const struct relocation *r);

/* The same by mbind(2), MPOL_BIND and MPOL_MF_STRICT. */
const char *relocate_by_mbind(struct pages *p, const struct relocation *r);

/*
 * The same from the caller's last snapshot on, taken while queries found the
 * pages, which they need not now.
 */
const char *relocate_unseen_by_mbind(struct pages *p,
				     const struct relocation *r);

/* "" if all else is as it is to be since then: what pages.h and counters.h do. */
const char *relocate_verify(struct pages *p, const char *what);

/*
 * Base pages to @node by move_pages(2) with MPOL_MF_MOVE, and by mbind(2);
 * relocate and verify in one.
 */
const char *relocate_to(struct pages *p, int node, const char *what);
const char *relocate_to_by_mbind(struct pages *p, int node, const char *what);

/* The same with MPOL_MF_MOVE_ALL: pages that other processes map as well. */
const char *relocate_all_to(struct pages *p, int node, const char *what);
const char *relocate_all_to_by_mbind(struct pages *p, int node,
				     const char *what);

/*
 * Have all CPUs put what they faulted in on the LRU lists: what is still in a
 * batch of theirs has no KPF_LRU, and page_idle leaves it out. 0 or -errno.
 */
long relocate_drain(void);

#endif /* TESTBED_RELOCATE_H */
