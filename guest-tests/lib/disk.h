/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A file system on a disk in memory (/dev/ram0), for page cache that is written
 * back. Only the calling process and its children see it, and it goes with
 * the last of them: it is mounted in a mount namespace of its own.
 */
#ifndef TESTBED_DISK_H
#define TESTBED_DISK_H

#include <stddef.h>
#include <stdint.h>

/* Make an ext4 on it and an empty file in that of @bytes: its fd, or -1. */
int disk_file(size_t bytes);

/* Read a page of the file as the disk has it, past the page cache. 0 or -1. */
int disk_read(int fd, void *page, long number);

/* Pages of the first @count that the disk has otherwise than of @seed. */
long disk_bad(int fd, uint64_t seed, long count);

/* Unmount it, as far as this process goes. */
void disk_end(void);

#endif /* TESTBED_DISK_H */
