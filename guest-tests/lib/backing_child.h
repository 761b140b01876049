/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A child (subject.h) that has an area of a kind of memory: for what moves the
 * memory of a process as a whole. One at a time.
 */
#ifndef TESTBED_BACKING_CHILD_H
#define TESTBED_BACKING_CHILD_H

#include "backing.h"
#include "subject.h"

struct area_child {
	struct subject subject;
	struct area area;	/* as the parent knows it */
};

/* Map the area that the child is to have on @node. 0 or -1. */
int area_child_map(struct area_child *c, const struct backing *backing,
		   int node);

/* Start it, have it fill the area. 0 or not. */
long area_child_start(struct area_child *c);

/* Note all there is of it; "" if its area is as it should be. */
const char *area_child_look(struct area_child *c);

/*
 * "" if since the last look all that the child has, but for what never moves,
 * went to @to, with all that subject_verify() and area_verify() look at.
 */
const char *area_child_verify(struct area_child *c, int to, const char *what);

/* The same for a move by @flags: what others map too stays without MOVE_ALL. */
const char *area_child_verify_moved(struct area_child *c, int to,
				    unsigned int flags, const char *what);

/* How many pages migrate_pages(2) is to say that it left; after a look. */
long area_child_left(const struct area_child *c, int to, unsigned int flags);

/* Have it look at what only it can see, and end it. 0 or not. */
long area_child_finish(struct area_child *c);

#endif /* TESTBED_BACKING_CHILD_H */
