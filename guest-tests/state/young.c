// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which pages were used survives migration: the accessed bit of the PTE goes
 * through the migration entry (try_to_migrate_one() in mm/rmap.c and
 * remove_migration_pte() in mm/migrate.c, since 6.1: 2e3468778dbe ("mm:
 * remember young/dirty bit for page migrations")), the flags of the page
 * through folio_migrate_flags().
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, IDLE_PAGE_TRACKING]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {10: ["*"]}
 *   covers:
 *     - {cases: "*", interface: [move_pages-set, mbind-move-strict],
 *        backing: [anon-private], condition: [quiet]}
 */
#include "harness.h"

#include <sys/mman.h>

#include <linux/kernel-page-flags.h>

#include "idle.h"
#include "pagemap.h"
#include "problems.h"
#include "proc.h"
#include "relocate.h"
#include "scene.h"
#include "smaps.h"

#define COUNT		16

FIXTURE(young)
{
	int a;
	int b;
	struct pages pages;
};

FIXTURE_SETUP(young)
{
	FIND_TWO_NODES(self, return);
	ASSERT_CLEAN(scene_pages(&self->pages, COUNT, MAP_PRIVATE, self->a));
	ASSERT_EQ(0, relocate_drain());
	ASSERT_CLEAN(pages_snapshot(&self->pages));
}

FIXTURE_TEARDOWN(young)
{
}

/*
 * A bit that was cleared in a PTE is only set again once the TLB has forgotten
 * the page; changing the protection flushes it and keeps the bits of the PTE
 * (pte_modify()).
 */
static int flush_tlb(struct pages *p)
{
	return mprotect(p->addr, COUNT * PAGE_BYTES, PROT_READ) ? :
	       mprotect(p->addr, COUNT * PAGE_BYTES, PROT_READ | PROT_WRITE);
}

static int mark_all_idle(struct pages *p)
{
	int i, error;

	for (i = 0; i < COUNT; i++) {
		error = idle_mark(pagemap_frame(0, pages_at(p, i)));
		if (error)
			return error;
	}
	return flush_tlb(p);
}

static bool is_used(long i)
{
	return i % 3 == 0;
}

/* Which pages are idle that were used, or used that were idle; "" if none. */
static const char *wrong_idle(struct pages *p)
{
	static struct problems problems;
	int i, idle;

	problems_clear(&problems);
	for (i = 0; i < COUNT; i++) {
		idle = idle_is(pagemap_frame(0, pages_at(p, i)));
		if (idle != !is_used(i))
			problems_add(&problems, "page %d: idle is %d", i, idle);
	}
	return problems_text(&problems);
}

/* The bitmap, as it stands when it is asked: it looks at the PTEs too. */
TEST_F(young, idle_bitmap)
{
	struct pages *p = &self->pages;
	struct relocation r = { self->b, MPOL_MF_MOVE, 1, 0 };
	int turn, i;

	for (turn = 0; turn < 2; turn++) {
		/* A frame that waits for the LRU cannot be made idle. */
		ASSERT_EQ(0, relocate_drain());
		ASSERT_EQ(0, mark_all_idle(p));
		for (i = 0; i < COUNT; i++)
			if (is_used(i))
				pages_read(p, i);
		if (turn == 0)
			ASSERT_CLEAN(relocate(p, &r));
		r.node = self->a;
		if (turn == 1)
			ASSERT_CLEAN(relocate_by_mbind(p, &r));
		ASSERT_EQ(0, relocate_drain());
		/* First this: to verify the content is to use the pages. */
		EXPECT_CLEAN(wrong_idle(p));
		EXPECT_CLEAN(relocate_verify(p, "every third page used"));
	}
}

/* The flag itself, in which a move must not confuse used and idle pages. */
TEST_F(young, idle_flag)
{
	struct relocation r = { self->b, MPOL_MF_MOVE, 1, 0 };
	struct pages *p = &self->pages;
	uint64_t flags;
	int i;

	for (i = 0; i < COUNT; i++)
		if (!is_used(i))
			ASSERT_EQ(0, idle_mark(pagemap_frame(0, pages_at(p, i))));
	ASSERT_CLEAN(relocate(p, &r));
	for (i = 0; i < COUNT; i++) {
		ASSERT_EQ(0, kpageflags_read(pagemap_frame(0, pages_at(p, i)), &flags));
		EXPECT_EQ(!is_used(i), flags >> KPF_IDLE & 1);
	}
	EXPECT_CLEAN(relocate_verify(p, "every third page not idle"));
}

/*
 * PG_young: an accessed bit that page_idle took out of a PTE is owed to
 * reclaim; smaps tells of it as "Referenced". It goes along with the page.
 */
TEST_F(young, owed_to_reclaim)
{
	struct relocation r = { self->b, MPOL_MF_MOVE, 1, 0 };
	struct pages *p = &self->pages;

	ASSERT_EQ(COUNT * 4, smaps_kib(0, p->addr, "Referenced"));
	ASSERT_EQ(0, mark_all_idle(p));
	ASSERT_CLEAN(relocate(p, &r));
	EXPECT_EQ(COUNT * 4, smaps_kib(0, p->addr, "Referenced"));
	EXPECT_CLEAN(relocate_verify(p, "young pages with old PTEs"));
}

/* What was not referenced is not made to look so, nor the other way round. */
TEST_F(young, referenced)
{
	struct relocation r = { self->b, MPOL_MF_MOVE, 1, 0 };
	struct pages *p = &self->pages;
	int turn, i;

	for (turn = 0; turn < 2; turn++) {
		ASSERT_EQ(0, proc_write("/proc/self/clear_refs", "1"));
		ASSERT_EQ(0, flush_tlb(p));
		ASSERT_EQ(0, smaps_kib(0, p->addr, "Referenced"));
		for (i = 0; turn == 1 && i < COUNT / 2; i++)
			pages_read(p, i);
		r.node = turn ? self->a : self->b;
		ASSERT_CLEAN(relocate(p, &r));
		EXPECT_EQ(turn ? COUNT / 2 * 4 : 0,
			  smaps_kib(0, p->addr, "Referenced"));
		EXPECT_CLEAN(relocate_verify(p, "referenced in part"));
	}
}

TEST_HARNESS_MAIN
