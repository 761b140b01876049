/* SPDX-License-Identifier: GPL-2.0-only */
/* Pages for KSM to merge, and which of them it has. */
#ifndef TESTBED_KSM_H
#define TESTBED_KSM_H

#include "pages.h"

#define KSM	"/sys/kernel/mm/ksm/"

/* A number in sysfs: "pages_shared". -1 if there is none. */
long ksm_count(const char *name);

/* @count pages with the content of @seed on @node, for ksmd to find. */
long ksm_map(struct pages *p, long count, uint64_t seed, int node);

/* The same of pages that are mapped already, private ones. 0 or not. */
long ksm_fill(struct pages *p, uint64_t seed, int node);

/* Pages of the two, one by one, in one frame that is flagged as merged. */
long ksm_merged(const struct pages *p, const struct pages *q);

/*
 * Let ksmd run until all pages of the two are merged, one by one, then stop it.
 * "" if they are within 15 s, or what went wrong.
 */
const char *ksm_merge(const struct pages *p, const struct pages *q);

/*
 * Have ksmd scan without a pause once it runs; and stop it, with the kernel's
 * own pace put back. 0 or -errno.
 */
int ksm_hurry(void);
int ksm_end(void);

#endif /* TESTBED_KSM_H */
