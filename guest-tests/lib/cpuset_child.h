/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A child with an area of a kind of memory (backing_child.h) in cpuset "x",
 * which is moved by what is done to the cpusets. One at a time.
 */
#ifndef TESTBED_CPUSET_CHILD_H
#define TESTBED_CPUSET_CHILD_H

#include "backing_child.h"
#include "cpuset.h"

struct cpuset_child {
	int a;			/* two nodes with memory */
	int b;
	struct cpuset_root root;
	struct area_child child;
};

/*
 * Mount, make "x" with the memory of node a, start the child, which fills its
 * area there, put it into "x", and note all there is of it. "" or what went
 * wrong; then nothing is left behind.
 */
const char *cpuset_child_begin(struct cpuset_child *c, enum cpuset_kind kind,
			       const struct backing *backing);

/* Undo it, in the parent of a test. 0 or -errno. */
int cpuset_child_end(struct cpuset_child *c);

/*
 * Change the mems of "x" to node b; or make "y" with these, and attach the
 * child to it. Then all of the child is verified, and ended. "" or what is
 * wrong.
 */
const char *cpuset_child_change_mems(struct cpuset_child *c);
const char *cpuset_child_attach(struct cpuset_child *c);

#endif /* TESTBED_CPUSET_CHILD_H */
