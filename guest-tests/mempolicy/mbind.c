// SPDX-License-Identifier: GPL-2.0-only
/*
 * mbind(2) on pages that exist: MPOL_MF_MOVE and MPOL_MF_MOVE_ALL on private
 * and shared memory, and bad arguments; mbind_errors.c has pages on which it
 * fails. What is expected is what do_mbind() and queue_pages_range() in
 * mm/mempolicy.c of 6.12 say: MOVE skips a page that is mapped more than once,
 * and skipping it is not a failure, so MOVE | STRICT succeeds and leaves it
 * where it is.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     mbind.private.interleave: {nodes: 3}
 *     mbind.shared.interleave: {nodes: 3}
 *   quick:
 *     - mbind.private.move
 *     - mbind.private.move_part
 *     - mbind.private.move_what_is_misplaced
 *     - mbind.private.move_skips_mapped_twice
 *     - mbind.private.move_some_mapped_twice
 *     - mbind.private.move_all_mapped_twice
 *     - mbind.private.move_all_needs_sys_nice
 *   contract:
 *     5: ["mbind.*_mapped_twice", mbind.*.move_all_needs_sys_nice]
 *     7: [mbind.*.move_part, mbind.*.interleave]
 *   promises:
 *     addresses-kept: [mbind.*.move]
 *   covers:
 *     - {cases: [mbind.private.move, mbind.private.move_what_is_misplaced],
 *        interface: mbind-move, backing: anon-private, condition: quiet}
 *     - {cases: [mbind.shared.move, mbind.shared.move_what_is_misplaced],
 *        interface: mbind-move, backing: anon-shared, condition: quiet}
 *     - {cases: [mbind.private.move_part, mbind.private.move_what_is_misplaced,
 *                "mbind.private.*_mapped_twice", mbind.private.interleave,
 *                mbind.private.many],
 *        interface: mbind-move-strict, backing: anon-private, condition: quiet}
 *     - {cases: [mbind.shared.move_part, mbind.shared.move_what_is_misplaced,
 *                "mbind.shared.*_mapped_twice", mbind.shared.interleave,
 *                mbind.shared.many],
 *        interface: mbind-move-strict, backing: anon-shared, condition: quiet}
 *     - {cases: mbind.private.move_all_mapped_twice, interface: mbind-move-all,
 *        backing: anon-private, condition: quiet}
 *     - {cases: mbind.shared.move_all_mapped_twice, interface: mbind-move-all,
 *        backing: anon-shared, condition: quiet}
 *     - {cases: mbind.private.move_all_needs_sys_nice,
 *        interface: [mbind-move-all, mbind-move-strict],
 *        backing: anon-private, condition: no-capability}
 *     - {cases: mbind.shared.move_all_needs_sys_nice,
 *        interface: [mbind-move-all, mbind-move-strict],
 *        backing: anon-shared, condition: no-capability}
 *     - {cases: mbind.private.bad_arguments, interface: mbind-move,
 *        backing: anon-private, condition: [bad-node, bad-address,
 *          bad-mask-size]}
 *     - {cases: mbind.shared.bad_arguments, interface: mbind-move,
 *        backing: anon-shared, condition: [bad-node, bad-address,
 *          bad-mask-size]}
 */
#include "harness.h"

#include "caps.h"
#include "chores.h"
#include "counters.h"
#include "holder.h"
#include "kernel.h"
#include "metric.h"
#include "nodes.h"
#include "pages.h"
#include "policy.h"
#include "scene.h"

#define COUNT		16
/* Past two batches of migrate_pages(): NR_MAX_BATCHED_MIGRATION is 512. */
#define MANY		1200

#define MOVE		MPOL_MF_MOVE
#define MOVE_ALL	MPOL_MF_MOVE_ALL
#define STRICT		MPOL_MF_STRICT

FIXTURE(mbind)
{
	int a;
	int b;
	int c;
	struct pages pages;
	struct counters before;
};

SHARING_VARIANTS(mbind);

/* COUNT pages on node a, and the counters read. */
FIXTURE_SETUP(mbind)
{
	FIND_TWO_NODES(self, return);
	self->c = THIRD_NODE();
	ASSERT_CLEAN(scene_pages(&self->pages, COUNT, variant->sharing,
				 self->a));
	ASSERT_EQ(0, counters_read(&self->before));
}

/* Mappings, peers and lowered capabilities end with the test's process. */
FIXTURE_TEARDOWN(mbind)
{
}

static long bind_pages(struct pages *p, long first, long count, int node,
		       int flags)
{
	return numa_mbind(pages_at(p, first), count * PAGE_BYTES, MPOL_BIND,
			  NODE(node), flags);
}

static long bind_all(struct pages *p, int node, int flags)
{
	return bind_pages(p, 0, p->count, node, flags);
}

static const char *bound_to(int node)
{
	return policy_text(MPOL_BIND, NODE(node));
}

TEST_F(mbind, move)
{
	struct pages *p = &self->pages;

	EXPECT_EQ(0, bind_all(p, self->b, MOVE));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "after MOVE"));
	EXPECT_CLEAN(counters_verify(&self->before, COUNT, 0));
	EXPECT_STREQ(bound_to(self->b), pages_policy(p, 0));
}

TEST_F(mbind, move_part)
{
	struct pages *p = &self->pages;

	EXPECT_EQ(0, bind_pages(p, 4, 8, self->b, MOVE | STRICT));
	pages_want(p, 4, 8, self->b);
	EXPECT_CLEAN(pages_verify(p, "after MOVE of pages 4 to 11"));
	EXPECT_CLEAN(counters_verify(&self->before, 8, 0));
	EXPECT_STREQ(bound_to(self->b), pages_policy(p, 4));
	EXPECT_STREQ(bound_to(self->b), pages_policy(p, 11));
	if (variant->sharing == MAP_PRIVATE) {
		EXPECT_STREQ("default", pages_policy(p, 3));
		EXPECT_STREQ("default", pages_policy(p, 12));
	}
}

TEST_F(mbind, move_what_is_misplaced)
{
	struct pages *p = &self->pages;

	/* Where they are already: nothing to do, for STRICT neither. */
	EXPECT_EQ(0, bind_all(p, self->a, MOVE | STRICT));
	EXPECT_CLEAN(pages_verify(p, "after MOVE to where they are"));
	EXPECT_EQ(0, bind_all(p, self->a, STRICT));
	EXPECT_CLEAN(pages_verify(p, "after STRICT where they are"));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
	EXPECT_STREQ(bound_to(self->a), pages_policy(p, 0));

	/* Of a range that is half right only the other half moves. */
	ASSERT_EQ(0, bind_pages(p, 0, 8, self->b, MOVE));
	pages_want(p, 0, 8, self->b);
	EXPECT_CLEAN(pages_verify(p, "after MOVE of the first half"));
	ASSERT_CLEAN(pages_snapshot(p));
	EXPECT_EQ(0, bind_all(p, self->b, MOVE | STRICT));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "after MOVE of both halves"));
	EXPECT_CLEAN(counters_verify(&self->before, COUNT, 0));
}

TEST_F(mbind, no_flags)
{
	struct pages *p = &self->pages;

	EXPECT_EQ(0, bind_all(p, self->b, 0));
	EXPECT_CLEAN(pages_verify(p, "after mbind without flags"));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
	EXPECT_STREQ(bound_to(self->b), pages_policy(p, 0));
}

TEST_F(mbind, move_skips_mapped_twice)
{
	struct pages *p = &self->pages;
	struct holder holder;

	ASSERT_EQ(0, holder_start(&holder, p, chore_look));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_CLEAN(pages_shared_with(p, holder.peer.pid));

	EXPECT_EQ(0, bind_all(p, self->b, MOVE | STRICT));
	EXPECT_CLEAN(pages_verify(p, "mapped twice, after MOVE"));
	EXPECT_CLEAN(pages_shared_with(p, holder.peer.pid));
	EXPECT_EQ(0, holder_bad(&holder));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
	EXPECT_STREQ(bound_to(self->b), pages_policy(p, 0));

	/* Left alone by the other process, they do move. */
	ASSERT_EQ(0, holder_end(&holder));
	ASSERT_CLEAN(pages_snapshot(p));
	EXPECT_EQ(0, bind_all(p, self->b, MOVE | STRICT));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "mapped once again, after MOVE"));
	EXPECT_CLEAN(counters_verify(&self->before, COUNT, 0));
}

TEST_F(mbind, move_some_mapped_twice)
{
	struct pages *p = &self->pages;
	struct holder holder;
	int i;

	ASSERT_EQ(0, holder_start(&holder, p, chore_share_odd));
	ASSERT_CLEAN(pages_snapshot(p));

	EXPECT_EQ(0, bind_all(p, self->b, MOVE | STRICT));
	for (i = 0; i < COUNT; i += 2)
		pages_want(p, i, 1, self->b);
	EXPECT_CLEAN(pages_verify(p, "odd pages mapped twice, after MOVE"));
	EXPECT_EQ(0, holder_bad(&holder));
	EXPECT_CLEAN(counters_verify(&self->before, COUNT / 2, 0));
	EXPECT_EQ(0, holder_end(&holder));
}

TEST_F(mbind, move_all_mapped_twice)
{
	struct pages *p = &self->pages;
	struct holder holder;

	ASSERT_EQ(0, holder_start(&holder, p, chore_look));
	ASSERT_CLEAN(pages_snapshot(p));

	EXPECT_EQ(0, bind_all(p, self->b, MOVE_ALL | STRICT));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "mapped twice, after MOVE_ALL"));
	EXPECT_CLEAN(pages_shared_with(p, holder.peer.pid));
	EXPECT_EQ(0, holder_bad(&holder));
	EXPECT_CLEAN(counters_verify(&self->before, COUNT, 0));
	EXPECT_EQ(0, holder_end(&holder));
}

TEST_F(mbind, move_all_needs_sys_nice)
{
	struct pages *p = &self->pages;

	ASSERT_EQ(0, caps_set_sys_nice(false));
	EXPECT_EQ(-EPERM, bind_all(p, self->b, MOVE_ALL));
	EXPECT_EQ(-EPERM, bind_all(p, self->b, MOVE_ALL | MOVE | STRICT));
	EXPECT_CLEAN(pages_verify(p, "after MOVE_ALL without CAP_SYS_NICE"));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
	EXPECT_STREQ("default", pages_policy(p, 0));

	/* MOVE asks for no capability. */
	EXPECT_EQ(0, bind_all(p, self->b, MOVE | STRICT));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "after MOVE without CAP_SYS_NICE"));
	EXPECT_CLEAN(counters_verify(&self->before, COUNT, 0));
}

TEST_F(mbind, bad_arguments)
{
	/* More nodes than any kernel is built for: 2^NODES_SHIFT <= 1024. */
	unsigned long far[4096 / (8 * sizeof(long))] = { 0 };
	struct pages *p = &self->pages;
	size_t bytes = COUNT * PAGE_BYTES;
	int none = nodes_first_without_memory();

	far[ARRAY_SIZE(far) - 1] = 1;
	ASSERT_LE(0, none);

	EXPECT_EQ(-EINVAL, bind_all(p, none, MOVE));
	EXPECT_EQ(-EINVAL, kernel_result(syscall(SYS_mbind, p->addr, bytes,
						 MPOL_BIND, far, 4096, MOVE)));
	EXPECT_EQ(-EINVAL, numa_mbind(p->addr, bytes, MPOL_BIND, 0, MOVE));
	EXPECT_EQ(-EINVAL, numa_mbind(p->addr, bytes, MPOL_DEFAULT,
				      NODE(self->b), MOVE));
	EXPECT_EQ(-EINVAL, numa_mbind(p->addr, bytes, MPOL_BIND, NODE(self->b),
				      1U << 30));
	EXPECT_EQ(-EINVAL, numa_mbind(p->addr, bytes, 1 << 10, NODE(self->b),
				      MOVE));
	EXPECT_EQ(-EINVAL, numa_mbind(p->addr + 1, PAGE_BYTES, MPOL_BIND,
				      NODE(self->b), MOVE));
	EXPECT_EQ(-EINVAL, numa_mbind(p->addr, -PAGE_BYTES, MPOL_BIND,
				      NODE(self->b), MOVE));
	EXPECT_EQ(0, numa_mbind(p->addr, 0, MPOL_BIND, NODE(self->b), MOVE));

	EXPECT_CLEAN(pages_verify(p, "after bad arguments"));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
	EXPECT_STREQ("default", pages_policy(p, 0));

	/* Beside a node that has memory, one that has none is left out. */
	EXPECT_EQ(0, numa_mbind(p->addr, bytes, MPOL_BIND,
				NODE(self->b) | NODE(none), MOVE | STRICT));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "after MOVE to a node and to none"));
	EXPECT_STREQ(bound_to(self->b), pages_policy(p, 0));
}

/*
 * Migration is to put each page where a fault would have put it. Before 6.7 it
 * forgets the inode's number, by which the nodes of shared memory are shifted:
 * interleave.c, where the number is known.
 */
TEST_F(mbind, interleave)
{
	const bool shifted = variant->sharing == MAP_SHARED &&
			     kernel_before(6, 7);
	const int discard = variant->sharing == MAP_PRIVATE ? MADV_DONTNEED :
							      MADV_REMOVE;
	int i, first, moved[COUNT], faulted[COUNT];
	struct pages *p = &self->pages;
	unsigned long targets;

	if (self->c < 0)
		SKIP(return, "needs 3 nodes with memory");
	targets = NODE(self->b) | NODE(self->c);
	EXPECT_EQ(0, numa_mbind(p->addr, COUNT * PAGE_BYTES, MPOL_INTERLEAVE,
				targets, MOVE | STRICT));
	ASSERT_EQ(0, placement_query(0, p->addr, COUNT, moved));
	first = moved[0] == self->c;
	for (i = 0; i < COUNT; i++)
		pages_want(p, i, 1, (i + first) % 2 ? self->c : self->b);
	EXPECT_CLEAN(pages_verify(p, "after MOVE to an interleave policy"));
	EXPECT_CLEAN(counters_verify(&self->before, COUNT, 0));

	ASSERT_EQ(0, madvise(p->addr, COUNT * PAGE_BYTES, discard));
	for (i = 0; i < COUNT; i++)
		pages_write(p, i);
	ASSERT_EQ(0, placement_query(0, p->addr, COUNT, faulted));
	if (shifted) {
		EXPECT_EQ(self->b, moved[0]);
		first = faulted[0] == self->c;
		for (i = 0; i < COUNT; i++)
			moved[i] = (i + first) % 2 ? self->c : self->b;
	}
	EXPECT_STREQ(placement_statuses(faulted, COUNT),
		     placement_statuses(moved, COUNT));
}

/* More than fits in one batch, there and back, timed. */
TEST_F(mbind, many)
{
	struct pages *p = &self->pages;
	double start, there;

	ASSERT_CLEAN(scene_pages(p, MANY, variant->sharing, self->a));

	start = metric_now_us();
	EXPECT_EQ(0, bind_all(p, self->b, MOVE | STRICT));
	there = metric_now_us();
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "1200 pages, after MOVE"));
	EXPECT_CLEAN(counters_verify(&self->before, MANY, 0));
	metric_print("mbind_move", (there - start) / MANY, "us/page");

	ASSERT_CLEAN(pages_snapshot(p));
	EXPECT_EQ(0, bind_all(p, self->a, MOVE | STRICT));
	pages_want_all(p, self->a);
	EXPECT_CLEAN(pages_verify(p, "1200 pages, after MOVE back"));
	EXPECT_CLEAN(counters_verify(&self->before, 2 * MANY, 0));
}

TEST_HARNESS_MAIN
