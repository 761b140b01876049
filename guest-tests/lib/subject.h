/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A child whose memory is moved as a whole, by migrate_pages(2) or a cpuset:
 * the pages of the case and all else it has, stack, heap and text, which is
 * accounted for frame by frame. It stands still but for what it is asked.
 *
 * One at a time.
 */
#ifndef TESTBED_SUBJECT_H
#define TESTBED_SUBJECT_H

#include "counters.h"
#include "holder.h"
#include "pages.h"

struct subject {
	struct pages pages;
	struct holder holder;
	struct counters before;
	/* Huge pages among what moves from the last look on: thps_* only. */
	struct counters_want thps;
};

/* Start it with @prepare, which is to populate s->pages. 0 or an error. */
long subject_start(struct subject *s, holder_fn prepare);

/* Note all there is of it; "" if its pages are as wanted, else what is not. */
const char *subject_look(struct subject *s);

/*
 * "" if since the last look its pages went where they are wanted, it finds
 * their content whole, and the kernel counted as moved just the frames that
 * were replaced in all of it, and @failed as failed; else what is not so.
 */
const char *subject_verify(struct subject *s, long failed, const char *what);

/* Frames replaced between the last look and the last verify. */
long subject_moved(void);

/* Frames that it has on @nodes: at the last look, at the last verify. */
long subject_was_on(unsigned long nodes);
long subject_is_on(unsigned long nodes);

#endif /* TESTBED_SUBJECT_H */
