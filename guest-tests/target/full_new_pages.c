// SPDX-License-Identifier: GPL-2.0-only
/*
 * New pages are wanted on a node without room, by set_mempolicy(2) or by
 * set_mempolicy_home_node(2): the calls know nothing of room and move nothing.
 * New pages take the node as long as there is any, then another of the policy,
 * or any other where the policy only prefers; nobody is killed. As soon as there
 * is room again the node has them all.
 *
 * (With MPOL_BIND to the full node alone there is no other, and the OOM killer
 * is the only way: not here.)
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 120   # over the harness's own 90 s
 *   contract:
 *     7: ["full_new_pages.home_*"]
 *     16: ["full_new_pages.*"]
 *   covers:
 *     - {cases: "full_new_pages.task_*", interface: set_mempolicy,
 *        backing: anon-private, condition: target-full}
 *     - {cases: "full_new_pages.home_*", interface: home_node,
 *        backing: anon-private, condition: target-full}
 */
#include "harness.h"

#include <sys/mman.h>

#include "counters.h"
#include "full_scene.h"
#include "nodes.h"
#include "pages.h"
#include "policy.h"

FIXTURE(full_new_pages)
{
	struct full_scene scene;
	struct pages pages;
	struct counters before;
};

enum reach {
	TO_B,		/* the policy names b */
	TO_BOTH,	/* it names a and b */
	BY_CPU,		/* ... and the caller runs on b, whose memory is near */
};

FIXTURE_VARIANT(full_new_pages)
{
	int mode;
	enum reach reach;
	bool home;	/* of a range with that policy, it is b */
};

FIXTURE_VARIANT_ADD(full_new_pages, task_prefer)
{
	.mode = MPOL_PREFERRED,
};

FIXTURE_VARIANT_ADD(full_new_pages, task_prefer_many)
{
	.mode = MPOL_PREFERRED_MANY,
};

FIXTURE_VARIANT_ADD(full_new_pages, task_bind_both)
{
	.mode = MPOL_BIND,
	.reach = BY_CPU,
};

FIXTURE_VARIANT_ADD(full_new_pages, task_interleave)
{
	.mode = MPOL_INTERLEAVE,
	.reach = TO_BOTH,
};

FIXTURE_VARIANT_ADD(full_new_pages, home_bind)
{
	.mode = MPOL_BIND,
	.reach = TO_BOTH,
	.home = true,
};

FIXTURE_VARIANT_ADD(full_new_pages, home_prefer_many)
{
	.mode = MPOL_PREFERRED_MANY,
	.reach = TO_BOTH,
	.home = true,
};

FIXTURE_SETUP(full_new_pages)
{
	ASSERT_CLEAN(full_scene_begin(&self->scene));
	if (variant->reach == BY_CPU)
		ASSERT_EQ(0, nodes_run_on(self->scene.b));
	ASSERT_EQ(0, pages_map(&self->pages, FULL_PAGES, MAP_PRIVATE));
}

FIXTURE_TEARDOWN(full_new_pages)
{
	EXPECT_CLEAN(full_scene_end(&self->scene));
}

static unsigned long nodes_of(const struct full_scene *scene, enum reach reach)
{
	return NODE(scene->b) | (reach == TO_B ? 0 : NODE(scene->a));
}

static long set_home(const struct full_scene *scene, const struct pages *p,
		     int mode)
{
	return policy_bind(p, 0, p->count, mode, nodes_of(scene, TO_BOTH), 0) ? :
	       numa_home_node(p->addr, p->count * PAGE_BYTES, scene->b, 0);
}

/* Fault them all in under the policy, which is the task's no more then. */
static long fault_all(const struct pages *p)
{
	policy_fault(p, 0, p->count);
	return numa_set_mempolicy(MPOL_DEFAULT, 0);
}

TEST_F_TIMEOUT(full_new_pages, placed, 90)
{
	struct full_scene *scene = &self->scene;
	const unsigned long nodes = nodes_of(scene, variant->reach);
	const bool in_turn = variant->mode == MPOL_INTERLEAVE;
	struct pages *p = &self->pages;
	long on_b;

	ASSERT_CLEAN(full_scene_fill(scene));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, counters_read(&self->before));
	EXPECT_EQ(0, variant->home ? set_home(scene, p, variant->mode) :
				     numa_set_mempolicy(variant->mode, nodes));
	EXPECT_EQ(0, fault_all(p));
	on_b = full_scene_want_as_found(scene, p);
	TH_LOG("%ld of %ld pages found room on node b", on_b, p->count);
	EXPECT_LT(0, on_b);
	EXPECT_GT(in_turn ? p->count / 2 : p->count, on_b);
	EXPECT_CLEAN(pages_verify(p, "new pages, node b is full"));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
	EXPECT_EQ(0, pages_bad(p));

	/* The same pages, anew. */
	ASSERT_EQ(0, full_give_back(&scene->full));
	ASSERT_EQ(0, madvise(p->addr, p->count * PAGE_BYTES, MADV_DONTNEED));
	pages_want_all(p, UNTOUCHED);
	ASSERT_CLEAN(pages_snapshot(p));
	if (!variant->home)
		EXPECT_EQ(0, numa_set_mempolicy(variant->mode, nodes));
	EXPECT_EQ(0, fault_all(p));
	on_b = full_scene_want_as_found(scene, p);
	EXPECT_EQ(in_turn ? p->count / 2 : p->count, on_b);
	EXPECT_CLEAN(pages_verify(p, "new pages, node b has room"));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
}

TEST_HARNESS_MAIN
