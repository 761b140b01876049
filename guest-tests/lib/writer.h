/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Threads that write and verify pages without a pause while the pages move.
 *
 * Each thread owns words of every page. In pass k it finds in each what it
 * wrote in pass k - 1, or a write was lost, torn, put on another page or read
 * stale; and it writes what belongs there in pass k. Word 0 of each page is
 * a counter to which all threads add atomically once a pass: their sum tells
 * of an update lost between two CPUs.
 *
 * What they count is in shared memory, so that they may also run in a child:
 * writers_share() before the fork, writers_prepare() and writers_start() after
 * it, and either side can see how they get on.
 */
#ifndef TESTBED_WRITER_H
#define TESTBED_WRITER_H

#include <pthread.h>
#include <stdint.h>

#define WRITERS		2

struct writers_shared {
	long passes[WRITERS];	/* whole ones */
	long ticks[WRITERS];	/* pages verified and written */
	long bad;		/* words that were not as they were left */
	long bad_page;		/* of the first: page, word, content */
	long bad_word;
	uint64_t bad_content;
	int stop;
};

struct writers {
	char *addr;
	long count;
	int step;		/* from word to word of one owner */
	struct writers_shared *shared;
	pthread_t threads[WRITERS];
};

/* Map what is shared. writers_prepare() does it where it was not. 0 or -1. */
int writers_share(struct writers *w);

/*
 * Fill @count pages at @addr for writers, by way of this mapping; nothing is
 * started. 0 or -1.
 */
int writers_prepare(struct writers *w, void *addr, long count);

/* Start the threads, each on a CPU of its own as far as there are. 0 or -1. */
int writers_start(struct writers *w);

/* Wait until each has gone over all pages once more. 0, or -1 after 10 s. */
int writers_await_pass(const struct writers *w);

/* Pages verified and written by all of them so far. */
long writers_ticks(const struct writers *w);

/* Have them end at the end of a pass, and wait for them. */
void writers_stop(struct writers *w);

/*
 * After the stop: "" if no writer found a bad word and all pages hold what was
 * written last, the counters too; else what is wrong.
 */
const char *writers_verify(const struct writers *w);

#endif /* TESTBED_WRITER_H */
