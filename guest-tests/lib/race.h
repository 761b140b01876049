/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two parties that do something at the same time, round by round, each on a
 * CPU of its own: the mover in the calling thread, its rival in another.
 *
 * Both leave a barrier together, then wait for a while that is drawn from how
 * long the other took the last time: so they meet now at the start, now at
 * the end of each other's work. Between two rounds both stand still, so that
 * what is true then can be asserted exactly.
 */
#ifndef TESTBED_RACE_H
#define TESTBED_RACE_H

#include <stdbool.h>

#include "counters.h"
#include "problems.h"

typedef void (*race_fn)(void *arg, int round);

/* "" if after the round all is as it has to be, else what is not. */
typedef const char *(*race_judge)(void *arg, int round);

struct race {
	race_fn mover;
	race_fn rival;
	race_judge judge;	/* in the mover's thread; may be NULL */
	void *arg;
	int rounds;
	int done;		/* rounds that were begun and judged */
	int overlaps;		/* of these, those in which the two met */
	struct problems problems;
};

/*
 * Run the rounds, or as many as a deadline of 15 s leaves time for. "" if the
 * judge found nothing, at least a tenth of the rounds were run and the two met
 * in one at least; else the first problem.
 */
const char *race_run(struct race *race);

/*
 * "" if nothing stays isolated that was not so in @before: pages and
 * pageblocks. What still works in the background (kswapd, a dying process)
 * is given a second to put back what it holds.
 */
const char *race_settled(const struct counters *before);

/* The two CPUs of a race: the first and the last that the caller may use. */
int race_first_cpu(void);
int race_last_cpu(void);

/* Keep the calling thread on @cpu. 0 or -1. */
int race_stay_on(int cpu);

#endif /* TESTBED_RACE_H */
