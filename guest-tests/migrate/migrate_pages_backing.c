// SPDX-License-Identifier: GPL-2.0-only
/*
 * migrate_pages(2) of a child that has memory of each kind: lib/backings.h says
 * of each what becomes of it. With CAP_SYS_NICE pages that others map move,
 * too; without, they stay, and are not counted. The result counts what was
 * tried in vain (do_migrate_pages() in mm/mempolicy.c of 6.12).
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, TRANSPARENT_HUGEPAGE,
 *     HUGETLBFS, KSM, SWAP, USERFAULTFD, IO_URING, EXT4_FS, BLK_DEV_RAM, SYSVIPC]
 *   features: []
 *   scope: file   # each case puts back all that it changes
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     migrate_pages_backing.swapped_out.child: {swap_mib: 64}
 *     migrate_pages_backing.swapped_out.self: {swap_mib: 64}
 *     migrate_pages_backing.swap_cache.child: {swap_mib: 64}
 *     migrate_pages_backing.swap_cache.self: {swap_mib: 64}
 *   quick:
 *     - migrate_pages_backing.thp.child
 *   contract:
 *     3: ["migrate_pages_backing.*"]
 *     11: ["migrate_pages_backing.swap*"]
 *     12: ["migrate_pages_backing.*"]
 *   promises:
 *     other-process: ["migrate_pages_backing.*.child"]
 *   covers:
 *     - {cases: "migrate_pages_backing.anon_private.child", interface:
 *        [migrate_pages-child],
 *        backing: [anon-private], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.anon_private.self", interface:
 *        [migrate_pages-self],
 *        backing: [anon-private], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.anon_shared.child", interface:
 *        [migrate_pages-child],
 *        backing: [anon-shared], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.anon_shared.self", interface:
 *        [migrate_pages-self],
 *        backing: [anon-shared], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.mlocked.child", interface:
 *        [migrate_pages-child],
 *        backing: [mlocked], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.mlocked.self", interface:
 *        [migrate_pages-self],
 *        backing: [mlocked], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.zero_page.child", interface:
 *        [migrate_pages-child],
 *        backing: [zero-page], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.zero_page.self", interface:
 *        [migrate_pages-self],
 *        backing: [zero-page], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.thp.child", interface:
 *        [migrate_pages-child],
 *        backing: [thp], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.thp.self", interface:
 *        [migrate_pages-self],
 *        backing: [thp], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.thp_partly_mapped.child", interface:
 *        [migrate_pages-child],
 *        backing: [thp-partly-mapped], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.thp_partly_mapped.self", interface:
 *        [migrate_pages-self],
 *        backing: [thp-partly-mapped], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.large_folio.child", interface:
 *        [migrate_pages-child],
 *        backing: [large-folio], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.large_folio.self", interface:
 *        [migrate_pages-self],
 *        backing: [large-folio], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.hugetlb_private.child", interface:
 *        [migrate_pages-child],
 *        backing: [hugetlb-private], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.hugetlb_private.self", interface:
 *        [migrate_pages-self],
 *        backing: [hugetlb-private], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.hugetlb_shared.child", interface:
 *        [migrate_pages-child],
 *        backing: [hugetlb-shared], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.hugetlb_shared.self", interface:
 *        [migrate_pages-self],
 *        backing: [hugetlb-shared], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.file_clean.child", interface:
 *        [migrate_pages-child],
 *        backing: [file-clean], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.file_clean.self", interface:
 *        [migrate_pages-self],
 *        backing: [file-clean], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.file_dirty.child", interface:
 *        [migrate_pages-child],
 *        backing: [file-dirty], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.file_dirty.self", interface:
 *        [migrate_pages-self],
 *        backing: [file-dirty], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.file_cow.child", interface:
 *        [migrate_pages-child],
 *        backing: [file-cow], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.file_cow.self", interface:
 *        [migrate_pages-self],
 *        backing: [file-cow], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.file_shared.child", interface:
 *        [migrate_pages-child],
 *        backing: [file-shared], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.file_shared.self", interface:
 *        [migrate_pages-self],
 *        backing: [file-shared], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.file_shared_by_two.child", interface:
 *        [migrate_pages-child],
 *        backing: [file-shared], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.file_shared_by_two.self", interface:
 *        [migrate_pages-self],
 *        backing: [file-shared], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.text.child", interface:
 *        [migrate_pages-child],
 *        backing: [text], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.text.self", interface:
 *        [migrate_pages-self],
 *        backing: [text], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.shmem.child", interface:
 *        [migrate_pages-child],
 *        backing: [shmem], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.shmem.self", interface:
 *        [migrate_pages-self],
 *        backing: [shmem], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.sysv_shm.child", interface:
 *        [migrate_pages-child],
 *        backing: [sysv-shm], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.sysv_shm.self", interface:
 *        [migrate_pages-self],
 *        backing: [sysv-shm], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.memfd_sealed.child", interface:
 *        [migrate_pages-child],
 *        backing: [memfd-sealed], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.memfd_sealed.self", interface:
 *        [migrate_pages-self],
 *        backing: [memfd-sealed], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.swapped_out.child", interface:
 *        [migrate_pages-child],
 *        backing: [swapped-out], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.swapped_out.self", interface:
 *        [migrate_pages-self],
 *        backing: [swapped-out], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.swap_cache.child", interface:
 *        [migrate_pages-child],
 *        backing: [swap-cache], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.swap_cache.self", interface:
 *        [migrate_pages-self],
 *        backing: [swap-cache], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.ksm.child", interface:
 *        [migrate_pages-child],
 *        backing: [ksm], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.ksm.self", interface:
 *        [migrate_pages-self],
 *        backing: [ksm], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.vmspliced.child", interface:
 *        [migrate_pages-child],
 *        backing: [vmspliced], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.vmspliced.self", interface:
 *        [migrate_pages-self],
 *        backing: [vmspliced], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.io_uring_registered.child", interface:
 *        [migrate_pages-child],
 *        backing: [io_uring-registered], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.io_uring_registered.self", interface:
 *        [migrate_pages-self],
 *        backing: [io_uring-registered], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.uffd_registered.child", interface:
 *        [migrate_pages-child],
 *        backing: [uffd-registered], condition: [quiet]}
 *     - {cases: "migrate_pages_backing.uffd_registered.self", interface:
 *        [migrate_pages-self],
 *        backing: [uffd-registered], condition: [quiet]}
 */
#include "harness.h"

#include "backing_child.h"
#include "backings.h"
#include "nodes.h"
#include "scene.h"
#include "syscalls.h"

FIXTURE(migrate_pages_backing)
{
	int a;
	int b;
	struct area_child child;
};

FIXTURE_VARIANT(migrate_pages_backing)
{
	const struct backing *backing;
};

BACKINGS(migrate_pages_backing);

/* A child with an area on node a. */
FIXTURE_SETUP(migrate_pages_backing)
{
	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, area_child_map(&self->child, variant->backing, self->a));
	ASSERT_EQ(0, area_child_start(&self->child));
	ASSERT_CLEAN(area_child_look(&self->child));
}

FIXTURE_TEARDOWN(migrate_pages_backing)
{
	area_release(&self->child.area);
}

TEST_F(migrate_pages_backing, child)
{
	struct area_child *c = &self->child;

	EXPECT_EQ(area_child_left(c, self->b, MPOL_MF_MOVE_ALL),
		  numa_migrate_pages(c->subject.pages.pid, NODE(self->a),
				     NODE(self->b)));
	EXPECT_CLEAN(area_child_verify(c, self->b, "from a to b"));
	EXPECT_EQ(0, area_child_finish(c));
}

/* Called in the child. */
static long move_itself(struct pages *p)
{
	unsigned long nodes = nodes_with_memory();

	(void)p;
	return numa_migrate_pages(0, NODE(nodes_nth(nodes, 0)),
				  NODE(nodes_nth(nodes, 1)));
}

static long move_nothing(struct pages *p)
{
	(void)p;
	return numa_migrate_pages(0, 0, nodes_with_memory());
}

/* The child itself, which stands still again once it has answered. */
TEST_F(migrate_pages_backing, self)
{
	struct area_child *c = &self->child;

	/* Text is mapped when it is first run: that is before the look. */
	ASSERT_EQ(0, holder_call(&c->subject.holder, move_nothing));
	ASSERT_CLEAN(area_child_look(c));
	EXPECT_EQ(area_child_left(c, self->b, MPOL_MF_MOVE_ALL),
		  holder_call(&c->subject.holder, move_itself));
	EXPECT_CLEAN(area_child_verify(c, self->b, "itself from a to b"));
	EXPECT_EQ(0, area_child_finish(c));
}

TEST_HARNESS_MAIN
