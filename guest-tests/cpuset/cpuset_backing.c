// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cpusets of cgroup v2: a change of cpuset.mems and an attach take along what a
 * process has of each kind of memory, that which others map too (cpuset_migrate_mm() in
 * kernel/cgroup/cpuset.c of 6.12 moves with MPOL_MF_MOVE_ALL). What cannot be
 * moved stays where it is, and the write succeeds all the same.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, CPUSETS, PROC_PAGE_MONITOR]
 *   features: []
 *   scope: file   # each case puts back all that it changes
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 */
#include "harness.h"

#include "backings.h"
#include "cpuset.h"
#include "nodes.h"
#include "subject.h"

FIXTURE(cpuset_backing)
{
	int a;
	int b;
	struct cpuset_root root;
	struct subject subject;
};

FIXTURE_VARIANT(cpuset_backing)
{
	const struct backing *backing;
};

BACKINGS(cpuset_backing);

/* The child has a copy of what the parent mapped, and fills it. */
static struct area area;

/* Called in the child. */
static long fill(struct pages *p)
{
	(void)p;
	return area_fill(&area);
}

static long finish(struct pages *p)
{
	const char *problem = area_finish(&area);

	(void)p;
	if (!*problem)
		return 0;
	printf("# in the child: %s\n", problem);
	fflush(stdout);
	return -1;
}

/* A child in group "x", whose mems are node a, with an area there. */
FIXTURE_SETUP(cpuset_backing)
{
	struct subject *s = &self->subject;
	unsigned long nodes = nodes_with_memory();
	long error;

	if (nodes_count(nodes) < 2)
		SKIP(return, "needs 2 nodes with memory, has %s",
		     nodes_text(nodes));
	if (!cpuset_is_available())
		SKIP(return, "no cpuset controller in /sys/fs/cgroup");
	self->a = nodes_nth(nodes, 0);
	self->b = nodes_nth(nodes, 1);
	ASSERT_EQ(0, area_map(&area, variant->backing, &s->pages, self->a));
	ASSERT_EQ(0, cpuset_begin(&self->root));
	error = cpuset_create("x") ? : cpuset_set_mems("x", NODE(self->a)) ? :
		subject_start(s, fill) ? : cpuset_attach("x", s->pages.pid);
	/* A setup that failed is not torn down. */
	if (error)
		cpuset_end(&self->root);
	ASSERT_EQ(0, error);
	EXPECT_CLEAN(subject_look(s));
	EXPECT_CLEAN(variant->backing->check(&area));
}

FIXTURE_TEARDOWN(cpuset_backing)
{
	area_release(&area);
	EXPECT_EQ(0, cpuset_end(&self->root));
}

/* @call is to take all of the child from a to b. */
#define VERIFY(call, what) do {						\
	struct subject *s = &self->subject;				\
	const int flags = MPOL_MF_MOVE_ALL;				\
	struct counters_want want = { 0 };				\
									\
	area_count(&area, &want, s->pages.count, self->b, flags);	\
	EXPECT_EQ(0, call);						\
	if (area_moves(&area, flags))					\
		area_want_all(&area, self->b);				\
	s->thps = want;							\
	s->thps.failed = 0;						\
	/* What subject_moved() cannot see: pages that nobody maps. */	\
	s->thps.moved -= pages_to_move(&s->pages);			\
	EXPECT_CLEAN(subject_verify(s, want.failed, what));		\
	EXPECT_CLEAN(variant->backing->check(&area));			\
	EXPECT_EQ(0, holder_call(&s->holder, finish));			\
	EXPECT_EQ(0, holder_end(&s->holder));				\
} while (0)

TEST_F(cpuset_backing, change_of_mems)
{
	VERIFY(cpuset_set_mems("x", NODE(self->b)), "cpuset.mems from a to b");
}

TEST_F(cpuset_backing, attach)
{
	ASSERT_EQ(0, cpuset_create("y"));
	ASSERT_EQ(0, cpuset_set_mems("y", NODE(self->b)));
	VERIFY(cpuset_attach("y", self->subject.pages.pid), "from x to y");
}

TEST_HARNESS_MAIN
