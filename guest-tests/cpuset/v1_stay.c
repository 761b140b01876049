// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cgroup v1 without memory_migrate, as a cpuset is made: the mems of a process
 * and its policies change, new pages keep to them, and no page moves. Whether
 * an attach moves pages is up to the group that is attached to
 * (is_memory_migrate(cs) in cpuset_attach(), kernel/cgroup/cpuset.c, 6.12).
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, CPUSETS, CPUSETS_V1 since 6.12,
 *             PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract:
 *     17: ["cpuset_v1_stay.*"]
 *   covers:
 *     - {cases: ["cpuset_v1_stay.*"],
 *        interface: [cpuset-v1-mems], backing: [anon-private], condition:
 *          [quiet]}
 *     - {cases: ["cpuset_v1_stay.attach*"],
 *        interface: [cpuset-v1-attach], backing: [anon-private], condition:
 *          [quiet]}
 */
#include "harness.h"

#include "cpuset_scene.h"
#include "pattern.h"

#define COUNT		24

FIXTURE(cpuset_v1_stay)
{
	int a;
	int b;
	struct cpuset_scene scene;
};

FIXTURE_SETUP(cpuset_v1_stay)
{
	if (cpuset_scene_nodes(&self->scene) < 2)
		SKIP(return, "needs 2 nodes with memory");
	self->a = self->scene.node[0];
	self->b = self->scene.node[1];
	ASSERT_CLEAN(cpuset_scene_begin(&self->scene, CPUSET_V1_STAY, COUNT));
}

FIXTURE_TEARDOWN_PARENT(cpuset_v1_stay)
{
	EXPECT_EQ(0, cpuset_scene_end(&self->scene));
}

#define LOOK() \
	ASSERT_CLEAN(subject_look(&self->scene.subject))

#define VERIFY(what) \
	EXPECT_CLEAN(subject_verify(&self->scene.subject, 0, what))

#define START_IN_X(nodes, prepare) \
	ASSERT_CLEAN(cpuset_scene_start(&self->scene, nodes, prepare))

#define CALL(fn) \
	holder_call(&self->scene.subject.holder, fn)

#define END() \
	EXPECT_EQ(0, holder_end(&self->scene.subject.holder))

/* Called in the child. */

static long bind_to_its_node(struct pages *p)
{
	return pages_populate(p) ? :
	       numa_mbind(p->addr, p->count * PAGE_BYTES, MPOL_BIND,
			  NODE(p->want[0]), 0);
}

static long touch_other_half(struct pages *p)
{
	int i;

	for (i = COUNT / 2; i < COUNT; i++) {
		pattern_fill(pages_at(p, i), p->seed, i);
		pages_want(p, i, 1, 0);
	}
	return 0;
}

/* What the kernel has in memory_migrate. */
static const char *migrates(const char *name)
{
	static char text[16];

	if (cpuset_read(name, "cpuset.memory_migrate", text, sizeof(text)) < 0)
		return "unreadable";
	return text;
}

TEST_F(cpuset_v1_stay, change_of_mems)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);
	struct pages *p = &self->scene.subject.pages;
	char want[32], text[64];

	EXPECT_STREQ("0", migrates("x"));
	pages_want_all(p, self->a);
	pages_want(p, COUNT / 2, COUNT / 2, UNTOUCHED);
	START_IN_X(a, bind_to_its_node);
	EXPECT_EQ(0, cpuset_set_mems("x", b));
	VERIFY("mems from a to b");
	EXPECT_EQ(0, subject_moved());
	EXPECT_CLEAN(cpuset_same(b, cpuset_effective_mems("x")));
	snprintf(want, sizeof(want), "bind:%d", self->b);
	EXPECT_STREQ(want, placement_policy(p->pid, p->addr, text,
					    sizeof(text)));

	ASSERT_EQ(0, CALL(touch_other_half));
	pages_want(p, COUNT / 2, COUNT / 2, self->b);
	EXPECT_CLEAN(pages_verify(p, "the rest of it, touched now"));
	EXPECT_EQ(0, holder_bad(&self->scene.subject.holder));
	END();
}

TEST_F(cpuset_v1_stay, attach)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);
	struct pages *p = &self->scene.subject.pages;
	char want[32], text[64];

	ASSERT_EQ(0, cpuset_set_mems("y", b));
	pages_want_all(p, self->a);
	START_IN_X(a, bind_to_its_node);
	EXPECT_EQ(0, cpuset_attach("y", p->pid));
	VERIFY("from x (a) to y (b)");
	EXPECT_EQ(0, subject_moved());
	snprintf(want, sizeof(want), "bind:%d", self->b);
	EXPECT_STREQ(want, placement_policy(p->pid, p->addr, text,
					    sizeof(text)));
	END();
}

/* One of the two groups has the flag: the one gone to decides. */
TEST_F(cpuset_v1_stay, attach_by_the_flag_of_the_target)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);
	struct pages *p = &self->scene.subject.pages;

	ASSERT_EQ(0, cpuset_set_mems("y", b));
	ASSERT_EQ(0, cpuset_write("y", "cpuset.memory_migrate", "1"));
	EXPECT_STREQ("1", migrates("y"));
	pages_want_all(p, self->a);
	START_IN_X(a, pages_populate);
	EXPECT_EQ(0, cpuset_attach("y", p->pid));
	pages_want_all(p, self->b);
	VERIFY("to the group with memory_migrate");
	EXPECT_EQ(0, subject_is_on(a));

	LOOK();
	EXPECT_EQ(0, cpuset_attach("x", p->pid));
	VERIFY("to the group without it");
	EXPECT_EQ(0, subject_moved());
	END();
}

/* Switching it on moves nothing yet, and never what an older change left. */
TEST_F(cpuset_v1_stay, switched_on_later)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);
	struct pages *p = &self->scene.subject.pages;

	pages_want_all(p, self->a);
	START_IN_X(a, pages_populate);
	EXPECT_EQ(0, cpuset_set_mems("x", b));
	EXPECT_EQ(0, cpuset_write("x", "cpuset.memory_migrate", "1"));
	VERIFY("switched on after mems became b");
	EXPECT_EQ(0, subject_moved());

	/* Into {a,b}, and out of a: now the pages on it are within. */
	EXPECT_EQ(0, cpuset_set_mems("x", a | b));
	VERIFY("mems from b to {a,b}");
	EXPECT_EQ(0, subject_moved());
	EXPECT_EQ(0, cpuset_set_mems("x", b));
	pages_want_all(p, self->b);
	VERIFY("mems from {a,b} to b");

	LOOK();
	EXPECT_EQ(0, cpuset_write("x", "cpuset.memory_migrate", "0"));
	EXPECT_STREQ("0", migrates("x"));
	EXPECT_EQ(0, cpuset_set_mems("x", a));
	VERIFY("mems from b to a, switched off again");
	EXPECT_EQ(0, subject_moved());
	END();
}

TEST_HARNESS_MAIN
