// SPDX-License-Identifier: GPL-2.0-only
/*
 * Partitions of cgroup v2 are about CPUs: making one changes no mems and moves
 * no page (update_prstate(), kernel/cgroup/cpuset.c, 6.12), but its processes
 * run elsewhere, and mems are changed in it as in any other group.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, CPUSETS, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract:
 *     17: ["cpuset_partition.*"]
 *   covers:
 *     - {cases: ["cpuset_partition.*.mems_and_pages"],
 *        interface: [cpuset-v2-mems], backing: [anon-private], condition:
 *          [quiet]}
 *     - {cases: ["cpuset_partition.*.attach"],
 *        interface: [cpuset-v2-attach], backing: [anon-private], condition:
 *          [quiet]}
 */
#include "harness.h"

#include "chores.h"
#include "cpuset_steps.h"
#include "nodes.h"
#include "scene.h"

#define COUNT		24

FIXTURE(cpuset_partition)
{
	int a;
	int b;
	struct cpuset_scene scene;
};

FIXTURE_VARIANT(cpuset_partition)
{
	const char *type;
};

FIXTURE_VARIANT_ADD(cpuset_partition, root) { .type = "root" };
FIXTURE_VARIANT_ADD(cpuset_partition, isolated) { .type = "isolated" };

/* A partition's parent is to be one: our own group, with the second CPU. */
FIXTURE_SETUP(cpuset_partition)
{
	int error;

	FIND_TWO_NODES(self, return);
	ASSERT_CLEAN(cpuset_scene_begin(&self->scene, CPUSET_V2, COUNT));
	error = cpuset_write(".", "cpuset.cpus", "1") ? :
		cpuset_write(".", "cpuset.cpus.partition", "root") ? :
		cpuset_write("x", "cpuset.cpus", "1");
	if (error)
		cpuset_scene_end(&self->scene);
	ASSERT_EQ(0, error);
}

FIXTURE_TEARDOWN_PARENT(cpuset_partition)
{
	EXPECT_EQ(0, cpuset_scene_end(&self->scene));
}

#define EXPECT_TYPE(type) do {						\
	char text_[64];							\
									\
	EXPECT_LT(0, cpuset_read("x", "cpuset.cpus.partition", text_,	\
				 sizeof(text_)));			\
	EXPECT_STREQ(type, text_);					\
} while (0)

TEST_F(cpuset_partition, mems_and_pages)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);
	struct pages *p = &self->scene.subject.pages;

	pages_want_all(p, self->a);
	pages_want(p, COUNT / 2, COUNT / 2, UNTOUCHED);
	ASSERT_CLEAN(cpuset_scene_start(&self->scene, a, pages_populate));
	EXPECT_EQ(0, cpuset_write("x", "cpuset.cpus.partition", variant->type));
	EXPECT_TYPE(variant->type);
	EXPECT_CLEAN(cpuset_same(a, cpuset_effective_mems("x")));
	VERIFY_ON(a, "made a partition");
	EXPECT_EQ(0, subject_moved());

	LOOK();
	EXPECT_EQ(0, cpuset_set_mems("x", b));
	EXPECT_TYPE(variant->type);
	pages_want(p, 0, COUNT / 2, self->b);
	VERIFY_ON(b, "mems of the partition from a to b");

	LOOK();
	EXPECT_EQ(0, cpuset_set_mems("x", a));
	pages_want(p, 0, COUNT / 2, self->a);
	VERIFY_ON(a, "mems of the partition from b to a");
	/* On the CPU of another node. */
	EXPECT_EQ(0, holder_call(&self->scene.subject.holder,
				 chore_touch_other_half));
	pages_want_all(p, self->a);
	EXPECT_CLEAN(pages_verify(p, "touched in the partition"));

	LOOK();
	EXPECT_EQ(0, cpuset_write("x", "cpuset.cpus.partition", "member"));
	EXPECT_TYPE("member");
	EXPECT_CLEAN(cpuset_same(a, cpuset_effective_mems("x")));
	VERIFY_ON(a, "made a member again");
	EXPECT_EQ(0, subject_moved());
	END();
}

/* Into it and out of it: an attach that changes the CPUs as well. */
TEST_F(cpuset_partition, attach)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);
	struct pages *p = &self->scene.subject.pages;

	ASSERT_EQ(0, cpuset_set_mems("x", b));
	ASSERT_EQ(0, cpuset_write("x", "cpuset.cpus.partition", variant->type));
	EXPECT_TYPE(variant->type);
	pages_want_dealt(p, a | b);
	ASSERT_EQ(0, subject_start(&self->scene.subject, pages_populate));
	LOOK();
	EXPECT_EQ(0, cpuset_attach("x", p->pid));
	pages_want_all(p, self->b);
	VERIFY_ON(b, "from the root group into the partition");

	LOOK();
	EXPECT_EQ(0, cpuset_detach(p->pid));
	VERIFY_ON(b, "out of the partition into the root group");
	EXPECT_EQ(0, subject_moved());
	END();
}

TEST_HARNESS_MAIN
