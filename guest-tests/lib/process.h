/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All pages of a process, by frame: migrate_pages(2) and cpusets move whole
 * processes, stack, heap and text too, and what they report is checked
 * against this.
 */
#ifndef TESTBED_PROCESS_H
#define TESTBED_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

#define PROCESS_MAX_PAGES	16384

struct process_page {
	uintptr_t addr;
	uint64_t pfn;
	int node;
};

/* In order of address; special mappings such as [vdso] are left out. */
struct process {
	int count;
	struct process_page page[PROCESS_MAX_PAGES];
};

/* The process is to stand still meanwhile. 0 or -1. */
int process_read(struct process *p, pid_t pid);

/* How many distinct frames are on @nodes. */
long process_frames_on(const struct process *p, unsigned long nodes);

/* How many distinct frames of @was are at the same address no more. */
long process_frames_moved(const struct process *was,
			  const struct process *now);

#endif /* TESTBED_PROCESS_H */
