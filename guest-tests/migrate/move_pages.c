// SPDX-License-Identifier: GPL-2.0-only
/*
 * move_pages(2): the status array in all its forms, and what the call does to
 * the pages. What is expected is what do_pages_move() in mm/migrate.c of 6.12
 * says: what is wrong with one page goes to its status (ENOENT, EFAULT, EACCES,
 * EBUSY) and the call goes on; what is wrong with the request (ENODEV, EPERM,
 * ...) or a page that does not move ends it, and the entries from there on are
 * not written. Pages that others hold, map or own are in move_pages_held.c.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     move_pages.rotate: {nodes: 3}
 *     move_pages.soft_dirty_stays: {kconfig: [MEM_SOFT_DIRTY]}
 *   quick:
 *     - move_pages.mixed_destinations
 *     - move_pages.status_of_each_page
 *     - move_pages.query
 *     - move_pages.duplicate_addresses
 *   contract:
 *     8: [move_pages.mixed_destinations, move_pages.status_of_each_page,
 *         move_pages.bad_node]
 *     9: [move_pages.duplicate_addresses, move_pages.query]
 *     10: [move_pages.soft_dirty_stays]
 *   promises:
 *     addresses-kept: [move_pages.mixed_destinations]
 *   covers:
 *     - {cases: [move_pages.mixed_destinations, move_pages.rotate,
 *                move_pages.duplicate_addresses, move_pages.soft_dirty_stays,
 *                move_pages.many],
 *        interface: move_pages-set, backing: anon-private, condition: quiet}
 *     - {cases: move_pages.status_of_each_page, interface: move_pages-set,
 *        backing: zero-page, condition: quiet}
 *     - {cases: move_pages.query, interface: move_pages-query,
 *        backing: [anon-private, zero-page], condition: quiet}
 *     - {cases: move_pages.status_of_each_page, interface: move_pages-set,
 *        backing: anon-private, condition: hole}
 *     - {cases: move_pages.query, interface: move_pages-query,
 *        backing: anon-private, condition: hole}
 *     - {cases: move_pages.bad_node, interface: move_pages-set,
 *        backing: anon-private, condition: bad-node}
 *     - {cases: move_pages.bad_arguments, interface: move_pages-set,
 *        backing: anon-private, condition: [no-capability, bad-address]}
 *   known:
 *     - cases: move_pages.soft_dirty_stays
 *       kernels: "<6.9"
 *       why: a dirty page that is not soft-dirty comes out soft-dirty
 *       commit: known-issues/soft-dirty-after-move.md; mended in 6.9
 */
#include "harness.h"

#include "caps.h"
#include "counters.h"
#include "kernel.h"
#include "metric.h"
#include "nodes.h"
#include "pagemap.h"
#include "pages.h"
#include "scene.h"

#define COUNT		16
/* Past two batches of migrate_pages(): NR_MAX_BATCHED_MIGRATION is 512. */
#define MANY		1200

/* What no kernel writes: an entry that still holds it was not written. */
#define UNWRITTEN	-12345

#define EXPECT_STATUSES(want, seen, count) \
	EXPECT_STREQ(placement_statuses(want, count), \
		     placement_statuses(seen, count))

FIXTURE(move_pages)
{
	int a;
	int b;
	int c;
	struct pages pages;
	struct counters before;
	/* The arguments of the call, filled by request(). */
	void *addrs[COUNT];
	int nodes[COUNT];
	int status[COUNT];
};

/* COUNT pages on node a, and the counters read. */
FIXTURE_SETUP(move_pages)
{
	int i;

	FIND_TWO_NODES(self, return);
	self->c = THIRD_NODE();
	ASSERT_CLEAN(scene_pages(&self->pages, COUNT, MAP_PRIVATE, self->a));
	for (i = 0; i < COUNT; i++) {
		self->addrs[i] = pages_at(&self->pages, i);
		self->nodes[i] = self->b;
		self->status[i] = UNWRITTEN;
	}
	ASSERT_EQ(0, counters_read(&self->before));
}

/* Mappings and lowered capabilities end with the test's process. */
FIXTURE_TEARDOWN(move_pages)
{
}

/* The call on the first @count entries of the fixture's arrays. */
#define CALL(count, flags) \
	numa_move_pages(0, count, self->addrs, self->nodes, self->status, flags)

/* Every other page goes, its neighbours are where they are to be. */
TEST_F(move_pages, mixed_destinations)
{
	struct pages *p = &self->pages;
	int i;

	for (i = 0; i < COUNT; i++) {
		self->nodes[i] = i % 2 ? self->a : self->b;
		pages_want(p, i, 1, self->nodes[i]);
	}
	EXPECT_EQ(0, CALL(COUNT, MPOL_MF_MOVE));
	EXPECT_STATUSES(self->nodes, self->status, COUNT);
	EXPECT_CLEAN(pages_verify(p, "even pages moved, odd ones not"));
	EXPECT_CLEAN(counters_verify(&self->before, COUNT / 2, 0));

	/* Exchanged: runs of one page, each to another node than the last. */
	ASSERT_CLEAN(pages_snapshot(p));
	for (i = 0; i < COUNT; i++) {
		self->nodes[i] = i % 2 ? self->b : self->a;
		pages_want(p, i, 1, self->nodes[i]);
	}
	EXPECT_EQ(0, CALL(COUNT, MPOL_MF_MOVE));
	EXPECT_STATUSES(self->nodes, self->status, COUNT);
	EXPECT_CLEAN(pages_verify(p, "even and odd pages exchanged"));
	EXPECT_CLEAN(counters_verify(&self->before, COUNT / 2 + COUNT, 0));
}

/* Three nodes exchange their pages in a ring, in one call. */
TEST_F(move_pages, rotate)
{
	const int ring[] = { self->a, self->b, self->c };
	struct pages *p = &self->pages;
	int i, turn;

	if (self->c < 0)
		SKIP(return, "needs 3 nodes with memory");
	for (turn = 0; turn < 3; turn++) {
		for (i = 0; i < COUNT; i++) {
			self->nodes[i] = ring[(i + turn) % 3];
			pages_want(p, i, 1, self->nodes[i]);
		}
		ASSERT_EQ(0, counters_read(&self->before));
		EXPECT_EQ(0, CALL(COUNT, MPOL_MF_MOVE));
		EXPECT_STATUSES(self->nodes, self->status, COUNT);
		EXPECT_CLEAN(pages_verify(p, "after a turn of three nodes"));
		EXPECT_CLEAN(counters_verify(&self->before, pages_to_move(p),
					     0));
		ASSERT_CLEAN(pages_snapshot(p));
	}
}

/* What is wrong with a page is told in its status and stops nothing. */
TEST_F(move_pages, status_of_each_page)
{
	const int absent = kernel_before(6, 12) ? -EFAULT : -ENOENT;
	const int want[] = { self->b, absent, self->b, -EFAULT, self->b,
			     -EFAULT, self->a, self->b, UNWRITTEN };
	struct pages *p = &self->pages, other;

	/* Pages never written: one read (the zero page), one not at all. */
	ASSERT_EQ(0, pages_map(&other, 2, MAP_PRIVATE));
	pages_read(&other, 0);
	ASSERT_EQ(0, munmap(pages_at(p, 8), PAGE_BYTES));
	pages_want(p, 8, 1, UNMAPPED);

	self->addrs[1] = pages_at(&other, 1);
	self->addrs[3] = pages_at(p, 8);
	self->addrs[5] = pages_at(&other, 0);
	self->nodes[6] = self->a;
	/* Any address of the page will do. */
	self->addrs[7] += 123;

	EXPECT_EQ(0, CALL(8, MPOL_MF_MOVE));
	EXPECT_STATUSES(want, self->status, 9);
	pages_want(p, 0, 1, self->b);
	pages_want(p, 2, 1, self->b);
	pages_want(p, 4, 1, self->b);
	pages_want(p, 7, 1, self->b);
	EXPECT_CLEAN(pages_verify(p, "pages 0, 2, 4 and 7 moved"));
	EXPECT_CLEAN(counters_verify(&self->before, 4, 0));
}

/* A query tells the same, moves nothing and faults nothing in. */
TEST_F(move_pages, query)
{
	struct pages *p = &self->pages, other;
	int i, want[COUNT];

	ASSERT_EQ(0, pages_map(&other, 2, MAP_PRIVATE));
	pages_read(&other, 0);
	ASSERT_EQ(0, munmap(pages_at(p, 8), PAGE_BYTES));
	pages_want(p, 8, 1, UNMAPPED);
	self->addrs[1] = pages_at(&other, 1);
	self->addrs[5] = pages_at(&other, 0);

	for (i = 0; i < COUNT; i++)
		want[i] = self->a;
	want[1] = kernel_before(6, 12) ? -EFAULT : -ENOENT;
	want[5] = -EFAULT;
	want[8] = -EFAULT;
	want[COUNT - 1] = UNWRITTEN;

	/* The second one would see what the first had faulted in. */
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(0, numa_move_pages(0, COUNT - 1, self->addrs, NULL,
					     self->status, 0));
		EXPECT_STATUSES(want, self->status, COUNT);
	}
	EXPECT_CLEAN(pages_verify(p, "after a query"));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
}

/* What comes before a node that is none is done, the rest is not begun. */
TEST_F(move_pages, bad_node)
{
	const int bad[] = { nodes_first_without_memory(), -1, 1 << 20 };
	const int want[] = { self->b, self->b, UNWRITTEN, UNWRITTEN };
	struct pages *p = &self->pages;
	unsigned int i;
	int k;

	ASSERT_LE(0, bad[0]);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		const int first = 4 * i;

		TH_LOG("node %d", bad[i]);
		for (k = 0; k < COUNT; k++)
			self->status[k] = UNWRITTEN;
		self->nodes[first + 2] = bad[i];
		EXPECT_EQ(-ENODEV, numa_move_pages(0, 4, self->addrs + first,
						   self->nodes + first,
						   self->status, MPOL_MF_MOVE));
		EXPECT_STATUSES(want, self->status, 4);
		pages_want(p, first, 2, self->b);
		EXPECT_CLEAN(pages_verify(p, "after a bad node in mid-array"));
	}
	EXPECT_CLEAN(counters_verify(&self->before, 2 * ARRAY_SIZE(bad), 0));
}

TEST_F(move_pages, duplicate_addresses)
{
	const int want[] = { self->b, -EBUSY, self->b, self->b, self->a,
			     self->b };
	struct pages *p = &self->pages;

	/* Taken for the first entry, so busy for the second. */
	self->addrs[1] = self->addrs[0];
	/* To another node and back again, one after the other. */
	self->addrs[4] = self->addrs[3];
	self->nodes[4] = self->a;
	EXPECT_EQ(0, CALL(6, MPOL_MF_MOVE));
	EXPECT_STATUSES(want, self->status, 6);
	pages_want(p, 0, 1, self->b);
	pages_want(p, 2, 1, self->b);
	pages_want(p, 5, 1, self->b);
	pages_forget_frame(p, 3);
	EXPECT_CLEAN(pages_verify(p, "after duplicate addresses"));
	EXPECT_CLEAN(counters_verify(&self->before, 5, 0));
}

TEST_F(move_pages, bad_arguments)
{
	struct pages *p = &self->pages;
	int i, want[COUNT];

	EXPECT_EQ(-EINVAL, CALL(COUNT, MPOL_MF_STRICT));
	EXPECT_EQ(-EINVAL, CALL(COUNT, 1 << 30));
	EXPECT_EQ(-EFAULT, numa_move_pages(0, COUNT, NULL, self->nodes,
					   self->status, MPOL_MF_MOVE));
	EXPECT_EQ(-EFAULT, numa_move_pages(0, COUNT, self->addrs, (void *)1,
					   self->status, MPOL_MF_MOVE));
	ASSERT_EQ(0, caps_set_sys_nice(false));
	EXPECT_EQ(-EPERM, CALL(COUNT, MPOL_MF_MOVE_ALL));
	EXPECT_CLEAN(pages_verify(p, "after bad arguments"));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
	for (i = 0; i < COUNT; i++)
		want[i] = UNWRITTEN;
	EXPECT_STATUSES(want, self->status, COUNT);

	/* MOVE asks for no capability. */
	EXPECT_EQ(0, CALL(COUNT, MPOL_MF_MOVE));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "after MOVE without CAP_SYS_NICE"));
}

/* Both values of the bit survive: neither lost nor made up. */
TEST_F(move_pages, soft_dirty_stays)
{
	struct pages *p = &self->pages;
	int i, dirty = 0;

	ASSERT_EQ(0, pagemap_clear_soft_dirty());
	for (i = 0; i < COUNT; i += 3)
		pages_write(p, i);
	ASSERT_CLEAN(pages_snapshot(p));
	for (i = 0; i < COUNT; i++)
		if (p->was[i].pagemap & PM_SOFT_DIRTY)
			dirty++;
	ASSERT_EQ((COUNT + 2) / 3, dirty);

	EXPECT_EQ(0, CALL(COUNT, MPOL_MF_MOVE));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "every third page soft-dirty"));
	EXPECT_CLEAN(counters_verify(&self->before, COUNT, 0));
}

/* More than fits in one batch, to and fro in runs of 100, timed. */
TEST_F(move_pages, many)
{
	static void *addrs[MANY];
	static int nodes[MANY], status[MANY];
	struct pages *p = &self->pages;
	double start, end;
	int i;

	ASSERT_EQ(0, pages_map(p, MANY, MAP_PRIVATE));
	for (i = 0; i < MANY; i++) {
		addrs[i] = pages_at(p, i);
		nodes[i] = i / 100 % 2 ? self->b : self->a;
		pages_want(p, i, 1, i / 100 % 2 ? self->a : self->b);
	}
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_CLEAN(pages_snapshot(p));
	start = metric_now_us();
	EXPECT_EQ(0, numa_move_pages(0, MANY, addrs, nodes, status,
				     MPOL_MF_MOVE));
	end = metric_now_us();
	for (i = 0; i < MANY; i++)
		pages_want(p, i, 1, nodes[i]);
	EXPECT_EQ(0, memcmp(nodes, status, sizeof(nodes)));
	EXPECT_CLEAN(pages_verify(p, "1200 pages exchanged"));
	EXPECT_CLEAN(counters_verify(&self->before, MANY, 0));
	metric_print("move_pages", (end - start) / MANY, "us/page");

	ASSERT_CLEAN(pages_snapshot(p));
	for (i = 0; i < MANY; i++) {
		nodes[i] = self->b;
		pages_want(p, i, 1, self->b);
	}
	EXPECT_EQ(0, numa_move_pages(0, MANY, addrs, nodes, status,
				     MPOL_MF_MOVE));
	EXPECT_EQ(0, memcmp(nodes, status, sizeof(nodes)));
	EXPECT_CLEAN(pages_verify(p, "1200 pages gathered"));
	EXPECT_CLEAN(counters_verify(&self->before, MANY + MANY / 2, 0));
}

TEST_HARNESS_MAIN
