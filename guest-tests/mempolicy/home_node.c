// SPDX-License-Identifier: GPL-2.0-only
/*
 * set_mempolicy_home_node(2), since 5.17: of the nodes of a policy, those
 * nearest to the home node come first, wherever the thread runs
 * (policy_nodemask() in mm/mempolicy.c of 6.12, policy_node() before 6.7). It
 * is for MPOL_BIND and MPOL_PREFERRED_MANY ranges, places new pages only, and
 * no interface tells it: it is seen by where pages fall.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   scope: file
 *   cases:
 *     home_node.bind.nearest_of_the_policy: {nodes: 3}
 *     home_node.prefer_many.nearest_of_the_policy: {nodes: 3}
 *   contract: {7: ["home_node.*"]}
 *   covers:
 *     - {cases: "home_node.*", interface: [home_node], backing: [anon-private,
 *        anon-shared], condition: [quiet]}
 *     - {cases: "home_node.*.errors", interface: [home_node], backing:
 *        [anon-private], condition: [bad-node, bad-address, hole]}
 */
#include "harness.h"

#include "nodes.h"
#include "peer.h"
#include "policy.h"
#include "vmas.h"

#define COUNT		16
#define BYTES		(COUNT * PAGE_BYTES)

#define MOVE		MPOL_MF_MOVE
#define STRICT		MPOL_MF_STRICT

FIXTURE(home_node)
{
	struct placed t;
	unsigned long both;	/* a and b */
};

FIXTURE_VARIANT(home_node)
{
	int mode;
};

FIXTURE_VARIANT_ADD(home_node, bind)
{
	.mode = MPOL_BIND,
};

FIXTURE_VARIANT_ADD(home_node, prefer_many)
{
	.mode = MPOL_PREFERRED_MANY,
};

/* COUNT untouched pages; the thread runs on a. */
FIXTURE_SETUP(home_node)
{
	ASSERT_CLEAN(placed_start(&self->t, COUNT, 0, MAP_PRIVATE));
	ASSERT_EQ(0, nodes_run_on(self->t.a));
	self->both = NODE(self->t.a) | NODE(self->t.b);
}

FIXTURE_TEARDOWN(home_node)
{
}

static long set(struct placed *t, long first, long count, int mode,
		unsigned long nodes)
{
	return policy_bind(&t->pages, first, count, mode, nodes, 0);
}

static long home(struct placed *t, long first, long count, unsigned long node)
{
	return numa_home_node(pages_at(&t->pages, first), count * PAGE_BYTES,
			      node, 0);
}

/* Fault @count pages and want them on @node. */
static void fault(struct placed *t, long first, long count, int node)
{
	policy_fault(&t->pages, first, count);
	pages_want(&t->pages, first, count, node);
}

TEST_F(home_node, new_pages)
{
	struct placed *t = &self->t;

	/* Without a home it is the thread's node that counts. */
	ASSERT_EQ(0, set(t, 0, COUNT, variant->mode, self->both));
	fault(t, 0, 4, t->a);
	EXPECT_EQ(0, home(t, 0, COUNT, t->b));
	/* What the interfaces tell has no home in it. */
	EXPECT_CLEAN(policy_check(&t->pages, 0, variant->mode, self->both));
	fault(t, 4, 4, t->b);
	/* The other way round: home is a, the thread on b. */
	ASSERT_EQ(0, nodes_run_on(t->b));
	EXPECT_EQ(0, home(t, 0, COUNT, t->a));
	fault(t, 8, 4, t->a);
	EXPECT_CLEAN(placed_verify(t, 0, "new pages near their home"));
}

/* It concerns new pages: none of those that exist is moved. */
TEST_F(home_node, moves_nothing)
{
	struct placed *t = &self->t;

	ASSERT_EQ(0, set(t, 0, COUNT, variant->mode, self->both));
	fault(t, 0, COUNT, t->a);
	ASSERT_CLEAN(placed_look(t));
	EXPECT_EQ(0, home(t, 0, COUNT, t->b));
	EXPECT_CLEAN(placed_verify(t, 0, "a home elsewhere"));
	/* Nor does MOVE: they are within the policy's nodes. */
	EXPECT_EQ(0, policy_bind(&t->pages, 0, COUNT, variant->mode, self->both,
				 MOVE | STRICT));
	EXPECT_CLEAN(placed_verify(t, 0, "a home elsewhere, and MOVE"));
}

/* mbind(2) makes a new policy, be it the same: the home is gone. */
TEST_F(home_node, forgotten)
{
	struct placed *t = &self->t;

	ASSERT_EQ(0, set(t, 0, COUNT, variant->mode, self->both));
	ASSERT_EQ(0, home(t, 0, COUNT, t->b));
	fault(t, 0, 4, t->b);
	EXPECT_EQ(0, set(t, 0, COUNT, variant->mode, self->both));
	fault(t, 4, 4, t->a);
	EXPECT_CLEAN(placed_verify(t, 0, "bound again"));
}

/* A part of the range is split off, and merges when all of it is the same. */
TEST_F(home_node, part)
{
	struct placed *t = &self->t;

	ASSERT_EQ(0, set(t, 0, COUNT, variant->mode, self->both));
	EXPECT_EQ(0, home(t, 4, 8, t->b));
	EXPECT_STREQ("4 8 4", vmas_layout(&t->pages));
	EXPECT_EQ(0, home(t, 0, COUNT, t->b));
	EXPECT_STREQ("16", vmas_layout(&t->pages));

	EXPECT_EQ(0, home(t, 0, 4, t->a));
	EXPECT_STREQ("4 12", vmas_layout(&t->pages));
	fault(t, 2, 2, t->a);
	fault(t, 4, 2, t->b);
	fault(t, 14, 2, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "a part with another home"));
}

/* Fork takes it along. */
TEST_F(home_node, inherited)
{
	struct placed *t = &self->t;
	struct peer peer;

	ASSERT_EQ(0, set(t, 0, COUNT, variant->mode, self->both));
	ASSERT_EQ(0, home(t, 0, COUNT, t->b));
	if (peer_fork(&peer) == 0) {
		fault(t, 0, COUNT, t->b);
		puts(pages_verify(&t->pages, "in the child"));
		fflush(stdout);
		_exit(*problems_text(&t->pages.problems) ? 1 : 0);
	}
	EXPECT_EQ(0, peer_end(&peer));
}

/* Shared memory: what was set here governs what is allocated there. */
TEST_F(home_node, shared)
{
	struct placed *t = &self->t;

	ASSERT_CLEAN(placed_start(t, COUNT, 0, MAP_SHARED));
	ASSERT_EQ(0, set(t, 0, COUNT, variant->mode, self->both));
	fault(t, 0, 4, t->a);
	EXPECT_EQ(0, home(t, 0, COUNT, t->b));
	fault(t, 4, 4, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "shared memory with a home"));
}

/* The nearest to @from of @nodes; others as near are taken out of the set. */
static int nearest(int from, unsigned long *nodes)
{
	int node, further, near = nodes_nth(*nodes, 0);

	for (node = near + 1; node < MAX_NODES; node++) {
		if (!(*nodes & NODE(node)))
			continue;
		further = policy_distance(from, node) -
			  policy_distance(from, near);
		if (further == 0)
			*nodes &= ~NODE(node);
		else if (further < 0)
			near = node;
	}
	return near;
}

/* The home need not be of the policy: the nearest to it that is comes first. */
TEST_F(home_node, nearest_of_the_policy)
{
	unsigned long nodes = nodes_with_memory(), others;
	struct placed *t = &self->t;
	int home_at, near, i;

	for (i = 0; i < nodes_count(nodes); i++) {
		home_at = nodes_nth(nodes, i);
		others = nodes & ~NODE(home_at);
		near = nearest(home_at, &others);
		TH_LOG("home %d, policy %s: near is %d", home_at,
		       nodes_text(others), near);
		ASSERT_EQ(0, madvise(t->pages.addr, BYTES, MADV_DONTNEED));
		ASSERT_EQ(0, set(t, 0, COUNT, variant->mode, others));
		EXPECT_EQ(0, home(t, 0, COUNT, home_at));
		fault(t, 0, COUNT, near);
		EXPECT_CLEAN(pages_snapshot(&t->pages));
	}
}

TEST_F(home_node, errors)
{
	struct placed *t = &self->t;
	char *at = t->pages.addr;
	int none = nodes_nth(~nodes_possible(), 0);

	ASSERT_LE(0, none);
	/* Ranges without a policy, with one that has no use for a home. */
	EXPECT_EQ(-ENOENT, home(t, 0, COUNT, t->b));
	ASSERT_EQ(0, set(t, 0, COUNT, MPOL_PREFERRED, NODE(t->a)));
	EXPECT_EQ(-EOPNOTSUPP, home(t, 0, COUNT, t->b));
	ASSERT_EQ(0, set(t, 0, COUNT, MPOL_INTERLEAVE, self->both));
	EXPECT_EQ(-EOPNOTSUPP, home(t, 0, COUNT, t->b));
	ASSERT_EQ(0, set(t, 0, COUNT, MPOL_LOCAL, 0));
	EXPECT_EQ(-EOPNOTSUPP, home(t, 0, COUNT, t->b));
	/* The task's policy is not asked. */
	ASSERT_EQ(0, set(t, 0, COUNT, MPOL_DEFAULT, 0));
	ASSERT_EQ(0, numa_set_mempolicy(variant->mode, self->both));
	EXPECT_EQ(-ENOENT, home(t, 0, COUNT, t->b));
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_DEFAULT, 0));

	ASSERT_EQ(0, set(t, 0, COUNT, variant->mode, self->both));
	EXPECT_EQ(-EINVAL, home(t, 0, COUNT, none));
	EXPECT_EQ(-EINVAL, home(t, 0, COUNT, MAX_NODES));
	EXPECT_EQ(-EINVAL, home(t, 0, COUNT, -1UL));
	EXPECT_EQ(-EINVAL, numa_home_node(at, BYTES, t->b, 1));
	EXPECT_EQ(-EINVAL, numa_home_node(at + 1, PAGE_BYTES, t->b, 0));
	EXPECT_EQ(-EINVAL, numa_home_node(at, -PAGE_BYTES, t->b, 0));
	/* Nothing to do. */
	EXPECT_EQ(0, numa_home_node(at, 0, t->b, 0));
	/* Nothing there. */
	ASSERT_EQ(0, munmap(pages_at(&t->pages, 4), 4 * PAGE_BYTES));
	pages_want(&t->pages, 4, 4, UNMAPPED);
	EXPECT_EQ(-ENOENT, home(t, 4, 4, t->b));
	/* None of all this gave any page a home. */
	fault(t, 0, 2, t->a);
	EXPECT_CLEAN(placed_verify(t, 0, "no home"));
	/* Holes are passed over. */
	EXPECT_EQ(0, home(t, 0, COUNT, t->b));
	fault(t, 2, 2, t->b);
	fault(t, 8, 2, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "a home on both sides of a hole"));
}

/* Of several VMAs those before the one that is refused keep their home. */
TEST_F(home_node, refused_half_way)
{
	struct placed *t = &self->t;

	ASSERT_EQ(0, set(t, 2, 4, variant->mode, self->both));
	ASSERT_EQ(0, set(t, 6, 4, MPOL_PREFERRED, NODE(t->a)));
	ASSERT_EQ(0, set(t, 10, 4, variant->mode, self->both));
	EXPECT_EQ(-EOPNOTSUPP, home(t, 0, COUNT, t->b));
	fault(t, 0, 2, t->a);
	fault(t, 2, 4, t->b);
	fault(t, 6, 4, t->a);
	fault(t, 10, 4, t->a);
	EXPECT_CLEAN(placed_verify(t, 0, "refused half way"));
}

TEST_HARNESS_MAIN
