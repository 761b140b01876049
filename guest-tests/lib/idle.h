/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which frames were used since one last asked: the bitmap of page_idle
 * (Documentation/admin-guide/mm/idle_page_tracking.rst).
 */
#ifndef TESTBED_IDLE_H
#define TESTBED_IDLE_H

#include <stdint.h>

/*
 * Have frame @pfn be idle: the accessed bits of its PTEs are cleared, the TLB
 * is not flushed. 0 or -errno.
 */
int idle_mark(uint64_t pfn);

/* 1 if no PTE and no file access used it since, 0 if any did, or -errno. */
int idle_is(uint64_t pfn);

#endif /* TESTBED_IDLE_H */
