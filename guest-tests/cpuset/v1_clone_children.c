// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a new cpuset of cgroup v1 begins with: nothing, or, below a group with
 * cgroup.clone_children, the CPUs and mems of its parent, but not where a
 * sibling has some for itself alone (cpuset_css_online(),
 * kernel/cgroup/cpuset.c, 6.12). Flags of their own are 0.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, CPUSETS, CPUSETS_V1 since 6.12, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract:
 *     17: ["cpuset_clone_children.*"]
 */
#include "harness.h"

#include <sys/stat.h>

#include "cpuset_scene.h"
#include "cpuset_tree.h"
#include "nodes.h"

#define COUNT		8

FIXTURE(cpuset_clone_children)
{
	int a;
	int b;
	struct cpuset_scene scene;
};

FIXTURE_SETUP(cpuset_clone_children)
{
	if (cpuset_scene_nodes(&self->scene) < 2)
		SKIP(return, "needs 2 nodes with memory");
	self->a = self->scene.node[0];
	self->b = self->scene.node[1];
	ASSERT_CLEAN(cpuset_scene_begin(&self->scene, CPUSET_V1, COUNT));
}

FIXTURE_TEARDOWN_PARENT(cpuset_clone_children)
{
	EXPECT_EQ(0, cpuset_scene_end(&self->scene));
}

static const char *text_of(const char *name, const char *file)
{
	static char text[4][64];
	static int turn;
	char *buffer = text[turn++ % 4];

	if (cpuset_read(name, file, buffer, sizeof(text[0])) < 0)
		return "unreadable";
	return buffer;
}

#define EXPECT_TEXT(want, name, file) \
	EXPECT_STREQ(want, text_of(name, "cpuset." file))

TEST_F(cpuset_clone_children, off)
{
	ASSERT_EQ(0, cpuset_set_mems("x", NODE(self->b)));
	EXPECT_STREQ("0", text_of("x", "cgroup.clone_children"));
	ASSERT_EQ(0, mkdir(CPUSET_TREE "/x/in", 0755));
	EXPECT_TEXT("", "x/in", "mems");
	EXPECT_TEXT("", "x/in", "cpus");
	EXPECT_TEXT("", "x/in", "effective_mems");
	EXPECT_TEXT("", "x/in", "effective_cpus");
	EXPECT_TEXT("0", "x/in", "mem_exclusive");
	EXPECT_TEXT("0", "x/in", "cpu_exclusive");
	EXPECT_TEXT("0", "x/in", "mem_hardwall");
	EXPECT_TEXT("0", "x/in", "memory_migrate");
	EXPECT_TEXT("0", "x/in", "memory_spread_page");
	EXPECT_TEXT("0", "x/in", "memory_spread_slab");
	EXPECT_TEXT("1", "x/in", "sched_load_balance");
	EXPECT_TEXT("-1", "x/in", "sched_relax_domain_level");
}

/* What it has counts: a process can be put into it, and is kept to it. */
TEST_F(cpuset_clone_children, on)
{
	struct cpuset_scene *scene = &self->scene;
	struct pages *p = &scene->subject.pages;
	const char *mems = nodes_text(NODE(self->b));

	ASSERT_EQ(0, cpuset_set_mems("x", NODE(self->b)));
	ASSERT_EQ(0, cpuset_write("x", "cgroup.clone_children", "1"));
	ASSERT_EQ(0, mkdir(CPUSET_TREE "/x/in", 0755));
	EXPECT_STREQ("1", text_of("x/in", "cgroup.clone_children"));
	EXPECT_TEXT(mems, "x/in", "mems");
	EXPECT_TEXT(mems, "x/in", "effective_mems");
	EXPECT_STREQ(text_of("x", "cpuset.cpus"),
		     text_of("x/in", "cpuset.cpus"));
	EXPECT_STREQ(text_of("x", "cpuset.cpus"),
		     text_of("x/in", "cpuset.effective_cpus"));
	/* A flag of the parent's, which is not among them. */
	EXPECT_TEXT("1", "x", "memory_migrate");
	EXPECT_TEXT("0", "x/in", "memory_migrate");

	pages_want_all(p, self->a);
	ASSERT_EQ(0, cpuset_set_mems("y", NODE(self->a)));
	ASSERT_EQ(0, cpuset_set_mems("x", NODE(self->a) | NODE(self->b)));
	ASSERT_CLEAN(cpuset_scene_start(scene, NODE(self->a) | NODE(self->b),
					pages_populate));
	ASSERT_EQ(0, cpuset_write("x/in", "cpuset.memory_migrate", "1"));
	EXPECT_EQ(0, cpuset_attach("x/in", p->pid));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(cpuset_scene_verify(scene, NODE(self->b),
					 "into a clone of its group"));
	EXPECT_EQ(0, holder_end(&scene->subject.holder));
}

/* Each file apart: either flag of a sibling is enough. */
TEST_F(cpuset_clone_children, beside_an_exclusive_group)
{
	static const char *const flags[] = {
		"cpuset.mem_exclusive", "cpuset.cpu_exclusive",
	};
	unsigned int i;

	ASSERT_EQ(0, cpuset_set_mems("x", NODE(self->a) | NODE(self->b)));
	/* Or "x" could not have them alone. */
	ASSERT_EQ(0, cpuset_write("y", "cpuset.cpus", "\n"));
	ASSERT_EQ(0, cpuset_create("x/alone"));
	ASSERT_EQ(0, cpuset_set_mems("x/alone", NODE(self->a)));
	ASSERT_EQ(0, cpuset_write("x", "cgroup.clone_children", "1"));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, cpuset_write("x", flags[i], "1"));
		ASSERT_EQ(0, cpuset_write("x/alone", flags[i], "1"));
		ASSERT_EQ(0, mkdir(CPUSET_TREE "/x/in", 0755));
		EXPECT_TEXT("", "x/in", "mems");
		EXPECT_TEXT("", "x/in", "cpus");
		ASSERT_EQ(0, rmdir(CPUSET_TREE "/x/in"));
		ASSERT_EQ(0, cpuset_write("x/alone", flags[i], "0"));
	}
	ASSERT_EQ(0, mkdir(CPUSET_TREE "/x/in", 0755));
	EXPECT_TEXT(nodes_text(NODE(self->a) | NODE(self->b)), "x/in", "mems");
}

TEST_HARNESS_MAIN
