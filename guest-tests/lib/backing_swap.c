// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that are on a swap disk, and pages that are read back but still in the
 * swap cache. Both need vm.page-cluster = 0: no neighbour comes along.
 */
#include <sys/mman.h>
#include <unistd.h>

#include <linux/kernel-page-flags.h>

#include "backings.h"
#include "deadline.h"
#include "metric.h"
#include "pagemap.h"
#include "pattern.h"
#include "placement.h"
#include "syscalls.h"

/* In area->saved: a digest of the swap entries, once they were looked at. */
#define ENTRIES		0

#define DEADLINE_US	10e6

static int map(struct area *area)
{
	return pages_map(area->pages, area->backing->count, MAP_PRIVATE);
}

bool area_is_out(struct area *area)
{
	struct pages *p = area->pages;
	unsigned char in[p->count];
	long i;

	if (mincore(p->addr, p->count * PAGE_BYTES, in))
		return false;
	for (i = 0; i < p->count; i++)
		if (in[i] & 1)
			return false;
	return true;
}

long area_drain(struct area *area)
{
	int status;

	return numa_move_pages(0, 1, (void **)&area->pages->addr, &area->home,
			       &status, MPOL_MF_MOVE);
}

/*
 * MADV_PAGEOUT starts to write and leaves pages in the swap cache. Mapped once
 * more, when they are clean, they are let go by the next call.
 */
const char *area_page_out(struct area *area)
{
	double deadline = deadline_after_us(DEADLINE_US);
	struct pages *p = area->pages;

	while (!area_is_out(area)) {
		if (metric_now_us() > deadline)
			return "pages stay in memory";
		usleep(1000);
		if (pages_bad(p))
			return "pages lost their content on the way";
		if (area_drain(area))
			return "move_pages(2) fails";
		if (madvise(p->addr, p->count * PAGE_BYTES, MADV_PAGEOUT))
			return "MADV_PAGEOUT fails";
	}
	return "";
}

static long fill_and_page_out(struct area *area)
{
	return pages_populate(area->pages) ? :
	       *area_page_out(area) ? -1 : 0;
}

static const char *is_swapped(struct area *area)
{
	struct pages *p = area->pages;
	uint64_t entries[p->count];
	long i, digest = 1;

	if (pagemap_read(p->pid, p->addr, p->count, entries))
		return "reading pagemap";
	for (i = 0; i < p->count; i++) {
		if (!(entries[i] & PM_SWAP) || entries[i] & PM_PRESENT)
			return "a page is not a swap entry";
		digest = digest * 31 + (long)entries[i];
	}
	if (area->saved[ENTRIES] && area->saved[ENTRIES] != digest)
		return "the swap entries are others than before";
	area->saved[ENTRIES] = digest;
	return "";
}

/* Read in at last, it is all there, and where the policy says. */
static const char *read_in(struct area *area)
{
	struct pages *p = area->pages;
	int status[p->count];
	long i;

	for (i = 0; i < p->count; i++)
		if (pattern_check(pages_at(p, i), p->seed, i) >= 0)
			return "a page came back with other content";
	if (placement_query(0, p->addr, p->count, status))
		return "move_pages(2) query fails";
	for (i = 0; i < p->count; i++)
		if (status[i] < 0 ||
		    (area->policy >= 0 && status[i] != area->policy))
			return "a page came back to another node than its policy says";
	return "";
}

const struct backing backing_swapped_out = {
	.name = "swapped-out",
	.fate = FATE_ABSENT,
	.absent = UNTOUCHED,
	.count = 16,
	.folio = 1,
	.renews = true,
	.map = map,
	.fill = fill_and_page_out,
	.check = is_swapped,
	.finish = read_in,
};

/* Read, not written to: do_swap_page() leaves it in the swap cache. */
static long fill_swap_cache(struct area *area)
{
	long error = fill_and_page_out(area) ? :
		     area_bind_task(area);

	return error ? : pages_bad(area->pages) ? :
	       area_unbind_task(area);
}

static const char *is_swap_cache(struct area *area)
{
	return area_has_flags(area, KPF(ANON) | KPF(SWAPCACHE), 0);
}

/* Paged out again, to its old entry or a new one, and back it is the same. */
static const char *out_and_in(struct area *area)
{
	const char *problem;
	int status;

	if (placement_query(0, area->pages->addr, 1, &status))
		return "move_pages(2) query fails";
	area->home = status;
	problem = area_page_out(area);
	return *problem ? problem : read_in(area);
}

const struct backing backing_swap_cache = {
	.name = "swap-cache",
	.count = 16,
	.folio = 1,
	.renews = true,
	.map = map,
	.fill = fill_swap_cache,
	.check = is_swap_cache,
	.finish = out_and_in,
};
