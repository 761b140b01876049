// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locked pages move, and stay locked: PG_mlocked and the unevictable list are
 * built up anew on the new frame (migrate_folio_move() adds it to the LRU
 * before it is mapped, so that mlock counts it). Nr_mlock and the lists
 * follow by node.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   quick:
 *     - mlocked.private.moves
 *   contract: {10: ["*"]}
 *   covers:
 *     - {cases: "mlocked.*", interface: [move_pages-set, mbind-move-strict],
 *        backing: [mlocked], condition: [quiet]}
 *     - {cases: "mlocked.*.by_another_process", interface: [move_pages-set],
 *        backing: [mlocked], condition: [quiet]}
 */
#include "harness.h"

#include <sys/mman.h>

#include <linux/kernel-page-flags.h>

#include "holder.h"
#include "node_stat.h"
#include "pagemap.h"
#include "relocate.h"
#include "scene.h"
#include "smaps.h"

#define COUNT		64

FIXTURE(mlocked)
{
	int a;
	int b;
	struct pages pages;
};

SHARING_VARIANTS(mlocked);

FIXTURE_SETUP(mlocked)
{
	FIND_TWO_NODES(self, return);
	ASSERT_CLEAN(scene_pages(&self->pages, COUNT, variant->sharing,
				 self->a));
}

FIXTURE_TEARDOWN(mlocked)
{
}

struct locked {
	long mlock;
	long unevictable;
};

/* Page flags settle once every CPU has drained its batches. */
static struct locked locked_on(int node)
{
	relocate_drain();
	return (struct locked){ node_stat(node, "nr_mlock"),
				node_stat(node, "nr_unevictable") };
}

/* Pages that are wanted locked, and are not both locked and unevictable. */
static int unlocked_pages(struct pages *p, long first, long count)
{
	const uint64_t both = 1UL << KPF_MLOCKED | 1UL << KPF_UNEVICTABLE;
	uint64_t entry, flags;
	int i, unlocked = 0;

	relocate_drain();
	for (i = first; i < first + count; i++) {
		if (pagemap_read(p->pid, pages_at(p, i), 1, &entry) ||
		    kpageflags_read(pagemap_pfn(entry), &flags))
			return -1;
		unlocked += (flags & both) != both;
	}
	return unlocked;
}

#define EXPECT_LOCKED(node, was, more) do {				\
	struct locked is = locked_on(node);				\
									\
	EXPECT_EQ((was).mlock + (more), is.mlock);			\
	EXPECT_EQ((was).unevictable + (more), is.unevictable);		\
} while (0)

TEST_F(mlocked, moves)
{
	struct pages *p = &self->pages;
	struct locked a = locked_on(self->a), b = locked_on(self->b);

	ASSERT_EQ(0, mlock(p->addr, COUNT * PAGE_BYTES));
	EXPECT_LOCKED(self->a, a, COUNT);
	EXPECT_CLEAN(relocate_to(p, self->b, "locked pages"));
	EXPECT_EQ(0, unlocked_pages(p, 0, COUNT));
	EXPECT_LOCKED(self->a, a, 0);
	EXPECT_LOCKED(self->b, b, COUNT);
	EXPECT_EQ(COUNT * 4, smaps_kib(0, p->addr, "Locked"));

	EXPECT_CLEAN(relocate_to_by_mbind(p, self->a, "and back"));
	EXPECT_EQ(0, unlocked_pages(p, 0, COUNT));
	EXPECT_LOCKED(self->a, a, COUNT);
	EXPECT_LOCKED(self->b, b, 0);

	/* What was locked is let go of, wherever it is now. */
	ASSERT_EQ(0, munlock(p->addr, COUNT * PAGE_BYTES));
	EXPECT_EQ(COUNT, unlocked_pages(p, 0, COUNT));
	EXPECT_LOCKED(self->a, a, 0);
	EXPECT_LOCKED(self->b, b, 0);
}

/* Locked pages among others, and gone with the mapping. */
TEST_F(mlocked, half)
{
	struct pages *p = &self->pages;
	struct locked a = locked_on(self->a), b = locked_on(self->b);

	ASSERT_EQ(0, mlock(pages_at(p, 8), 32 * PAGE_BYTES));
	EXPECT_CLEAN(relocate_to(p, self->b, "half of them locked"));
	EXPECT_EQ(0, unlocked_pages(p, 8, 32));
	EXPECT_EQ(8, unlocked_pages(p, 0, 8));
	EXPECT_EQ(COUNT - 40, unlocked_pages(p, 40, COUNT - 40));
	EXPECT_LOCKED(self->a, a, 0);
	EXPECT_LOCKED(self->b, b, 32);
	ASSERT_EQ(0, munmap(p->addr, COUNT * PAGE_BYTES));
	EXPECT_LOCKED(self->b, b, 0);
}

/* Called in a holder. */

static long lock_all(struct pages *p)
{
	return pages_bad(p) ? : mlock(p->addr, p->count * PAGE_BYTES);
}

static long unlock_all(struct pages *p)
{
	return munlock(p->addr, p->count * PAGE_BYTES);
}

/*
 * Mapped by two processes, locked by one: it stays locked as long as that one
 * has it. Private pages are copied for mlock() of a writable mapping
 * (populate_vma_page_range() breaks COW), so that there each has its own.
 */
TEST_F(mlocked, by_another_process)
{
	struct pages *p = &self->pages;
	struct locked b = locked_on(self->b);
	struct holder holder;

	ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(self->a)));
	ASSERT_EQ(0, holder_start(&holder, p, lock_all));
	if (variant->sharing == MAP_PRIVATE)
		p->pid = holder.peer.pid;
	EXPECT_CLEAN(relocate_all_to(p, self->b, "locked by another"));
	EXPECT_EQ(0, unlocked_pages(p, 0, COUNT));
	EXPECT_LOCKED(self->b, b, COUNT);
	EXPECT_EQ(0, holder_bad(&holder));
	ASSERT_EQ(0, holder_call(&holder, unlock_all));
	EXPECT_LOCKED(self->b, b, 0);
	EXPECT_EQ(COUNT, unlocked_pages(p, 0, COUNT));
	EXPECT_EQ(0, holder_end(&holder));
}

TEST_HARNESS_MAIN
