/* SPDX-License-Identifier: GPL-2.0-only */
/* Pages in swap space, and in its cache. */
#ifndef TESTBED_SWAP_H
#define TESTBED_SWAP_H

#include <stdbool.h>
#include <stdint.h>

#include "pages.h"

/* Whether there is swap space with so much left. */
bool swap_has_room(long pages);

/*
 * Reclaim @count pages from @first on until this process maps none of them. Their
 * frames may linger in the swap cache, clean, as the write is asynchronous.
 * They are wanted UNTOUCHED from then on. "" or what went wrong.
 */
const char *swap_out(struct pages *p, long first, long count);

/*
 * The same, and out of the swap cache too: once written they are read back and
 * reclaimed again, clean. Nothing else is to be in the swap cache.
 */
const char *swap_out_wholly(struct pages *p, long first, long count);

/*
 * Take all swap space out of use, or put what was taken out back in use: what
 * is full then stays so. 0 or -errno.
 */
struct swap_areas {
	int count;
	char path[4][64];
};

int swap_stop(struct swap_areas *areas);
int swap_resume(const struct swap_areas *areas);

/*
 * Swap space of so many pages, a header among them, on a RAM disk
 * (CONFIG_BLK_DEV_RAM), the only one for as long as it is there. It is written
 * to at once, and machines without a swap disk have it too. 0 or -errno.
 */
int swap_ram_begin(struct swap_areas *others, long pages);
int swap_ram_end(const struct swap_areas *others);

/* The swap entry of a page, as pagemap has it: 0 if it is present or empty. */
uint64_t swap_entry(const struct pages *p, long index);

#endif /* TESTBED_SWAP_H */
