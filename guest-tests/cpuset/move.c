// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory of a process follows its cpuset: on a change of cpuset.mems as on
 * an attach, the same in cgroup v1 with memory_migrate, in v1 mounted with
 * cpuset_v2_mode, and in v2, which always migrates (CS_MEMORY_MIGRATE is set in
 * cpuset_css_alloc(), kernel/cgroup/cpuset.c, 6.12; since 5.16).
 *
 * All is done from outside, as a batch scheduler does it, and is complete when
 * the write returns: see cpuset_v2.c.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, CPUSETS, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     "cpuset_move.v1*.*": {kconfig: [CPUSETS_V1 since 6.12]}
 *   quick:
 *     - cpuset_move.v2.attach
 *   contract:
 *     17: ["cpuset_move.*"]
 *   promises:
 *     cpuset-takes-pages:
 *       - "cpuset_move.*.change_of_mems"
 *       - "cpuset_move.*.attach"
 *       - "cpuset_move.*.shared_pages"
 *     other-process:
 *       - "cpuset_move.*.change_of_mems"
 *       - "cpuset_move.*.attach"
 *   covers:
 *     - {cases: ["cpuset_move.v1.*"],
 *        interface: [cpuset-v1-mems], backing: [anon-private], condition:
 *          [quiet]}
 *     - {cases: ["cpuset_move.v1.attach"],
 *        interface: [cpuset-v1-attach], backing: [anon-private], condition:
 *          [quiet]}
 *     - {cases: ["cpuset_move.v2.*"],
 *        interface: [cpuset-v2-mems], backing: [anon-private], condition:
 *          [quiet]}
 *     - {cases: ["cpuset_move.v2.attach"],
 *        interface: [cpuset-v2-attach], backing: [anon-private], condition:
 *          [quiet]}
 *     - {cases: ["cpuset_move.v1.under_an_allocator"],
 *        interface: [cpuset-v1-mems], backing: [anon-private], condition:
 *          [writer]}
 *     - {cases: ["cpuset_move.v2.under_an_allocator"],
 *        interface: [cpuset-v2-mems], backing: [anon-private], condition:
 *          [writer]}
 *     - {cases: ["cpuset_move.v1.change_of_mems"],
 *        interface: [cpuset-v1-mems], backing: [text], condition: [quiet]}
 *     - {cases: ["cpuset_move.v2.change_of_mems"],
 *        interface: [cpuset-v2-mems], backing: [text], condition: [quiet]}
 *     - {cases: ["cpuset_move.v1.attach"],
 *        interface: [cpuset-v1-attach], backing: [text], condition: [quiet]}
 *     - {cases: ["cpuset_move.v2.attach"],
 *        interface: [cpuset-v2-attach], backing: [text], condition: [quiet]}
 *     - {cases: ["cpuset_move.v1.pinned_pages"],
 *        interface: [cpuset-v1-mems], backing: [vmspliced], condition: [quiet]}
 *     - {cases: ["cpuset_move.v2.pinned_pages"],
 *        interface: [cpuset-v2-mems], backing: [vmspliced], condition: [quiet]}
 */
#include "harness.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "chores.h"
#include "cpuset_steps.h"
#include "nodes.h"
#include "pattern.h"
#include "scene.h"

#define COUNT		24
#define TURNS		20

FIXTURE(cpuset_move)
{
	int a;
	int b;
	struct cpuset_scene scene;
};

FIXTURE_VARIANT(cpuset_move)
{
	enum cpuset_kind kind;
};

FIXTURE_VARIANT_ADD(cpuset_move, v1) { .kind = CPUSET_V1 };
FIXTURE_VARIANT_ADD(cpuset_move, v1_as_v2) { .kind = CPUSET_V1_AS_V2 };
FIXTURE_VARIANT_ADD(cpuset_move, v2) { .kind = CPUSET_V2 };

FIXTURE_SETUP(cpuset_move)
{
	FIND_TWO_NODES(self, return);
	ASSERT_CLEAN(cpuset_scene_begin(&self->scene, variant->kind, COUNT));
}

/* In the parent, so that it is done however the test ended. */
FIXTURE_TEARDOWN_PARENT(cpuset_move)
{
	EXPECT_EQ(0, cpuset_scene_end(&self->scene));
}

TEST_F(cpuset_move, change_of_mems)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);
	struct pages *p = &self->scene.subject.pages;

	pages_want_all(p, self->a);
	START_IN_X(a, pages_populate);
	EXPECT_CLEAN(cpuset_same(a, cpuset_effective_mems("x")));
	EXPECT_EQ(0, cpuset_set_mems("x", b));
	pages_want_all(p, self->b);
	VERIFY_ON(b, "mems from a to b");
	EXPECT_LE(COUNT, subject_moved());
	EXPECT_CLEAN(cpuset_same(b, cpuset_mems("x")));
	EXPECT_CLEAN(cpuset_same(b, cpuset_effective_mems("x")));

	/* A node more moves nothing, the same set again neither. */
	LOOK();
	EXPECT_EQ(0, cpuset_set_mems("x", a | b));
	EXPECT_EQ(0, cpuset_set_mems("x", a | b));
	VERIFY_ON(b, "mems from b to {a,b}");
	EXPECT_EQ(0, subject_moved());

	/* A node less moves what is on it, and only that. */
	EXPECT_EQ(0, cpuset_set_mems("x", a));
	pages_want_all(p, self->a);
	VERIFY_ON(a, "mems from {a,b} to a");
	END();
}

/* What is outside of the old mems is none of a change's business. */
TEST_F(cpuset_move, pages_outside_the_old_mems)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);
	struct pages *p = &self->scene.subject.pages;

	pages_want_all(p, self->b);
	START_IN_X(b, pages_populate);
	/* With CAP_SYS_NICE, which need not keep to the child's cpuset. */
	ASSERT_EQ(0, numa_migrate_pages(p->pid, b, a));
	pages_want_all(p, self->a);
	LOOK();
	EXPECT_EQ(0, cpuset_set_mems("x", a | b));
	EXPECT_EQ(0, cpuset_set_mems("x", b));
	pages_want_all(p, self->b);
	VERIFY_ON(b, "by way of a set that has them");

	ASSERT_EQ(0, numa_migrate_pages(p->pid, b, a));
	pages_want_all(p, self->a);
	LOOK();
	ASSERT_EQ(0, cpuset_set_mems("y", b));
	EXPECT_EQ(0, cpuset_attach("y", p->pid));
	UNMOVED("from group to group, both with b");
	END();
}

TEST_F(cpuset_move, attach)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);
	struct pages *p = &self->scene.subject.pages;

	ASSERT_EQ(0, cpuset_set_mems("x", a));
	ASSERT_EQ(0, cpuset_set_mems("y", b));
	pages_want_dealt(p, a | b);
	ASSERT_EQ(0, subject_start(&self->scene.subject, pages_populate));
	LOOK();
	EXPECT_EQ(0, cpuset_attach("x", p->pid));
	pages_want_all(p, self->a);
	VERIFY_ON(a, "from the root group to x (a)");

	LOOK();
	EXPECT_EQ(0, cpuset_attach("y", p->pid));
	pages_want_all(p, self->b);
	VERIFY_ON(b, "from x (a) to y (b)");

	LOOK();
	EXPECT_EQ(0, cpuset_detach(p->pid));
	VERIFY_ON(b, "from y (b) to the root group");
	EXPECT_EQ(0, subject_moved());
	END();
}

/* The CPU has not moved, yet no new page is on its node. */
TEST_F(cpuset_move, new_pages)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);
	struct pages *p = &self->scene.subject.pages;

	pages_want_all(p, self->a);
	pages_want(p, COUNT / 2, COUNT / 2, UNTOUCHED);
	START_IN_X(a, pages_populate);
	EXPECT_EQ(0, cpuset_set_mems("x", b));
	pages_want(p, 0, COUNT / 2, self->b);
	VERIFY_ON(b, "mems from a to b");
	pages_want_all(p, self->b);
	EXPECT_EQ(0, CALL(chore_touch_other_half));
	EXPECT_CLEAN(pages_verify(p, "touched after mems became b"));
	EXPECT_EQ(0, holder_bad(&self->scene.subject.holder));
	END();
}

/* do_migrate_pages() is called with MPOL_MF_MOVE_ALL, whoever maps them too. */
TEST_F(cpuset_move, shared_pages)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);
	struct pages *p = &self->scene.subject.pages, common;

	ASSERT_CLEAN(scene_pages(&common, COUNT, MAP_PRIVATE, self->a));
	pages_want_all(p, self->a);
	START_IN_X(a, pages_populate);
	ASSERT_CLEAN(pages_snapshot(&common));
	ASSERT_CLEAN(pages_shared_with(&common, p->pid));
	LOOK();
	EXPECT_EQ(0, cpuset_set_mems("x", b));
	pages_want_all(p, self->b);
	VERIFY_ON(b, "its own, mems from a to b");
	pages_want_all(&common, self->b);
	EXPECT_CLEAN(pages_verify(&common, "in common with a process outside"));
	EXPECT_CLEAN(pages_shared_with(&common, p->pid));
	END();
}

/* What cannot move stays, the write succeeds, and the page counts as failed. */
TEST_F(cpuset_move, pinned_pages)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);
	struct pages *p = &self->scene.subject.pages;

	pages_want_all(p, self->a);
	START_IN_X(a, chore_populate_and_pin);
	EXPECT_EQ(0, cpuset_set_mems("x", b));
	pages_want_all(p, self->b);
	pages_want(p, 6, 2, self->a);
	VERIFY(2, "two pinned");
	EXPECT_EQ(2, subject_is_on(a));
	END();
}

/* A process that allocates, checks and frees without a pause. */

#define CHURN_PAGES	64

static atomic_bool churn_stop;
static atomic_long churn_bad, churn_rounds;
static pthread_t churner;
static struct pages churned;

static void *churn(void *unused)
{
	uint64_t seed;
	int i;

	for (seed = 1; !churn_stop; seed++) {
		/* First, so that the pages are there when it stops. */
		madvise(churned.addr, CHURN_PAGES * PAGE_BYTES, MADV_DONTNEED);
		for (i = 0; i < CHURN_PAGES; i++)
			pattern_fill(pages_at(&churned, i), seed, i);
		for (i = 0; i < CHURN_PAGES; i++)
			if (pattern_check(pages_at(&churned, i), seed, i) >= 0)
				churn_bad++;
		churn_rounds++;
	}
	return unused;
}

static long populate_and_churn(struct pages *p)
{
	return pages_populate(p) ? :
	       pthread_create(&churner, NULL, churn, NULL);
}

static long rounds_so_far(struct pages *p)
{
	(void)p;
	return churn_rounds;
}

static long stop_churning(struct pages *p)
{
	(void)p;
	churn_stop = true;
	pthread_join(churner, NULL);
	return churn_bad;
}

/*
 * Allocating under a change of mems: a fault in flight may still take its page
 * from the old nodes after the scan has gone by, so that of this one thread at
 * most one page can be behind. One more change finds it.
 */
TEST_F(cpuset_move, under_an_allocator)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);
	struct pages *p = &self->scene.subject.pages;
	struct counters before, after;
	struct placement seen;
	int turn, to;

	ASSERT_EQ(0, pages_map(&churned, CHURN_PAGES, MAP_PRIVATE));
	pages_want_all(p, self->a);
	START_IN_X(a, populate_and_churn);
	ASSERT_EQ(0, counters_read(&before));
	for (turn = 0; turn < TURNS; turn++) {
		to = turn % 2 ? self->a : self->b;
		pages_want_all(p, to);
		EXPECT_EQ(0, cpuset_set_mems("x", NODE(to)));
		EXPECT_CLEAN(pages_verify(p, "while the child allocates"));
		ASSERT_CLEAN(pages_snapshot(p));
	}
	EXPECT_LT(0, CALL(rounds_so_far));
	EXPECT_EQ(0, CALL(stop_churning));
	ASSERT_EQ(0, placement_numa_maps(p->pid, churned.addr, CHURN_PAGES,
					 &seen));
	EXPECT_EQ(CHURN_PAGES, seen.on[self->a] + seen.on[self->b]);
	EXPECT_GE(1, seen.on[self->b]);
	ASSERT_EQ(0, counters_read(&after));
	EXPECT_LE(TURNS * COUNT, after.success - before.success);
	EXPECT_CLEAN(counters_verify(&after, 0, 0));

	/* Nobody allocates any more: both ways round nothing is behind. */
	LOOK();
	EXPECT_EQ(0, cpuset_set_mems("x", a | b));
	EXPECT_EQ(0, cpuset_set_mems("x", b));
	pages_want_all(p, self->b);
	VERIFY_ON(b, "after the allocator has stopped");
	END();
}

TEST_HARNESS_MAIN
