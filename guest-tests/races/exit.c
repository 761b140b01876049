// SPDX-License-Identifier: GPL-2.0-only
/*
 * The process that is being moved ends in mid-call, or becomes another program
 * by execve(2). The call has the old memory by a reference then, and goes on
 * with what is left of it (get_task_mm() in kernel_migrate_pages() and
 * find_mm_struct(), 6.12): it ends with a count. Where it came too late it
 * ends with EINVAL for a process that has no memory any more and with ESRCH
 * for one that was waited for; with EFAULT where it met the new program
 * half-made (known-issues/migrate-pages-meets-exec.md). The memory goes with
 * the last reference, whoever had it.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {14: ["exit.*"]}
 *   promises: {other-process: ["exit.*"]}
 */
#include <stdbool.h>
#include <stdio.h>

#include "harness.h"

#include "chores.h"
#include "nodes.h"
#include "proc.h"
#include "race_pages.h"
#include "victim.h"

#define COUNT		64
#define ROUNDS		30

FIXTURE(exit)
{
	struct contest contest;
	struct race race;
	long free_before;
};

/* What moves the child of the round, and how often it came too late. */
static long (*move_victim)(struct contest *c);
static bool becomes_another;	/* by execve(2), under migrate_pages(2) */
static long late;

/* Free pages of all nodes: /sys/devices/system/node/node0/vmstat and so on. */
static long free_pages(const struct contest *c)
{
	long free = 0, value;
	char path[80], text[16384], *line;
	int i;

	proc_write("/proc/sys/vm/stat_refresh", "1");
	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path),
			 "/sys/devices/system/node/node%d/vmstat", c->node[i]);
		if (proc_read(path, text, sizeof(text)) < 0)
			return -1;
		line = strstr(text, "nr_free_pages ");
		if (!line || sscanf(line, "nr_free_pages %ld", &value) != 1)
			return -1;
		free += value;
	}
	return free;
}

static long by_migrate_pages(struct contest *c)
{
	return numa_migrate_pages(victim_pid(), NODE(c->node[0]),
				  NODE(c->node[1]));
}

static long by_move_pages(struct contest *c)
{
	long i;

	for (i = 0; i < COUNT; i++)
		c->nodes[i] = c->node[1];
	return numa_move_pages(victim_pid(), COUNT, c->addrs, c->nodes,
			       c->status, c->flags);
}

static void move(void *contest, int round)
{
	struct contest *c = contest;

	(void)round;
	c->result = move_victim(c);
	if (c->result == -ESRCH || c->result == -EINVAL ||
	    (c->result == -EFAULT && becomes_another))
		late++;
	else if (c->result >= 0)
		c->moved++;
	else
		c->wrong = strerrorname_np(-c->result);
}

/* A new child for the next round; its pages are on the first node. */
static const char *begin_round(void *contest, int round)
{
	struct contest *c = contest;

	(void)round;
	if (c->wrong)
		return c->wrong;
	/* Gone, and nothing is left that could be moved. */
	if (move_victim(c) != -ESRCH)
		return "a process that is gone was moved";
	if (victim_start(&c->pages, chore_populate_anew))
		return "cannot start the next child";
	return "";
}

FIXTURE_SETUP(exit)
{
	struct contest *c = &self->contest;

	if (contest_nodes(c))
		SKIP(return, "needs 2 nodes with memory");
	self->race.mover = move;
	self->race.judge = begin_round;
	self->race.arg = c;
	self->race.rounds = ROUNDS;
	ASSERT_EQ(0, pages_map(&c->pages, COUNT, MAP_PRIVATE));
	ASSERT_EQ(0, contest_begin(c));
	ASSERT_EQ(0, victim_start(&c->pages, chore_populate_anew));
	self->free_before = free_pages(c);
	ASSERT_LT(0, self->free_before);
}

/* Mappings, threads and peers end with the test's process. */
FIXTURE_TEARDOWN(exit)
{
}

/*
 * The last child still lives. A page lost in each round would be a few dozen;
 * all those of one child in each round thousands: between the two is what the
 * machine allocates for itself.
 */
#define RUN() do {							\
	struct contest *c = &self->contest;				\
									\
	ASSERT_CLEAN(race_run(&self->race));				\
	EXPECT_EQ(self->race.done, c->acted);				\
	EXPECT_LT(0, c->moved);						\
	TH_LOG("%ld of %d calls came too late", late, self->race.done);	\
	EXPECT_CLEAN(race_settled(&c->before));				\
	EXPECT_GT(COUNT * ROUNDS / 2, self->free_before - free_pages(c)); \
	EXPECT_CLEAN(victim_end(c));					\
} while (0)

TEST_F(exit, killed_under_migrate_pages)
{
	move_victim = by_migrate_pages;
	self->race.rival = victim_killed;
	RUN();
}

TEST_F(exit, killed_under_move_pages)
{
	move_victim = by_move_pages;
	self->race.rival = victim_killed;
	RUN();
}

TEST_F(exit, exec_under_migrate_pages)
{
	move_victim = by_migrate_pages;
	becomes_another = true;
	self->race.rival = victim_executes;
	RUN();
}

TEST_F(exit, exec_under_move_pages)
{
	move_victim = by_move_pages;
	self->race.rival = victim_executes;
	RUN();
}

TEST_HARNESS_MAIN
