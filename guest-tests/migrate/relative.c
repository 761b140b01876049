// SPDX-License-Identifier: GPL-2.0-only
/*
 * migrate_pages(2) between sets of nodes in all their shapes: pages keep their
 * place relative to each other. The rule is that of do_migrate_pages() in
 * mm/mempolicy.c (the same in 6.1 and 6.12):
 *
 *  - the n-th node of `from' goes to the n-th node of `to', both in ascending
 *    order; past the end of `to' it begins again with its first node
 *    (node_remap(), lib/bitmap.c);
 *  - where the sets differ in size, a node that is in `to' keeps its pages;
 *  - `to' loses the nodes without memory before sizes are compared, `from'
 *    does not: a node without memory holds a place in it.
 *
 * What is wanted stands here node by node, as a table, and not as a formula:
 * one like the kernel's would be wrong where the kernel is.
 *
 * testbed:
 *   nodes: 8
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {1: ["relative.*"], 2: ["relative.*"]}
 *   promises: {relative-placement: ["relative.*"]}
 *   covers:
 *     - {cases: "relative.*", interface: [migrate_pages-child],
 *        backing: [anon-private], condition: [quiet]}
 *     - {cases: "relative.to_*_absent.*", interface: [migrate_pages-child],
 *        backing: [anon-private], condition: [target-memoryless]}
 */
#include "harness.h"

#include "nodes.h"
#include "pages.h"
#include "subject.h"

#define NODES		8
/* Eight pages on each node. */
#define COUNT		64

/* In a set: the lowest node number that has no memory. */
#define ABSENT		NODES
#define N(index)	(1U << (index))
#define ALL		(N(NODES) - 1)

/* In a table. */
#define STAYS		-1

FIXTURE(relative)
{
	struct subject subject;
};

/* Nodes are counted among those that have memory. */
FIXTURE_VARIANT(relative)
{
	unsigned int from;
	unsigned int to;
	int goes[NODES];
};

/* Of one size: node by node, no page moved twice on the way. */
FIXTURE_VARIANT_ADD(relative, up_by_one)
{
	.from = N(2) | N(3) | N(4),
	.to = N(3) | N(4) | N(5),
	.goes = { -1, -1, 3, 4, 5, -1, -1, -1 },
};

FIXTURE_VARIANT_ADD(relative, down_by_one)
{
	.from = N(3) | N(4) | N(5),
	.to = N(2) | N(3) | N(4),
	.goes = { -1, -1, -1, 2, 3, 4, -1, -1 },
};

FIXTURE_VARIANT_ADD(relative, all_but_one_up)
{
	.from = ALL & ~N(7),
	.to = ALL & ~N(0),
	.goes = { 1, 2, 3, 4, 5, 6, 7, -1 },
};

FIXTURE_VARIANT_ADD(relative, all_but_one_down)
{
	.from = ALL & ~N(0),
	.to = ALL & ~N(7),
	.goes = { -1, 0, 1, 2, 3, 4, 5, 6 },
};

FIXTURE_VARIANT_ADD(relative, disjoint)
{
	.from = N(0) | N(1) | N(2),
	.to = N(5) | N(6) | N(7),
	.goes = { 5, 6, 7, -1, -1, -1, -1, -1 },
};

FIXTURE_VARIANT_ADD(relative, scattered)
{
	.from = N(1) | N(4) | N(6),
	.to = N(0) | N(3) | N(7),
	.goes = { -1, 0, -1, -1, 3, -1, 7, -1 },
};

FIXTURE_VARIANT_ADD(relative, some_in_both)
{
	.from = N(0) | N(2) | N(5),
	.to = N(2) | N(3) | N(5),
	.goes = { 2, -1, 3, -1, -1, -1, -1, -1 },
};

FIXTURE_VARIANT_ADD(relative, outer_ones)
{
	.from = N(0) | N(1) | N(6) | N(7),
	.to = N(2) | N(3) | N(6) | N(7),
	.goes = { 2, 3, -1, -1, -1, -1, -1, -1 },
};

FIXTURE_VARIANT_ADD(relative, identical)
{
	.from = ALL,
	.to = ALL,
	.goes = { -1, -1, -1, -1, -1, -1, -1, -1 },
};

/* To fewer nodes: in turn, but for what is in the target already. */
FIXTURE_VARIANT_ADD(relative, eight_to_three)
{
	.from = ALL,
	.to = N(3) | N(4) | N(5),
	.goes = { 3, 4, 5, -1, -1, -1, 3, 4 },
};

FIXTURE_VARIANT_ADD(relative, five_to_two)
{
	.from = N(0) | N(1) | N(2) | N(3) | N(4),
	.to = N(6) | N(7),
	.goes = { 6, 7, 6, 7, 6, -1, -1, -1 },
};

FIXTURE_VARIANT_ADD(relative, onto_the_first)
{
	.from = N(0) | N(1) | N(2),
	.to = N(0) | N(3),
	.goes = { -1, 3, 0, -1, -1, -1, -1, -1 },
};

FIXTURE_VARIANT_ADD(relative, all_to_one)
{
	.from = ALL,
	.to = N(6),
	.goes = { 6, 6, 6, 6, 6, 6, -1, 6 },
};

/* To more nodes: the last ones get nothing. */
FIXTURE_VARIANT_ADD(relative, two_to_three)
{
	.from = N(0) | N(1),
	.to = N(4) | N(5) | N(6),
	.goes = { 4, 5, -1, -1, -1, -1, -1, -1 },
};

FIXTURE_VARIANT_ADD(relative, two_to_three_overlapping)
{
	.from = N(3) | N(4),
	.to = N(4) | N(5) | N(6),
	.goes = { -1, -1, -1, 4, -1, -1, -1, -1 },
};

FIXTURE_VARIANT_ADD(relative, within_the_target)
{
	.from = N(4) | N(5),
	.to = N(3) | N(4) | N(5) | N(6),
	.goes = { -1, -1, -1, -1, -1, -1, -1, -1 },
};

FIXTURE_VARIANT_ADD(relative, one_to_all_others)
{
	.from = N(2),
	.to = ALL & ~N(2),
	.goes = { -1, -1, 0, -1, -1, -1, -1, -1 },
};

FIXTURE_VARIANT_ADD(relative, one_to_all)
{
	.from = N(2),
	.to = ALL,
	.goes = { -1, -1, -1, -1, -1, -1, -1, -1 },
};

/* The absent node holds a place in `from' ... */
FIXTURE_VARIANT_ADD(relative, from_an_absent)
{
	.from = N(1) | N(ABSENT),
	.to = N(0) | N(1),
	.goes = { -1, 0, -1, -1, -1, -1, -1, -1 },
};

FIXTURE_VARIANT_ADD(relative, from_only_absent)
{
	.from = N(ABSENT),
	.to = N(1),
	.goes = { -1, -1, -1, -1, -1, -1, -1, -1 },
};

/* ... but none in `to': two nodes go to one, which keeps its pages. */
FIXTURE_VARIANT_ADD(relative, to_an_absent)
{
	.from = N(1) | N(2),
	.to = N(2) | N(ABSENT),
	.goes = { -1, 2, -1, -1, -1, -1, -1, -1 },
};

FIXTURE_VARIANT_ADD(relative, to_more_absent)
{
	.from = N(5) | N(6) | N(7),
	.to = N(3) | N(6) | N(ABSENT),
	.goes = { -1, -1, -1, -1, -1, 3, -1, 3 },
};

FIXTURE_SETUP(relative)
{
	unsigned long nodes = nodes_with_memory();

	if (nodes_count(nodes) < NODES)
		SKIP(return, "needs %d nodes with memory, has %s", NODES,
		     nodes_text(nodes));
	ASSERT_EQ(0, pages_map(&self->subject.pages, COUNT, MAP_PRIVATE));
}

/* Mappings and peers end with the test's process. */
FIXTURE_TEARDOWN(relative)
{
}

static int node_at(int index)
{
	return index == ABSENT ? nodes_first_without_memory() :
				 nodes_nth(nodes_with_memory(), index);
}

static unsigned long set_of(unsigned int indices)
{
	unsigned long set = 0;
	int i;

	for (i = 0; i <= ABSENT; i++)
		if (indices & N(i))
			set |= NODE(node_at(i));
	return set;
}

/* How many frames the child is to have on node @index, by the table. */
static long frames_wanted(const int *goes, int index)
{
	long frames = 0;
	int i;

	for (i = 0; i < NODES; i++)
		if (goes[i] == index || (i == index && goes[i] == STAYS))
			frames += subject_was_on(NODE(node_at(i)));
	return frames;
}

TEST_F(relative, moves)
{
	struct pages *p = &self->subject.pages;
	unsigned long all = set_of(ALL);
	int i;

	ASSERT_LE(0, node_at(ABSENT));
	pages_want_dealt(p, all);
	ASSERT_EQ(0, subject_start(&self->subject, pages_populate));
	ASSERT_CLEAN(subject_look(&self->subject));
	EXPECT_EQ(0, numa_migrate_pages(p->pid, set_of(variant->from),
					set_of(variant->to)));
	for (i = 0; i < NODES; i++)
		if (variant->goes[i] != STAYS)
			pages_want_moved(p, node_at(i),
					 node_at(variant->goes[i]));
	EXPECT_CLEAN(subject_verify(&self->subject, 0, "between sets"));
	/* Not only these pages: stack, heap and text, node by node. */
	for (i = 0; i < NODES; i++) {
		EXPECT_EQ(frames_wanted(variant->goes, i),
			  subject_is_on(NODE(node_at(i)))) {
			TH_LOG("on node %d", node_at(i));
		}
	}
	EXPECT_EQ(0, holder_end(&self->subject.holder));
}

TEST_HARNESS_MAIN
