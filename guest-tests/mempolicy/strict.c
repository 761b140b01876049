// SPDX-License-Identifier: GPL-2.0-only
/*
 * MPOL_MF_STRICT: alone it looks and fails before anything is done; with MOVE
 * or MOVE_ALL it fails for what could not be moved, after all else has moved
 * and the policy is installed (do_mbind() and strictly_unmovable() in
 * mm/mempolicy.c of 6.12). mbind.c has the plain cases.
 *
 * What is misplaced, queue_folio_required() says by the node mask of the call
 * alone: any page outside of it, and no page within, whatever the mode would
 * choose among its nodes.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   scope: file
 *   quick:
 *     - strict.move.second_vma
 *   contract: {6: ["strict.*"]}
 *   covers:
 *     - {cases: "strict.move.pinned*", interface: [mbind-move-strict], backing:
 *        [anon-private, vmspliced], condition: [quiet]}
 *     - {cases: "strict.move_all.pinned*", interface: [mbind-move-all],
 *        backing: [anon-private, vmspliced], condition: [quiet]}
 *     - {cases: "strict.*.alone*", interface: [mbind-strict], backing:
 *        [anon-private], condition: [quiet]}
 *   known:
 *     - {cases: ["strict.*.local_where_they_are",
 *        "strict.*.relative_where_they_are"], kernels: ">=6.1", why:
 *        "do_mbind() compares the pages with the node mask of the call instead
 *        of the policy made of it, so with MPOL_LOCAL or MPOL_F_RELATIVE_NODES
 *        pages that are where the policy wants them fail with EIO, against
 *        mbind(2)", commit: known-issues/strict-by-the-mask-of-the-call.md;
 *        seen on 6.1 and 6.12}
 */
#include "harness.h"

#include "nodes.h"
#include "pin.h"
#include "policy.h"
#include "vmas.h"

#define COUNT		16

#define STRICT		MPOL_MF_STRICT

FIXTURE(strict)
{
	struct placed t;
};

FIXTURE_VARIANT(strict)
{
	int move;
};

FIXTURE_VARIANT_ADD(strict, move)
{
	.move = MPOL_MF_MOVE,
};

FIXTURE_VARIANT_ADD(strict, move_all)
{
	.move = MPOL_MF_MOVE_ALL,
};

/* COUNT pages on node a. */
FIXTURE_SETUP(strict)
{
	ASSERT_CLEAN(placed_start(&self->t, COUNT, COUNT, MAP_PRIVATE));
}

FIXTURE_TEARDOWN(strict)
{
}

static long set(struct placed *t, int mode, unsigned long nodes, int flags)
{
	return policy_bind(&t->pages, 0, COUNT, mode, nodes, flags);
}

#define EXPECT_POLICY(mode, nodes) \
	EXPECT_CLEAN(policy_check(&self->t.pages, 0, mode, nodes))

/* One pinned page at each end: all between moves. */
TEST_F(strict, pinned_ends)
{
	struct placed *t = &self->t;
	struct pin head, tail;

	ASSERT_EQ(0, pin_pages(&head, pages_at(&t->pages, 0), 1));
	ASSERT_EQ(0, pin_pages(&tail, pages_at(&t->pages, COUNT - 1), 1));
	EXPECT_EQ(-EIO, set(t, MPOL_BIND, NODE(t->b), variant->move | STRICT));
	pages_want(&t->pages, 1, COUNT - 2, t->b);
	EXPECT_CLEAN(placed_verify(t, 2, "a pinned page at each end"));
	EXPECT_POLICY(MPOL_BIND, NODE(t->b));
	EXPECT_STREQ("16", vmas_layout(&t->pages));
	pin_release(&head);
	pin_release(&tail);

	/* They were left as they were: they move now. */
	ASSERT_CLEAN(placed_look(t));
	EXPECT_EQ(0, set(t, MPOL_BIND, NODE(t->b), variant->move | STRICT));
	pages_want_all(&t->pages, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "the ends unpinned"));
}

/* Nothing can move, and the policy is there all the same. */
TEST_F(strict, pinned_all)
{
	struct placed *t = &self->t;
	struct pin pin;

	ASSERT_EQ(0, pin_pages(&pin, t->pages.addr, COUNT));
	EXPECT_EQ(-EIO, set(t, MPOL_BIND, NODE(t->b), variant->move | STRICT));
	EXPECT_CLEAN(placed_verify(t, COUNT, "all pages pinned"));
	EXPECT_POLICY(MPOL_BIND, NODE(t->b));
	pin_release(&pin);
}

/* MPOL_DEFAULT has no use for STRICT: what stays is no failure. */
TEST_F(strict, pinned_default)
{
	struct placed *t = &self->t;
	struct pin pin;

	ASSERT_EQ(0, nodes_run_on(t->b));
	ASSERT_EQ(0, set(t, MPOL_BIND, NODE(t->a), 0));
	ASSERT_EQ(0, pin_pages(&pin, pages_at(&t->pages, 3), 2));
	EXPECT_EQ(0, set(t, MPOL_DEFAULT, 0, variant->move | STRICT));
	pages_want_all(&t->pages, t->b);
	pages_want(&t->pages, 3, 2, t->a);
	EXPECT_CLEAN(placed_verify(t, 2, "MPOL_DEFAULT, two pages pinned"));
	EXPECT_POLICY(MPOL_DEFAULT, 0);
	pin_release(&pin);
}

/* A pinned page where it belongs is nobody's failure. */
TEST_F(strict, pinned_in_place)
{
	struct placed *t = &self->t;
	struct pin pin;

	ASSERT_EQ(0, pin_pages(&pin, pages_at(&t->pages, 3), 2));
	EXPECT_EQ(0, set(t, MPOL_BIND, NODE(t->a), variant->move | STRICT));
	EXPECT_EQ(0, set(t, MPOL_BIND, NODE(t->a), STRICT));
	EXPECT_CLEAN(placed_verify(t, 0, "pinned where they belong"));
	EXPECT_POLICY(MPOL_BIND, NODE(t->a));
	pin_release(&pin);
}

/* Alone: one page in the last of three VMAs, and no VMA gets the policy. */
TEST_F(strict, second_vma)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;

	ASSERT_EQ(0, policy_bind(p, COUNT - 1, 1, MPOL_BIND, NODE(t->b),
				 variant->move));
	pages_want(p, COUNT - 1, 1, t->b);
	ASSERT_EQ(0, policy_bind(p, 4, 4, MPOL_PREFERRED, NODE(t->b), 0));
	EXPECT_STREQ("4 4 7 1", vmas_layout(p));
	ASSERT_CLEAN(placed_look(t));
	EXPECT_EQ(-EIO, set(t, MPOL_BIND, NODE(t->a), STRICT));
	EXPECT_STREQ("4 4 7 1", vmas_layout(p));
	EXPECT_STREQ("default", pages_policy(p, 0));
	EXPECT_STREQ(policy_text(MPOL_PREFERRED, NODE(t->b)),
		     pages_policy(p, 4));
	EXPECT_STREQ("default", pages_policy(p, 8));
	EXPECT_CLEAN(placed_verify(t, 0, "STRICT alone failed"));

	/* Taken along, it is no obstacle. */
	EXPECT_EQ(0, set(t, MPOL_BIND, NODE(t->a), variant->move | STRICT));
	pages_want_all(p, t->a);
	EXPECT_CLEAN(placed_verify(t, 0, "STRICT and MOVE"));
	EXPECT_STREQ("16", vmas_layout(p));
}

/* Pages that are not there are not misplaced. */
TEST_F(strict, alone_untouched)
{
	struct placed *t = &self->t;

	ASSERT_EQ(0, madvise(t->pages.addr, COUNT * PAGE_BYTES,
			     MADV_DONTNEED));
	pages_want_all(&t->pages, UNTOUCHED);
	EXPECT_EQ(0, set(t, MPOL_BIND, NODE(t->b), STRICT));
	EXPECT_EQ(0, set(t, MPOL_BIND, NODE(t->b), variant->move | STRICT));
	EXPECT_POLICY(MPOL_BIND, NODE(t->b));
	EXPECT_CLEAN(placed_verify(t, 0, "nothing there to be misplaced"));
}

/*
 * Within the nodes of the mask all is well, though interleave or the preferred
 * node would have had them elsewhere; MOVE leaves them, too.
 */
TEST_F(strict, within_the_mask)
{
	static const int modes[] = { MPOL_BIND, MPOL_PREFERRED, MPOL_INTERLEAVE,
				     MPOL_PREFERRED_MANY };
	struct placed *t = &self->t;
	unsigned long both = NODE(t->a) | NODE(t->b);
	unsigned int i;

	ASSERT_EQ(0, policy_bind(&t->pages, 8, 8, MPOL_BIND, NODE(t->b),
				 variant->move));
	pages_want(&t->pages, 8, 8, t->b);
	ASSERT_CLEAN(placed_look(t));
	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		/* A node alone is what MPOL_PREFERRED makes of it. */
		unsigned long told = modes[i] == MPOL_PREFERRED ? NODE(t->a) :
								  both;

		TH_LOG("mode %d", modes[i]);
		EXPECT_EQ(0, set(t, modes[i], both, STRICT));
		EXPECT_POLICY(modes[i], told);
		EXPECT_EQ(0, set(t, MPOL_DEFAULT, 0, 0));
		EXPECT_EQ(0, set(t, modes[i], both, variant->move | STRICT));
		EXPECT_POLICY(modes[i], told);
	}
	EXPECT_CLEAN(placed_verify(t, 0, "within the nodes of the mask"));
}

/* Outside of it STRICT fails for each mode, and installs none. */
TEST_F(strict, alone_each_mode)
{
	static const int modes[] = { MPOL_BIND, MPOL_PREFERRED, MPOL_INTERLEAVE,
				     MPOL_PREFERRED_MANY };
	struct placed *t = &self->t;
	unsigned int i;

	ASSERT_EQ(0, nodes_run_on(t->b));
	ASSERT_EQ(0, set(t, MPOL_BIND, NODE(t->a), 0));
	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		TH_LOG("mode %d", modes[i]);
		EXPECT_EQ(-EIO, set(t, modes[i], NODE(t->b), STRICT));
		EXPECT_POLICY(MPOL_BIND, NODE(t->a));
	}
	/* The thread is on b, the pages are not: not local. */
	EXPECT_EQ(-EIO, set(t, MPOL_LOCAL, 0, STRICT));
	EXPECT_EQ(-EIO, set(t, MPOL_PREFERRED, 0, STRICT));
	EXPECT_POLICY(MPOL_BIND, NODE(t->a));
	/* MPOL_DEFAULT alone has no opinion. */
	EXPECT_EQ(0, set(t, MPOL_DEFAULT, 0, STRICT));
	EXPECT_POLICY(MPOL_DEFAULT, 0);
	EXPECT_CLEAN(placed_verify(t, 0, "STRICT alone, each mode"));
}

/* Local memory, asked for where it is local already. */
TEST_F(strict, local_where_they_are)
{
	struct placed *t = &self->t;

	ASSERT_EQ(0, nodes_run_on(t->a));
	EXPECT_EQ(0, set(t, MPOL_LOCAL, 0, STRICT));
	EXPECT_POLICY(MPOL_LOCAL, 0);
	EXPECT_EQ(0, set(t, MPOL_LOCAL, 0, variant->move | STRICT));
	EXPECT_CLEAN(placed_verify(t, 0, "local pages stay in place"));
}

/*
 * Relative to the nodes that there are: bit n of n nodes is the first of them
 * again (mpol_relative_nodemask()).
 */
TEST_F(strict, relative_where_they_are)
{
	unsigned long wrapped = NODE(nodes_count(nodes_with_memory()));
	struct placed *t = &self->t;

	EXPECT_EQ(0, set(t, MPOL_BIND | MPOL_F_RELATIVE_NODES, wrapped,
			 STRICT));
	EXPECT_EQ(0, set(t, MPOL_BIND | MPOL_F_RELATIVE_NODES, wrapped,
			 variant->move | STRICT));
	EXPECT_CLEAN(placed_verify(t, 0, "relative pages stay in place"));
}

/* The same where the pages are wrong: they move to the right node. */
TEST_F(strict, relative_wraps)
{
	int count = nodes_count(nodes_with_memory());
	struct placed *t = &self->t;

	EXPECT_EQ(0, set(t, MPOL_BIND | MPOL_F_RELATIVE_NODES, NODE(count + 1),
			 variant->move | STRICT));
	pages_want_all(&t->pages, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "relative nodes wrap around"));
}

TEST_HARNESS_MAIN
