/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a rival does to the mapping that the pages of a contest (race_pages.h)
 * are in, whoever moves them: each finds migration entries where it expects
 * pages. The contest's sharing says of what kind the memory is.
 */
#ifndef TESTBED_RIVAL_H
#define TESTBED_RIVAL_H

#include "race_pages.h"

/*
 * Page @index was taken away: it reads as zeroes, and gets its content again.
 * Counted as acted.
 */
void rival_renew(struct contest *c, long index);

/* Every other page, the even or the odd ones: a hole and new memory in it. */
void rival_unmap(void *contest, int round);

/*
 * The same ones by MADV_DONTNEED: private memory reads as zero afterwards,
 * shared memory as it was.
 */
void rival_discard(void *contest, int round);

/* To another place and back: its page tables change under the migration. */
void rival_remap(void *contest, int round);

#endif /* TESTBED_RIVAL_H */
