/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The NUMA system calls, raw: what a test sees is what the kernel answered.
 *
 * Each returns what the kernel returned, a failure as -errno, so that one
 * comparison tells both: EXPECT_EQ(-EIO, numa_mbind(...)).
 *
 * A set of nodes is one word; nodes past 63 have no place in these tests.
 */
#ifndef TESTBED_SYSCALLS_H
#define TESTBED_SYSCALLS_H

#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <linux/mempolicy.h>

#define MAX_NODES	64
#define NODE(n)		(1UL << (n))

/* get_nodes() in mm/mempolicy.c takes one off maxnode before it uses it. */
#define MAXNODE		(MAX_NODES + 1)

/* Since 6.9; the headers to build with may be older. */
#define MODE_WEIGHTED_INTERLEAVE	6
/* The lowest mode that no kernel knows. */
#define MODE_UNKNOWN			1000

#ifndef SYS_set_mempolicy_home_node
#define SYS_set_mempolicy_home_node	450
#endif

#define PAGE_BYTES	((unsigned long)sysconf(_SC_PAGESIZE))

static inline long kernel_result(long result)
{
	return result < 0 ? -errno : result;
}

static inline long numa_mbind(void *addr, size_t bytes, int mode,
			      unsigned long nodes, unsigned int flags)
{
	return kernel_result(syscall(SYS_mbind, addr, bytes, mode, &nodes,
				     MAXNODE, flags));
}

/* Since 5.17. */
static inline long numa_home_node(void *addr, size_t bytes, unsigned long node,
				  unsigned long flags)
{
	return kernel_result(syscall(SYS_set_mempolicy_home_node, addr, bytes,
				     node, flags));
}

static inline long numa_set_mempolicy(int mode, unsigned long nodes)
{
	return kernel_result(syscall(SYS_set_mempolicy, mode, &nodes, MAXNODE));
}

static inline long numa_get_mempolicy(int *mode, unsigned long *nodes,
				      void *addr, unsigned long flags)
{
	return kernel_result(syscall(SYS_get_mempolicy, mode, nodes, MAXNODE,
				     addr, flags));
}

static inline long numa_migrate_pages(pid_t pid, unsigned long from,
				      unsigned long to)
{
	return kernel_result(syscall(SYS_migrate_pages, pid, MAXNODE, &from,
				     &to));
}

static inline long numa_move_pages(pid_t pid, unsigned long count,
				   void **addrs, const int *nodes, int *status,
				   int flags)
{
	return kernel_result(syscall(SYS_move_pages, pid, count, addrs, nodes,
				     status, flags));
}

#endif /* TESTBED_SYSCALLS_H */
