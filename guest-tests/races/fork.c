// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages move while their process forks, again and again. fork(2) finds
 * migration entries where it expects pages (copy_nonpresent_pte() in
 * mm/memory.c, 6.12), makes both sides' entries ones for reading, and the copy
 * on write that follows is to give each side its own content: the child that
 * of the moment of the fork, however often the pages move on.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   quick:
 *     - fork.move
 *   contract: {14: ["fork.*"], 10: ["fork.*"]}
 *   covers:
 *     - {cases: "fork.move", interface: [move_pages-set], backing:
 *        [anon-private], condition: [fork-storm]}
 *     - {cases: "fork.move_all", interface: [move_pages-set], backing:
 *        [anon-private], condition: [fork-storm]}
 *     - {cases: "fork.mbind", interface: [mbind-move-all], backing:
 *        [anon-private], condition: [fork-storm]}
 *     - {cases: "fork.migrate_pages", interface: [migrate_pages-child],
 *        backing: [anon-private], condition: [fork-storm]}
 */
#include <sys/wait.h>

#include "harness.h"

#include "chores.h"
#include "holder.h"
#include "pattern.h"
#include "race_pages.h"

#define COUNT		32
#define ROUNDS		30
#define CHILDREN	3

FIXTURE(fork)
{
	struct contest contest;
};

FIXTURE_SETUP(fork)
{
	struct contest *c = &self->contest;

	if (contest_nodes(c))
		SKIP(return, "needs 2 nodes with memory");
	ASSERT_EQ(0, pages_map(&c->pages, COUNT, MAP_PRIVATE));
	/* Copies lie where the writer runs. */
	c->replaces = true;
}

/* Mappings, threads and peers end with the test's process. */
FIXTURE_TEARDOWN(fork)
{
}

static long count_bad(const struct pages *p, uint64_t seed)
{
	long i, bad = 0;

	for (i = 0; i < p->count; i++)
		bad += pattern_check(pages_at(p, i), seed, i) >= 0;
	return bad;
}

static void fill(const struct pages *p, uint64_t seed)
{
	long i;

	for (i = 0; i < p->count; i++)
		pattern_fill(pages_at(p, i), seed, i);
}

/* The snapshot is whole before, and what is written is after. */
static _Noreturn void be_child(const struct pages *p, int number)
{
	long bad = count_bad(p, p->seed);

	bad += count_bad(p, p->seed);
	fill(p, p->seed + 1000 + number);
	bad += count_bad(p, p->seed + 1000 + number);
	_exit(bad ? 1 : 0);
}

/* Fork some children, go on writing at once, and hear what they found. */
static long storm(struct pages *p)
{
	pid_t child[CHILDREN];
	int i, status, wrong = 0;

	for (i = 0; i < CHILDREN; i++) {
		child[i] = fork();
		if (child[i] == 0)
			be_child(p, i);
		p->seed++;
		fill(p, p->seed);
	}
	for (i = 0; i < CHILDREN; i++)
		if (child[i] < 0 || waitpid(child[i], &status, 0) != child[i] ||
		    status)
			wrong++;
	return wrong + count_bad(p, p->seed);
}

static void storm_here(void *contest, int round)
{
	struct contest *c = contest;

	(void)round;
	/* Copies come from where the writer runs, which may be a third node. */
	if (numa_set_mempolicy(MPOL_BIND, NODE(c->node[0]) | NODE(c->node[1])))
		c->wrong = "the writer cannot be kept to the two nodes";
	if (storm(&c->pages))
		c->wrong = "a snapshot is not what it was at the fork";
	c->acted += CHILDREN;
}

TEST_F(fork, move)
{
	EXPECT_CLEAN(contest_run(&self->contest, storm_here, ROUNDS));
}

TEST_F(fork, move_all)
{
	self->contest.flags = MPOL_MF_MOVE_ALL;
	EXPECT_CLEAN(contest_run(&self->contest, storm_here, ROUNDS));
}

static void bind_all(void *contest, int round)
{
	struct contest *c = contest;
	long result;

	result = numa_mbind(c->pages.addr, COUNT * PAGE_BYTES, MPOL_BIND,
			    NODE(c->node[(round + 1) % 2]), MPOL_MF_MOVE_ALL);
	if (result)
		c->result = result;
}

TEST_F(fork, mbind)
{
	struct race race = {
		.mover = bind_all,
		.rival = storm_here,
		.rounds = ROUNDS,
	};

	EXPECT_CLEAN(contest_run_race(&self->contest, &race));
}

/* The process that forks is another one, and is moved as a whole. */
static struct holder holder;

static void storm_there(void *contest, int round)
{
	struct contest *c = contest;

	(void)round;
	if (holder_call(&holder, storm))
		c->wrong = "a snapshot is not what it was at the fork";
	c->acted += CHILDREN;
}

static void migrate_holder(void *contest, int round)
{
	struct contest *c = contest;

	c->result = numa_migrate_pages(holder.peer.pid,
				       NODE(c->node[round % 2]),
				       NODE(c->node[(round + 1) % 2]));
	/* With nobody else about, nothing is left on the node. */
	if (c->result < 0)
		c->wrong = "migrate_pages(2) failed";
}

TEST_F(fork, migrate_pages)
{
	struct contest *c = &self->contest;
	struct pages *p = &c->pages;
	struct race race = {
		.mover = migrate_holder,
		.rival = storm_there,
		.arg = c,
		.rounds = ROUNDS,
	};
	struct counters before;
	int there = c->node[1];

	ASSERT_EQ(0, contest_begin(c));
	ASSERT_EQ(0, holder_start(&holder, p, chore_populate_anew));
	ASSERT_EQ(0, counters_read(&before));
	ASSERT_CLEAN(race_run(&race));
	EXPECT_LT(0, c->acted);
	ASSERT_EQ(NULL, c->wrong);
	EXPECT_EQ(0, holder_call(&holder, storm));
	EXPECT_CLEAN(race_settled(&before));

	/* Afterwards it can be moved whole, and none of it is left. */
	p->pid = holder.peer.pid;
	EXPECT_EQ(0, numa_migrate_pages(p->pid, NODE(c->node[0]),
					NODE(there)));
	pages_want_all(p, there);
	EXPECT_CLEAN(pages_snapshot(p));
	EXPECT_EQ(0, numa_migrate_pages(p->pid, NODE(there),
					NODE(c->node[0])));
	pages_want_all(p, c->node[0]);
	EXPECT_CLEAN(pages_verify(p, "when the storm was over"));
	EXPECT_EQ(0, holder_call(&holder, storm));
	EXPECT_EQ(0, holder_end(&holder));
}

TEST_HARNESS_MAIN
