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

#include "backings.h"
#include "cpuset_child.h"
#include "nodes.h"

FIXTURE(cpuset_backing)
{
	struct cpuset_child c;
};

FIXTURE_VARIANT(cpuset_backing)
{
	const struct backing *backing;
};

BACKINGS(cpuset_backing);

FIXTURE_SETUP(cpuset_backing)
{
	unsigned long nodes = nodes_with_memory();

	if (nodes_count(nodes) < 2)
		SKIP(return, "needs 2 nodes with memory, has %s",
		     nodes_text(nodes));
	if (!cpuset_is_available())
		SKIP(return, "no cpuset controller in /sys/fs/cgroup");
	ASSERT_CLEAN(cpuset_child_begin(&self->c, CPUSET_V2,
					variant->backing));
}

FIXTURE_TEARDOWN(cpuset_backing)
{
	EXPECT_EQ(0, cpuset_child_end(&self->c));
}

TEST_F(cpuset_backing, change_of_mems)
{
	EXPECT_CLEAN(cpuset_child_change_mems(&self->c));
}

TEST_F(cpuset_backing, attach)
{
	EXPECT_CLEAN(cpuset_child_attach(&self->c));
}

TEST_HARNESS_MAIN
