// SPDX-License-Identifier: GPL-2.0-only
/* Small pages without a file: plain ones, locked ones, and the zero page. */
#include <sys/mman.h>

#include <linux/kernel-page-flags.h>

#include "backings.h"
#include "pagemap.h"
#include "pattern.h"
#include "placement.h"
#include "syscalls.h"

static int map_private(struct area *area)
{
	return pages_map(area->pages, area->backing->count, MAP_PRIVATE);
}

static int map_shared(struct area *area)
{
	return pages_map(area->pages, area->backing->count, MAP_SHARED);
}

static long fill(struct area *area)
{
	return pages_populate(area->pages);
}

/* Not without KSM: stable_page_flags() of 6.12 says KSM of all anon pages. */
static const char *is_anon(struct area *area)
{
	return area_has_flags(area, KPF(ANON) | KPF(SWAPBACKED), KPF(THP));
}

static const char *is_shmem(struct area *area)
{
	return area_has_flags(area, KPF(SWAPBACKED),
			      KPF(ANON) | KPF(THP) | KPF(SWAPCACHE));
}

const struct backing backing_anon_private = {
	.name = "anon-private",
	.count = 16,
	.folio = 1,
	.map = map_private,
	.fill = fill,
	.check = is_anon,
	.finish = area_write,
};

const struct backing backing_anon_shared = {
	.name = "anon-shared",
	.count = 16,
	.folio = 1,
	.map = map_shared,
	.fill = fill,
	.check = is_shmem,
	.finish = area_write,
};

static long fill_locked(struct area *area)
{
	struct pages *p = area->pages;

	return fill(area) ? : mlock(p->addr, p->count * PAGE_BYTES);
}

static const char *is_locked(struct area *area)
{
	return area_has_flags(area, KPF(ANON) | 1UL << KPF_MLOCKED |
			      KPF(UNEVICTABLE), 0);
}

/* What is locked can be unlocked: no page keeps the flag for ever. */
static const char *unlock(struct area *area)
{
	struct pages *p = area->pages;

	if (munlock(p->addr, p->count * PAGE_BYTES))
		return "munlock(2) fails";
	return area_has_flags(area, KPF(ANON), 1UL << KPF_MLOCKED);
}

const struct backing backing_mlocked = {
	.name = "mlocked",
	.count = 16,
	.folio = 1,
	.map = map_private,
	.fill = fill_locked,
	.check = is_locked,
	.finish = unlock,
};

static long fill_by_reading(struct area *area)
{
	long i;

	for (i = 0; i < area->pages->count; i++)
		pages_read(area->pages, i);
	return 0;
}

/* Not by area_has_flags(): what move_pages(2) calls absent is there. */
static const char *is_zero(struct area *area)
{
	struct pages *p = area->pages;
	uint64_t entries[p->count], flags;
	long i;

	problems_clear(&area->problems);
	if (pagemap_read(p->pid, p->addr, p->count, entries))
		return "reading pagemap";
	for (i = 0; i < p->count; i++) {
		if (kpageflags_read(pagemap_pfn(entries[i]), &flags))
			return "reading kpageflags";
		if (!(flags & KPF(ZERO_PAGE)) ||
		    pagemap_pfn(entries[i]) != pagemap_pfn(entries[0]))
			problems_add(&area->problems,
				     "page %ld: pagemap %#lx, kpageflags %#lx: not the zero page",
				     i, entries[i], flags);
	}
	return problems_text(&area->problems);
}

/* All zeros still; and what is written gets a page where the policy says. */
static const char *write_to_zero(struct area *area)
{
	struct pages *p = area->pages;
	long i, word;
	int status;

	for (i = 0; i < p->count; i++) {
		for (word = 0; word < (long)(PAGE_BYTES / sizeof(long)); word++)
			if (((long *)pages_at(p, i))[word])
				return "the zero page is not zero";
		pattern_fill(pages_at(p, i), p->seed, i);
		if (pattern_check(pages_at(p, i), p->seed, i) >= 0)
			return "what was written is not there";
		if (placement_query(0, pages_at(p, i), 1, &status))
			return "move_pages(2) query fails";
		if (status < 0 || (area->policy >= 0 && status != area->policy))
			return "the new page is not where the policy says";
	}
	return "";
}

/* add_folio_for_migration() and do_pages_stat_array(), 6.12: EFAULT. */
const struct backing backing_zero_page = {
	.name = "zero-page",
	.fate = FATE_ABSENT,
	.absent = UNMAPPED,
	.count = 16,
	.folio = 1,
	.renews = true,
	.map = map_private,
	.fill = fill_by_reading,
	.check = is_zero,
	.finish = write_to_zero,
};
