// SPDX-License-Identifier: GPL-2.0-only
/*
 * KSM with merge_across_nodes 0 keeps a tree for each node: pages merge with
 * those of their own node alone. A merged page that was moved belongs to the
 * tree of its new node, which ksmd finds out when it gets there
 * (stable_tree_search() and folio_migrate_ksm() in mm/ksm.c, 6.12).
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, KSM]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {12: ["*"]}
 *   covers:
 *     - {cases: "ksm_nodes.*", interface: [move_pages-set], backing: [ksm],
 *        condition: [quiet]}
 */
#include "harness.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <linux/kernel-page-flags.h>

#include "metric.h"
#include "nodes.h"
#include "pagemap.h"
#include "proc.h"
#include "relocate.h"

#define COUNT		8
#define KSM		"/sys/kernel/mm/ksm/"
#define DEADLINE_US	15e6

FIXTURE(ksm_nodes)
{
	int a;
	int b;
	struct pages pages;	/* two ranges of the same content on node a */
	struct pages twin;
	struct pages other;	/* one on node b, and one that comes later */
	struct pages late;
};

static long fill_on(struct pages *p, int node)
{
	if (pages_map(p, COUNT, MAP_PRIVATE))
		return -1;
	p->seed = 4711;
	pages_want_all(p, node);
	return pages_populate(p) ? :
	       madvise(p->addr, COUNT * PAGE_BYTES, MADV_MERGEABLE);
}

static long knob(const char *name)
{
	char path[64], text[32];

	snprintf(path, sizeof(path), KSM "%s", name);
	return proc_read(path, text, sizeof(text)) < 0 ? -1 : atol(text);
}

/* Let ksmd go over all there is, often enough for whatever it does. */
static const char *scan(void)
{
	double deadline = metric_now_us() + DEADLINE_US;
	long scans = knob("full_scans");

	if (proc_write(KSM "run", "1"))
		return "cannot start ksmd";
	while (knob("full_scans") < scans + 6 && metric_now_us() < deadline)
		poll(NULL, 0, 5);
	if (proc_write(KSM "run", "0"))
		return "cannot stop ksmd";
	return knob("full_scans") < scans + 6 ? "no six scans in 15 s" : "";
}

static uint64_t frame_of(struct pages *p, long i)
{
	uint64_t entry;

	return pagemap_read(0, pages_at(p, i), 1, &entry) ? 0 :
							    pagemap_pfn(entry);
}

/* How many pages of the two are in one frame. */
static int merged(struct pages *p, struct pages *q)
{
	int i, common = 0;

	for (i = 0; i < COUNT; i++)
		common += frame_of(p, i) && frame_of(p, i) == frame_of(q, i);
	return common;
}

FIXTURE_SETUP(ksm_nodes)
{
	unsigned long nodes = nodes_with_memory();

	if (nodes_count(nodes) < 2)
		SKIP(return, "needs 2 nodes with memory, has %s",
		     nodes_text(nodes));
	self->a = nodes_nth(nodes, 0);
	self->b = nodes_nth(nodes, 1);
	ASSERT_EQ(0, proc_write(KSM "sleep_millisecs", "1"));
	ASSERT_EQ(0, proc_write(KSM "pages_to_scan", "1000"));
	ASSERT_EQ(0, proc_write(KSM "merge_across_nodes", "0"));
	ASSERT_EQ(0, fill_on(&self->pages, self->a));
	ASSERT_EQ(0, fill_on(&self->twin, self->a));
	ASSERT_EQ(0, fill_on(&self->other, self->b));
	ASSERT_CLEAN(scan());
	ASSERT_EQ(COUNT, merged(&self->pages, &self->twin));
	ASSERT_EQ(0, merged(&self->pages, &self->other));
	ASSERT_CLEAN(pages_snapshot(&self->pages));
}

FIXTURE_TEARDOWN_PARENT(ksm_nodes)
{
	EXPECT_EQ(0, proc_write(KSM "run", "2"));
	EXPECT_EQ(0, proc_write(KSM "merge_across_nodes", "1"));
	EXPECT_EQ(0, proc_write(KSM "run", "0"));
}

/* By what node b has, no more by what node a has. */
TEST_F(ksm_nodes, to_the_tree_of_the_new_node)
{
	struct pages *p = &self->pages;

	EXPECT_CLEAN(relocate_all_to(p, self->b, "merged pages"));
	ASSERT_EQ(COUNT, merged(p, &self->twin));
	ASSERT_CLEAN(scan());
	EXPECT_EQ(COUNT, merged(p, &self->twin));
	EXPECT_EQ(COUNT, merged(p, &self->other));
	ASSERT_EQ(0, fill_on(&self->late, self->a));
	ASSERT_CLEAN(scan());
	EXPECT_EQ(COUNT, merged(p, &self->twin));
	EXPECT_EQ(COUNT, merged(p, &self->other));
	EXPECT_EQ(0, merged(p, &self->late));
	EXPECT_EQ(0, pages_bad(p));
	EXPECT_EQ(0, pages_bad(&self->twin));
	EXPECT_EQ(0, pages_bad(&self->other));

	/* The latecomer finds its like on its own node. */
	ASSERT_EQ(0, munmap(self->twin.addr, COUNT * PAGE_BYTES));
	ASSERT_EQ(0, fill_on(&self->twin, self->a));
	ASSERT_CLEAN(scan());
	EXPECT_EQ(COUNT, merged(&self->late, &self->twin));
	EXPECT_EQ(0, merged(&self->late, p));
	/* One frame a page and node. */
	EXPECT_EQ(2 * COUNT, knob("pages_shared"));
	EXPECT_EQ(2 * COUNT, knob("pages_sharing"));
}

/* Into a node that has the same pages merged already: these become one. */
TEST_F(ksm_nodes, to_its_like)
{
	struct pages *p = &self->pages;

	ASSERT_EQ(0, fill_on(&self->late, self->b));
	ASSERT_CLEAN(scan());
	ASSERT_EQ(COUNT, merged(&self->other, &self->late));
	EXPECT_EQ(2 * COUNT, knob("pages_shared"));
	pages_want_all(p, self->a);
	EXPECT_CLEAN(relocate_all_to(p, self->b, "merged pages"));
	/* What was merged once is not taken apart to be merged elsewhere. */
	ASSERT_CLEAN(scan());
	EXPECT_EQ(COUNT, merged(p, &self->twin));
	EXPECT_EQ(COUNT, merged(&self->other, &self->late));
	EXPECT_EQ(0, pages_bad(p));
	EXPECT_EQ(0, pages_bad(&self->twin));
	EXPECT_EQ(0, pages_bad(&self->other));
	EXPECT_EQ(0, pages_bad(&self->late));
}

TEST_HARNESS_MAIN
