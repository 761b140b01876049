/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * /proc/<pid>/migrate of patches/manual-migration: requests written, and what
 * became of them read. An open file is a descriptor, or -errno.
 */
#ifndef TESTBED_MIGRATE_FILE_H
#define TESTBED_MIGRATE_FILE_H

#include <sys/types.h>

#include "pages.h"

/* For reading and writing; pid 0 is the caller's own. */
int migrate_file_open(pid_t pid);

/* The request in one write(2): 0 if it took all of it, or -errno. */
long migrate_file_ask(int fd, const char *request)
	__attribute__((nonnull));

/*
 * The same of the addresses from @start to @end, "0:1,1:0"; of @count pages
 * from @first on; and of the whole process.
 */
long migrate_file_ask_span(int fd, const void *start, const void *end,
			   const char *map);
long migrate_file_ask_range(int fd, const struct pages *p, long first,
			    long count, const char *map);
long migrate_file_ask_all(int fd, const char *map);

/* All that can be read now, in one of a few static buffers; "" is nothing. */
const char *migrate_file_told(int fd);

/* What a read is to give. */
const char *migrate_file_text(long moved, long failed, long shared);

/* The same as numbers. 0 or -1 if that is not what it says. */
struct migrate_told {
	long moved;
	long failed;
	long shared;
};

int migrate_file_read(int fd, struct migrate_told *told);

/*
 * All of process @pid, line by line of its maps, and the sums of what was told.
 * "" or what went wrong.
 */
const char *migrate_file_ask_maps(int fd, pid_t pid, const char *map,
				  struct migrate_told *sum);

/* "0:1", "0:1,1:0": in one of a few static buffers. */
const char *migrate_map_one(int from, int to);
const char *migrate_map_two(int from, int to, int from2, int to2);

/* "sets:0-1:2-3", likewise. */
const char *migrate_map_sets(unsigned long from, unsigned long to);

#endif /* TESTBED_MIGRATE_FILE_H */
