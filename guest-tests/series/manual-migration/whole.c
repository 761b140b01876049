// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/<pid>/migrate of patches/manual-migration, 0-0: all that a process has,
 * stack, heap and text too, which is accounted for frame by frame; the same
 * range by range, and by migrate_pages(2).
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: [manual-migration]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     whole.rotate: {nodes: 3}
 *   quick:
 *     - whole.exchange
 *     - whole.line_by_line
 */
#include "harness.h"

#include "chores.h"
#include "migrate_file_steps.h"
#include "nodes.h"
#include "pages.h"
#include "scene.h"
#include "subject_steps.h"

#define COUNT		24

FIXTURE(whole)
{
	int a;
	int b;
	int c;
	int fd;
	struct subject subject;
};

FIXTURE_SETUP(whole)
{
	FIND_TWO_NODES(self, return);
	self->c = THIRD_NODE();
	self->fd = -1;
	/* What the child has besides its pages comes to where it runs. */
	ASSERT_EQ(0, nodes_run_on(self->a));
	ASSERT_EQ(0, pages_map(&self->subject.pages, COUNT, MAP_PRIVATE));
}

FIXTURE_TEARDOWN(whole)
{
	CLOSE_IF_OPEN();
}

#define BOTH		(NODE(self->a) | NODE(self->b))

TEST_F(whole, one_to_one)
{
	struct pages *p = &self->subject.pages;

	BEGIN_ON(BOTH, pages_populate);
	EXPECT_EQ(0, migrate_file_ask_all(self->fd, A_TO_B));
	pages_want_all(p, self->b);
	VERIFY(0, "all a:b");
	TOLD(subject_moved(), 0, 0);
	EXPECT_EQ(0, subject_is_on(NODE(self->a)));
	EXPECT_LT(COUNT / 2, subject_moved());
	END();
}

TEST_F(whole, exchange)
{
	struct pages *p = &self->subject.pages;
	int turn;

	BEGIN_ON(BOTH, pages_populate);
	for (turn = 0; turn < 4; turn++) {
		EXPECT_EQ(0, migrate_file_ask_all(self->fd, EXCHANGED));
		WANT_EXCHANGED(p);
		VERIFY(0, "all a:b,b:a");
		TOLD(subject_moved(), 0, 0);
		/* All of it has changed places, not these pages alone. */
		EXPECT_EQ(subject_was_on(NODE(self->a)),
			  subject_is_on(NODE(self->b)));
		EXPECT_EQ(subject_was_on(NODE(self->b)),
			  subject_is_on(NODE(self->a)));
		EXPECT_EQ(subject_was_on(BOTH), subject_moved());
		LOOK();
	}
	END();
}

TEST_F(whole, rotate)
{
	struct pages *p = &self->subject.pages;
	char map[64];

	if (self->c < 0)
		SKIP(return, "needs 3 nodes with memory");
	BEGIN_ON(BOTH | NODE(self->c), pages_populate);
	snprintf(map, sizeof(map), "%d:%d,%d:%d,%d:%d", self->a, self->b,
		 self->b, self->c, self->c, self->a);
	EXPECT_EQ(0, migrate_file_ask_all(self->fd, map));
	pages_want_moved(p, self->a, self->b);
	pages_want_moved(p, self->b, self->c);
	pages_want_moved(p, self->c, self->a);
	VERIFY(0, "all a:b,b:c,c:a");
	TOLD(subject_moved(), 0, 0);
	EXPECT_EQ(subject_was_on(NODE(self->a)), subject_is_on(NODE(self->b)));
	EXPECT_EQ(subject_was_on(NODE(self->b)), subject_is_on(NODE(self->c)));
	EXPECT_EQ(subject_was_on(NODE(self->c)), subject_is_on(NODE(self->a)));
	END();
}

TEST_F(whole, to_itself)
{
	BEGIN_ON(BOTH, pages_populate);
	EXPECT_EQ(0, migrate_file_ask_all(self->fd,
					  migrate_map_two(self->a, self->a,
							  self->b, self->b)));
	UNMOVED("all a:a,b:b");
	TOLD(subject_moved(), 0, 0);
	END();
}

/* Page 6 of the two that are pinned is on a. */
TEST_F(whole, pinned)
{
	struct pages *p = &self->subject.pages;

	BEGIN_ON(BOTH, chore_populate_and_pin);
	EXPECT_EQ(0, migrate_file_ask_all(self->fd, A_TO_B));
	pages_want_moved(p, self->a, self->b);
	pages_want(p, 6, 1, self->a);
	VERIFY(1, "all a:b, page 6 pinned");
	TOLD(subject_moved(), 1, 0);
	EXPECT_EQ(1, subject_is_on(NODE(self->a)));

	/* Both, if what is on b is to go as well. */
	LOOK();
	EXPECT_EQ(0, migrate_file_ask_all(self->fd, EXCHANGED));
	pages_want_moved(p, self->b, self->a);
	pages_want(p, 6, 1, self->a);
	pages_want(p, 7, 1, self->b);
	VERIFY(2, "all a:b,b:a, pages 6 and 7 pinned");
	TOLD(subject_moved(), 2, 0);
	END();
}

/* As maps has it, [vsyscall] with it, which belongs to no process. */
TEST_F(whole, line_by_line)
{
	struct pages *p = &self->subject.pages;
	struct migrate_told sum;

	BEGIN_ON(BOTH, pages_populate);
	ASSERT_CLEAN(migrate_file_ask_maps(self->fd, p->pid, EXCHANGED, &sum));
	WANT_EXCHANGED(p);
	VERIFY(0, "line by line a:b,b:a");
	EXPECT_EQ(subject_moved(), sum.moved);
	EXPECT_EQ(subject_was_on(BOTH), subject_moved());
	EXPECT_EQ(0, sum.failed + sum.shared);

	/* Nothing is left over for the whole. */
	LOOK();
	ASSERT_CLEAN(migrate_file_ask_maps(self->fd, p->pid, B_TO_A, &sum));
	EXPECT_EQ(0, migrate_file_ask_all(self->fd, B_TO_A));
	pages_want_all(p, self->a);
	VERIFY(0, "line by line b:a");
	TOLD(0, 0, 0);
	END();
}

/* From one node to another the two calls do the same. */
TEST_F(whole, as_migrate_pages)
{
	struct pages *p = &self->subject.pages;
	long by_call;

	BEGIN_ON(BOTH, chore_populate_and_pin);
	EXPECT_EQ(1, numa_migrate_pages(p->pid, NODE(self->a), NODE(self->b)));
	pages_want_moved(p, self->a, self->b);
	pages_want(p, 6, 1, self->a);
	VERIFY(1, "a to b by migrate_pages(2)");
	by_call = subject_moved();

	/* ... all back, and once more. */
	LOOK();
	EXPECT_EQ(0, migrate_file_ask_all(self->fd, B_TO_A));
	pages_want_all(p, self->a);
	pages_want(p, 7, 1, self->b);
	VERIFY(1, "all b:a");
	TOLD(subject_moved(), 1, 0);
	LOOK();
	EXPECT_EQ(0, migrate_file_ask_all(self->fd, A_TO_B));
	pages_want_all(p, self->b);
	pages_want(p, 6, 1, self->a);
	VERIFY(1, "all a:b");
	TOLD(subject_moved(), 1, 0);
	EXPECT_LE(by_call, subject_moved());
	EXPECT_EQ(1, subject_is_on(NODE(self->a)));
	END();
}

TEST_HARNESS_MAIN
