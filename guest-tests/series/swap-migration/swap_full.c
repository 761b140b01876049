// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is to be evicted does not fit into swap (disadvantage B of 2005): what
 * fits goes, the rest stays as it was, mapped and in place, and STRICT tells.
 * Swap is short as a whole, or what a memory cgroup may have of it is.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, SWAP, BLK_DEV_RAM]
 *   features: [swap-migration]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     swap_full.cgroup: {kconfig: [MEMCG]}
 *     swap_full.thp: {kconfig: [TRANSPARENT_HUGEPAGE]}
 */
#include <stdio.h>
#include <sys/mman.h>

#include "harness.h"

#include "backings.h"
#include "evict.h"
#include "memcg.h"
#include "node_stat.h"
#include "pattern.h"
#include "placement.h"
#include "scene.h"
#include "swap.h"

#define COUNT		256
/* One of them is the header of the swap area. */
#define SLOTS		101
#define ROOM		(SLOTS - 1)

#define MOVE		MPOL_MF_MOVE
#define STRICT		MPOL_MF_STRICT
#define EVICT		MPOL_MF_EVICT

FIXTURE(swap_full)
{
	int a;
	int b;
	struct pages pages;
	struct swap_areas others;
	struct trace trace;
	struct evict_counts before;
};

FIXTURE_SETUP(swap_full)
{
	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, evict_trace(&self->trace));
}

FIXTURE_TEARDOWN(swap_full)
{
	EXPECT_EQ(0, trace_end(&self->trace));
}

/* Want each page where it is: on node a, or out. How many are out, or -1. */
static long want_as_found(struct pages *p, int a)
{
	int status[p->count];
	long i, out = 0;

	if (placement_query(0, p->addr, p->count, status))
		return -1;
	for (i = 0; i < p->count; i++) {
		pages_want(p, i, 1, status[i] < 0 ? UNTOUCHED : a);
		out += status[i] < 0;
	}
	return out;
}

/* What the kernel told of the one request: @out went, @stayed stayed. */
static const char *told(const struct trace *t, long out, long stayed)
{
	static char text[128];
	struct evict_event e[2];

	if (evict_events(t, e, 2) != 1)
		return "not one event";
	if (e[0].swapped == out && e[0].failed == stayed && !e[0].dropped)
		return "";
	snprintf(text, sizeof(text),
		 "wanted %ld and %ld, told %ld swapped, %ld failed, %ld dropped",
		 out, stayed, e[0].swapped, e[0].failed, e[0].dropped);
	return text;
}

TEST_F(swap_full, in_the_middle)
{
	struct evict_want want = { 0 };
	struct pages *p = &self->pages;
	long out, i;

	ASSERT_EQ(0, swap_ram_begin(&self->others, SLOTS));
	ASSERT_CLEAN(scene_pages(p, COUNT, MAP_PRIVATE, self->a));
	ASSERT_EQ(0, evict_read(&self->before));
	EXPECT_EQ(-EIO, evict_bind(p, 0, COUNT, self->b,
				   MOVE | STRICT | EVICT));
	out = want_as_found(p, self->a);
	EXPECT_EQ(ROOM, out);
	want.swapped = out;
	want.written = out;
	EXPECT_CLEAN(evict_out(p, "swap is full"));
	EXPECT_CLEAN(evict_verify(&self->before, &want));
	EXPECT_CLEAN(told(&self->trace, out, COUNT - out));

	/* Full it is: of the rest none goes, and none is touched. */
	EXPECT_EQ(-EIO, evict_bind(p, 0, COUNT, self->b,
				   MOVE | STRICT | EVICT));
	EXPECT_CLEAN(evict_out(p, "swap is still full"));
	EXPECT_CLEAN(evict_verify(&self->before, &want));

	/* Written to, what comes back gives its slot to others. */
	for (i = 0; i < COUNT; i++)
		if (p->want[i] == UNTOUCHED)
			pages_write(p, i);
	EXPECT_CLEAN(evict_back(p, self->b, "touched"));
	ASSERT_EQ(0, evict_read(&self->before));
	EXPECT_EQ(-EIO, evict_bind(p, 0, COUNT, self->b,
				   MOVE | STRICT | EVICT));
	EXPECT_EQ(self->before.swapped + ROOM,
		  system_stat("pgmigrate_swapped"));
	for (i = 0; i < COUNT; i++)
		ASSERT_EQ(-1, pattern_check(pages_at(p, i), p->seed, i));
	EXPECT_EQ(0, munmap(p->addr, COUNT * PAGE_BYTES));
	EXPECT_EQ(0, swap_ram_end(&self->others));
}

/* A huge page of which a part fits is split, and the part goes. */
TEST_F(swap_full, thp)
{
	struct pages *p = &self->pages;
	struct evict_want want = { 0 };
	struct area area;
	long out;

	ASSERT_EQ(0, swap_ram_begin(&self->others, SLOTS));
	ASSERT_CLEAN(scene_area(&area, &backing_thp, p, self->a));
	ASSERT_EQ(0, evict_read(&self->before));
	EXPECT_EQ(-EIO, evict_bind(p, 0, p->count, self->b,
				   MOVE | STRICT | EVICT));
	out = want_as_found(p, self->a);
	EXPECT_EQ(ROOM, out);
	want.swapped = out;
	want.written = out;
	EXPECT_CLEAN(evict_verify(&self->before, &want));
	EXPECT_CLEAN(told(&self->trace, out, p->count - out));
	EXPECT_CLEAN(area_content(&area));
	area_release(&area);
	EXPECT_EQ(0, munmap(p->addr, p->count * PAGE_BYTES));
	EXPECT_EQ(0, swap_ram_end(&self->others));
}

#define LIMIT		64

/* The group's share is used up while there is swap space left. */
TEST_F(swap_full, cgroup)
{
	struct evict_want want = { .swapped = LIMIT, .written = LIMIT };
	struct pages *p = &self->pages;
	struct memcg group = { 0 };
	char limit[32];

	ASSERT_EQ(0, swap_ram_begin(&self->others, 1024));
	ASSERT_EQ(0, memcg_begin(&group));
	snprintf(limit, sizeof(limit), "%lu", LIMIT * PAGE_BYTES);
	ASSERT_EQ(0, memcg_set("memory.swap.max", limit));
	ASSERT_EQ(0, memcg_attach(0));
	ASSERT_CLEAN(scene_pages(p, COUNT, MAP_PRIVATE, self->a));
	ASSERT_EQ(0, evict_read(&self->before));
	EXPECT_EQ(-EIO, evict_bind(p, 0, COUNT, self->b,
				   MOVE | STRICT | EVICT));
	EXPECT_EQ(LIMIT, want_as_found(p, self->a));
	EXPECT_CLEAN(evict_out(p, "memory.swap.max is reached"));
	EXPECT_CLEAN(evict_verify(&self->before, &want));
	EXPECT_EQ(LIMIT * (long)PAGE_BYTES,
		  memcg_value("memory.swap.current"));

	EXPECT_CLEAN(evict_back(p, self->b, "touched"));
	/* Slots that were freed are charged until their CPU's batch is full. */
	EXPECT_EQ(0, munmap(p->addr, COUNT * PAGE_BYTES));
	EXPECT_EQ(0, swap_ram_end(&self->others));
	EXPECT_EQ(0, memcg_value("memory.swap.current"));
	EXPECT_EQ(0, memcg_detach(0));
	EXPECT_EQ(0, memcg_end(&group));
}

TEST_HARNESS_MAIN
