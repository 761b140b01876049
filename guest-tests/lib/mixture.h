/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pages of all kinds, allocated through each other on one node, as on a
 * machine that has been up for long: in each group of the user's pages there
 * are, at places that a seed draws, a page in a pipe, which can't be moved,
 * and about 16 new files, whose inodes and dentries can be reclaimed.
 */
#ifndef TESTBED_MIXTURE_H
#define TESTBED_MIXTURE_H

#include <stdint.h>

/* Of a group, in pages of the user's. */
#define MIXTURE_DENSE	64
#define MIXTURE_SPARSE	4096

struct mixture {
	uint64_t seed;
	long users;	/* the user's pages, a multiple of the group */
	long group;
	char *user;
	int (*pipes)[2];
	long piped;	/* pages in pipes */
	long files;
};

/*
 * Allocate all of it on @node, by the policy of the task, which is the default
 * again then. The files are in a ramfs of the caller's own (ramfs_begin()).
 * 0 or -1.
 */
int mixture_begin(struct mixture *m, int node, long users, long group,
		  uint64_t seed);

/* Of all these, @count pages in pipes alone. 0 or -1. */
int mixture_pipe(struct mixture *m, int node, long count, uint64_t seed);

/* Give back the user's pages, or the files. 0 or -1. */
int mixture_drop_users(struct mixture *m);
int mixture_drop_files(struct mixture *m);

/*
 * Take the pages out of the pipes, and the rest. How many of them had not the
 * content that went in, or -1.
 */
long mixture_end(struct mixture *m);

#endif /* TESTBED_MIXTURE_H */
