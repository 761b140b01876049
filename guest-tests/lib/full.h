/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A node without room: its free memory is taken, by a process of its own, in
 * pages that are locked, so that reclaim cannot make room again.
 */
#ifndef TESTBED_FULL_H
#define TESTBED_FULL_H

#include "peer.h"

#define FULL_KNOBS	3

struct full {
	struct peer peer;
	char was[FULL_KNOBS][32];
};

/*
 * Keep kcompactd and kswapd from moving or freeing what is to stay, lower the
 * watermarks, so that most of a node can be taken, and start the process that
 * takes it: before the pages of a case are there, or it would share them.
 * 0 or -1.
 */
int full_begin(struct full *f);

/* Take memory of @node until no more than @leave bytes are free. 0 or -1. */
int full_take(struct full *f, int node, long leave);

/* Give all of it back, and wait until it is free. 0 or -1. */
int full_give_back(struct full *f);

/* Put the machine's knobs back. 0 or -errno. */
int full_end(struct full *f);

/* How many processes the OOM killer has ended; -1 if vmstat does not say. */
long full_oom_kills(void);

#endif /* TESTBED_FULL_H */
