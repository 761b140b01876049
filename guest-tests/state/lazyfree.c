// SPDX-License-Identifier: GPL-2.0-only
/*
 * MADV_FREE: clean anonymous pages that reclaim may throw away. Migration has
 * to make them neither dirty, or they are never freed, nor clean if they were
 * written to since, or what was written is lost (the dirty bit goes through
 * the migration entry, since 6.1: 2e3468778dbe).
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {10: ["*"]}
 *   covers:
 *     - {cases: "lazyfree.*", interface: [move_pages-set, mbind-move-strict],
 *        backing: [anon-private], condition: [quiet]}
 */
#include "harness.h"

#include <sys/mman.h>

#include <linux/kernel-page-flags.h>

#include "node_stat.h"
#include "pagemap.h"
#include "relocate.h"
#include "scene.h"
#include "smaps.h"

#define COUNT		16

FIXTURE(lazyfree)
{
	int a;
	int b;
	struct pages pages;
};

/* All of them on the LRU: a page in a batch would not be made lazy. */
FIXTURE_SETUP(lazyfree)
{
	struct pages *p = &self->pages;

	FIND_TWO_NODES(self, return);
	ASSERT_CLEAN(scene_pages(p, COUNT, MAP_PRIVATE, self->a));
	ASSERT_EQ(0, relocate_drain());
	ASSERT_EQ(0, madvise(p->addr, COUNT * PAGE_BYTES, MADV_FREE));
	/* To the list of inactive file pages, once the batch is drained. */
	ASSERT_EQ(0, relocate_drain());
	ASSERT_CLEAN(pages_snapshot(p));
}

FIXTURE_TEARDOWN(lazyfree)
{
}

static bool is_written(long i)
{
	return i % 2 == 0;
}

static void write_half(struct pages *p)
{
	int i;

	for (i = 0; i < COUNT; i++)
		if (is_written(i))
			pages_write(p, i);
}

static int pages_with(const struct pages *p, uint64_t flag)
{
	int i, with = 0;

	for (i = 0; i < COUNT; i++)
		with += !!(p->now[i].kflags & 1UL << flag);
	return with;
}

/* "" if what was not written to is gone, and the rest as it was. */
static const char *only_written_left(struct pages *p)
{
	int i;

	for (i = 0; i < COUNT; i++)
		if (!is_written(i))
			pages_want(p, i, 1, UNTOUCHED);
	if (pages_bad(p))
		return "pages that were written to have lost their content";
	/* Without swap space a dirty page stays. */
	return system_meminfo("SwapTotal") ? "" : pages_snapshot(p);
}

/* Nobody wrote to them: still clean, still to be thrown away at once. */
TEST_F(lazyfree, stays_clean)
{
	struct pages *p = &self->pages;
	long freed;
	int i;

	EXPECT_EQ(0, pages_with(p, KPF_SWAPBACKED));
	EXPECT_EQ(0, smaps_kib(0, p->addr, "Private_Dirty"));
	EXPECT_CLEAN(relocate_to(p, self->b, "lazily freed"));
	EXPECT_CLEAN(relocate_to_by_mbind(p, self->a, "and back"));
	EXPECT_EQ(0, pages_with(p, KPF_DIRTY));
	EXPECT_EQ(0, pages_with(p, KPF_SWAPBACKED));
	EXPECT_EQ(0, smaps_kib(0, p->addr, "Private_Dirty"));
	EXPECT_EQ(COUNT * 4, smaps_kib(0, p->addr, "LazyFree"));

	freed = system_stat("pglazyfreed");
	ASSERT_EQ(0, madvise(p->addr, COUNT * PAGE_BYTES, MADV_PAGEOUT));
	EXPECT_EQ(COUNT, system_stat("pglazyfreed") - freed);
	pages_want_all(p, UNTOUCHED);
	EXPECT_CLEAN(pages_snapshot(p));
	for (i = 0; i < COUNT; i++)
		EXPECT_EQ(0, *(uint64_t *)pages_at(p, i));
}

/*
 * Written to since, by the PTE's dirty bit alone: these have to be kept, in
 * whichever order they were written to and moved.
 */
TEST_F(lazyfree, half_written_again)
{
	struct pages *p = &self->pages;
	long freed;

	write_half(p);
	EXPECT_EQ(COUNT / 2 * 4, smaps_kib(0, p->addr, "Private_Dirty"));
	EXPECT_CLEAN(relocate_to(p, self->b, "half of them written again"));
	EXPECT_EQ(COUNT / 2 * 4, smaps_kib(0, p->addr, "Private_Dirty"));

	freed = system_stat("pglazyfreed");
	ASSERT_EQ(0, madvise(p->addr, COUNT * PAGE_BYTES, MADV_PAGEOUT));
	EXPECT_EQ(COUNT / 2, system_stat("pglazyfreed") - freed);
	EXPECT_CLEAN(only_written_left(p));
}

TEST_F(lazyfree, written_after_the_move)
{
	struct pages *p = &self->pages;

	EXPECT_CLEAN(relocate_to(p, self->b, "lazily freed"));
	write_half(p);
	EXPECT_EQ(COUNT / 2 * 4, smaps_kib(0, p->addr, "Private_Dirty"));
	ASSERT_EQ(0, madvise(p->addr, COUNT * PAGE_BYTES, MADV_PAGEOUT));
	EXPECT_CLEAN(only_written_left(p));
}

TEST_HARNESS_MAIN
