// SPDX-License-Identifier: GPL-2.0-only
/*
 * MADV_PAGEOUT of each kind of memory on node a, under a policy that binds it
 * to node b: nothing is migrated, and what comes back from the disk comes to
 * where the policy says. By madvise(2) and, of a child, process_madvise(2).
 *
 * What goes out is what madvise_cold_or_pageout_pte_range() in mm/madvise.c and
 * shrink_folio_list() in mm/vmscan.c of 6.12 let go.
 *
 * testbed:
 *   nodes: 2
 *   swap_mib: 64
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, TRANSPARENT_HUGEPAGE,
 *     HUGETLBFS, KSM, SWAP, USERFAULTFD, IO_URING, EXT4_FS, BLK_DEV_RAM, SYSVIPC]
 *   features: []
 *   scope: file   # each case puts back all that it changes
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract:
 *     11:
 *       - "pageout_backing.anon_private.pageout"
 *       - "pageout_backing.swap*.pageout"
 *       - "pageout_backing.uffd_registered.pageout"
 *   covers:
 *     - {cases: "pageout_backing.anon_private.pageout", interface: [pageout],
 *        backing: [anon-private], condition: [quiet]}
 *     - {cases: "pageout_backing.anon_private.process_madvise", interface:
 *        [process_madvise],
 *        backing: [anon-private], condition: [quiet]}
 *     - {cases: "pageout_backing.anon_shared.pageout", interface: [pageout],
 *        backing: [anon-shared], condition: [quiet]}
 *     - {cases: "pageout_backing.anon_shared.process_madvise", interface:
 *        [process_madvise],
 *        backing: [anon-shared], condition: [quiet]}
 *     - {cases: "pageout_backing.mlocked.pageout", interface: [pageout],
 *        backing: [mlocked], condition: [quiet]}
 *     - {cases: "pageout_backing.mlocked.process_madvise", interface:
 *        [process_madvise],
 *        backing: [mlocked], condition: [quiet]}
 *     - {cases: "pageout_backing.zero_page.pageout", interface: [pageout],
 *        backing: [zero-page], condition: [quiet]}
 *     - {cases: "pageout_backing.zero_page.process_madvise", interface:
 *        [process_madvise],
 *        backing: [zero-page], condition: [quiet]}
 *     - {cases: "pageout_backing.thp.pageout", interface: [pageout],
 *        backing: [thp], condition: [quiet]}
 *     - {cases: "pageout_backing.thp.process_madvise", interface:
 *        [process_madvise],
 *        backing: [thp], condition: [quiet]}
 *     - {cases: "pageout_backing.thp_partly_mapped.pageout", interface:
 *        [pageout],
 *        backing: [thp-partly-mapped], condition: [quiet]}
 *     - {cases: "pageout_backing.thp_partly_mapped.process_madvise", interface:
 *        [process_madvise],
 *        backing: [thp-partly-mapped], condition: [quiet]}
 *     - {cases: "pageout_backing.large_folio.pageout", interface: [pageout],
 *        backing: [large-folio], condition: [quiet]}
 *     - {cases: "pageout_backing.large_folio.process_madvise", interface:
 *        [process_madvise],
 *        backing: [large-folio], condition: [quiet]}
 *     - {cases: "pageout_backing.hugetlb_private.pageout", interface:
 *        [pageout],
 *        backing: [hugetlb-private], condition: [quiet]}
 *     - {cases: "pageout_backing.hugetlb_private.process_madvise", interface:
 *        [process_madvise],
 *        backing: [hugetlb-private], condition: [quiet]}
 *     - {cases: "pageout_backing.hugetlb_shared.pageout", interface: [pageout],
 *        backing: [hugetlb-shared], condition: [quiet]}
 *     - {cases: "pageout_backing.hugetlb_shared.process_madvise", interface:
 *        [process_madvise],
 *        backing: [hugetlb-shared], condition: [quiet]}
 *     - {cases: "pageout_backing.file_clean.pageout", interface: [pageout],
 *        backing: [file-clean], condition: [quiet]}
 *     - {cases: "pageout_backing.file_clean.process_madvise", interface:
 *        [process_madvise],
 *        backing: [file-clean], condition: [quiet]}
 *     - {cases: "pageout_backing.file_dirty.pageout", interface: [pageout],
 *        backing: [file-dirty], condition: [quiet]}
 *     - {cases: "pageout_backing.file_dirty.process_madvise", interface:
 *        [process_madvise],
 *        backing: [file-dirty], condition: [quiet]}
 *     - {cases: "pageout_backing.file_cow.pageout", interface: [pageout],
 *        backing: [file-cow], condition: [quiet]}
 *     - {cases: "pageout_backing.file_cow.process_madvise", interface:
 *        [process_madvise],
 *        backing: [file-cow], condition: [quiet]}
 *     - {cases: "pageout_backing.file_shared.pageout", interface: [pageout],
 *        backing: [file-shared], condition: [quiet]}
 *     - {cases: "pageout_backing.file_shared.process_madvise", interface:
 *        [process_madvise],
 *        backing: [file-shared], condition: [quiet]}
 *     - {cases: "pageout_backing.file_shared_by_two.pageout", interface:
 *        [pageout],
 *        backing: [file-shared], condition: [quiet]}
 *     - {cases: "pageout_backing.file_shared_by_two.process_madvise",
 *        interface: [process_madvise],
 *        backing: [file-shared], condition: [quiet]}
 *     - {cases: "pageout_backing.text.pageout", interface: [pageout],
 *        backing: [text], condition: [quiet]}
 *     - {cases: "pageout_backing.text.process_madvise", interface:
 *        [process_madvise],
 *        backing: [text], condition: [quiet]}
 *     - {cases: "pageout_backing.shmem.pageout", interface: [pageout],
 *        backing: [shmem], condition: [quiet]}
 *     - {cases: "pageout_backing.shmem.process_madvise", interface:
 *        [process_madvise],
 *        backing: [shmem], condition: [quiet]}
 *     - {cases: "pageout_backing.sysv_shm.pageout", interface: [pageout],
 *        backing: [sysv-shm], condition: [quiet]}
 *     - {cases: "pageout_backing.sysv_shm.process_madvise", interface:
 *        [process_madvise],
 *        backing: [sysv-shm], condition: [quiet]}
 *     - {cases: "pageout_backing.memfd_sealed.pageout", interface: [pageout],
 *        backing: [memfd-sealed], condition: [quiet]}
 *     - {cases: "pageout_backing.memfd_sealed.process_madvise", interface:
 *        [process_madvise],
 *        backing: [memfd-sealed], condition: [quiet]}
 *     - {cases: "pageout_backing.swapped_out.pageout", interface: [pageout],
 *        backing: [swapped-out], condition: [quiet]}
 *     - {cases: "pageout_backing.swapped_out.process_madvise", interface:
 *        [process_madvise],
 *        backing: [swapped-out], condition: [quiet]}
 *     - {cases: "pageout_backing.swap_cache.pageout", interface: [pageout],
 *        backing: [swap-cache], condition: [quiet]}
 *     - {cases: "pageout_backing.swap_cache.process_madvise", interface:
 *        [process_madvise],
 *        backing: [swap-cache], condition: [quiet]}
 *     - {cases: "pageout_backing.ksm.pageout", interface: [pageout],
 *        backing: [ksm], condition: [quiet]}
 *     - {cases: "pageout_backing.ksm.process_madvise", interface:
 *        [process_madvise],
 *        backing: [ksm], condition: [quiet]}
 *     - {cases: "pageout_backing.vmspliced.pageout", interface: [pageout],
 *        backing: [vmspliced], condition: [quiet]}
 *     - {cases: "pageout_backing.vmspliced.process_madvise", interface:
 *        [process_madvise],
 *        backing: [vmspliced], condition: [quiet]}
 *     - {cases: "pageout_backing.io_uring_registered.pageout", interface:
 *        [pageout],
 *        backing: [io_uring-registered], condition: [quiet]}
 *     - {cases: "pageout_backing.io_uring_registered.process_madvise",
 *        interface: [process_madvise],
 *        backing: [io_uring-registered], condition: [quiet]}
 *     - {cases: "pageout_backing.uffd_registered.pageout", interface:
 *        [pageout],
 *        backing: [uffd-registered], condition: [quiet]}
 *     - {cases: "pageout_backing.uffd_registered.process_madvise", interface:
 *        [process_madvise],
 *        backing: [uffd-registered], condition: [quiet]}
 */
#include <sched.h>
#include <sys/uio.h>

#include <linux/kernel-page-flags.h>

#include "harness.h"

#include "backing_child.h"
#include "backings.h"
#include "deadline.h"
#include "metric.h"
#include "nodes.h"
#include "placement.h"
#include "scene.h"
#include "syscalls.h"

#define DEADLINE_US	10e6

enum outcome {
	/* To the swap disk, and back under the policy of the range. */
	OUT,
	/* Dropped, for the file has it; page cache comes where the task is. */
	DROPPED,
	/* Unmapped, and written; in the swap cache until memory is short. */
	TO_SWAP_CACHE,
	/* Unmapped, but in memory still, as the same page. */
	UNMAPPED_ONLY,
	/* Others map it, or it is pinned or the zero page: as it was. */
	STAYS,
	/* EINVAL: can_madv_lru_vma() is for neither locked nor huge pages. */
	REFUSED,
};

FIXTURE(pageout_backing)
{
	int a;
	int b;
	struct area_child child;
	struct counters before;
};

FIXTURE_VARIANT(pageout_backing)
{
	const struct backing *backing;
};

BACKINGS(pageout_backing);

/* The rest stays. */
static const struct backing_outcome outcomes[] = {
	{ &backing_anon_private, OUT },
	{ &backing_anon_shared, TO_SWAP_CACHE },
	{ &backing_mlocked, REFUSED },
	{ &backing_thp, OUT },
	{ &backing_thp_partly_mapped, OUT },
	{ &backing_large_folio, OUT },
	{ &backing_hugetlb_private, REFUSED },
	{ &backing_hugetlb_shared, REFUSED },
	{ &backing_file_clean, DROPPED },
	/* Only kswapd writes page cache back. */
	{ &backing_file_dirty, UNMAPPED_ONLY },
	{ &backing_file_cow, OUT },
	{ &backing_shmem, TO_SWAP_CACHE },
	{ &backing_sysv_shm, TO_SWAP_CACHE },
	{ &backing_memfd_sealed, TO_SWAP_CACHE },
	{ &backing_swapped_out, OUT },
	{ &backing_swap_cache, OUT },
	/* The reference of the pipe keeps it in the swap cache. */
	{ &backing_vmspliced, UNMAPPED_ONLY },
	{ &backing_uffd_registered, OUT },
	{ NULL },
};

static enum outcome outcome_of(const struct backing *backing)
{
	return backing_outcome(outcomes, backing, STAYS);
}

/* An area to be on node a; nothing is filled yet. */
FIXTURE_SETUP(pageout_backing)
{
	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, area_child_map(&self->child, variant->backing, self->a));
}

FIXTURE_TEARDOWN(pageout_backing)
{
	area_release(&self->child.area);
}

/* Not all of it is mapped, or all that should be. */
static bool is_mapped(struct area *area)
{
	struct pages *p = area->pages;
	int status[p->count];
	long i;

	if (placement_query(p->pid, p->addr, p->count, status))
		return true;
	for (i = 0; i < p->count; i++)
		if (status[i] >= 0)
			return true;
	return false;
}

static long page_out(struct area *area)
{
	struct pages *p = area->pages;

	return kernel_result(madvise(p->addr, p->count * PAGE_BYTES,
				     MADV_PAGEOUT));
}

/* Where it is back from the disk: all that there is, on @node. */
static const char *back_on(struct area *area, int node)
{
	const char *problem;

	area_want_all(area, node);
	if (area->backing->fate == FATE_ABSENT)
		pages_want_all(area->pages, node);
	problem = area_read_back(area);
	/* Large folios come back as small ones, swap entries as pages. */
	if (*problem || area->folio > 1 || area->backing->fate == FATE_ABSENT)
		return problem;
	return area->backing->check(area);
}

/* Still the same pages, once they are mapped again and no more written. */
static const char *back_as_they_were(struct area *area)
{
	double deadline = deadline_after_us(DEADLINE_US);

	if (is_mapped(area))
		return "pages are still mapped";
	if (pages_bad(area->pages))
		return "pages lost their content";
	while (*area_has_flags(area, 0, 1UL << KPF_WRITEBACK) &&
	       metric_now_us() < deadline)
		usleep(1000);
	return area_verify(area, "mapped again, once paged out");
}

static const char *came_of(struct area *area, enum outcome outcome, int a, int b)
{
	const char *problem;

	switch (outcome) {
	case OUT:
		problem = area_page_out(area);
		return *problem ? problem : back_on(area, b);
	case DROPPED:
		problem = area_page_out(area);
		return *problem ? problem : back_on(area, a);
	case TO_SWAP_CACHE:
		return is_mapped(area) ? "pages are still mapped" :
					 area_content(area);
	case UNMAPPED_ONLY:
		return back_as_they_were(area);
	default:
		return area_verify(area, "MADV_PAGEOUT");
	}
}

static int stay_on_first_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

TEST_F(pageout_backing, pageout)
{
	const enum outcome outcome = outcome_of(variant->backing);
	struct area *area = &self->child.area;
	struct pages *p = area->pages;

	/* The first CPU is one of the first node: local is a. */
	ASSERT_EQ(0, stay_on_first_cpu());
	ASSERT_EQ(0, area_fill(area));
	ASSERT_EQ(0, numa_mbind(p->addr, p->count * PAGE_BYTES, MPOL_BIND,
				NODE(self->b), 0));
	ASSERT_EQ(0, area_drain(area));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_CLEAN(variant->backing->check(area));
	ASSERT_EQ(0, counters_read(&self->before));
	EXPECT_EQ(outcome == REFUSED ? -EINVAL : 0, page_out(area));
	EXPECT_CLEAN(came_of(area, outcome, self->a, self->b));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
	area->policy = self->b;
	EXPECT_CLEAN(area_finish(area));
}

static long page_out_of(pid_t pid, struct pages *p)
{
	int fd = syscall(SYS_pidfd_open, pid, 0);
	struct iovec range = {
		.iov_base = p->addr,
		.iov_len = p->count * PAGE_BYTES,
	};
	long result;

	if (fd < 0)
		return -errno;
	result = kernel_result(syscall(SYS_process_madvise, fd, &range, 1,
				       MADV_PAGEOUT, 0));
	close(fd);
	return result;
}

static const char *what_of_child(struct area *area, enum outcome outcome)
{
	if (outcome == STAYS || outcome == REFUSED)
		return area_verify(area, "as process_madvise(2) has it");
	return is_mapped(area) ? "pages are still mapped" : "";
}

TEST_F(pageout_backing, process_madvise)
{
	const enum outcome outcome = outcome_of(variant->backing);
	struct area_child *c = &self->child;
	struct pages *p = &c->subject.pages;

	ASSERT_EQ(0, area_child_start(c));
	ASSERT_EQ(0, area_drain(&c->area));
	ASSERT_CLEAN(area_child_look(c));
	ASSERT_EQ(0, counters_read(&self->before));
	EXPECT_EQ(outcome == REFUSED ? -EINVAL :
		  (long)(p->count * PAGE_BYTES), page_out_of(p->pid, p));
	EXPECT_CLEAN(what_of_child(&c->area, outcome));
	EXPECT_EQ(0, holder_bad(&c->subject.holder));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
	EXPECT_EQ(0, area_child_finish(c));
}

TEST_HARNESS_MAIN
