// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages are evicted while others write to them, give them up, share them with a
 * child, lock them or pin them, while the process ends, and while the one that
 * evicts them is killed. Nothing is lost, nothing stays isolated, and a quiet
 * call at the end takes every page and counts it.
 *
 * testbed:
 *   nodes: 2
 *   swap_mib: 128
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, SWAP]
 *   features: [swap-migration]
 *   timeout_s: 120   # over the harness's own 90 s
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "harness.h"

#include "chores.h"
#include "deadline.h"
#include "evict.h"
#include "holder.h"
#include "metric.h"
#include "node_stat.h"
#include "pattern.h"
#include "pin.h"
#include "race.h"
#include "relocate.h"
#include "scene.h"
#include "swap.h"
#include "victim.h"
#include "writer.h"

#define COUNT		64
#define ROUNDS		20

#define MOVE_ALL	MPOL_MF_MOVE_ALL
#define STRICT		MPOL_MF_STRICT
#define EVICT		MPOL_MF_EVICT

FIXTURE(evict_races)
{
	int a;
	int b;
	struct pages pages;
	struct counters before;
	struct race race;
	long acted;
	long swapped;
};

FIXTURE_SETUP(evict_races)
{
	FIND_TWO_NODES(self, return);
	ASSERT_TRUE(swap_has_room(32768));
	ASSERT_CLEAN(scene_pages(&self->pages, COUNT, MAP_PRIVATE, self->a));
	ASSERT_EQ(0, counters_read(&self->before));
	self->swapped = system_stat("pgmigrate_swapped");
}

FIXTURE_TEARDOWN(evict_races)
{
}

/* Nobody is in the way any more: all of @p go to @node, exactly counted. */
static const char *take_all(struct pages *p, int from, int to)
{
	struct evict_counts before;
	const char *problem;
	long i, swapped;

	/* Written to where they are to be first, or some may be out. */
	if (evict_bind(p, 0, p->count, from, MOVE_ALL))
		return "mbind(2) fails";
	for (i = 0; i < p->count; i++)
		pages_write(p, i);
	if (relocate_drain() ||
	    evict_bind(p, 0, p->count, from, MOVE_ALL | STRICT))
		return "direct migration leaves pages";
	pages_want_all(p, from);
	problem = pages_snapshot(p);
	if (*problem)
		return problem;
	if (evict_read(&before))
		return "cannot read the counts";
	if (evict_bind(p, 0, p->count, to, MOVE_ALL | STRICT | EVICT))
		return "a quiet call leaves pages";
	swapped = system_stat("pgmigrate_swapped") - before.swapped;
	if (swapped != p->count)
		return "a quiet call counts another number of pages";
	evict_want_out(p, 0, p->count);
	return evict_out_and_back(p, to, "a quiet call");
}

TEST_F_TIMEOUT(evict_races, writers, 90)
{
	struct pages *p = &self->pages;
	struct writers writers = { 0 };
	int i;

	ASSERT_EQ(0, writers_prepare(&writers, p->addr, COUNT));
	ASSERT_EQ(0, writers_start(&writers));
	for (i = 0; i < ROUNDS; i++) {
		EXPECT_EQ(0, evict_bind(p, 0, COUNT,
					i % 2 ? self->a : self->b,
					MOVE_ALL | EVICT));
		ASSERT_EQ(0, writers_await_pass(&writers));
	}
	writers_stop(&writers);
	EXPECT_CLEAN(writers_verify(&writers));
	EXPECT_CLEAN(race_settled(&self->before));
	/* How many were out before a writer was back is the host's affair. */
	EXPECT_LT(self->swapped, system_stat("pgmigrate_swapped"));

	for (i = 0; i < COUNT; i++)
		pattern_fill(pages_at(p, i), p->seed, i);
	EXPECT_CLEAN(take_all(p, self->a, self->b));
}

static void evict(void *arg, int round)
{
	FIXTURE_DATA(evict_races) *f = arg;

	if (evict_bind(&f->pages, 0, COUNT, round % 2 ? f->a : f->b,
		       MOVE_ALL | EVICT))
		f->acted = -1000000;
}

static const char *judge(void *arg, int round)
{
	FIXTURE_DATA(evict_races) *f = arg;

	(void)round;
	if (f->acted < 0)
		return "mbind(2) failed, or the rival did";
	if (pages_bad(&f->pages))
		return "pages lost their content";
	return race_settled(&f->before);
}

#define FIGHT(a_rival) do {						\
	self->race = (struct race) {					\
		.mover = evict, .rival = a_rival, .judge = judge,	\
		.arg = self, .rounds = ROUNDS,				\
	};								\
	EXPECT_CLEAN(race_run(&self->race));				\
	EXPECT_EQ(self->race.done, self->acted);			\
	EXPECT_LT(self->swapped, system_stat("pgmigrate_swapped"));	\
	EXPECT_CLEAN(take_all(&self->pages, self->a, self->b));		\
} while (0)

/* The pages go while they are evicted, and others come. */
static void give_up(void *arg, int round)
{
	FIXTURE_DATA(evict_races) *f = arg;
	struct pages *p = &f->pages;
	int i;

	(void)round;
	if (madvise(p->addr, COUNT * PAGE_BYTES, MADV_DONTNEED))
		f->acted = -1000000;
	for (i = 0; i < COUNT; i++)
		pattern_fill(pages_at(p, i), p->seed, i);
	f->acted++;
}

TEST_F_TIMEOUT(evict_races, give_up, 90)
{
	FIGHT(give_up);
}

/* A child gets the pages or the swap entries, whichever there are. */
static void fork_and_look(void *arg, int round)
{
	FIXTURE_DATA(evict_races) *f = arg;
	int status = -1;
	pid_t pid = fork();

	(void)round;
	if (pid == 0)
		_exit(pages_bad(&f->pages) != 0);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		f->acted = -1000000;
	f->acted++;
}

TEST_F_TIMEOUT(evict_races, fork, 90)
{
	FIGHT(fork_and_look);
}

static void lock_and_unlock(void *arg, int round)
{
	FIXTURE_DATA(evict_races) *f = arg;
	struct pages *p = &f->pages;

	(void)round;
	if (mlock(p->addr, COUNT * PAGE_BYTES) ||
	    munlock(p->addr, COUNT * PAGE_BYTES))
		f->acted = -1000000;
	f->acted++;
}

TEST_F_TIMEOUT(evict_races, mlock, 90)
{
	FIGHT(lock_and_unlock);
}

static void pin_and_release(void *arg, int round)
{
	FIXTURE_DATA(evict_races) *f = arg;
	struct pin pin;

	(void)round;
	if (pin_pages(&pin, pages_at(&f->pages, 8), 16))
		f->acted = -1000000;
	else
		pin_release(&pin);
	f->acted++;
}

TEST_F_TIMEOUT(evict_races, pin, 90)
{
	FIGHT(pin_and_release);
}

/* The pages that are evicted belong to a process that dies of it. */
static void evict_victim(void *arg, int round)
{
	FIXTURE_DATA(evict_races) *f = arg;
	long result = numa_migrate_pages(victim_pid(), NODE(f->a), NODE(f->b));

	(void)round;
	/* Too late: it has no memory any more, or was waited for. */
	if (result < 0 && result != -ESRCH && result != -EINVAL)
		f->acted = -1000000;
}

static void kill_victim(void *arg, int round)
{
	FIXTURE_DATA(evict_races) *f = arg;

	(void)round;
	if (*victim_kill())
		f->acted = -1000000;
	f->acted++;
}

static const char *judge_and_start(void *arg, int round)
{
	FIXTURE_DATA(evict_races) *f = arg;
	const char *problem = judge(arg, round);

	if (*problem)
		return problem;
	/* It has pages of its own, on the node that they are to leave. */
	pages_want_all(&f->pages, f->a);
	return victim_start(&f->pages, chore_populate_anew) ?
		       "cannot start a child" : "";
}

TEST_F_TIMEOUT(evict_races, exit, 90)
{
	ASSERT_EQ(0, evict_set_mode(MIGRATE_MODE_EVICT));
	ASSERT_EQ(0, victim_start(&self->pages, chore_populate_anew));
	self->race = (struct race) {
		.mover = evict_victim, .rival = kill_victim,
		.judge = judge_and_start, .arg = self, .rounds = ROUNDS,
	};
	EXPECT_CLEAN(race_run(&self->race));
	EXPECT_EQ(self->race.done, self->acted);
	EXPECT_CLEAN(victim_kill());
	EXPECT_EQ(0, evict_set_mode(MIGRATE_MODE_DIRECT));
	EXPECT_LT(self->swapped, system_stat("pgmigrate_swapped"));
	EXPECT_CLEAN(race_settled(&self->before));
}

/* 96 MiB, the writing of which takes a while. */
#define MANY		24576

static int many_to;

/* Called in the child that is killed while it is at it. */
static long evict_many(struct pages *p)
{
	return evict_bind(p, 0, p->count, many_to, MOVE_ALL | EVICT);
}

/* Whoever evicts is killed: it ends soon, and what it held is let go. */
TEST_F_TIMEOUT(evict_races, killed, 90)
{
	double deadline = deadline_after_us(30e6);
	struct pages many, *p = &many;
	struct holder child;
	long written;

	many_to = self->b;
	ASSERT_EQ(0, pages_map(p, MANY, MAP_PRIVATE));
	pages_want_all(p, self->a);
	ASSERT_EQ(0, holder_start(&child, p, pages_populate));
	written = system_stat("pswpout");
	/* Not holder_call(), which would wait for its answer. */
	ASSERT_EQ(0, peer_send(&child.peer, (long)evict_many));
	while (system_stat("pswpout") < written + 512)
		ASSERT_GT(deadline, metric_now_us());
	EXPECT_EQ(0, kill(child.peer.pid, SIGKILL));
	EXPECT_EQ(128 + SIGKILL, holder_end(&child));
	TH_LOG("%ld of %d pages were written",
	       system_stat("pswpout") - written, MANY);
	EXPECT_GT(written + MANY, system_stat("pswpout"));
	EXPECT_LT(self->swapped, system_stat("pgmigrate_swapped"));
	EXPECT_CLEAN(race_settled(&self->before));
	EXPECT_CLEAN(take_all(&self->pages, self->a, self->b));
}

TEST_HARNESS_MAIN
