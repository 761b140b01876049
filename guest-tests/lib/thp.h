/* SPDX-License-Identifier: GPL-2.0-only */
/* Where a transparent huge page fits, on x86-64. */
#ifndef TESTBED_THP_H
#define TESTBED_THP_H

#include "syscalls.h"

#define THP_PAGES	512
#define THP_BYTES	(THP_PAGES * PAGE_BYTES)

/*
 * Private memory of THP_BYTES at a multiple of that, with MADV_HUGEPAGE and
 * inaccessible pages around it; nothing is touched. MAP_FAILED if it cannot be.
 */
char *thp_map(void);

#endif /* TESTBED_THP_H */
