/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where pages are, found in two ways that share no code in the kernel: a
 * move_pages(2) query (do_pages_stat() in mm/migrate.c) and numa_maps
 * (fs/proc/task_mmu.c). Neither faults a page in, unlike get_mempolicy(2)
 * with MPOL_F_NODE | MPOL_F_ADDR.
 */
#ifndef TESTBED_PLACEMENT_H
#define TESTBED_PLACEMENT_H

#include <stdbool.h>
#include <sys/types.h>

#include "syscalls.h"

/* Pages by node; what is on no node (never touched, unmapped) is absent. */
struct placement {
	long on[MAX_NODES];
	long absent;
};

/* Count one answer of move_pages(2): a node, or -errno for an absent page. */
void placement_add(struct placement *seen, int status);

bool placement_equal(const struct placement *a, const struct placement *b);

/* The status of @count pages from @addr on; pid 0 is the caller. 0 or -errno */
long placement_query(pid_t pid, void *addr, long count, int *status);

/*
 * Totals in base pages over the VMAs that begin in the range; absent is not
 * told. 0 or -1.
 */
int placement_numa_maps(pid_t pid, void *addr, long count,
			struct placement *seen);

/*
 * The policy of the VMA that begins at @addr, as numa_maps has it: "default",
 * "bind:0-1", "bind=static:1". "" if there is none.
 */
const char *placement_policy(pid_t pid, void *addr, char *text, size_t bytes);

/* {"0": 4, "1": 12}; the key -1 stands for absent. */
const char *placement_text(const struct placement *seen, char *text,
			   size_t bytes);

/*
 * "1 0 -ENOENT 1": what move_pages(2) said, entry by entry; in one of a few
 * static buffers, so that two of them can be compared.
 */
const char *placement_statuses(const int *status, long count);

/* Tell the host: the line that it reads back from the test's output. */
void placement_print(const char *what, const struct placement *expected,
		     const struct placement *seen);

#endif /* TESTBED_PLACEMENT_H */
