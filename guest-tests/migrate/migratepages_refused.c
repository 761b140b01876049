// SPDX-License-Identifier: GPL-2.0-only
/*
 * migratepages(8) of numactl where it cannot do what it is told: it ends with
 * status 1 and says why, by the error of migrate_pages(2), or by libnuma, which
 * takes only nodes that have memory and that the caller may use. What it was
 * to move is where it was, or, without room, somewhere safe.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, MULTIUSER, CPUSETS]
 *   timeout_s: 100   # over that of the longest case
 *   cases:
 *     migratepages_refused.node_without_memory: {memoryless: 1}
 *   contract:
 *     4: ["migratepages_refused.outside_the_*"]
 *     16: [migratepages_refused.target_full,
 *          migratepages_refused.node_without_memory]
 *   covers:
 *     - {cases: [migratepages_refused.no_such_process,
 *                "migratepages_refused.of_*"],
 *        interface: migratepages-tool, backing: anon-private,
 *        condition: no-capability}
 *     - {cases: "migratepages_refused.outside_*",
 *        interface: migratepages-tool, backing: anon-private,
 *        condition: target-outside-cpuset}
 *     - {cases: migratepages_refused.target_full,
 *        interface: migratepages-tool, backing: anon-private,
 *        condition: target-full}
 *     - {cases: migratepages_refused.node_without_memory,
 *        interface: migratepages-tool, backing: anon-private,
 *        condition: target-memoryless}
 */
#include "harness.h"

#include "chores.h"
#include "cpuset.h"
#include "creds.h"
#include "full_scene.h"
#include "migratepages.h"
#include "nodes.h"
#include "pages.h"
#include "proc.h"
#include "scene.h"
#include "subject_steps.h"

#define COUNT		16

FIXTURE(migratepages_refused)
{
	int a;
	int b;
	struct cpuset_root root;
	struct subject subject;
	struct program tool;
};

FIXTURE_SETUP(migratepages_refused)
{
	struct pages *p = &self->subject.pages;

	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, pages_map(p, COUNT, MAP_PRIVATE));
	pages_want_all(p, self->a);
}

FIXTURE_TEARDOWN(migratepages_refused)
{
	EXPECT_EQ(0, cpuset_end(&self->root));
}

static int run(struct program *tool, pid_t pid, int from, int to)
{
	return migratepages_run(tool, pid, nodes_text(NODE(from)),
				nodes_text(NODE(to)));
}

static int become_user_a(void)
{
	return creds_become(USER_A, 0, true);
}

static int become_user_b(void)
{
	return creds_become(USER_B, 0, true);
}

TEST_F(migratepages_refused, no_such_process)
{
	pid_t pid;

	START(pages_populate);
	pid = self->subject.pages.pid;
	END();
	ASSERT_EQ(0, run(&self->tool, pid, self->a, self->b));
	EXPECT_SAYS("migrate_pages: No such process");
	EXPECT_CLEAN(counters_verify(&self->subject.before, 0, 0));
}

TEST_F(migratepages_refused, of_another_user)
{
	START(chore_populate_as_user);
	self->tool.become = become_user_b;
	ASSERT_EQ(0, run(&self->tool, self->subject.pages.pid, self->a,
			 self->b));
	EXPECT_SAYS("migrate_pages: Operation not permitted");
	UNMOVED("migratepages of another user's process");

	/* The same by its own user, so that it was the user that counted. */
	self->tool.become = become_user_a;
	ASSERT_EQ(0, run(&self->tool, self->subject.pages.pid, self->a,
			 self->b));
	EXPECT_EQ(0, self->tool.status);
	pages_want_all(&self->subject.pages, self->b);
	VERIFY(0, "by its own user");
	END();
}

TEST_F(migratepages_refused, of_root)
{
	START(pages_populate);
	self->tool.become = become_user_a;
	ASSERT_EQ(0, run(&self->tool, self->subject.pages.pid, self->a,
			 self->b));
	EXPECT_SAYS("migrate_pages: Operation not permitted");
	UNMOVED("migratepages of root's process");
	END();
}

/*
 * The kernel would say EINVAL; libnuma knows Mems_allowed and is before it. The
 * test enters the cpuset, and the tool inherits it: a process that enters has
 * pages moved, among them some that it shares with the child.
 */
TEST_F(migratepages_refused, outside_the_caller_s_cpuset)
{
	char text[32];

	ASSERT_EQ(0, subject_start(&self->subject, pages_populate));
	ASSERT_EQ(0, cpuset_begin(&self->root));
	ASSERT_EQ(0, cpuset_create("x"));
	ASSERT_EQ(0, cpuset_set_mems("x", NODE(self->a)));
	ASSERT_EQ(0, cpuset_attach("x", getpid()));
	LOOK();
	EXPECT_EQ(0, run(&self->tool, self->subject.pages.pid, self->a,
			 self->b));
	/* Out again, or the teardown ends the test with the cpuset. */
	ASSERT_EQ(0, proc_write("/sys/fs/cgroup/cgroup.procs", "0"));
	snprintf(text, sizeof(text), "<%d> is invalid", self->b);
	EXPECT_SAYS(text);
	UNMOVED("migratepages to a node outside its own cpuset");
	END();
}

/* Needs CAP_SYS_NICE, and is done with it. */
TEST_F(migratepages_refused, outside_the_target_s_cpuset)
{
	struct pages *p = &self->subject.pages;

	START(chore_populate_as_user);
	ASSERT_EQ(0, cpuset_begin(&self->root));
	ASSERT_EQ(0, cpuset_create("x"));
	ASSERT_EQ(0, cpuset_set_mems("x", NODE(self->a)));
	ASSERT_EQ(0, cpuset_attach("x", p->pid));
	LOOK();
	self->tool.become = become_user_a;
	ASSERT_EQ(0, run(&self->tool, p->pid, self->a, self->b));
	EXPECT_SAYS("migrate_pages: Operation not permitted");
	UNMOVED("migratepages to a node outside the target's cpuset");

	self->tool.become = NULL;
	ASSERT_EQ(0, run(&self->tool, p->pid, self->a, self->b));
	EXPECT_EQ(0, self->tool.status);
	pages_want_all(p, self->b);
	VERIFY(0, "the same by root");
	END();
}

TEST_F(migratepages_refused, node_without_memory)
{
	int bare = nodes_first_without_memory();
	char text[32];

	ASSERT_LE(0, bare);
	START(pages_populate);
	ASSERT_EQ(0, run(&self->tool, self->subject.pages.pid, self->a, bare));
	snprintf(text, sizeof(text), "<%d> is invalid", bare);
	EXPECT_SAYS(text);
	UNMOVED("migratepages to a node without memory");
	END();
}

/* What fits moves, the rest stays, and one failure is counted: the ENOMEM. */
TEST_F_TIMEOUT(migratepages_refused, target_full, 90)
{
	struct pages *p = &self->subject.pages;
	struct full_scene scene;
	long moved;

	ASSERT_CLEAN(full_scene_begin(&scene));
	ASSERT_CLEAN(full_scene_child(&scene, &self->subject, pages_populate));
	ASSERT_CLEAN(full_scene_fill(&scene));
	LOOK();
	ASSERT_EQ(0, run(&self->tool, p->pid, self->a, self->b));
	EXPECT_SAYS("migrate_pages: Cannot allocate memory");
	moved = full_scene_want_as_found(&scene, p);
	EXPECT_LT(0, moved);
	EXPECT_GT(FULL_PAGES, moved);
	VERIFY(1, "node b is full");

	ASSERT_EQ(0, full_give_back(&scene.full));
	LOOK();
	ASSERT_EQ(0, run(&self->tool, p->pid, self->a, self->b));
	EXPECT_EQ(0, self->tool.status);
	pages_want_all(p, self->b);
	VERIFY(0, "node b has room");
	END();
	EXPECT_CLEAN(full_scene_end(&scene));
}

TEST_HARNESS_MAIN
