// SPDX-License-Identifier: GPL-2.0-only
/*
 * mbind(2) with MOVE, MOVE_ALL and STRICT on each kind of memory: lib/backings.h
 * says of each what becomes of it. What is common is what do_mbind() and
 * queue_pages_range() in mm/mempolicy.c of 6.12 say: STRICT alone finds every
 * page that is there and misplaced, shared and pinned ones too; with MOVE only
 * what was tried in vain is an error, not what was skipped.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, TRANSPARENT_HUGEPAGE,
 *     HUGETLBFS, KSM, SWAP, USERFAULTFD, IO_URING, EXT4_FS, BLK_DEV_RAM, SYSVIPC]
 *   features: []
 *   scope: file   # each case puts back all that it changes
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     mbind_backing.swapped_out.move: {swap_mib: 64}
 *     mbind_backing.swapped_out.move_all: {swap_mib: 64}
 *     mbind_backing.swapped_out.strict: {swap_mib: 64}
 *     mbind_backing.swap_cache.move: {swap_mib: 64}
 *     mbind_backing.swap_cache.move_all: {swap_mib: 64}
 *     mbind_backing.swap_cache.strict: {swap_mib: 64}
 *   quick:
 *     - mbind_backing.mlocked.move
 *     - mbind_backing.zero_page.strict
 *     - mbind_backing.thp.move
 *   contract:
 *     5:
 *       - "mbind_backing.file_shared*.move*"
 *       - "mbind_backing.text.move*"
 *       - "mbind_backing.ksm.move*"
 *     6: ["mbind_backing.vmspliced.*", "mbind_backing.io_uring_registered.*"]
 *     11: ["mbind_backing.swap*"]
 *     12: ["mbind_backing.*"]
 *   promises:
 *     addresses-kept: ["mbind_backing.*.move"]
 *   covers:
 *     - {cases: "mbind_backing.anon_private.move", interface: [mbind-move,
 *        mbind-move-strict],
 *        backing: [anon-private], condition: [quiet]}
 *     - {cases: "mbind_backing.anon_private.move_all", interface:
 *        [mbind-move-all, mbind-move-strict],
 *        backing: [anon-private], condition: [quiet]}
 *     - {cases: "mbind_backing.anon_private.strict", interface: [mbind-strict],
 *        backing: [anon-private], condition: [quiet]}
 *     - {cases: "mbind_backing.anon_shared.move", interface: [mbind-move,
 *        mbind-move-strict],
 *        backing: [anon-shared], condition: [quiet]}
 *     - {cases: "mbind_backing.anon_shared.move_all", interface:
 *        [mbind-move-all, mbind-move-strict],
 *        backing: [anon-shared], condition: [quiet]}
 *     - {cases: "mbind_backing.anon_shared.strict", interface: [mbind-strict],
 *        backing: [anon-shared], condition: [quiet]}
 *     - {cases: "mbind_backing.mlocked.move", interface: [mbind-move,
 *        mbind-move-strict],
 *        backing: [mlocked], condition: [quiet]}
 *     - {cases: "mbind_backing.mlocked.move_all", interface: [mbind-move-all,
 *        mbind-move-strict],
 *        backing: [mlocked], condition: [quiet]}
 *     - {cases: "mbind_backing.mlocked.strict", interface: [mbind-strict],
 *        backing: [mlocked], condition: [quiet]}
 *     - {cases: "mbind_backing.zero_page.move", interface: [mbind-move,
 *        mbind-move-strict],
 *        backing: [zero-page], condition: [quiet]}
 *     - {cases: "mbind_backing.zero_page.move_all", interface: [mbind-move-all,
 *        mbind-move-strict],
 *        backing: [zero-page], condition: [quiet]}
 *     - {cases: "mbind_backing.zero_page.strict", interface: [mbind-strict],
 *        backing: [zero-page], condition: [quiet]}
 *     - {cases: "mbind_backing.thp.move", interface: [mbind-move,
 *        mbind-move-strict],
 *        backing: [thp], condition: [quiet]}
 *     - {cases: "mbind_backing.thp.move_all", interface: [mbind-move-all,
 *        mbind-move-strict],
 *        backing: [thp], condition: [quiet]}
 *     - {cases: "mbind_backing.thp.strict", interface: [mbind-strict],
 *        backing: [thp], condition: [quiet]}
 *     - {cases: "mbind_backing.thp_partly_mapped.move", interface: [mbind-move,
 *        mbind-move-strict],
 *        backing: [thp-partly-mapped], condition: [quiet]}
 *     - {cases: "mbind_backing.thp_partly_mapped.move_all", interface:
 *        [mbind-move-all, mbind-move-strict],
 *        backing: [thp-partly-mapped], condition: [quiet]}
 *     - {cases: "mbind_backing.thp_partly_mapped.strict", interface:
 *        [mbind-strict],
 *        backing: [thp-partly-mapped], condition: [quiet]}
 *     - {cases: "mbind_backing.large_folio.move", interface: [mbind-move,
 *        mbind-move-strict],
 *        backing: [large-folio], condition: [quiet]}
 *     - {cases: "mbind_backing.large_folio.move_all", interface:
 *        [mbind-move-all, mbind-move-strict],
 *        backing: [large-folio], condition: [quiet]}
 *     - {cases: "mbind_backing.large_folio.strict", interface: [mbind-strict],
 *        backing: [large-folio], condition: [quiet]}
 *     - {cases: "mbind_backing.hugetlb_private.move", interface: [mbind-move,
 *        mbind-move-strict],
 *        backing: [hugetlb-private], condition: [quiet]}
 *     - {cases: "mbind_backing.hugetlb_private.move_all", interface:
 *        [mbind-move-all, mbind-move-strict],
 *        backing: [hugetlb-private], condition: [quiet]}
 *     - {cases: "mbind_backing.hugetlb_private.strict", interface:
 *        [mbind-strict],
 *        backing: [hugetlb-private], condition: [quiet]}
 *     - {cases: "mbind_backing.hugetlb_shared.move", interface: [mbind-move,
 *        mbind-move-strict],
 *        backing: [hugetlb-shared], condition: [quiet]}
 *     - {cases: "mbind_backing.hugetlb_shared.move_all", interface:
 *        [mbind-move-all, mbind-move-strict],
 *        backing: [hugetlb-shared], condition: [quiet]}
 *     - {cases: "mbind_backing.hugetlb_shared.strict", interface:
 *        [mbind-strict],
 *        backing: [hugetlb-shared], condition: [quiet]}
 *     - {cases: "mbind_backing.file_clean.move", interface: [mbind-move,
 *        mbind-move-strict],
 *        backing: [file-clean], condition: [quiet]}
 *     - {cases: "mbind_backing.file_clean.move_all", interface:
 *        [mbind-move-all, mbind-move-strict],
 *        backing: [file-clean], condition: [quiet]}
 *     - {cases: "mbind_backing.file_clean.strict", interface: [mbind-strict],
 *        backing: [file-clean], condition: [quiet]}
 *     - {cases: "mbind_backing.file_dirty.move", interface: [mbind-move,
 *        mbind-move-strict],
 *        backing: [file-dirty], condition: [quiet]}
 *     - {cases: "mbind_backing.file_dirty.move_all", interface:
 *        [mbind-move-all, mbind-move-strict],
 *        backing: [file-dirty], condition: [quiet]}
 *     - {cases: "mbind_backing.file_dirty.strict", interface: [mbind-strict],
 *        backing: [file-dirty], condition: [quiet]}
 *     - {cases: "mbind_backing.file_cow.move", interface: [mbind-move,
 *        mbind-move-strict],
 *        backing: [file-cow], condition: [quiet]}
 *     - {cases: "mbind_backing.file_cow.move_all", interface: [mbind-move-all,
 *        mbind-move-strict],
 *        backing: [file-cow], condition: [quiet]}
 *     - {cases: "mbind_backing.file_cow.strict", interface: [mbind-strict],
 *        backing: [file-cow], condition: [quiet]}
 *     - {cases: "mbind_backing.file_shared.move", interface: [mbind-move,
 *        mbind-move-strict],
 *        backing: [file-shared], condition: [quiet]}
 *     - {cases: "mbind_backing.file_shared.move_all", interface:
 *        [mbind-move-all, mbind-move-strict],
 *        backing: [file-shared], condition: [quiet]}
 *     - {cases: "mbind_backing.file_shared.strict", interface: [mbind-strict],
 *        backing: [file-shared], condition: [quiet]}
 *     - {cases: "mbind_backing.file_shared_by_two.move", interface:
 *        [mbind-move, mbind-move-strict],
 *        backing: [file-shared], condition: [quiet]}
 *     - {cases: "mbind_backing.file_shared_by_two.move_all", interface:
 *        [mbind-move-all, mbind-move-strict],
 *        backing: [file-shared], condition: [quiet]}
 *     - {cases: "mbind_backing.file_shared_by_two.strict", interface:
 *        [mbind-strict],
 *        backing: [file-shared], condition: [quiet]}
 *     - {cases: "mbind_backing.text.move", interface: [mbind-move,
 *        mbind-move-strict],
 *        backing: [text], condition: [quiet]}
 *     - {cases: "mbind_backing.text.move_all", interface: [mbind-move-all,
 *        mbind-move-strict],
 *        backing: [text], condition: [quiet]}
 *     - {cases: "mbind_backing.text.strict", interface: [mbind-strict],
 *        backing: [text], condition: [quiet]}
 *     - {cases: "mbind_backing.shmem.move", interface: [mbind-move,
 *        mbind-move-strict],
 *        backing: [shmem], condition: [quiet]}
 *     - {cases: "mbind_backing.shmem.move_all", interface: [mbind-move-all,
 *        mbind-move-strict],
 *        backing: [shmem], condition: [quiet]}
 *     - {cases: "mbind_backing.shmem.strict", interface: [mbind-strict],
 *        backing: [shmem], condition: [quiet]}
 *     - {cases: "mbind_backing.sysv_shm.move", interface: [mbind-move,
 *        mbind-move-strict],
 *        backing: [sysv-shm], condition: [quiet]}
 *     - {cases: "mbind_backing.sysv_shm.move_all", interface: [mbind-move-all,
 *        mbind-move-strict],
 *        backing: [sysv-shm], condition: [quiet]}
 *     - {cases: "mbind_backing.sysv_shm.strict", interface: [mbind-strict],
 *        backing: [sysv-shm], condition: [quiet]}
 *     - {cases: "mbind_backing.memfd_sealed.move", interface: [mbind-move,
 *        mbind-move-strict],
 *        backing: [memfd-sealed], condition: [quiet]}
 *     - {cases: "mbind_backing.memfd_sealed.move_all", interface:
 *        [mbind-move-all, mbind-move-strict],
 *        backing: [memfd-sealed], condition: [quiet]}
 *     - {cases: "mbind_backing.memfd_sealed.strict", interface: [mbind-strict],
 *        backing: [memfd-sealed], condition: [quiet]}
 *     - {cases: "mbind_backing.swapped_out.move", interface: [mbind-move,
 *        mbind-move-strict],
 *        backing: [swapped-out], condition: [quiet]}
 *     - {cases: "mbind_backing.swapped_out.move_all", interface:
 *        [mbind-move-all, mbind-move-strict],
 *        backing: [swapped-out], condition: [quiet]}
 *     - {cases: "mbind_backing.swapped_out.strict", interface: [mbind-strict],
 *        backing: [swapped-out], condition: [quiet]}
 *     - {cases: "mbind_backing.swap_cache.move", interface: [mbind-move,
 *        mbind-move-strict],
 *        backing: [swap-cache], condition: [quiet]}
 *     - {cases: "mbind_backing.swap_cache.move_all", interface:
 *        [mbind-move-all, mbind-move-strict],
 *        backing: [swap-cache], condition: [quiet]}
 *     - {cases: "mbind_backing.swap_cache.strict", interface: [mbind-strict],
 *        backing: [swap-cache], condition: [quiet]}
 *     - {cases: "mbind_backing.ksm.move", interface: [mbind-move,
 *        mbind-move-strict],
 *        backing: [ksm], condition: [quiet]}
 *     - {cases: "mbind_backing.ksm.move_all", interface: [mbind-move-all,
 *        mbind-move-strict],
 *        backing: [ksm], condition: [quiet]}
 *     - {cases: "mbind_backing.ksm.strict", interface: [mbind-strict],
 *        backing: [ksm], condition: [quiet]}
 *     - {cases: "mbind_backing.vmspliced.move", interface: [mbind-move,
 *        mbind-move-strict],
 *        backing: [vmspliced], condition: [quiet]}
 *     - {cases: "mbind_backing.vmspliced.move_all", interface: [mbind-move-all,
 *        mbind-move-strict],
 *        backing: [vmspliced], condition: [quiet]}
 *     - {cases: "mbind_backing.vmspliced.strict", interface: [mbind-strict],
 *        backing: [vmspliced], condition: [quiet]}
 *     - {cases: "mbind_backing.io_uring_registered.move", interface:
 *        [mbind-move, mbind-move-strict],
 *        backing: [io_uring-registered], condition: [quiet]}
 *     - {cases: "mbind_backing.io_uring_registered.move_all", interface:
 *        [mbind-move-all, mbind-move-strict],
 *        backing: [io_uring-registered], condition: [quiet]}
 *     - {cases: "mbind_backing.io_uring_registered.strict", interface:
 *        [mbind-strict],
 *        backing: [io_uring-registered], condition: [quiet]}
 *     - {cases: "mbind_backing.uffd_registered.move", interface: [mbind-move,
 *        mbind-move-strict],
 *        backing: [uffd-registered], condition: [quiet]}
 *     - {cases: "mbind_backing.uffd_registered.move_all", interface:
 *        [mbind-move-all, mbind-move-strict],
 *        backing: [uffd-registered], condition: [quiet]}
 *     - {cases: "mbind_backing.uffd_registered.strict", interface:
 *        [mbind-strict],
 *        backing: [uffd-registered], condition: [quiet]}
 *   known:
 *     - cases: [mbind_backing.large_folio.move]
 *       kernels: ">=6.12"
 *       why: the target of a large folio that PTEs map is taken for partly
 *         mapped, so that the next migration splits it
 *       commit: known-issues/large-folio-splits-at-second-move.md; seen on 6.12
 *     - cases: [mbind_backing.ksm.move_all]
 *       kernels: "<6.7"
 *       why: the target of a KSM page is allocated by the policy of the task,
 *         not of the range
 *       commit: known-issues/mbind-of-ksm-by-task-policy.md; mended in 6.7
 */
#include "harness.h"

#include "backings.h"
#include "kernel.h"
#include "nodes.h"
#include "policy.h"
#include "scene.h"
#include "syscalls.h"

#define MOVE		MPOL_MF_MOVE
#define MOVE_ALL	MPOL_MF_MOVE_ALL
#define STRICT		MPOL_MF_STRICT

FIXTURE(mbind_backing)
{
	int a;
	int b;
	struct pages pages;
	struct area area;
	struct counters before;
	struct counters_want want;
};

FIXTURE_VARIANT(mbind_backing)
{
	const struct backing *backing;
};

BACKINGS(mbind_backing);

/* An area on node a, and the counters read. */
FIXTURE_SETUP(mbind_backing)
{
	FIND_TWO_NODES(self, return);
	/* What goes to b goes there by its policy, not to be near. */
	ASSERT_EQ(0, nodes_run_on(self->a));
	ASSERT_CLEAN(scene_area(&self->area, variant->backing, &self->pages,
				self->a));
	ASSERT_EQ(0, counters_read(&self->before));
}

FIXTURE_TEARDOWN(mbind_backing)
{
	area_release(&self->area);
}

static long bind_pages(struct pages *p, long count, int node, int flags)
{
	return numa_mbind(p->addr, count * PAGE_BYTES, MPOL_BIND, NODE(node),
			  flags);
}

static const char *bound_to(int node)
{
	return policy_text(MPOL_BIND, NODE(node));
}

/*
 * What the call is to return: EIO if anything was tried, and in vain. Before
 * 6.7, queue_pages_pte_range() takes a large folio that it meets again, one
 * PTE further, for one that cannot be moved.
 */
static long result(const struct area *area, long count, int node, int flags)
{
	const struct backing *b = area->backing;
	bool by_pte = b->mapped && kernel_before(6, 7);

	return (b->fate == FATE_PINNED || by_pte) && flags & STRICT &&
	       area_misplaced(area, count, node) ? -EIO : 0;
}

/* Bind the first @count pages to @node and look at all that came of it. */
#define BIND(count, node, flags, what) do {				\
	struct area *area = &self->area;				\
									\
	EXPECT_EQ(result(area, count, node, flags),			\
		  bind_pages(&self->pages, count, node, flags));	\
	if (area_moves(area, flags))					\
		area_want(area, 0, count, node);			\
	area->policy = node;						\
	area_count(area, &self->want, count, node, flags);		\
	EXPECT_CLEAN(area_verify(area, what));				\
	EXPECT_CLEAN(counters_verify_all(&self->before, &self->want));	\
	EXPECT_STREQ(bound_to(node), pages_policy(&self->pages, 0));	\
} while (0)

/* There and back, and then whatever the kind shows at its end. */
TEST_F(mbind_backing, move)
{
	const long all = self->pages.count;

	BIND(all, self->b, MOVE, "MOVE to b");
	ASSERT_CLEAN(pages_snapshot(&self->pages));
	BIND(all, self->a, MOVE | STRICT, "MOVE | STRICT back to a");
	EXPECT_CLEAN(area_finish(&self->area));
}

/* Half of it, of which the other half sees nothing, and then the rest. */
TEST_F(mbind_backing, move_all)
{
	const long all = self->pages.count;

	BIND(all / 2, self->b, MOVE_ALL, "MOVE_ALL, half of it");
	ASSERT_CLEAN(pages_snapshot(&self->pages));
	BIND(all, self->b, MOVE_ALL | STRICT, "MOVE_ALL | STRICT, the rest");
	EXPECT_CLEAN(area_finish(&self->area));
}

TEST_F(mbind_backing, strict)
{
	const bool found = variant->backing->fate != FATE_ABSENT;
	struct area *area = &self->area;

	EXPECT_EQ(found ? -EIO : 0, bind_pages(&self->pages, self->pages.count,
					       self->b, STRICT));
	EXPECT_CLEAN(area_verify(area, "STRICT alone"));
	EXPECT_CLEAN(counters_verify_all(&self->before, &self->want));
	EXPECT_STREQ(found ? "default" : bound_to(self->b),
		     pages_policy(&self->pages, 0));
	if (!found)
		area->policy = self->b;
	EXPECT_CLEAN(area_finish(area));
}

TEST_HARNESS_MAIN
