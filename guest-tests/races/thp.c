// SPDX-License-Identifier: GPL-2.0-only
/*
 * Huge pages are made and split while their pages move: collapsed from base
 * pages by MADV_COLLAPSE (which is khugepaged's work, in the caller's own
 * time), split by debugfs, and mapped only in part after some of their pages
 * were thrown away. Collapse gives up where a page is isolated or has a
 * reference too many; migration splits what is on the list to be split
 * (migrate_pages_batch() in mm/migrate.c, 6.12) and moves the parts.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, TRANSPARENT_HUGEPAGE,
 *     DEBUG_FS]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {14: ["thp.*"]}
 *   covers:
 *     - {cases: "thp.*", interface: [move_pages-set], backing: [thp,
 *        thp-partly-mapped], condition: [writer]}
 */
#include <stdio.h>
#include <sys/mman.h>

#include <linux/kernel-page-flags.h>

#include "harness.h"

#include "pagemap.h"
#include "pattern.h"
#include "proc.h"
#include "race_pages.h"

#define COUNT		512
#define BYTES		(COUNT * PAGE_BYTES)
#define ROUNDS		24
#define SPLIT_FILE	"/sys/kernel/debug/split_huge_pages"

/* Of <linux/mman.h> since 6.1. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

FIXTURE(thp)
{
	struct contest contest;
};

FIXTURE_SETUP(thp)
{
	struct contest *c = &self->contest;
	char *room, *addr;

	if (contest_nodes(c))
		SKIP(return, "needs 2 nodes with memory");
	room = mmap(NULL, 3 * BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	ASSERT_NE(MAP_FAILED, room);
	addr = (char *)(((uintptr_t)room + BYTES) & ~(BYTES - 1));
	ASSERT_EQ(addr, mmap(addr, BYTES, PROT_READ | PROT_WRITE, MAP_FIXED |
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	ASSERT_EQ(0, pages_over(&c->pages, addr, COUNT));
	c->replaces = true;
}

/* Mappings and threads end with the test's process. */
FIXTURE_TEARDOWN(thp)
{
}

static bool is_huge(const struct pages *p, long i)
{
	uint64_t entry, flags;

	return !pagemap_read(0, pages_at(p, i), 1, &entry) &&
	       !kpageflags_read(pagemap_pfn(entry), &flags) &&
	       flags >> KPF_THP & 1;
}

/* Whether it can be split just now is for the kernel to say. */
static void split(const struct pages *p)
{
	char text[80];

	snprintf(text, sizeof(text), "%d,%#lx,%#lx", getpid(),
		 (unsigned long)p->addr, (unsigned long)p->addr + BYTES);
	proc_write(SPLIT_FILE, text);
}

static void collapse(struct contest *c)
{
	/*
	 * EAGAIN, EBUSY and, where it finds a migration entry, EINVAL: the
	 * other party has a page of it (madvise_collapse_errno()).
	 */
	if (!madvise(c->pages.addr, BYTES, MADV_COLLAPSE))
		c->acted++;
	else if (errno != EAGAIN && errno != EBUSY && errno != EINVAL)
		c->wrong = "MADV_COLLAPSE failed";
}

static void collapse_and_split(void *contest, int round)
{
	struct contest *c = contest;

	if (round % 2)
		split(&c->pages);
	else
		collapse(c);
}

/* What is thrown away gets its content anew, on a page of its own. */
static void collapse_and_tear(void *contest, int round)
{
	struct contest *c = contest;
	struct pages *p = &c->pages;
	long i;

	if (round % 2 == 0) {
		collapse(c);
		return;
	}
	for (i = round; i < COUNT; i += 50) {
		if (madvise(pages_at(p, i), PAGE_BYTES, MADV_DONTNEED))
			c->wrong = "MADV_DONTNEED failed";
		pattern_fill(pages_at(p, i), p->seed, i);
	}
}

/*
 * With nobody else about it can be collapsed, and then be split into base
 * pages, which the last move can count one by one.
 */
#define RUN(the_rival) do {						\
	struct contest *c = &self->contest;				\
	struct race race = {						\
		.mover = contest_move,					\
		.rival = the_rival,					\
		.judge = contest_judge,					\
		.arg = c,						\
		.rounds = ROUNDS,					\
	};								\
	long i;								\
									\
	ASSERT_EQ(0, contest_begin(c));					\
	ASSERT_CLEAN(race_run(&race));					\
	EXPECT_LT(0, c->acted);						\
	EXPECT_EQ(0, madvise(c->pages.addr, BYTES, MADV_COLLAPSE));	\
	for (i = 0; i < COUNT; i++)					\
		ASSERT_TRUE(is_huge(&c->pages, i));			\
	EXPECT_CLEAN(contest_judge(c, 0));				\
	split(&c->pages);						\
	for (i = 0; i < COUNT; i++)					\
		ASSERT_FALSE(is_huge(&c->pages, i));			\
	EXPECT_CLEAN(contest_end(c));					\
} while (0)

TEST_F(thp, collapse_and_split)
{
	RUN(collapse_and_split);
}

TEST_F(thp, collapse_and_tear)
{
	RUN(collapse_and_tear);
}

TEST_HARNESS_MAIN
