// SPDX-License-Identifier: GPL-2.0-only
/*
 * The CPUs of a cpuset: sched_setaffinity(2) is kept within them, a change of
 * them and an attach take the processes along (cpuset_attach_task() and
 * cpuset_update_tasks_cpumask(), kernel/cgroup/cpuset.c, 6.12), and pages stay
 * where they are. /proc tells who is where.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, CPUSETS, CPUSETS_V1 since 6.12,
 *             PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   quick:
 *     - cpuset_cpus.v2.affinity
 *   contract:
 *     17: ["cpuset_cpus.*"]
 */
#include "harness.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "cpuset_scene.h"
#include "kernel.h"
#include "node_stat.h"
#include "nodes.h"
#include "proc.h"

#define COUNT		16

FIXTURE(cpuset_cpus)
{
	unsigned long c0;	/* the first CPU, and the rest of them */
	unsigned long c1;
	long moved;		/* pages, by anybody, before the case */
	struct cpuset_scene scene;
};

CPUSET_VARIANTS(cpuset_cpus);

/* The CPUs that thread @pid may run on, 0 for the caller. */
static unsigned long cpus_of(pid_t pid)
{
	unsigned long cpus = 0;
	cpu_set_t set;
	int i;

	if (sched_getaffinity(pid, sizeof(set), &set))
		return 0;
	for (i = 0; i < 64; i++)
		if (CPU_ISSET(i, &set))
			cpus |= 1UL << i;
	return cpus;
}

static int set_cpus(const char *name, unsigned long cpus)
{
	return cpuset_write(name, "cpuset.cpus",
			    cpus ? nodes_text(cpus) : "\n");
}

FIXTURE_SETUP(cpuset_cpus)
{
	struct cpuset_scene *scene = &self->scene;
	unsigned long all = cpus_of(0);

	if (cpuset_scene_nodes(scene) < 2 || nodes_count(all) < 2)
		SKIP(return, "needs 2 nodes with memory and 2 CPUs");
	self->c0 = all & -all;
	self->c1 = all & ~self->c0;
	ASSERT_CLEAN(cpuset_scene_begin(scene, variant->kind, COUNT));
}

FIXTURE_TEARDOWN_PARENT(cpuset_cpus)
{
	EXPECT_EQ(0, cpuset_scene_end(&self->scene));
}

/* A process in "x", whose mems are a, and whose CPUs are still all. */
#define START_IN_X() do {						\
	struct cpuset_scene *scene = &self->scene;			\
									\
	pages_want_all(&scene->subject.pages, scene->node[0]);		\
	ASSERT_CLEAN(cpuset_scene_start(scene, NODE(scene->node[0]),	\
					pages_populate));		\
	self->moved = system_stat("pgmigrate_success");			\
} while (0)

#define PID	(self->scene.subject.pages.pid)
#define CALL(fn) holder_call(&self->scene.subject.holder, fn)

/* Whatever was done with CPUs: no page of it has moved. */
#define END(what) do {							\
	EXPECT_CLEAN(pages_verify(&self->scene.subject.pages, what));	\
	EXPECT_EQ(self->moved, system_stat("pgmigrate_success"));	\
	EXPECT_EQ(0, holder_bad(&self->scene.subject.holder));		\
	EXPECT_EQ(0, holder_end(&self->scene.subject.holder));		\
} while (0)

/* Called in the child: the CPUs that it asks for, the one that it is on. */

static unsigned long asked;

static long ask(struct pages *p)
{
	cpu_set_t set;
	int i;

	(void)p;
	CPU_ZERO(&set);
	for (i = 0; i < 64; i++)
		if (asked & 1UL << i)
			CPU_SET(i, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

static long ask_for_first(struct pages *p)
{
	asked = 1;
	return ask(p);
}

static long ask_for_others(struct pages *p)
{
	asked = ~1UL;
	return ask(p);
}

static long ask_for_all(struct pages *p)
{
	asked = ~0UL;
	return ask(p);
}

static long where(struct pages *p)
{
	(void)p;
	return sched_getcpu();
}

/* What is asked for is cut down to the group's; nothing left is an error. */
TEST_F(cpuset_cpus, affinity)
{
	ASSERT_EQ(1, self->c0);
	START_IN_X();
	EXPECT_EQ(self->c0 | self->c1, cpus_of(PID));
	EXPECT_EQ(0, set_cpus("x", self->c1));
	EXPECT_EQ(self->c1, cpus_of(PID));
	EXPECT_TRUE(self->c1 & 1UL << CALL(where));

	EXPECT_EQ(-EINVAL, CALL(ask_for_first));
	EXPECT_EQ(self->c1, cpus_of(PID));
	EXPECT_EQ(0, CALL(ask_for_all));
	EXPECT_EQ(self->c1, cpus_of(PID));
	EXPECT_EQ(0, CALL(ask_for_others));
	EXPECT_EQ(self->c1, cpus_of(PID));
	/* The caller is in another group, and keeps what it has. */
	EXPECT_EQ(self->c0 | self->c1, cpus_of(0));
	END("affinity within the group");
}

/*
 * What a process asked for is remembered, and comes back with the CPUs: since
 * 6.2, 8f9ea86fdf99 ("sched: Always preserve the user requested cpumask").
 */
TEST_F(cpuset_cpus, change_of_cpus)
{
	unsigned long all = self->c0 | self->c1;

	START_IN_X();
	EXPECT_EQ(0, CALL(ask_for_first));
	EXPECT_EQ(self->c0, cpus_of(PID));
	EXPECT_EQ(0, CALL(where));
	EXPECT_EQ(0, set_cpus("x", self->c1));
	EXPECT_EQ(self->c1, cpus_of(PID));
	EXPECT_TRUE(self->c1 & 1UL << CALL(where));
	EXPECT_EQ(0, set_cpus("x", all));
	EXPECT_EQ(kernel_before(6, 2) ? all : self->c0, cpus_of(PID));
	END("CPUs changed");
}

TEST_F(cpuset_cpus, attach)
{
	struct cpuset_scene *scene = &self->scene;

	START_IN_X();
	ASSERT_EQ(0, set_cpus("y", self->c1));
	ASSERT_EQ(0, cpuset_set_mems("y", NODE(scene->node[0])));
	EXPECT_EQ(0, cpuset_attach("y", PID));
	EXPECT_EQ(self->c1, cpus_of(PID));
	EXPECT_TRUE(self->c1 & 1UL << CALL(where));
	/* An empty group may be anywhere: "x" has no process any more. */
	EXPECT_EQ(0, set_cpus("x", self->c0));
	EXPECT_EQ(self->c1, cpus_of(PID));
	EXPECT_EQ(0, cpuset_attach("x", PID));
	EXPECT_EQ(self->c0, cpus_of(PID));
	EXPECT_EQ(0, CALL(where));
	EXPECT_EQ(0, cpuset_detach(PID));
	EXPECT_EQ(self->c0 | self->c1, cpus_of(PID));
	EXPECT_EQ(0, holder_bad(&scene->subject.holder));
	EXPECT_EQ(0, holder_end(&scene->subject.holder));
}

static unsigned long cpus_in_force(const char *name, enum cpuset_kind kind)
{
	char text[256];

	return cpuset_read(name, kind == CPUSET_V2 ? "cpuset.cpus.effective" :
						     "cpuset.effective_cpus",
			   text, sizeof(text)) < 0 ? 0 : nodes_parse(text);
}

/* No CPUs: not under a process; in v1 no process either. */
TEST_F(cpuset_cpus, without_any)
{
	struct cpuset_scene *scene = &self->scene;
	unsigned long all = self->c0 | self->c1;

	START_IN_X();
	EXPECT_EQ(0, set_cpus("x", self->c0));
	EXPECT_EQ(-ENOSPC, set_cpus("x", 0));
	EXPECT_EQ(self->c0, cpus_in_force("x", variant->kind));
	EXPECT_EQ(self->c0, cpus_of(PID));
	EXPECT_EQ(0, set_cpus("x", all));

	ASSERT_EQ(0, cpuset_set_mems("y", NODE(scene->node[0])));
	EXPECT_EQ(0, set_cpus("y", 0));
	EXPECT_EQ(variant->kind == CPUSET_V2 ? 0 : -ENOSPC,
		  cpuset_attach("y", PID));
	EXPECT_EQ(variant->kind == CPUSET_V2 ? all : 0,
		  cpus_in_force("y", variant->kind));
	EXPECT_EQ(all, cpus_of(PID));
	END("no CPUs of its own");
}

/* The group of a process, its CPUs and its mems, as /proc has them. */
TEST_F(cpuset_cpus, told_by_proc)
{
	char path[64], text[4096], want[128];
	const char *at;

	START_IN_X();
	EXPECT_EQ(0, set_cpus("x", self->c1));
	proc_path(path, sizeof(path), PID, "cpuset");
	ASSERT_LT(2, proc_read(path, text, sizeof(text)));
	at = strstr(text, "/x\n");
	ASSERT_NE(NULL, at);
	EXPECT_STREQ("/x\n", at);
	EXPECT_EQ('/', text[0]);

	proc_path(path, sizeof(path), PID, "status");
	ASSERT_LT(0, proc_read(path, text, sizeof(text)));
	snprintf(want, sizeof(want), "\nCpus_allowed_list:\t%s\n",
		 nodes_text(self->c1));
	EXPECT_NE(NULL, strstr(text, want));
	snprintf(want, sizeof(want), "\nMems_allowed_list:\t%s\n",
		 nodes_text(NODE(self->scene.node[0])));
	EXPECT_NE(NULL, strstr(text, want));
	END("looked at");
}

/* kthreadd and what is bound to a CPU are in the root group for good. */
TEST_F(cpuset_cpus, threads_of_the_kernel)
{
	START_IN_X();
	EXPECT_EQ(-EINVAL, cpuset_attach("x", 2));
	EXPECT_EQ(-ESRCH, cpuset_attach("x", 4000000));
	END("a kernel thread refused");
}

TEST_HARNESS_MAIN
