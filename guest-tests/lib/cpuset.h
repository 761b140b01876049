/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Cpusets of cgroup v2, below a group of our own. Groups are named relative
 * to it: "x", "x/in". All of them go in cpuset_end(), with whoever is in them.
 */
#ifndef TESTBED_CPUSET_H
#define TESTBED_CPUSET_H

#include <stdbool.h>
#include <sys/types.h>

struct cpuset_root {
	bool begun;
	bool had_cpuset;	/* the root group's subtree_control had it */
};

/* Whether the unified hierarchy is mounted and has the cpuset controller. */
bool cpuset_is_available(void);

/* Clear away what a run that was killed left, and begin. 0 or -errno. */
int cpuset_begin(struct cpuset_root *root);

/* Kill what is in the groups, remove them, put the root back. 0 or -errno. */
int cpuset_end(struct cpuset_root *root);

/* Make a group; its parent, unless it is ours, gets the controller for it. */
int cpuset_create(const char *name);

/* Write cpuset.mems. 0 or -errno. */
int cpuset_set_mems(const char *name, unsigned long nodes);

/* The sets in cpuset.mems and cpuset.mems.effective; 0 if unreadable. */
unsigned long cpuset_mems(const char *name);
unsigned long cpuset_effective_mems(const char *name);

/* Put process @pid into the group. 0 or -errno. */
int cpuset_attach(const char *name, pid_t pid);

#endif /* TESTBED_CPUSET_H */
