// SPDX-License-Identifier: GPL-2.0-only
/*
 * Folios of many pages: THPs, whole and partly mapped, smaller large folios,
 * and pages of hugetlbfs. An area has two of each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <linux/kernel-page-flags.h>

#include "backings.h"
#include "hugetlb.h"
#include "kernel.h"
#include "nodes.h"
#include "pagemap.h"
#include "proc.h"
#include "syscalls.h"

/* 2 MiB: what a PMD maps, on x86-64 and with PAE. */
#define HUGE		512
#define HUGE_BYTES	(HUGE * PAGE_BYTES)
/* 64 KiB. */
#define LARGE		16

#define LARGE_ENABLED \
	"/sys/kernel/mm/transparent_hugepage/hugepages-64kB/enabled"

static int map_anon(struct area *area)
{
	return area_map_fd(area, -1, PROT_READ | PROT_WRITE, MAP_PRIVATE,
			   HUGE_BYTES);
}

static long fill_thps(struct area *area)
{
	struct pages *p = area->pages;

	return madvise(p->addr, p->count * PAGE_BYTES, MADV_HUGEPAGE) ? :
	       pages_populate(p);
}

/* Each is one folio: a head, tails, and frames in one run. */
static const char *in_folios_of(struct area *area, long folio)
{
	struct pages *p = area->pages;
	uint64_t entries[p->count], flags, kind;
	long i;

	if (pagemap_read(p->pid, p->addr, p->count, entries))
		return "reading pagemap";
	problems_clear(&area->problems);
	for (i = 0; i < p->count; i++) {
		kind = i % folio ? KPF(COMPOUND_TAIL) : KPF(COMPOUND_HEAD);
		if (kpageflags_read(pagemap_pfn(entries[i]), &flags))
			return "reading kpageflags";
		if (!(flags & kind) || pagemap_pfn(entries[i]) !=
		    pagemap_pfn(entries[i - i % folio]) + i % folio) {
			problems_add(&area->problems,
				     "page %ld: pagemap %#lx, kpageflags %#lx: not in a folio of %ld pages",
				     i, entries[i], flags, folio);
			break;
		}
	}
	return problems_text(&area->problems);
}

/* Bytes of the VMAs that begin in the area that @field of smaps counts. */
static long smaps_bytes(struct area *area, const char *field)
{
	uintptr_t first = (uintptr_t)area->pages->addr, start, end;
	uintptr_t last = first + area->pages->count * PAGE_BYTES;
	char path[64], *line = NULL;
	bool inside = false;
	size_t room = 0;
	long sum = 0;
	FILE *file;

	proc_path(path, sizeof(path), area->pages->pid, "smaps");
	file = fopen(path, "re");
	if (!file)
		return -1;
	while (getline(&line, &room, file) > 0) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = start >= first && start < last;
		else if (inside && !strncmp(line, field, strlen(field)))
			sum += strtol(line + strlen(field), NULL, 10) * 1024;
	}
	free(line);
	fclose(file);
	return sum;
}

static const char *is_thp(struct area *area)
{
	const char *problem = in_folios_of(area, HUGE);
	long mapped = smaps_bytes(area, "AnonHugePages:");

	if (*problem)
		return problem;
	if (mapped != area->pages->count * (long)PAGE_BYTES)
		problems_add(&area->problems, "%ld bytes are mapped by PMDs",
			     mapped);
	return problems_text(&area->problems);
}

const struct backing backing_thp = {
	.name = "thp",
	.count = 2 * HUGE,
	.folio = HUGE,
	.thp = true,
	.map = map_anon,
	.fill = fill_thps,
	.check = is_thp,
	.finish = area_write,
};

static int map_partly(struct area *area)
{
	int error = map_anon(area);

	area->pages->unkept = KPF(THP) | KPF(COMPOUND_HEAD) |
			      KPF(COMPOUND_TAIL);
	return error;
}

/* The upper half of each THP is given back, yet stays part of the folio. */
static long fill_partly(struct area *area)
{
	struct pages *p = area->pages;
	long i, error = fill_thps(area);

	for (i = HUGE / 2; i < p->count && !error; i += HUGE)
		error = madvise(pages_at(p, i), HUGE_BYTES / 2, MADV_DONTNEED);
	return error;
}

/*
 * migrate_pages_batch() looks for it since 6.10; before, it moves it whole. Of
 * what is split, the base pages that nobody maps are free once they are single
 * (migrate_folio_unmap() calls that a success).
 */
static bool partly_mapped_splits(void)
{
	return !kernel_before(6, 10);
}

static const char *is_partly_mapped(struct area *area)
{
	if (smaps_bytes(area, "AnonHugePages:"))
		return "a PMD maps it";
	return area_has_flags(area, KPF(ANON), 0);
}

const struct backing backing_thp_partly_mapped = {
	.name = "thp-partly-mapped",
	.count = 2 * HUGE,
	.folio = HUGE,
	.mapped = HUGE / 2,
	.thp = true,
	.splits = partly_mapped_splits,
	.map = map_partly,
	.fill = fill_partly,
	.check = is_partly_mapped,
	.finish = area_write,
};

/* Before 6.8 there is none of such a size: base pages, and all else alike. */
static int map_large(struct area *area)
{
	if (kernel_before(6, 8))
		area->folio = 1;
	return map_anon(area);
}

static long fill_large(struct area *area)
{
	char was[64], *chosen;
	long error;

	if (kernel_before(6, 8))
		return proc_read(LARGE_ENABLED, was, sizeof(was)) == -ENOENT ?
		       pages_populate(area->pages) : -1;
	if (proc_read(LARGE_ENABLED, was, sizeof(was)) < 0)
		return -1;
	chosen = strtok(strchr(was, '[') + 1, "]");
	error = proc_write(LARGE_ENABLED, "madvise") ? : fill_thps(area);
	return proc_write(LARGE_ENABLED, chosen) ? : error;
}

static const char *is_large(struct area *area)
{
	if (kernel_before(6, 8))
		return area_has_flags(area, KPF(ANON), KPF(THP));
	return in_folios_of(area, LARGE);
}

const struct backing backing_large_folio = {
	.name = "large-folio",
	.count = 2 * LARGE,
	.folio = LARGE,
	.map = map_large,
	.fill = fill_large,
	.check = is_large,
	.finish = area_write,
};

/* Twice what there is use for: what one process reserves no other may take. */
static int map_hugetlb(struct area *area, int sharing)
{
	const long each = 2 * area->backing->count / HUGE;
	unsigned long nodes = nodes_with_memory();
	int i;

	for (i = 0; i < 2; i++) {
		area->saved[i] = hugetlb_pool(nodes_nth(nodes, i),
					      "nr_hugepages");
		if (hugetlb_set_pool(nodes_nth(nodes, i), each))
			return -1;
	}
	return area_map_fd(area, -1, PROT_READ | PROT_WRITE,
			   sharing | MAP_HUGETLB, HUGE_BYTES);
}

static int map_hugetlb_private(struct area *area)
{
	return map_hugetlb(area, MAP_PRIVATE);
}

static int map_hugetlb_shared(struct area *area)
{
	return map_hugetlb(area, MAP_SHARED);
}

static long fill_hugetlb(struct area *area)
{
	return pages_populate(area->pages);
}

/* Each page taken out of the pool of its node, and no page beside the pools. */
static const char *is_hugetlb(struct area *area)
{
	const long each = 2 * area->backing->count / HUGE;
	unsigned long nodes = nodes_with_memory();
	struct pages *p = area->pages;
	const char *problem;
	long i, k, used;
	int node;

	problem = area_has_flags(area, KPF(HUGE), KPF(THP));
	if (*problem)
		return problem;
	for (i = 0; i < 2; i++) {
		node = nodes_nth(nodes, i);
		for (used = 0, k = 0; k < p->count; k += HUGE)
			used += p->want[k] == node;
		if (hugetlb_pool(node, "free_hugepages") != each - used)
			problems_add(&area->problems,
				     "node %d: %ld huge pages free, wanted %ld",
				     node, hugetlb_pool(node, "free_hugepages"),
				     each - used);
		if (hugetlb_pool(node, "surplus_hugepages") ||
		    hugetlb_pool(node, "nr_hugepages") != each)
			problems_add(&area->problems,
				     "node %d: %ld huge pages, %ld surplus",
				     node, hugetlb_pool(node, "nr_hugepages"),
				     hugetlb_pool(node, "surplus_hugepages"));
	}
	return problems_text(&area->problems);
}

static void release_hugetlb(struct area *area)
{
	unsigned long nodes = nodes_with_memory();
	int i;

	munmap(area->pages->addr, area->pages->count * PAGE_BYTES);
	for (i = 0; i < 2; i++)
		hugetlb_set_pool(nodes_nth(nodes, i), area->saved[i]);
}

const struct backing backing_hugetlb_private = {
	.name = "hugetlb-private",
	.count = 2 * HUGE,
	.folio = HUGE,
	.map = map_hugetlb_private,
	.fill = fill_hugetlb,
	.check = is_hugetlb,
	.finish = area_write,
	.release = release_hugetlb,
};

const struct backing backing_hugetlb_shared = {
	.name = "hugetlb-shared",
	.count = 2 * HUGE,
	.folio = HUGE,
	.map = map_hugetlb_shared,
	.fill = fill_hugetlb,
	.check = is_hugetlb,
	.finish = area_write,
	.release = release_hugetlb,
};
