// SPDX-License-Identifier: GPL-2.0-only
#include <string.h>
#include <sys/mman.h>

#include "pattern.h"
#include "rival.h"
#include "syscalls.h"

void rival_renew(struct contest *c, long index)
{
	static const char zeroes[4096];
	struct pages *p = &c->pages;

	if (memcmp(pages_at(p, index), zeroes, sizeof(zeroes)))
		c->wrong = "what was taken away is still there";
	pattern_fill(pages_at(p, index), p->seed, index);
	c->acted++;
}

void rival_unmap(void *contest, int round)
{
	struct contest *c = contest;
	struct pages *p = &c->pages;
	void *addr;
	long i;

	for (i = round % 2; i < p->count; i += 2) {
		munmap(pages_at(p, i), PAGE_BYTES);
		addr = mmap(pages_at(p, i), PAGE_BYTES, PROT_READ | PROT_WRITE,
			    c->sharing | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		if (addr == MAP_FAILED) {
			c->wrong = "no new memory could be mapped";
			return;
		}
		rival_renew(c, i);
	}
}

void rival_discard(void *contest, int round)
{
	struct contest *c = contest;
	struct pages *p = &c->pages;
	long i;

	for (i = round % 2; i < p->count; i += 2) {
		if (madvise(pages_at(p, i), PAGE_BYTES, MADV_DONTNEED))
			c->wrong = "MADV_DONTNEED failed";
		if (c->sharing == MAP_PRIVATE) {
			rival_renew(c, i);
			continue;
		}
		if (pattern_check(pages_at(p, i), p->seed, i) >= 0)
			c->wrong = "shared memory was lost with its mapping";
		c->acted++;
	}
}

void rival_remap(void *contest, int round)
{
	struct contest *c = contest;
	size_t bytes = c->pages.count * PAGE_BYTES;
	char *home = c->pages.addr, *away;

	(void)round;
	away = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (away == MAP_FAILED ||
	    mremap(home, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, away) !=
	    away) {
		c->wrong = "mremap(2) to another place failed";
		return;
	}
	if (pattern_check(away, c->pages.seed, 0) >= 0)
		c->wrong = "content is wrong at the other place";
	if (mremap(away, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, home) !=
	    home)
		c->wrong = "mremap(2) back failed";
	c->acted++;
}
