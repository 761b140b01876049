// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two threads that both have a say in where pages go: move_pages(2) one way
 * and mbind(2) or migrate_pages(2) the other on the same pages, and a thread
 * that changes its own policy and allocates under it while the other moves.
 * A page is isolated by one of the two (folio_isolate_lru(), mm/vmscan.c,
 * 6.12): the other one tells that it is busy and leaves it.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {14: ["policy.*"]}
 */
#include <sys/mman.h>

#include "harness.h"

#include "nodes.h"
#include "pattern.h"
#include "placement.h"
#include "race_pages.h"

#define COUNT		64
#define ROUNDS		60

FIXTURE(policy)
{
	struct contest contest;
};

/* Of the case: pages of the rival's own. */
static struct pages fresh;

FIXTURE_SETUP(policy)
{
	struct contest *c = &self->contest;

	if (contest_nodes(c))
		SKIP(return, "needs 2 nodes with memory");
	ASSERT_EQ(0, pages_map(&c->pages, COUNT, MAP_PRIVATE));
	ASSERT_EQ(0, pages_map(&fresh, COUNT, MAP_PRIVATE));
}

/* Mappings and threads end with the test's process. */
FIXTURE_TEARDOWN(policy)
{
}

/* The other way than move_pages(2) in this round. */
static void bind_back(void *contest, int round)
{
	struct contest *c = contest;
	int to = c->node[round % 2];
	long result;

	result = numa_mbind(c->pages.addr, COUNT * PAGE_BYTES, MPOL_BIND,
			    NODE(to), MPOL_MF_MOVE | MPOL_MF_STRICT);
	if (result && result != -EIO)
		c->wrong = "mbind(2) failed";
	c->acted++;
}

static const char *judge_bound(void *contest, int round)
{
	struct contest *c = contest;
	char want[32];

	snprintf(want, sizeof(want), "bind:%d", c->node[round % 2]);
	if (strcmp(want, pages_policy(&c->pages, 0)) ||
	    strcmp(want, pages_policy(&c->pages, COUNT - 1)))
		c->wrong = "the policy is not that of the last mbind(2)";
	return contest_judge(c, round);
}

TEST_F(policy, mbind_against_move_pages)
{
	struct race race = {
		.rival = bind_back,
		.judge = judge_bound,
		.rounds = ROUNDS,
	};

	/* There and back in one round is two moves, and is not seen. */
	self->contest.replaces = true;
	EXPECT_CLEAN(contest_run_race(&self->contest, &race));
}

static void migrate_back(void *contest, int round)
{
	struct contest *c = contest;
	long result;

	result = numa_migrate_pages(0, NODE(c->node[(round + 1) % 2]),
				    NODE(c->node[round % 2]));
	if (result < 0)
		c->wrong = "migrate_pages(2) failed";
	c->acted++;
}

TEST_F(policy, migrate_pages_against_move_pages)
{
	self->contest.replaces = true;
	EXPECT_CLEAN(contest_run(&self->contest, migrate_back, ROUNDS));
}

/* All that is allocated after the call is where the call says. */
static void allocate(void *contest, int round)
{
	struct contest *c = contest;
	int node = c->node[round / 2 % 2], status[COUNT];
	long i;

	madvise(fresh.addr, COUNT * PAGE_BYTES, MADV_DONTNEED);
	if (numa_set_mempolicy(MPOL_BIND, NODE(node)))
		c->wrong = "set_mempolicy(2) failed";
	for (i = 0; i < COUNT; i++)
		pattern_fill(pages_at(&fresh, i), fresh.seed, i);
	if (placement_query(0, fresh.addr, COUNT, status))
		c->wrong = "cannot ask where the pages are";
	for (i = 0; i < COUNT; i++)
		if (status[i] != node ||
		    pattern_check(pages_at(&fresh, i), fresh.seed, i) >= 0)
			c->wrong = "a page is not where the policy has it";
	c->acted++;
}

TEST_F(policy, set_mempolicy_of_a_thread)
{
	EXPECT_CLEAN(contest_run(&self->contest, allocate, ROUNDS));
}

TEST_HARNESS_MAIN
