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
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   scope: file   # each case puts back all that it changes
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 */
#include "harness.h"

#include "backings.h"
#include "nodes.h"
#include "peer.h"
#include "placement.h"
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
	unsigned long nodes = nodes_with_memory();

	if (nodes_count(nodes) < 2)
		SKIP(return, "needs 2 nodes with memory, has %s",
		     nodes_text(nodes));
	self->a = nodes_nth(nodes, 0);
	self->b = nodes_nth(nodes, 1);
	ASSERT_EQ(0, area_map(&self->area, variant->backing, &self->pages,
			      self->a));
	ASSERT_EQ(0, area_fill(&self->area));
	ASSERT_CLEAN(pages_snapshot(&self->pages));
	ASSERT_CLEAN(variant->backing->check(&self->area));
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
