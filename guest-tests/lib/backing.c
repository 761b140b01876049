// SPDX-License-Identifier: GPL-2.0-only
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "backing.h"
#include "kernel.h"
#include "pagemap.h"
#include "pattern.h"
#include "syscalls.h"

int backing_outcome(const struct backing_outcome *table,
		    const struct backing *backing, int most)
{
	for (; table->backing; table++)
		if (table->backing == backing)
			return table->outcome;
	return most;
}

int area_map(struct area *area, const struct backing *backing,
	     struct pages *pages, int node)
{
	memset(area, 0, sizeof(*area));
	area->backing = backing;
	area->pages = pages;
	area->home = node;
	area->folio = backing->folio;
	area->policy = -1;
	area->fd = -1;
	area->thps = backing->thp ? backing->count / backing->folio : 0;
	if (backing->map(area))
		return -1;
	area_want_all(area, node);
	return 0;
}

long area_fill(struct area *area)
{
	long error;

	pages_want_all(area->pages, area->home);
	error = area->backing->fill(area);
	area_want_all(area, area->home);
	return error;
}

long area_bind_task(const struct area *area)
{
	return area->pages->by_policy ? 0 :
	       numa_set_mempolicy(MPOL_BIND, NODE(area->home));
}

long area_unbind_task(const struct area *area)
{
	return area->pages->by_policy ? 0 :
	       numa_set_mempolicy(MPOL_DEFAULT, 0);
}

/* Whether page @index is there, of the folio that it is part of. */
static bool is_present(const struct area *area, long index)
{
	const struct backing *b = area->backing;

	return b->fate != FATE_ABSENT &&
	       (!b->mapped || index % b->folio < b->mapped);
}

/*
 * Of an empty slot in a page table that is there, of memory without a file,
 * the kernel says EFAULT up to 6.11 (no_page_table() in mm/gup.c, by
 * follow_page() with FOLL_DUMP), and ENOENT since folio_walk_start() of 6.12.
 */
static int absent_status(const struct area *area)
{
	if (area->backing->absent)
		return area->backing->absent;
	return kernel_before(6, 12) ? UNMAPPED : UNTOUCHED;
}

void area_want(struct area *area, long first, long count, int node)
{
	long i;

	for (i = first; i < first + count; i++)
		pages_want(area->pages, i, 1, is_present(area, i) ?
			   node : absent_status(area));
}

void area_want_all(struct area *area, int node)
{
	area_want(area, 0, area->pages->count, node);
}

bool area_moves(const struct area *area, unsigned int flags)
{
	return area->backing->fate == FATE_MOVES ||
	       (area->backing->fate == FATE_SHARED &&
		flags & MPOL_MF_MOVE_ALL);
}

long area_misplaced(const struct area *area, long count, int node)
{
	const struct pages *p = area->pages;
	long i, misplaced = 0;

	for (i = 0; i < count; i += area->folio)
		misplaced += p->was[i].status >= 0 && p->was[i].status != node;
	return misplaced;
}

void area_count(struct area *area, struct counters_want *want, long count,
		int node, unsigned int flags)
{
	const struct backing *b = area->backing;
	long folios = area_misplaced(area, count, node);
	long mapped = b->mapped ? : area->folio;
	long thps = folios < area->thps ? folios : area->thps;

	if (b->fate == FATE_PINNED)
		want->failed += folios * mapped;
	if (!area_moves(area, flags))
		return;
	/* Base pages of a THP that nobody maps move along, or are as good. */
	want->moved += thps * b->folio + (folios - thps) * mapped;
	if (!b->splits || !b->splits()) {
		want->thps_moved += thps;
		return;
	}
	area->thps -= thps;
	want->thps_split += thps;
	want->thps_failed += thps;
}

const char *area_verify(struct area *area, const char *what)
{
	const char *problem = pages_verify(area->pages, what);

	return *problem ? problem : area->backing->check(area);
}

const char *area_finish(struct area *area)
{
	return area->backing->finish ? area->backing->finish(area) : "";
}

void area_release(struct area *area)
{
	if (area->backing && area->backing->release)
		area->backing->release(area);
}

void *area_reserve(size_t bytes, size_t align)
{
	uintptr_t outer, inner;
	void *map = mmap(NULL, bytes + 2 * align, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (map == MAP_FAILED)
		return map;
	outer = (uintptr_t)map;
	inner = (outer + align) & ~(align - 1);
	return (void *)(inner == outer ? inner + align : inner);
}

int area_map_fd(struct area *area, int fd, int prot, int flags, size_t align)
{
	size_t bytes = area->backing->count * PAGE_BYTES;
	void *at = area_reserve(bytes, align);

	if (at == MAP_FAILED)
		return -1;
	if (fd < 0)
		flags |= MAP_ANONYMOUS;
	if (mmap(at, bytes, prot, flags | MAP_FIXED, fd, 0) == MAP_FAILED)
		return -1;
	area->fd = fd;
	return pages_over(area->pages, at, area->backing->count);
}

static void hold_open(struct peer *parent, struct area *area)
{
	long any;

	peer_send(parent, pages_bad(area->pages));
	peer_receive(parent, &any);
	_exit(0);
}

long area_share(struct area *area)
{
	struct peer peer;
	pid_t pid = peer_fork(&peer);
	long bad;

	if (pid < 0)
		return -1;
	if (pid == 0)
		hold_open(&peer, area);
	area->other = peer;
	return peer_receive(&peer, &bad) ? -1 : bad;
}

const char *area_has_flags(struct area *area, uint64_t set, uint64_t clear)
{
	struct pages *p = area->pages;
	uint64_t entries[p->count], flags;
	long i;

	problems_clear(&area->problems);
	if (pagemap_read(p->pid, p->addr, p->count, entries))
		problems_add(&area->problems, "reading pagemap: %m");
	for (i = 0; i < p->count && !area->problems.len; i++) {
		if (!is_present(area, i))
			continue;
		if (kpageflags_read(pagemap_pfn(entries[i]), &flags))
			problems_add(&area->problems, "kpageflags: %m");
		else if ((flags & set) != set || flags & clear)
			problems_add(&area->problems,
				     "page %ld: kpageflags %#lx, wanted set %#lx and clear %#lx",
				     i, flags, set, clear);
	}
	return problems_text(&area->problems);
}

const char *area_content(struct area *area)
{
	long bad = pages_bad(area->pages);

	problems_clear(&area->problems);
	if (bad)
		problems_add(&area->problems, "%ld pages lost their content",
			     bad);
	return problems_text(&area->problems);
}

const char *area_read_back(struct area *area)
{
	struct pages *p = area->pages;
	const char *problem;
	long i;

	for (i = 0; i < p->count; i++)
		if (p->want[i] >= 0)
			pages_read(p, i);
	problem = pages_snapshot(p);
	return *problem ? problem : area_content(area);
}

const char *area_write(struct area *area)
{
	struct pages *p = area->pages;
	long i;

	/* Other content than before, so that a write that is lost shows. */
	p->seed++;
	for (i = 0; i < p->count; i++)
		if (p->want[i] >= 0)
			pattern_fill(pages_at(p, i), p->seed, i);
	return area_content(area);
}
