// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which mems a cpuset of cgroup v1 takes, and which it refuses:
 * validate_change() in kernel/cgroup/cpuset.c, cpuset1_validate_change() in
 * cpuset-v1.c, 6.12. A process in the group stays where it is, and so do its
 * pages, when a write is refused.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, CPUSETS, CPUSETS_V1 since 6.12,
 *             PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract:
 *     17: ["cpuset_v1_rules.*"]
 *   covers:
 *     - {cases: cpuset_v1_rules.outside_of_the_parent,
 *        interface: cpuset-v1-mems, backing: anon-private,
 *        condition: target-outside-cpuset}
 *     - {cases: cpuset_v1_rules.text_that_is_no_set,
 *        interface: cpuset-v1-mems, backing: anon-private,
 *        condition: bad-node}
 */
#include "harness.h"

#include <errno.h>

#include "cpuset_scene.h"
#include "nodes.h"
#include "scene.h"

#define COUNT		24

FIXTURE(cpuset_v1_rules)
{
	int a;
	int b;
	struct cpuset_scene scene;
};

FIXTURE_SETUP(cpuset_v1_rules)
{
	FIND_TWO_NODES(self, return);
	ASSERT_CLEAN(cpuset_scene_begin(&self->scene, CPUSET_V1, COUNT));
}

FIXTURE_TEARDOWN_PARENT(cpuset_v1_rules)
{
	EXPECT_EQ(0, cpuset_scene_end(&self->scene));
}

/* A process in "x", whose mems are a. */
#define START_IN_X() do {						\
	pages_want_all(&self->scene.subject.pages, self->a);		\
	ASSERT_CLEAN(cpuset_scene_start(&self->scene, NODE(self->a),	\
					pages_populate));		\
} while (0)

#define VERIFY_STAYED(what) do {					\
	EXPECT_CLEAN(cpuset_scene_verify(&self->scene, NODE(self->a), what)); \
	EXPECT_EQ(0, subject_moved());					\
} while (0)

#define END() \
	EXPECT_EQ(0, holder_end(&self->scene.subject.holder))

#define EXPECT_MEMS(nodes, name) do {					\
	EXPECT_CLEAN(cpuset_same(nodes, cpuset_mems(name)));		\
	EXPECT_CLEAN(cpuset_same(nodes, cpuset_effective_mems(name)));	\
} while (0)

/* A new group has none, and takes no process before it has some. */
TEST_F(cpuset_v1_rules, no_mems_no_process)
{
	START_IN_X();
	EXPECT_MEMS(0, "y");
	EXPECT_EQ(-ENOSPC, cpuset_attach("y", self->scene.subject.pages.pid));
	VERIFY_STAYED("refused by a group without mems");
	END();
}

TEST_F(cpuset_v1_rules, not_emptied_under_a_process)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);

	START_IN_X();
	EXPECT_EQ(-ENOSPC, cpuset_set_mems("x", 0));
	EXPECT_MEMS(a, "x");
	VERIFY_STAYED("mems not emptied");
	END();

	EXPECT_EQ(0, cpuset_set_mems("y", b));
	EXPECT_MEMS(b, "y");
	EXPECT_EQ(0, cpuset_set_mems("y", 0));
	EXPECT_MEMS(0, "y");
}

/* A child's mems are a subset of its parent's, whichever of them changes. */
TEST_F(cpuset_v1_rules, subset_of_the_parent)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);

	START_IN_X();
	ASSERT_EQ(0, cpuset_create("x/in"));
	EXPECT_EQ(-EACCES, cpuset_set_mems("x/in", b));
	EXPECT_EQ(-EACCES, cpuset_set_mems("x/in", a | b));
	EXPECT_MEMS(0, "x/in");
	EXPECT_EQ(0, cpuset_set_mems("x/in", a));
	EXPECT_MEMS(a, "x/in");

	EXPECT_EQ(-EBUSY, cpuset_set_mems("x", b));
	EXPECT_MEMS(a, "x");
	VERIFY_STAYED("mems of a parent, refused");
	END();
	EXPECT_EQ(0, cpuset_set_mems("x", a | b));
	EXPECT_EQ(0, cpuset_set_mems("x/in", b));
	EXPECT_EQ(-EBUSY, cpuset_set_mems("x", a));
	EXPECT_EQ(0, cpuset_set_mems("x", b));
	EXPECT_MEMS(b, "x/in");
}

/* A process below: its own group may not leave the parent, nor be left by it. */
TEST_F(cpuset_v1_rules, outside_of_the_parent)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);
	struct pages *p = &self->scene.subject.pages;

	START_IN_X();
	ASSERT_EQ(0, cpuset_create("x/in"));
	ASSERT_EQ(0, cpuset_set_mems("x/in", a));
	ASSERT_EQ(0, cpuset_attach("x/in", p->pid));
	EXPECT_EQ(-EACCES, cpuset_set_mems("x/in", b));
	EXPECT_EQ(-EACCES, cpuset_set_mems("x/in", a | b));
	EXPECT_MEMS(a, "x/in");
	EXPECT_EQ(-EBUSY, cpuset_set_mems("x", b));
	EXPECT_MEMS(a, "x");
	VERIFY_STAYED("mems that the parent has not, refused");

	/* From the outside in it may go, one group at a time. */
	EXPECT_EQ(0, cpuset_set_mems("x", a | b));
	VERIFY_STAYED("the parent's mems from a to {a,b}");
	EXPECT_EQ(0, cpuset_set_mems("x/in", b));
	EXPECT_EQ(0, cpuset_set_mems("x", b));
	EXPECT_MEMS(b, "x/in");
	pages_want_all(p, self->b);
	EXPECT_CLEAN(cpuset_scene_verify(&self->scene, b,
					 "mems of the group from a to b"));
	EXPECT_LE(COUNT, subject_moved());
	END();
}

TEST_F(cpuset_v1_rules, exclusive_of_a_sibling)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);

	START_IN_X();
	EXPECT_EQ(0, cpuset_write("x", "cpuset.mem_exclusive", "1"));
	EXPECT_EQ(-EINVAL, cpuset_set_mems("y", a));
	EXPECT_EQ(-EINVAL, cpuset_set_mems("y", a | b));
	EXPECT_MEMS(0, "y");
	EXPECT_EQ(0, cpuset_set_mems("y", b));
	/* The other way round: x would grow into y. */
	EXPECT_EQ(-EINVAL, cpuset_set_mems("x", a | b));
	EXPECT_MEMS(a, "x");
	VERIFY_STAYED("an exclusive group, refused");

	/* Not after the fact either. */
	EXPECT_EQ(0, cpuset_write("x", "cpuset.mem_exclusive", "0"));
	EXPECT_EQ(0, cpuset_set_mems("y", a | b));
	EXPECT_EQ(-EINVAL, cpuset_write("x", "cpuset.mem_exclusive", "1"));
	EXPECT_EQ(-EINVAL, cpuset_write("y", "cpuset.mem_exclusive", "1"));
	END();
}

/* Only below an exclusive parent, which stays so as long. */
TEST_F(cpuset_v1_rules, exclusive_below)
{
	const unsigned long both = NODE(self->a) | NODE(self->b);
	char text[16];

	ASSERT_EQ(0, cpuset_set_mems("x", both));
	ASSERT_EQ(0, cpuset_create("x/in"));
	ASSERT_EQ(0, cpuset_set_mems("x/in", NODE(self->a)));
	EXPECT_EQ(-EACCES, cpuset_write("x/in", "cpuset.mem_exclusive", "1"));
	EXPECT_EQ(0, cpuset_write("x", "cpuset.mem_exclusive", "1"));
	EXPECT_EQ(0, cpuset_write("x/in", "cpuset.mem_exclusive", "1"));
	EXPECT_EQ(-EBUSY, cpuset_write("x", "cpuset.mem_exclusive", "0"));
	EXPECT_LT(0, cpuset_read("x", "cpuset.mem_exclusive", text,
				 sizeof(text)));
	EXPECT_STREQ("1", text);
	EXPECT_EQ(0, cpuset_write("x/in", "cpuset.mem_exclusive", "0"));
	EXPECT_EQ(0, cpuset_write("x", "cpuset.mem_exclusive", "0"));
}

TEST_F(cpuset_v1_rules, text_that_is_no_set)
{
	static const char junk[][4] = { "x", "0-", "1-0", "0:1", "-1" };
	unsigned int i;

	START_IN_X();
	for (i = 0; i < sizeof(junk) / sizeof(*junk); i++)
		EXPECT_EQ(-EINVAL, cpuset_write("x", "cpuset.mems", junk[i]))
			TH_LOG("written: %s", junk[i]);
	/* Past MAX_NUMNODES: bitmap_parselist(), lib/bitmap-str.c. */
	EXPECT_EQ(-ERANGE, cpuset_write("x", "cpuset.mems", "99999"));
	EXPECT_EQ(-EINVAL, cpuset_set_mems("x",
					   NODE(nodes_first_without_memory())));
	EXPECT_EQ(-EACCES, cpuset_set_mems(".", NODE(self->a)));
	EXPECT_MEMS(NODE(self->a), "x");
	EXPECT_MEMS(self->scene.all, ".");
	VERIFY_STAYED("junk, refused");
	END();
}

TEST_HARNESS_MAIN
