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
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 */
#include "harness.h"

#include "backings.h"
#include "nodes.h"
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

FIXTURE_TEARDOWN(mbind_backing)
{
	area_release(&self->area);
}

static long bind_pages(struct pages *p, long count, int node, int flags)
{
	return numa_mbind(p->addr, count * PAGE_BYTES, MPOL_BIND, NODE(node),
			  flags);
}

/* "bind:<node>", in a static buffer. */
static const char *bound_to(int node)
{
	static char text[32];

	snprintf(text, sizeof(text), "bind:%d", node);
	return text;
}

/* What a call that tries to move is to return. */
static long result(const struct backing *backing, int flags)
{
	return backing->fate == FATE_PINNED && flags & STRICT ? -EIO : 0;
}

/*
 * Bind the first @count pages of it to @node, which moves @moved of
 * them if they are of a kind that moves, and look at all that came of it.
 */
#define BIND(count, moved, node, flags, what) do {			\
	struct area *area = &self->area;				\
									\
	EXPECT_EQ(result(variant->backing, flags),			\
		  bind_pages(&self->pages, count, node, flags));	\
	if (area_moves(area, flags))					\
		area_want(area, 0, count, node);			\
	area->policy = node;						\
	area_count(area, &self->want, moved, flags);			\
	EXPECT_CLEAN(area_verify(area, what));				\
	EXPECT_CLEAN(counters_verify_all(&self->before, &self->want));	\
	EXPECT_STREQ(bound_to(node), pages_policy(&self->pages, 0));	\
} while (0)

/* There and back, and then whatever the kind shows at its end. */
TEST_F(mbind_backing, move)
{
	const long all = self->pages.count;

	BIND(all, all, self->b, MOVE, "MOVE to b");
	ASSERT_CLEAN(pages_snapshot(&self->pages));
	BIND(all, all, self->a, MOVE | STRICT, "MOVE | STRICT back to a");
	EXPECT_CLEAN(area_finish(&self->area));
}

/* Half of it, of which the other half sees nothing, and then the rest. */
TEST_F(mbind_backing, move_all)
{
	const long all = self->pages.count, half = all / 2;

	BIND(half, half, self->b, MOVE_ALL, "MOVE_ALL, half of it");
	ASSERT_CLEAN(pages_snapshot(&self->pages));
	BIND(all, all - half, self->b, MOVE_ALL | STRICT,
	     "MOVE_ALL | STRICT, the rest");
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
