// SPDX-License-Identifier: GPL-2.0-only
/*
 * The range that mbind(2) is given: VMAs that it splits and merges, ranges
 * over several of them, holes, and ranges that are none. What is expected is
 * what do_mbind(), mbind_range() and queue_pages_test_walk() in mm/mempolicy.c
 * of 6.12 say; the number of VMAs is read from /proc/self/maps, and each one's
 * policy from numa_maps.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   scope: file
 *   contract: {7: ["ranges.*"]}
 *   covers:
 *     - {cases: "ranges.hole_*", interface: [mbind-move-strict, mbind-strict,
 *        mbind-move, mbind-move-all], backing: [anon-private], condition:
 *        [hole]}
 *     - {cases: "ranges.no_range", interface: [mbind-move], backing:
 *        [anon-private], condition: [bad-address]}
 */
#include "harness.h"

#include "nodes.h"
#include "policy.h"
#include "vmas.h"

#define COUNT		16
#define BYTES		(COUNT * PAGE_BYTES)

#define MOVE		MPOL_MF_MOVE
#define MOVE_ALL	MPOL_MF_MOVE_ALL
#define STRICT		MPOL_MF_STRICT

FIXTURE(ranges)
{
	struct placed t;
};

/* COUNT pages on node a, in one VMA. */
FIXTURE_SETUP(ranges)
{
	ASSERT_CLEAN(placed_start(&self->t, COUNT, COUNT, MAP_PRIVATE));
	ASSERT_STREQ("16", vmas_layout(&self->t.pages));
}

FIXTURE_TEARDOWN(ranges)
{
}

static long bind(struct placed *t, long first, long count, int node, int flags)
{
	return policy_bind(&t->pages, first, count, MPOL_BIND, NODE(node),
			   flags);
}

#define EXPECT_LAYOUT(layout) \
	EXPECT_STREQ(layout, vmas_layout(&self->t.pages))

/* Of the VMA that begins at page @index. */
#define EXPECT_POLICY(index, mode, nodes) \
	EXPECT_CLEAN(policy_check(&self->t.pages, index, mode, nodes))
#define EXPECT_BOUND(index, node) \
	EXPECT_POLICY(index, MPOL_BIND, NODE(node))
#define EXPECT_DEFAULT(index) \
	EXPECT_POLICY(index, MPOL_DEFAULT, 0)

TEST_F(ranges, split_and_merge)
{
	struct placed *t = &self->t;

	/* Out of the middle: two splits. */
	EXPECT_EQ(0, bind(t, 4, 8, t->b, MOVE | STRICT));
	EXPECT_LAYOUT("4 8 4");
	EXPECT_DEFAULT(0);
	EXPECT_BOUND(4, self->t.b);
	EXPECT_DEFAULT(12);
	pages_want(&t->pages, 4, 8, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "the middle moved"));

	/* The same left of it: that much merges with it. */
	ASSERT_CLEAN(placed_look(t));
	EXPECT_EQ(0, bind(t, 2, 2, t->b, MOVE | STRICT));
	EXPECT_LAYOUT("2 10 4");
	EXPECT_BOUND(2, self->t.b);
	/* Right of it. */
	EXPECT_EQ(0, bind(t, 12, 2, t->b, MOVE | STRICT));
	EXPECT_LAYOUT("2 12 2");
	EXPECT_DEFAULT(14);
	pages_want(&t->pages, 2, 12, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "more on either side moved"));

	/* What is left, one end after the other: one VMA again. */
	ASSERT_CLEAN(placed_look(t));
	EXPECT_EQ(0, bind(t, 0, 2, t->b, MOVE | STRICT));
	EXPECT_EQ(0, bind(t, 14, 2, t->b, MOVE | STRICT));
	EXPECT_LAYOUT("16");
	EXPECT_BOUND(0, self->t.b);
	pages_want_all(&t->pages, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "both ends moved"));
}

/* A gap between two that it then resembles: three become one. */
TEST_F(ranges, merge_with_both)
{
	struct placed *t = &self->t;

	ASSERT_EQ(0, bind(t, 0, 6, t->b, 0));
	ASSERT_EQ(0, bind(t, 10, 6, t->b, 0));
	EXPECT_LAYOUT("6 4 6");
	EXPECT_EQ(0, bind(t, 6, 4, t->b, MOVE | STRICT));
	EXPECT_LAYOUT("16");
	EXPECT_BOUND(0, self->t.b);
	pages_want(&t->pages, 6, 4, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "the gap moved"));
}

/* Over all of them at once: what differed is one, and all has moved. */
TEST_F(ranges, over_split_vmas)
{
	struct placed *t = &self->t;

	ASSERT_EQ(0, bind(t, 0, 3, t->a, 0));
	ASSERT_EQ(0, policy_bind(&t->pages, 5, 2, MPOL_INTERLEAVE, NODE(t->a),
				 0));
	ASSERT_EQ(0, policy_bind(&t->pages, 9, 4, MPOL_LOCAL, 0, 0));
	EXPECT_LAYOUT("3 2 2 2 4 3");
	EXPECT_EQ(0, bind(t, 0, COUNT, t->b, MOVE | STRICT));
	EXPECT_LAYOUT("16");
	EXPECT_BOUND(0, self->t.b);
	pages_want_all(&t->pages, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "six VMAs moved as one"));
}

/* From the middle of one VMA into the middle of another. */
TEST_F(ranges, halves_of_two)
{
	struct placed *t = &self->t;

	ASSERT_EQ(0, bind(t, 0, 8, t->a, 0));
	EXPECT_LAYOUT("8 8");
	EXPECT_EQ(0, bind(t, 4, 8, t->b, MOVE | STRICT));
	EXPECT_LAYOUT("4 8 4");
	EXPECT_BOUND(0, self->t.a);
	EXPECT_BOUND(4, self->t.b);
	EXPECT_DEFAULT(12);
	pages_want(&t->pages, 4, 8, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "halves of two VMAs moved"));
}

/* Policies that differ in their mode, their flags or their nodes alone. */
TEST_F(ranges, no_merge_of_what_differs)
{
	struct placed *t = &self->t;
	unsigned long both = NODE(t->a) | NODE(t->b);

	ASSERT_EQ(0, policy_bind(&t->pages, 0, 4, MPOL_BIND, both, 0));
	ASSERT_EQ(0, policy_bind(&t->pages, 4, 4, MPOL_INTERLEAVE, both, 0));
	ASSERT_EQ(0, policy_bind(&t->pages, 8, 4,
				 MPOL_BIND | MPOL_F_STATIC_NODES, both, 0));
	ASSERT_EQ(0, policy_bind(&t->pages, 12, 4, MPOL_BIND, NODE(t->a), 0));
	EXPECT_LAYOUT("4 4 4 4");
	EXPECT_POLICY(0, MPOL_BIND, both);
	EXPECT_POLICY(4, MPOL_INTERLEAVE, both);
	EXPECT_POLICY(8, MPOL_BIND | MPOL_F_STATIC_NODES, both);
	EXPECT_BOUND(12, self->t.a);
	EXPECT_CLEAN(placed_verify(t, 0, "nothing was to move"));

	/* And MPOL_DEFAULT puts it all together again. */
	EXPECT_EQ(0, policy_bind(&t->pages, 0, COUNT, MPOL_DEFAULT, 0, 0));
	EXPECT_LAYOUT("16");
	EXPECT_DEFAULT(0);
}

/*
 * Nor those that come to the same nodes, but were asked for by others: there
 * are as many nodes as the second counts up to, so it is the first again.
 */
TEST_F(ranges, no_merge_of_what_was_asked_otherwise)
{
	const int mode = MPOL_BIND | MPOL_F_RELATIVE_NODES;
	const unsigned long first = NODE(0);
	const unsigned long again = NODE(nodes_count(nodes_with_memory()));
	struct placed *t = &self->t;
	struct pages *p = &t->pages;

	ASSERT_EQ(0, policy_bind(p, 0, 4, mode, first, 0));
	ASSERT_EQ(0, policy_bind(p, 4, 4, mode, again, 0));
	EXPECT_LAYOUT("4 4 8");
	EXPECT_CLEAN(policy_check_asked(p, 0, mode, first, NODE(t->a)));
	EXPECT_CLEAN(policy_check_asked(p, 4, mode, again, NODE(t->a)));
	ASSERT_EQ(0, policy_bind(p, 8, 4, mode, again, 0));
	EXPECT_LAYOUT("4 8 4");
	EXPECT_CLEAN(placed_verify(t, 0, "nothing was to move"));
}

/* What is so already is not split off, yet its misplaced pages move. */
TEST_F(ranges, part_of_the_same)
{
	struct placed *t = &self->t;

	ASSERT_EQ(0, bind(t, 0, COUNT, t->b, 0));
	EXPECT_CLEAN(placed_verify(t, 0, "no flags, nothing moved"));
	EXPECT_EQ(0, bind(t, 4, 8, t->b, MOVE | STRICT));
	EXPECT_LAYOUT("16");
	pages_want(&t->pages, 4, 8, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "under the policy it had"));
}

/* VMAs that can't merge: by their protection, private beside shared memory. */
TEST_F(ranges, vmas_of_all_kinds)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;

	ASSERT_EQ(0, mprotect(pages_at(p, 2), 3 * PAGE_BYTES, PROT_READ));
	ASSERT_NE(MAP_FAILED, mmap(pages_at(p, 8), 4 * PAGE_BYTES,
				   PROT_READ | PROT_WRITE,
				   MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS, -1,
				   0));
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(t->a)));
	policy_fault(p, 8, 4);
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_DEFAULT, 0));
	EXPECT_LAYOUT("2 3 3 4 4");
	ASSERT_CLEAN(placed_look(t));

	EXPECT_EQ(0, bind(t, 0, COUNT, t->b, MOVE | STRICT));
	EXPECT_LAYOUT("2 3 3 4 4");
	EXPECT_BOUND(0, self->t.b);
	EXPECT_BOUND(2, self->t.b);
	EXPECT_BOUND(5, self->t.b);
	EXPECT_BOUND(8, self->t.b);
	EXPECT_BOUND(12, self->t.b);
	pages_want_all(p, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "five VMAs moved"));
}

/* Mapped but inaccessible is no hole: the guards on either side. */
TEST_F(ranges, inaccessible_is_no_hole)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;

	ASSERT_EQ(0, mprotect(pages_at(p, 4), 4 * PAGE_BYTES, PROT_NONE));
	EXPECT_EQ(0, policy_bind(p, -1, COUNT + 2, MPOL_BIND, NODE(t->b),
				 MOVE | STRICT));
	ASSERT_EQ(0, mprotect(pages_at(p, 4), 4 * PAGE_BYTES,
			      PROT_READ | PROT_WRITE));
	pages_want_all(p, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "inaccessible pages moved too"));
	EXPECT_BOUND(0, self->t.b);
}

/* Each kind of hole, with each kind of flags: EFAULT, and nothing happens. */
#define EXPECT_HOLE(first, count) do {					\
	EXPECT_EQ(-EFAULT, bind(&self->t, first, count, self->t.b, 0));	\
	EXPECT_EQ(-EFAULT, bind(&self->t, first, count, self->t.a,	\
				STRICT));				\
	EXPECT_EQ(-EFAULT, bind(&self->t, first, count, self->t.b, MOVE)); \
	EXPECT_EQ(-EFAULT, bind(&self->t, first, count, self->t.b,	\
				MOVE_ALL | STRICT));			\
	EXPECT_CLEAN(placed_verify(&self->t, 0, "a range with a hole"));	\
} while (0)

TEST_F(ranges, hole_inside)
{
	struct pages *p = &self->t.pages;

	ASSERT_EQ(0, munmap(pages_at(p, 6), 2 * PAGE_BYTES));
	pages_want(p, 6, 2, UNMAPPED);
	EXPECT_HOLE(0, COUNT);
	EXPECT_HOLE(5, 2);	/* one page on this side */
	EXPECT_HOLE(7, 2);	/* and on that */
	EXPECT_HOLE(6, 2);	/* nothing but hole */
	EXPECT_HOLE(6, 1);
	EXPECT_LAYOUT("6 - 8");
	EXPECT_DEFAULT(0);
	EXPECT_DEFAULT(8);

	/* Up to it and from its end on it is all right. */
	EXPECT_EQ(0, bind(&self->t, 0, 6, self->t.b, MOVE | STRICT));
	EXPECT_EQ(0, bind(&self->t, 8, 8, self->t.b, MOVE | STRICT));
	pages_want(p, 0, 6, self->t.b);
	pages_want(p, 8, 8, self->t.b);
	EXPECT_CLEAN(placed_verify(&self->t, 0, "around the hole"));
}

/* The guards gone, too, so that the range begins and ends in nothing. */
TEST_F(ranges, hole_at_the_ends)
{
	struct pages *p = &self->t.pages;

	ASSERT_EQ(0, munmap(pages_at(p, -1), 3 * PAGE_BYTES));
	ASSERT_EQ(0, munmap(pages_at(p, 14), 3 * PAGE_BYTES));
	pages_want(p, 0, 2, UNMAPPED);
	pages_want(p, 14, 2, UNMAPPED);
	EXPECT_HOLE(0, COUNT);
	EXPECT_HOLE(1, 8);
	EXPECT_HOLE(8, 7);
	EXPECT_HOLE(0, 2);
	EXPECT_HOLE(14, 2);
	EXPECT_LAYOUT("- 12 -");
	EXPECT_DEFAULT(2);
}

/* Several, and VMAs of several policies: MPOL_DEFAULT runs across them all. */
TEST_F(ranges, hole_and_default)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;

	ASSERT_EQ(0, bind(t, 0, 4, t->a, 0));
	ASSERT_EQ(0, bind(t, 8, 4, t->a, 0));
	ASSERT_EQ(0, munmap(pages_at(p, 2), PAGE_BYTES));
	ASSERT_EQ(0, munmap(pages_at(p, 9), PAGE_BYTES));
	pages_want(p, 2, 1, UNMAPPED);
	pages_want(p, 9, 1, UNMAPPED);
	EXPECT_LAYOUT("2 - 1 4 1 - 2 4");
	ASSERT_EQ(0, nodes_run_on(t->b));
	EXPECT_EQ(0, policy_bind(p, 0, COUNT, MPOL_DEFAULT, 0, MOVE));
	EXPECT_LAYOUT("2 - 6 - 6");
	EXPECT_DEFAULT(0);
	EXPECT_DEFAULT(3);
	EXPECT_DEFAULT(10);
	pages_want(p, 0, 2, t->b);
	pages_want(p, 3, 6, t->b);
	pages_want(p, 10, 6, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "MPOL_DEFAULT across holes"));

	/* Only where there is nothing at all it fails. */
	EXPECT_EQ(-EFAULT, policy_bind(p, 2, 1, MPOL_DEFAULT, 0, MOVE));
}

/* Rounded up to whole pages. */
TEST_F(ranges, length_in_bytes)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;

	EXPECT_EQ(0, numa_mbind(p->addr, 1, MPOL_BIND, NODE(t->b),
				MOVE | STRICT));
	EXPECT_EQ(0, numa_mbind(pages_at(p, 4), PAGE_BYTES + 1, MPOL_BIND,
				NODE(t->b), MOVE | STRICT));
	EXPECT_EQ(0, numa_mbind(pages_at(p, 10), 2 * PAGE_BYTES - 1, MPOL_BIND,
				NODE(t->b), MOVE | STRICT));
	EXPECT_LAYOUT("1 3 2 4 2 4");
	pages_want(p, 0, 1, t->b);
	pages_want(p, 4, 2, t->b);
	pages_want(p, 10, 2, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "lengths that are no page's"));
}

/* None at all, and such as wrap around; what is found wrong first. */
TEST_F(ranges, no_range)
{
	struct placed *t = &self->t;
	char *at = t->pages.addr;
	void *nowhere = (void *)(~0UL - 15 * PAGE_BYTES + 1);
	unsigned long b = NODE(t->b);

	/* Nothing to do, though there is nothing there, nor a node to go to. */
	EXPECT_EQ(0, numa_mbind(at, 0, MPOL_BIND, b, MOVE | STRICT));
	EXPECT_EQ(0, numa_mbind(NULL, 0, MPOL_BIND, b, MOVE));
	EXPECT_EQ(0, numa_mbind(at, 0, MPOL_BIND, 0, MOVE));
	/* Rounding up to a whole page makes 0 of it. */
	EXPECT_EQ(0, numa_mbind(at, -1UL, MPOL_BIND, b, MOVE));
	/* The end before the start. */
	EXPECT_EQ(-EINVAL, numa_mbind(at, -PAGE_BYTES, MPOL_BIND, b, MOVE));
	EXPECT_EQ(-EINVAL, numa_mbind(at, ~(uintptr_t)at, MPOL_BIND, b, MOVE));
	/* The start between two pages. */
	EXPECT_EQ(-EINVAL, numa_mbind(at + 1, PAGE_BYTES, MPOL_BIND, b, MOVE));
	EXPECT_EQ(-EINVAL, numa_mbind(at - 1, PAGE_BYTES, MPOL_BIND, b, MOVE));
	EXPECT_EQ(-EINVAL, numa_mbind(at + 1, 0, MPOL_BIND, b, MOVE));
	/* Where no process has memory. */
	EXPECT_EQ(-EFAULT, numa_mbind(nowhere, PAGE_BYTES, MPOL_BIND, b, MOVE));
	EXPECT_EQ(-EFAULT, numa_mbind(NULL, PAGE_BYTES, MPOL_BIND, b, MOVE));

	EXPECT_LAYOUT("16");
	EXPECT_DEFAULT(0);
	EXPECT_CLEAN(placed_verify(t, 0, "no range to move"));
}

TEST_HARNESS_MAIN
