/* SPDX-License-Identifier: GPL-2.0-only */
/* Pages in swap space, and in its cache. */
#ifndef TESTBED_SWAP_H
#define TESTBED_SWAP_H

#include <stdbool.h>

#include "pages.h"

/* Whether there is swap space with so much left. */
bool swap_has_room(long pages);

/*
 * Reclaim @count pages from @first on until no PTE maps them any more. Their
 * frames may linger in the swap cache, clean, as the write is asynchronous.
 * They are wanted UNTOUCHED from then on. "" or what went wrong.
 */
const char *swap_out(struct pages *p, long first, long count);

/* The swap entry of a page, as pagemap has it: 0 if it is present or empty. */
uint64_t swap_entry(const struct pages *p, long index);

#endif /* TESTBED_SWAP_H */
