// SPDX-License-Identifier: GPL-2.0-only
/*
 * set_mempolicy(2) and each kind of memory: it moves none of it, and decides on
 * which node the next page is allocated, be it by a fault, by a write(2) or a
 * read from the disk, by userfaultfd or by io_uring. The policy of a range comes
 * first (get_vma_policy() in mm/mempolicy.c of 6.12), but for the page cache,
 * whose pages belong to no range (filemap_alloc_folio_noprof(), mm/filemap.c).
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, TRANSPARENT_HUGEPAGE,
 *     HUGETLBFS, KSM, SWAP, USERFAULTFD, IO_URING, EXT4_FS, BLK_DEV_RAM, SYSVIPC]
 *   scope: file   # each case puts back all that it changes
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     "set_mempolicy_backing.swapped_out.*": {swap_mib: 64}
 *     "set_mempolicy_backing.swap_cache.*": {swap_mib: 64}
 *   quick:
 *     - set_mempolicy_backing.shmem.bind
 *     - set_mempolicy_backing.file_clean.below_the_range
 *   contract:
 *     11: ["set_mempolicy_backing.swap*"]
 *     12: ["set_mempolicy_backing.*"]
 *   covers:
 *     - {cases: "set_mempolicy_backing.anon_private.*",
 *        interface: set_mempolicy, backing: anon-private, condition: quiet}
 *     - {cases: "set_mempolicy_backing.anon_shared.*",
 *        interface: set_mempolicy, backing: anon-shared, condition: quiet}
 *     - {cases: "set_mempolicy_backing.mlocked.*",
 *        interface: set_mempolicy, backing: mlocked, condition: quiet}
 *     - {cases: "set_mempolicy_backing.zero_page.*",
 *        interface: set_mempolicy, backing: zero-page, condition: quiet}
 *     - {cases: "set_mempolicy_backing.thp.*",
 *        interface: set_mempolicy, backing: thp, condition: quiet}
 *     - {cases: "set_mempolicy_backing.thp_partly_mapped.*",
 *        interface: set_mempolicy, backing: thp-partly-mapped,
 *        condition: quiet}
 *     - {cases: "set_mempolicy_backing.large_folio.*",
 *        interface: set_mempolicy, backing: large-folio, condition: quiet}
 *     - {cases: "set_mempolicy_backing.hugetlb_private.*",
 *        interface: set_mempolicy, backing: hugetlb-private, condition: quiet}
 *     - {cases: "set_mempolicy_backing.hugetlb_shared.*",
 *        interface: set_mempolicy, backing: hugetlb-shared, condition: quiet}
 *     - {cases: "set_mempolicy_backing.file_clean.*",
 *        interface: set_mempolicy, backing: file-clean, condition: quiet}
 *     - {cases: "set_mempolicy_backing.file_dirty.*",
 *        interface: set_mempolicy, backing: file-dirty, condition: quiet}
 *     - {cases: "set_mempolicy_backing.file_cow.*",
 *        interface: set_mempolicy, backing: file-cow, condition: quiet}
 *     - {cases: "set_mempolicy_backing.file_shared.*",
 *        interface: set_mempolicy, backing: file-shared, condition: quiet}
 *     - {cases: "set_mempolicy_backing.file_shared_by_two.*",
 *        interface: set_mempolicy, backing: file-shared, condition: quiet}
 *     - {cases: "set_mempolicy_backing.text.*",
 *        interface: set_mempolicy, backing: text, condition: quiet}
 *     - {cases: "set_mempolicy_backing.shmem.*",
 *        interface: set_mempolicy, backing: shmem, condition: quiet}
 *     - {cases: "set_mempolicy_backing.sysv_shm.*",
 *        interface: set_mempolicy, backing: sysv-shm, condition: quiet}
 *     - {cases: "set_mempolicy_backing.memfd_sealed.*",
 *        interface: set_mempolicy, backing: memfd-sealed, condition: quiet}
 *     - {cases: "set_mempolicy_backing.swapped_out.*",
 *        interface: set_mempolicy, backing: swapped-out, condition: quiet}
 *     - {cases: "set_mempolicy_backing.swap_cache.*",
 *        interface: set_mempolicy, backing: swap-cache, condition: quiet}
 *     - {cases: "set_mempolicy_backing.ksm.*",
 *        interface: set_mempolicy, backing: ksm, condition: quiet}
 *     - {cases: "set_mempolicy_backing.vmspliced.*",
 *        interface: set_mempolicy, backing: vmspliced, condition: quiet}
 *     - {cases: "set_mempolicy_backing.io_uring_registered.*",
 *        interface: set_mempolicy, backing: io_uring-registered,
 *        condition: quiet}
 *     - {cases: "set_mempolicy_backing.uffd_registered.*",
 *        interface: set_mempolicy, backing: uffd-registered, condition: quiet}
 */
#include "harness.h"

#include "backing_new.h"
#include "backings.h"
#include "nodes.h"
#include "policy.h"
#include "scene.h"
#include "syscalls.h"

FIXTURE(set_mempolicy_backing)
{
	int a;
	int b;
	struct pages pages;
	struct area area;
	struct counters before;
};

FIXTURE_VARIANT(set_mempolicy_backing)
{
	const struct backing *backing;
};

BACKINGS(set_mempolicy_backing);

/* An area that is still empty; the thread runs on a, which is its local node. */
FIXTURE_SETUP(set_mempolicy_backing)
{
	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, nodes_run_on(self->a));
	ASSERT_EQ(0, area_map(&self->area, variant->backing, &self->pages,
			      self->a));
}

FIXTURE_TEARDOWN(set_mempolicy_backing)
{
	area_release(&self->area);
}

/* It is on a, and this is noted. */
#define START_ON_A() do {						\
	ASSERT_CLEAN(scene_fill_area(&self->area));			\
	ASSERT_EQ(0, counters_read(&self->before));			\
} while (0)

/* "" if the task has this policy, and no range has one. */
static const char *task_policy(const struct area *area, int mode, int node)
{
	unsigned long nodes = 0;
	int seen;

	if (numa_get_mempolicy(&seen, &nodes, NULL, 0) || seen != mode ||
	    nodes != NODE(node))
		return "get_mempolicy(2) tells another policy of the task";
	return strcmp("default", pages_policy(area->pages, 0)) ?
	       "the range has got a policy" : "";
}

TEST_F(set_mempolicy_backing, present_pages)
{
	struct area *area = &self->area;

	START_ON_A();
	EXPECT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(self->b)));
	EXPECT_CLEAN(task_policy(area, MPOL_BIND, self->b));
	EXPECT_CLEAN(area_verify(area, "the task is bound to b"));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
	EXPECT_CLEAN(area_finish_by_policy(area, self->b));
}

#define EXPECT_NEW_ON_B(mode, what) do {				\
	struct area *area = &self->area;				\
									\
	EXPECT_EQ(0, numa_set_mempolicy(mode, NODE(self->b)));		\
	EXPECT_CLEAN(area_fill_by_policy(area, self->b, what));		\
	EXPECT_CLEAN(task_policy(area, mode, self->b));			\
	EXPECT_CLEAN(area_finish_by_policy(area, self->b));		\
} while (0)

TEST_F(set_mempolicy_backing, bind)
{
	EXPECT_NEW_ON_B(MPOL_BIND, "new pages, bound to b");
}

TEST_F(set_mempolicy_backing, prefer)
{
	EXPECT_NEW_ON_B(MPOL_PREFERRED, "new pages, b preferred");
}

TEST_F(set_mempolicy_backing, below_the_range)
{
	const int node = variant->backing->page_cache ? self->b : self->a;
	struct area *area = &self->area;

	ASSERT_EQ(0, area_bind_range(area, MPOL_BIND, NODE(self->a)));
	EXPECT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(self->b)));
	EXPECT_CLEAN(area_fill_by_policy(area, node, "the range bound to a"));
	EXPECT_STREQ(policy_text(MPOL_BIND, NODE(self->a)),
		     pages_policy(area->pages, 0));
	EXPECT_CLEAN(area_finish_by_policy(area, node));
}

TEST_HARNESS_MAIN
