// SPDX-License-Identifier: GPL-2.0-only
/*
 * mbind(2) with MPOL_MF_EVICT of each kind of memory on node a, to node b: what
 * goes to swap, what is dropped as its file has it, what stays and is told of
 * (EIO), and what is left alone. What stays is the same page as before, mapped
 * and not split.
 *
 * testbed:
 *   nodes: 2
 *   swap_mib: 64
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, TRANSPARENT_HUGEPAGE,
 *     HUGETLBFS, KSM, SWAP, USERFAULTFD, IO_URING, EXT4_FS, BLK_DEV_RAM,
 *     SYSVIPC, EVENT_TRACING]
 *   features: [swap-migration]
 *   scope: file   # each case puts back all that it changes
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 */
#include "harness.h"

#include "backings.h"
#include "evict.h"
#include "nodes.h"
#include "scene.h"

enum outcome {
	/* To swap, and back under the policy of the range. */
	OUT,
	/* Dropped, for the file has it; page cache comes where the task is. */
	DROPPED,
	/* As it was: each of its pages is told of, as one that stayed. */
	STAYS,
	/* As it was: mapped by others too, or no page that could move. */
	LEFT,
};

FIXTURE(evict_backing)
{
	int a;
	int b;
	struct pages pages;
	struct area area;
	struct trace trace;
	struct evict_counts before;
	long present;
};

FIXTURE_VARIANT(evict_backing)
{
	const struct backing *backing;
};

BACKINGS(evict_backing);

/* All others go out. */
static const struct backing_outcome outcomes[] = {
	{ &backing_mlocked, STAYS },
	{ &backing_zero_page, LEFT },
	{ &backing_hugetlb_private, STAYS },
	{ &backing_hugetlb_shared, STAYS },
	{ &backing_file_clean, DROPPED },
	{ &backing_file_dirty, STAYS },
	{ &backing_file_shared, DROPPED },
	{ &backing_file_shared_by_two, DROPPED },
	{ &backing_text, DROPPED },
	{ &backing_swapped_out, LEFT },
	{ &backing_vmspliced, STAYS },
	{ &backing_io_uring_registered, STAYS },
	{ NULL },
};

static enum outcome outcome_of(const struct backing *backing,
			       unsigned int flags)
{
	if (backing->fate == FATE_SHARED && !(flags & MPOL_MF_MOVE_ALL))
		return LEFT;
	return backing_outcome(outcomes, backing, OUT);
}

/* The area filled on node a, by a task that runs there, and the trace on. */
FIXTURE_SETUP(evict_backing)
{
	struct pages *p = &self->pages;
	long i;

	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, nodes_run_on(self->a));
	ASSERT_EQ(0, evict_trace(&self->trace));
	ASSERT_EQ(0, area_map(&self->area, variant->backing, p, self->a));
	ASSERT_EQ(0, area_fill(&self->area));
	ASSERT_EQ(0, area_drain(&self->area));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_CLEAN(variant->backing->check(&self->area));
	for (i = 0; i < p->count; i++)
		self->present += p->want[i] >= 0;
	ASSERT_EQ(0, evict_read(&self->before));
}

FIXTURE_TEARDOWN(evict_backing)
{
	area_release(&self->area);
	EXPECT_EQ(0, trace_end(&self->trace));
}

/* What came back: all of it, on @node, and of the kind that it was. */
static const char *back_on(struct area *area, int node)
{
	const char *problem;

	if (!area_is_out(area))
		return "pages are in memory";
	area_want_all(area, node);
	problem = area_read_back(area);
	/* Large folios come back as small ones, those of KSM as copies. */
	if (*problem || area->folio > 1 || area->backing == &backing_ksm)
		return problem;
	/* Who else maps it has to touch it first. */
	if (area->backing->fate == FATE_SHARED)
		return problem;
	return area->backing->check(area);
}

/* "" if the one event there is to be says just that. */
static const char *told(const struct trace *t, enum outcome outcome,
			long present)
{
	static char text[128];
	struct evict_event e[2];
	int count = evict_events(t, e, 2);

	if (outcome == LEFT)
		return count ? "an event for nothing" : "";
	if (count != 1)
		return "not one event";
	if (e[0].swapped == (outcome == OUT ? present : 0) &&
	    e[0].dropped == (outcome == DROPPED ? present : 0) &&
	    e[0].failed == (outcome == STAYS ? present : 0) &&
	    !strcmp(e[0].reason, "mempolicy_mbind"))
		return "";
	snprintf(text, sizeof(text),
		 "of %ld: swapped %ld, dropped %ld, failed %ld, %s",
		 present, e[0].swapped, e[0].dropped, e[0].failed,
		 e[0].reason);
	return text;
}

static const char *came_of(struct area *area, enum outcome outcome, int a,
			   int b)
{
	switch (outcome) {
	case OUT:
		return back_on(area, b);
	case DROPPED:
		return back_on(area, a);
	default:
		return area_verify(area, "MPOL_MF_EVICT");
	}
}

/* Pages that were clean and in the swap cache are not written once more. */
static long written(const struct backing *backing, long swapped)
{
	return backing == &backing_swap_cache ? 0 : swapped;
}

#define EVICT_AND_VERIFY(flags) do {					\
	const enum outcome outcome = outcome_of(variant->backing, flags);\
	const long swapped = outcome == OUT ? self->present : 0;	\
	const struct evict_want want = {				\
		.swapped = swapped,					\
		.written = written(variant->backing, swapped),		\
	};								\
									\
	EXPECT_EQ(outcome == STAYS ? -EIO : 0,				\
		  evict_bind(&self->pages, 0, self->pages.count, self->b,\
			     (flags) | MPOL_MF_STRICT | MPOL_MF_EVICT));\
	EXPECT_CLEAN(evict_verify(&self->before, &want));		\
	EXPECT_CLEAN(told(&self->trace, outcome, self->present));	\
	EXPECT_CLEAN(came_of(&self->area, outcome, self->a, self->b));	\
} while (0)

TEST_F(evict_backing, move)
{
	EVICT_AND_VERIFY(MPOL_MF_MOVE);
	self->area.policy = self->b;
	EXPECT_CLEAN(area_finish(&self->area));
}

TEST_F(evict_backing, move_all)
{
	EVICT_AND_VERIFY(MPOL_MF_MOVE_ALL);
	/* What others map too is no longer the same page in all of them. */
	if (variant->backing->fate == FATE_SHARED)
		return;
	self->area.policy = self->b;
	EXPECT_CLEAN(area_finish(&self->area));
}

TEST_HARNESS_MAIN
