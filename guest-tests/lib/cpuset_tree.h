/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What lies under cpuset.h: removing trees of groups with their processes, and
 * mounting a v1 hierarchy, which nobody else uses.
 */
#ifndef TESTBED_CPUSET_TREE_H
#define TESTBED_CPUSET_TREE_H

#include <stdbool.h>

/* Where the v1 hierarchy is mounted. */
#define CPUSET_TREE	"/tmp/testbed-cpuset"

/*
 * Kill all processes in the groups below @path, wait until they are gone and
 * remove the groups; with @itself, @path too. 0 or -errno.
 */
int cpuset_tree_remove(const char *path, bool itself);

/* Mount the hierarchy; the controller leaves v2 for it. 0 or -errno. */
int cpuset_tree_mount(bool v2_mode);

/* Empty it, unmount it, wait until v2 has the controller. 0 if it is not. */
int cpuset_tree_unmount(void);

#endif /* TESTBED_CPUSET_TREE_H */
