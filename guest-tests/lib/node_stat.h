/* SPDX-License-Identifier: GPL-2.0-only */
/* What the kernel counts by node. */
#ifndef TESTBED_NODE_STAT_H
#define TESTBED_NODE_STAT_H

/*
 * @name of /sys/devices/system/node/node<N>/vmstat ("nr_mlock"), the counts
 * that linger per CPU folded in; -1 if there is none.
 */
long node_stat(int node, const char *name);

/* @name of node<N>/meminfo ("Unevictable"), in KiB or as it is; or -1. */
long node_meminfo(int node, const char *name);

/* Free pages, those in the lists of the CPUs too: there may be thousands. */
long node_free(int node);

/* @name of /proc/vmstat, or of /proc/meminfo; -1 if there is none. */
long system_stat(const char *name);
long system_meminfo(const char *name);

#endif /* TESTBED_NODE_STAT_H */
