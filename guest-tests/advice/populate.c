// SPDX-License-Identifier: GPL-2.0-only
/*
 * MADV_POPULATE_READ and _WRITE: pages that come without a touch come where the
 * policy says, and those that are there, moved or not, are left as they are.
 * faultin_page_range() in mm/gup.c and madvise_populate() in mm/madvise.c, 6.12.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, ADVISE_SYSCALLS]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {7: [populate.private.hole]}
 *   covers:
 *     - {cases: "populate.private.under_the_task_s_policy",
 *        interface: set_mempolicy, backing: anon-private, condition: quiet}
 *     - {cases: "populate.shared.under_the_task_s_policy",
 *        interface: set_mempolicy, backing: anon-shared, condition: quiet}
 *     - {cases: "populate.private.what_was_moved_stays",
 *        interface: mbind-move-strict, backing: anon-private,
 *        condition: quiet}
 *     - {cases: "populate.shared.what_was_moved_stays",
 *        interface: mbind-move-strict, backing: anon-shared,
 *        condition: quiet}
 */
#include "harness.h"

#include <sys/mman.h>

#include "counters.h"
#include "kernel.h"
#include "nodes.h"
#include "pages.h"
#include "pattern.h"
#include "scene.h"

#define COUNT		16
#define HALF		8

FIXTURE(populate)
{
	int a;
	int b;
	struct pages pages;
	struct counters before;
};

SHARING_VARIANTS(populate);

/* Untouched pages; the caller runs on node a, which would be local. */
FIXTURE_SETUP(populate)
{
	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, nodes_run_on(self->a));
	ASSERT_EQ(0, pages_map(&self->pages, COUNT, variant->sharing));
	ASSERT_EQ(0, counters_read(&self->before));
}

/* Mappings and policies end with the test's process. */
FIXTURE_TEARDOWN(populate)
{
}

static long populate(const struct pages *p, long first, long count, int advice)
{
	return kernel_result(madvise(pages_at(p, first), count * PAGE_BYTES,
				     advice));
}

static long bind_range(const struct pages *p, int mode, unsigned long nodes,
		       int flags)
{
	return numa_mbind(p->addr, p->count * PAGE_BYTES, mode, nodes, flags);
}

/* Pages of @count from @first on that are not all zero. */
static long dirty(const struct pages *p, long first, long count)
{
	const char *page;
	long i, wrong = 0;

	for (i = first; i < first + count; i++) {
		page = pages_at(p, i);
		wrong += *page || memcmp(page, page + 1, PAGE_BYTES - 1);
	}
	return wrong;
}

TEST_F(populate, under_the_range_s_policy)
{
	struct pages *p = &self->pages;

	ASSERT_EQ(0, bind_range(p, MPOL_BIND, NODE(self->b), 0));
	EXPECT_EQ(0, populate(p, 0, COUNT, MADV_POPULATE_WRITE));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_snapshot(p));
	EXPECT_EQ(0, dirty(p, 0, COUNT));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
}

TEST_F(populate, under_the_task_s_policy)
{
	struct pages *p = &self->pages;

	ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(self->b)));
	EXPECT_EQ(0, populate(p, 0, COUNT, MADV_POPULATE_WRITE));
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_DEFAULT, 0));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_snapshot(p));
	EXPECT_EQ(0, dirty(p, 0, COUNT));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
}

TEST_F(populate, with_no_policy)
{
	struct pages *p = &self->pages;

	EXPECT_EQ(0, populate(p, 0, COUNT, MADV_POPULATE_WRITE));
	pages_want_all(p, self->a);
	EXPECT_CLEAN(pages_snapshot(p));
	EXPECT_EQ(0, dirty(p, 0, COUNT));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
}

/* A page each in turn; which one is the first is the address's business. */
TEST_F(populate, interleaved)
{
	const unsigned long both = NODE(self->a) | NODE(self->b);
	struct pages *p = &self->pages;
	int status[COUNT];
	long i;

	ASSERT_EQ(0, bind_range(p, MPOL_INTERLEAVE, both, 0));
	EXPECT_EQ(0, populate(p, 0, COUNT, MADV_POPULATE_WRITE));
	ASSERT_EQ(0, placement_query(0, p->addr, COUNT, status));
	for (i = 0; i < COUNT; i++)
		pages_want(p, i, 1, (status[0] == self->b) ^ (i & 1) ? self->b :
				    self->a);
	EXPECT_CLEAN(pages_snapshot(p));
	EXPECT_EQ(0, dirty(p, 0, COUNT));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
}

/* Moved by the policy, they keep their frames; only the rest is new. */
TEST_F(populate, what_was_moved_stays)
{
	struct pages *p = &self->pages;
	long i;

	pages_want(p, 0, HALF, self->a);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, bind_range(p, MPOL_BIND, NODE(self->b),
				MPOL_MF_MOVE | MPOL_MF_STRICT));
	pages_want(p, 0, HALF, self->b);
	EXPECT_CLEAN(pages_verify(p, "half of it, from a to b"));
	ASSERT_CLEAN(pages_snapshot(p));

	EXPECT_EQ(0, populate(p, 0, COUNT, MADV_POPULATE_WRITE));
	EXPECT_EQ(0, dirty(p, HALF, HALF));
	for (i = HALF; i < COUNT; i++)
		pattern_fill(pages_at(p, i), p->seed, i);
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "the other half populated"));
	EXPECT_CLEAN(counters_verify(&self->before, HALF, 0));
}

/* What stays on a stays, since populating is no move. */
TEST_F(populate, what_is_misplaced_stays)
{
	struct pages *p = &self->pages;

	pages_want_all(p, self->a);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, bind_range(p, MPOL_BIND, NODE(self->b), 0));
	EXPECT_EQ(0, populate(p, 0, COUNT, MADV_POPULATE_READ));
	EXPECT_EQ(0, populate(p, 0, COUNT, MADV_POPULATE_WRITE));
	EXPECT_CLEAN(pages_verify(p, "populated where it is"));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
}

/*
 * ENOMEM: what comes before the hole is there, and before "mm/madvise: make
 * MADV_POPULATE_(READ|WRITE) handle VM_FAULT_RETRY properly" (6.9), which took
 * it out of madvise_walk_vmas(), what comes after it, too.
 */
TEST_F(populate, hole)
{
	struct pages *p = &self->pages;

	ASSERT_EQ(0, bind_range(p, MPOL_BIND, NODE(self->b), 0));
	ASSERT_EQ(0, munmap(pages_at(p, HALF), 2 * PAGE_BYTES));
	EXPECT_EQ(-ENOMEM, populate(p, 0, COUNT, MADV_POPULATE_WRITE));
	pages_want(p, 0, HALF, self->b);
	pages_want(p, HALF, 2, UNMAPPED);
	if (kernel_before(6, 9))
		pages_want(p, HALF + 2, COUNT - HALF - 2, self->b);
	EXPECT_CLEAN(pages_snapshot(p));
	EXPECT_EQ(0, dirty(p, 0, HALF));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
}

TEST_HARNESS_MAIN
