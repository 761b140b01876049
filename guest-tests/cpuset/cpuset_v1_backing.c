// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cpusets of cgroup v1 with memory_migrate: a change of cpuset.mems and an
 * attach take along what a process has of each kind of memory, that which
 * others map too, as v2 does it (cpuset_migrate_mm() in kernel/cgroup/cpuset.c
 * of 6.12 is the same for both). Without memory_migrate: v1_stay.c.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, CPUSETS,
 *     CPUSETS_V1 since 6.12, TRANSPARENT_HUGEPAGE,
 *     HUGETLBFS, KSM, SWAP, USERFAULTFD, IO_URING, EXT4_FS, BLK_DEV_RAM, SYSVIPC]
 *   scope: file   # each case puts back all that it changes
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     "cpuset_v1_backing.swapped_out.*": {swap_mib: 64}
 *     "cpuset_v1_backing.swap_cache.*": {swap_mib: 64}
 *   quick: [cpuset_v1_backing.thp.attach]
 *   contract:
 *     11: ["cpuset_v1_backing.swap*"]
 *     12: ["cpuset_v1_backing.*"]
 *     17: ["cpuset_v1_backing.*"]
 *   promises:
 *     cpuset-takes-pages: ["cpuset_v1_backing.*"]
 *   covers:
 *     - {cases: cpuset_v1_backing.anon_private.change_of_mems,
 *        interface: cpuset-v1-mems, backing: anon-private, condition: quiet}
 *     - {cases: cpuset_v1_backing.anon_private.attach,
 *        interface: cpuset-v1-attach, backing: anon-private, condition: quiet}
 *     - {cases: cpuset_v1_backing.anon_shared.change_of_mems,
 *        interface: cpuset-v1-mems, backing: anon-shared, condition: quiet}
 *     - {cases: cpuset_v1_backing.anon_shared.attach,
 *        interface: cpuset-v1-attach, backing: anon-shared, condition: quiet}
 *     - {cases: cpuset_v1_backing.mlocked.change_of_mems,
 *        interface: cpuset-v1-mems, backing: mlocked, condition: quiet}
 *     - {cases: cpuset_v1_backing.mlocked.attach,
 *        interface: cpuset-v1-attach, backing: mlocked, condition: quiet}
 *     - {cases: cpuset_v1_backing.zero_page.change_of_mems,
 *        interface: cpuset-v1-mems, backing: zero-page, condition: quiet}
 *     - {cases: cpuset_v1_backing.zero_page.attach,
 *        interface: cpuset-v1-attach, backing: zero-page, condition: quiet}
 *     - {cases: cpuset_v1_backing.thp.change_of_mems,
 *        interface: cpuset-v1-mems, backing: thp, condition: quiet}
 *     - {cases: cpuset_v1_backing.thp.attach,
 *        interface: cpuset-v1-attach, backing: thp, condition: quiet}
 *     - {cases: cpuset_v1_backing.thp_partly_mapped.change_of_mems,
 *        interface: cpuset-v1-mems, backing: thp-partly-mapped,
 *        condition: quiet}
 *     - {cases: cpuset_v1_backing.thp_partly_mapped.attach,
 *        interface: cpuset-v1-attach, backing: thp-partly-mapped,
 *        condition: quiet}
 *     - {cases: cpuset_v1_backing.large_folio.change_of_mems,
 *        interface: cpuset-v1-mems, backing: large-folio, condition: quiet}
 *     - {cases: cpuset_v1_backing.large_folio.attach,
 *        interface: cpuset-v1-attach, backing: large-folio, condition: quiet}
 *     - {cases: cpuset_v1_backing.hugetlb_private.change_of_mems,
 *        interface: cpuset-v1-mems, backing: hugetlb-private, condition: quiet}
 *     - {cases: cpuset_v1_backing.hugetlb_private.attach,
 *        interface: cpuset-v1-attach, backing: hugetlb-private,
 *        condition: quiet}
 *     - {cases: cpuset_v1_backing.hugetlb_shared.change_of_mems,
 *        interface: cpuset-v1-mems, backing: hugetlb-shared, condition: quiet}
 *     - {cases: cpuset_v1_backing.hugetlb_shared.attach,
 *        interface: cpuset-v1-attach, backing: hugetlb-shared,
 *        condition: quiet}
 *     - {cases: cpuset_v1_backing.file_clean.change_of_mems,
 *        interface: cpuset-v1-mems, backing: file-clean, condition: quiet}
 *     - {cases: cpuset_v1_backing.file_clean.attach,
 *        interface: cpuset-v1-attach, backing: file-clean, condition: quiet}
 *     - {cases: cpuset_v1_backing.file_dirty.change_of_mems,
 *        interface: cpuset-v1-mems, backing: file-dirty, condition: quiet}
 *     - {cases: cpuset_v1_backing.file_dirty.attach,
 *        interface: cpuset-v1-attach, backing: file-dirty, condition: quiet}
 *     - {cases: cpuset_v1_backing.file_cow.change_of_mems,
 *        interface: cpuset-v1-mems, backing: file-cow, condition: quiet}
 *     - {cases: cpuset_v1_backing.file_cow.attach,
 *        interface: cpuset-v1-attach, backing: file-cow, condition: quiet}
 *     - {cases: cpuset_v1_backing.file_shared.change_of_mems,
 *        interface: cpuset-v1-mems, backing: file-shared, condition: quiet}
 *     - {cases: cpuset_v1_backing.file_shared.attach,
 *        interface: cpuset-v1-attach, backing: file-shared, condition: quiet}
 *     - {cases: cpuset_v1_backing.file_shared_by_two.change_of_mems,
 *        interface: cpuset-v1-mems, backing: file-shared, condition: quiet}
 *     - {cases: cpuset_v1_backing.file_shared_by_two.attach,
 *        interface: cpuset-v1-attach, backing: file-shared, condition: quiet}
 *     - {cases: cpuset_v1_backing.text.change_of_mems,
 *        interface: cpuset-v1-mems, backing: text, condition: quiet}
 *     - {cases: cpuset_v1_backing.text.attach,
 *        interface: cpuset-v1-attach, backing: text, condition: quiet}
 *     - {cases: cpuset_v1_backing.shmem.change_of_mems,
 *        interface: cpuset-v1-mems, backing: shmem, condition: quiet}
 *     - {cases: cpuset_v1_backing.shmem.attach,
 *        interface: cpuset-v1-attach, backing: shmem, condition: quiet}
 *     - {cases: cpuset_v1_backing.sysv_shm.change_of_mems,
 *        interface: cpuset-v1-mems, backing: sysv-shm, condition: quiet}
 *     - {cases: cpuset_v1_backing.sysv_shm.attach,
 *        interface: cpuset-v1-attach, backing: sysv-shm, condition: quiet}
 *     - {cases: cpuset_v1_backing.memfd_sealed.change_of_mems,
 *        interface: cpuset-v1-mems, backing: memfd-sealed, condition: quiet}
 *     - {cases: cpuset_v1_backing.memfd_sealed.attach,
 *        interface: cpuset-v1-attach, backing: memfd-sealed, condition: quiet}
 *     - {cases: cpuset_v1_backing.swapped_out.change_of_mems,
 *        interface: cpuset-v1-mems, backing: swapped-out, condition: quiet}
 *     - {cases: cpuset_v1_backing.swapped_out.attach,
 *        interface: cpuset-v1-attach, backing: swapped-out, condition: quiet}
 *     - {cases: cpuset_v1_backing.swap_cache.change_of_mems,
 *        interface: cpuset-v1-mems, backing: swap-cache, condition: quiet}
 *     - {cases: cpuset_v1_backing.swap_cache.attach,
 *        interface: cpuset-v1-attach, backing: swap-cache, condition: quiet}
 *     - {cases: cpuset_v1_backing.ksm.change_of_mems,
 *        interface: cpuset-v1-mems, backing: ksm, condition: quiet}
 *     - {cases: cpuset_v1_backing.ksm.attach,
 *        interface: cpuset-v1-attach, backing: ksm, condition: quiet}
 *     - {cases: cpuset_v1_backing.vmspliced.change_of_mems,
 *        interface: cpuset-v1-mems, backing: vmspliced, condition: quiet}
 *     - {cases: cpuset_v1_backing.vmspliced.attach,
 *        interface: cpuset-v1-attach, backing: vmspliced, condition: quiet}
 *     - {cases: cpuset_v1_backing.io_uring_registered.change_of_mems,
 *        interface: cpuset-v1-mems, backing: io_uring-registered,
 *        condition: quiet}
 *     - {cases: cpuset_v1_backing.io_uring_registered.attach,
 *        interface: cpuset-v1-attach, backing: io_uring-registered,
 *        condition: quiet}
 *     - {cases: cpuset_v1_backing.uffd_registered.change_of_mems,
 *        interface: cpuset-v1-mems, backing: uffd-registered, condition: quiet}
 *     - {cases: cpuset_v1_backing.uffd_registered.attach,
 *        interface: cpuset-v1-attach, backing: uffd-registered,
 *        condition: quiet}
 */
#include "harness.h"

#include "backings.h"
#include "cpuset_child.h"
#include "nodes.h"

FIXTURE(cpuset_v1_backing)
{
	struct cpuset_child c;
};

FIXTURE_VARIANT(cpuset_v1_backing)
{
	const struct backing *backing;
};

BACKINGS(cpuset_v1_backing);

FIXTURE_SETUP(cpuset_v1_backing)
{
	unsigned long nodes = nodes_with_memory();

	if (nodes_count(nodes) < 2)
		SKIP(return, "needs 2 nodes with memory, has %s",
		     nodes_text(nodes));
	ASSERT_CLEAN(cpuset_child_begin(&self->c, CPUSET_V1,
					variant->backing));
}

FIXTURE_TEARDOWN(cpuset_v1_backing)
{
	EXPECT_EQ(0, cpuset_child_end(&self->c));
}

TEST_F(cpuset_v1_backing, change_of_mems)
{
	EXPECT_CLEAN(cpuset_child_change_mems(&self->c));
}

TEST_F(cpuset_v1_backing, attach)
{
	EXPECT_CLEAN(cpuset_child_attach(&self->c));
}

TEST_HARNESS_MAIN
