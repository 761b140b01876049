// SPDX-License-Identifier: GPL-2.0-only
#include "pattern.h"
#include "syscalls.h"

/* Odd, so that no two words of a page are alike. */
#define STEP	0x9e3779b97f4a7c15ULL

/* The finalizer of splitmix64: neighbouring inputs share no bits. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static uint64_t first_word(uint64_t seed, uint64_t number)
{
	return mix(mix(seed + STEP) + number);
}

void pattern_fill(void *page, uint64_t seed, uint64_t number)
{
	uint64_t value = first_word(seed, number);
	int words = PAGE_BYTES / sizeof(value);
	uint64_t *word = page;
	int i;

	for (i = 0; i < words; i++, value += STEP)
		word[i] = value;
}

int pattern_check(const void *page, uint64_t seed, uint64_t number)
{
	uint64_t value = first_word(seed, number);
	int words = PAGE_BYTES / sizeof(value);
	const uint64_t *word = page;
	int i;

	for (i = 0; i < words; i++, value += STEP)
		if (word[i] != value)
			return i * (int)sizeof(*word);
	return -1;
}

uint64_t pattern_word(uint64_t seed, uint64_t number, int offset)
{
	return first_word(seed, number) + offset / sizeof(uint64_t) * STEP;
}
