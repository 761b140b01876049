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

#include "chores.h"
#include "cpuset_steps.h"
#include "scene.h"

#define COUNT		24

FIXTURE(cpuset_v1_stay)
{
	int a;
	int b;
	struct cpuset_scene scene;
};

FIXTURE_SETUP(cpuset_v1_stay)
{
	FIND_TWO_NODES(self, return);
	ASSERT_CLEAN(cpuset_scene_begin(&self->scene, CPUSET_V1_STAY, COUNT));
}

FIXTURE_TEARDOWN_PARENT(cpuset_v1_stay)
{
	EXPECT_EQ(0, cpuset_scene_end(&self->scene));
}

/* Called in the child. */

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
	START_IN_X(a, chore_populate_and_bind);
	EXPECT_EQ(0, cpuset_set_mems("x", b));
	UNMOVED("mems from a to b");
	EXPECT_CLEAN(cpuset_same(b, cpuset_effective_mems("x")));
	snprintf(want, sizeof(want), "bind:%d", self->b);
	EXPECT_STREQ(want, placement_policy(p->pid, p->addr, text,
					    sizeof(text)));

	ASSERT_EQ(0, CALL(chore_touch_other_half));
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
	START_IN_X(a, chore_populate_and_bind);
	EXPECT_EQ(0, cpuset_attach("y", p->pid));
	UNMOVED("from x (a) to y (b)");
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
	VERIFY(0, "to the group with memory_migrate");
	EXPECT_EQ(0, subject_is_on(a));

	LOOK();
	EXPECT_EQ(0, cpuset_attach("x", p->pid));
	UNMOVED("to the group without it");
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
	UNMOVED("switched on after mems became b");

	/* Into {a,b}, and out of a: now the pages on it are within. */
	EXPECT_EQ(0, cpuset_set_mems("x", a | b));
	UNMOVED("mems from b to {a,b}");
	EXPECT_EQ(0, cpuset_set_mems("x", b));
	pages_want_all(p, self->b);
	VERIFY(0, "mems from {a,b} to b");

	LOOK();
	EXPECT_EQ(0, cpuset_write("x", "cpuset.memory_migrate", "0"));
	EXPECT_STREQ("0", migrates("x"));
	EXPECT_EQ(0, cpuset_set_mems("x", a));
	UNMOVED("mems from b to a, switched off again");
	END();
}

TEST_HARNESS_MAIN
