// SPDX-License-Identifier: GPL-2.0-only
/*
 * migratepages(8) of numactl, run by root on a process that has memory of each
 * kind: all of it goes, that which others map too, but for what is pinned. It
 * ends well and says nothing in any case.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, TRANSPARENT_HUGEPAGE,
 *     HUGETLBFS, KSM, SWAP, USERFAULTFD, IO_URING, EXT4_FS, BLK_DEV_RAM, SYSVIPC]
 *   scope: file   # each case puts back all that it changes
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     "migratepages_tool_backing.swapped_out.*": {swap_mib: 64}
 *     "migratepages_tool_backing.swap_cache.*": {swap_mib: 64}
 *   contract:
 *     11: ["migratepages_tool_backing.swap*"]
 *     12: ["migratepages_tool_backing.*"]
 *   promises:
 *     addresses-kept: ["migratepages_tool_backing.*"]
 *     other-process: ["migratepages_tool_backing.*"]
 *   covers:
 *     - {cases: migratepages_tool_backing.anon_private.moves,
 *        interface: migratepages-tool, backing: anon-private, condition: quiet}
 *     - {cases: migratepages_tool_backing.anon_shared.moves,
 *        interface: migratepages-tool, backing: anon-shared, condition: quiet}
 *     - {cases: migratepages_tool_backing.mlocked.moves,
 *        interface: migratepages-tool, backing: mlocked, condition: quiet}
 *     - {cases: migratepages_tool_backing.zero_page.moves,
 *        interface: migratepages-tool, backing: zero-page, condition: quiet}
 *     - {cases: migratepages_tool_backing.thp.moves,
 *        interface: migratepages-tool, backing: thp, condition: quiet}
 *     - {cases: migratepages_tool_backing.thp_partly_mapped.moves,
 *        interface: migratepages-tool, backing: thp-partly-mapped,
 *        condition: quiet}
 *     - {cases: migratepages_tool_backing.large_folio.moves,
 *        interface: migratepages-tool, backing: large-folio, condition: quiet}
 *     - {cases: migratepages_tool_backing.hugetlb_private.moves,
 *        interface: migratepages-tool, backing: hugetlb-private,
 *        condition: quiet}
 *     - {cases: migratepages_tool_backing.hugetlb_shared.moves,
 *        interface: migratepages-tool, backing: hugetlb-shared,
 *        condition: quiet}
 *     - {cases: migratepages_tool_backing.file_clean.moves,
 *        interface: migratepages-tool, backing: file-clean, condition: quiet}
 *     - {cases: migratepages_tool_backing.file_dirty.moves,
 *        interface: migratepages-tool, backing: file-dirty, condition: quiet}
 *     - {cases: migratepages_tool_backing.file_cow.moves,
 *        interface: migratepages-tool, backing: file-cow, condition: quiet}
 *     - {cases: migratepages_tool_backing.file_shared.moves,
 *        interface: migratepages-tool, backing: file-shared, condition: quiet}
 *     - {cases: migratepages_tool_backing.file_shared_by_two.moves,
 *        interface: migratepages-tool, backing: file-shared, condition: quiet}
 *     - {cases: migratepages_tool_backing.text.moves,
 *        interface: migratepages-tool, backing: text, condition: quiet}
 *     - {cases: migratepages_tool_backing.shmem.moves,
 *        interface: migratepages-tool, backing: shmem, condition: quiet}
 *     - {cases: migratepages_tool_backing.sysv_shm.moves,
 *        interface: migratepages-tool, backing: sysv-shm, condition: quiet}
 *     - {cases: migratepages_tool_backing.memfd_sealed.moves,
 *        interface: migratepages-tool, backing: memfd-sealed, condition: quiet}
 *     - {cases: migratepages_tool_backing.swapped_out.moves,
 *        interface: migratepages-tool, backing: swapped-out, condition: quiet}
 *     - {cases: migratepages_tool_backing.swap_cache.moves,
 *        interface: migratepages-tool, backing: swap-cache, condition: quiet}
 *     - {cases: migratepages_tool_backing.ksm.moves,
 *        interface: migratepages-tool, backing: ksm, condition: quiet}
 *     - {cases: migratepages_tool_backing.vmspliced.moves,
 *        interface: migratepages-tool, backing: vmspliced, condition: quiet}
 *     - {cases: migratepages_tool_backing.io_uring_registered.moves,
 *        interface: migratepages-tool, backing: io_uring-registered,
 *        condition: quiet}
 *     - {cases: migratepages_tool_backing.uffd_registered.moves,
 *        interface: migratepages-tool, backing: uffd-registered,
 *        condition: quiet}
 */
#include "harness.h"

#include "backing_child.h"
#include "backings.h"
#include "migratepages.h"
#include "nodes.h"
#include "scene.h"

FIXTURE(migratepages_tool_backing)
{
	int a;
	int b;
	struct area_child child;
	struct program tool;
};

FIXTURE_VARIANT(migratepages_tool_backing)
{
	const struct backing *backing;
};

BACKINGS(migratepages_tool_backing);

/* A child with an area on node a. */
FIXTURE_SETUP(migratepages_tool_backing)
{
	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, area_child_map(&self->child, variant->backing, self->a));
	ASSERT_EQ(0, area_child_start(&self->child));
	ASSERT_CLEAN(area_child_look(&self->child));
}

FIXTURE_TEARDOWN(migratepages_tool_backing)
{
	area_release(&self->child.area);
}

TEST_F(migratepages_tool_backing, moves)
{
	struct area_child *c = &self->child;

	ASSERT_EQ(0, migratepages_run(&self->tool, c->subject.pages.pid,
				      nodes_text(NODE(self->a)),
				      nodes_text(NODE(self->b))));
	EXPECT_SILENT();
	EXPECT_CLEAN(area_child_verify(c, self->b, "migratepages from a to b"));
	EXPECT_EQ(0, area_child_finish(c));
}

TEST_HARNESS_MAIN
