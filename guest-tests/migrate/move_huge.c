// SPDX-License-Identifier: GPL-2.0-only
/*
 * move_pages(2) on huge pages, which may be asked for by the address of any
 * base page in them, and of which any takes the whole along. do_pages_move() in
 * mm/migrate.c of 6.12: of two addresses of one huge page in a run the second
 * finds it taken (EBUSY), which has the run moved; a third finds it there.
 *
 * 6.1 has a huge page of hugetlbfs by its first address only, others are EACCES
 * (add_page_for_migration(): PageHead() is asked, and the error that is left
 * over returned), until "mm: migrate: remove PageHead() check for HugeTLB in
 * add_page_for_migration()" of 6.7.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, TRANSPARENT_HUGEPAGE,
 *     HUGETLBFS]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   quick:
 *     - move_huge.thp.any_address
 *   contract: {9: ["move_huge.*"]}
 *   covers:
 *     - {cases: "move_huge.thp.*", interface: [move_pages-set],
 *        backing: [thp], condition: [quiet]}
 *     - {cases: "move_huge.hugetlb.*", interface: [move_pages-set],
 *        backing: [hugetlb-private], condition: [quiet]}
 */
#include "harness.h"

#include "backings.h"
#include "chores.h"
#include "counters.h"
#include "holder.h"
#include "kernel.h"
#include "movelist.h"
#include "pages.h"
#include "pin.h"
#include "scene.h"

/* Base pages in a huge one; there are two of those. */
#define F		512
#define SMALL		6

FIXTURE(move_huge)
{
	int a;
	int b;
	struct pages pages;
	struct area area;
	struct movelist list;
	struct counters before;
};

FIXTURE_VARIANT(move_huge)
{
	const struct backing *backing;
};

FIXTURE_VARIANT_ADD(move_huge, thp) { .backing = &backing_thp };
FIXTURE_VARIANT_ADD(move_huge, hugetlb) { .backing = &backing_hugetlb_private };

/* Two huge pages on node a, and the counters read. */
FIXTURE_SETUP(move_huge)
{
	FIND_TWO_NODES(self, return);
	ASSERT_EQ(F, variant->backing->folio);
	ASSERT_CLEAN(scene_area(&self->area, variant->backing, &self->pages,
				self->a));
	ASSERT_EQ(0, movelist_make(&self->list, &self->pages, 2 * F, self->b));
	ASSERT_EQ(0, counters_read(&self->before));
}

/* Mappings and peers end with the test's process, the pool does not. */
FIXTURE_TEARDOWN(move_huge)
{
	area_release(&self->area);
}

#define LIST(number) do {						\
	self->list.count = (number);					\
	movelist_send(&self->list, 0, number, self->b);			\
	movelist_want(&self->list, number, 1, UNWRITTEN);		\
	movelist_clear(&self->list);					\
} while (0)

#define EXPECT_CALL(result, flags) do {					\
	EXPECT_EQ(result, movelist_call(&self->list, 0, flags));	\
	EXPECT_CLEAN(movelist_check(&self->list));			\
} while (0)

/* @moves and @fails are huge pages, @small base pages besides. */
#define VERIFY(moves, fails, small, what) do {				\
	const bool _thp = variant->backing->thp;			\
	struct counters_want _want = {					\
		.moved = (moves) * F + (small),				\
		.failed = (fails) * F,					\
		.thps_moved = _thp ? (moves) : 0,			\
		.thps_failed = _thp ? (fails) : 0,			\
	};								\
									\
	EXPECT_CLEAN(area_verify(&self->area, what));			\
	EXPECT_CLEAN(counters_verify_all(&self->before, &_want));	\
	ASSERT_CLEAN(pages_snapshot(&self->pages));			\
	ASSERT_EQ(0, counters_read(&self->before));			\
} while (0)

/* Whether base pages but the first are refused. */
static bool heads_only(const struct backing *backing)
{
	return !backing->thp && kernel_before(6, 7);
}

TEST_F(move_huge, any_address)
{
	const int at[] = { 0, 1, F / 2, F - 1 };
	const bool refused = heads_only(variant->backing);
	struct pages *p = &self->pages;
	int to = self->b;
	unsigned int i;
	bool moves;

	for (i = 0; i < ARRAY_SIZE(at); i++) {
		moves = !at[i] || !refused;
		LIST(1);
		/* Of the second one, at whatever byte. */
		self->list.addrs[0] = pages_at(p, F + at[i]) + 17 * i;
		self->list.nodes[0] = to;
		movelist_want(&self->list, 0, 1, moves ? to : -EACCES);
		EXPECT_CALL(0, MPOL_MF_MOVE);
		if (moves)
			pages_want(p, F, F, to);
		TH_LOG("by base page %d", at[i]);
		VERIFY(moves, 0, 0, "one of two huge pages");
		if (moves)
			to = to == self->b ? self->a : self->b;
	}
	EXPECT_CLEAN(area_finish(&self->area));
}

/* Several addresses of one, the first of them the last of the list. */
TEST_F(move_huge, tails_of_one)
{
	const int at[] = { F - 1, 1, F / 2, 0 };
	const bool refused = heads_only(variant->backing);
	struct pages *p = &self->pages;
	unsigned int i;

	LIST(ARRAY_SIZE(at));
	for (i = 0; i < ARRAY_SIZE(at); i++)
		self->list.addrs[i] = pages_at(p, at[i]);
	if (refused)
		movelist_want(&self->list, 0, 3, -EACCES);
	else
		movelist_want(&self->list, 1, 1, -EBUSY);
	EXPECT_CALL(0, MPOL_MF_MOVE);
	pages_want(p, 0, F, self->b);
	VERIFY(1, 0, 0, "by four addresses of it");
}

/* Each address of both, in order. */
TEST_F(move_huge, all_addresses)
{
	const int second = heads_only(variant->backing) ? -EACCES : -EBUSY;

	movelist_want(&self->list, 1, 1, second);
	movelist_want(&self->list, F + 1, 1, second);
	EXPECT_CALL(0, MPOL_MF_MOVE);
	pages_want_all(&self->pages, self->b);
	VERIFY(2, 0, 0, "by all addresses");

	/* All are there: nothing is taken, nothing is busy. */
	movelist_want(&self->list, 0, 2 * F, self->b);
	movelist_clear(&self->list);
	EXPECT_CALL(0, MPOL_MF_MOVE);
	movelist_clear(&self->list);
	EXPECT_CALL(0, 0);
	VERIFY(0, 0, 0, "once more, and a query");
	EXPECT_CLEAN(area_finish(&self->area));
}

/* Halves of one cannot be apart: it goes where the last entry has it. */
TEST_F(move_huge, halves_to_two_nodes)
{
	const bool refused = heads_only(variant->backing);
	struct pages *p = &self->pages;
	int i;

	LIST(2);
	self->list.addrs[1] = pages_at(p, F / 2);
	movelist_send(&self->list, 1, 1, self->a);
	if (refused)
		movelist_want(&self->list, 1, 1, -EACCES);
	EXPECT_CALL(0, MPOL_MF_MOVE);
	if (refused) {
		pages_want(p, 0, F, self->b);
	} else {
		for (i = 0; i < F; i++)
			pages_forget_frame(p, i);
	}
	VERIFY(refused ? 1 : 2, 0, 0, "its halves to two nodes");
}

/* Huge and base pages in one run. */
TEST_F(move_huge, among_base_pages)
{
	struct pages *p = &self->pages, small;
	int i;

	ASSERT_EQ(0, pages_map(&small, SMALL, MAP_PRIVATE));
	pages_want_all(&small, self->a);
	ASSERT_EQ(0, pages_populate(&small));
	ASSERT_CLEAN(pages_snapshot(&small));
	LIST(SMALL + 2);
	for (i = 0; i < SMALL; i++)
		self->list.addrs[i + i / 3] = pages_at(&small, i);
	self->list.addrs[3] = pages_at(p, 0);
	self->list.addrs[SMALL + 1] = pages_at(p, F);
	EXPECT_CALL(0, MPOL_MF_MOVE);
	pages_want_all(p, self->b);
	pages_want_all(&small, self->b);
	EXPECT_CLEAN(pages_verify(&small, "base pages"));
	VERIFY(2, 0, SMALL, "huge pages among base pages");
}

/* Pinned by any base page, it stays, and as one is it counted. */
TEST_F(move_huge, pinned)
{
	struct pages *p = &self->pages;
	struct pin pin;

	ASSERT_EQ(0, pin_pages(&pin, pages_at(p, F - 3), 1));
	LIST(2);
	self->list.addrs[1] = pages_at(p, F);
	movelist_want(&self->list, 0, 2, UNWRITTEN);
	EXPECT_CALL(1, MPOL_MF_MOVE);
	pages_want(p, F, F, self->b);
	VERIFY(1, 1, 0, "the first pinned");

	pin_release(&pin);
	movelist_send(&self->list, 0, 2, self->b);
	movelist_clear(&self->list);
	EXPECT_CALL(0, MPOL_MF_MOVE);
	pages_want_all(p, self->b);
	VERIFY(1, 0, 0, "let go");
	EXPECT_CLEAN(area_finish(&self->area));
}

TEST_F(move_huge, mapped_twice)
{
	const bool refused = heads_only(variant->backing);
	struct pages *p = &self->pages;
	struct holder holder;

	ASSERT_EQ(0, holder_start(&holder, p, chore_look));
	ASSERT_CLEAN(pages_snapshot(p));
	LIST(2);
	self->list.addrs[1] = pages_at(p, F + 5);
	movelist_want(&self->list, 0, 2, -EACCES);
	EXPECT_CALL(0, MPOL_MF_MOVE);
	VERIFY(0, 0, 0, "mapped twice, after MOVE");

	movelist_clear(&self->list);
	movelist_want(&self->list, 0, 1, self->b);
	if (!refused)
		movelist_want(&self->list, 1, 1, self->b);
	EXPECT_CALL(0, MPOL_MF_MOVE_ALL);
	pages_want(p, 0, refused ? F : 2 * F, self->b);
	VERIFY(refused ? 1 : 2, 0, 0, "mapped twice, after MOVE_ALL");
	EXPECT_CLEAN(pages_shared_with(p, holder.peer.pid));
	EXPECT_EQ(0, holder_bad(&holder));
	EXPECT_EQ(0, holder_end(&holder));
}

TEST_HARNESS_MAIN
