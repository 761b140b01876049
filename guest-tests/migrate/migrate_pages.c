// SPDX-License-Identifier: GPL-2.0-only
/*
 * migrate_pages(2): all pages of a process from one set of nodes to another.
 * What is expected is what do_migrate_pages() in mm/mempolicy.c of 6.12 says:
 *
 *  - sets of one size map node by node in ascending order, {0,1} -> {1,2} is
 *    0 -> 1 and 1 -> 2, and no page moves twice; from a set to itself nothing
 *    moves (two nodes cannot be exchanged);
 *  - sets of different sizes map likewise, modulo the size of the target, but
 *    for nodes that are in the target already, whose pages stay;
 *  - the result counts the pages that should have moved and did not. Pages
 *    that others map too are skipped without CAP_SYS_NICE, and not counted.
 *
 * The process is a child that stands still: everything in it (stack, heap,
 * text) is counted frame by frame before and after.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     migrate_pages.pairs_up: {nodes: 3}
 *     migrate_pages.pairs_down: {nodes: 3}
 *     migrate_pages.three_to_one: {nodes: 3}
 *     migrate_pages.one_to_two: {nodes: 3}
 *     migrate_pages.outside_from_stays: {nodes: 3}
 *   quick:
 *     - migrate_pages.one_to_one
 *     - migrate_pages.pairs_up
 *     - migrate_pages.three_to_one
 *     - migrate_pages.left_behind
 *   contract:
 *     1: ["migrate_pages.pairs_*", "migrate_pages.*_to_one",
 *         migrate_pages.one_to_two]
 *     2: [migrate_pages.set_to_itself, "migrate_pages.pairs_*",
 *         migrate_pages.outside_from_stays]
 *     3: [migrate_pages.left_behind]
 *     15: [migrate_pages.left_behind]
 *   promises:
 *     addresses-kept: [migrate_pages.one_to_one, migrate_pages.of_the_caller]
 *     relative-placement: ["migrate_pages.pairs_*"]
 *     other-process: [migrate_pages.one_to_one]
 *   covers:
 *     - {cases: ["migrate_pages.*_to_*", "migrate_pages.pairs_*",
 *                migrate_pages.to_and_fro, migrate_pages.outside_from_stays,
 *                migrate_pages.many],
 *        interface: migrate_pages-child, backing: anon-private,
 *        condition: quiet}
 *     - {cases: [migrate_pages.one_to_one, migrate_pages.mapped_twice],
 *        interface: migrate_pages-child, backing: text, condition: quiet}
 *     - {cases: migrate_pages.left_behind, interface: migrate_pages-child,
 *        backing: vmspliced, condition: quiet}
 *     - {cases: migrate_pages.mapped_twice, interface: migrate_pages-child,
 *        backing: [anon-private, text], condition: no-capability}
 *     - {cases: migrate_pages.of_the_caller, interface: migrate_pages-self,
 *        backing: anon-private, condition: quiet}
 *     - {cases: migrate_pages.bad_arguments, interface: migrate_pages-child,
 *        backing: anon-private,
 *        condition: [bad-node, bad-address, bad-mask-size]}
 */
#include "harness.h"

#include "caps.h"
#include "chores.h"
#include "metric.h"
#include "nodes.h"
#include "pages.h"
#include "scene.h"
#include "subject_steps.h"

/* A multiple of 2 and 3, dealt out over that many nodes in turn. */
#define COUNT		24
#define MANY		1200

FIXTURE(migrate_pages)
{
	int a;
	int b;
	int c;
	struct subject subject;
};

/* COUNT pages for a child; START() begins the case. */
FIXTURE_SETUP(migrate_pages)
{
	FIND_TWO_NODES(self, return);
	self->c = THIRD_NODE();
	ASSERT_EQ(0, pages_map(&self->subject.pages, COUNT, MAP_PRIVATE));
}

/* Mappings, peers and lowered capabilities end with the test's process. */
FIXTURE_TEARDOWN(migrate_pages)
{
}

TEST_F(migrate_pages, one_to_one)
{
	struct pages *p = &self->subject.pages;

	pages_want_dealt(p, NODE(self->a) | NODE(self->b));
	START(pages_populate);
	EXPECT_EQ(0, numa_migrate_pages(p->pid, NODE(self->a), NODE(self->b)));
	pages_want_moved(p, self->a, self->b);
	VERIFY(0, "from a to b");
	/* Not only these pages, but all that the child has. */
	EXPECT_EQ(0, subject_is_on(NODE(self->a)));
	END();
}

/* Both nodes and back: nothing may be left, lost or moved twice. */
TEST_F(migrate_pages, to_and_fro)
{
	struct pages *p = &self->subject.pages;
	int turn, from, to;

	pages_want_dealt(p, NODE(self->a) | NODE(self->b));
	START(pages_populate);
	for (turn = 0; turn < 4; turn++) {
		from = turn % 2 ? self->b : self->a;
		to = turn % 2 ? self->a : self->b;
		EXPECT_EQ(0, numa_migrate_pages(p->pid, NODE(from), NODE(to)));
		pages_want_moved(p, from, to);
		VERIFY(0, "to and fro");
		EXPECT_EQ(0, subject_is_on(NODE(from)));
		LOOK();
	}
	END();
}

TEST_F(migrate_pages, set_to_itself)
{
	const unsigned long both = NODE(self->a) | NODE(self->b);
	struct pages *p = &self->subject.pages;

	pages_want_dealt(p, both);
	START(pages_populate);
	EXPECT_EQ(0, numa_migrate_pages(p->pid, both, both));
	UNMOVED("from a set to itself");
	END();
}

TEST_F(migrate_pages, pairs_up)
{
	struct pages *p = &self->subject.pages;

	if (self->c < 0)
		SKIP(return, "needs 3 nodes with memory");
	pages_want_dealt(p, NODE(self->a) | NODE(self->b));
	START(pages_populate);
	EXPECT_EQ(0, numa_migrate_pages(p->pid, NODE(self->a) | NODE(self->b),
					NODE(self->b) | NODE(self->c)));
	pages_want_moved(p, self->b, self->c);
	pages_want_moved(p, self->a, self->b);
	VERIFY(0, "from {a,b} to {b,c}");
	EXPECT_EQ(0, subject_is_on(NODE(self->a)));
	END();
}

TEST_F(migrate_pages, pairs_down)
{
	struct pages *p = &self->subject.pages;

	if (self->c < 0)
		SKIP(return, "needs 3 nodes with memory");
	pages_want_dealt(p, NODE(self->b) | NODE(self->c));
	START(pages_populate);
	EXPECT_EQ(0, numa_migrate_pages(p->pid, NODE(self->b) | NODE(self->c),
					NODE(self->a) | NODE(self->b)));
	pages_want_moved(p, self->b, self->a);
	pages_want_moved(p, self->c, self->b);
	VERIFY(0, "from {b,c} to {a,b}");
	EXPECT_EQ(0, subject_is_on(NODE(self->c)));
	END();
}

/* Sizes differ: what is on the target stays as it is, frame by frame. */
TEST_F(migrate_pages, three_to_one)
{
	const unsigned long all = NODE(self->a) | NODE(self->b) | NODE(self->c);
	struct pages *p = &self->subject.pages;

	if (self->c < 0)
		SKIP(return, "needs 3 nodes with memory");
	pages_want_dealt(p, all);
	START(pages_populate);
	EXPECT_EQ(0, numa_migrate_pages(p->pid, all, NODE(self->b)));
	pages_want_all(p, self->b);
	VERIFY(0, "from {a,b,c} to {b}");
	EXPECT_EQ(0, subject_is_on(all & ~NODE(self->b)));
	END();
}

/* One node maps to the first of the target; the second gets nothing. */
TEST_F(migrate_pages, one_to_two)
{
	struct pages *p = &self->subject.pages;

	if (self->c < 0)
		SKIP(return, "needs 3 nodes with memory");
	pages_want_all(p, self->a);
	START(pages_populate);
	EXPECT_EQ(0, numa_migrate_pages(p->pid, NODE(self->a),
					NODE(self->b) | NODE(self->c)));
	pages_want_all(p, self->b);
	VERIFY(0, "from {a} to {b,c}");
	END();
}

TEST_F(migrate_pages, outside_from_stays)
{
	const unsigned long all = NODE(self->a) | NODE(self->b) | NODE(self->c);
	struct pages *p = &self->subject.pages;

	if (self->c < 0)
		SKIP(return, "needs 3 nodes with memory");
	pages_want_dealt(p, all);
	START(pages_populate);
	EXPECT_EQ(0, numa_migrate_pages(p->pid, NODE(self->c), NODE(self->a)));
	pages_want_moved(p, self->c, self->a);
	VERIFY(0, "from {c} to {a}");
	EXPECT_EQ(subject_was_on(NODE(self->b)),
		  subject_is_on(NODE(self->b)));
	END();
}

/* The result is the number of pages left behind, counted frame by frame. */
TEST_F(migrate_pages, left_behind)
{
	struct pages *p = &self->subject.pages;
	long result;

	pages_want_dealt(p, NODE(self->a) | NODE(self->b));
	START(chore_populate_and_pin);
	result = numa_migrate_pages(p->pid, NODE(self->a), NODE(self->b));
	pages_want_moved(p, self->a, self->b);
	/* Of the two that are pinned, page 6 was on a and page 7 on b. */
	pages_want(p, 6, 1, self->a);
	VERIFY(result, "page 6 pinned");
	EXPECT_EQ(1, result);
	EXPECT_EQ(subject_is_on(NODE(self->a)), result);
	END();
}

/*
 * Text and what fork(2) left in common are mapped twice. Without CAP_SYS_NICE
 * such pages stay and are not counted; with it they move, for both processes.
 */
TEST_F(migrate_pages, mapped_twice)
{
	struct pages *p = &self->subject.pages, common;

	ASSERT_CLEAN(scene_pages(&common, COUNT, MAP_PRIVATE, self->a));
	pages_want_all(p, self->a);
	START(pages_populate);
	ASSERT_CLEAN(pages_snapshot(&common));

	ASSERT_EQ(0, caps_set_sys_nice(false));
	EXPECT_EQ(0, numa_migrate_pages(p->pid, NODE(self->a), NODE(self->b)));
	ASSERT_EQ(0, caps_set_sys_nice(true));
	pages_want_all(p, self->b);
	VERIFY(0, "mapped once, without CAP_SYS_NICE");
	EXPECT_LE(COUNT, subject_is_on(NODE(self->a)));
	EXPECT_CLEAN(pages_verify(&common, "mapped twice, without it"));
	EXPECT_CLEAN(pages_shared_with(&common, p->pid));

	EXPECT_EQ(0, numa_migrate_pages(p->pid, NODE(self->a), NODE(self->b)));
	pages_want_all(&common, self->b);
	EXPECT_CLEAN(pages_verify(&common, "mapped twice, with it"));
	EXPECT_CLEAN(pages_shared_with(&common, p->pid));
	ASSERT_CLEAN(pages_snapshot(p));
	VERIFY(0, "mapped once, once more");
	EXPECT_EQ(0, subject_is_on(NODE(self->a)));
	END();
}

/* The caller's own pages, the stack that it runs on among them. */
TEST_F(migrate_pages, of_the_caller)
{
	struct pages *p = &self->subject.pages;
	struct counters before, after;

	pages_want_dealt(p, NODE(self->a) | NODE(self->b));
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, counters_read(&before));
	EXPECT_EQ(0, numa_migrate_pages(0, NODE(self->a), NODE(self->b)));
	/* The caller does not stand still: a bound, not an exact number. */
	ASSERT_EQ(0, counters_read(&after));
	EXPECT_LE(COUNT / 2, after.success - before.success);
	pages_want_moved(p, self->a, self->b);
	EXPECT_CLEAN(pages_verify(p, "the caller's own, from a to b"));

	ASSERT_CLEAN(pages_snapshot(p));
	EXPECT_EQ(0, numa_migrate_pages(0, NODE(self->b), NODE(self->a)));
	pages_want_all(p, self->a);
	EXPECT_CLEAN(pages_verify(p, "the caller's own, from b to a"));
	ASSERT_EQ(0, counters_read(&after));
	EXPECT_EQ(before.fail, after.fail);
	before.success = after.success;
	EXPECT_CLEAN(counters_verify(&before, 0, 0));
}

TEST_F(migrate_pages, bad_arguments)
{
	const unsigned long here = NODE(self->a), there = NODE(self->b);
	int none = nodes_first_without_memory();
	struct pages *p = &self->subject.pages;

	ASSERT_LE(0, none);
	pages_want_all(p, self->a);
	START(pages_populate);
	EXPECT_EQ(-EINVAL, numa_migrate_pages(p->pid, here, 0));
	EXPECT_EQ(-EINVAL, numa_migrate_pages(p->pid, here, NODE(none)));
	EXPECT_EQ(-EFAULT, kernel_result(syscall(SYS_migrate_pages, p->pid,
						 MAXNODE, &here, 1)));
	EXPECT_EQ(-EFAULT, kernel_result(syscall(SYS_migrate_pages, p->pid,
						 MAXNODE, 1, &there)));
	EXPECT_EQ(-EINVAL, kernel_result(syscall(SYS_migrate_pages, p->pid,
						 1UL << 20, &here, &there)));
	EXPECT_EQ(0, numa_migrate_pages(p->pid, 0, there));
	UNMOVED("after bad arguments");

	/* A node without memory beside one that has some is not an error. */
	EXPECT_EQ(0, numa_migrate_pages(p->pid, here, there | NODE(none)));
	pages_want_all(p, self->b);
	VERIFY(0, "to a node and to none");

	END();
	EXPECT_EQ(-ESRCH, numa_migrate_pages(p->pid, here, there));
}

/* More than fits in one batch, timed. */
TEST_F(migrate_pages, many)
{
	struct pages *p = &self->subject.pages;
	double start, end;

	ASSERT_EQ(0, pages_map(p, MANY, MAP_PRIVATE));
	pages_want_dealt(p, NODE(self->a) | NODE(self->b));
	START(pages_populate);
	start = metric_now_us();
	EXPECT_EQ(0, numa_migrate_pages(p->pid, NODE(self->a), NODE(self->b)));
	end = metric_now_us();
	pages_want_moved(p, self->a, self->b);
	VERIFY(0, "600 of 1200 pages, from a to b");
	EXPECT_EQ(0, subject_is_on(NODE(self->a)));
	metric_print("migrate_pages",
		     (end - start) / subject_moved(),
		     "us/page");
	END();
}

TEST_HARNESS_MAIN
