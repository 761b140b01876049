// SPDX-License-Identifier: GPL-2.0-only
/*
 * migrate_pages(2) and move_pages(2) on pages that KSM has merged, while it
 * goes on merging: one frame stands for many pages, and its place in the tree
 * of stable pages is by content, so that a copy has to take it over
 * (folio_migrate_ksm(), mm/ksm.c, 6.1 and 6.12). Such a page is mapped more
 * than once, also where it is one process that maps it.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, KSM]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {12: ["ksm.*"]}
 *   covers:
 *     - {cases: "ksm.migrate_pages", interface: [migrate_pages-self],
 *        backing: [ksm], condition: [quiet]}
 *     - {cases: "ksm.move_pages", interface: [move_pages-set],
 *        backing: [ksm], condition: [quiet]}
 */
#include "harness.h"

#include <sched.h>

#include <linux/kernel-page-flags.h>

#include "deadline.h"
#include "ksm.h"
#include "metric.h"
#include "movelist.h"
#include "nodes.h"
#include "pagemap.h"
#include "pages.h"
#include "pattern.h"
#include "placement.h"
#include "proc.h"
#include "scene.h"

/* Within vm.ksm's max_page_sharing (256): one frame for all. */
#define COUNT		64
#define TURNS		20
#define DEADLINE_US	20e6

struct setting {
	const char *path;
	const char *value;
	char was[32];
};

/* All pages in one go, and on as fast as it goes. */
static struct setting settings[] = {
	{ .path = KSM "pages_to_scan", .value = "4000" },
	{ .path = KSM "sleep_millisecs", .value = "0" },
	{ .path = KSM "run", .value = "1" },
};

FIXTURE(ksm)
{
	int a;
	int b;
	struct pages pages;
	uint64_t frame;
};

/* Whether all pages are one frame, and that is one of KSM's. */
static bool are_merged(struct pages *p)
{
	uint64_t frame = pagemap_frame(0, pages_at(p, 0)), flags;
	int i;

	for (i = 1; i < COUNT; i++)
		if (pagemap_frame(0, pages_at(p, i)) != frame)
			return false;
	return frame && !kpageflags_read(frame, &flags) &&
	       flags & 1UL << KPF_KSM;
}

/* How many pages are not as they were filled, alike. */
static int count_bad(struct pages *p)
{
	int i, bad = 0;

	for (i = 0; i < COUNT; i++)
		bad += pattern_check(pages_at(p, i), 1, 0) >= 0;
	return bad;
}

FIXTURE_SETUP(ksm)
{
	double end = deadline_after_us(DEADLINE_US);
	struct pages *p = &self->pages;
	unsigned int i;

	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, pages_map(p, COUNT, MAP_PRIVATE));
	for (i = 0; i < COUNT; i++)
		pattern_fill(pages_at(p, i), 1, 0);
	ASSERT_EQ(0, madvise(p->addr, COUNT * PAGE_BYTES, MADV_MERGEABLE));
	for (i = 0; i < ARRAY_SIZE(settings); i++) {
		ASSERT_LT(0, proc_read(settings[i].path, settings[i].was,
				       sizeof(settings[i].was)));
		ASSERT_EQ(0, proc_write(settings[i].path, settings[i].value));
	}
	while (!are_merged(p) && metric_now_us() < end)
		sched_yield();
	ASSERT_TRUE(are_merged(p));
	self->frame = pagemap_frame(0, pages_at(p, 0));
}

FIXTURE_TEARDOWN(ksm)
{
	int i;

	for (i = ARRAY_SIZE(settings) - 1; i >= 0; i--)
		EXPECT_EQ(0, proc_write(settings[i].path, settings[i].was));
}

/* All on @node, of one content, and still to be written to one by one. */
static const char *check(struct pages *p, int node)
{
	static struct problems problems;
	struct placement want = { 0 }, seen;
	int i, status[COUNT];

	problems_clear(&problems);
	if (placement_query(0, p->addr, COUNT, status) ||
	    placement_numa_maps(0, p->addr, COUNT, &seen))
		return "cannot tell where pages are";
	for (i = 0; i < COUNT; i++)
		if (status[i] != node)
			problems_add(&problems, "page %d is on %d", i,
				     status[i]);
	/* numa_maps counts what is mapped, so each page and not the frame. */
	want.on[node] = COUNT;
	if (!placement_equal(&want, &seen))
		problems_add(&problems, "numa_maps has another node");
	if (count_bad(p))
		problems_add(&problems, "%d pages lost their content",
			     count_bad(p));
	return problems_text(&problems);
}

/* Written to, each is a page of its own again and the rest is as it was. */
static const char *write_each_other(struct pages *p)
{
	int i;

	for (i = 0; i < COUNT; i += 2)
		pattern_fill(pages_at(p, i), 2, i);
	for (i = 0; i < COUNT; i++)
		if (pattern_check(pages_at(p, i), i % 2 ? 1 : 2,
				  i % 2 ? 0 : i) >= 0)
			return "a page is not as it was written";
	return "";
}

/* To and fro with KSM at work; what it holds at a moment may stay for once. */
TEST_F(ksm, migrate_pages)
{
	double end = deadline_after_us(DEADLINE_US);
	int turn, node;

	for (turn = 0; turn < TURNS; turn++) {
		node = turn % 2 ? self->a : self->b;
		while (numa_migrate_pages(0, nodes_with_memory() & ~NODE(node),
					  NODE(node)) > 0)
			ASSERT_GT(end, metric_now_us());
		EXPECT_CLEAN(check(&self->pages, node));
	}
	EXPECT_TRUE(are_merged(&self->pages));
	EXPECT_CLEAN(write_each_other(&self->pages));
}

/* MOVE leaves it, as it is mapped more than once; by whom does not matter. */
TEST_F(ksm, move_pages)
{
	struct movelist list;
	int on;

	ASSERT_EQ(0, placement_query(0, self->pages.addr, 1, &on));
	ASSERT_EQ(0, movelist_make(&list, &self->pages, COUNT,
				   on == self->b ? self->a : self->b));
	movelist_want(&list, 0, COUNT, -EACCES);
	EXPECT_EQ(0, movelist_call(&list, 0, MPOL_MF_MOVE));
	EXPECT_CLEAN(movelist_check(&list));
	EXPECT_CLEAN(check(&self->pages, on));
	EXPECT_EQ(self->frame, pagemap_frame(0, pages_at(&self->pages, 0)));

	/* One frame: taken, busy, and there for all others. */
	ASSERT_EQ(0, proc_write(KSM "run", "0"));
	movelist_want(&list, 0, COUNT, list.nodes[0]);
	movelist_want(&list, 1, 1, -EBUSY);
	movelist_clear(&list);
	EXPECT_EQ(0, movelist_call(&list, 0, MPOL_MF_MOVE_ALL));
	EXPECT_CLEAN(movelist_check(&list));
	EXPECT_CLEAN(check(&self->pages, list.nodes[0]));
	EXPECT_NE(self->frame, pagemap_frame(0, pages_at(&self->pages, 0)));
	EXPECT_TRUE(are_merged(&self->pages));
	EXPECT_CLEAN(write_each_other(&self->pages));
}

TEST_HARNESS_MAIN
