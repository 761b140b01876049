// SPDX-License-Identifier: GPL-2.0-only
/*
 * The allocation of the new frame fails, at a page that the case chooses: by
 * fail_page_alloc (Documentation/fault-injection/fault-injection.rst), for the
 * calling task alone. What was moved before it has moved, that page is counted
 * as failed, the rest is not tried; nothing is lost and nothing leaks.
 *
 * A huge page for which there is no huge frame is split, and its pages move.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, FAIL_PAGE_ALLOC,
 *             FAULT_INJECTION_DEBUG_FS, CPUSETS]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     no_memory.thp_is_split: {kconfig: [TRANSPARENT_HUGEPAGE]}
 *   quick:
 *     - no_memory.move_pages_at_once
 *   contract: {16: ["no_memory.*"]}
 *   covers:
 *     - {cases: "no_memory.move_pages_*", interface: [move_pages-set], backing:
 *        [anon-private], condition: [target-full]}
 *     - {cases: "no_memory.mbind_*", interface: [mbind-move-strict], backing:
 *        [anon-private], condition: [target-full]}
 *     - {cases: "no_memory.thp_is_split", interface: [mbind-move-strict],
 *        backing: [thp], condition: [target-full]}
 *     - {cases: "no_memory.migrate_pages", interface: [migrate_pages-child],
 *        backing: [anon-private], condition: [target-full]}
 */
#include "harness.h"

#include <linux/kernel-page-flags.h>

#include "counters.h"
#include "fail_alloc.h"
#include "nodes.h"
#include "pages.h"
#include "placement.h"
#include "subject.h"
#include "thp.h"

#define COUNT		16
#define UNWRITTEN	12345

FIXTURE(no_memory)
{
	int a;
	int b;
	struct subject subject;
	struct counters before;
};

FIXTURE_SETUP(no_memory)
{
	unsigned long nodes = nodes_with_memory();

	ASSERT_LE(2, nodes_count(nodes));
	self->a = nodes_nth(nodes, 0);
	self->b = nodes_nth(nodes, 1);
	ASSERT_EQ(0, fail_alloc_begin());
}

FIXTURE_TEARDOWN(no_memory)
{
	EXPECT_EQ(0, fail_alloc_end());
}

static const char *own_pages(struct pages *p, int node)
{
	if (pages_map(p, COUNT, MAP_PRIVATE))
		return "cannot map";
	pages_want_all(p, node);
	if (pages_populate(p))
		return "cannot populate";
	return pages_snapshot(p);
}

static long move_all(const struct pages *p, int node, int *status)
{
	void *addrs[COUNT];
	int nodes[COUNT];
	long i;

	for (i = 0; i < p->count; i++) {
		addrs[i] = pages_at(p, i);
		nodes[i] = node;
		status[i] = UNWRITTEN;
	}
	return numa_move_pages(0, p->count, addrs, nodes, status, MPOL_MF_MOVE);
}

static long bind_all(const struct pages *p, int node)
{
	return numa_mbind(p->addr, p->count * PAGE_BYTES, MPOL_BIND, NODE(node),
			  MPOL_MF_MOVE | MPOL_MF_STRICT);
}

TEST_F(no_memory, move_pages_at_once)
{
	struct pages *p = &self->subject.pages;
	int status[COUNT], i;

	ASSERT_CLEAN(own_pages(p, self->a));
	ASSERT_EQ(0, counters_read(&self->before));
	ASSERT_EQ(0, fail_alloc_after(0, 0));
	EXPECT_EQ(-ENOMEM, move_all(p, self->b, status));
	ASSERT_EQ(0, fail_alloc_no_more());
	EXPECT_CLEAN(pages_verify(p, "no frame at all"));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 1));
	for (i = 0; i < COUNT; i++)
		EXPECT_EQ(UNWRITTEN, status[i]);

	EXPECT_EQ(0, move_all(p, self->b, status));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "frames again"));
	EXPECT_CLEAN(counters_verify(&self->before, COUNT, 1));
	for (i = 0; i < COUNT; i++)
		EXPECT_EQ(self->b, status[i]);
}

/* Five frames, then none: five pages have moved when the call fails. */
TEST_F(no_memory, move_pages_in_the_middle)
{
	struct pages *p = &self->subject.pages;
	int status[COUNT];

	ASSERT_CLEAN(own_pages(p, self->a));
	ASSERT_EQ(0, counters_read(&self->before));
	ASSERT_EQ(0, fail_alloc_after(5, 0));
	EXPECT_EQ(-ENOMEM, move_all(p, self->b, status));
	ASSERT_EQ(0, fail_alloc_no_more());
	pages_want(p, 0, 5, self->b);
	EXPECT_CLEAN(pages_verify(p, "five frames"));
	EXPECT_CLEAN(counters_verify(&self->before, 5, 1));
}

TEST_F(no_memory, mbind_in_the_middle)
{
	struct pages *p = &self->subject.pages;
	char bound[32];

	ASSERT_CLEAN(own_pages(p, self->a));
	ASSERT_EQ(0, counters_read(&self->before));
	ASSERT_EQ(0, fail_alloc_after(5, 0));
	EXPECT_EQ(-EIO, bind_all(p, self->b));
	ASSERT_EQ(0, fail_alloc_no_more());
	pages_want(p, 0, 5, self->b);
	EXPECT_CLEAN(pages_verify(p, "five frames"));
	EXPECT_CLEAN(counters_verify(&self->before, 5, 1));
	snprintf(bound, sizeof(bound), "bind:%d", self->b);
	EXPECT_STREQ(bound, pages_policy(p, COUNT - 1));
}

static long populate(struct pages *p)
{
	return pages_populate(p);
}

/* Of another process: what it is told is that memory ran out, not a count. */
TEST_F(no_memory, migrate_pages)
{
	struct subject *s = &self->subject;

	ASSERT_EQ(0, pages_map(&s->pages, COUNT, MAP_PRIVATE));
	pages_want_all(&s->pages, self->a);
	ASSERT_EQ(0, subject_start(s, populate));
	ASSERT_CLEAN(subject_look(s));
	ASSERT_EQ(0, fail_alloc_after(0, 0));
	EXPECT_EQ(-ENOMEM, numa_migrate_pages(s->pages.pid, NODE(self->a),
					      NODE(self->b)));
	ASSERT_EQ(0, fail_alloc_no_more());
	EXPECT_CLEAN(subject_verify(s, 1, "a child, no frame at all"));
	EXPECT_EQ(0, subject_moved());
	EXPECT_EQ(0, holder_end(&s->holder));
}

TEST_F(no_memory, thp_is_split)
{
	struct pages *p = &self->subject.pages;
	struct counters now;
	char *addr = thp_map();
	long i;

	ASSERT_NE(MAP_FAILED, (void *)addr);
	ASSERT_EQ(0, pages_over(p, addr, THP_PAGES));
	pages_want_all(p, self->a);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_TRUE(p->was[0].kflags & 1UL << KPF_THP);
	ASSERT_EQ(0, counters_read(&self->before));

	ASSERT_EQ(0, fail_alloc_after(0, 9));
	EXPECT_EQ(0, bind_all(p, self->b));
	ASSERT_EQ(0, fail_alloc_no_more());
	pages_want_all(p, self->b);
	/* A huge page no more: each page is to have what all of it had. */
	p->was[0].kflags &= ~(1UL << KPF_THP | 1UL << KPF_COMPOUND_HEAD);
	for (i = 1; i < THP_PAGES; i++)
		p->was[i].kflags = p->was[0].kflags;
	EXPECT_CLEAN(pages_verify(p, "a huge page, no huge frame"));
	ASSERT_EQ(0, counters_read(&now));
	EXPECT_EQ(self->before.success + THP_PAGES, now.success);
	EXPECT_EQ(self->before.fail, now.fail);
	EXPECT_EQ(self->before.thp_success, now.thp_success);
	EXPECT_EQ(self->before.thp_fail + 1, now.thp_fail);
	EXPECT_EQ(self->before.thp_split + 1, now.thp_split);
}

TEST_HARNESS_MAIN
