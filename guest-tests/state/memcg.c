// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory cgroups: the charge of a page goes to its new frame as it is
 * (mem_cgroup_migrate(), mm/memcontrol.c), so that a move neither adds to the
 * group nor takes from it; only the counts by node change.
 *
 * The files tell what was folded in last, which is done every two seconds at
 * the latest (FLUSH_TIME), so an exact value is waited for.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, MEMCG]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {12: ["*"]}
 *   covers:
 *     - {cases: "memcg.anon.*", interface: [move_pages-set],
 *        backing: [anon-private], condition: [quiet]}
 *     - {cases: "memcg.shmem.*", interface: [move_pages-set],
 *        backing: [shmem], condition: [quiet]}
 */
#include "harness.h"

#include <poll.h>
#include <sys/mman.h>

#include "chores.h"
#include "deadline.h"
#include "holder.h"
#include "memcg.h"
#include "metric.h"
#include "relocate.h"
#include "scene.h"

#define COUNT		1024
#define BYTES		((long)(COUNT * PAGE_BYTES))
/* Charged ahead by each CPU (MEMCG_CHARGE_BATCH), and some page tables. */
#define SLACK		((long)(192 * PAGE_BYTES))
#define DEADLINE_US	15e6

FIXTURE(memcg)
{
	int a;
	int b;
	struct memcg group;
	struct holder holder;
	struct pages pages;
};

FIXTURE_VARIANT(memcg)
{
	int sharing;
	const char *name;
};

FIXTURE_VARIANT_ADD(memcg, anon)
{
	.sharing = MAP_PRIVATE,
	.name = "anon",
};

FIXTURE_VARIANT_ADD(memcg, shmem)
{
	.sharing = MAP_SHARED,
	.name = "shmem",
};

/* Called in the holder, which is alone in the group. */

static long enter(struct pages *p)
{
	(void)p;
	return memcg_attach(0);
}

FIXTURE_SETUP(memcg)
{
	struct pages *p = &self->pages;
	int error;

	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, pages_map(p, COUNT, variant->sharing));
	pages_want_all(p, self->a);
	error = memcg_begin(&self->group) ? :
		holder_start_blind(&self->holder, p) ? :
		holder_call(&self->holder, enter) ? :
		holder_call(&self->holder, chore_populate_anew);
	/* A setup that failed is not torn down. */
	if (error)
		memcg_end(&self->group);
	ASSERT_EQ(0, error);
	/* Seen by the holder's page table, and content checked over there. */
	p->pid = self->holder.peer.pid;
	ASSERT_EQ(0, relocate_drain());
	ASSERT_CLEAN(pages_snapshot(p));
}

/* In the parent, so that it is done however the test ended. */
FIXTURE_TEARDOWN_PARENT(memcg)
{
	EXPECT_EQ(0, memcg_end(&self->group));
}

TEST_F(memcg, charge_goes_along)
{
	struct pages *p = &self->pages;
	long a = memcg_settled_on_node(variant->name, self->a);
	long b = memcg_on_node(variant->name, self->b);
	long current = memcg_value("memory.current");
	long all = memcg_field("memory.stat", variant->name);

	ASSERT_LE(BYTES, a);
	ASSERT_EQ(a + b, all);
	EXPECT_CLEAN(relocate_to(p, self->b, "pages of a group"));
	EXPECT_EQ(a - BYTES, memcg_wait_on_node(variant->name, self->a, a - BYTES));
	EXPECT_EQ(b + BYTES, memcg_wait_on_node(variant->name, self->b, b + BYTES));
	EXPECT_EQ(all, memcg_field("memory.stat", variant->name));
	EXPECT_GE(SLACK, labs(memcg_value("memory.current") - current));
	EXPECT_EQ(0, holder_bad(&self->holder));
}

/* To and fro: what is charged twice, or never, adds up. */
TEST_F(memcg, charge_does_not_add_up)
{
	long current = memcg_value("memory.current");
	struct pages *p = &self->pages;
	int turn;

	ASSERT_LE(BYTES, current);
	for (turn = 0; turn < 6; turn++)
		EXPECT_CLEAN(relocate_to(p, turn % 2 ? self->a : self->b,
					 "to and fro"));
	EXPECT_GE(SLACK, labs(memcg_value("memory.current") - current));
	EXPECT_EQ(0, holder_bad(&self->holder));
}

/* A group that is full: a move needs no room in it. */
TEST_F(memcg, at_the_limit)
{
	struct pages *p = &self->pages;
	char limit[32];
	long current = memcg_value("memory.current");

	snprintf(limit, sizeof(limit), "%ld", current + SLACK);
	ASSERT_EQ(0, memcg_set("memory.max", limit));
	EXPECT_CLEAN(relocate_to(p, self->b, "at the limit"));
	EXPECT_CLEAN(relocate_to(p, self->a, "and back"));
	EXPECT_EQ(0, memcg_field("memory.events", "oom"));
	EXPECT_EQ(0, memcg_field("memory.events", "oom_kill"));
	EXPECT_EQ(0, memcg_field("memory.events", "max"));
	EXPECT_EQ(0, holder_bad(&self->holder));
}

/* With its last task and its pages nothing is left of the charge. */
TEST_F(memcg, nothing_is_left)
{
	struct pages *p = &self->pages;
	double deadline = deadline_after_us(DEADLINE_US);

	EXPECT_CLEAN(relocate_to(p, self->b, "pages of a group"));
	ASSERT_EQ(0, holder_bad(&self->holder));
	ASSERT_EQ(0, holder_end(&self->holder));
	ASSERT_EQ(0, munmap(p->addr, BYTES));
	/*
	 * A limit of none gives back what CPUs had charged ahead
	 * (drain_all_stock()); what RCU frees comes to that a little later.
	 */
	do {
		/* A page that waits for the LRU on some CPU is not free yet. */
		ASSERT_EQ(0, relocate_drain());
		ASSERT_EQ(0, memcg_set("memory.max", "0"));
		poll(NULL, 0, 20);
	} while (memcg_value("memory.current") > 0 &&
		 metric_now_us() < deadline);
	EXPECT_EQ(0, memcg_value("memory.current"));
}

TEST_HARNESS_MAIN
