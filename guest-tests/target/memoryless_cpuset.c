// SPDX-License-Identifier: GPL-2.0-only
/*
 * A cpuset that is to have a node with CPUs and without memory.
 *
 *  - cgroup v1 takes no such node, alone or beside another: the mems of the root
 *    group are those with memory, and no group has others (update_nodemask(),
 *    kernel/cgroup/cpuset.c, 6.1 and 6.12). A group that has none for it takes no
 *    process.
 *  - cgroup v2 takes what may ever be a node and puts in force what has memory;
 *    if there is none, what is in force at its parent.
 *
 * testbed:
 *   nodes: 2
 *   memoryless: 1
 *   kconfig: [NUMA, MIGRATION, CPUSETS, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     "memoryless_cpuset.v1.*": {kconfig: [CPUSETS_V1 since 6.12]}
 *   contract: {16: ["memoryless_cpuset.*"], 17: ["memoryless_cpuset.*"],
 *     18: ["memoryless_cpuset.v2.*"]}
 *   covers:
 *     - {cases: memoryless_cpuset.v1.mems, interface: cpuset-v1-mems,
 *        backing: anon-private, condition: target-memoryless}
 *     - {cases: "memoryless_cpuset.v1.attach*", interface: cpuset-v1-attach,
 *        backing: anon-private, condition: target-memoryless}
 *     - {cases: memoryless_cpuset.v2.mems, interface: cpuset-v2-mems,
 *        backing: anon-private, condition: target-memoryless}
 *     - {cases: "memoryless_cpuset.v2.attach*", interface: cpuset-v2-attach,
 *        backing: anon-private, condition: target-memoryless}
 */
#include "harness.h"

#include "cpuset_scene.h"
#include "nodes.h"

#define COUNT		24

FIXTURE(memoryless_cpuset)
{
	unsigned long a;
	unsigned long b;
	unsigned long bare;	/* the node without memory */
	struct cpuset_scene scene;
};

CPUSET_VARIANTS(memoryless_cpuset);

FIXTURE_SETUP(memoryless_cpuset)
{
	int bare = nodes_first_without_memory();

	if (cpuset_scene_nodes(&self->scene) < 2)
		SKIP(return, "needs 2 nodes with memory");
	ASSERT_LE(0, bare);
	self->a = NODE(self->scene.node[0]);
	self->b = NODE(self->scene.node[1]);
	self->bare = NODE(bare);
	ASSERT_CLEAN(cpuset_scene_begin(&self->scene, variant->kind, COUNT));
}

FIXTURE_TEARDOWN_PARENT(memoryless_cpuset)
{
	EXPECT_EQ(0, cpuset_scene_end(&self->scene));
}

/* The child in "x", whose mems are b, the second node that has memory. */
#define START_ON_B() do {						\
	pages_want_all(&self->scene.subject.pages, self->scene.node[1]); \
	ASSERT_CLEAN(cpuset_scene_start(&self->scene, self->b,		\
					pages_populate));		\
} while (0)

#define VERIFY_STAYED(what) do {					\
	EXPECT_CLEAN(cpuset_scene_verify(&self->scene, self->b, what));	\
	EXPECT_EQ(0, subject_moved());					\
} while (0)

#define VERIFY_ON_A(what) do {						\
	pages_want_all(&self->scene.subject.pages, self->scene.node[0]); \
	EXPECT_CLEAN(cpuset_scene_verify(&self->scene, self->a, what));	\
	EXPECT_LE(COUNT, subject_moved());				\
} while (0)

#define END() \
	EXPECT_EQ(0, holder_end(&self->scene.subject.holder))

#define EXPECT_MEMS(asked, in_force, name) do {				\
	EXPECT_CLEAN(cpuset_same(asked, cpuset_mems(name)));		\
	EXPECT_CLEAN(cpuset_same(in_force, cpuset_effective_mems(name))); \
} while (0)

TEST_F(memoryless_cpuset, mems)
{
	const unsigned long a = self->a, b = self->b, bare = self->bare;
	const bool v2 = variant->kind == CPUSET_V2;

	START_ON_B();
	EXPECT_EQ(v2 ? 0 : -EINVAL, cpuset_set_mems("x", bare));
	EXPECT_MEMS(v2 ? bare : b, v2 ? self->scene.all : b, "x");
	VERIFY_STAYED("mems without memory");

	EXPECT_EQ(v2 ? 0 : -EINVAL, cpuset_set_mems("x", bare | a | b));
	EXPECT_MEMS(v2 ? bare | a | b : b, v2 ? a | b : b, "x");
	VERIFY_STAYED("mems of which one has no memory");

	EXPECT_EQ(v2 ? 0 : -EINVAL, cpuset_set_mems("x", bare | a));
	EXPECT_MEMS(v2 ? bare | a : b, v2 ? a : b, "x");
	if (v2)
		VERIFY_ON_A("mems of which the other has memory");
	else
		VERIFY_STAYED("mems of which the other has memory");
	END();
}

/* v1: it could not be given the node, so it has none, and takes no process. */
TEST_F(memoryless_cpuset, attach)
{
	const unsigned long bare = self->bare;
	const pid_t *pid = &self->scene.subject.pages.pid;
	const bool v2 = variant->kind == CPUSET_V2;

	START_ON_B();
	EXPECT_EQ(v2 ? 0 : -EINVAL, cpuset_set_mems("y", bare));
	EXPECT_EQ(v2 ? 0 : -ENOSPC, cpuset_attach("y", *pid));
	EXPECT_MEMS(v2 ? bare : 0, v2 ? self->scene.all : 0, "y");
	/* In v2 it may use all that there are, hence stay as well. */
	VERIFY_STAYED("from x (b) to y (no memory)");

	EXPECT_EQ(v2 ? 0 : -EINVAL, cpuset_set_mems("y", bare | self->a));
	if (!v2)
		EXPECT_EQ(-ENOSPC, cpuset_attach("y", *pid));
	if (v2)
		VERIFY_ON_A("y has memory now");
	else
		VERIFY_STAYED("y was refused memory beside none");
	END();
}

/* What its parent has is in force in the group without memory. */
TEST_F(memoryless_cpuset, attach_below_one_with_memory)
{
	const unsigned long a = self->a, bare = self->bare;
	const pid_t *pid = &self->scene.subject.pages.pid;
	const bool v2 = variant->kind == CPUSET_V2;

	START_ON_B();
	ASSERT_EQ(0, cpuset_set_mems("y", a));
	ASSERT_EQ(0, cpuset_create("y/in"));
	EXPECT_EQ(v2 ? 0 : -EINVAL, cpuset_set_mems("y/in", bare));
	EXPECT_MEMS(v2 ? bare : 0, v2 ? a : 0, "y/in");
	EXPECT_EQ(v2 ? 0 : -ENOSPC, cpuset_attach("y/in", *pid));
	if (v2)
		VERIFY_ON_A("from x (b) to y/in (a, by its parent)");
	else
		VERIFY_STAYED("from x (b) to y/in, which has none");
	END();
}

TEST_HARNESS_MAIN
