// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mems of nested groups of cgroup v2, and of v1 mounted with cpuset_v2_mode:
 * any that may ever be can be asked for; those in force are the ones that the
 * parent has in force too, or all of the parent's where there are none
 * (update_nodemasks_hier(), kernel/cgroup/cpuset.c, 6.12). Pages follow those
 * in force.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, CPUSETS, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     "cpuset_v2_rules.v1*.*": {kconfig: [CPUSETS_V1 since 6.12]}
 *   contract:
 *     17: ["cpuset_v2_rules.*"]
 *   promises:
 *     cpuset-takes-pages: ["cpuset_v2_rules.*.taken_away_and_given_back",
 *       "cpuset_v2_rules.*.grandchild"]
 *   covers:
 *     - {cases: ["cpuset_v2_rules.v2.taken_away_and_given_back"],
 *        interface: [cpuset-v2-mems], backing: [anon-private], condition:
 *          [quiet]}
 *     - {cases: ["cpuset_v2_rules.v2.attach_by_what_is_in_force"],
 *        interface: [cpuset-v2-attach], backing: [anon-private], condition:
 *          [quiet]}
 */
#include "harness.h"

#include <errno.h>

#include "cpuset_steps.h"
#include "nodes.h"
#include "scene.h"

#define COUNT		24

FIXTURE(cpuset_v2_rules)
{
	int a;
	int b;
	struct cpuset_scene scene;
};

FIXTURE_VARIANT(cpuset_v2_rules)
{
	enum cpuset_kind kind;
};

FIXTURE_VARIANT_ADD(cpuset_v2_rules, v1_as_v2) { .kind = CPUSET_V1_AS_V2 };
FIXTURE_VARIANT_ADD(cpuset_v2_rules, v2) { .kind = CPUSET_V2 };

FIXTURE_SETUP(cpuset_v2_rules)
{
	FIND_TWO_NODES(self, return);
	ASSERT_CLEAN(cpuset_scene_begin(&self->scene, variant->kind, COUNT));
}

FIXTURE_TEARDOWN_PARENT(cpuset_v2_rules)
{
	EXPECT_EQ(0, cpuset_scene_end(&self->scene));
}

/* What was asked for stands; what is in force is another matter. */
#define EXPECT_MEMS(asked, in_force, name) do {				\
	EXPECT_CLEAN(cpuset_same(asked, cpuset_mems(name)));		\
	EXPECT_CLEAN(cpuset_same(in_force, cpuset_effective_mems(name))); \
} while (0)

/* A process on @node in group "x/in", of the mems @nodes in "x" of @outer. */
static const char *start_within(struct cpuset_scene *scene, int node,
				unsigned long outer, unsigned long nodes)
{
	struct pages *p = &scene->subject.pages;
	const char *problem;

	if (cpuset_create("x/in") || cpuset_set_mems("x", outer) ||
	    cpuset_set_mems("x/in", nodes))
		return "cannot make the group x/in";
	pages_want_all(p, node);
	if (subject_start(&scene->subject, pages_populate))
		return "cannot start the child";
	problem = cpuset_attach("x/in", p->pid) ? "cannot attach" : "";
	return *problem ? problem : subject_look(&scene->subject);
}

/* A parent that loses the node takes it from the child, and gives it back. */
TEST_F(cpuset_v2_rules, taken_away_and_given_back)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);
	struct pages *p = &self->scene.subject.pages;

	ASSERT_CLEAN(start_within(&self->scene, self->b, a | b, b));
	EXPECT_MEMS(b, b, "x/in");
	EXPECT_EQ(0, cpuset_set_mems("x", a));
	EXPECT_MEMS(b, a, "x/in");
	pages_want_all(p, self->a);
	VERIFY_ON(a, "the parent's mems from {a,b} to a");

	LOOK();
	EXPECT_EQ(0, cpuset_set_mems("x", a | b));
	EXPECT_MEMS(b, b, "x/in");
	pages_want_all(p, self->b);
	VERIFY_ON(b, "the parent's mems from a to {a,b}");
	END();
}

/* Outside of the parent's: taken, and not in force until the parent has it. */
TEST_F(cpuset_v2_rules, outside_of_the_parent)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);
	struct pages *p = &self->scene.subject.pages;

	ASSERT_CLEAN(start_within(&self->scene, self->a, a, 0));
	EXPECT_MEMS(0, a, "x/in");
	EXPECT_EQ(0, cpuset_set_mems("x/in", b));
	EXPECT_MEMS(b, a, "x/in");
	VERIFY_ON(a, "asked for what the parent has not");
	EXPECT_EQ(0, subject_moved());

	EXPECT_EQ(0, cpuset_set_mems("x", a | b));
	EXPECT_MEMS(b, b, "x/in");
	pages_want_all(p, self->b);
	VERIFY_ON(b, "the parent has it now");
	END();
}

/* Two groups down, which asks for nothing. */
TEST_F(cpuset_v2_rules, grandchild)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);
	struct pages *p = &self->scene.subject.pages;

	ASSERT_EQ(0, cpuset_create("x/in"));
	ASSERT_EQ(0, cpuset_create("x/in/deep"));
	ASSERT_EQ(0, cpuset_set_mems("x", a));
	pages_want_all(p, self->a);
	ASSERT_EQ(0, subject_start(&self->scene.subject, pages_populate));
	ASSERT_EQ(0, cpuset_attach("x/in/deep", p->pid));
	EXPECT_MEMS(0, a, "x/in/deep");
	LOOK();
	EXPECT_EQ(0, cpuset_set_mems("x", b));
	EXPECT_MEMS(0, b, "x/in");
	EXPECT_MEMS(0, b, "x/in/deep");
	pages_want_all(p, self->b);
	VERIFY_ON(b, "the grandparent's mems from a to b");

	/* The group between has its say, and then no more. */
	LOOK();
	EXPECT_EQ(0, cpuset_set_mems("x", a | b));
	VERIFY_ON(b, "the grandparent's mems from b to {a,b}");
	EXPECT_EQ(0, subject_moved());
	EXPECT_EQ(0, cpuset_set_mems("x/in", a));
	EXPECT_MEMS(0, a, "x/in/deep");
	pages_want_all(p, self->a);
	VERIFY_ON(a, "the parent's mems to a");
	END();
}

/* From a group to its parent and to a sibling, by what is in force there. */
TEST_F(cpuset_v2_rules, attach_by_what_is_in_force)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);
	struct pages *p = &self->scene.subject.pages;

	ASSERT_CLEAN(start_within(&self->scene, self->a, a, b));
	ASSERT_EQ(0, cpuset_create("y/in"));
	ASSERT_EQ(0, cpuset_set_mems("y", b));
	EXPECT_EQ(0, cpuset_attach("y/in", p->pid));
	pages_want_all(p, self->b);
	VERIFY_ON(b, "from x/in (a in force) to y/in (b by its parent)");

	LOOK();
	EXPECT_EQ(0, cpuset_attach("x/in", p->pid));
	pages_want_all(p, self->a);
	VERIFY_ON(a, "from y/in to x/in, which asks for b and has a");
	END();
}

/* Only an empty group may go back to asking for nothing. */
TEST_F(cpuset_v2_rules, not_emptied_under_a_process)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);

	ASSERT_CLEAN(start_within(&self->scene, self->a, a | b, a));
	EXPECT_EQ(-ENOSPC, cpuset_set_mems("x/in", 0));
	EXPECT_EQ(-ENOSPC, cpuset_set_mems("x", 0));
	EXPECT_MEMS(a, a, "x/in");
	VERIFY_ON(a, "mems not emptied");
	EXPECT_EQ(0, subject_moved());
	END();

	EXPECT_EQ(0, cpuset_set_mems("y", b));
	EXPECT_EQ(0, cpuset_set_mems("y", 0));
	EXPECT_MEMS(0, self->scene.all, "y");
}

TEST_F(cpuset_v2_rules, text_that_is_no_set)
{
	static const char junk[][4] = { "x", "0-", "1-0", "0:1", "-1" };
	const unsigned long a = NODE(self->a);
	unsigned int i;

	ASSERT_CLEAN(start_within(&self->scene, self->a, a, a));
	for (i = 0; i < sizeof(junk) / sizeof(*junk); i++)
		EXPECT_EQ(-EINVAL, cpuset_write("x/in", "cpuset.mems", junk[i]))
			TH_LOG("written: %s", junk[i]);
	EXPECT_EQ(-ERANGE, cpuset_write("x/in", "cpuset.mems", "99999"));
	EXPECT_MEMS(a, a, "x/in");
	VERIFY_ON(a, "junk, refused");
	EXPECT_EQ(0, subject_moved());
	END();
}

TEST_HARNESS_MAIN
