// SPDX-License-Identifier: GPL-2.0-only
/*
 * move_pages(2) that ends with an error, and what it has done until then:
 * do_pages_move() and do_pages_stat() in mm/migrate.c of 6.12 and 6.1.
 *
 * A bad node, and an array that ends too soon, end the call where they are met;
 * the run of entries up to there is moved and told of, nothing after it is
 * begun. The status array is written when a run has moved: where it ends too
 * soon, pages have moved of which nothing is said.
 *
 * There is no bound on the count (E2BIG went with 2.6.29), only memory that
 * ends.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {8: ["move_errors.node_*", "move_errors.*_end_early"]}
 *   covers:
 *     - {cases: "move_errors.node_*", interface: [move_pages-set],
 *        backing: [anon-private], condition: [bad-node]}
 *     - {cases: "move_errors.node_without_memory",
 *        interface: [move_pages-set], backing: [anon-private],
 *        condition: [target-memoryless]}
 *     - {cases: "move_errors.*_early", interface: [move_pages-set],
 *        backing: [anon-private], condition: [bad-address]}
 *     - {cases: "move_errors.query_*", interface: [move_pages-query],
 *        backing: [anon-private], condition: [bad-address]}
 */
#include "harness.h"

#include <limits.h>

#include "caps.h"
#include "movelist_steps.h"
#include "nodes.h"
#include "pages.h"
#include "pin.h"
#include "scene.h"

#define COUNT		24
/* Entries that are still in memory, of an array that ends too soon. */
#define KEPT		10

FIXTURE(move_errors)
{
	int a;
	int b;
	struct pages pages;
	struct movelist list;
	struct counters before;
};

/* COUNT pages on node a, to go to b, and the counters read. */
FIXTURE_SETUP(move_errors)
{
	FIND_TWO_NODES(self, return);
	ASSERT_CLEAN(scene_pages(&self->pages, COUNT, MAP_PRIVATE, self->a));
	ASSERT_EQ(0, movelist_make(&self->list, &self->pages, COUNT, self->b));
	ASSERT_EQ(0, counters_read(&self->before));
}

/* Mappings and lowered capabilities end with the test's process. */
FIXTURE_TEARDOWN(move_errors)
{
}

/*
 * @array, @kept bytes of it, to where memory ends: what follows is not to be
 * read nor written. MAP_FAILED or a place for it.
 */
static void *to_the_end(const void *array, size_t kept)
{
	size_t room = (kept / PAGE_BYTES + 1) * PAGE_BYTES;
	char *addr = mmap(NULL, room + PAGE_BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (addr == MAP_FAILED ||
	    mprotect(addr + room, PAGE_BYTES, PROT_NONE))
		return MAP_FAILED;
	return memcpy(addr + room - kept, array, kept);
}

/* Neither the first nor the last of them is special. */
TEST_F(move_errors, node_at_each_place)
{
	const int bad[] = { -1, INT_MIN, INT_MAX, MAX_NODES, 1024,
			    nodes_first_without_memory() };
	const int at[] = { 0, 1, 7, COUNT - 2, COUNT - 1 };
	struct pages *p = &self->pages;
	unsigned int i, k;
	int to = self->b;

	for (i = 0; i < ARRAY_SIZE(at); i++) {
		for (k = 0; k < ARRAY_SIZE(bad); k++) {
			movelist_send(&self->list, 0, COUNT, to);
			movelist_want(&self->list, at[i], COUNT - at[i],
				      UNWRITTEN);
			self->list.nodes[at[i]] = bad[k];
			EXPECT_CALL(-ENODEV, MPOL_MF_MOVE);
			pages_want(p, 0, at[i], to);
			TH_LOG("node %d as entry %d", bad[k], at[i]);
			VERIFY(pages_to_move(p), 0, "after a bad node");
			to = to == self->b ? self->a : self->b;
		}
	}
}

/* Every node that the machine may have, and that has no memory now. */
TEST_F(move_errors, node_without_memory)
{
	unsigned long empty = ~nodes_with_memory();
	struct pages *p = &self->pages;
	int i, node;

	ASSERT_NE(0, empty);
	movelist_want(&self->list, 0, COUNT, UNWRITTEN);
	for (i = 0; (node = nodes_nth(empty, i)) >= 0; i++) {
		self->list.nodes[0] = node;
		EXPECT_CALL(-ENODEV, MPOL_MF_MOVE);
		EXPECT_CALL(-ENODEV, MPOL_MF_MOVE_ALL);
	}
	VERIFY(0, 0, "nodes without memory");
	self->list.nodes[0] = self->b;
	movelist_want(&self->list, 0, COUNT, self->b);
	EXPECT_CALL(0, MPOL_MF_MOVE);
	pages_want_all(p, self->b);
	VERIFY(COUNT, 0, "a node with memory");
}

/* What could not be moved before the bad node does not hide it. */
TEST_F(move_errors, node_after_a_pinned_page)
{
	struct pages *p = &self->pages;
	struct pin pin;

	ASSERT_EQ(0, pin_pages(&pin, pages_at(p, 2), 1));
	self->list.nodes[6] = -1;
	movelist_want(&self->list, 0, COUNT, UNWRITTEN);
	EXPECT_CALL(-ENODEV, MPOL_MF_MOVE);
	pages_want(p, 0, 6, self->b);
	pages_want(p, 2, 1, self->a);
	VERIFY(5, 1, "page 2 pinned, a bad node as entry 6");
	pin_release(&pin);
}

TEST_F(move_errors, flags)
{
	unsigned int bit;

	movelist_want(&self->list, 0, COUNT, UNWRITTEN);
	for (bit = 0; bit < 32; bit++) {
		const int flag = 1U << bit;

		if (flag == MPOL_MF_MOVE || flag == MPOL_MF_MOVE_ALL)
			continue;
		TH_LOG("flag %#x", flag);
		EXPECT_CALL(-EINVAL, flag);
		EXPECT_CALL(-EINVAL, flag | MPOL_MF_MOVE);
		EXPECT_EQ(-EINVAL, numa_move_pages(-1, COUNT, NULL, NULL, NULL,
						   flag));
	}
	/* Flags, capability, process, arrays: in this order. */
	ASSERT_EQ(0, caps_set_sys_nice(false));
	EXPECT_EQ(-EINVAL, numa_move_pages(-1, COUNT, NULL, NULL, NULL,
					   MPOL_MF_MOVE_ALL | MPOL_MF_STRICT));
	EXPECT_EQ(-EPERM, numa_move_pages(-1, COUNT, NULL, NULL, NULL,
					  MPOL_MF_MOVE_ALL));
	ASSERT_EQ(0, caps_set_sys_nice(true));
	EXPECT_EQ(-ESRCH, numa_move_pages(-1, COUNT, NULL, self->list.nodes,
					  NULL, MPOL_MF_MOVE_ALL));
	EXPECT_EQ(-EFAULT, numa_move_pages(0, COUNT, NULL, self->list.nodes,
					   NULL, MPOL_MF_MOVE_ALL));
	VERIFY(0, 0, "after bad flags");
}

/* The page array, or that of nodes: as far as they go, all is done and told. */
TEST_F(move_errors, requests_end_early)
{
	struct movelist *list = &self->list;
	struct pages *p = &self->pages;
	void **addrs;
	int *nodes;

	addrs = to_the_end(list->addrs, KEPT * sizeof(*addrs));
	nodes = to_the_end(list->nodes, KEPT * sizeof(*nodes));
	ASSERT_TRUE(addrs != MAP_FAILED && nodes != MAP_FAILED);
	movelist_want(list, KEPT, COUNT - KEPT, UNWRITTEN);
	EXPECT_EQ(-EFAULT, numa_move_pages(0, COUNT, addrs, list->nodes,
					   list->status, MPOL_MF_MOVE));
	pages_want(p, 0, KEPT, self->b);
	VERIFY(KEPT, 0, "addresses end early");

	movelist_send(list, 0, KEPT, self->a);
	memcpy(nodes, list->nodes, KEPT * sizeof(*nodes));
	EXPECT_EQ(-EFAULT, numa_move_pages(0, COUNT, list->addrs, nodes,
					   list->status, MPOL_MF_MOVE));
	pages_want_all(p, self->a);
	VERIFY(KEPT, 0, "nodes end early");

	/* As many as are readable can be asked for. */
	EXPECT_EQ(0, numa_move_pages(0, KEPT, addrs, nodes, list->status,
				     MPOL_MF_MOVE));
	VERIFY(0, 0, "just what is there");
}

/* The call with room for KEPT statuses, which the list then has. */
static long call_short_of_statuses(struct movelist *list)
{
	int *status = to_the_end(list->status, KEPT * sizeof(*status));
	long result;

	if (status == MAP_FAILED)
		return -1;
	result = numa_move_pages(0, COUNT, list->addrs, list->nodes, status,
				 MPOL_MF_MOVE);
	memcpy(list->status, status, KEPT * sizeof(*status));
	return result;
}

/* One run: it moves as a whole, and is told of as far as the array goes. */
TEST_F(move_errors, statuses_of_a_run_end_early)
{
	struct movelist *list = &self->list;
	struct pages *p = &self->pages;

	EXPECT_EQ(-EFAULT, call_short_of_statuses(list));
	movelist_want(list, KEPT, COUNT - KEPT, UNWRITTEN);
	pages_want_all(p, self->b);
	VERIFY(COUNT, 0, "statuses of a run end early");

	/* None at all: the run is moved before that is found out. */
	movelist_send(list, 0, COUNT, self->a);
	EXPECT_EQ(-EFAULT, numa_move_pages(0, COUNT, list->addrs, list->nodes,
					   NULL, MPOL_MF_MOVE));
	movelist_want(list, 0, COUNT, UNWRITTEN);
	pages_want_all(p, self->a);
	VERIFY(COUNT, 0, "no statuses");
}

/* Runs of one: what is past the array is not begun but for the first. */
TEST_F(move_errors, statuses_of_runs_end_early)
{
	struct movelist *list = &self->list;
	struct pages *p = &self->pages;
	int i;

	for (i = 1; i < COUNT; i += 2) {
		pages_want(p, i, 1, self->b);
		movelist_send(list, i, 1, self->b);
	}
	for (i = 0; i < COUNT; i += 2)
		movelist_send(list, i, 1, self->a);
	EXPECT_CALL(0, MPOL_MF_MOVE);
	VERIFY(COUNT / 2, 0, "dealt out");
	/* All change places, as far as the eleventh. */
	for (i = 0; i < COUNT; i++)
		movelist_send(list, i, 1, i % 2 ? self->a : self->b);
	EXPECT_EQ(-EFAULT, call_short_of_statuses(list));
	movelist_want(list, KEPT, COUNT - KEPT, UNWRITTEN);
	for (i = 0; i <= KEPT; i++)
		pages_want(p, i, 1, list->nodes[i]);
	VERIFY(KEPT + 1, 0, "statuses of runs end early");
}

/* A status of its own, that of a bad page, that cannot be written. */
TEST_F(move_errors, single_status_end_early)
{
	struct movelist *list = &self->list;
	struct pages *p = &self->pages;

	list->nodes[KEPT + 2] = self->b;
	list->addrs[KEPT + 2] = NULL;
	EXPECT_EQ(-EFAULT, call_short_of_statuses(list));
	movelist_want(list, KEPT, COUNT - KEPT, UNWRITTEN);
	pages_want(p, 0, KEPT + 2, self->b);
	VERIFY(KEPT + 2, 0, "the status of a bad page is past the end");
}

/* Chunks of 16 are read, looked up and written one after the other. */
TEST_F(move_errors, query_ends_early)
{
	struct movelist *list = &self->list;
	void **addrs = to_the_end(list->addrs, 20 * sizeof(*addrs));
	int *status = to_the_end(list->status, 20 * sizeof(*status));

	ASSERT_TRUE(addrs != MAP_FAILED && status != MAP_FAILED);
	movelist_want(list, 0, 16, self->a);
	movelist_want(list, 16, COUNT - 16, UNWRITTEN);
	EXPECT_EQ(-EFAULT, numa_move_pages(0, COUNT, addrs, NULL, list->status,
					   0));
	VERIFY(0, 0, "addresses of a query end early");

	EXPECT_EQ(-EFAULT, numa_move_pages(0, COUNT, list->addrs, NULL, status,
					   0));
	/* Of the chunk that does not fit any part may be written. */
	memcpy(list->status, status, 16 * sizeof(*status));
	VERIFY(0, 0, "statuses of a query end early");

	movelist_want(list, 0, COUNT, UNWRITTEN);
	EXPECT_EQ(-EFAULT, numa_move_pages(0, COUNT, NULL, NULL, list->status,
					   0));
	EXPECT_EQ(-EFAULT, numa_move_pages(0, COUNT, list->addrs, NULL, NULL,
					   0));
	VERIFY(0, 0, "a query without arrays");
}

/* A count past all memory: what there is of the arrays is done. */
TEST_F(move_errors, counts_past_memory_end_early)
{
	const unsigned long counts[] = { 1UL << 31, 1UL << 32, 1UL << 60,
					 -1UL };
	struct movelist *list = &self->list;
	struct pages *p = &self->pages;
	int to = self->b;
	unsigned int i;
	void **addrs;

	addrs = to_the_end(list->addrs, KEPT * sizeof(*addrs));
	ASSERT_NE(MAP_FAILED, addrs);
	movelist_want(list, 0, COUNT, UNWRITTEN);
	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		TH_LOG("%#lx entries", counts[i]);
		movelist_send(list, 0, KEPT, to);
		EXPECT_EQ(-EFAULT, numa_move_pages(0, counts[i], addrs,
						   list->nodes, list->status,
						   MPOL_MF_MOVE));
		pages_want(p, 0, KEPT, to);
		VERIFY(KEPT, 0, "more entries than there are");
		EXPECT_EQ(-EFAULT, numa_move_pages(0, counts[i], addrs, NULL,
						   list->status, 0));
		to = to == self->b ? self->a : self->b;
		movelist_clear(list);
	}
	EXPECT_CLEAN(pages_verify(p, "after queries of too many"));
}

TEST_HARNESS_MAIN
