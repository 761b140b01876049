// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shared memory in swap space: its swap entries are in the page cache, not in
 * a page table, and its policy is the object's.
 *
 * A page of shared memory that is read leaves the swap cache dirty, so it is
 * never there as a clean copy; that its frame goes once it is written is up to
 * reclaim, which is asked for by a memory cgroup.
 *
 * testbed:
 *   nodes: 2
 *   swap_mib: 64
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, SWAP, MEMCG]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {11: ["*"]}
 *   covers:
 *     - {cases: "swapped_shmem.mbind_around",
 *        interface: [mbind-move-strict, pageout], backing: [swapped-out],
 *        condition: [quiet]}
 *     - {cases: "swapped_shmem.move_pages_around",
 *        interface: [move_pages-set], backing: [swapped-out],
 *        condition: [quiet]}
 */
#include "harness.h"

#include <poll.h>
#include <sys/mman.h>

#include "counters.h"
#include "deadline.h"
#include "memcg.h"
#include "metric.h"
#include "node_stat.h"
#include "relocate.h"
#include "scene.h"
#include "swap.h"

#define COUNT		16
#define OUT_FIRST	4
#define HALF		8
#define DEADLINE_US	15e6

FIXTURE(swapped_shmem)
{
	int a;
	int b;
	struct memcg group;
	struct pages pages;
	struct counters before;
};

static const char *drop_from_cache(void)
{
	double deadline = deadline_after_us(DEADLINE_US);

	while (system_stat("nr_swapcached") > 0) {
		if (metric_now_us() > deadline)
			return "pages stay in the swap cache";
		/* EAGAIN: less was reclaimed than was asked for. */
		memcg_set("memory.reclaim", "32K");
		poll(NULL, 0, 1);
	}
	return "";
}

/* Half of the pages are out, the others are locked, so that they stay. */
FIXTURE_SETUP(swapped_shmem)
{
	struct pages *p = &self->pages;
	int error;

	FIND_TWO_NODES(self, return);
	if (!swap_has_room(COUNT))
		SKIP(return, "needs swap space");
	ASSERT_EQ(0, pages_map(p, COUNT, MAP_SHARED));
	pages_want_all(p, self->a);
	error = memcg_begin(&self->group) ? : memcg_attach(0);
	/* A setup that failed is not torn down. */
	if (error)
		memcg_end(&self->group);
	ASSERT_EQ(0, error);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_EQ(0, mlock(p->addr, OUT_FIRST * PAGE_BYTES));
	ASSERT_EQ(0, mlock(pages_at(p, OUT_FIRST + HALF),
			   (COUNT - OUT_FIRST - HALF) * PAGE_BYTES));
	ASSERT_CLEAN(swap_out(p, OUT_FIRST, HALF));
	ASSERT_CLEAN(drop_from_cache());
	ASSERT_EQ(0, relocate_drain());
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, counters_read(&self->before));
}

/* In the parent, so that it is done however the test ended. */
FIXTURE_TEARDOWN_PARENT(swapped_shmem)
{
	EXPECT_EQ(0, memcg_end(&self->group));
}

static bool is_out(long i)
{
	return i >= OUT_FIRST && i < OUT_FIRST + HALF;
}

static void touch_out(struct pages *p)
{
	int i;

	for (i = 0; i < COUNT; i++)
		if (is_out(i))
			pages_read(p, i);
}

static void want_present(struct pages *p, int node)
{
	int i;

	for (i = 0; i < COUNT; i++)
		if (!is_out(i))
			pages_want(p, i, 1, node);
}

TEST_F(swapped_shmem, mbind_around)
{
	struct pages *p = &self->pages;

	EXPECT_EQ(0, numa_mbind(p->addr, COUNT * PAGE_BYTES, MPOL_BIND,
				NODE(self->b),
				MPOL_MF_MOVE | MPOL_MF_STRICT));
	want_present(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "half moved, half swapped out"));
	EXPECT_CLEAN(counters_verify(&self->before, HALF, 0));
	touch_out(p);
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "swapped in under the shared policy"));
	EXPECT_CLEAN(relocate_to(p, self->a, "and moved on"));
}

TEST_F(swapped_shmem, move_pages_around)
{
	struct pages *p = &self->pages;
	int nodes[COUNT], status[COUNT], want[COUNT], i;
	void *addrs[COUNT];

	for (i = 0; i < COUNT; i++) {
		addrs[i] = pages_at(p, i);
		nodes[i] = self->b;
		want[i] = is_out(i) ? -ENOENT : self->b;
	}
	EXPECT_EQ(0, numa_move_pages(0, COUNT, addrs, nodes, status,
				     MPOL_MF_MOVE));
	EXPECT_STREQ(placement_statuses(want, COUNT),
		     placement_statuses(status, COUNT));
	want_present(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "half moved, half swapped out"));
	EXPECT_CLEAN(counters_verify(&self->before, HALF, 0));
	/* No policy on the object: it is the toucher's own that counts. */
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(self->a)));
	touch_out(p);
	pages_want(p, OUT_FIRST, HALF, self->a);
	EXPECT_CLEAN(pages_verify(p, "swapped in under the task's policy"));
}

TEST_HARNESS_MAIN
