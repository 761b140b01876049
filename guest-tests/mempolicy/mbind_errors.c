// SPDX-License-Identifier: GPL-2.0-only
/*
 * mbind(2) that fails on pages that exist, and what it has done until then:
 * do_mbind() and queue_pages_range() in mm/mempolicy.c of 6.12.
 *
 *  - STRICT alone fails with EIO before the policy is installed;
 *  - MOVE | STRICT fails with EIO after it is installed, for what could not
 *    be moved, all else having moved;
 *  - a hole fails with EFAULT before anything is moved or installed.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   quick:
 *     - mbind.private.strict_misplaced
 *     - mbind.private.pinned_stays
 *     - mbind.private.hole
 *   contract:
 *     6: [mbind.*.pinned_stays, mbind.*.strict_misplaced]
 *     7: [mbind.*.hole]
 *     15: [mbind.*.pinned_stays]
 *   covers:
 *     - {cases: mbind.private.strict_misplaced, interface: mbind-strict,
 *        backing: anon-private, condition: quiet}
 *     - {cases: mbind.shared.strict_misplaced, interface: mbind-strict,
 *        backing: anon-shared, condition: quiet}
 *     - {cases: mbind.*.pinned_stays, interface: [mbind-move,
 *        mbind-move-strict],
 *        backing: vmspliced, condition: quiet}
 *     - {cases: mbind.private.hole, interface: mbind-move-strict,
 *        backing: anon-private, condition: hole}
 *     - {cases: mbind.shared.hole, interface: mbind-move-strict,
 *        backing: anon-shared, condition: hole}
 */
#include "harness.h"

#include "nodes.h"
#include "pin.h"
#include "policy.h"
#include "scene.h"

#define COUNT		16

#define MOVE		MPOL_MF_MOVE
#define STRICT		MPOL_MF_STRICT

FIXTURE(mbind)
{
	struct placed t;
};

SHARING_VARIANTS(mbind);

FIXTURE_SETUP(mbind)
{
	ASSERT_CLEAN(placed_start(&self->t, COUNT, COUNT, variant->sharing));
}

/* Mappings end with the test's process. */
FIXTURE_TEARDOWN(mbind)
{
}

static long bind_all(const struct pages *p, int node, int flags)
{
	return policy_bind(p, 0, p->count, MPOL_BIND, NODE(node), flags);
}

/* The policy of page @index, by get_mempolicy(2). */
#define EXPECT_BOUND(node, index) \
	EXPECT_STREQ(policy_text(MPOL_BIND, NODE(node)), \
		     pages_policy(&self->t.pages, index))

#define EXPECT_DEFAULT(index) \
	EXPECT_STREQ("default", pages_policy(&self->t.pages, index))

TEST_F(mbind, strict_misplaced)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;

	EXPECT_EQ(-EIO, bind_all(p, t->b, STRICT));
	EXPECT_CLEAN(placed_verify(t, 0, "after STRICT failed"));
	EXPECT_DEFAULT(0);
}

TEST_F(mbind, pinned_stays)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;
	struct pin pin;

	ASSERT_EQ(0, pin_pages(&pin, pages_at(p, 5), 2));
	EXPECT_EQ(-EIO, bind_all(p, t->b, MOVE | STRICT));
	pages_want_all(p, t->b);
	pages_want(p, 5, 2, t->a);
	EXPECT_CLEAN(pages_verify(p, "pages 5 and 6 pinned, after MOVE"));
	EXPECT_CLEAN(counters_verify(&t->before, COUNT - 2, 2));
	EXPECT_BOUND(t->b, 0);
	EXPECT_BOUND(t->b, 5);

	/* Without STRICT a page that stays is no error. */
	ASSERT_CLEAN(pages_snapshot(p));
	EXPECT_EQ(0, bind_all(p, t->b, MOVE));
	EXPECT_CLEAN(pages_verify(p, "pages 5 and 6 pinned, no STRICT"));
	EXPECT_CLEAN(counters_verify(&t->before, COUNT - 2, 4));

	pin_release(&pin);
	EXPECT_EQ(0, bind_all(p, t->b, MOVE | STRICT));
	pages_want_all(p, t->b);
	EXPECT_CLEAN(pages_verify(p, "unpinned, after MOVE"));
	EXPECT_CLEAN(counters_verify(&t->before, COUNT, 4));
}

/* At the head, in the middle and at the tail of the range. */
TEST_F(mbind, hole)
{
	static const int holes[] = { 0, COUNT / 2, COUNT - 1 };
	struct placed *t = &self->t;
	struct pages *p = &t->pages;
	unsigned int i;

	/* Each alone: one at the head would hide that the others are missed. */
	for (i = 0; i < ARRAY_SIZE(holes); i++) {
		TH_LOG("hole at page %d", holes[i]);
		ASSERT_EQ(0, pages_map(p, COUNT, variant->sharing));
		pages_want_all(p, t->a);
		ASSERT_EQ(0, pages_populate(p));
		ASSERT_EQ(0, munmap(pages_at(p, holes[i]), PAGE_BYTES));
		pages_want(p, holes[i], 1, UNMAPPED);
		ASSERT_CLEAN(pages_snapshot(p));
		EXPECT_EQ(-EFAULT, bind_all(p, t->b, MOVE | STRICT));
		EXPECT_CLEAN(pages_verify(p, "with a hole, after MOVE"));
		EXPECT_DEFAULT(1);
		EXPECT_DEFAULT(COUNT - 2);
	}
	EXPECT_CLEAN(counters_verify(&t->before, 0, 0));

	/* Only taking policies away may run across holes. */
	ASSERT_EQ(0, policy_bind(p, 1, 4, MPOL_BIND, NODE(t->a), 0));
	EXPECT_BOUND(t->a, 1);
	EXPECT_EQ(0, numa_mbind(p->addr, COUNT * PAGE_BYTES, MPOL_DEFAULT, 0,
				0));
	EXPECT_DEFAULT(1);
}

TEST_HARNESS_MAIN
