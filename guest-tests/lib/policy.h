/* SPDX-License-Identifier: GPL-2.0-only */
/* Policies: as text, of ranges of pages, and a start that many cases share. */
#ifndef TESTBED_POLICY_H
#define TESTBED_POLICY_H

#include "counters.h"
#include "pages.h"
#include "syscalls.h"

/*
 * "default", "bind:0-1", "bind=static|balancing:1", "prefer (many):0": a mode
 * with its flags and nodes as numa_maps writes them (mpol_to_str() in
 * mm/mempolicy.c); in one of a few static buffers.
 */
const char *policy_text(int mode, unsigned long nodes);

/*
 * "" if get_mempolicy(2) tells @mode with @nodes of page @index, and numa_maps
 * the same of the VMA that begins there; else what they tell.
 */
const char *policy_check(struct pages *p, long index, int mode,
			 unsigned long nodes);

/*
 * The same where they differ: MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES
 * make get_mempolicy(2) tell what was @asked, numa_maps what @governs.
 */
const char *policy_check_asked(struct pages *p, long index, int mode,
			       unsigned long asked, unsigned long governs);

/*
 * "" if @count pages from @first on are bound to @node, and what lies on both
 * sides of them is under no policy, as get_mempolicy(2) tells.
 */
const char *policy_check_amid(struct pages *p, long first, long count,
			      int node);

/* mbind(2) on @count pages from @first on. 0 or -errno. */
long policy_bind(const struct pages *p, long first, long count, int mode,
		 unsigned long nodes, int flags);

/*
 * The node of the @index-th page of an interleave over @nodes:
 * interleave_nid() in mm/mempolicy.c of 6.12, offset_il_node() before 6.7.
 */
int policy_interleaved(unsigned long nodes, unsigned long index);

/* Fill @count pages from @first on: wherever the kernel puts them. */
void policy_fault(const struct pages *p, long first, long count);

/* The nodes that have a CPU. */
unsigned long policy_nodes_with_cpu(void);

/* The distance of two nodes that have memory, as the machine tells it. */
int policy_distance(int from, int to);

/* What most cases start from. */
struct placed {
	int a;			/* two nodes with memory, ... */
	int b;
	int c;			/* ... and the third; -1 if there is none */
	struct pages pages;
	struct counters before;
};

/*
 * Find the nodes and map @count pages, MAP_PRIVATE or MAP_SHARED, the first
 * @present of which are put on node a. "" or what is wrong.
 */
const char *placed_start(struct placed *t, long count, long present,
			 int sharing);

/* Note what is now: pages as wanted, counters. "" or what is wrong. */
const char *placed_look(struct placed *t);

/*
 * pages_verify(), and that since the last look just those pages were counted
 * as moved that are wanted elsewhere, and @failed as failed.
 */
const char *placed_verify(struct placed *t, long failed, const char *what);

#endif /* TESTBED_POLICY_H */
