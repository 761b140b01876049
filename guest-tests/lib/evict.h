/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Migration via swap, as patches/swap-migration has it: its flags, its counts
 * and its trace event, and the steps that most of its cases have in common.
 */
#ifndef TESTBED_EVICT_H
#define TESTBED_EVICT_H

#include <stdbool.h>

#include "counters.h"
#include "holder.h"
#include "pages.h"
#include "syscalls.h"
#include "trace.h"

#ifndef MPOL_MF_EVICT
#define MPOL_MF_EVICT		(1 << 4)
#define MPOL_MF_FALLBACK	(1 << 5)
#endif

/* What vm.migrate_mode may be. */
#define MIGRATE_MODE_DIRECT	0
#define MIGRATE_MODE_EVICT	1
#define MIGRATE_MODE_FALLBACK	2

struct evict_counts {
	struct counters counters;
	long swapped;		/* pgmigrate_swapped */
	long written;		/* pswpout */
	long zeroes;		/* swpout_zero: in swap, though nowhere written */
	long read;		/* pswpin */
};

/* What they are to have gone up by. */
struct evict_want {
	long copied;
	long failed;
	long swapped;
	long written;
	long zeroes;
	long read;
};

/* 0 or -1. */
int evict_read(struct evict_counts *counts);

/* "" if since @before all went up as wanted, and nothing else did. */
const char *evict_verify(const struct evict_counts *before,
			 const struct evict_want *want);

/* mbind(2) of @count pages from @first on to @node: MPOL_BIND. 0 or -errno. */
long evict_bind(const struct pages *p, long first, long count, int node,
		unsigned int flags);

/* Want @count pages from @first on out of memory. */
void evict_want_out(struct pages *p, long first, long count);

/*
 * pages_verify(), and that no frame holds those of the caller's pages that are
 * wanted UNTOUCHED: not even the swap cache (mincore(2)).
 */
const char *evict_out(struct pages *p, const char *what);

/* Read those pages back, which is to bring them to @node; verify them all. */
const char *evict_back(struct pages *p, int node, const char *what);

/* The same of a child's pages, which @look reads there: 0 if all is well. */
const char *evict_back_in(struct holder *child, holder_fn look,
			  struct pages *p, int node, const char *what);

/* Both: what the caller asked for is out, and a touch brings it to @node. */
const char *evict_out_and_back(struct pages *p, int node, const char *what);

/* vm.migrate_mode; 0 or -errno. */
int evict_set_mode(int mode);
int evict_mode(void);

/* One migrate:mm_migrate_evict. */
struct evict_event {
	long swapped;
	long dropped;
	long failed;
	char reason[32];
};

/* Trace them from now on; 0 or -errno. */
int evict_trace(struct trace *t);

/* Those since; how many, up to @most, or -1. */
int evict_events(const struct trace *t, struct evict_event *events, int most);

#endif /* TESTBED_EVICT_H */
