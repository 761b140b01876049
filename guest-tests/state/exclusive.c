// SPDX-License-Identifier: GPL-2.0-only
/*
 * Anonymous pages that are one process's own, and those that are shared since
 * a fork. In the migration entry the kinds are writable, readable-exclusive
 * and readable (try_to_migrate_one() in mm/rmap.c; since 5.19). If one is
 * taken for another, a write copies without need, or is seen by another
 * process.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   quick:
 *     - exclusive.own_is_not_copied
 *   contract: {10: ["*"]}
 *   covers:
 *     - {cases: "exclusive.*", interface: [move_pages-set],
 *        backing: [anon-private], condition: [quiet]}
 *     - {cases: "exclusive.fork_then_move", interface: [mbind-move-all],
 *        backing: [anon-private], condition: [quiet]}
 */
#include "harness.h"

#include <signal.h>
#include <sys/mman.h>

#include "chores.h"
#include "holder.h"
#include "pagemap.h"
#include "pattern.h"
#include "relocate.h"
#include "scene.h"

#define COUNT		16

/*
 * PG_anon_exclusive shares its bit with PG_mappedtodisk (PG_owner_2 in 6.12),
 * which kpageflags tells of as this one. PM_MMAP_EXCLUSIVE is another thing:
 * that one page table maps the page (pte_to_pagemap_entry()).
 */
#define KPF_ANON_EXCLUSIVE	34

FIXTURE(exclusive)
{
	int a;
	int b;
	struct pages pages;
};

FIXTURE_SETUP(exclusive)
{
	FIND_TWO_NODES(self, return);
	ASSERT_CLEAN(scene_pages(&self->pages, COUNT, MAP_PRIVATE, self->a));
}

FIXTURE_TEARDOWN(exclusive)
{
}

static int exclusive_pages(struct pages *p)
{
	uint64_t entries[COUNT], flags;
	int i, own = 0;

	if (pagemap_read(p->pid, p->addr, COUNT, entries))
		return -1;
	for (i = 0; i < COUNT; i++) {
		if (kpageflags_read(pagemap_pfn(entries[i]), &flags))
			return -1;
		own += flags >> KPF_ANON_EXCLUSIVE & 1;
	}
	return own;
}

static void write_all(struct pages *p)
{
	int i;

	for (i = 0; i < COUNT; i++)
		pages_write(p, i);
}

/* Called in a holder. */

/* Content of its own in the first half. */
static long write_half(struct pages *p)
{
	int i;

	for (i = 0; i < COUNT / 2; i++)
		pattern_fill(pages_at(p, i), p->seed + 1, i);
	return 0;
}

/* Pages of the first half that lost that content. */
static long bad_half(struct pages *p)
{
	int i, bad = 0;

	for (i = 0; i < COUNT / 2; i++)
		bad += pattern_check(pages_at(p, i), p->seed + 1, i) >= 0;
	for (; i < COUNT; i++)
		bad += pattern_check(pages_at(p, i), p->seed, i) >= 0;
	return bad;
}

/* The owner's next write goes to the frame that it was moved to. */
TEST_F(exclusive, own_is_not_copied)
{
	struct pages *p = &self->pages;

	ASSERT_EQ(COUNT, exclusive_pages(p));
	EXPECT_CLEAN(relocate_to(p, self->b, "pages of one process"));
	ASSERT_CLEAN(pages_snapshot(p));
	write_all(p);
	EXPECT_CLEAN(pages_verify(p, "written after the move"));
	EXPECT_CLEAN(relocate_to_by_mbind(p, self->a, "and back"));
	ASSERT_CLEAN(pages_snapshot(p));
	write_all(p);
	EXPECT_CLEAN(pages_verify(p, "written after the move back"));
	EXPECT_EQ(COUNT, exclusive_pages(p));
}

/*
 * Exclusive, but not writable in the page table: as after mprotect() there and
 * back. The bit is all that says that no copy is needed.
 */
TEST_F(exclusive, readable_is_not_copied)
{
	struct pages *p = &self->pages;

	ASSERT_EQ(0, mprotect(p->addr, COUNT * PAGE_BYTES, PROT_READ));
	EXPECT_CLEAN(relocate_to(p, self->b, "read-only pages"));
	EXPECT_EQ(COUNT, exclusive_pages(p));
	ASSERT_EQ(0, mprotect(p->addr, COUNT * PAGE_BYTES,
			      PROT_READ | PROT_WRITE));
	ASSERT_CLEAN(pages_snapshot(p));
	write_all(p);
	EXPECT_CLEAN(pages_verify(p, "written after the move"));
}

/*
 * Shared by a fork, moved, then written by one: the other must not see it,
 * whoever writes first.
 */
TEST_F(exclusive, fork_then_move)
{
	struct pages *p = &self->pages;
	struct holder holder;
	int i;

	ASSERT_EQ(0, holder_start(&holder, p, chore_look));
	ASSERT_EQ(0, exclusive_pages(p));
	EXPECT_CLEAN(relocate_all_to(p, self->b, "shared by a fork"));
	EXPECT_CLEAN(pages_shared_with(p, holder.peer.pid));
	EXPECT_EQ(0, exclusive_pages(p));
	EXPECT_CLEAN(relocate_all_to_by_mbind(p, self->a, "and back"));
	EXPECT_CLEAN(pages_shared_with(p, holder.peer.pid));
	EXPECT_EQ(0, exclusive_pages(p));

	/* The child's writes do not reach the parent ... */
	ASSERT_EQ(0, holder_call(&holder, write_half));
	EXPECT_EQ(0, pages_bad(p));
	EXPECT_EQ(0, holder_call(&holder, bad_half));
	/* ... nor the parent's the child. */
	for (i = COUNT / 2; i < COUNT; i++)
		pattern_fill(pages_at(p, i), p->seed + 2, i);
	EXPECT_EQ(0, holder_call(&holder, bad_half));
	for (i = COUNT / 2; i < COUNT; i++)
		EXPECT_EQ(-1, pattern_check(pages_at(p, i), p->seed + 2, i));
	EXPECT_EQ(0, holder_end(&holder));
}

/* Left alone with the pages, the owner writes to them in place. */
TEST_F(exclusive, alone_again)
{
	struct pages *p = &self->pages;
	struct holder holder;

	ASSERT_EQ(0, holder_start(&holder, p, chore_look));
	EXPECT_CLEAN(relocate_all_to(p, self->b, "shared by a fork"));
	EXPECT_EQ(0, holder_end(&holder));
	EXPECT_CLEAN(relocate_to(p, self->a, "mapped once again"));
	EXPECT_EQ(0, exclusive_pages(p));

	/* A batch of the LRU would be one reference too many. */
	ASSERT_EQ(0, relocate_drain());
	ASSERT_CLEAN(pages_snapshot(p));
	write_all(p);
	/* wp_can_reuse_anon_folio(), mm/memory.c */
	EXPECT_CLEAN(pages_verify(p, "written in place"));
	EXPECT_EQ(COUNT, exclusive_pages(p));
	EXPECT_CLEAN(relocate_to(p, self->b, "exclusive once again"));
	EXPECT_EQ(COUNT, exclusive_pages(p));
	ASSERT_CLEAN(pages_snapshot(p));
	write_all(p);
	EXPECT_CLEAN(pages_verify(p, "written in place, on the new node"));
}

/* After a copy each has an own page; moving the one leaves the other. */
TEST_F(exclusive, copied_after_fork)
{
	struct pages *p = &self->pages;
	struct holder holder;

	ASSERT_EQ(0, holder_start(&holder, p, chore_look));
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(self->a)));
	write_all(p);
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(COUNT, exclusive_pages(p));
	EXPECT_CLEAN(relocate_to(p, self->b, "the parent's copies"));
	EXPECT_EQ(COUNT, exclusive_pages(p));
	EXPECT_EQ(0, holder_bad(&holder));

	p->pid = holder.peer.pid;
	pages_want_all(p, self->a);
	ASSERT_CLEAN(pages_snapshot(p));
	EXPECT_CLEAN(relocate_to(p, self->b, "the child's originals"));
	EXPECT_EQ(0, holder_bad(&holder));
	EXPECT_EQ(0, holder_end(&holder));
}

/*
 * A page that a fork shares and that is read-only for both: neither may write
 * to it where it is, though the VMA would let it.
 */
TEST_F(exclusive, write_bit_stays_away)
{
	struct pages *p = &self->pages;
	struct holder holder;
	int i;

	ASSERT_EQ(0, holder_start(&holder, p, chore_look));
	EXPECT_CLEAN(relocate_all_to(p, self->b, "shared by a fork"));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(self->b)));
	write_all(p);
	/* A copy, since the frame is in the other's page table too. */
	for (i = 0; i < COUNT; i++)
		ASSERT_NE(pagemap_pfn(p->was[i].pagemap), 0);
	EXPECT_EQ(COUNT, exclusive_pages(p));
	for (i = 0; i < COUNT; i++) {
		uint64_t entry;

		ASSERT_EQ(0, pagemap_read(0, pages_at(p, i), 1, &entry));
		EXPECT_NE(pagemap_pfn(p->was[i].pagemap), pagemap_pfn(entry));
		ASSERT_EQ(0, pagemap_read(holder.peer.pid, pages_at(p, i), 1,
					  &entry));
		EXPECT_EQ(pagemap_pfn(p->was[i].pagemap), pagemap_pfn(entry));
	}
	EXPECT_EQ(0, pages_bad(p));
	EXPECT_EQ(0, holder_bad(&holder));
	EXPECT_EQ(0, holder_end(&holder));
}

TEST_HARNESS_MAIN
