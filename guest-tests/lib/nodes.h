/* SPDX-License-Identifier: GPL-2.0-only */
/* Which nodes the machine has, and sets of nodes as text. */
#ifndef TESTBED_NODES_H
#define TESTBED_NODES_H

/* The nodes that have memory now, as a set; 0 if sysfs does not say. */
unsigned long nodes_with_memory(void);

/* The nodes that there may ever be, memory or not: hotplug fills them. */
unsigned long nodes_possible(void);

/* The @index-th node of @set, counted from 0; -1 past the end. */
int nodes_nth(unsigned long set, int index);

int nodes_count(unsigned long set);

/*
 * The lowest node number without memory: a CPU-only node or one that waits for
 * hotplug where there is any, otherwise a node that does not exist. -1 if
 * every node has memory.
 */
int nodes_first_without_memory(void);

/*
 * "0-1,3" as the kernel writes lists; in one of a few static buffers, so that
 * two of them can be compared.
 */
const char *nodes_text(unsigned long set);

/* Read "0-1,3" (a newline may follow); 0 for an empty or unreadable list. */
unsigned long nodes_parse(const char *list);

/* The node that @cpu is of, or -1. */
int nodes_of_cpu(int cpu);

/* Let the caller, and what it forks, run on the CPUs of @node only. 0 or -1. */
int nodes_run_on(int node);

#endif /* TESTBED_NODES_H */
