// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where pages come back to that went via swap: under the policy that is in
 * force when they are touched, of whoever touches them. That is disadvantage C
 * of 2005: how pages lie relative to each other within a set of nodes is lost,
 * which direct migration keeps.
 *
 * testbed:
 *   nodes: 4
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, SWAP, BLK_DEV_RAM, CPUSETS]
 *   features: [swap-migration]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     "placement_cpuset.v1.*": {kconfig: [CPUSETS_V1 since 6.12]}
 */
#include <sys/mman.h>

#include "harness.h"

#include "chores.h"
#include "cpuset_scene.h"
#include "evict.h"
#include "nodes.h"
#include "policy.h"
#include "relocate.h"
#include "subject.h"
#include "swap.h"

#define COUNT		16
#define SLOTS		1024

#define MOVE		MPOL_MF_MOVE
#define EVICT		MPOL_MF_EVICT

FIXTURE(placement)
{
	int node[4];
	struct pages pages;
	struct subject subject;
	struct swap_areas others;
};

FIXTURE_SETUP(placement)
{
	int i;

	for (i = 0; i < 4; i++)
		self->node[i] = nodes_nth(nodes_with_memory(), i);
	if (self->node[3] < 0)
		SKIP(return, "needs 4 nodes with memory");
	ASSERT_EQ(0, swap_ram_begin(&self->others, SLOTS));
}

/* Whatever is in swap comes back with it. */
FIXTURE_TEARDOWN(placement)
{
	EXPECT_EQ(0, evict_set_mode(MIGRATE_MODE_DIRECT));
	EXPECT_EQ(0, swap_ram_end(&self->others));
}

static unsigned long first_pair(const int *node)
{
	return NODE(node[0]) | NODE(node[1]);
}

static unsigned long second_pair(const int *node)
{
	return NODE(node[2]) | NODE(node[3]);
}

/* In turn on the first two nodes, without a policy. */
#define DEAL_OVER_FIRST_PAIR(p) do {					\
	ASSERT_EQ(0, pages_map(p, COUNT, MAP_PRIVATE));			\
	pages_want_dealt(p, first_pair(self->node));			\
	ASSERT_EQ(0, pages_populate(p));				\
	ASSERT_CLEAN(pages_snapshot(p));				\
} while (0)

/* By migrate_pages(2), and out of memory. */
#define EVICT_TO_SECOND_PAIR(p) do {					\
	ASSERT_EQ(0, evict_set_mode(MIGRATE_MODE_EVICT));		\
	EXPECT_LE(0, numa_migrate_pages(0, first_pair(self->node),	\
					second_pair(self->node)));	\
	evict_want_out(p, 0, COUNT);					\
	EXPECT_CLEAN(evict_out(p, "via swap"));				\
} while (0)

/* Odd to odd and even to even: the layout is the same on the other two. */
TEST_F(placement, direct_keeps_the_layout)
{
	struct pages *p = &self->pages;

	DEAL_OVER_FIRST_PAIR(p);
	EXPECT_EQ(MIGRATE_MODE_DIRECT, evict_mode());
	EXPECT_EQ(0, numa_migrate_pages(0, first_pair(self->node),
					second_pair(self->node)));
	pages_want_dealt(p, second_pair(self->node));
	EXPECT_CLEAN(pages_verify(p, "directly"));
}

/* The same by eviction: all of them come to where they are touched. */
TEST_F(placement, eviction_loses_the_layout)
{
	struct pages *p = &self->pages;

	DEAL_OVER_FIRST_PAIR(p);
	EVICT_TO_SECOND_PAIR(p);
	ASSERT_EQ(0, nodes_run_on(self->node[2]));
	EXPECT_CLEAN(evict_back(p, self->node[2], "touched from one node"));
}

/*
 * migrate_pages(2) changes no policy: what it evicted comes back to the node
 * that it was to leave, if the process still runs there.
 */
TEST_F(placement, eviction_may_lead_back)
{
	struct pages *p = &self->pages;

	ASSERT_EQ(0, nodes_run_on(self->node[0]));
	DEAL_OVER_FIRST_PAIR(p);
	EVICT_TO_SECOND_PAIR(p);
	/* A page that is back where it was need not be in its old frame. */
	ASSERT_CLEAN(pages_snapshot(p));
	EXPECT_CLEAN(evict_back(p, self->node[0], "touched where it ran"));
}

/* The policy of the call is not the one in force when they are touched. */
TEST_F(placement, policy_changed_meanwhile)
{
	struct pages *p = &self->pages;

	DEAL_OVER_FIRST_PAIR(p);
	EXPECT_EQ(0, evict_bind(p, 0, COUNT, self->node[2],
				MOVE | MPOL_MF_STRICT | EVICT));
	evict_want_out(p, 0, COUNT);
	EXPECT_CLEAN(evict_out(p, "for the third node"));
	ASSERT_EQ(0, policy_bind(p, 0, COUNT, MPOL_BIND, NODE(self->node[3]),
				 0));
	EXPECT_CLEAN(evict_back(p, self->node[3], "bound to the fourth"));
}

/* An interleave deals them out anew: by the address, not by where they were. */
TEST_F(placement, interleave)
{
	const unsigned long pair = second_pair(self->node);
	struct pages *p = &self->pages;
	unsigned long index;
	int i;

	ASSERT_EQ(0, pages_map(p, COUNT, MAP_PRIVATE));
	/* vm_pgoff of private memory: where it was mapped. */
	index = (unsigned long)p->addr / PAGE_BYTES;
	/* All on the first node: there was no layout to keep. */
	pages_want_all(p, self->node[0]);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_CLEAN(pages_snapshot(p));
	EXPECT_EQ(0, policy_bind(p, 0, COUNT, MPOL_INTERLEAVE, pair,
				 MOVE | MPOL_MF_STRICT | EVICT));
	evict_want_out(p, 0, COUNT);
	EXPECT_CLEAN(evict_out(p, "for an interleave"));
	for (i = COUNT - 1; i >= 0; i--) {
		pages_read(p, i);
		pages_want(p, i, 1, policy_interleaved(pair, index + i));
	}
	EXPECT_EQ(0, relocate_drain());
	EXPECT_CLEAN(pages_verify(p, "touched in reverse"));
}

/* Two nodes of a cpuset are exchanged for two others. */
FIXTURE(placement_cpuset)
{
	struct cpuset_scene scene;
	struct swap_areas others;
};

CPUSET_VARIANTS(placement_cpuset);

FIXTURE_SETUP(placement_cpuset)
{
	ASSERT_CLEAN(cpuset_scene_begin(&self->scene, variant->kind, COUNT));
	ASSERT_LE(4, nodes_count(self->scene.all));
	ASSERT_EQ(0, swap_ram_begin(&self->others, SLOTS));
}

FIXTURE_TEARDOWN(placement_cpuset)
{
	EXPECT_EQ(0, evict_set_mode(MIGRATE_MODE_DIRECT));
	EXPECT_EQ(0, swap_ram_end(&self->others));
	EXPECT_EQ(0, cpuset_scene_end(&self->scene));
}

#define DEALT_IN_X() do {						\
	pages_want_dealt(p, first_pair(self->scene.node));		\
	ASSERT_CLEAN(cpuset_scene_start(&self->scene,			\
					first_pair(self->scene.node),	\
					pages_populate));		\
} while (0)

TEST_F(placement_cpuset, direct_keeps_the_layout)
{
	struct pages *p = &self->scene.subject.pages;

	DEALT_IN_X();
	EXPECT_EQ(0, cpuset_set_mems("x", second_pair(self->scene.node)));
	pages_want_dealt(p, second_pair(self->scene.node));
	EXPECT_CLEAN(pages_verify(p, "directly"));
	EXPECT_EQ(0, holder_end(&self->scene.subject.holder));
}

static int run_there;

/* Called in the child. */
static long look_from_there(struct pages *p)
{
	return nodes_run_on(run_there) ? : pages_bad(p);
}

TEST_F(placement_cpuset, eviction_loses_the_layout)
{
	struct pages *p = &self->scene.subject.pages;

	run_there = self->scene.node[3];
	DEALT_IN_X();
	ASSERT_EQ(0, evict_set_mode(MIGRATE_MODE_EVICT));
	EXPECT_EQ(0, cpuset_set_mems("x", second_pair(self->scene.node)));
	evict_want_out(p, 0, COUNT);
	EXPECT_CLEAN(pages_verify(p, "via swap"));
	/* In the cpuset, as it is by then, but all on one of its nodes. */
	EXPECT_CLEAN(evict_back_in(&self->scene.subject.holder,
				   look_from_there, p, self->scene.node[3],
				   "touched from one node"));
	EXPECT_EQ(0, holder_end(&self->scene.subject.holder));
}

TEST_HARNESS_MAIN
