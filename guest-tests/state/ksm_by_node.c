// SPDX-License-Identifier: GPL-2.0-only
/*
 * Merged pages while KSM merges by node only (merge_across_nodes 0): what is
 * moved stays merged, and is of its new node from then on. The stable tree is
 * one of each node, and a page that was moved is in the wrong one until ksmd
 * comes by: cmp_and_merge_page() and stable_tree_search() in mm/ksm.c (6.1 and
 * 6.12) take it out of there, before anything is merged into it, and put it
 * into that of its node, next to what that has of the same content.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, KSM]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {12: ["*"]}
 *   covers:
 *     - {cases: "ksm_by_node.*", interface: [move_pages-set, mbind-move-all],
 *        backing: [ksm], condition: [quiet]}
 *   known:
 *     - {cases: ["ksm_by_node.one_that_*"], kernels: ">=6.1", why: "a page of
 *        one user, moved to where KSM has another of its content, is to be
 *        merged with that, which write_protect_page() cannot do, and is
 *        forgotten by KSM: nothing finds its mapping any more", commit:
 *        known-issues/ksm-one-user-moved-to-its-like.md; seen on 6.1 and
 *        6.12}
 */
#include "harness.h"

#include <poll.h>
#include <sys/mman.h>

#include "deadline.h"
#include "kernel.h"
#include "ksm.h"
#include "metric.h"
#include "nodes.h"
#include "proc.h"
#include "relocate.h"
#include "scene.h"

#define COUNT		16
#define SEED		4711
#define DEADLINE_US	15e6
#define ROUNDS		16

struct setting {
	const char *path;
	const char *value;
	const char *was;	/* as the kernel begins with it */
};

static const struct setting settings[] = {
	{ KSM "sleep_millisecs", "1", "20" },
	{ KSM "pages_to_scan", "1000", "100" },
	/* Last to be set and last to be put back: nothing may be merged. */
	{ KSM "merge_across_nodes", "0", "1" },
};

/* Two ranges of one content on node a; two more that a case adds. */
FIXTURE(ksm_by_node)
{
	int a;
	int b;
	struct pages pages;
	struct pages twin;
	struct pages third;
	struct pages fourth;
};

/* Pages of @p that are merged with those of one of the others. */
static int count_merged(struct pages *p, struct pages *q, struct pages *or_q)
{
	return ksm_merged(p, q) + (q == or_q ? 0 : ksm_merged(p, or_q));
}

/* Let ksmd go over all pages, the merged ones too, and stop it. */
static const char *scan(void)
{
	double deadline = deadline_after_us(DEADLINE_US);
	long scans = ksm_count("full_scans");
	bool late = false;

	if (proc_write(KSM "run", "1"))
		return "cannot start ksmd";
	while (ksm_count("full_scans") < scans + 3 && !late) {
		poll(NULL, 0, 5);
		late = metric_now_us() > deadline;
	}
	if (proc_write(KSM "run", "0"))
		return "cannot stop ksmd";
	return late ? "ksmd does not get on" : "";
}

/*
 * The same until the first is merged with either of the others. A page that
 * was not merged is passed over for eight scans at most (skip_age(), mm/ksm.c,
 * since 6.7).
 */
static const char *await_merged(struct pages *p, struct pages *q,
				struct pages *or_q)
{
	const char *problem;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		problem = scan();
		if (*problem || count_merged(p, q, or_q) == COUNT)
			return problem;
	}
	return "ksmd does not merge them";
}

static const char *merge(struct pages *p, struct pages *q)
{
	const char *problem = await_merged(p, q, q);

	if (*problem)
		return problem;
	return ksm_merged(p, q) == COUNT ? "" : "they are merged no more";
}

FIXTURE_SETUP(ksm_by_node)
{
	unsigned int i;

	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, proc_write(KSM "run", "2"));
	for (i = 0; i < ARRAY_SIZE(settings); i++)
		ASSERT_EQ(0, proc_write(settings[i].path, settings[i].value));
	ASSERT_EQ(0, ksm_map(&self->pages, COUNT, SEED, self->a));
	ASSERT_EQ(0, ksm_map(&self->twin, COUNT, SEED, self->a));
	ASSERT_CLEAN(merge(&self->pages, &self->twin));
	ASSERT_CLEAN(pages_snapshot(&self->pages));
	ASSERT_CLEAN(pages_snapshot(&self->twin));
}

/* In the parent, so that it is done however the test ended. */
FIXTURE_TEARDOWN_PARENT(ksm_by_node)
{
	unsigned int i;

	EXPECT_EQ(0, proc_write(KSM "run", "2"));
	EXPECT_EQ(0, proc_write(KSM "run", "0"));
	for (i = 0; i < ARRAY_SIZE(settings); i++)
		EXPECT_EQ(0, proc_write(settings[i].path, settings[i].was));
}

/* Frames of KSM's, and pages that were saved by them. */
#define EXPECT_KSM(shared, sharing) do {				\
	EXPECT_EQ(shared, ksm_count("pages_shared"));			\
	EXPECT_EQ(sharing, ksm_count("pages_sharing"));			\
} while (0)

/* As they were at the last snapshot but for the node, and merged. */
#define EXPECT_BOTH_ON(node, what) do {					\
	pages_want_all(&self->twin, node);				\
	EXPECT_CLEAN(pages_verify(&self->twin, what));			\
	EXPECT_EQ(COUNT, ksm_merged(&self->pages, &self->twin));		\
} while (0)

/*
 * Before 6.7 mbind(2) takes merged pages where the task's policy says, which
 * is here (known-issues/mbind-of-ksm-by-task-policy.md).
 */
static const char *mbind_to(struct pages *p, int node, const char *what)
{
	if (kernel_before(6, 7) && nodes_run_on(node))
		return "cannot run there";
	return relocate_all_to_by_mbind(p, node, what);
}

TEST_F(ksm_by_node, stays_merged)
{
	struct pages *p = &self->pages;

	EXPECT_KSM(COUNT, COUNT);
	EXPECT_CLEAN(relocate_all_to(p, self->b, "merged pages"));
	EXPECT_BOTH_ON(self->b, "the twins of what moved");

	/* ksmd puts them into the other tree, and leaves them as they are. */
	ASSERT_CLEAN(pages_snapshot(&self->twin));
	EXPECT_CLEAN(merge(p, &self->twin));
	EXPECT_CLEAN(pages_verify(p, "after ksmd came by"));
	EXPECT_BOTH_ON(self->b, "their twins, after ksmd came by");
	EXPECT_KSM(COUNT, COUNT);
	EXPECT_CLEAN(mbind_to(p, self->a, "and back"));
	EXPECT_BOTH_ON(self->a, "the twins of what moved back");
}

/* Two on the node that they left are merged with each other alone. */
TEST_F(ksm_by_node, not_with_the_old_node)
{
	struct pages *p = &self->pages;

	EXPECT_CLEAN(relocate_all_to(p, self->b, "merged pages"));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, ksm_map(&self->third, COUNT, SEED, self->a));
	ASSERT_EQ(0, ksm_map(&self->fourth, COUNT, SEED, self->a));
	ASSERT_CLEAN(merge(&self->third, &self->fourth));
	EXPECT_CLEAN(pages_snapshot(&self->third));
	EXPECT_CLEAN(pages_snapshot(&self->fourth));
	EXPECT_EQ(0, ksm_merged(p, &self->third));
	EXPECT_CLEAN(pages_verify(p, "what has moved away"));
	EXPECT_BOTH_ON(self->b, "its twin");
	EXPECT_KSM(2 * COUNT, 2 * COUNT);
	EXPECT_EQ(0, pages_bad(&self->third));
	EXPECT_EQ(0, pages_bad(&self->fourth));
}

/* One that comes on the new node is merged into what has moved there. */
TEST_F(ksm_by_node, with_the_new_node)
{
	struct pages *p = &self->pages;

	EXPECT_CLEAN(mbind_to(p, self->b, "merged pages"));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, ksm_map(&self->third, COUNT, SEED, self->b));
	ASSERT_CLEAN(merge(p, &self->third));
	EXPECT_CLEAN(pages_verify(p, "the frames that were merged into"));
	EXPECT_EQ(COUNT, ksm_merged(&self->twin, &self->third));
	EXPECT_KSM(COUNT, 2 * COUNT);
	EXPECT_EQ(0, pages_bad(&self->third));
}

/* A merged pair on @node; "" if it is one. */
static const char *merge_pair_on(struct pages *p, struct pages *q, int node)
{
	const char *problem;

	if (ksm_map(p, COUNT, SEED, node) || ksm_map(q, COUNT, SEED, node))
		return "cannot map";
	problem = merge(p, q);
	return *problem ? problem : pages_snapshot(p);
}

/*
 * There is a merged page of the same content already. Where each has more than
 * one user nothing would be gained at once: they stay two, next to each other
 * in the tree (a chain), and what comes later goes into either.
 */
TEST_F(ksm_by_node, two_that_meet)
{
	struct pages *p = &self->pages, late;

	ASSERT_CLEAN(merge_pair_on(&self->third, &self->fourth, self->b));
	EXPECT_EQ(0, ksm_merged(p, &self->third));
	EXPECT_KSM(2 * COUNT, 2 * COUNT);
	EXPECT_EQ(0, ksm_count("stable_node_chains"));

	EXPECT_CLEAN(relocate_all_to(p, self->b, "to others of one content"));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_CLEAN(merge(p, &self->twin));
	EXPECT_CLEAN(pages_verify(p, "next to what was there"));
	EXPECT_CLEAN(pages_verify(&self->third, "what was there"));
	EXPECT_EQ(COUNT, ksm_merged(&self->third, &self->fourth));
	EXPECT_EQ(0, ksm_merged(p, &self->third));
	EXPECT_KSM(2 * COUNT, 2 * COUNT);
	EXPECT_EQ(COUNT, ksm_count("stable_node_chains"));
	EXPECT_EQ(2 * COUNT, ksm_count("stable_node_dups"));

	ASSERT_EQ(0, ksm_map(&late, COUNT, SEED, self->b));
	ASSERT_CLEAN(await_merged(&late, p, &self->third));
	EXPECT_KSM(2 * COUNT, 3 * COUNT);
	EXPECT_EQ(0, pages_bad(&late));
	EXPECT_CLEAN(relocate_all_to(p, self->a, "and back"));
	EXPECT_CLEAN(pages_verify(&self->third, "what was there all along"));
}

/* One with but one user left, on node b, where there is a pair of its content */
static const char *send_one_to_two(struct pages *p, struct pages *twin,
				   struct pages *q, struct pages *r, int node)
{
	const char *problem = merge_pair_on(q, r, node);

	if (*problem)
		return problem;
	if (munmap(twin->addr, COUNT * PAGE_BYTES))
		return "munmap(2) fails";
	problem = relocate_all_to(p, node, "to others of one content");
	return *problem ? problem : pages_snapshot(p);
}

/* It is given up for what is there. */
TEST_F(ksm_by_node, one_that_meets_two)
{
	struct pages *p = &self->pages;
	int i;

	ASSERT_CLEAN(send_one_to_two(p, &self->twin, &self->third,
				     &self->fourth, self->b));
	ASSERT_CLEAN(merge(p, &self->third));
	EXPECT_CLEAN(pages_verify(&self->third, "what was there"));
	EXPECT_EQ(COUNT, ksm_merged(p, &self->fourth));
	EXPECT_KSM(COUNT, 2 * COUNT);
	/* To frames that are on the same node. */
	for (i = 0; i < COUNT; i++)
		pages_forget_frame(p, i);
	EXPECT_CLEAN(pages_verify(p, "merged with what was there"));
}

/* Merged or not, it can be moved again. */
TEST_F(ksm_by_node, one_that_met_two_moves_on)
{
	struct pages *p = &self->pages;

	ASSERT_CLEAN(send_one_to_two(p, &self->twin, &self->third,
				     &self->fourth, self->b));
	ASSERT_CLEAN(scan());
	ASSERT_CLEAN(pages_snapshot(p));
	EXPECT_CLEAN(relocate_all_to(p, self->a, "after ksmd came by"));
	EXPECT_EQ(0, pages_bad(p));
}

TEST_HARNESS_MAIN
