// SPDX-License-Identifier: GPL-2.0-only
/*
 * The accounts of hugetlbfs over migration: of all pages, free ones, reserved
 * and surplus ones, of the whole and of each node. A free page of the target
 * is taken if there is one that nobody has reserved; else a new one is made,
 * which replaces the old one in the pool (alloc_hugetlb_folio_nodemask() and
 * move_hugetlb_state() in mm/hugetlb.c).
 *
 * 6.1 refuses the address of a tail, until "mm: migrate: remove PageHead() check
 * for HugeTLB in add_page_for_migration()" of 6.7: add_page_for_migration()
 * leaves EACCES there.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, HUGETLBFS]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   quick:
 *     - hugetlb.private.free_page_is_taken
 *   contract: {12: ["*"]}
 *   covers:
 *     - {cases: "hugetlb.private.*",
 *        interface: [move_pages-set, mbind-move-strict],
 *        backing: [hugetlb-private], condition: [quiet]}
 *     - {cases: "hugetlb.shared.*",
 *        interface: [move_pages-set, mbind-move-strict],
 *        backing: [hugetlb-shared], condition: [quiet]}
 */
#include "harness.h"

#include <sys/mman.h>

#include "chores.h"
#include "holder.h"
#include "hugetlb.h"
#include "kernel.h"
#include "nodes.h"
#include "pagemap.h"
#include "proc.h"
#include "relocate.h"
#include "scene.h"

#define HUGE_BYTES	(2UL << 20)
#define HUGE_PAGES	512
#define COUNT		(2 * HUGE_PAGES)

FIXTURE(hugetlb)
{
	int a;
	int b;
	char overcommit[32];
	struct pages pages;
};

SHARING_VARIANTS(hugetlb);

#define OVERCOMMIT	"/proc/sys/vm/nr_overcommit_hugepages"

FIXTURE_SETUP(hugetlb)
{
	FIND_TWO_NODES(self, return);
	ASSERT_LT(0, proc_read(OVERCOMMIT, self->overcommit,
			       sizeof(self->overcommit)));
	ASSERT_EQ(0, hugetlb_pool(-1, "nr_hugepages"));
}

/* In the parent, when all mappings are gone. */
FIXTURE_TEARDOWN_PARENT(hugetlb)
{
	EXPECT_EQ(0, hugetlb_set_pool(self->a, 0));
	EXPECT_EQ(0, hugetlb_set_pool(self->b, 0));
	EXPECT_EQ(0, proc_write(OVERCOMMIT, self->overcommit));
	EXPECT_EQ(0, hugetlb_pool(-1, "nr_hugepages"));
	EXPECT_EQ(0, hugetlb_pool(-1, "free_hugepages"));
	EXPECT_EQ(0, hugetlb_pool(-1, "resv_hugepages"));
	EXPECT_EQ(0, hugetlb_pool(-1, "surplus_hugepages"));
}

/* Map @reserved pages, of which the first two are touched, on node @node. */
static long map_huge(struct pages *p, int sharing, int reserved, int node)
{
	void *addr = mmap(NULL, reserved * HUGE_BYTES, PROT_READ | PROT_WRITE,
			  sharing | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	if (addr == MAP_FAILED)
		return -errno;
	if (pages_over(p, addr, COUNT))
		return -1;
	pages_want_all(p, node);
	return pages_populate(p);
}

#define EXPECT_POOL(node, pages, unused, extra) do {			\
	EXPECT_EQ(pages, hugetlb_pool(node, "nr_hugepages"));			\
	EXPECT_EQ(unused, hugetlb_pool(node, "free_hugepages"));		\
	EXPECT_EQ(extra, hugetlb_pool(node, "surplus_hugepages"));		\
} while (0)

static const char *go(struct pages *p, int node, bool by_mbind,
		      const char *what)
{
	const struct relocation r = { node, MPOL_MF_MOVE, HUGE_PAGES, 0 };
	const char *problem;

	problem = by_mbind ? relocate_by_mbind(p, &r) : relocate(p, &r);
	return *problem ? problem : relocate_verify(p, what);
}

TEST_F(hugetlb, free_page_is_taken)
{
	struct pages *p = &self->pages;

	ASSERT_EQ(0, hugetlb_set_pool(self->a, 2));
	ASSERT_EQ(0, hugetlb_set_pool(self->b, 2));
	ASSERT_EQ(0, map_huge(p, variant->sharing, 2, self->a));
	EXPECT_POOL(self->a, 2, 0, 0);
	EXPECT_POOL(self->b, 2, 2, 0);
	EXPECT_CLEAN(go(p, self->b, false, "to free pages"));
	EXPECT_POOL(self->a, 2, 2, 0);
	EXPECT_POOL(self->b, 2, 0, 0);
	EXPECT_POOL(-1, 4, 2, 0);
	EXPECT_EQ(0, hugetlb_pool(-1, "resv_hugepages"));
	EXPECT_CLEAN(go(p, self->a, true, "and back"));
	EXPECT_POOL(self->a, 2, 0, 0);
	EXPECT_POOL(self->b, 2, 2, 0);
	ASSERT_EQ(0, munmap(p->addr, 2 * HUGE_BYTES));
	EXPECT_POOL(-1, 4, 4, 0);
}

/* None is free there: the pool moves along, and is no larger or smaller. */
TEST_F(hugetlb, pool_goes_along)
{
	struct pages *p = &self->pages;

	ASSERT_EQ(0, hugetlb_set_pool(self->a, 3));
	ASSERT_EQ(0, map_huge(p, variant->sharing, 2, self->a));
	EXPECT_CLEAN(go(p, self->b, true, "to new pages"));
	EXPECT_POOL(self->a, 1, 1, 0);
	EXPECT_POOL(self->b, 2, 0, 0);
	EXPECT_POOL(-1, 3, 1, 0);
	EXPECT_EQ(0, hugetlb_pool(-1, "resv_hugepages"));
	ASSERT_EQ(0, munmap(p->addr, 2 * HUGE_BYTES));
	EXPECT_POOL(self->a, 1, 1, 0);
	EXPECT_POOL(self->b, 2, 2, 0);
}

/*
 * The only free pages are reserved by the same mapping: a move must not use
 * them up, or the owner is killed when it touches the last one.
 */
TEST_F(hugetlb, reserved_are_left)
{
	struct pages *p = &self->pages;

	ASSERT_EQ(0, hugetlb_set_pool(self->a, 2));
	ASSERT_EQ(0, hugetlb_set_pool(self->b, 1));
	ASSERT_EQ(0, map_huge(p, variant->sharing, 3, self->a));
	EXPECT_POOL(self->b, 1, 1, 0);
	EXPECT_EQ(1, hugetlb_pool(-1, "resv_hugepages"));
	EXPECT_CLEAN(go(p, self->b, false, "with one page reserved"));
	EXPECT_EQ(1, hugetlb_pool(-1, "resv_hugepages"));
	EXPECT_POOL(self->a, 0, 0, 0);
	EXPECT_POOL(self->b, 3, 1, 0);
	/* The reserved one is there for its owner. */
	*(volatile char *)(p->addr + 2 * HUGE_BYTES) = 1;
	EXPECT_EQ(0, hugetlb_pool(-1, "resv_hugepages"));
	EXPECT_POOL(-1, 3, 0, 0);
	ASSERT_EQ(0, munmap(p->addr, 3 * HUGE_BYTES));
	EXPECT_POOL(-1, 3, 3, 0);
}

/* Over the pool: surplus pages are surplus on the node that they are on. */
TEST_F(hugetlb, surplus_goes_along)
{
	struct pages *p = &self->pages;

	ASSERT_EQ(0, proc_write(OVERCOMMIT, "4"));
	/*
	 * mmap() makes them where the policy of the task says; in 6.1 on the
	 * caller's node, and fails if the policy has another
	 * (gather_surplus_pages(), until "hugetlb: force allocating surplus
	 * hugepages on mempolicy allowed nodes" of 6.11).
	 */
	ASSERT_EQ(0, nodes_run_on(self->a));
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(self->a)));
	ASSERT_EQ(0, map_huge(p, variant->sharing, 2, self->a));
	EXPECT_POOL(self->a, 2, 0, 2);
	EXPECT_CLEAN(go(p, self->b, false, "surplus pages"));
	EXPECT_POOL(self->a, 0, 0, 0);
	EXPECT_POOL(self->b, 2, 0, 2);
	EXPECT_POOL(-1, 2, 0, 2);
	EXPECT_CLEAN(go(p, self->a, true, "and back"));
	EXPECT_POOL(self->a, 2, 0, 2);
	EXPECT_POOL(self->b, 0, 0, 0);
	/* Given back, they are gone. */
	ASSERT_EQ(0, munmap(p->addr, 2 * HUGE_BYTES));
	EXPECT_POOL(-1, 0, 0, 0);
}

/* Called in a holder. */

static long write_all(struct pages *p)
{
	for (long i = 0; i < p->count; i++)
		*(volatile uint64_t *)pages_at(p, i) ^= 1;
	return 0;
}

/* Mapped by two processes: only MOVE_ALL moves it, and it stays in common. */
TEST_F(hugetlb, mapped_by_two)
{
	const struct relocation r = {
		self->b, MPOL_MF_MOVE_ALL, HUGE_PAGES, 0
	};
	struct pages *p = &self->pages;
	struct holder holder;

	/* Enough for the copies of private pages. */
	ASSERT_EQ(0, hugetlb_set_pool(self->a, 4));
	ASSERT_EQ(0, map_huge(p, variant->sharing, 2, self->a));
	ASSERT_EQ(0, holder_start(&holder, p, chore_look));
	ASSERT_CLEAN(relocate(p, &r));
	EXPECT_CLEAN(relocate_verify(p, "mapped by two processes"));
	EXPECT_CLEAN(pages_shared_with(p, holder.peer.pid));
	EXPECT_EQ(0, holder_bad(&holder));
	ASSERT_EQ(0, holder_call(&holder, write_all));
	EXPECT_EQ(variant->sharing == MAP_SHARED ? COUNT : 0, pages_bad(p));
	EXPECT_EQ(0, holder_end(&holder));
}

/* A tail's address moves nothing but the whole page that it is part of. */
TEST_F(hugetlb, tail_address)
{
	const bool refused = kernel_before(6, 7);
	struct pages *p = &self->pages;
	int node = self->b, status = -1;
	void *tail;

	ASSERT_EQ(0, hugetlb_set_pool(self->a, 2));
	ASSERT_EQ(0, map_huge(p, variant->sharing, 2, self->a));
	ASSERT_CLEAN(pages_snapshot(p));
	tail = pages_at(p, 3);
	EXPECT_EQ(0, numa_move_pages(0, 1, &tail, &node, &status,
				     MPOL_MF_MOVE));
	EXPECT_EQ(refused ? -EACCES : self->b, status);
	if (!refused)
		pages_want(p, 0, HUGE_PAGES, self->b);
	EXPECT_CLEAN(pages_verify(p, "the first huge page, by a tail of it"));
	EXPECT_POOL(self->a, refused ? 2 : 1, 0, 0);
	EXPECT_POOL(self->b, refused ? 0 : 1, 0, 0);
}

TEST_HARNESS_MAIN
