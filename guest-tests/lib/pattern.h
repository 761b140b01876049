/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page contents that give away a page that was zeroed, swapped with another,
 * shifted, torn or left over from before: every word depends on the seed, on
 * the number of the page and on its place in the page.
 */
#ifndef TESTBED_PATTERN_H
#define TESTBED_PATTERN_H

#include <stdint.h>

void pattern_fill(void *page, uint64_t seed, uint64_t number);

/* The offset in bytes of the first word that is wrong, or -1. */
int pattern_check(const void *page, uint64_t seed, uint64_t number);

/* The word that belongs at @offset (a multiple of 8), for messages. */
uint64_t pattern_word(uint64_t seed, uint64_t number, int offset);

#endif /* TESTBED_PATTERN_H */
