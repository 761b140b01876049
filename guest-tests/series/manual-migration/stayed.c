// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/<pid>/migrate of patches/manual-migration says how many pages stayed,
 * and why: "failed" for what could not be moved, "shared" for what was left
 * alone as it is mapped more than once and CAP_SYS_NICE is missing. Neither is
 * an error: the range was gone through.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, TRANSPARENT_HUGEPAGE]
 *   features: [manual-migration]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   quick:
 *     - stayed.pinned
 *     - stayed.shared
 */
#include "harness.h"

#include <sys/mman.h>

#include "caps.h"
#include "chores.h"
#include "counters.h"
#include "holder.h"
#include "migrate_file_steps.h"
#include "pages.h"
#include "pin.h"
#include "scene.h"
#include "thp.h"

#define COUNT		16

FIXTURE(stayed)
{
	int a;
	int b;
	int fd;
	const char *map;	/* a to b */
	struct pages pages;
	struct counters before;
};

/* COUNT pages of the caller on node a, and its file. */
FIXTURE_SETUP(stayed)
{
	FIND_TWO_NODES(self, return);
	self->map = A_TO_B;
	ASSERT_CLEAN(scene_pages(&self->pages, COUNT, MAP_PRIVATE, self->a));
	ASSERT_EQ(0, counters_read(&self->before));
	OPEN(0);
}

/* Mappings, pins, peers and capabilities end with the test's process. */
FIXTURE_TEARDOWN(stayed)
{
	EXPECT_EQ(0, close(self->fd));
}

/* Ask for all pages: a full success as the write tells it, in any case. */
#define ASK(moved, failed, shared) do {					\
	struct pages *_p = &self->pages;				\
									\
	EXPECT_EQ(0, migrate_file_ask_range(self->fd, _p, 0, _p->count,	\
					    self->map));		\
	TOLD(moved, failed, shared);					\
} while (0)

/* The same without CAP_SYS_NICE. */
#define ASK_WITHOUT_NICE(moved, failed, shared) do {			\
	ASSERT_EQ(0, caps_set_sys_nice(false));				\
	ASK(moved, failed, shared);					\
	ASSERT_EQ(0, caps_set_sys_nice(true));				\
} while (0)

/* Look at all there is, and begin anew from there. */
#define VERIFY(moved, failed, what) do {				\
	EXPECT_CLEAN(pages_verify(&self->pages, what));			\
	EXPECT_CLEAN(counters_verify(&self->before, moved, failed));	\
	ASSERT_CLEAN(pages_snapshot(&self->pages));			\
	ASSERT_EQ(0, counters_read(&self->before));			\
} while (0)

TEST_F(stayed, none)
{
	ASK(COUNT, 0, 0);
	pages_want_all(&self->pages, self->b);
	VERIFY(COUNT, 0, "nothing is in the way");
	/* What is there is not to move, so does not stay behind. */
	ASK(0, 0, 0);
	VERIFY(0, 0, "where they are to be");
}

TEST_F(stayed, pinned)
{
	struct pages *p = &self->pages;
	struct pin pin;

	ASSERT_EQ(0, pin_pages(&pin, pages_at(p, 5), 3));
	ASK(COUNT - 3, 3, 0);
	pages_want_all(p, self->b);
	pages_want(p, 5, 3, self->a);
	VERIFY(COUNT - 3, 3, "pages 5 to 7 pinned");

	/* Of a range without them none. */
	EXPECT_EQ(0, migrate_file_ask_range(self->fd, p, 0, 5, self->map));
	TOLD(0, 0, 0);
	EXPECT_EQ(0, migrate_file_ask_range(self->fd, p, 7, 5, self->map));
	TOLD(0, 1, 0);
	VERIFY(0, 1, "page 7 pinned");

	pin_release(&pin);
	ASK(3, 0, 0);
	pages_want_all(p, self->b);
	VERIFY(3, 0, "none pinned any more");
}

TEST_F(stayed, shared)
{
	struct pages *p = &self->pages;
	struct holder holder;

	ASSERT_EQ(0, holder_start(&holder, p, chore_look));
	ASSERT_CLEAN(pages_shared_with(p, holder.peer.pid));
	ASSERT_CLEAN(pages_snapshot(p));
	ASK_WITHOUT_NICE(0, 0, COUNT);
	VERIFY(0, 0, "mapped by two, without CAP_SYS_NICE");

	ASK(COUNT, 0, 0);
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "mapped by two, with it"));
	EXPECT_CLEAN(pages_shared_with(p, holder.peer.pid));
	EXPECT_CLEAN(counters_verify(&self->before, COUNT, 0));
	EXPECT_EQ(0, holder_bad(&holder));
	EXPECT_EQ(0, holder_end(&holder));
}

/* All three counts at once: page 4 is alone and pinned, page 5 shared too. */
TEST_F(stayed, some_of_each)
{
	struct pages *p = &self->pages;
	struct holder holder;
	struct pin pin;
	long i;

	ASSERT_EQ(0, holder_start(&holder, p, chore_share_odd));
	ASSERT_EQ(0, pin_pages(&pin, pages_at(p, 4), 2));
	ASSERT_CLEAN(pages_snapshot(p));
	ASK_WITHOUT_NICE(COUNT / 2 - 1, 1, COUNT / 2);
	for (i = 0; i < COUNT; i += 2)
		pages_want(p, i, 1, i == 4 ? self->a : self->b);
	VERIFY(COUNT / 2 - 1, 1, "odd ones shared, page 4 pinned");

	ASK(COUNT / 2 - 1, 2, 0);
	for (i = 1; i < COUNT; i += 2)
		pages_want(p, i, 1, i == 5 ? self->a : self->b);
	VERIFY(COUNT / 2 - 1, 2, "the same with CAP_SYS_NICE");
	EXPECT_EQ(0, holder_bad(&holder));
	EXPECT_EQ(0, holder_end(&holder));
}

/* Put the same pages, which are shared memory, under @where. 0 or -1. */
static int map_again(const struct pages *p, void *where)
{
	size_t bytes = p->count * PAGE_BYTES;

	/* An old size of 0 duplicates a shared mapping: mremap(2). */
	return mremap(p->addr, 0, bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
		      where) == where ? 0 : -1;
}

/*
 * Twice in one process. It cannot be isolated twice, which is no failure: each
 * is moved once, and is counted once.
 */
TEST_F(stayed, mapped_twice)
{
	struct pages *p = &self->pages;
	size_t bytes = COUNT * PAGE_BYTES;
	char *both;
	int i;

	both = mmap(NULL, 2 * bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)both);
	ASSERT_EQ(0, pages_map_at(p, both, COUNT, MAP_SHARED));
	pages_want_all(p, self->a);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_EQ(0, map_again(p, both + bytes));
	for (i = 0; i < COUNT; i++)
		ASSERT_EQ(0, memcmp(pages_at(p, i),
				    both + bytes + i * PAGE_BYTES, PAGE_BYTES));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, counters_read(&self->before));

	/* Each place counts, of those that stay. */
	ASSERT_EQ(0, caps_set_sys_nice(false));
	EXPECT_EQ(0, migrate_file_ask_span(self->fd, both, both + 2 * bytes,
					   self->map));
	ASSERT_EQ(0, caps_set_sys_nice(true));
	TOLD(0, 0, 2 * COUNT);
	VERIFY(0, 0, "mapped twice, without CAP_SYS_NICE");

	EXPECT_EQ(0, migrate_file_ask_span(self->fd, both, both + 2 * bytes,
					   self->map));
	TOLD(COUNT, 0, 0);
	pages_want_all(p, self->b);
	VERIFY(COUNT, 0, "mapped twice, with it");
	for (i = 0; i < COUNT; i++)
		EXPECT_EQ(0, memcmp(pages_at(p, i),
				    both + bytes + i * PAGE_BYTES, PAGE_BYTES));
}

/* Its base pages, all of them, whatever keeps it. */
FIXTURE(stayed_thp)
{
	int a;
	int b;
	int fd;
	const char *map;
	struct pages pages;
	struct counters before;
};

FIXTURE_SETUP(stayed_thp)
{
	char *addr;

	FIND_TWO_NODES(self, return);
	self->map = A_TO_B;
	addr = thp_map();
	ASSERT_NE(MAP_FAILED, (void *)addr);
	ASSERT_EQ(0, pages_over(&self->pages, addr, THP_PAGES));
	pages_want_all(&self->pages, self->a);
	ASSERT_EQ(0, pages_populate(&self->pages));
	ASSERT_CLEAN(pages_snapshot(&self->pages));
	ASSERT_EQ(0, counters_read(&self->before));
	OPEN(0);
}

FIXTURE_TEARDOWN(stayed_thp)
{
	EXPECT_EQ(0, close(self->fd));
}

#define VERIFY_THP(...) do {						\
	const struct counters_want _want = { __VA_ARGS__ };		\
									\
	EXPECT_CLEAN(pages_verify(&self->pages, "a THP"));		\
	EXPECT_CLEAN(counters_verify_all(&self->before, &_want));	\
	ASSERT_CLEAN(pages_snapshot(&self->pages));			\
	ASSERT_EQ(0, counters_read(&self->before));			\
} while (0)

TEST_F(stayed_thp, moved)
{
	ASK(THP_PAGES, 0, 0);
	pages_want_all(&self->pages, self->b);
	VERIFY_THP(.moved = THP_PAGES, .thps_moved = 1);
}

TEST_F(stayed_thp, pinned)
{
	struct pin pin;

	ASSERT_EQ(0, pin_pages(&pin, pages_at(&self->pages, 77), 1));
	ASK(0, THP_PAGES, 0);
	VERIFY_THP(.failed = THP_PAGES, .thps_failed = 1);
	pin_release(&pin);
	ASK(THP_PAGES, 0, 0);
	pages_want_all(&self->pages, self->b);
	VERIFY_THP(.moved = THP_PAGES, .thps_moved = 1);
}

TEST_F(stayed_thp, shared)
{
	struct holder holder;

	ASSERT_EQ(0, holder_start(&holder, &self->pages, chore_look));
	ASSERT_CLEAN(pages_snapshot(&self->pages));
	ASK_WITHOUT_NICE(0, 0, THP_PAGES);
	VERIFY_THP(0);
	ASK(THP_PAGES, 0, 0);
	pages_want_all(&self->pages, self->b);
	VERIFY_THP(.moved = THP_PAGES, .thps_moved = 1);
	EXPECT_EQ(0, holder_bad(&holder));
	EXPECT_EQ(0, holder_end(&holder));
}

/* A range that has a part of it takes all of it: it cannot be halved. */
TEST_F(stayed_thp, part)
{
	EXPECT_EQ(0, migrate_file_ask_range(self->fd, &self->pages, 100, 1,
					    self->map));
	TOLD(THP_PAGES, 0, 0);
	pages_want_all(&self->pages, self->b);
	VERIFY_THP(.moved = THP_PAGES, .thps_moved = 1);
}

TEST_HARNESS_MAIN
