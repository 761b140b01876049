// SPDX-License-Identifier: GPL-2.0-only
/*
 * clone3(2) with CLONE_INTO_CGROUP: the child begins in another cpuset. Its mems
 * and the policy of the task are those of the new group from the first page on
 * (cpuset_fork() calls cpuset_attach_task()), but nothing migrates: what it has
 * in common with its parent stays, and the policies of its ranges are not
 * rebound, kernel/cgroup/cpuset.c, 6.12.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, CPUSETS, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract:
 *     17: ["cpuset_clone.*"]
 */
#include "harness.h"

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "cpuset_scene.h"
#include "nodes.h"
#include "scene.h"

#define COUNT		24

#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP	0x200000000ULL
#endif

FIXTURE(cpuset_clone)
{
	int a;
	int b;
	struct cpuset_scene scene;
};

FIXTURE_SETUP(cpuset_clone)
{
	FIND_TWO_NODES(self, return);
	ASSERT_CLEAN(cpuset_scene_begin(&self->scene, CPUSET_V2, COUNT));
}

FIXTURE_TEARDOWN_PARENT(cpuset_clone)
{
	EXPECT_EQ(0, cpuset_scene_end(&self->scene));
}

/* What the child of clone3(2) is to do, and what it finds. */
static struct report {
	pid_t pid;
	unsigned long mems;
	int mode;
	unsigned long policy;
	int fresh[COUNT];	/* where pages that it touches come */
	int ranged[COUNT];	/* the same in a range bound to a */
	long bad;
} *report;

static struct pages fresh, ranged;

static void touch(const struct pages *range, int *status)
{
	int i;

	for (i = 0; i < COUNT; i++)
		pages_write(range, i);
	placement_query(0, range->addr, COUNT, status);
}

static void find_out(struct pages *p)
{
	numa_get_mempolicy(NULL, &report->mems, NULL, MPOL_F_MEMS_ALLOWED);
	numa_get_mempolicy(&report->mode, &report->policy, NULL, 0);
	touch(&fresh, report->fresh);
	touch(&ranged, report->ranged);
	report->bad = pages_bad(p);
	report->pid = getpid();
}

/* A child in the group, which finds out and then waits to be killed. */
static pid_t clone_into(const char *group, struct pages *p)
{
	struct clone_args args = {
		.flags = CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD,
	};
	int fd = cpuset_open(group);
	long pid;

	if (fd < 0)
		return fd;
	args.cgroup = fd;
	pid = kernel_result(syscall(SYS_clone3, &args, sizeof(args)));
	if (!pid) {
		find_out(p);
		raise(SIGSTOP);
		_exit(0);
	}
	close(fd);
	return pid;
}

static void end_child(struct __test_metadata *const _metadata, pid_t pid)
{
	int status;

	EXPECT_EQ(0, kill(pid, SIGKILL));
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(SIGKILL, WTERMSIG(status));
}

static long do_nothing(struct pages *p)
{
	(void)p;
	return 0;
}

static void prepare(struct __test_metadata *const _metadata,
		    struct cpuset_scene *scene)
{
	const int a = scene->node[0], b = scene->node[1];
	struct pages *p = &scene->subject.pages;

	ASSERT_EQ(0, pages_map(&fresh, COUNT, MAP_PRIVATE));
	ASSERT_EQ(0, pages_map(&ranged, COUNT, MAP_PRIVATE));
	report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, report);
	ASSERT_EQ(0, numa_mbind(ranged.addr, COUNT * PAGE_BYTES, MPOL_BIND,
				NODE(a), 0));
	pages_want_all(p, a);
	ASSERT_EQ(0, pages_populate(p));
	/* A first child, so that no page is exclusive when they are looked at. */
	ASSERT_EQ(0, holder_start(&scene->subject.holder, p, do_nothing));
	ASSERT_EQ(0, cpuset_set_mems("x", NODE(b)));
}

/* From the root group straight into "x", which has b only. */
TEST_F(cpuset_clone, into_another_cpuset)
{
	struct pages *p = &self->scene.subject.pages;
	struct counters before;
	char want[32], text[64];
	pid_t pid;
	int status, i;

	prepare(_metadata, &self->scene);
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, counters_read(&before));
	pid = clone_into("x", p);
	ASSERT_LT(0, pid);
	ASSERT_EQ(pid, waitpid(pid, &status, WUNTRACED));
	ASSERT_NE(0, WIFSTOPPED(status));
	EXPECT_EQ(pid, report->pid);
	EXPECT_CLEAN(cpuset_same(NODE(self->b), report->mems));
	EXPECT_EQ(0, report->bad);
	for (i = 0; i < COUNT; i++) {
		EXPECT_EQ(self->b, report->fresh[i]);
		EXPECT_EQ(self->b, report->ranged[i]);
	}
	/* A range bound to a node that it may not use: the cpuset wins. */
	snprintf(want, sizeof(want), "bind:%d", self->a);
	EXPECT_STREQ(want, placement_policy(pid, ranged.addr, text, sizeof(text)));

	EXPECT_CLEAN(pages_verify(p, "in common with the parent, on a"));
	EXPECT_CLEAN(pages_shared_with(p, pid));
	EXPECT_CLEAN(counters_verify(&before, 0, 0));
	end_child(_metadata, pid);
}

/* The policy of the task is rebound on the way. */
TEST_F(cpuset_clone, policy_of_the_task)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);
	struct pages *p = &self->scene.subject.pages;
	unsigned long nodes = 0;
	int status, mode;
	pid_t pid;

	prepare(_metadata, &self->scene);
	ASSERT_EQ(0, cpuset_set_mems("y", a));
	ASSERT_EQ(0, cpuset_attach("y", getpid()));
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND, a));
	pid = clone_into("x", p);
	ASSERT_LT(0, pid);
	ASSERT_EQ(pid, waitpid(pid, &status, WUNTRACED));
	EXPECT_EQ(pid, report->pid);
	EXPECT_EQ(MPOL_BIND, report->mode);
	EXPECT_CLEAN(cpuset_same(b, report->policy));
	ASSERT_EQ(0, numa_get_mempolicy(&mode, &nodes, NULL, 0));
	EXPECT_CLEAN(cpuset_same(a, nodes));
	end_child(_metadata, pid);
}

/* It is in the group like any other: a change of mems takes its pages along. */
TEST_F(cpuset_clone, change_of_mems_afterwards)
{
	struct pages *p = &self->scene.subject.pages;
	struct placement seen;
	int status;
	pid_t pid;

	prepare(_metadata, &self->scene);
	ASSERT_CLEAN(pages_snapshot(p));
	pid = clone_into("x", p);
	ASSERT_LT(0, pid);
	ASSERT_EQ(pid, waitpid(pid, &status, WUNTRACED));
	EXPECT_EQ(0, cpuset_set_mems("x", NODE(self->a)));
	ASSERT_EQ(0, placement_numa_maps(pid, fresh.addr, COUNT, &seen));
	EXPECT_EQ(COUNT, seen.on[self->a]);
	ASSERT_EQ(0, placement_numa_maps(pid, ranged.addr, COUNT, &seen));
	EXPECT_EQ(COUNT, seen.on[self->a]);
	EXPECT_CLEAN(pages_verify(p, "in common with the parent, on a"));

	/* Now those in common are on a node of the group. */
	EXPECT_EQ(0, cpuset_set_mems("x", NODE(self->b)));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "in common with the parent, to b"));
	EXPECT_CLEAN(pages_shared_with(p, pid));
	end_child(_metadata, pid);
}

TEST_HARNESS_MAIN
