/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A memory cgroup of v2 of our own. It goes in memcg_end(), with whoever is
 * in it.
 */
#ifndef TESTBED_MEMCG_H
#define TESTBED_MEMCG_H

#include <stdbool.h>
#include <sys/types.h>

struct memcg {
	bool begun;
	bool had_memory;	/* the root group's subtree_control had it */
};

/* Make the group. 0 or -errno. */
int memcg_begin(struct memcg *group);

/* Put process @pid into it, 0 for the caller. 0 or -errno. */
int memcg_attach(pid_t pid);

/* Put it back into the root group. 0 or -errno. */
int memcg_detach(pid_t pid);

/* Write "memory.max" and the like. 0 or -errno. */
int memcg_set(const char *file, const char *text);

/* The number that file @file of it holds ("memory.current"); or -1. */
long memcg_value(const char *file);

/* @name of a file of lines ("memory.stat": "anon"), or -1. */
long memcg_field(const char *file, const char *name);

/* Bytes that memory.numa_stat has for @name on @node; or -1. */
long memcg_on_node(const char *name, int node);

/* The same of the root group, which counts all groups. */
long memcg_root_on_node(const char *name, int node);

/*
 * The kernel folds the counts of the CPUs in now and then, every 2 s at the
 * latest (FLUSH_TIME in mm/memcontrol.c, 6.12). Wait until it is @wanted: the
 * last value seen, after 15 s at the latest. And: its value when all has been
 * folded in, of a group in which nothing is touched meanwhile.
 */
long memcg_wait_on_node(const char *name, int node, long wanted);
long memcg_settled_on_node(const char *name, int node);

/* Kill what is in it, remove it, put the root back. 0 or -errno. */
int memcg_end(struct memcg *group);

#endif /* TESTBED_MEMCG_H */
