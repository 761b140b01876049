// SPDX-License-Identifier: GPL-2.0-only
/*
 * migrate_pages(2) and what would have to go round in a circle. One call can't:
 * sets are mapped in ascending order (node_remap() in do_migrate_pages(),
 * mm/mempolicy.c, 6.1 and 6.12), so from a set to itself each node is mapped to
 * itself. Several calls can, over a node that is empty meanwhile; move_pages(2)
 * does it in one.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     cycles.ring_to_itself: {nodes: 4}
 *     cycles.exchange_over_a_third: {nodes: 3}
 *     cycles.rotate_by_calls: {nodes: 4}
 *     cycles.rotate_by_move_pages: {nodes: 4}
 *     cycles.there_and_back: {nodes: 4}
 *   quick:
 *     - cycles.exchange_is_refused_quietly
 *   contract: {2: ["cycles.*"]}
 *   promises:
 *     relative-placement: ["cycles.there_and_back", "cycles.rotate_*",
 *       "cycles.exchange_over_a_third"]
 *     other-process: ["cycles.rotate_*"]
 *   covers:
 *     - {cases: "cycles.*", interface: [migrate_pages-child],
 *        backing: [anon-private], condition: [quiet]}
 *     - {cases: "cycles.rotate_by_move_pages", interface: [move_pages-set],
 *        backing: [anon-private], condition: [quiet]}
 */
#include "harness.h"

#include "nodes.h"
#include "pages.h"
#include "subject_steps.h"

/* A multiple of 2, 3 and 4, dealt out over that many nodes in turn. */
#define COUNT		48
#define RING		4

FIXTURE(cycles)
{
	int node[RING];		/* -1 past the last one with memory */
	int nodes;
	struct subject subject;
};

FIXTURE_SETUP(cycles)
{
	unsigned long nodes = nodes_with_memory();
	int i;

	if (nodes_count(nodes) < 2)
		SKIP(return, "needs 2 nodes with memory, has %s",
		     nodes_text(nodes));
	for (i = 0; i < RING; i++)
		self->node[i] = nodes_nth(nodes, i);
	self->nodes = nodes_count(nodes);
	ASSERT_EQ(0, pages_map(&self->subject.pages, COUNT, MAP_PRIVATE));
}

/* Mappings and peers end with the test's process. */
FIXTURE_TEARDOWN(cycles)
{
}

#define MIGRATE(from, to) \
	EXPECT_EQ(0, numa_migrate_pages(self->subject.pages.pid, from, to))

static unsigned long set_of(const int *node, int count)
{
	unsigned long set = 0;

	while (count--)
		set |= NODE(node[count]);
	return set;
}

/*
 * Whoever wants two nodes exchanged and says so in the only way there is gets
 * 0, and every page stays: not an error, not half of it, no page moved twice.
 */
TEST_F(cycles, exchange_is_refused_quietly)
{
	unsigned long both = set_of(self->node, 2);
	struct pages *p = &self->subject.pages;
	int i;

	pages_want_dealt(p, both);
	START(pages_populate);
	for (i = 0; i < 3; i++)
		MIGRATE(both, both);
	UNMOVED("two nodes to themselves");
	END();
}

TEST_F(cycles, ring_to_itself)
{
	unsigned long ring = set_of(self->node, RING);
	struct pages *p = &self->subject.pages;
	int i;

	if (self->nodes < RING)
		SKIP(return, "needs 4 nodes with memory");
	pages_want_dealt(p, ring);
	START(pages_populate);
	MIGRATE(ring, ring);
	UNMOVED("four nodes to themselves");
	for (i = 0; i < RING; i++)
		EXPECT_EQ(subject_was_on(NODE(self->node[i])),
			  subject_is_on(NODE(self->node[i])));
	END();
}

TEST_F(cycles, exchange_over_a_third)
{
	const int *n = self->node;
	struct pages *p = &self->subject.pages;
	long on_first, on_second;

	if (self->nodes < 3)
		SKIP(return, "needs 3 nodes with memory");
	pages_want_dealt(p, set_of(n, 2));
	START(pages_populate);
	/* Whatever of it is elsewhere has to be out of the way. */
	MIGRATE(~set_of(n, 2), NODE(n[0]));
	LOOK();
	on_first = subject_was_on(NODE(n[0]));
	on_second = subject_was_on(NODE(n[1]));
	MIGRATE(NODE(n[1]), NODE(n[2]));
	pages_want_moved(p, n[1], n[2]);
	VERIFY(0, "the second to the third");
	LOOK();
	MIGRATE(NODE(n[0]), NODE(n[1]));
	pages_want_moved(p, n[0], n[1]);
	VERIFY(0, "the first to the second");
	LOOK();
	MIGRATE(NODE(n[2]), NODE(n[0]));
	pages_want_moved(p, n[2], n[0]);
	VERIFY(0, "the third to the first");
	EXPECT_EQ(on_first, subject_is_on(NODE(n[1])));
	EXPECT_EQ(on_second, subject_is_on(NODE(n[0])));
	EXPECT_EQ(0, subject_is_on(~set_of(n, 2)));
	END();
}

/*
 * 0 -> 1 -> 2 -> 0 over the fourth node, by two calls: {0,1,2} -> {1,2,3} and
 * {3} -> {0}; three times round, all is where it was.
 */
TEST_F(cycles, rotate_by_calls)
{
	const int *n = self->node;
	struct pages *p = &self->subject.pages;
	int turn;

	if (self->nodes < RING)
		SKIP(return, "needs 4 nodes with memory");
	pages_want_dealt(p, set_of(n, 3));
	START(pages_populate);
	for (turn = 0; turn < 3; turn++) {
		LOOK();
		MIGRATE(set_of(n, 3), set_of(n + 1, 3));
		pages_want_moved(p, n[2], n[3]);
		pages_want_moved(p, n[1], n[2]);
		pages_want_moved(p, n[0], n[1]);
		VERIFY(0, "{0,1,2} to {1,2,3}");
		LOOK();
		MIGRATE(NODE(n[3]), NODE(n[0]));
		pages_want_moved(p, n[3], n[0]);
		VERIFY(0, "{3} to {0}");
		EXPECT_EQ(0, subject_is_on(NODE(n[3])));
	}
	for (turn = 0; turn < COUNT; turn++)
		EXPECT_EQ(n[turn % 3], p->now[turn].status);
	END();
}

/* All four at once, no node empty: page by page to the next of the ring. */
TEST_F(cycles, rotate_by_move_pages)
{
	int i, turn, at, nodes[COUNT], status[COUNT];
	struct pages *p = &self->subject.pages;
	void *addrs[COUNT];

	if (self->nodes < RING)
		SKIP(return, "needs 4 nodes with memory");
	pages_want_dealt(p, set_of(self->node, RING));
	START(pages_populate);
	for (turn = 1; turn <= RING; turn++) {
		LOOK();
		for (i = 0; i < COUNT; i++) {
			at = self->node[(i + turn) % RING];
			addrs[i] = pages_at(p, i);
			nodes[i] = at;
			status[i] = -1;
			pages_want(p, i, 1, at);
		}
		EXPECT_EQ(0, numa_move_pages(p->pid, COUNT, addrs, nodes,
					     status, MPOL_MF_MOVE));
		EXPECT_STREQ(placement_statuses(nodes, COUNT),
			     placement_statuses(status, COUNT));
		VERIFY(0, "a step round the ring");
		EXPECT_EQ(COUNT, subject_moved());
	}
	END();
}

/* Two by two to the other half and back: each page where it was. */
TEST_F(cycles, there_and_back)
{
	unsigned long low, high;
	const int *n = self->node;
	struct pages *p = &self->subject.pages;
	int turn;

	if (self->nodes < RING)
		SKIP(return, "needs 4 nodes with memory");
	low = set_of(n, 2);
	high = set_of(n + 2, 2);
	pages_want_dealt(p, low);
	START(pages_populate);
	MIGRATE(~low, NODE(n[0]));
	for (turn = 0; turn < 2; turn++) {
		LOOK();
		MIGRATE(low, high);
		pages_want_moved(p, n[0], n[2]);
		pages_want_moved(p, n[1], n[3]);
		VERIFY(0, "{0,1} to {2,3}");
		EXPECT_EQ(0, subject_is_on(low));
		LOOK();
		MIGRATE(high, low);
		pages_want_moved(p, n[2], n[0]);
		pages_want_moved(p, n[3], n[1]);
		VERIFY(0, "{2,3} to {0,1}");
		EXPECT_EQ(0, subject_is_on(high));
	}
	for (turn = 0; turn < COUNT; turn++)
		EXPECT_EQ(n[turn % 2], p->now[turn].status);
	END();
}

TEST_HARNESS_MAIN
