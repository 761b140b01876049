// SPDX-License-Identifier: GPL-2.0-only
/* Pages that KSM merged: each is mapped at two addresses of one process. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/kernel-page-flags.h>

#include "backings.h"
#include "deadline.h"
#include "metric.h"
#include "pagemap.h"
#include "pattern.h"
#include "proc.h"
#include "syscalls.h"

#define RUN		"/sys/kernel/mm/ksm/run"
#define DEADLINE_US	20e6

static size_t bytes_of(struct area *area)
{
	return area->backing->count * PAGE_BYTES;
}

static char *map_more(struct area *area)
{
	char *at = area_reserve(bytes_of(area), PAGE_BYTES);

	if (at == MAP_FAILED)
		return at;
	return mmap(at, bytes_of(area), PROT_READ | PROT_WRITE,
		    MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static int map(struct area *area)
{
	area->twin = map_more(area);
	return area->twin == MAP_FAILED ? -1 :
	       pages_map(area->pages, area->backing->count, MAP_PRIVATE);
}

/* Whether what is mapped at @copy are the frames of the area. */
static bool is_merged_with(struct area *area, char *copy)
{
	struct pages *p = area->pages;
	uint64_t here[p->count], there[p->count];
	long i;

	if (pagemap_read(p->pid, p->addr, p->count, here) ||
	    pagemap_read(p->pid, copy, p->count, there))
		return false;
	for (i = 0; i < p->count; i++)
		if (!pagemap_pfn(here[i]) ||
		    pagemap_pfn(here[i]) != pagemap_pfn(there[i]))
			return false;
	return true;
}

/* Fill @copy with the same, and have ksmd run until both are one. */
static long merge_with(struct area *area, char *copy)
{
	double deadline = deadline_after_us(DEADLINE_US);
	struct pages *p = area->pages;
	long i;

	for (i = 0; i < p->count; i++)
		pattern_fill(copy + i * PAGE_BYTES, p->seed, i);
	if (madvise(p->addr, bytes_of(area), MADV_MERGEABLE) ||
	    madvise(copy, bytes_of(area), MADV_MERGEABLE) ||
	    proc_write(RUN, "1"))
		return -1;
	while (!is_merged_with(area, copy) && metric_now_us() < deadline)
		usleep(1000);
	/* The guest begins with it off; what is merged stays so. */
	if (proc_write(RUN, "0"))
		return -1;
	return is_merged_with(area, copy) ? 0 : -1;
}

static long fill(struct area *area)
{
	return pages_populate(area->pages) ? :
	       area_bind_task(area) ? :
	       merge_with(area, area->twin) ? :
	       area_unbind_task(area);
}

static const char *is_ksm(struct area *area)
{
	if (!is_merged_with(area, area->twin))
		return "the two are not the same pages";
	return area_has_flags(area, KPF(ANON) | KPF(KSM), 0);
}

/*
 * KSM knows them where they are now: a third copy is merged with them. Who
 * writes gets a page of his own, and the others see nothing of it.
 */
static const char *merge_and_write(struct area *area)
{
	struct pages *p = area->pages;
	uint64_t seed = p->seed;
	char *third = map_more(area);
	const char *problem;
	long i;

	if (third == MAP_FAILED || merge_with(area, third))
		return "KSM does not merge a third copy with it";
	problem = area_write(area);
	for (i = 0; i < p->count; i++)
		if (pattern_check(area->twin + i * PAGE_BYTES, seed, i) >= 0 ||
		    pattern_check(third + i * PAGE_BYTES, seed, i) >= 0)
			return "a write to one shows in the others";
	return problem;
}

const struct backing backing_ksm = {
	.name = "ksm",
	.fate = FATE_SHARED,
	.twice = true,
	.count = 16,
	.folio = 1,
	.renews = true,
	.map = map,
	.fill = fill,
	.check = is_ksm,
	.finish = merge_and_write,
};
