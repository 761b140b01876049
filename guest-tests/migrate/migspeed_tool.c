// SPDX-License-Identifier: GPL-2.0-only
/*
 * migspeed(8) of numactl, as a user runs it: it binds memory of its own to the
 * first node, writes to it, moves it to the second by mbind(2) with MPOL_BIND
 * and MPOL_MF_MOVE, and prints a rate. In between it prints what numa_maps says
 * of that memory, before and after, which is where the pages are seen here: when
 * it ends they are gone. That nothing stays behind is seen by the counters.
 *
 * Without MPOL_MF_STRICT mbind(2) succeeds also where pages stay, so what it
 * calls a rate may be of pages that did not move.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, MULTIUSER, CPUSETS]
 *   timeout_s: 100   # over that of the longest case
 *   cases:
 *     migspeed.node_without_memory: {memoryless: 1}
 *   contract: {16: [migspeed.target_full, migspeed.node_without_memory]}
 *   covers:
 *     - {cases: [migspeed.a_thousand_pages, migspeed.other_numbers,
 *                migspeed.to_where_they_are],
 *        interface: migspeed-tool, backing: anon-private, condition: quiet}
 *     - {cases: migspeed.as_a_user, interface: migspeed-tool,
 *        backing: anon-private, condition: no-capability}
 *     - {cases: migspeed.no_set_of_nodes, interface: migspeed-tool,
 *        backing: anon-private, condition: bad-node}
 *     - {cases: migspeed.node_without_memory, interface: migspeed-tool,
 *        backing: anon-private, condition: target-memoryless}
 *     - {cases: migspeed.outside_its_cpuset, interface: migspeed-tool,
 *        backing: anon-private, condition: target-outside-cpuset}
 *     - {cases: migspeed.target_full, interface: migspeed-tool,
 *        backing: anon-private, condition: target-full}
 */
#include "harness.h"

#include "counters.h"
#include "cpuset.h"
#include "creds.h"
#include "full.h"
#include "migspeed.h"
#include "nodes.h"
#include "proc.h"
#include "program.h"
#include "scene.h"
#include "swap.h"

/* Unless -p says otherwise. */
#define PAGES		1000
/*
 * 48 MiB, against 8 MiB that the node has left and what is free beyond: the
 * lists of the CPUs, which are not counted as free (zone_highsize() in
 * mm/page_alloc.c).
 */
#define MANY		12288
#define MANY_TEXT	"12288"
#define LEAVE		(8L << 20)

FIXTURE(migspeed)
{
	int a;
	int b;
	struct cpuset_root root;
	struct counters before;
	struct program tool;
};

FIXTURE_SETUP(migspeed)
{
	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, counters_read(&self->before));
}

FIXTURE_TEARDOWN(migspeed)
{
	EXPECT_EQ(0, cpuset_end(&self->root));
}

#define EXPECT_RATE(pages) \
	EXPECT_CLEAN(migspeed_check_rate(&self->tool, pages))

#define EXPECT_REFUSED(set) do {					\
	char _text[48];							\
									\
	snprintf(_text, sizeof(_text), "<%s> is invalid", set);		\
	EXPECT_EQ(1, self->tool.status);				\
	EXPECT_NE(NULL, strstr(self->tool.said, _text))			\
		TH_LOG("it says: %s", self->tool.said);			\
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));		\
} while (0)

static int run(struct program *tool, int from, int to)
{
	return program_run(tool, MIGSPEED, nodes_text(NODE(from)),
			   nodes_text(NODE(to)), NULL);
}

TEST_F(migspeed, a_thousand_pages)
{
	ASSERT_EQ(0, run(&self->tool, self->a, self->b));
	EXPECT_RATE(PAGES);
	EXPECT_CLEAN(migspeed_check_reports(&self->tool, self->a, self->b, PAGES,
				   PAGES));
	EXPECT_CLEAN(counters_verify(&self->before, PAGES, 0));
	ASSERT_EQ(0, run(&self->tool, self->b, self->a));
	EXPECT_RATE(PAGES);
	EXPECT_CLEAN(migspeed_check_reports(&self->tool, self->b, self->a, PAGES,
				   PAGES));
	EXPECT_CLEAN(counters_verify(&self->before, 2 * PAGES, 0));
}

TEST_F(migspeed, other_numbers)
{
	static const long numbers[] = { 1, 33, 5000 };
	const char *from = nodes_text(NODE(self->a));
	const char *to = nodes_text(NODE(self->b));
	unsigned int i;
	long n, all = 0;
	char text[16];

	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		n = numbers[i];
		snprintf(text, sizeof(text), "%ld", n);
		ASSERT_EQ(0, program_run(&self->tool, MIGSPEED, "-p", text, from,
					 to, NULL));
		EXPECT_EQ(0, self->tool.status);
		EXPECT_CLEAN(migspeed_check_reports(&self->tool, self->a, self->b, n,
					   n));
		all += n;
		EXPECT_CLEAN(counters_verify(&self->before, all, 0));
	}
}

/* Nothing to move: it prints a rate all the same. */
TEST_F(migspeed, to_where_they_are)
{
	ASSERT_EQ(0, run(&self->tool, self->a, self->a));
	EXPECT_RATE(PAGES);
	EXPECT_CLEAN(migspeed_check_reports(&self->tool, self->a, self->a, PAGES, 0));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
}

static int become_user(void)
{
	return creds_become(USER_A, 0, true);
}

TEST_F(migspeed, as_a_user)
{
	self->tool.become = become_user;
	ASSERT_EQ(0, run(&self->tool, self->a, self->b));
	EXPECT_RATE(PAGES);
	EXPECT_CLEAN(migspeed_check_reports(&self->tool, self->a, self->b, PAGES,
				   PAGES));
	EXPECT_CLEAN(counters_verify(&self->before, PAGES, 0));
}

/* Neither as the first nor as the second set. */
TEST_F(migspeed, no_set_of_nodes)
{
	static const char *const wrong[] = { "63", "1024", "x", "0-", "0-63" };
	const char *here = nodes_text(NODE(self->a));
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		ASSERT_EQ(0, program_run(&self->tool, MIGSPEED, here, wrong[i],
					 NULL));
		EXPECT_REFUSED(wrong[i]);
		ASSERT_EQ(0, program_run(&self->tool, MIGSPEED, wrong[i], here,
					 NULL));
		EXPECT_REFUSED(wrong[i]);
	}
	ASSERT_EQ(0, program_run(&self->tool, MIGSPEED, NULL));
	EXPECT_EQ(1, self->tool.status);
	EXPECT_EQ(0, strncmp(self->tool.said, "usage ", 6));
}

TEST_F(migspeed, node_without_memory)
{
	int bare = nodes_first_without_memory();

	ASSERT_LE(0, bare);
	ASSERT_EQ(0, run(&self->tool, self->a, bare));
	EXPECT_REFUSED(nodes_text(NODE(bare)));
	ASSERT_EQ(0, run(&self->tool, bare, self->a));
	EXPECT_REFUSED(nodes_text(NODE(bare)));
}

/* The test enters the cpuset and leaves it again; the tool inherits it. */
TEST_F(migspeed, outside_its_cpuset)
{
	ASSERT_EQ(0, cpuset_begin(&self->root));
	ASSERT_EQ(0, cpuset_create("x"));
	ASSERT_EQ(0, cpuset_set_mems("x", NODE(self->a)));
	ASSERT_EQ(0, cpuset_attach("x", getpid()));
	/* Entering has moved pages of the test. */
	EXPECT_EQ(0, counters_read(&self->before));
	EXPECT_EQ(0, run(&self->tool, self->a, self->b));
	ASSERT_EQ(0, proc_write("/sys/fs/cgroup/cgroup.procs", "0"));
	EXPECT_REFUSED(nodes_text(NODE(self->b)));
}

/* What it says it moved is not what moved. */
TEST_F_TIMEOUT(migspeed, target_full, 90)
{
	const char *from = nodes_text(NODE(self->a));
	const char *to = nodes_text(NODE(self->b));
	struct counters after;
	struct swap_areas swap;
	struct full full;
	long moved, kills = full_oom_kills();

	ASSERT_EQ(0, nodes_run_on(self->a));
	/* Swap would make room, by what has just moved there. */
	ASSERT_EQ(0, swap_stop(&swap));
	ASSERT_EQ(0, full_begin(&full));
	ASSERT_EQ(0, full_take(&full, self->b, LEAVE));
	ASSERT_EQ(0, counters_read(&self->before));
	ASSERT_EQ(0, program_run(&self->tool, MIGSPEED, "-p", MANY_TEXT, from, to,
				 NULL));
	ASSERT_EQ(0, counters_read(&after));
	moved = after.success - self->before.success;
	EXPECT_LT(0, moved);
	EXPECT_GT(MANY, moved);
	EXPECT_RATE(MANY);
	EXPECT_CLEAN(migspeed_check_reports(&self->tool, self->a, self->b, MANY,
				   moved));
	/* One failure: the ENOMEM ends the call. */
	EXPECT_CLEAN(counters_verify(&self->before, moved, 1));
	ASSERT_EQ(0, full_give_back(&full));

	ASSERT_EQ(0, counters_read(&self->before));
	ASSERT_EQ(0, program_run(&self->tool, MIGSPEED, "-p", MANY_TEXT, from, to,
				 NULL));
	EXPECT_CLEAN(counters_verify(&self->before, MANY, 0));
	EXPECT_EQ(kills, full_oom_kills());
	EXPECT_EQ(0, full_end(&full));
	EXPECT_EQ(0, swap_resume(&swap));
}

TEST_HARNESS_MAIN
