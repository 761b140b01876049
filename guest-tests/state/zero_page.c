// SPDX-License-Identifier: GPL-2.0-only
/*
 * The zero page, and the huge one: mapped by all who read memory that was
 * never written, on whichever node it is. No call moves it, none fails for
 * it, and it is in no account. move_pages(2) says EFAULT.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     zero_page.huge: {kconfig: [TRANSPARENT_HUGEPAGE]}
 *   contract: {12: ["*"]}
 *   covers:
 *     - {cases: "zero_page.*",
 *        interface: [move_pages-set, mbind-move-strict, mbind-move-all,
 *        mbind-strict, migrate_pages-self],
 *        backing: [zero-page], condition: [quiet]}
 */
#include "harness.h"

#include <sys/mman.h>

#include <linux/kernel-page-flags.h>

#include "counters.h"
#include "pagemap.h"
#include "relocate.h"
#include "scene.h"

#define COUNT		16
#define PMD_BYTES	(2UL << 20)

FIXTURE(zero_page)
{
	int a;
	int b;
	struct pages pages;
	struct counters before;
};

FIXTURE_SETUP(zero_page)
{
	FIND_TWO_NODES(self, return);
}

FIXTURE_TEARDOWN(zero_page)
{
}

/* Frames of the pages, all of which are to be flagged as zero pages. */
static int zero_pages(struct pages *p, uint64_t *frames)
{
	uint64_t entries[p->count], flags;
	int i, zero = 0;

	if (pagemap_read(0, p->addr, p->count, entries))
		return -1;
	for (i = 0; i < p->count; i++) {
		frames[i] = pagemap_pfn(entries[i]);
		if (kpageflags_read(frames[i], &flags))
			return -1;
		zero += flags >> KPF_ZERO_PAGE & 1;
	}
	return zero;
}

static int nonzero_bytes(const struct pages *p)
{
	const char *byte = p->addr;
	size_t i;
	int nonzero = 0;

	for (i = 0; i < p->count * PAGE_BYTES; i++)
		nonzero += !!byte[i];
	return nonzero;
}

/* What all calls say of it, to either node; nothing is to come of it. */
static const char *ask_all(struct pages *p, int node)
{
	static struct problems problems;
	const unsigned int flags[] = {
		MPOL_MF_STRICT, MPOL_MF_MOVE | MPOL_MF_STRICT,
		MPOL_MF_MOVE_ALL | MPOL_MF_STRICT,
	};
	int nodes[p->count], status[p->count];
	void *addrs[p->count];
	unsigned int k;
	long i, result;

	problems_clear(&problems);
	for (i = 0; i < p->count; i++) {
		addrs[i] = pages_at(p, i);
		nodes[i] = node;
	}
	result = numa_move_pages(0, p->count, addrs, nodes, status,
				 MPOL_MF_MOVE_ALL);
	if (result)
		problems_add(&problems, "move_pages(2): %ld", result);
	for (i = 0; i < p->count; i++)
		if (status[i] != -EFAULT)
			problems_add(&problems, "status %ld: %d", i,
				     status[i]);
	for (k = 0; k < ARRAY_SIZE(flags); k++) {
		result = numa_mbind(p->addr, p->count * PAGE_BYTES, MPOL_BIND,
				    NODE(node), flags[k]);
		if (result)
			problems_add(&problems, "mbind(2), flags %#x: %ld",
				     flags[k], result);
	}
	return problems_text(&problems);
}

TEST_F(zero_page, base)
{
	struct pages *p = &self->pages;
	uint64_t was[COUNT], now[COUNT];
	struct placement seen;
	int i;

	ASSERT_EQ(0, pages_map(p, COUNT, MAP_PRIVATE));
	for (i = 0; i < COUNT; i++)
		pages_read(p, i);
	ASSERT_EQ(COUNT, zero_pages(p, was));
	for (i = 1; i < COUNT; i++)
		ASSERT_EQ(was[0], was[i]);
	ASSERT_EQ(0, relocate_drain());
	ASSERT_EQ(0, counters_read(&self->before));
	EXPECT_CLEAN(ask_all(p, self->b));
	EXPECT_CLEAN(ask_all(p, self->a));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
	/* A whole process: what else it has does move, this does not. */
	EXPECT_EQ(0, numa_migrate_pages(0, NODE(self->a), NODE(self->b)));
	EXPECT_EQ(0, numa_migrate_pages(0, NODE(self->b), NODE(self->a)));
	EXPECT_EQ(COUNT, zero_pages(p, now));
	EXPECT_EQ(0, memcmp(was, now, sizeof(was)));
	EXPECT_EQ(0, nonzero_bytes(p));
	ASSERT_EQ(0, placement_numa_maps(0, p->addr, COUNT, &seen));
	EXPECT_EQ(0, seen.on[self->a] + seen.on[self->b]);

	/* Who writes gets a page of its own where the policy says: on a. */
	pages_want_all(p, self->a);
	for (i = 0; i < COUNT; i++)
		*(uint64_t *)pages_at(p, i) = 0;
	EXPECT_CLEAN(pages_snapshot(p));
	EXPECT_EQ(0, zero_pages(p, now));
	EXPECT_EQ(0, nonzero_bytes(p));
}

/* Zero pages between pages that do move. */
TEST_F(zero_page, in_between)
{
	struct pages *p = &self->pages;
	uint64_t frames[COUNT];
	int i;

	ASSERT_EQ(0, pages_map(p, COUNT, MAP_PRIVATE));
	for (i = 0; i < COUNT; i += 2)
		pages_want(p, i, 1, self->a);
	ASSERT_EQ(0, pages_populate(p));
	for (i = 1; i < COUNT; i += 2)
		pages_read(p, i);
	ASSERT_EQ(COUNT / 2, zero_pages(p, frames));
	/* Of these a query says EFAULT, and want is compared with it. */
	for (i = 1; i < COUNT; i += 2)
		pages_want(p, i, 1, -EFAULT);
	EXPECT_CLEAN(relocate_to(p, self->b, "others moved"));
	EXPECT_CLEAN(relocate_to_by_mbind(p, self->a, "and back"));
	EXPECT_EQ(COUNT / 2, zero_pages(p, frames));
}

TEST_F(zero_page, huge)
{
	struct pages *p = &self->pages;
	uint64_t was[PMD_BYTES / 4096], now[PMD_BYTES / 4096];
	char *area;

	area = mmap(NULL, 2 * PMD_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, area);
	area += -(uintptr_t)area % PMD_BYTES;
	ASSERT_EQ(0, madvise(area, PMD_BYTES, MADV_HUGEPAGE));
	ASSERT_EQ(0, pages_over(p, area, PMD_BYTES / PAGE_BYTES));
	pages_read(p, 0);
	ASSERT_EQ(p->count, zero_pages(p, was));
	/* One frame after the other: mapped as one. */
	ASSERT_EQ(was[0] + p->count - 1, was[p->count - 1]);
	ASSERT_EQ(0, relocate_drain());
	ASSERT_EQ(0, counters_read(&self->before));
	EXPECT_CLEAN(ask_all(p, self->b));
	EXPECT_CLEAN(ask_all(p, self->a));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
	EXPECT_EQ(p->count, zero_pages(p, now));
	EXPECT_EQ(0, memcmp(was, now, sizeof(was)));
	EXPECT_EQ(0, nonzero_bytes(p));
}

TEST_HARNESS_MAIN
