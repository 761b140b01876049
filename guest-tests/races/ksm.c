// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages move while KSM merges them with equal ones, and another thread breaks
 * them apart again by writing. A merged page is mapped by both ranges and
 * known to KSM by its frame, which ksm_migrate_page() in mm/ksm.c (6.12) has
 * to change together with the frame itself.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, KSM, ADVISE_SYSCALLS]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {14: ["ksm.*"], 12: ["ksm.*"]}
 *   covers:
 *     - {cases: "ksm.merge_and_break", interface: [move_pages-set], backing:
 *        [ksm], condition: [writer]}
 */
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>

#include "harness.h"

#include "deadline.h"
#include "ksm.h"
#include "metric.h"
#include "pattern.h"
#include "proc.h"
#include "race_pages.h"

#define COUNT		16
#define ENOUGH		(COUNT / 2)
#define ROUNDS		10
#define MERGE_DEADLINE_US	10e6

FIXTURE(ksm)
{
	struct contest contest;
	char sleep_ms[16];
	char scan[16];
};

/* Of the case: the pages that equal the contest's. */
static struct pages twins;
static atomic_bool done;
static long merged_moves;

FIXTURE_SETUP(ksm)
{
	struct contest *c = &self->contest;

	if (contest_nodes(c))
		SKIP(return, "needs 2 nodes with memory");
	ASSERT_EQ(0, pages_map(&c->pages, COUNT, MAP_PRIVATE));
	ASSERT_EQ(0, pages_map(&twins, COUNT, MAP_PRIVATE));
	c->replaces = true;
	c->flags = MPOL_MF_MOVE_ALL;
	ASSERT_LT(0, proc_read(KSM "sleep_millisecs", self->sleep_ms,
			       sizeof(self->sleep_ms)));
	ASSERT_LT(0, proc_read(KSM "pages_to_scan", self->scan,
			       sizeof(self->scan)));
}

/* In the parent, so that it is done however the test ended. */
FIXTURE_TEARDOWN_PARENT(ksm)
{
	/* 2: break apart what is merged, and stop. */
	proc_write(KSM "run", "2");
	proc_write(KSM "run", "0");
	if (!*self->sleep_ms)
		return;
	EXPECT_EQ(0, proc_write(KSM "sleep_millisecs", self->sleep_ms));
	EXPECT_EQ(0, proc_write(KSM "pages_to_scan", self->scan));
}

static void fill_twins(void)
{
	long i;

	for (i = 0; i < COUNT; i++)
		pattern_fill(pages_at(&twins, i), twins.seed, i);
}

/*
 * Until many are merged, then apart by new content, and made equal again. The
 * other party leaves ksmd, which is nice, no CPU; so this one does.
 */
static void merge_and_break(void *contest, int round)
{
	double deadline = deadline_after_us(MERGE_DEADLINE_US);
	struct contest *c = contest;

	(void)round;
	while (ksm_merged(&c->pages, &twins) < ENOUGH) {
		if (metric_now_us() > deadline) {
			c->wrong = "the pages were not merged";
			break;
		}
		poll(NULL, 0, 1);
	}
	c->acted++;
	twins.seed++;
	fill_twins();
	if (pages_bad(&c->pages))
		c->wrong = "a write went through to the other range";
	twins.seed = c->pages.seed;
	fill_twins();
	done = true;
}

static void move_until_done(void *contest, int round)
{
	struct contest *c = contest;
	int turn;

	/* At least twice: the way there, and the way back. */
	for (turn = 0; turn < 2 || !done; turn++) {
		contest_move(c, round + turn);
		merged_moves += ksm_merged(&c->pages, &twins);
	}
}

static const char *judge(void *contest, int round)
{
	done = false;
	pages_want_all(&twins, 0);
	if (pages_bad(&twins))
		return "the other range lost its content";
	return contest_judge(contest, round);
}

TEST_F(ksm, merge_and_break)
{
	size_t bytes = COUNT * PAGE_BYTES;
	struct contest *c = &self->contest;
	struct race race = {
		.mover = move_until_done,
		.rival = merge_and_break,
		.judge = judge,
		.arg = c,
		.rounds = ROUNDS,
	};

	ASSERT_EQ(0, contest_begin(c));
	twins.seed = c->pages.seed;
	fill_twins();
	ASSERT_EQ(0, madvise(c->pages.addr, bytes, MADV_MERGEABLE));
	ASSERT_EQ(0, madvise(twins.addr, bytes, MADV_MERGEABLE));
	ASSERT_EQ(0, proc_write(KSM "sleep_millisecs", "2"));
	ASSERT_EQ(0, proc_write(KSM "pages_to_scan", "200"));
	ASSERT_EQ(0, proc_write(KSM "run", "1"));
	ASSERT_CLEAN(race_run(&race));
	EXPECT_LT(0, merged_moves);

	/* Apart again, each of its own: then the last move counts them once. */
	ASSERT_EQ(0, proc_write(KSM "run", "2"));
	/* The last round left all equal, if not merged. */
	EXPECT_EQ(0, ksm_merged(&c->pages, &twins));
	EXPECT_EQ(0, pages_bad(&twins));
	EXPECT_CLEAN(judge(c, 0));
	EXPECT_CLEAN(contest_end(c));
}

TEST_HARNESS_MAIN
