// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bits of the PTE that user space tracks writes by, soft-dirty and
 * userfaultfd's write protection: each page keeps its own value of them, and
 * what they are for still works on the new frame. In the migration entry they
 * are pte_swp_soft_dirty() and pte_swp_uffd_wp() (try_to_migrate_one(),
 * remove_migration_pte()).
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     "tracked.private.soft_dirty": {kconfig: [MEM_SOFT_DIRTY]}
 *     "tracked.shared.soft_dirty": {kconfig: [MEM_SOFT_DIRTY]}
 *     "tracked.private.write_protected": {kconfig: [USERFAULTFD]}
 *     "tracked.shared.write_protected": {kconfig: [USERFAULTFD]}
 *     "tracked.private.both": {kconfig: [USERFAULTFD, MEM_SOFT_DIRTY]}
 *     "tracked.shared.both": {kconfig: [USERFAULTFD, MEM_SOFT_DIRTY]}
 *   contract: {10: ["*"]}
 *   known:
 *     - cases: ["tracked.*.soft_dirty", "tracked.*.both"]
 *       kernels: "<6.9"
 *       why: a dirty page that is not soft-dirty comes out soft-dirty
 *       commit: known-issues/soft-dirty-after-move.md; mended in 6.9
 *   covers:
 *     - {cases: "tracked.private.*",
 *        interface: [move_pages-set, mbind-move-strict],
 *        backing: [anon-private], condition: [quiet]}
 *     - {cases: "tracked.shared.*",
 *        interface: [move_pages-set, mbind-move-strict],
 *        backing: [shmem], condition: [quiet]}
 *     - {cases: "tracked.*.write_protected",
 *        interface: [move_pages-set, mbind-move-strict],
 *        backing: [uffd-registered], condition: [quiet]}
 */
#include "harness.h"

#include <sys/mman.h>

#include "pagemap.h"
#include "relocate.h"
#include "scene.h"
#include "uffd.h"

#define COUNT		16

FIXTURE(tracked)
{
	int a;
	int b;
	struct pages pages;
};

SHARING_VARIANTS(tracked);

FIXTURE_SETUP(tracked)
{
	FIND_TWO_NODES(self, return);
	ASSERT_CLEAN(scene_pages(&self->pages, COUNT, variant->sharing,
				 self->a));
}

FIXTURE_TEARDOWN(tracked)
{
}

static int entries_with(struct pages *p, uint64_t bit, bool (*which)(long i))
{
	uint64_t entries[COUNT];
	int i, right = 0;

	if (pagemap_read(0, p->addr, COUNT, entries))
		return -1;
	for (i = 0; i < COUNT; i++)
		right += !!(entries[i] & bit) == which(i);
	return right;
}

static bool is_written(long i)
{
	return i % 3 == 0;
}

static bool is_protected(long i)
{
	return i % 2 == 0;
}

TEST_F(tracked, soft_dirty)
{
	struct pages *p = &self->pages;
	int i;

	ASSERT_EQ(0, pagemap_clear_soft_dirty());
	for (i = 0; i < COUNT; i++)
		if (is_written(i))
			pages_write(p, i);
	EXPECT_EQ(COUNT, entries_with(p, PM_SOFT_DIRTY, is_written));
	EXPECT_CLEAN(relocate_to(p, self->b, "a third is soft-dirty"));
	EXPECT_EQ(COUNT, entries_with(p, PM_SOFT_DIRTY, is_written));
	EXPECT_CLEAN(relocate_to_by_mbind(p, self->a, "and back"));
	EXPECT_EQ(COUNT, entries_with(p, PM_SOFT_DIRTY, is_written));

	/* It is still set by the next write, on the new frame. */
	pages_write(p, 1);
	ASSERT_CLEAN(pages_snapshot(p));
	EXPECT_TRUE(p->now[1].pagemap & PM_SOFT_DIRTY);
	EXPECT_FALSE(p->now[2].pagemap & PM_SOFT_DIRTY);
	EXPECT_EQ(0, pages_bad(p));
}

TEST_F(tracked, write_protected)
{
	struct pages *p = &self->pages;
	int i, fd = uffd_watch_writes(p->addr, COUNT * PAGE_BYTES);

	ASSERT_LE(0, fd);
	for (i = 0; i < COUNT; i++)
		if (is_protected(i))
			ASSERT_EQ(0, uffd_protect(fd, pages_at(p, i),
						  PAGE_BYTES, true));
	EXPECT_EQ(COUNT, entries_with(p, PM_UFFD_WP, is_protected));
	EXPECT_CLEAN(relocate_to(p, self->b, "a half is protected"));
	EXPECT_EQ(COUNT, entries_with(p, PM_UFFD_WP, is_protected));
	/* Each second page moved twice, the others once. */
	EXPECT_CLEAN(relocate_to_by_mbind(p, self->a, "and back"));
	EXPECT_EQ(COUNT, entries_with(p, PM_UFFD_WP, is_protected));

	ASSERT_CLEAN(pages_snapshot(p));
	for (i = 0; i < COUNT; i++)
		EXPECT_EQ(is_protected(i), uffd_write(fd, pages_at(p, i)));
	for (i = 0; i < COUNT; i++)
		EXPECT_EQ(0, uffd_write(fd, pages_at(p, i)));
	/* A write that was let through is in place, not to a copy. */
	for (i = 0; i < COUNT; i++)
		p->was[i].pagemap = (p->was[i].pagemap & ~PM_UFFD_WP) |
				    PM_SOFT_DIRTY;
	EXPECT_CLEAN(pages_verify(p, "after writes that were let through"));
}

/* The two do not stand in for each other. */
TEST_F(tracked, both)
{
	struct pages *p = &self->pages;
	int i, fd = uffd_watch_writes(p->addr, COUNT * PAGE_BYTES);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, pagemap_clear_soft_dirty());
	for (i = 0; i < COUNT; i++)
		if (is_written(i))
			pages_write(p, i);
	for (i = 0; i < COUNT; i++)
		if (is_protected(i))
			ASSERT_EQ(0, uffd_protect(fd, pages_at(p, i),
						  PAGE_BYTES, true));
	EXPECT_CLEAN(relocate_to(p, self->b, "soft-dirty and protected"));
	EXPECT_EQ(COUNT, entries_with(p, PM_SOFT_DIRTY, is_written));
	EXPECT_EQ(COUNT, entries_with(p, PM_UFFD_WP, is_protected));
	for (i = 0; i < 6; i++)
		EXPECT_EQ(is_protected(i), uffd_write(fd, pages_at(p, i)));
	EXPECT_EQ(0, pages_bad(p));
}

TEST_HARNESS_MAIN
