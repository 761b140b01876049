// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/<pid>/migrate of patches/manual-migration: ranges of a process by a map
 * of nodes. A page goes where the map sends the node that it is on, once, so
 * that nodes can be exchanged, which migrate_pages(2) does not do: a set to
 * itself is a map of each node to itself.
 *
 * The process is a child that stands still: all that it has is accounted for
 * frame by frame, so that a page outside of the range cannot move unseen.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: [manual-migration]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     ranges.shift: {nodes: 3}
 *     ranges.rotate: {nodes: 3}
 *     ranges.two_to_one: {nodes: 3}
 *     ranges.not_in_the_map: {nodes: 3}
 *   quick:
 *     - ranges.one_to_one
 *     - ranges.exchange
 *     - ranges.rotate
 */
#include "harness.h"

#include <sys/mman.h>

#include "chores.h"
#include "migrate_file_steps.h"
#include "nodes.h"
#include "pages.h"
#include "scene.h"
#include "subject_steps.h"

/* A multiple of 2 and 3, dealt out over that many nodes in turn. */
#define COUNT		24
/* Past two batches of migrate_pages(): NR_MAX_BATCHED_MIGRATION is 512. */
#define MANY		1200

FIXTURE(ranges)
{
	int a;
	int b;
	int c;
	int fd;
	struct subject subject;
};

/* COUNT pages for a child; BEGIN_ON() begins the case. */
FIXTURE_SETUP(ranges)
{
	FIND_TWO_NODES(self, return);
	self->c = THIRD_NODE();
	self->fd = -1;
	ASSERT_EQ(0, pages_map(&self->subject.pages, COUNT, MAP_PRIVATE));
}

/* Mappings and peers end with the test's process. */
FIXTURE_TEARDOWN(ranges)
{
	CLOSE_IF_OPEN();
}

#define BOTH		(NODE(self->a) | NODE(self->b))
#define ALL_THREE	(BOTH | NODE(self->c))

/* Ask for @count pages from @first on, and be told that @moved moved. */
#define ASK(first, count, map, moved) do {				\
	EXPECT_EQ(0, migrate_file_ask_range(self->fd,			\
					    &self->subject.pages, first,\
					    count, map));		\
	TOLD(moved, 0, 0);						\
} while (0)

TEST_F(ranges, one_to_one)
{
	struct pages *p = &self->subject.pages;

	BEGIN_ON(BOTH, pages_populate);
	ASK(0, COUNT, A_TO_B, COUNT / 2);
	pages_want_all(p, self->b);
	VERIFY(0, "a:b");
	EXPECT_EQ(COUNT / 2, subject_moved());
	END();
}

TEST_F(ranges, part)
{
	struct pages *p = &self->subject.pages;
	int i;

	BEGIN_ON(BOTH, pages_populate);
	ASK(5, 8, A_TO_B, 4);
	for (i = 6; i < 13; i += 2)
		pages_want(p, i, 1, self->b);
	VERIFY(0, "a:b of pages 5 to 12");
	EXPECT_EQ(4, subject_moved());
	END();
}

/* One page, which is the least there is. */
TEST_F(ranges, one_page)
{
	struct pages *p = &self->subject.pages;

	BEGIN_ON(BOTH, pages_populate);
	ASK(4, 1, A_TO_B, 1);
	pages_want(p, 4, 1, self->b);
	ASK(5, 1, A_TO_B, 0);
	VERIFY(0, "a:b of page 4, then of page 5, which is on b");
	EXPECT_EQ(1, subject_moved());
	END();
}

/* What is on both nodes changes places, and nothing goes there and back. */
TEST_F(ranges, exchange)
{
	struct pages *p = &self->subject.pages;
	int turn;

	BEGIN_ON(BOTH, pages_populate);
	for (turn = 0; turn < 4; turn++) {
		ASK(0, COUNT, EXCHANGED, COUNT);
		WANT_EXCHANGED(p);
		VERIFY(0, "a:b,b:a");
		EXPECT_EQ(COUNT, subject_moved());
		LOOK();
	}
	END();
}

/* migrate_pages(2) takes sets, and has nothing to do here. */
TEST_F(ranges, exchange_is_new)
{
	struct pages *p = &self->subject.pages;

	BEGIN_ON(BOTH, pages_populate);
	EXPECT_EQ(0, numa_migrate_pages(p->pid, BOTH, BOTH));
	UNMOVED("from a set to itself by migrate_pages(2)");
	ASK(0, COUNT, migrate_map_two(self->b, self->a, self->a, self->b),
	    COUNT);
	WANT_EXCHANGED(p);
	VERIFY(0, "b:a,a:b");
	END();
}

TEST_F(ranges, exchange_part)
{
	struct pages *p = &self->subject.pages;
	int i;

	BEGIN_ON(BOTH, pages_populate);
	ASK(8, 8, EXCHANGED, 8);
	for (i = 8; i < 16; i++)
		pages_want(p, i, 1, i % 2 ? self->a : self->b);
	VERIFY(0, "a:b,b:a of pages 8 to 15");
	EXPECT_EQ(8, subject_moved());
	END();
}

/* Pages that arrive on b are not sent on. */
TEST_F(ranges, shift)
{
	struct pages *p = &self->subject.pages;

	if (self->c < 0)
		SKIP(return, "needs 3 nodes with memory");
	BEGIN_ON(BOTH, pages_populate);
	ASK(0, COUNT, migrate_map_two(self->a, self->b, self->b, self->c),
	    COUNT);
	pages_want_moved(p, self->a, self->b);
	pages_want_moved(p, self->b, self->c);
	VERIFY(0, "a:b,b:c");
	EXPECT_EQ(COUNT, subject_moved());
	END();
}

TEST_F(ranges, rotate)
{
	struct pages *p = &self->subject.pages;
	char map[64];

	if (self->c < 0)
		SKIP(return, "needs 3 nodes with memory");
	BEGIN_ON(ALL_THREE, pages_populate);
	snprintf(map, sizeof(map), "%d:%d,%d:%d,%d:%d", self->a, self->b,
		 self->b, self->c, self->c, self->a);
	ASK(0, COUNT, map, COUNT);
	pages_want_moved(p, self->a, self->b);
	pages_want_moved(p, self->b, self->c);
	pages_want_moved(p, self->c, self->a);
	VERIFY(0, "a:b,b:c,c:a");
	END();
}

TEST_F(ranges, two_to_one)
{
	struct pages *p = &self->subject.pages;

	if (self->c < 0)
		SKIP(return, "needs 3 nodes with memory");
	BEGIN_ON(ALL_THREE, pages_populate);
	ASK(0, COUNT, migrate_map_two(self->a, self->c, self->b, self->c),
	    COUNT * 2 / 3);
	pages_want_all(p, self->c);
	VERIFY(0, "a:c,b:c");
	END();
}

TEST_F(ranges, not_in_the_map)
{
	struct pages *p = &self->subject.pages;

	if (self->c < 0)
		SKIP(return, "needs 3 nodes with memory");
	BEGIN_ON(ALL_THREE, pages_populate);
	ASK(0, COUNT, migrate_map_one(self->c, self->a), COUNT / 3);
	pages_want_moved(p, self->c, self->a);
	VERIFY(0, "c:a");
	EXPECT_EQ(COUNT / 3, subject_moved());
	END();
}

TEST_F(ranges, to_itself)
{
	struct pages *p = &self->subject.pages;

	BEGIN_ON(BOTH, pages_populate);
	ASK(0, COUNT, migrate_map_two(self->a, self->a, self->b, self->b), 0);
	UNMOVED("a:a,b:b");
	ASK(0, COUNT, migrate_map_two(self->a, self->a, self->b, self->a),
	    COUNT / 2);
	pages_want_all(p, self->a);
	VERIFY(0, "a:a,b:a");
	EXPECT_EQ(COUNT / 2, subject_moved());
	END();
}

/* Called in the child: have a hole where pages 8 to 15 were. */
static long make_hole(struct pages *p)
{
	pages_want(p, 8, 8, UNMAPPED);
	return munmap(pages_at(p, 8), 8 * PAGE_BYTES);
}

TEST_F(ranges, hole)
{
	struct pages *p = &self->subject.pages;

	BEGIN_ON(BOTH, pages_populate);
	ASSERT_EQ(0, CALL(make_hole));
	pages_want(p, 8, 8, UNMAPPED);
	LOOK();
	ASK(0, COUNT, A_TO_B, 8);
	pages_want_moved(p, self->a, self->b);
	VERIFY(0, "a:b with a hole");

	/* All of it is a hole: whoever read the maps was too late. */
	LOOK();
	ASK(8, 8, B_TO_A, 0);
	ASK(10, 2, B_TO_A, 0);
	UNMOVED("b:a of the hole");
	END();
}

/* Called in the child. */
static long give_up_all(struct pages *p)
{
	pages_want_all(p, UNTOUCHED);
	return madvise(p->addr, p->count * PAGE_BYTES, MADV_DONTNEED);
}

TEST_F(ranges, untouched)
{
	struct pages *p = &self->subject.pages;

	BEGIN_ON(BOTH, pages_populate);
	ASSERT_EQ(0, CALL(give_up_all));
	pages_want_all(p, UNTOUCHED);
	LOOK();
	ASK(0, COUNT, A_TO_B, 0);
	UNMOVED("a:b of pages that were never touched");
	END();
}

/* The range may end past the last address that a process can have. */
TEST_F(ranges, up_to_the_end)
{
	struct pages *p = &self->subject.pages;
	struct migrate_told told;

	BEGIN_ON(BOTH, pages_populate);
	EXPECT_EQ(0, migrate_file_ask_span(self->fd, pages_at(p, COUNT / 2),
					   (void *)-PAGE_BYTES, A_TO_B));
	pages_want_moved(p, self->a, self->b);
	/* ... but for those that lie before. */
	pages_want_dealt(p, BOTH);
	pages_want(p, COUNT / 2, COUNT / 2, self->b);
	VERIFY(0, "a:b from page 12 on");
	ASSERT_EQ(0, migrate_file_read(self->fd, &told));
	EXPECT_EQ(subject_moved(), told.moved);
	EXPECT_LE(COUNT / 4, told.moved);
	EXPECT_EQ(0, told.failed + told.shared);
	END();
}

/* There is no page past it. */
TEST_F(ranges, past_the_end)
{
	BEGIN_ON(BOTH, pages_populate);
	EXPECT_EQ(0, migrate_file_ask_span(self->fd,
					   (void *)(-2 * PAGE_BYTES),
					   (void *)-PAGE_BYTES, A_TO_B));
	TOLD(0, 0, 0);
	UNMOVED("a:b of what nobody has");
	END();
}

/* Neither asked nor changed: a bound page moves off, and stays bound. */
TEST_F(ranges, policy)
{
	struct pages *p = &self->subject.pages;
	char policy[64], was[64];

	pages_want_all(p, self->a);
	START(chore_populate_and_bind);
	OPEN(p->pid);
	placement_policy(p->pid, p->addr, was, sizeof(was));
	ASSERT_EQ(0, strncmp("bind", was, 4));
	ASK(0, COUNT, A_TO_B, COUNT);
	pages_want_all(p, self->b);
	VERIFY(0, "a:b of pages that are bound to a");
	EXPECT_STREQ(was, placement_policy(p->pid, p->addr, policy,
					   sizeof(policy)));
	END();
}

TEST_F(ranges, many)
{
	struct pages *p = &self->subject.pages;

	ASSERT_EQ(0, pages_map(p, MANY, MAP_PRIVATE));
	BEGIN_ON(BOTH, pages_populate);
	ASK(0, MANY, EXCHANGED, MANY);
	WANT_EXCHANGED(p);
	VERIFY(0, "a:b,b:a of many");
	END();
}

/* Of the caller itself; a snapshot first, since it does not stand still. */
TEST_F(ranges, of_the_caller)
{
	struct pages *p = &self->subject.pages;
	struct counters before;

	pages_want_dealt(p, BOTH);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, counters_read(&before));
	OPEN(0);
	ASK(0, COUNT, EXCHANGED, COUNT);
	WANT_EXCHANGED(p);
	EXPECT_CLEAN(pages_verify(p, "the caller's own, a:b,b:a"));
	EXPECT_CLEAN(counters_verify(&before, COUNT, 0));
}

TEST_HARNESS_MAIN
