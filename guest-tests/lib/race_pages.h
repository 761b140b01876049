/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pages that one party of a race sends to and fro between two nodes while the
 * other does something to them: what every such case has in common.
 */
#ifndef TESTBED_RACE_PAGES_H
#define TESTBED_RACE_PAGES_H

#include <stdbool.h>

#include "counters.h"
#include "pages.h"
#include "race.h"

struct contest {
	int node[2];
	struct pages pages;	/* their content is the pattern of the library */
	struct counters before;
	int flags;		/* of move_pages(2): MOVE, if not set */
	int sharing;		/* of @pages, for a rival that makes others */
	bool replaces;		/* the rival takes pages away and makes others */
	void **addrs;
	int *nodes;
	int *status;		/* as the last call left it */
	int *seen;		/* where each page was at the last judgement */
	long result;		/* of the last call */
	long moved;		/* pages found on another node than before */
	long acted;		/* what the rival got done, for it to count */
	const char *wrong;	/* what the rival found wrong, NULL if nothing */
};

/*
 * Two nodes with memory: the first, and that of the CPU that the rival runs on,
 * where what it makes anew comes to be; else the second. 0, or -1 if there are
 * fewer.
 */
int contest_nodes(struct contest *c);

/* After pages_map() or pages_over(): fill them on the first node. 0 or -1. */
int contest_begin(struct contest *c);

/* Send all pages to the node whose turn it is, by move_pages(2). */
void contest_move(void *contest, int round);

/*
 * "" if all pages are on either node with the content that they are to have,
 * no status is an error that a page in use cannot have, and the rival found
 * nothing wrong. Counts what has moved.
 */
const char *contest_judge(void *contest, int round);

/*
 * "" if both got on: pages moved, the rival acted; nothing stays isolated; all
 * pages have the state and place that the queries agree upon; and, with nobody
 * else about, a last call moves each page that is not on the second node there:
 * nobody kept a reference.
 */
const char *contest_end(struct contest *c);

/* contest_begin(), both parties, contest_end(): all of a case. */
const char *contest_run(struct contest *c, race_fn rival, int rounds);

/* The same where another moves or judges: @race says who, and the rounds. */
const char *contest_run_race(struct contest *c, struct race *race);

#endif /* TESTBED_RACE_PAGES_H */
