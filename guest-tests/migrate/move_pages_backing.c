// SPDX-License-Identifier: GPL-2.0-only
/*
 * move_pages(2) on each kind of memory: lib/backings.h says of each what
 * becomes of it. What is common is what do_pages_move() in mm/migrate.c of
 * 6.12 says: a page that others map is EACCES but to MOVE_ALL; one that is not
 * there is ENOENT, the zero page EFAULT; a page that was tried in vain counts
 * in the result, and no status from there on is written.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, TRANSPARENT_HUGEPAGE,
 *     HUGETLBFS, KSM, SWAP, USERFAULTFD, IO_URING, EXT4_FS, BLK_DEV_RAM, SYSVIPC]
 *   features: []
 *   scope: file   # each case puts back all that it changes
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     move_pages_backing.swapped_out.set: {swap_mib: 64}
 *     move_pages_backing.swapped_out.set_all: {swap_mib: 64}
 *     move_pages_backing.swapped_out.query: {swap_mib: 64}
 *     move_pages_backing.swap_cache.set: {swap_mib: 64}
 *     move_pages_backing.swap_cache.set_all: {swap_mib: 64}
 *     move_pages_backing.swap_cache.query: {swap_mib: 64}
 *   quick:
 *     - move_pages_backing.zero_page.query
 *     - move_pages_backing.thp.set
 *     - move_pages_backing.hugetlb_shared.set
 *   contract:
 *     9:
 *       - "move_pages_backing.*.query"
 *       - "move_pages_backing.thp.*"
 *       - "move_pages_backing.hugetlb*"
 *     11: ["move_pages_backing.swap*"]
 *     12: ["move_pages_backing.*"]
 *     15:
 *       - "move_pages_backing.vmspliced.set*"
 *       - "move_pages_backing.io_uring_registered.set*"
 *   promises:
 *     addresses-kept: ["move_pages_backing.*.set"]
 *   covers:
 *     - {cases: "move_pages_backing.anon_private.set*", interface:
 *        [move_pages-set],
 *        backing: [anon-private], condition: [quiet]}
 *     - {cases: "move_pages_backing.anon_private.query", interface:
 *        [move_pages-query],
 *        backing: [anon-private], condition: [quiet]}
 *     - {cases: "move_pages_backing.anon_shared.set*", interface:
 *        [move_pages-set],
 *        backing: [anon-shared], condition: [quiet]}
 *     - {cases: "move_pages_backing.anon_shared.query", interface:
 *        [move_pages-query],
 *        backing: [anon-shared], condition: [quiet]}
 *     - {cases: "move_pages_backing.mlocked.set*", interface: [move_pages-set],
 *        backing: [mlocked], condition: [quiet]}
 *     - {cases: "move_pages_backing.mlocked.query", interface:
 *        [move_pages-query],
 *        backing: [mlocked], condition: [quiet]}
 *     - {cases: "move_pages_backing.zero_page.set*", interface:
 *        [move_pages-set],
 *        backing: [zero-page], condition: [quiet]}
 *     - {cases: "move_pages_backing.zero_page.query", interface:
 *        [move_pages-query],
 *        backing: [zero-page], condition: [quiet]}
 *     - {cases: "move_pages_backing.thp.set*", interface: [move_pages-set],
 *        backing: [thp], condition: [quiet]}
 *     - {cases: "move_pages_backing.thp.query", interface: [move_pages-query],
 *        backing: [thp], condition: [quiet]}
 *     - {cases: "move_pages_backing.thp_partly_mapped.set*", interface:
 *        [move_pages-set],
 *        backing: [thp-partly-mapped], condition: [quiet]}
 *     - {cases: "move_pages_backing.thp_partly_mapped.query", interface:
 *        [move_pages-query],
 *        backing: [thp-partly-mapped], condition: [quiet]}
 *     - {cases: "move_pages_backing.large_folio.set*", interface:
 *        [move_pages-set],
 *        backing: [large-folio], condition: [quiet]}
 *     - {cases: "move_pages_backing.large_folio.query", interface:
 *        [move_pages-query],
 *        backing: [large-folio], condition: [quiet]}
 *     - {cases: "move_pages_backing.hugetlb_private.set*", interface:
 *        [move_pages-set],
 *        backing: [hugetlb-private], condition: [quiet]}
 *     - {cases: "move_pages_backing.hugetlb_private.query", interface:
 *        [move_pages-query],
 *        backing: [hugetlb-private], condition: [quiet]}
 *     - {cases: "move_pages_backing.hugetlb_shared.set*", interface:
 *        [move_pages-set],
 *        backing: [hugetlb-shared], condition: [quiet]}
 *     - {cases: "move_pages_backing.hugetlb_shared.query", interface:
 *        [move_pages-query],
 *        backing: [hugetlb-shared], condition: [quiet]}
 *     - {cases: "move_pages_backing.file_clean.set*", interface:
 *        [move_pages-set],
 *        backing: [file-clean], condition: [quiet]}
 *     - {cases: "move_pages_backing.file_clean.query", interface:
 *        [move_pages-query],
 *        backing: [file-clean], condition: [quiet]}
 *     - {cases: "move_pages_backing.file_dirty.set*", interface:
 *        [move_pages-set],
 *        backing: [file-dirty], condition: [quiet]}
 *     - {cases: "move_pages_backing.file_dirty.query", interface:
 *        [move_pages-query],
 *        backing: [file-dirty], condition: [quiet]}
 *     - {cases: "move_pages_backing.file_cow.set*", interface:
 *        [move_pages-set],
 *        backing: [file-cow], condition: [quiet]}
 *     - {cases: "move_pages_backing.file_cow.query", interface:
 *        [move_pages-query],
 *        backing: [file-cow], condition: [quiet]}
 *     - {cases: "move_pages_backing.file_shared.set*", interface:
 *        [move_pages-set],
 *        backing: [file-shared], condition: [quiet]}
 *     - {cases: "move_pages_backing.file_shared.query", interface:
 *        [move_pages-query],
 *        backing: [file-shared], condition: [quiet]}
 *     - {cases: "move_pages_backing.file_shared_by_two.set*", interface:
 *        [move_pages-set],
 *        backing: [file-shared], condition: [quiet]}
 *     - {cases: "move_pages_backing.file_shared_by_two.query", interface:
 *        [move_pages-query],
 *        backing: [file-shared], condition: [quiet]}
 *     - {cases: "move_pages_backing.text.set*", interface: [move_pages-set],
 *        backing: [text], condition: [quiet]}
 *     - {cases: "move_pages_backing.text.query", interface: [move_pages-query],
 *        backing: [text], condition: [quiet]}
 *     - {cases: "move_pages_backing.shmem.set*", interface: [move_pages-set],
 *        backing: [shmem], condition: [quiet]}
 *     - {cases: "move_pages_backing.shmem.query", interface:
 *        [move_pages-query],
 *        backing: [shmem], condition: [quiet]}
 *     - {cases: "move_pages_backing.sysv_shm.set*", interface:
 *        [move_pages-set],
 *        backing: [sysv-shm], condition: [quiet]}
 *     - {cases: "move_pages_backing.sysv_shm.query", interface:
 *        [move_pages-query],
 *        backing: [sysv-shm], condition: [quiet]}
 *     - {cases: "move_pages_backing.memfd_sealed.set*", interface:
 *        [move_pages-set],
 *        backing: [memfd-sealed], condition: [quiet]}
 *     - {cases: "move_pages_backing.memfd_sealed.query", interface:
 *        [move_pages-query],
 *        backing: [memfd-sealed], condition: [quiet]}
 *     - {cases: "move_pages_backing.swapped_out.set*", interface:
 *        [move_pages-set],
 *        backing: [swapped-out], condition: [quiet]}
 *     - {cases: "move_pages_backing.swapped_out.query", interface:
 *        [move_pages-query],
 *        backing: [swapped-out], condition: [quiet]}
 *     - {cases: "move_pages_backing.swap_cache.set*", interface:
 *        [move_pages-set],
 *        backing: [swap-cache], condition: [quiet]}
 *     - {cases: "move_pages_backing.swap_cache.query", interface:
 *        [move_pages-query],
 *        backing: [swap-cache], condition: [quiet]}
 *     - {cases: "move_pages_backing.ksm.set*", interface: [move_pages-set],
 *        backing: [ksm], condition: [quiet]}
 *     - {cases: "move_pages_backing.ksm.query", interface: [move_pages-query],
 *        backing: [ksm], condition: [quiet]}
 *     - {cases: "move_pages_backing.vmspliced.set*", interface:
 *        [move_pages-set],
 *        backing: [vmspliced], condition: [quiet]}
 *     - {cases: "move_pages_backing.vmspliced.query", interface:
 *        [move_pages-query],
 *        backing: [vmspliced], condition: [quiet]}
 *     - {cases: "move_pages_backing.io_uring_registered.set*", interface:
 *        [move_pages-set],
 *        backing: [io_uring-registered], condition: [quiet]}
 *     - {cases: "move_pages_backing.io_uring_registered.query", interface:
 *        [move_pages-query],
 *        backing: [io_uring-registered], condition: [quiet]}
 *     - {cases: "move_pages_backing.uffd_registered.set*", interface:
 *        [move_pages-set],
 *        backing: [uffd-registered], condition: [quiet]}
 *     - {cases: "move_pages_backing.uffd_registered.query", interface:
 *        [move_pages-query],
 *        backing: [uffd-registered], condition: [quiet]}
 *   known:
 *     - cases: [move_pages_backing.large_folio.set]
 *       kernels: ">=6.12"
 *       why: the target of a large folio that PTEs map is taken for partly
 *         mapped, so that the next migration splits it
 *       commit: known-issues/large-folio-splits-at-second-move.md; seen on 6.12
 */
#include "harness.h"

#include "backings.h"
#include "peer.h"
#include "placement.h"
#include "scene.h"
#include "syscalls.h"

#define MOVE		MPOL_MF_MOVE
#define MOVE_ALL	MPOL_MF_MOVE_ALL

/* The largest area is two huge pages. */
#define MAX_PAGES	1024

/* What no kernel writes: an entry that still holds it was not written. */
#define UNWRITTEN	-12345

FIXTURE(move_pages_backing)
{
	int a;
	int b;
	struct pages pages;
	struct area area;
	struct counters before;
	struct counters_want want;
};

FIXTURE_VARIANT(move_pages_backing)
{
	const struct backing *backing;
};

BACKINGS(move_pages_backing);

/* An area on node a, and the counters read. */
FIXTURE_SETUP(move_pages_backing)
{
	FIND_TWO_NODES(self, return);
	ASSERT_CLEAN(scene_area(&self->area, variant->backing, &self->pages,
				self->a));
	ASSERT_EQ(0, counters_read(&self->before));
}

FIXTURE_TEARDOWN(move_pages_backing)
{
	area_release(&self->area);
}

/* The status of a page that was asked to go to @node. */
static int status_of(const struct area *area, int node, int flags)
{
	const struct backing *backing = area->backing;

	if (backing->fate == FATE_ABSENT)
		return backing->absent;
	if (!area_misplaced(area, area->pages->count, node))
		return node;
	if (backing->fate == FATE_PINNED)
		return UNWRITTEN;
	return area_moves(area, flags) ? node : -EACCES;
}

/* How many of @folios the call is to report as left behind. */
static long result(const struct area *area, long folios, int node)
{
	return area->backing->fate == FATE_PINNED &&
	       area_misplaced(area, area->pages->count, node) ? folios : 0;
}

/* What is asked for: one page of each folio, or each page of what was split. */
struct request {
	long count;
	void *addrs[MAX_PAGES];
	int nodes[MAX_PAGES];
	int status[MAX_PAGES];
	int want[MAX_PAGES];
};

static struct request request;

static void prepare(const struct area *area, int node, int flags)
{
	const struct backing *b = area->backing;
	const long step = b->thp && !area->thps ? 1 : area->folio;
	long i;

	request.count = 0;
	for (i = 0; i < b->count; i += step) {
		if (b->mapped && i % b->folio >= b->mapped)
			continue;
		request.addrs[request.count] = pages_at(area->pages, i);
		request.nodes[request.count] = node;
		request.status[request.count] = UNWRITTEN;
		request.want[request.count] = status_of(area, node, flags);
		request.count++;
	}
}

static long call(int flags)
{
	return numa_move_pages(0, request.count, request.addrs, request.nodes,
			       request.status, flags);
}

#define SET(node, flags, what) do {					\
	struct area *area = &self->area;				\
									\
	prepare(area, node, flags);					\
	EXPECT_EQ(result(area, request.count, node), call(flags));	\
	EXPECT_STREQ(placement_statuses(request.want, request.count),	\
		     placement_statuses(request.status, request.count)); \
	if (area_moves(area, flags))					\
		area_want_all(area, node);				\
	area_count(area, &self->want, self->pages.count, node, flags);	\
	EXPECT_CLEAN(area_verify(area, what));				\
	EXPECT_CLEAN(counters_verify_all(&self->before, &self->want));	\
} while (0)

/* There and back, and then whatever the kind shows at its end. */
TEST_F(move_pages_backing, set)
{
	SET(self->b, MOVE, "MOVE to b");
	ASSERT_CLEAN(pages_snapshot(&self->pages));
	SET(self->a, MOVE, "MOVE back to a");
	EXPECT_CLEAN(area_finish(&self->area));
}

TEST_F(move_pages_backing, set_all)
{
	SET(self->b, MOVE_ALL, "MOVE_ALL to b");
	EXPECT_CLEAN(area_finish(&self->area));
}

/* What a query answers, in the process itself and in another. */
static long query(struct pages *p, pid_t pid)
{
	int status[MAX_PAGES];
	long i, error = placement_query(pid, p->addr, p->count, status);

	for (i = 0; i < p->count && !error; i++)
		if (status[i] != p->want[i])
			error = status[i] ? : -1;
	return error;
}

/* Every page, tails too; nothing is faulted in, moved or changed by it. */
TEST_F(move_pages_backing, query)
{
	struct peer peer;
	long answer = -1;
	pid_t pid;

	EXPECT_EQ(0, query(&self->pages, 0));
	pid = peer_fork(&peer);
	ASSERT_LE(0, pid);
	if (pid == 0) {
		peer_send(&peer, query(&self->pages, peer.pid));
		_exit(0);
	}
	EXPECT_EQ(0, peer_receive(&peer, &answer));
	EXPECT_EQ(0, answer);
	EXPECT_EQ(0, peer_end(&peer));
	EXPECT_CLEAN(area_verify(&self->area, "after queries"));
	EXPECT_CLEAN(counters_verify_all(&self->before, &self->want));
}

TEST_HARNESS_MAIN
