/* SPDX-License-Identifier: GPL-2.0-only */
/* userfaultfd(2): pages whose next write is told of. */
#ifndef TESTBED_UFFD_H
#define TESTBED_UFFD_H

#include <stdbool.h>
#include <stddef.h>

/* A descriptor with the range registered for write protection, or -errno. */
int uffd_watch_writes(void *addr, size_t bytes);

/* Protect a part of the range, or let it be written. 0 or -errno. */
int uffd_protect(int fd, void *addr, size_t bytes, bool on);

/*
 * Have a thread write one byte to itself at @addr; let it go on if it faults.
 * 1 if it was told of as a write to a protected page, 0 if it was not, or a
 * negative number if something else came or nothing ended in time.
 */
int uffd_write(int fd, void *addr);

/* The same on a page of @bytes, which is let through as a whole. */
int uffd_write_in(int fd, void *addr, size_t bytes);

#endif /* TESTBED_UFFD_H */
