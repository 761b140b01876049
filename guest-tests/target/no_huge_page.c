// SPDX-License-Identifier: GPL-2.0-only
/*
 * The target has no huge page of hugetlbfs: none that is free in its pool, and
 * none that could be made, by fail_page_alloc. Unlike a THP (split_thp.c) such
 * a page is never split: it stays where it is, the call says so, and the
 * pools, the reserve among them, are as they were: of what an attempt took
 * nothing is left (alloc_hugetlb_folio_nodemask() in mm/hugetlb.c,
 * migrate_hugetlbs() in mm/migrate.c, 6.12).
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, HUGETLBFS, FAIL_PAGE_ALLOC,
 *             FAULT_INJECTION_DEBUG_FS]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {12: ["*"], 16: ["*"]}
 *   covers:
 *     - {cases: "no_huge_page.private.move_pages*", interface:
 *        [move_pages-set], backing: [hugetlb-private], condition:
 *        [target-full]}
 *     - {cases: "no_huge_page.shared.move_pages*", interface:
 *        [move_pages-set], backing: [hugetlb-shared], condition:
 *        [target-full]}
 *     - {cases: "no_huge_page.private.mbind", interface: [mbind-move-strict],
 *        backing: [hugetlb-private], condition: [target-full]}
 *     - {cases: "no_huge_page.shared.mbind", interface: [mbind-move-strict],
 *        backing: [hugetlb-shared], condition: [target-full]}
 *     - {cases: "no_huge_page.private.migrate_pages", interface:
 *        [migrate_pages-self], backing: [hugetlb-private], condition:
 *        [target-full]}
 *     - {cases: "no_huge_page.shared.migrate_pages", interface:
 *        [migrate_pages-self], backing: [hugetlb-shared], condition:
 *        [target-full]}
 */
#include "harness.h"

#include <sys/mman.h>

#include "counters.h"
#include "fail_alloc.h"
#include "hugetlb.h"
#include "nodes.h"
#include "pages.h"
#include "placement.h"
#include "proc.h"
#include "syscalls.h"

#define HUGE_BYTES	(2UL << 20)
#define HUGE_PAGES	512
#define HUGE_ORDER	9
/* Three are mapped and reserved, two of them are there. */
#define COUNT		(2 * HUGE_PAGES)
#define RESERVED	3
#define UNWRITTEN	12345

FIXTURE(no_huge_page)
{
	int a;
	int b;
	struct pages pages;
	struct counters before;
};

FIXTURE_VARIANT(no_huge_page)
{
	int sharing;
};

FIXTURE_VARIANT_ADD(no_huge_page, private)
{
	.sharing = MAP_PRIVATE,
};

FIXTURE_VARIANT_ADD(no_huge_page, shared)
{
	.sharing = MAP_SHARED,
};

#define EXPECT_POOL(node, pages, unused) do {				\
	EXPECT_EQ(pages, hugetlb_pool(node, "nr_hugepages"));			\
	EXPECT_EQ(unused, hugetlb_pool(node, "free_hugepages"));		\
	EXPECT_EQ(0, hugetlb_pool(node, "surplus_hugepages"));			\
} while (0)

/* The pool of node a has just what is mapped, that of node b nothing. */
FIXTURE_SETUP(no_huge_page)
{
	unsigned long nodes = nodes_with_memory();
	struct pages *p = &self->pages;
	void *addr;

	ASSERT_LE(2, nodes_count(nodes));
	self->a = nodes_nth(nodes, 0);
	self->b = nodes_nth(nodes, 1);
	ASSERT_EQ(0, hugetlb_pool(-1, "nr_hugepages"));
	ASSERT_EQ(0, hugetlb_set_pool(self->a, RESERVED));
	addr = mmap(NULL, RESERVED * HUGE_BYTES, PROT_READ | PROT_WRITE,
		    variant->sharing | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	ASSERT_NE(MAP_FAILED, addr);
	ASSERT_EQ(0, pages_over(p, addr, COUNT));
	pages_want_all(p, self->a);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_CLEAN(pages_snapshot(p));
	EXPECT_POOL(self->a, RESERVED, 1);
	ASSERT_EQ(1, hugetlb_pool(-1, "resv_hugepages"));
	ASSERT_EQ(0, fail_alloc_begin());
	ASSERT_EQ(0, counters_read(&self->before));
}

/* In the parent, when all mappings are gone. */
FIXTURE_TEARDOWN_PARENT(no_huge_page)
{
	EXPECT_EQ(0, fail_alloc_end());
	EXPECT_EQ(0, hugetlb_set_pool(self->a, 0));
	EXPECT_EQ(0, hugetlb_set_pool(self->b, 0));
	EXPECT_EQ(0, hugetlb_pool(-1, "nr_hugepages"));
	EXPECT_EQ(0, hugetlb_pool(-1, "resv_hugepages"));
	EXPECT_EQ(0, hugetlb_pool(-1, "surplus_hugepages"));
}

static long move_both(const struct pages *p, int node, int *status)
{
	void *addrs[] = { p->addr, p->addr + HUGE_BYTES };
	int nodes[] = { node, node };

	status[0] = UNWRITTEN;
	status[1] = UNWRITTEN;
	return numa_move_pages(0, 2, addrs, nodes, status, MPOL_MF_MOVE);
}

static long bind_both(const struct pages *p, int node)
{
	return numa_mbind(p->addr, p->count * PAGE_BYTES, MPOL_BIND,
			  NODE(node), MPOL_MF_MOVE | MPOL_MF_STRICT);
}

/* The page behind those that are there is reserved, and there for its owner. */
#define EXPECT_RESERVE_HOLDS() do {					\
	EXPECT_EQ(1, hugetlb_pool(-1, "resv_hugepages"));			\
	pages_write(&self->pages, COUNT);				\
	EXPECT_EQ(0, hugetlb_pool(-1, "resv_hugepages"));			\
	EXPECT_POOL(-1, RESERVED, 0);					\
} while (0)

#define EXPECT_NOTHING_MOVED(what) do {					\
	EXPECT_CLEAN(pages_verify(&self->pages, what));			\
	EXPECT_POOL(self->a, RESERVED, 1);				\
	EXPECT_POOL(self->b, 0, 0);					\
	EXPECT_EQ(1, hugetlb_pool(-1, "resv_hugepages"));			\
} while (0)

TEST_F(no_huge_page, move_pages)
{
	struct pages *p = &self->pages;
	int status[2];

	ASSERT_EQ(0, fail_alloc_after(0, HUGE_ORDER));
	EXPECT_EQ(-ENOMEM, move_both(p, self->b, status));
	ASSERT_EQ(0, fail_alloc_no_more());
	EXPECT_EQ(UNWRITTEN, status[0]);
	EXPECT_EQ(UNWRITTEN, status[1]);
	EXPECT_NOTHING_MOVED("no huge page to be had");
	/* The first is tried, and counted by its base pages. */
	EXPECT_CLEAN(counters_verify(&self->before, 0, HUGE_PAGES));

	EXPECT_EQ(0, move_both(p, self->b, status));
	EXPECT_EQ(self->b, status[0]);
	EXPECT_EQ(self->b, status[1]);
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "to be had again"));
	EXPECT_CLEAN(counters_verify(&self->before, COUNT, HUGE_PAGES));
	/* The pool went along, but for the reserved page. */
	EXPECT_POOL(self->a, 1, 1);
	EXPECT_POOL(self->b, 2, 0);
	EXPECT_RESERVE_HOLDS();
}

/* One is free there: it is taken by the first, and the second stays. */
TEST_F(no_huge_page, move_pages_in_the_middle)
{
	struct pages *p = &self->pages;
	int status[2];

	ASSERT_EQ(0, hugetlb_set_pool(self->b, 1));
	ASSERT_EQ(0, fail_alloc_after(0, HUGE_ORDER));
	EXPECT_EQ(-ENOMEM, move_both(p, self->b, status));
	ASSERT_EQ(0, fail_alloc_no_more());
	pages_want(p, 0, HUGE_PAGES, self->b);
	EXPECT_CLEAN(pages_verify(p, "one huge page to be had"));
	EXPECT_CLEAN(counters_verify(&self->before, HUGE_PAGES, HUGE_PAGES));
	EXPECT_POOL(self->a, RESERVED, 2);
	EXPECT_POOL(self->b, 1, 0);
	EXPECT_EQ(1, hugetlb_pool(-1, "resv_hugepages"));
	pages_write(p, COUNT);
	EXPECT_EQ(0, hugetlb_pool(-1, "resv_hugepages"));
	EXPECT_POOL(-1, RESERVED + 1, 1);
	EXPECT_EQ(0, pages_bad(p));
}

TEST_F(no_huge_page, mbind)
{
	struct pages *p = &self->pages;
	char bound[32];

	ASSERT_EQ(0, fail_alloc_after(0, HUGE_ORDER));
	EXPECT_EQ(-EIO, bind_both(p, self->b));
	ASSERT_EQ(0, fail_alloc_no_more());
	EXPECT_NOTHING_MOVED("bound, no huge page to be had");
	EXPECT_CLEAN(counters_verify(&self->before, 0, HUGE_PAGES));
	snprintf(bound, sizeof(bound), "bind:%d", self->b);
	EXPECT_STREQ(bound, pages_policy(p, 0));
	EXPECT_EQ(0, bind_both(p, self->b));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "bound, to be had again"));
	EXPECT_POOL(self->b, 2, 0);
	EXPECT_RESERVE_HOLDS();
}

/* Of a whole process huge pages come first: of the rest nothing is tried. */
TEST_F(no_huge_page, migrate_pages)
{
	struct pages *p = &self->pages;

	ASSERT_EQ(0, fail_alloc_after(0, HUGE_ORDER));
	EXPECT_EQ(-ENOMEM, numa_migrate_pages(0, NODE(self->a), NODE(self->b)));
	ASSERT_EQ(0, fail_alloc_no_more());
	EXPECT_NOTHING_MOVED("all of a process, no huge page to be had");
	EXPECT_CLEAN(counters_verify(&self->before, 0, HUGE_PAGES));
	EXPECT_EQ(0, numa_migrate_pages(0, NODE(self->a), NODE(self->b)));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "all of it, to be had again"));
	EXPECT_POOL(self->b, 2, 0);
	EXPECT_RESERVE_HOLDS();
}

TEST_HARNESS_MAIN
