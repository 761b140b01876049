// SPDX-License-Identifier: GPL-2.0-only
/*
 * A group of cgroup v2 that can be granted none of the mems that it asks for has
 * those in force at its parent, as if it had asked for nothing
 * (Documentation/admin-guide/cgroup-v2.rst, cpuset.mems.effective;
 * update_nodemasks_hier(), kernel/cgroup/cpuset.c, 6.12 and 6.1). Its pages and
 * its policies go there, and go back when it is granted what it asks for.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, CPUSETS, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     cpuset_v2_fallback.to_more_nodes: {nodes: 3}
 *     cpuset_v2_fallback.node_by_node: {nodes: 4}
 *   contract:
 *     17: ["cpuset_v2_fallback.*"]
 *     18: ["cpuset_v2_fallback.*"]
 *   promises:
 *     relative-placement: [cpuset_v2_fallback.node_by_node]
 *   covers:
 *     - {cases: "cpuset_v2_fallback.*", interface: cpuset-v2-mems,
 *        backing: anon-private, condition: target-outside-cpuset}
 */
#include "harness.h"

#include "cpuset_scene.h"
#include "nodes.h"
#include "policy.h"

/* A multiple of 2, dealt out over that many nodes in turn. */
#define COUNT		24
#define HALF		(COUNT / 2)

FIXTURE(cpuset_v2_fallback)
{
	unsigned long a;
	unsigned long b;
	unsigned long c;	/* none where there is no such node */
	unsigned long d;
	struct cpuset_scene scene;
};

/* The groups "x", "x/in" and "x/in/deep". */
FIXTURE_SETUP(cpuset_v2_fallback)
{
	const int *node = self->scene.node;
	int error;

	if (cpuset_scene_nodes(&self->scene) < 2)
		SKIP(return, "needs 2 nodes with memory");
	self->a = NODE(node[0]);
	self->b = NODE(node[1]);
	self->c = node[2] < 0 ? 0 : NODE(node[2]);
	self->d = node[3] < 0 ? 0 : NODE(node[3]);
	ASSERT_CLEAN(cpuset_scene_begin(&self->scene, CPUSET_V2, COUNT));
	error = cpuset_create("x/in") ? : cpuset_create("x/in/deep");
	/* A setup that failed is not torn down. */
	if (error)
		cpuset_scene_end(&self->scene);
	ASSERT_EQ(0, error);
}

FIXTURE_TEARDOWN_PARENT(cpuset_v2_fallback)
{
	EXPECT_EQ(0, cpuset_scene_end(&self->scene));
}

#define LOOK() \
	ASSERT_CLEAN(subject_look(&self->scene.subject))

#define VERIFY(nodes, what) \
	EXPECT_CLEAN(cpuset_scene_verify(&self->scene, nodes, what))

#define VERIFY_STAYED(nodes, what) do {					\
	VERIFY(nodes, what);						\
	EXPECT_EQ(0, subject_moved());					\
} while (0)

#define CALL(fn) \
	holder_call(&self->scene.subject.holder, fn)

#define END() \
	EXPECT_EQ(0, holder_end(&self->scene.subject.holder))

/* What was asked for, and what is in force. */
#define EXPECT_MEMS(asked, in_force, name) do {				\
	EXPECT_CLEAN(cpuset_same(asked, cpuset_mems(name)));		\
	EXPECT_CLEAN(cpuset_same(in_force, cpuset_effective_mems(name))); \
} while (0)

#define WANT(nodes) \
	pages_want_all(&self->scene.subject.pages, nodes_nth(nodes, 0))

/* Called in the child. */

static long bind_half(struct pages *p)
{
	return policy_bind(p, 0, p->count, MPOL_BIND, NODE(p->want[0]), 0) ? :
	       pages_populate(p);
}

static long touch(struct pages *p, long count)
{
	policy_fault(p, HALF, count);
	/* The parent knows where; here they only have to be looked at. */
	pages_want(p, HALF, count, 0);
	return 0;
}

static long touch_rest(struct pages *p)
{
	return touch(p, HALF);
}

static long allowed_mems(struct pages *p)
{
	unsigned long nodes = 0;

	(void)p;
	return numa_get_mempolicy(NULL, &nodes, NULL, MPOL_F_MEMS_ALLOWED) ? :
	       (long)nodes;
}

/*
 * What is called later, once: text is mapped when it is first run, wherever it
 * lies, and is to be taken along by the attach.
 */
static long run_once(struct pages *p)
{
	return allowed_mems(p) < 0 ? -1 : touch(p, 0);
}

/* Start the child, whose pages are wanted somewhere, and put it into @group. */
static const char *start_in(struct cpuset_scene *scene, const char *group,
			    holder_fn prepare)
{
	if (subject_start(&scene->subject, prepare))
		return "cannot start the child";
	if (holder_call(&scene->subject.holder, run_once))
		return "the child cannot do its part";
	if (cpuset_attach(group, scene->subject.pages.pid))
		return "cannot attach";
	return subject_look(&scene->subject);
}

/* The parent is narrower than the child asks for, now and after a change. */
TEST_F(cpuset_v2_fallback, parent_has_none_of_it)
{
	const unsigned long a = self->a, b = self->b;
	struct pages *p = &self->scene.subject.pages;

	ASSERT_EQ(0, cpuset_set_mems("x", a));
	ASSERT_EQ(0, cpuset_set_mems("x/in", a));
	WANT(a);
	pages_want(p, HALF, HALF, UNTOUCHED);
	ASSERT_CLEAN(start_in(&self->scene, "x/in", bind_half));
	EXPECT_EQ(0, cpuset_set_mems("x/in", b));
	EXPECT_MEMS(b, a, "x/in");
	VERIFY_STAYED(a, "mems from a to b, which the parent has not");
	EXPECT_CLEAN(cpuset_same(a, CALL(allowed_mems)));
	EXPECT_CLEAN(policy_check(p, 0, MPOL_BIND, a));

	/* Of what it asks for in part, that part is in force. */
	EXPECT_EQ(0, cpuset_set_mems("x/in", a | b));
	EXPECT_MEMS(a | b, a, "x/in");
	VERIFY_STAYED(a, "mems to {a,b}, of which the parent has a");
	ASSERT_EQ(0, CALL(touch_rest));
	WANT(a);
	EXPECT_CLEAN(pages_verify(p, "the rest of it, touched now"));
	END();
}

/* The parent loses all that the child asks for, and the child follows it. */
TEST_F(cpuset_v2_fallback, parent_loses_all_of_it)
{
	const unsigned long a = self->a, b = self->b;
	struct pages *p = &self->scene.subject.pages;

	ASSERT_EQ(0, cpuset_set_mems("x", a | b));
	ASSERT_EQ(0, cpuset_set_mems("x/in", b));
	WANT(b);
	pages_want(p, HALF, HALF, UNTOUCHED);
	ASSERT_CLEAN(start_in(&self->scene, "x/in", bind_half));
	EXPECT_EQ(0, cpuset_set_mems("x", a));
	EXPECT_MEMS(b, a, "x/in");
	pages_want(p, 0, HALF, self->scene.node[0]);
	VERIFY(a, "the parent's mems from {a,b} to a");
	EXPECT_CLEAN(cpuset_same(a, CALL(allowed_mems)));
	EXPECT_CLEAN(policy_check(p, 0, MPOL_BIND, a));

	ASSERT_EQ(0, CALL(touch_rest));
	WANT(a);
	EXPECT_CLEAN(pages_verify(p, "the rest of it, touched now"));
	LOOK();
	EXPECT_EQ(0, cpuset_set_mems("x", a | b));
	EXPECT_MEMS(b, b, "x/in");
	WANT(b);
	VERIFY(b, "the parent's mems from a to {a,b}");
	EXPECT_CLEAN(policy_check(p, 0, MPOL_BIND, b));
	END();
}

/*
 * Each falls back to its own parent, not to whoever has what it asks for: "in"
 * has b, so "deep" cannot have a, which "x" has.
 */
TEST_F(cpuset_v2_fallback, each_to_its_own_parent)
{
	const unsigned long a = self->a, b = self->b;

	ASSERT_EQ(0, cpuset_set_mems("x", a | b));
	ASSERT_EQ(0, cpuset_set_mems("x/in", b));
	ASSERT_EQ(0, cpuset_set_mems("x/in/deep", a));
	EXPECT_MEMS(a, b, "x/in/deep");
	WANT(b);
	ASSERT_CLEAN(start_in(&self->scene, "x/in/deep", pages_populate));

	/* Now "in" falls back to a, and "deep" is granted what it asks for. */
	EXPECT_EQ(0, cpuset_set_mems("x", a));
	EXPECT_MEMS(b, a, "x/in");
	EXPECT_MEMS(a, a, "x/in/deep");
	WANT(a);
	VERIFY(a, "the grandparent's mems from {a,b} to a");

	LOOK();
	EXPECT_EQ(0, cpuset_set_mems("x", b));
	EXPECT_MEMS(a, b, "x/in/deep");
	WANT(b);
	VERIFY(b, "the grandparent's mems from a to b");

	/* The one between makes way, and "x" has not what "deep" asks for. */
	LOOK();
	EXPECT_EQ(0, cpuset_set_mems("x/in", a | b));
	EXPECT_MEMS(a, b, "x/in/deep");
	VERIFY_STAYED(b, "the parent's mems from b to {a,b}");
	EXPECT_EQ(0, cpuset_set_mems("x", a | b));
	EXPECT_MEMS(a, a, "x/in/deep");
	WANT(a);
	VERIFY(a, "the grandparent's mems from b to {a,b}");
	END();
}

/* From one node to two: the pages go to the first, new ones may use both. */
TEST_F(cpuset_v2_fallback, to_more_nodes)
{
	const unsigned long a = self->a, b = self->b, c = self->c;

	if (!c)
		SKIP(return, "needs 3 nodes with memory");
	ASSERT_EQ(0, cpuset_set_mems("x", a | b | c));
	ASSERT_EQ(0, cpuset_set_mems("x/in", c));
	WANT(c);
	ASSERT_CLEAN(start_in(&self->scene, "x/in", pages_populate));
	EXPECT_EQ(0, cpuset_set_mems("x", a | b));
	EXPECT_MEMS(c, a | b, "x/in");
	EXPECT_CLEAN(cpuset_same(a | b, CALL(allowed_mems)));
	WANT(a);
	VERIFY(a, "the parent's mems from {a,b,c} to {a,b}");

	LOOK();
	EXPECT_EQ(0, cpuset_set_mems("x", b));
	EXPECT_MEMS(c, b, "x/in");
	WANT(b);
	VERIFY(b, "the parent's mems from {a,b} to b");
	LOOK();
	EXPECT_EQ(0, cpuset_set_mems("x", b | c));
	EXPECT_MEMS(c, c, "x/in");
	WANT(c);
	VERIFY(c, "the parent's mems from b to {b,c}");
	END();
}

/* From two nodes to two others and back: {c,d} -> {a,b} -> {c,d}. */
TEST_F(cpuset_v2_fallback, node_by_node)
{
	const unsigned long low = self->a | self->b, high = self->c | self->d;
	const int *node = self->scene.node;
	struct pages *p = &self->scene.subject.pages;

	if (!self->d)
		SKIP(return, "needs 4 nodes with memory");
	ASSERT_EQ(0, cpuset_set_mems("x", low | high));
	ASSERT_EQ(0, cpuset_set_mems("x/in", high));
	pages_want_dealt(p, high);
	ASSERT_CLEAN(start_in(&self->scene, "x/in", pages_populate));
	EXPECT_EQ(0, cpuset_set_mems("x", low));
	EXPECT_MEMS(high, low, "x/in");
	pages_want_moved(p, node[2], node[0]);
	pages_want_moved(p, node[3], node[1]);
	VERIFY(low, "the parent's mems to {a,b}");

	LOOK();
	EXPECT_EQ(0, cpuset_set_mems("x", low | high));
	EXPECT_MEMS(high, high, "x/in");
	pages_want_moved(p, node[0], node[2]);
	pages_want_moved(p, node[1], node[3]);
	VERIFY(high, "the parent's mems to all");
	END();
}

TEST_HARNESS_MAIN
