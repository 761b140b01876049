/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Cpusets of cgroup v2, below a group of our own, and of v1, in a hierarchy
 * that is mounted for the test. Groups are named relative to it: "x", "x/in";
 * "." is the group of our own itself, in v1 the root. All of them go in
 * cpuset_end(), with whoever is in them.
 */
#ifndef TESTBED_CPUSET_H
#define TESTBED_CPUSET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum cpuset_kind {
	CPUSET_V2,
	CPUSET_V1,		/* each group made with memory_migrate 1 */
	CPUSET_V1_STAY,		/* ... with 0, as the kernel makes them */
	CPUSET_V1_AS_V2,	/* mounted with cpuset_v2_mode, migrate 1 */
};

struct cpuset_root {
	bool begun;
	bool had_cpuset;	/* v2's root subtree_control had it */
	enum cpuset_kind kind;
	const char *path;
};

/* Whether the unified hierarchy is mounted and has the cpuset controller. */
bool cpuset_is_available(void);

/* Clear away what a run that was killed left, and begin. 0 or -errno. */
int cpuset_begin(struct cpuset_root *root);

/*
 * The same for any kind. A v1 hierarchy takes the controller away from v2
 * until the end: -EBUSY where a group of v2 uses it, -EINVAL from a kernel
 * without cpusets of v1.
 */
int cpuset_begin_as(struct cpuset_root *root, enum cpuset_kind kind);

/* Kill what is in the groups, remove them, put the root back. 0 or -errno. */
int cpuset_end(struct cpuset_root *root);

/*
 * Make a group; its parent, unless it is ours, gets the controller for it. In
 * v1 it has all CPUs of its parent, which it needs before it takes a process,
 * and no mems.
 */
int cpuset_create(const char *name);

/* Write cpuset.mems. 0 or -errno. */
int cpuset_set_mems(const char *name, unsigned long nodes);

/* The sets in cpuset.mems and the effective one; 0 if unreadable. */
unsigned long cpuset_mems(const char *name);
unsigned long cpuset_effective_mems(const char *name);

/* Put process @pid into the group. 0 or -errno. */
int cpuset_attach(const char *name, pid_t pid);

/* Put thread @tid alone into it: v1's "tasks", v2's "cgroup.threads". */
int cpuset_attach_thread(const char *name, pid_t tid);

/* Put process @pid into the root group of the hierarchy. */
int cpuset_detach(pid_t pid);

/* Any file of the group, "cpuset.mem_exclusive". 0 or the length, or -errno. */
int cpuset_write(const char *name, const char *file, const char *text);
long cpuset_read(const char *name, const char *file, char *text, size_t bytes);

/* Delegate a file of the group, "cgroup.procs", to @user. 0 or -errno. */
int cpuset_give(const char *name, const char *file, uid_t user);

/* A descriptor of the group's folder, for CLONE_INTO_CGROUP. Or -errno. */
int cpuset_open(const char *name);

#endif /* TESTBED_CPUSET_H */
