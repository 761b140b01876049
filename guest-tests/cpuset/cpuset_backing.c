// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cpusets of cgroup v2: a change of cpuset.mems and an attach take along what a
 * process has of each kind of memory, that which others map too (cpuset_migrate_mm() in
 * kernel/cgroup/cpuset.c of 6.12 moves with MPOL_MF_MOVE_ALL). What cannot be
 * moved stays where it is, and the write succeeds all the same.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, CPUSETS,
 *     TRANSPARENT_HUGEPAGE,
 *     HUGETLBFS, KSM, SWAP, USERFAULTFD, IO_URING, EXT4_FS, BLK_DEV_RAM, SYSVIPC]
 *   features: []
 *   scope: file   # each case puts back all that it changes
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     cpuset_backing.swapped_out.change_of_mems: {swap_mib: 64}
 *     cpuset_backing.swapped_out.attach: {swap_mib: 64}
 *     cpuset_backing.swap_cache.change_of_mems: {swap_mib: 64}
 *     cpuset_backing.swap_cache.attach: {swap_mib: 64}
 *   contract:
 *     11: ["cpuset_backing.swap*"]
 *     12: ["cpuset_backing.*"]
 *     17: ["cpuset_backing.*"]
 *   promises:
 *     cpuset-takes-pages: ["cpuset_backing.*"]
 *   covers:
 *     - {cases: "cpuset_backing.anon_private.change_of_mems", interface:
 *        [cpuset-v2-mems],
 *        backing: [anon-private], condition: [quiet]}
 *     - {cases: "cpuset_backing.anon_private.attach", interface:
 *        [cpuset-v2-attach],
 *        backing: [anon-private], condition: [quiet]}
 *     - {cases: "cpuset_backing.anon_shared.change_of_mems", interface:
 *        [cpuset-v2-mems],
 *        backing: [anon-shared], condition: [quiet]}
 *     - {cases: "cpuset_backing.anon_shared.attach", interface:
 *        [cpuset-v2-attach],
 *        backing: [anon-shared], condition: [quiet]}
 *     - {cases: "cpuset_backing.mlocked.change_of_mems", interface:
 *        [cpuset-v2-mems],
 *        backing: [mlocked], condition: [quiet]}
 *     - {cases: "cpuset_backing.mlocked.attach", interface: [cpuset-v2-attach],
 *        backing: [mlocked], condition: [quiet]}
 *     - {cases: "cpuset_backing.zero_page.change_of_mems", interface:
 *        [cpuset-v2-mems],
 *        backing: [zero-page], condition: [quiet]}
 *     - {cases: "cpuset_backing.zero_page.attach", interface:
 *        [cpuset-v2-attach],
 *        backing: [zero-page], condition: [quiet]}
 *     - {cases: "cpuset_backing.thp.change_of_mems", interface:
 *        [cpuset-v2-mems],
 *        backing: [thp], condition: [quiet]}
 *     - {cases: "cpuset_backing.thp.attach", interface: [cpuset-v2-attach],
 *        backing: [thp], condition: [quiet]}
 *     - {cases: "cpuset_backing.thp_partly_mapped.change_of_mems", interface:
 *        [cpuset-v2-mems],
 *        backing: [thp-partly-mapped], condition: [quiet]}
 *     - {cases: "cpuset_backing.thp_partly_mapped.attach", interface:
 *        [cpuset-v2-attach],
 *        backing: [thp-partly-mapped], condition: [quiet]}
 *     - {cases: "cpuset_backing.large_folio.change_of_mems", interface:
 *        [cpuset-v2-mems],
 *        backing: [large-folio], condition: [quiet]}
 *     - {cases: "cpuset_backing.large_folio.attach", interface:
 *        [cpuset-v2-attach],
 *        backing: [large-folio], condition: [quiet]}
 *     - {cases: "cpuset_backing.hugetlb_private.change_of_mems", interface:
 *        [cpuset-v2-mems],
 *        backing: [hugetlb-private], condition: [quiet]}
 *     - {cases: "cpuset_backing.hugetlb_private.attach", interface:
 *        [cpuset-v2-attach],
 *        backing: [hugetlb-private], condition: [quiet]}
 *     - {cases: "cpuset_backing.hugetlb_shared.change_of_mems", interface:
 *        [cpuset-v2-mems],
 *        backing: [hugetlb-shared], condition: [quiet]}
 *     - {cases: "cpuset_backing.hugetlb_shared.attach", interface:
 *        [cpuset-v2-attach],
 *        backing: [hugetlb-shared], condition: [quiet]}
 *     - {cases: "cpuset_backing.file_clean.change_of_mems", interface:
 *        [cpuset-v2-mems],
 *        backing: [file-clean], condition: [quiet]}
 *     - {cases: "cpuset_backing.file_clean.attach", interface:
 *        [cpuset-v2-attach],
 *        backing: [file-clean], condition: [quiet]}
 *     - {cases: "cpuset_backing.file_dirty.change_of_mems", interface:
 *        [cpuset-v2-mems],
 *        backing: [file-dirty], condition: [quiet]}
 *     - {cases: "cpuset_backing.file_dirty.attach", interface:
 *        [cpuset-v2-attach],
 *        backing: [file-dirty], condition: [quiet]}
 *     - {cases: "cpuset_backing.file_cow.change_of_mems", interface:
 *        [cpuset-v2-mems],
 *        backing: [file-cow], condition: [quiet]}
 *     - {cases: "cpuset_backing.file_cow.attach", interface:
 *        [cpuset-v2-attach],
 *        backing: [file-cow], condition: [quiet]}
 *     - {cases: "cpuset_backing.file_shared.change_of_mems", interface:
 *        [cpuset-v2-mems],
 *        backing: [file-shared], condition: [quiet]}
 *     - {cases: "cpuset_backing.file_shared.attach", interface:
 *        [cpuset-v2-attach],
 *        backing: [file-shared], condition: [quiet]}
 *     - {cases: "cpuset_backing.file_shared_by_two.change_of_mems", interface:
 *        [cpuset-v2-mems],
 *        backing: [file-shared], condition: [quiet]}
 *     - {cases: "cpuset_backing.file_shared_by_two.attach", interface:
 *        [cpuset-v2-attach],
 *        backing: [file-shared], condition: [quiet]}
 *     - {cases: "cpuset_backing.text.change_of_mems", interface:
 *        [cpuset-v2-mems],
 *        backing: [text], condition: [quiet]}
 *     - {cases: "cpuset_backing.text.attach", interface: [cpuset-v2-attach],
 *        backing: [text], condition: [quiet]}
 *     - {cases: "cpuset_backing.shmem.change_of_mems", interface:
 *        [cpuset-v2-mems],
 *        backing: [shmem], condition: [quiet]}
 *     - {cases: "cpuset_backing.shmem.attach", interface: [cpuset-v2-attach],
 *        backing: [shmem], condition: [quiet]}
 *     - {cases: "cpuset_backing.sysv_shm.change_of_mems", interface:
 *        [cpuset-v2-mems],
 *        backing: [sysv-shm], condition: [quiet]}
 *     - {cases: "cpuset_backing.sysv_shm.attach", interface:
 *        [cpuset-v2-attach],
 *        backing: [sysv-shm], condition: [quiet]}
 *     - {cases: "cpuset_backing.memfd_sealed.change_of_mems", interface:
 *        [cpuset-v2-mems],
 *        backing: [memfd-sealed], condition: [quiet]}
 *     - {cases: "cpuset_backing.memfd_sealed.attach", interface:
 *        [cpuset-v2-attach],
 *        backing: [memfd-sealed], condition: [quiet]}
 *     - {cases: "cpuset_backing.swapped_out.change_of_mems", interface:
 *        [cpuset-v2-mems],
 *        backing: [swapped-out], condition: [quiet]}
 *     - {cases: "cpuset_backing.swapped_out.attach", interface:
 *        [cpuset-v2-attach],
 *        backing: [swapped-out], condition: [quiet]}
 *     - {cases: "cpuset_backing.swap_cache.change_of_mems", interface:
 *        [cpuset-v2-mems],
 *        backing: [swap-cache], condition: [quiet]}
 *     - {cases: "cpuset_backing.swap_cache.attach", interface:
 *        [cpuset-v2-attach],
 *        backing: [swap-cache], condition: [quiet]}
 *     - {cases: "cpuset_backing.ksm.change_of_mems", interface:
 *        [cpuset-v2-mems],
 *        backing: [ksm], condition: [quiet]}
 *     - {cases: "cpuset_backing.ksm.attach", interface: [cpuset-v2-attach],
 *        backing: [ksm], condition: [quiet]}
 *     - {cases: "cpuset_backing.vmspliced.change_of_mems", interface:
 *        [cpuset-v2-mems],
 *        backing: [vmspliced], condition: [quiet]}
 *     - {cases: "cpuset_backing.vmspliced.attach", interface:
 *        [cpuset-v2-attach],
 *        backing: [vmspliced], condition: [quiet]}
 *     - {cases: "cpuset_backing.io_uring_registered.change_of_mems", interface:
 *        [cpuset-v2-mems],
 *        backing: [io_uring-registered], condition: [quiet]}
 *     - {cases: "cpuset_backing.io_uring_registered.attach", interface:
 *        [cpuset-v2-attach],
 *        backing: [io_uring-registered], condition: [quiet]}
 *     - {cases: "cpuset_backing.uffd_registered.change_of_mems", interface:
 *        [cpuset-v2-mems],
 *        backing: [uffd-registered], condition: [quiet]}
 *     - {cases: "cpuset_backing.uffd_registered.attach", interface:
 *        [cpuset-v2-attach],
 *        backing: [uffd-registered], condition: [quiet]}
 */
#include "harness.h"

#include "backing_child.h"
#include "backings.h"
#include "cpuset.h"
#include "nodes.h"
#include "syscalls.h"

FIXTURE(cpuset_backing)
{
	int a;
	int b;
	struct cpuset_root root;
	struct area_child child;
};

FIXTURE_VARIANT(cpuset_backing)
{
	const struct backing *backing;
};

BACKINGS(cpuset_backing);

/* A child in group "x", whose mems are node a, with an area there. */
FIXTURE_SETUP(cpuset_backing)
{
	struct area_child *c = &self->child;
	unsigned long nodes = nodes_with_memory();
	long error;

	if (nodes_count(nodes) < 2)
		SKIP(return, "needs 2 nodes with memory, has %s",
		     nodes_text(nodes));
	if (!cpuset_is_available())
		SKIP(return, "no cpuset controller in /sys/fs/cgroup");
	self->a = nodes_nth(nodes, 0);
	self->b = nodes_nth(nodes, 1);
	ASSERT_EQ(0, area_child_map(c, variant->backing, self->a));
	ASSERT_EQ(0, cpuset_begin(&self->root));
	error = cpuset_create("x") ? : cpuset_set_mems("x", NODE(self->a)) ? :
		area_child_start(c) ? :
		cpuset_attach("x", c->subject.pages.pid);
	/* A setup that failed is not torn down. */
	if (error)
		cpuset_end(&self->root);
	ASSERT_EQ(0, error);
	EXPECT_CLEAN(area_child_look(c));
}

FIXTURE_TEARDOWN(cpuset_backing)
{
	area_release(&self->child.area);
	EXPECT_EQ(0, cpuset_end(&self->root));
}

TEST_F(cpuset_backing, change_of_mems)
{
	struct area_child *c = &self->child;

	EXPECT_EQ(0, cpuset_set_mems("x", NODE(self->b)));
	EXPECT_CLEAN(area_child_verify(c, self->b, "cpuset.mems from a to b"));
	EXPECT_EQ(0, area_child_finish(c));
}

TEST_F(cpuset_backing, attach)
{
	struct area_child *c = &self->child;

	ASSERT_EQ(0, cpuset_create("y"));
	ASSERT_EQ(0, cpuset_set_mems("y", NODE(self->b)));
	EXPECT_EQ(0, cpuset_attach("y", c->subject.pages.pid));
	EXPECT_CLEAN(area_child_verify(c, self->b, "from x (a) to y (b)"));
	EXPECT_EQ(0, area_child_finish(c));
}

TEST_HARNESS_MAIN
