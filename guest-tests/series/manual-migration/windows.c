// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/<pid>/migrate of patches/manual-migration: ranges of more than the
 * 64 MB of addresses that are worked on at a time (WINDOW_BYTES of
 * mm/migrate_range.c). No page moves twice, though it may be met twice: at two
 * addresses, of which one lies in an earlier part. An exchange would undo
 * itself, a shift go a node too far.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: [manual-migration]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     windows.shift_of_twice: {nodes: 3}
 *     "windows_ksm.*": {kconfig: [KSM]}
 *   quick:
 *     - windows.exchange_of_twice
 */
#include "harness.h"

#include <sys/mman.h>

#include "caps.h"
#include "counters.h"
#include "ksm.h"
#include "migrate_file_steps.h"
#include "nodes.h"
#include "pages.h"
#include "pattern.h"
#include "scene.h"

#define COUNT		16
#define WINDOW		(64UL << 20)
#define WINDOWS		5

FIXTURE(windows)
{
	int a;
	int b;
	int c;
	int fd;
	char *space;		/* WINDOWS of addresses, from a multiple on */
	struct pages pages;	/* in the middle of the first */
	struct counters before;
};

/* Only addresses, for now. */
FIXTURE_SETUP(windows)
{
	FIND_TWO_NODES(self, return);
	self->c = THIRD_NODE();
	self->space = area_reserve(WINDOWS * WINDOW, WINDOW);
	ASSERT_NE(MAP_FAILED, (void *)self->space);
	OPEN(0);
}

FIXTURE_TEARDOWN(windows)
{
	EXPECT_EQ(0, close(self->fd));
}

#define PLACE(window) \
	(self->space + (window) * WINDOW + WINDOW / 2)

/* COUNT pages of shared memory there, dealt out over @nodes. */
#define POPULATE(window, nodes) do {					\
	ASSERT_EQ(0, pages_map_at(&self->pages, PLACE(window), COUNT,	\
				  MAP_SHARED));				\
	pages_want_dealt(&self->pages, nodes);				\
	ASSERT_EQ(0, pages_populate(&self->pages));			\
} while (0)

/* The same pages at another place, mapped there by reading. */
#define AGAIN(window) do {						\
	ASSERT_EQ((void *)PLACE(window),				\
		  mremap(self->pages.addr, 0, COUNT * PAGE_BYTES,	\
			 MREMAP_MAYMOVE | MREMAP_FIXED, PLACE(window)));\
	EXPECT_EQ(0, bad_at(&self->pages, PLACE(window)));		\
} while (0)

static long bad_at(const struct pages *p, const char *place)
{
	long i, bad = 0;

	for (i = 0; i < p->count; i++)
		bad += pattern_check(place + i * PAGE_BYTES, p->seed, i) >= 0;
	return bad;
}

#define LOOK() do {							\
	ASSERT_CLEAN(pages_snapshot(&self->pages));			\
	ASSERT_EQ(0, counters_read(&self->before));			\
} while (0)

/* Ask of all windows at once. */
#define ASK(map) \
	EXPECT_EQ(0, migrate_file_ask_span(self->fd, self->space,	\
					   self->space +		\
					   WINDOWS * WINDOW, map))

#define BOTH	(NODE(self->a) | NODE(self->b))

/* Pages in the first window and in the last; in between nothing is mapped. */
TEST_F(windows, far_apart)
{
	struct pages last;

	POPULATE(WINDOWS - 1, BOTH);
	last = self->pages;
	POPULATE(0, BOTH);
	ASSERT_CLEAN(pages_snapshot(&last));
	LOOK();
	ASK(EXCHANGED);
	TOLD(2 * COUNT, 0, 0);
	WANT_EXCHANGED(&self->pages);
	EXPECT_CLEAN(pages_verify(&self->pages, "in the first window"));
	WANT_EXCHANGED(&last);
	EXPECT_CLEAN(pages_verify(&last, "in the last window"));
	EXPECT_CLEAN(counters_verify(&self->before, 2 * COUNT, 0));
}

/* Across the line between two windows, and the page on each side of it. */
TEST_F(windows, across)
{
	char *line = self->space + WINDOW;
	struct pages *p = &self->pages;

	ASSERT_EQ(0, munmap(line - 8 * PAGE_BYTES, 16 * PAGE_BYTES));
	ASSERT_EQ(0, pages_map_at(p, line - 8 * PAGE_BYTES, 16, MAP_PRIVATE));
	pages_want_dealt(p, BOTH);
	ASSERT_EQ(0, pages_populate(p));
	LOOK();
	ASK(EXCHANGED);
	TOLD(16, 0, 0);
	WANT_EXCHANGED(&self->pages);
	EXPECT_CLEAN(pages_verify(p, "across two windows"));
	EXPECT_CLEAN(counters_verify(&self->before, 16, 0));

	/* Ranges that end at it and begin at it are two. */
	LOOK();
	EXPECT_EQ(0, migrate_file_ask_range(self->fd, p, 0, 8, A_TO_B));
	TOLD(4, 0, 0);
	EXPECT_EQ(0, migrate_file_ask_range(self->fd, p, 8, 8, B_TO_A));
	TOLD(4, 0, 0);
	pages_want(p, 0, 8, self->b);
	pages_want(p, 8, 8, self->a);
	EXPECT_CLEAN(pages_verify(p, "on both sides of a window's end"));
}

/* Met three times; it moves the first time, and then no more. */
TEST_F(windows, exchange_of_twice)
{
	struct pages *p = &self->pages;
	int turn;

	POPULATE(0, BOTH);
	AGAIN(1);
	AGAIN(3);
	for (turn = 0; turn < 3; turn++) {
		LOOK();
		ASK(EXCHANGED);
		TOLD(COUNT, 0, 0);
		WANT_EXCHANGED(&self->pages);
		EXPECT_CLEAN(pages_verify(p, "exchanged, mapped three times"));
		EXPECT_CLEAN(counters_verify(&self->before, COUNT, 0));
		EXPECT_EQ(0, bad_at(p, PLACE(1)));
		EXPECT_EQ(0, bad_at(p, PLACE(3)));
	}
}

/* The other place lies outside of the range: it was not met there. */
TEST_F(windows, twice_but_outside)
{
	struct pages *p = &self->pages;

	POPULATE(3, BOTH);
	AGAIN(0);
	LOOK();
	EXPECT_EQ(0, migrate_file_ask_range(self->fd, p, 0, COUNT, EXCHANGED));
	TOLD(COUNT, 0, 0);
	WANT_EXCHANGED(&self->pages);
	EXPECT_CLEAN(pages_verify(p, "mapped outside of the range, too"));
	EXPECT_CLEAN(counters_verify(&self->before, COUNT, 0));
	EXPECT_EQ(0, bad_at(p, PLACE(0)));
}

TEST_F(windows, shift_of_twice)
{
	struct pages *p = &self->pages;

	if (self->c < 0)
		SKIP(return, "needs 3 nodes with memory");
	POPULATE(0, BOTH);
	AGAIN(2);
	LOOK();
	ASK(migrate_map_two(self->a, self->b, self->b, self->c));
	TOLD(COUNT, 0, 0);
	pages_want_moved(p, self->a, self->b);
	pages_want_moved(p, self->b, self->c);
	EXPECT_CLEAN(pages_verify(p, "shifted, mapped twice"));
	EXPECT_CLEAN(counters_verify(&self->before, COUNT, 0));
}

TEST_F(windows, twice_without_nice)
{
	struct pages *p = &self->pages;

	POPULATE(0, BOTH);
	AGAIN(1);
	LOOK();
	ASSERT_EQ(0, caps_set_sys_nice(false));
	ASK(EXCHANGED);
	ASSERT_EQ(0, caps_set_sys_nice(true));
	TOLD(0, 0, 2 * COUNT);
	EXPECT_CLEAN(pages_verify(p, "mapped twice, without CAP_SYS_NICE"));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
}

/* Pages that KSM merged are mapped wherever their likes were. */
FIXTURE(windows_ksm)
{
	int a;
	int b;
	int fd;
	char *space;
	struct pages pages;
	struct pages twin;
	struct counters before;
};

FIXTURE_SETUP(windows_ksm)
{
	FIND_TWO_NODES(self, return);
	self->space = area_reserve(WINDOWS * WINDOW, WINDOW);
	ASSERT_NE(MAP_FAILED, (void *)self->space);
	OPEN(0);
	ASSERT_EQ(0, ksm_hurry());
	ASSERT_EQ(0, pages_map_at(&self->pages, PLACE(0), COUNT, MAP_PRIVATE));
	ASSERT_EQ(0, pages_map_at(&self->twin, PLACE(2), COUNT, MAP_PRIVATE));
	ASSERT_EQ(0, ksm_fill(&self->pages, 77, self->a));
	ASSERT_EQ(0, ksm_fill(&self->twin, 77, self->a));
	ASSERT_CLEAN(ksm_merge(&self->pages, &self->twin));
}

/* In the parent, so that it is done however the test ended. */
FIXTURE_TEARDOWN_PARENT(windows_ksm)
{
	EXPECT_EQ(0, ksm_end());
}

TEST_F(windows_ksm, exchange)
{
	LOOK();
	ASK(EXCHANGED);
	TOLD(COUNT, 0, 0);
	pages_want_all(&self->pages, self->b);
	EXPECT_CLEAN(pages_verify(&self->pages, "merged, exchanged"));
	EXPECT_CLEAN(counters_verify(&self->before, COUNT, 0));
	EXPECT_EQ(COUNT, ksm_merged(&self->pages, &self->twin));
	EXPECT_EQ(0, pages_bad(&self->twin));
}

TEST_HARNESS_MAIN
