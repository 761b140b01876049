/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Frames and their state: /proc/<pid>/pagemap and /proc/kpageflags
 * (Documentation/admin-guide/mm/pagemap.rst). Needs CAP_SYS_ADMIN, or every
 * frame number reads as 0.
 */
#ifndef TESTBED_PAGEMAP_H
#define TESTBED_PAGEMAP_H

#include <stdint.h>
#include <sys/types.h>

#define PM_PFN_MASK		((1UL << 55) - 1)
#define PM_SOFT_DIRTY		(1UL << 55)
#define PM_MMAP_EXCLUSIVE	(1UL << 56)
#define PM_UFFD_WP		(1UL << 57)
#define PM_FILE			(1UL << 61)
#define PM_SWAP			(1UL << 62)
#define PM_PRESENT		(1UL << 63)

/* Bit numbers that <linux/kernel-page-flags.h> does not show to user space. */
#define KPF_MLOCKED		33

/* The entries of @count pages from @addr on; pid 0 is the caller's. 0 or -1. */
int pagemap_read(pid_t pid, const void *addr, long count, uint64_t *entries);

/* Of them, those that have @value in the bits of @mask; -1 if unreadable. */
long pagemap_count(pid_t pid, const void *addr, long count, uint64_t mask,
		   uint64_t value);

/* The frame of an entry; 0 where no page is present. */
uint64_t pagemap_pfn(uint64_t entry);

/* The frame at @addr; 0 where no page is present, or it cannot be read. */
uint64_t pagemap_frame(pid_t pid, const void *addr);

/* The flags of frame @pfn, 1 << KPF_x each. 0 or -1. */
int kpageflags_read(uint64_t pfn, uint64_t *flags);

/* Write "4" to clear_refs: the caller's pages are soft-dirty no more. */
int pagemap_clear_soft_dirty(void);

#endif /* TESTBED_PAGEMAP_H */
