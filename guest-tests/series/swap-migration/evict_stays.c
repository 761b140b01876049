// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that MPOL_MF_EVICT cannot get out of memory, or is not to: it says so
 * where STRICT is asked for, takes the others all the same, and leaves these as
 * they were, so that the next call takes them once nothing is in the way.
 *
 * testbed:
 *   nodes: 2
 *   swap_mib: 64
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, SWAP, TRANSPARENT_HUGEPAGE]
 *   features: [swap-migration]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   quick: [evict_stays.no_swap]
 */
#include <sys/mman.h>

#include "harness.h"

#include "backings.h"
#include "caps.h"
#include "evict.h"
#include "holder.h"
#include "pattern.h"
#include "pin.h"
#include "policy.h"
#include "relocate.h"
#include "scene.h"
#include "swap.h"

#define COUNT		16

#define MOVE		MPOL_MF_MOVE
#define MOVE_ALL	MPOL_MF_MOVE_ALL
#define STRICT		MPOL_MF_STRICT
#define EVICT		MPOL_MF_EVICT

FIXTURE(evict_stays)
{
	int a;
	int b;
	struct pages pages;
	struct evict_counts before;
	struct swap_areas swap;
};

FIXTURE_SETUP(evict_stays)
{
	FIND_TWO_NODES(self, return);
	ASSERT_TRUE(swap_has_room(COUNT));
	ASSERT_CLEAN(scene_pages(&self->pages, COUNT, MAP_PRIVATE, self->a));
	ASSERT_EQ(0, evict_read(&self->before));
}

FIXTURE_TEARDOWN(evict_stays)
{
}

/* Disadvantage B: without swap there is nowhere to go. */
TEST_F(evict_stays, no_swap)
{
	const struct evict_want none = { 0 };
	const struct evict_want out = { .swapped = COUNT, .written = COUNT };
	struct pages *p = &self->pages;

	ASSERT_EQ(0, swap_stop(&self->swap));
	EXPECT_EQ(-EIO, evict_bind(p, 0, COUNT, self->b,
				   MOVE | STRICT | EVICT));
	EXPECT_CLEAN(pages_verify(p, "no swap, STRICT"));
	EXPECT_EQ(0, evict_bind(p, 0, COUNT, self->b, MOVE | EVICT));
	EXPECT_CLEAN(pages_verify(p, "no swap"));
	EXPECT_CLEAN(evict_verify(&self->before, &none));
	/* The policy is set, as always when pages stay. */
	EXPECT_STREQ(policy_text(MPOL_BIND, NODE(self->b)),
		     pages_policy(p, 0));

	ASSERT_EQ(0, swap_resume(&self->swap));
	EXPECT_EQ(0, evict_bind(p, 0, COUNT, self->b, MOVE | STRICT | EVICT));
	evict_want_out(p, 0, COUNT);
	EXPECT_CLEAN(evict_out(p, "swap again"));
	EXPECT_CLEAN(evict_verify(&self->before, &out));
	EXPECT_CLEAN(evict_back(p, self->b, "touched"));
}

/* Nor is a huge page split for nothing. */
TEST_F(evict_stays, no_swap_thp)
{
	const struct evict_want none = { 0 };
	struct pages pages, *p = &pages;
	struct area area;

	ASSERT_CLEAN(scene_area(&area, &backing_thp, p, self->a));
	ASSERT_EQ(0, swap_stop(&self->swap));
	ASSERT_EQ(0, evict_read(&self->before));
	EXPECT_EQ(-EIO, evict_bind(p, 0, p->count, self->b,
				   MOVE | STRICT | EVICT));
	EXPECT_CLEAN(area_verify(&area, "huge pages, no swap"));
	EXPECT_CLEAN(evict_verify(&self->before, &none));
	ASSERT_EQ(0, swap_resume(&self->swap));
	EXPECT_CLEAN(area_finish(&area));
	area_release(&area);
}

/* Pages 0 to 3 are locked, 8 and 9 are in a pipe; the others go. */
TEST_F(evict_stays, some)
{
	const struct evict_want some = { .swapped = 10, .written = 10 };
	const struct evict_want rest = {
		.swapped = COUNT, .written = COUNT, .read = 10,
	};
	struct pages *p = &self->pages;
	struct pin pin;

	/* Locked pages are on another LRU list: KPF_UNEVICTABLE, MLOCKED. */
	ASSERT_EQ(0, mlock(p->addr, 4 * PAGE_BYTES));
	ASSERT_EQ(0, relocate_drain());
	ASSERT_EQ(0, pin_pages(&pin, pages_at(p, 8), 2));
	ASSERT_CLEAN(pages_snapshot(p));
	EXPECT_EQ(-EIO, evict_bind(p, 0, COUNT, self->b,
				   MOVE | STRICT | EVICT));
	evict_want_out(p, 4, 4);
	evict_want_out(p, 10, 6);
	EXPECT_CLEAN(evict_out(p, "some locked, some pinned"));
	EXPECT_CLEAN(evict_verify(&self->before, &some));
	EXPECT_CLEAN(evict_back(p, self->b, "the others touched"));

	ASSERT_EQ(0, munlock(p->addr, 4 * PAGE_BYTES));
	ASSERT_EQ(0, relocate_drain());
	pin_release(&pin);
	ASSERT_CLEAN(pages_snapshot(p));
	EXPECT_EQ(0, evict_bind(p, 0, COUNT, self->b, MOVE | STRICT | EVICT));
	evict_want_out(p, 0, 4);
	evict_want_out(p, 8, 2);
	EXPECT_CLEAN(evict_out(p, "neither locked nor pinned"));
	EXPECT_CLEAN(evict_verify(&self->before, &rest));
	EXPECT_CLEAN(evict_back(p, self->b, "all touched"));
}

/* What eviction leaves, direct migration moves: locked is not pinned. */
TEST_F(evict_stays, mlocked_moves_directly)
{
	const struct evict_want copied = { .copied = COUNT };
	const struct evict_want none = { 0 };
	struct pages *p = &self->pages;

	ASSERT_EQ(0, mlock(p->addr, COUNT * PAGE_BYTES));
	ASSERT_EQ(0, relocate_drain());
	ASSERT_CLEAN(pages_snapshot(p));
	EXPECT_EQ(-EIO, evict_bind(p, 0, COUNT, self->b,
				   MOVE | STRICT | EVICT));
	EXPECT_CLEAN(pages_verify(p, "locked, by EVICT"));
	EXPECT_CLEAN(evict_verify(&self->before, &none));
	EXPECT_EQ(0, evict_bind(p, 0, COUNT, self->b, MOVE | STRICT));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "locked, directly"));
	EXPECT_CLEAN(evict_verify(&self->before, &copied));
}

static int others_node;

/* Called in a holder: have a policy of its own, and be first to touch. */
static long touch_by_own_policy(struct pages *p)
{
	return numa_mbind(p->addr, 8 * PAGE_BYTES, MPOL_BIND,
			  NODE(others_node), 0) ? :
	       pages_bad(p);
}

/*
 * MOVE leaves what another process maps too, and that is no failure; MOVE_ALL
 * takes it from both, and whoever touches a page first places it for both.
 */
TEST_F(evict_stays, mapped_by_two)
{
	const struct evict_want none = { 0 };
	const struct evict_want out = { .swapped = COUNT, .written = COUNT };
	struct pages *p = &self->pages;
	struct holder holder;

	others_node = self->a;
	ASSERT_EQ(0, nodes_run_on(self->a));
	ASSERT_EQ(0, holder_start_blind(&holder, p));
	ASSERT_EQ(0, holder_bad(&holder));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, evict_read(&self->before));
	EXPECT_EQ(0, evict_bind(p, 0, COUNT, self->b, MOVE | STRICT | EVICT));
	EXPECT_CLEAN(pages_verify(p, "mapped by two, MOVE"));
	EXPECT_CLEAN(evict_verify(&self->before, &none));
	EXPECT_CLEAN(pages_shared_with(p, holder.peer.pid));

	EXPECT_EQ(0, evict_bind(p, 0, COUNT, self->b,
				MOVE_ALL | STRICT | EVICT));
	evict_want_out(p, 0, COUNT);
	EXPECT_CLEAN(evict_out(p, "mapped by two, MOVE_ALL"));
	EXPECT_CLEAN(evict_verify(&self->before, &out));
	/* What is back where it was need not be in its old frame. */
	ASSERT_CLEAN(pages_snapshot(p));

	/* It binds half of them to node a, where it runs, and not the rest. */
	EXPECT_EQ(0, holder_call(&holder, touch_by_own_policy));
	EXPECT_CLEAN(evict_back(p, self->a, "touched by the other first"));
	EXPECT_CLEAN(pages_shared_with(p, holder.peer.pid));
	EXPECT_EQ(0, holder_end(&holder));
}

TEST_F(evict_stays, move_all_needs_sys_nice)
{
	const struct evict_want none = { 0 };
	struct pages *p = &self->pages;

	ASSERT_EQ(0, caps_set_sys_nice(false));
	EXPECT_EQ(-EPERM, evict_bind(p, 0, COUNT, self->b, MOVE_ALL | EVICT));
	EXPECT_CLEAN(pages_verify(p, "MOVE_ALL without CAP_SYS_NICE"));
	EXPECT_CLEAN(evict_verify(&self->before, &none));
	EXPECT_EQ(0, evict_bind(p, 0, COUNT, self->b, MOVE | STRICT | EVICT));
	evict_want_out(p, 0, COUNT);
	EXPECT_CLEAN(evict_out(p, "MOVE without CAP_SYS_NICE"));
	ASSERT_EQ(0, caps_set_sys_nice(true));
	EXPECT_CLEAN(evict_back(p, self->b, "touched"));
}

/*
 * Pages that were given up (MADV_FREE) are dropped and come back empty, but for
 * those that were written to since: they are swapped as any other.
 */
TEST_F(evict_stays, given_up)
{
	const struct evict_want want = {
		.swapped = 4, .written = 4, .read = 4,
	};
	struct pages *p = &self->pages;
	struct evict_event e[2];
	struct trace trace;
	int i;

	ASSERT_EQ(0, evict_trace(&trace));
	ASSERT_EQ(0, relocate_drain());
	ASSERT_EQ(0, madvise(p->addr, COUNT * PAGE_BYTES, MADV_FREE));
	/* It takes effect page by page, from a batch of the CPU. */
	ASSERT_EQ(0, relocate_drain());
	for (i = 12; i < COUNT; i++)
		pattern_fill(pages_at(p, i), p->seed, i);
	EXPECT_EQ(0, evict_bind(p, 0, COUNT, self->b, MOVE | STRICT | EVICT));
	ASSERT_EQ(1, evict_events(&trace, e, 2));
	EXPECT_EQ(4, e[0].swapped);
	EXPECT_EQ(12, e[0].dropped);
	EXPECT_EQ(0, e[0].failed);
	for (i = 0; i < 12 * (int)PAGE_BYTES; i++)
		ASSERT_EQ(0, p->addr[i]);
	for (i = 12; i < COUNT; i++)
		EXPECT_EQ(-1, pattern_check(pages_at(p, i), p->seed, i));
	EXPECT_CLEAN(evict_verify(&self->before, &want));
	EXPECT_EQ(0, trace_end(&trace));
}

TEST_HARNESS_MAIN
