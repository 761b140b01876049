/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files that are page cache and nothing else, as those of tmpfs are not: no
 * disk, no policies of their own, and a write allocates the page alone.
 */
#ifndef TESTBED_RAMFS_H
#define TESTBED_RAMFS_H

/*
 * Have a ramfs at /tmp, in a mount namespace of the caller's own, with which
 * it goes. 0 or -1.
 */
int ramfs_begin(void);

/*
 * Write @count pages of a new file under the task's policy @mode over @nodes:
 * the node whose turn it was, as get_mempolicy(2) told before each, and the
 * node where it is now. "" or what went wrong.
 */
const char *ramfs_write_in_turn(int mode, unsigned long nodes, long count,
				int *turn, int *status);

#endif /* TESTBED_RAMFS_H */
