// SPDX-License-Identifier: GPL-2.0-only
/*
 * set_mempolicy_home_node(2) of a range of each kind of memory, bound to two
 * nodes while the thread runs on the first: nothing moves, and new pages come
 * from the second once it is their home. The page cache has pages of no range:
 * they stay local. Since 5.17.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, TRANSPARENT_HUGEPAGE,
 *     HUGETLBFS, KSM, SWAP, USERFAULTFD, IO_URING, EXT4_FS, BLK_DEV_RAM, SYSVIPC]
 *   scope: file   # each case puts back all that it changes
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     "home_node_backing.swapped_out.*": {swap_mib: 64}
 *     "home_node_backing.swap_cache.*": {swap_mib: 64}
 *   quick: [home_node_backing.hugetlb_shared.bind]
 *   contract:
 *     7: ["home_node_backing.*"]
 *     11: ["home_node_backing.swap*"]
 *     12: ["home_node_backing.*"]
 *   covers:
 *     - {cases: "home_node_backing.anon_private.*",
 *        interface: home_node, backing: anon-private, condition: quiet}
 *     - {cases: "home_node_backing.anon_shared.*",
 *        interface: home_node, backing: anon-shared, condition: quiet}
 *     - {cases: "home_node_backing.mlocked.*",
 *        interface: home_node, backing: mlocked, condition: quiet}
 *     - {cases: "home_node_backing.zero_page.*",
 *        interface: home_node, backing: zero-page, condition: quiet}
 *     - {cases: "home_node_backing.thp.*",
 *        interface: home_node, backing: thp, condition: quiet}
 *     - {cases: "home_node_backing.thp_partly_mapped.*",
 *        interface: home_node, backing: thp-partly-mapped, condition: quiet}
 *     - {cases: "home_node_backing.large_folio.*",
 *        interface: home_node, backing: large-folio, condition: quiet}
 *     - {cases: "home_node_backing.hugetlb_private.*",
 *        interface: home_node, backing: hugetlb-private, condition: quiet}
 *     - {cases: "home_node_backing.hugetlb_shared.*",
 *        interface: home_node, backing: hugetlb-shared, condition: quiet}
 *     - {cases: "home_node_backing.file_clean.*",
 *        interface: home_node, backing: file-clean, condition: quiet}
 *     - {cases: "home_node_backing.file_dirty.*",
 *        interface: home_node, backing: file-dirty, condition: quiet}
 *     - {cases: "home_node_backing.file_cow.*",
 *        interface: home_node, backing: file-cow, condition: quiet}
 *     - {cases: "home_node_backing.file_shared.*",
 *        interface: home_node, backing: file-shared, condition: quiet}
 *     - {cases: "home_node_backing.file_shared_by_two.*",
 *        interface: home_node, backing: file-shared, condition: quiet}
 *     - {cases: "home_node_backing.text.*",
 *        interface: home_node, backing: text, condition: quiet}
 *     - {cases: "home_node_backing.shmem.*",
 *        interface: home_node, backing: shmem, condition: quiet}
 *     - {cases: "home_node_backing.sysv_shm.*",
 *        interface: home_node, backing: sysv-shm, condition: quiet}
 *     - {cases: "home_node_backing.memfd_sealed.*",
 *        interface: home_node, backing: memfd-sealed, condition: quiet}
 *     - {cases: "home_node_backing.swapped_out.*",
 *        interface: home_node, backing: swapped-out, condition: quiet}
 *     - {cases: "home_node_backing.swap_cache.*",
 *        interface: home_node, backing: swap-cache, condition: quiet}
 *     - {cases: "home_node_backing.ksm.*",
 *        interface: home_node, backing: ksm, condition: quiet}
 *     - {cases: "home_node_backing.vmspliced.*",
 *        interface: home_node, backing: vmspliced, condition: quiet}
 *     - {cases: "home_node_backing.io_uring_registered.*",
 *        interface: home_node, backing: io_uring-registered, condition: quiet}
 *     - {cases: "home_node_backing.uffd_registered.*",
 *        interface: home_node, backing: uffd-registered, condition: quiet}
 */
#include "harness.h"

#include "backing_new.h"
#include "backings.h"
#include "kernel.h"
#include "nodes.h"
#include "policy.h"
#include "scene.h"
#include "syscalls.h"

FIXTURE(home_node_backing)
{
	int a;
	int b;
	struct pages pages;
	struct area area;
	struct counters before;
};

FIXTURE_VARIANT(home_node_backing)
{
	const struct backing *backing;
};

BACKINGS(home_node_backing);

/* An area that is still empty; the thread runs on a, which is its local node. */
FIXTURE_SETUP(home_node_backing)
{
	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, nodes_run_on(self->a));
	ASSERT_EQ(0, area_map(&self->area, variant->backing, &self->pages,
			      self->a));
}

FIXTURE_TEARDOWN(home_node_backing)
{
	area_release(&self->area);
}

/* It is on a, and this is noted. */
#define START_ON_A() do {						\
	ASSERT_CLEAN(scene_fill_area(&self->area));			\
	ASSERT_EQ(0, counters_read(&self->before));			\
} while (0)

/*
 * Where new pages of the range come to be. Before alloc_pages_mpol() of 6.7
 * (ddc1a5cbc05d, "mempolicy: alloc_pages_mpol() for NUMA policy without vma"),
 * vma_alloc_folio() allocates a huge page on the node of the thread where
 * MPOL_BIND allows that, and does not ask for the home.
 */
static int node_of_new(const struct area *area, int mode, int local, int home)
{
	if (area->backing->page_cache)
		return local;
	return area->backing->thp && mode == MPOL_BIND && kernel_before(6, 7) ?
	       local : home;
}

static long set_home(const struct area *area, int mode, int a, int b)
{
	return area_bind_range(area, mode, NODE(a) | NODE(b)) ? :
	       area_give_home(area, b);
}

TEST_F(home_node_backing, present_pages)
{
	struct area *area = &self->area;

	START_ON_A();
	EXPECT_EQ(0, set_home(area, MPOL_BIND, self->a, self->b));
	EXPECT_CLEAN(area_verify(area, "a home on b"));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
	EXPECT_CLEAN(area_finish_by_policy(area, self->b));
}

#define EXPECT_NEW_AT_HOME(mode, what) do {				\
	struct area *area = &self->area;				\
	int node = node_of_new(area, mode, self->a, self->b);		\
									\
	EXPECT_EQ(0, set_home(area, mode, self->a, self->b));		\
	EXPECT_CLEAN(area_fill_by_policy(area, node, what));		\
	/* What the interfaces tell has no home in it. */		\
	EXPECT_STREQ(policy_text(mode, NODE(self->a) | NODE(self->b)),	\
		     pages_policy(area->pages, 0));			\
	EXPECT_CLEAN(area_finish_by_policy(area, node));		\
} while (0)

TEST_F(home_node_backing, bind)
{
	EXPECT_NEW_AT_HOME(MPOL_BIND, "new pages, bound, their home b");
}

TEST_F(home_node_backing, prefer_many)
{
	EXPECT_NEW_AT_HOME(MPOL_PREFERRED_MANY, "new pages, their home b");
}

TEST_HARNESS_MAIN
