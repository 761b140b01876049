// SPDX-License-Identifier: GPL-2.0-only
/*
 * The target has no huge frame, by fail_page_alloc: a huge page is split, and
 * its pages move one by one, or as many of them as there are frames for. Of
 * those that are left over the call says that one page is, the huge one: that
 * memory has run out is not told of parts (migrate_pages_sync() and
 * migrate_pages_batch() in mm/migrate.c, 6.12). no_memory.c has more of it.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, TRANSPARENT_HUGEPAGE,
 *             FAIL_PAGE_ALLOC, FAULT_INJECTION_DEBUG_FS]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {12: ["*"], 16: ["*"]}
 *   covers:
 *     - {cases: "split_thp.move_pages*", interface: [move_pages-set],
 *        backing: [thp], condition: [target-full]}
 *     - {cases: "split_thp.mbind*", interface: [mbind-move-strict],
 *        backing: [thp], condition: [target-full]}
 */
#include "harness.h"

#include <sys/mman.h>

#include <linux/kernel-page-flags.h>

#include "counters.h"
#include "fail_alloc.h"
#include "kernel.h"
#include "nodes.h"
#include "pages.h"
#include "placement.h"
#include "smaps.h"
#include "thp.h"

#define THP_ORDER	9
/*
 * Frames that are granted where not all are. Some of them may become slabs, of
 * which the call takes what it notes the policy in.
 */
#define FEW		200
#define SLABS		4
#define UNWRITTEN	-12345

FIXTURE(split_thp)
{
	int a;
	int b;
	struct pages pages;
	struct counters before;
};

FIXTURE_SETUP(split_thp)
{
	unsigned long nodes = nodes_with_memory();
	struct pages *p = &self->pages;
	char *addr;

	ASSERT_LE(2, nodes_count(nodes));
	self->a = nodes_nth(nodes, 0);
	self->b = nodes_nth(nodes, 1);
	addr = thp_map();
	ASSERT_NE(MAP_FAILED, (void *)addr);
	ASSERT_EQ(0, pages_over(p, addr, THP_PAGES));
	pages_want_all(p, self->a);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ((long)THP_BYTES / 1024, smaps_kib(0, addr, "AnonHugePages"));
	ASSERT_EQ(0, fail_alloc_begin());
	ASSERT_EQ(0, counters_read(&self->before));
}

FIXTURE_TEARDOWN(split_thp)
{
	EXPECT_EQ(0, fail_alloc_end());
}

/* A huge page no more: each page is to have what all of it had. */
static void want_split(struct pages *p)
{
	long i;

	p->was[0].kflags &= ~(1UL << KPF_THP | 1UL << KPF_COMPOUND_HEAD);
	for (i = 1; i < THP_PAGES; i++)
		p->was[i].kflags = p->was[0].kflags;
}

/* Want each page where it is, which is to be node @a or @b; those on @b. */
static long want_as_found(struct pages *p, int a, int b)
{
	int status[THP_PAGES];
	long i, moved = 0;

	if (placement_query(0, p->addr, THP_PAGES, status))
		return -1;
	for (i = 0; i < THP_PAGES; i++) {
		pages_want(p, i, 1, status[i] == b ? b : a);
		moved += status[i] == b;
	}
	return moved;
}

/* "" if it was split and each page is where it was wanted. */
static const char *check_split(struct pages *p, const char *what)
{
	want_split(p);
	if (smaps_kib(0, p->addr, "AnonHugePages"))
		return "a PMD maps it";
	return pages_verify(p, what);
}

static long by_move_pages(const struct pages *p, int node, int *status)
{
	/* Any of its pages stands for all. */
	void *addr = pages_at(p, 17);

	*status = UNWRITTEN;
	return numa_move_pages(0, 1, &addr, &node, status, MPOL_MF_MOVE);
}

static long by_mbind(const struct pages *p, int node)
{
	return numa_mbind(p->addr, THP_BYTES, MPOL_BIND, NODE(node),
			  MPOL_MF_MOVE | MPOL_MF_STRICT);
}

/* The huge page is the one that failed and was split; its pages are counted. */
static const struct counters_want all_of_it = {
	.moved = THP_PAGES, .thps_failed = 1, .thps_split = 1,
};

TEST_F(split_thp, move_pages)
{
	struct pages *p = &self->pages;
	int status;

	ASSERT_EQ(0, fail_alloc_after(0, THP_ORDER));
	EXPECT_EQ(0, by_move_pages(p, self->b, &status));
	ASSERT_EQ(0, fail_alloc_no_more());
	EXPECT_EQ(self->b, status);
	EXPECT_EQ(THP_PAGES, want_as_found(p, self->a, self->b));
	EXPECT_CLEAN(check_split(p, "told of one page of it"));
	EXPECT_CLEAN(counters_verify_all(&self->before, &all_of_it));
}

TEST_F(split_thp, mbind)
{
	struct pages *p = &self->pages;

	ASSERT_EQ(0, fail_alloc_after(0, THP_ORDER));
	EXPECT_EQ(0, by_mbind(p, self->b));
	ASSERT_EQ(0, fail_alloc_no_more());
	EXPECT_EQ(THP_PAGES, want_as_found(p, self->a, self->b));
	EXPECT_CLEAN(check_split(p, "bound"));
	EXPECT_CLEAN(counters_verify_all(&self->before, &all_of_it));
}

/*
 * Moved in part: as with base pages the first that could not is counted as
 * failed. With frames again the rest moves, and none twice.
 */
#define EXPECT_FEW_THEN_ALL(what) do {					\
	struct counters_want want = {					\
		.moved = want_as_found(&self->pages, self->a, self->b),	\
		.failed = 1, .thps_failed = 1, .thps_split = 1,		\
	};								\
									\
	EXPECT_GE(FEW, want.moved);					\
	EXPECT_LE(FEW - SLABS, want.moved);				\
	EXPECT_CLEAN(check_split(&self->pages, what));			\
	EXPECT_CLEAN(counters_verify_all(&self->before, &want));	\
	ASSERT_CLEAN(pages_snapshot(&self->pages));			\
	EXPECT_EQ(0, by_mbind(&self->pages, self->b));			\
	pages_want_all(&self->pages, self->b);				\
	EXPECT_CLEAN(pages_verify(&self->pages, "with frames again"));	\
	want.moved = THP_PAGES;						\
	EXPECT_CLEAN(counters_verify_all(&self->before, &want));	\
} while (0)

TEST_F(split_thp, move_pages_in_part)
{
	struct pages *p = &self->pages;
	int status;

	ASSERT_EQ(0, fail_alloc_after(FEW, 0));
	/* 6.1 tells it of parts as well; changed with the batches of 6.3. */
	EXPECT_EQ(kernel_before(6, 3) ? -ENOMEM : 1,
		  by_move_pages(p, self->b, &status));
	ASSERT_EQ(0, fail_alloc_no_more());
	EXPECT_EQ(UNWRITTEN, status);
	EXPECT_FEW_THEN_ALL("some frames");
}

TEST_F(split_thp, mbind_in_part)
{
	struct pages *p = &self->pages;
	char bound[32];

	ASSERT_EQ(0, fail_alloc_after(FEW, 0));
	EXPECT_EQ(-EIO, by_mbind(p, self->b));
	ASSERT_EQ(0, fail_alloc_no_more());
	snprintf(bound, sizeof(bound), "bind:%d", self->b);
	EXPECT_STREQ(bound, pages_policy(p, 0));
	EXPECT_FEW_THEN_ALL("bound, some frames");
}

TEST_HARNESS_MAIN
