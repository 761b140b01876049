// SPDX-License-Identifier: GPL-2.0-only
/*
 * Huge pages of anonymous memory keep their state as base pages do, in the one
 * PMD that maps them (set_pmd_migration_entry() and remove_migration_pmd() in
 * mm/huge_memory.c): mapped by a PMD still, soft-dirty, write-protected by
 * userfaultfd, locked, read-only, and shared or not since a fork.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, TRANSPARENT_HUGEPAGE]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     thp.soft_dirty: {kconfig: [MEM_SOFT_DIRTY]}
 *     thp.write_protected: {kconfig: [USERFAULTFD]}
 *   quick:
 *     - thp.write_protected
 *   contract: {10: ["*"], 12: ["*"]}
 *   covers:
 *     - {cases: "thp.*", interface: [move_pages-set, mbind-move-strict],
 *        backing: [thp], condition: [quiet]}
 *   known:
 *     - {cases: ["thp.soft_dirty"], kernels: ">=6.1",
 *        why: "remove_migration_pmd() calls pmd_mkdirty(), which on x86 sets
 *        the soft-dirty bit too, and does not clear it for an entry that had
 *        none, as remove_migration_pte() does: a THP that is dirty is always
 *        soft-dirty after a move", commit:
 *        known-issues/soft-dirty-after-thp-move.md; seen on 6.1 and 6.12}
 *     - {cases: ["thp.locked"], kernels: ">=6.12",
 *        why: "__folio_add_anon_rmap() leaves large folios to reclaim, so
 *        remove_migration_pmd() does not lock a THP again that unmapping has
 *        unlocked: PG_mlocked, nr_mlock and the unevictable list lose it",
 *        commit: known-issues/mlocked-thp-after-move.md; seen on 6.12 and not
 *        on 6.1}
 */
#include "harness.h"

#include <sys/mman.h>

#include <linux/kernel-page-flags.h>

#include "chores.h"
#include "holder.h"
#include "node_stat.h"
#include "pagemap.h"
#include "relocate.h"
#include "scene.h"
#include "smaps.h"
#include "uffd.h"

#define PMD_BYTES	(2UL << 20)
#define COUNT		512

FIXTURE(thp)
{
	int a;
	int b;
	struct pages pages;
};

FIXTURE_SETUP(thp)
{
	struct pages *p = &self->pages;
	char *area;

	FIND_TWO_NODES(self, return);
	area = mmap(NULL, 4 * PMD_BYTES, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, area);
	area += PMD_BYTES - (uintptr_t)area % PMD_BYTES;
	ASSERT_EQ(0, mprotect(area, PMD_BYTES, PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, madvise(area, PMD_BYTES, MADV_HUGEPAGE));
	ASSERT_EQ(0, pages_over(p, area, COUNT));
	pages_want_all(p, self->a);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_EQ(COUNT * 4, smaps_kib(0, area, "AnonHugePages"));
	ASSERT_EQ(0, relocate_drain());
}

FIXTURE_TEARDOWN(thp)
{
}

/* As one, and mapped as one afterwards. */
static const char *go(struct pages *p, int node, int flags, bool by_mbind,
		      const char *what)
{
	const struct relocation r = { node, flags, COUNT, 1 };
	const char *problem;

	problem = by_mbind ? relocate_by_mbind(p, &r) : relocate(p, &r);
	if (!*problem)
		problem = relocate_verify(p, what);
	if (!*problem && smaps_kib(p->pid, p->addr, "AnonHugePages") !=
	    COUNT * 4)
		problem = "no PMD maps it any more";
	return problem;
}

static int entries_with(struct pages *p, uint64_t bit)
{
	uint64_t entries[COUNT];
	int i, with = 0;

	if (pagemap_read(0, p->addr, COUNT, entries))
		return -1;
	for (i = 0; i < COUNT; i++)
		with += !!(entries[i] & bit);
	return with;
}

TEST_F(thp, soft_dirty)
{
	struct pages *p = &self->pages;

	ASSERT_EQ(0, pagemap_clear_soft_dirty());
	EXPECT_CLEAN(go(p, self->b, MPOL_MF_MOVE, false, "not soft-dirty"));
	EXPECT_EQ(0, entries_with(p, PM_SOFT_DIRTY));
	pages_write(p, 7);
	EXPECT_EQ(COUNT, entries_with(p, PM_SOFT_DIRTY));
	EXPECT_CLEAN(go(p, self->a, MPOL_MF_MOVE, true, "soft-dirty"));
	EXPECT_EQ(COUNT, entries_with(p, PM_SOFT_DIRTY));
}

TEST_F(thp, write_protected)
{
	struct pages *p = &self->pages;
	int fd = uffd_watch_writes(p->addr, PMD_BYTES);

	ASSERT_LE(0, fd);
	EXPECT_CLEAN(go(p, self->b, MPOL_MF_MOVE, false, "not protected"));
	EXPECT_EQ(0, entries_with(p, PM_UFFD_WP));
	ASSERT_EQ(0, uffd_protect(fd, p->addr, PMD_BYTES, true));
	EXPECT_CLEAN(go(p, self->a, MPOL_MF_MOVE, true, "protected"));
	EXPECT_EQ(COUNT, entries_with(p, PM_UFFD_WP));
	EXPECT_EQ(1, uffd_write(fd, pages_at(p, 9)));
	EXPECT_EQ(0, uffd_write(fd, pages_at(p, 9)));
	EXPECT_EQ(0, pages_bad(p));
}

TEST_F(thp, locked)
{
	struct pages *p = &self->pages;
	long a = node_stat(self->a, "nr_mlock");
	long b = node_stat(self->b, "nr_mlock");

	ASSERT_EQ(0, mlock(p->addr, PMD_BYTES));
	ASSERT_EQ(0, relocate_drain());
	EXPECT_CLEAN(go(p, self->b, MPOL_MF_MOVE, false, "locked"));
	ASSERT_EQ(0, relocate_drain());
	EXPECT_EQ(a, node_stat(self->a, "nr_mlock"));
	EXPECT_EQ(b + COUNT, node_stat(self->b, "nr_mlock"));
	ASSERT_EQ(0, munlock(p->addr, PMD_BYTES));
	ASSERT_EQ(0, relocate_drain());
	EXPECT_EQ(b, node_stat(self->b, "nr_mlock"));
}

/* Huge pages are counted by node, too. */
TEST_F(thp, account_by_node)
{
	struct pages *p = &self->pages;
	long a = node_meminfo(self->a, "AnonHugePages");
	long b = node_meminfo(self->b, "AnonHugePages");

	EXPECT_CLEAN(go(p, self->b, MPOL_MF_MOVE, false, "a huge page"));
	EXPECT_EQ(a - COUNT * 4, node_meminfo(self->a, "AnonHugePages"));
	EXPECT_EQ(b + COUNT * 4, node_meminfo(self->b, "AnonHugePages"));
	EXPECT_CLEAN(go(p, self->a, MPOL_MF_MOVE, true, "and back"));
	EXPECT_EQ(a, node_meminfo(self->a, "AnonHugePages"));
	EXPECT_EQ(b, node_meminfo(self->b, "AnonHugePages"));
	ASSERT_CLEAN(pages_snapshot(p));
	pages_write(p, 3);
	EXPECT_CLEAN(pages_verify(p, "written in place"));
}

/* Called in a holder. */

static long write_all(struct pages *p)
{
	for (long i = 0; i < p->count; i++)
		*(volatile uint64_t *)pages_at(p, i) ^= 1;
	return 0;
}

/* Shared by a fork and moved: the child's write is not seen here. */
TEST_F(thp, fork_then_move)
{
	struct pages *p = &self->pages;
	struct holder holder;

	ASSERT_EQ(0, holder_start(&holder, p, chore_look));
	EXPECT_CLEAN(go(p, self->b, MPOL_MF_MOVE_ALL, false, "in common"));
	EXPECT_CLEAN(pages_shared_with(p, holder.peer.pid));
	EXPECT_EQ(0, holder_bad(&holder));
	ASSERT_EQ(0, holder_call(&holder, write_all));
	EXPECT_EQ(0, pages_bad(p));
	EXPECT_EQ(COUNT, holder_bad(&holder));
	EXPECT_EQ(0, holder_end(&holder));
}

TEST_HARNESS_MAIN
