// SPDX-License-Identifier: GPL-2.0-only
/*
 * move_pages(2) and migrate_pages(2) on pages of another process that it maps,
 * touches and unmaps all the while: base pages, huge pages and those of
 * hugetlbfs. What is found may be anything that there can be at such a moment;
 * what a page is told to be on a node for has to have been there, and when all
 * is over nothing is left: no page isolated, none missing in the pools.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, TRANSPARENT_HUGEPAGE,
 *     HUGETLBFS]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {14: ["freed.*"]}
 *   covers:
 *     - {cases: "freed.base.*", interface: [move_pages-set,
 *        migrate_pages-child], backing: [anon-private], condition: [writer]}
 *     - {cases: "freed.thp.*", interface: [move_pages-set,
 *        migrate_pages-child], backing: [thp], condition: [writer]}
 *     - {cases: "freed.hugetlb.*", interface: [move_pages-set,
 *        migrate_pages-child], backing: [hugetlb-private],
 *        condition: [writer]}
 */
#include "harness.h"

#include <poll.h>

#include "backings.h"
#include "counters.h"
#include "deadline.h"
#include "metric.h"
#include "movelist.h"
#include "nodes.h"
#include "pages.h"
#include "peer.h"
#include "proc.h"
#include "scene.h"

#define FOLIOS		2
/* Moves of folios to be seen, and how long that may take. */
#define ENOUGH		10
#define DEADLINE_US	20e6
/* At the pages that are mapped, before they are unmapped. */
#define LOOKS		10000

FIXTURE(freed)
{
	int a;
	int b;
	struct pages pages;
	struct area area;
	struct movelist list;
	struct counters before;
	struct peer peer;
};

FIXTURE_VARIANT(freed)
{
	const struct backing *backing;
	size_t folio;		/* bytes */
	int flags;
};

FIXTURE_VARIANT_ADD(freed, base)
{
	.backing = &backing_anon_private,
	.folio = 4096,
};

FIXTURE_VARIANT_ADD(freed, thp)
{
	.backing = &backing_thp,
	.folio = 2 << 20,
};

FIXTURE_VARIANT_ADD(freed, hugetlb)
{
	.backing = &backing_hugetlb_private,
	.folio = 2 << 20,
	.flags = MAP_HUGETLB | MAP_NORESERVE,
};

/*
 * The first and the last word of each folio: empty, then @round in both, as
 * often as it takes for a page to be there about as long as it is not.
 */
static int touch(char *addr, size_t folio, long round)
{
	const size_t last = folio - sizeof(long);
	int i, turn;

	for (turn = 0; turn < LOOKS; turn++) {
		for (i = 0; i < 2 * FOLIOS; i++) {
			long *word = (long *)(addr + i / 2 * folio +
					      i % 2 * last);

			/* Written first: read, it were the zero page. */
			if ((turn || i % 2) &&
			    __atomic_load_n(word, __ATOMIC_RELAXED) !=
			    (turn ? round : 0))
				return -1;
			__atomic_store_n(word, round, __ATOMIC_RELAXED);
		}
	}
	return 0;
}

/* In the peer: until it is told to end. Its exit status says how it went. */
static int map_and_unmap(struct peer *parent, char *addr, size_t folio,
			 int flags)
{
	struct pollfd told = { .fd = parent->in, .events = POLLIN };
	const size_t bytes = FOLIOS * folio;
	long round;

	for (round = 1; poll(&told, 1, 0) == 0; round++) {
		if (mmap(addr, bytes, PROT_READ | PROT_WRITE, MAP_FIXED |
			 MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0) != addr)
			return 1;
		if (!flags && folio > PAGE_BYTES)
			madvise(addr, bytes, MADV_HUGEPAGE);
		if (touch(addr, folio, round))
			return 2;
		if (round == 1)
			peer_send(parent, 0);
		if (munmap(addr, bytes))
			return 3;
	}
	return 0;
}

FIXTURE_SETUP(freed)
{
	struct peer peer;
	char *addr;
	long begun;
	int i;

	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, area_map(&self->area, variant->backing, &self->pages,
			      self->a));
	addr = self->pages.addr;
	ASSERT_EQ(0, movelist_make(&self->list, &self->pages, FOLIOS, self->b));
	for (i = 0; i < FOLIOS; i++)
		self->list.addrs[i] = addr + i * variant->folio;
	ASSERT_EQ(0, counters_read(&self->before));
	/* On the stack: a fixture may be in memory that both share. */
	if (peer_fork(&peer) == 0)
		_exit(map_and_unmap(&peer, addr, variant->folio,
				    variant->flags));
	ASSERT_EQ(0, peer_receive(&peer, &begun));
	self->peer = peer;
}

/* Peers end with the test's process, the pool does not. */
FIXTURE_TEARDOWN(freed)
{
	area_release(&self->area);
}

/* Pages of all pools that somebody has. */
static long pool_used(void)
{
	char text[4096], *total, *free;

	if (proc_read("/proc/meminfo", text, sizeof(text)) < 0)
		return -1;
	total = strstr(text, "HugePages_Total:");
	free = strstr(text, "HugePages_Free:");
	if (!total || !free)
		return -1;
	return strtol(total + 16, NULL, 10) - strtol(free + 15, NULL, 10);
}

/* "" if nothing is left of it, whatever was counted meanwhile. */
static const char *check_gone(struct counters *before)
{
	struct counters now;

	if (pool_used())
		return "pages of the pool are still in use";
	if (counters_read(&now))
		return "reading the counters";
	before->success = now.success;
	before->fail = now.fail;
	before->thp_success = now.thp_success;
	before->thp_fail = now.thp_fail;
	before->thp_split = now.thp_split;
	return counters_verify(before, 0, 0);
}

#define END(moved, calls, now) do {					\
	TH_LOG("%d folios moved in %ld calls", moved, calls);		\
	if (variant->backing->thp)					\
		EXPECT_LT(self->before.thp_success, (now)->thp_success);\
	EXPECT_LE(ENOUGH, moved);					\
	EXPECT_EQ(0, peer_end(&self->peer));				\
	EXPECT_CLEAN(check_gone(&self->before));			\
} while (0)

/* What there can be said of a page that comes and goes. */
static bool may_be(int status, int to)
{
	return status == to || status == -ENOENT || status == -EFAULT ||
	       status == -EBUSY || status == UNWRITTEN;
}

TEST_F(freed, move_pages)
{
	double end = deadline_after_us(DEADLINE_US);
	int i, to = self->b, moved = 0;
	struct counters now;
	long result, calls;

	for (calls = 0; (moved < ENOUGH || calls < ENOUGH) &&
	     metric_now_us() < end; calls++) {
		movelist_send(&self->list, 0, FOLIOS, to);
		movelist_clear(&self->list);
		result = movelist_call(&self->list, self->peer.pid,
				       MPOL_MF_MOVE_ALL);
		/* What was unmapped half way counts as neither. */
		EXPECT_TRUE(result >= 0 && result <= FOLIOS);
		for (i = 0; i < FOLIOS; i++) {
			EXPECT_TRUE(may_be(self->list.status[i], to)) {
				TH_LOG("status %d", self->list.status[i]);
			}
		}
		ASSERT_EQ(0, counters_read(&now));
		moved = (now.success - self->before.success) * PAGE_BYTES /
			variant->folio;
		to = to == self->b ? self->a : self->b;
	}
	END(moved, calls, &now);
}

TEST_F(freed, migrate_pages)
{
	double end = deadline_after_us(DEADLINE_US);
	int to = self->b, moved = 0;
	struct counters now;
	long calls;

	for (calls = 0; (moved < ENOUGH || calls < ENOUGH) &&
	     metric_now_us() < end; calls++) {
		EXPECT_LE(0, numa_migrate_pages(self->peer.pid,
						nodes_with_memory() & ~NODE(to),
						NODE(to)));
		ASSERT_EQ(0, counters_read(&now));
		moved = (now.success - self->before.success) * PAGE_BYTES /
			variant->folio;
		to = to == self->b ? self->a : self->b;
	}
	END(moved, calls, &now);
}

TEST_HARNESS_MAIN
