// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where new pages come, by a caller who may do nothing or by one whose cpuset
 * leaves the node out. set_mempolicy(2) and set_mempolicy_home_node(2) are about
 * the caller's own memory that is still to come and take no capability.
 *
 * The home of a range need only be online: of the cpuset it is not asked
 * (set_mempolicy_home_node() in mm/mempolicy.c, 6.1 and 6.12), but bounds the
 * nodes of the policy that it is the home of. The home stands, and has effect
 * as soon as the cpuset has the node.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, MULTIUSER]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     "home_outside.*": {kconfig: [CPUSETS]}
 *   contract:
 *     7: ["no_right.home_*", "home_outside.*"]
 *     17: ["home_outside.*"]
 *   covers:
 *     - {cases: "no_right.task_*", interface: set_mempolicy,
 *        backing: anon-private, condition: no-capability}
 *     - {cases: "no_right.home_*", interface: home_node,
 *        backing: anon-private, condition: no-capability}
 *     - {cases: "home_outside.*", interface: home_node,
 *        backing: anon-private, condition: target-outside-cpuset}
 */
#include "harness.h"

#include "counters.h"
#include "cpuset_scene.h"
#include "creds.h"
#include "nodes.h"
#include "policy.h"
#include "subject.h"

#define COUNT		24
#define THIRD		(COUNT / 3)

/* Of the parent, before it forked the child. */
static int a, b, mode;

/* Called in the child. */

static long set_home(struct pages *p, int flags)
{
	return policy_bind(p, 0, p->count, mode | flags, NODE(a) | NODE(b),
			   0) ? :
	       numa_home_node(p->addr, p->count * PAGE_BYTES, b, 0);
}

/* The parent knows where they are to be; here they are only looked at. */
static void fault(struct pages *p, long first, long count)
{
	policy_fault(p, first, count);
	pages_want(p, first, count, b);
}

static long set_task_policy(struct pages *p)
{
	long error = numa_set_mempolicy(mode, NODE(b));

	fault(p, 0, p->count);
	return error;
}

static long set_home_and_fault(struct pages *p)
{
	long error = set_home(p, 0);

	fault(p, 0, p->count);
	return error;
}

static long become_nobody(struct pages *p)
{
	(void)p;
	return creds_become(USER_A, 0, true);
}

FIXTURE(no_right)
{
	struct subject subject;
	struct counters before;
};

FIXTURE_VARIANT(no_right)
{
	holder_fn set;
	int mode;
	bool both;	/* the policy names both nodes, b is its home */
};

FIXTURE_VARIANT_ADD(no_right, task_bind)
{
	.set = set_task_policy,
	.mode = MPOL_BIND,
};

FIXTURE_VARIANT_ADD(no_right, task_prefer)
{
	.set = set_task_policy,
	.mode = MPOL_PREFERRED,
};

FIXTURE_VARIANT_ADD(no_right, task_interleave)
{
	.set = set_task_policy,
	.mode = MPOL_INTERLEAVE,
};

FIXTURE_VARIANT_ADD(no_right, home_bind)
{
	.set = set_home_and_fault,
	.mode = MPOL_BIND,
	.both = true,
};

FIXTURE_VARIANT_ADD(no_right, home_prefer_many)
{
	.set = set_home_and_fault,
	.mode = MPOL_PREFERRED_MANY,
	.both = true,
};

/* The child runs on a, by whose memory it would be served. */
FIXTURE_SETUP(no_right)
{
	unsigned long nodes = nodes_with_memory();

	if (nodes_count(nodes) < 2)
		SKIP(return, "needs 2 nodes with memory");
	a = nodes_nth(nodes, 0);
	b = nodes_nth(nodes, 1);
	mode = variant->mode;
	ASSERT_EQ(0, nodes_run_on(a));
	ASSERT_EQ(0, pages_map(&self->subject.pages, COUNT, MAP_PRIVATE));
	ASSERT_EQ(0, subject_start(&self->subject, become_nobody));
	ASSERT_CLEAN(pages_snapshot(&self->subject.pages));
	ASSERT_EQ(0, counters_read(&self->before));
}

FIXTURE_TEARDOWN(no_right)
{
	EXPECT_EQ(0, holder_end(&self->subject.holder));
}

TEST_F(no_right, places_new_pages)
{
	const unsigned long nodes = NODE(b) | (variant->both ? NODE(a) : 0);
	struct holder *child = &self->subject.holder;
	struct pages *p = &self->subject.pages;

	EXPECT_EQ(0, holder_call(child, variant->set));
	pages_want_all(p, b);
	EXPECT_CLEAN(pages_verify(p, "by a user without any right"));
	EXPECT_CLEAN(policy_check(p, 0, mode, nodes));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
	EXPECT_EQ(0, holder_bad(child));
}

/* In the cpuset of the child, a third of the pages at a time. */

FIXTURE(home_outside)
{
	struct cpuset_scene scene;
};

FIXTURE_VARIANT(home_outside)
{
	int mode;
};

FIXTURE_VARIANT_ADD(home_outside, bind) { .mode = MPOL_BIND };
FIXTURE_VARIANT_ADD(home_outside, prefer_many) { .mode = MPOL_PREFERRED_MANY };

FIXTURE_SETUP(home_outside)
{
	if (cpuset_scene_nodes(&self->scene) < 2)
		SKIP(return, "needs 2 nodes with memory");
	a = self->scene.node[0];
	b = self->scene.node[1];
	mode = variant->mode;
	ASSERT_EQ(0, nodes_run_on(a));
	ASSERT_CLEAN(cpuset_scene_begin(&self->scene, CPUSET_V2, COUNT));
}

/* In the parent, so that it is done however the test ended. */
FIXTURE_TEARDOWN_PARENT(home_outside)
{
	EXPECT_EQ(0, cpuset_scene_end(&self->scene));
}

/* Called in the child. */

static long do_nothing(struct pages *p)
{
	(void)p;
	return 0;
}

static long set_static_home(struct pages *p)
{
	return set_home(p, MPOL_F_STATIC_NODES);
}

static long fault_third(struct pages *p)
{
	static int done;

	fault(p, done, THIRD);
	done += THIRD;
	return 0;
}

#define CALL(fn) \
	holder_call(&self->scene.subject.holder, fn)

/* Fault the next third in, and want it on @node. */
#define FAULT_ON(third, node, what) do {				\
	struct pages *_p = &self->scene.subject.pages;			\
									\
	ASSERT_EQ(0, CALL(fault_third));				\
	pages_want(_p, (third) * THIRD, THIRD, node);			\
	EXPECT_CLEAN(pages_verify(_p, what));				\
} while (0)

#define END() do {							\
	EXPECT_EQ(0, holder_bad(&self->scene.subject.holder));		\
	EXPECT_EQ(0, holder_end(&self->scene.subject.holder));		\
} while (0)

/* Set while the node is outside, and let in later. */
TEST_F(home_outside, let_in)
{
	const unsigned long both = NODE(a) | NODE(b);
	struct subject *s = &self->scene.subject;

	ASSERT_CLEAN(cpuset_scene_start(&self->scene, NODE(a), do_nothing));
	EXPECT_EQ(0, CALL(set_static_home));
	FAULT_ON(0, a, "its home is outside of the cpuset");
	EXPECT_CLEAN(policy_check(&s->pages, 0, mode | MPOL_F_STATIC_NODES,
				  NODE(a)));

	ASSERT_CLEAN(subject_look(s));
	EXPECT_EQ(0, cpuset_set_mems("x", both));
	EXPECT_CLEAN(subject_verify(s, 0, "its home is let in"));
	EXPECT_EQ(0, subject_moved());
	if (mode == MPOL_BIND) {
		FAULT_ON(1, b, "its home is inside");
		EXPECT_CLEAN(policy_check(&s->pages, 0,
					  mode | MPOL_F_STATIC_NODES, both));
	}
	END();
}

/* Set while it is inside; then the cpuset loses it, and has it again. */
TEST_F(home_outside, taken_away_and_given_back)
{
	const unsigned long both = NODE(a) | NODE(b);
	struct subject *s = &self->scene.subject;

	ASSERT_CLEAN(cpuset_scene_start(&self->scene, both, do_nothing));
	EXPECT_EQ(0, CALL(set_static_home));
	FAULT_ON(0, b, "its home is inside");

	ASSERT_CLEAN(subject_look(s));
	EXPECT_EQ(0, cpuset_set_mems("x", NODE(a)));
	pages_want(&s->pages, 0, THIRD, a);
	EXPECT_CLEAN(subject_verify(s, 0, "its home is outside"));
	FAULT_ON(1, a, "new pages, its home is outside");

	ASSERT_CLEAN(subject_look(s));
	EXPECT_EQ(0, cpuset_set_mems("x", both));
	EXPECT_CLEAN(subject_verify(s, 0, "its home is inside again"));
	EXPECT_EQ(0, subject_moved());
	FAULT_ON(2, b, "new pages, its home is inside again");
	END();
}

TEST_HARNESS_MAIN
