// SPDX-License-Identifier: GPL-2.0-only
/*
 * A change of mems reaches all that it concerns: each process of the group
 * (cpuset_update_tasks_nodemask()), and each group below, also the one behind
 * another that the change leaves as it is, with what lies below that
 * (update_nodemasks_hier(), kernel/cgroup/cpuset.c, 6.12).
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, CPUSETS, CPUSETS_V1 since 6.12,
 *             PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract:
 *     17: ["cpuset_many.*"]
 *   promises:
 *     cpuset-takes-pages: ["cpuset_many.*"]
 *   covers:
 *     - {cases: ["cpuset_many.v1.*"], interface: [cpuset-v1-mems],
 *        backing: [anon-private], condition: [quiet]}
 *     - {cases: ["cpuset_many.v2.*"], interface: [cpuset-v2-mems],
 *        backing: [anon-private], condition: [quiet]}
 */
#include "harness.h"

#include <sys/mman.h>

#include "cpuset_scene.h"
#include "node_stat.h"
#include "nodes.h"
#include "race.h"

#define COUNT		16
#define PROCESSES	4

/* Processes with pages of their own, in groups of a scene that has none. */
struct member {
	struct pages pages;
	struct holder holder;
};

FIXTURE(cpuset_many)
{
	int a;
	int b;
	struct cpuset_scene scene;
	struct member member[PROCESSES];
	struct counters before;
	long failed;
};

CPUSET_VARIANTS(cpuset_many);

FIXTURE_SETUP(cpuset_many)
{
	struct cpuset_scene *scene = &self->scene;

	if (cpuset_scene_nodes(scene) < 2)
		SKIP(return, "needs 2 nodes with memory");
	self->a = scene->node[0];
	self->b = scene->node[1];
	ASSERT_CLEAN(cpuset_scene_begin(scene, variant->kind, COUNT));
}

FIXTURE_TEARDOWN_PARENT(cpuset_many)
{
	EXPECT_EQ(0, cpuset_scene_end(&self->scene));
}

/* A process with all its pages on @node, in the group. 0 or not. */
static long join(struct member *m, const char *group, int node)
{
	struct pages *p = &m->pages;
	long error;

	if (pages_map(p, COUNT, MAP_PRIVATE))
		return -1;
	pages_want_all(p, node);
	error = holder_start(&m->holder, p, pages_populate);
	if (error)
		return error;
	p->pid = m->holder.peer.pid;
	return cpuset_attach(group, p->pid);
}

#define LOOK(count) do {						\
	int i;								\
									\
	for (i = 0; i < (count); i++)					\
		ASSERT_CLEAN(pages_snapshot(&self->member[i].pages));	\
	ASSERT_EQ(0, counters_read(&self->before));			\
	self->failed = system_stat("pgmigrate_fail");			\
} while (0)

/* All are where they are wanted, whole, and nothing is left over. */
#define VERIFY(count, what) do {					\
	int i;								\
									\
	for (i = 0; i < (count); i++) {					\
		struct member *m = &self->member[i];			\
									\
		TH_LOG("process %d", i);				\
		EXPECT_CLEAN(pages_verify(&m->pages, what));		\
		EXPECT_EQ(0, holder_bad(&m->holder));			\
	}								\
	EXPECT_EQ(self->failed, system_stat("pgmigrate_fail"));		\
	EXPECT_CLEAN(race_settled(&self->before));			\
} while (0)

/* The last first: each holds the pipes of those before it open. */
#define END(count) do {							\
	int i;								\
									\
	for (i = (count) - 1; i >= 0; i--)				\
		EXPECT_EQ(0, holder_end(&self->member[i].holder));	\
} while (0)

/* Called in a process: the nodes that it may have memory on. */
static long allowed(struct pages *p)
{
	unsigned long nodes = 0;
	int mode;

	(void)p;
	return numa_get_mempolicy(&mode, &nodes, NULL, MPOL_F_MEMS_ALLOWED) ?
	       : (long)nodes;
}

TEST_F(cpuset_many, processes)
{
	int i;

	ASSERT_EQ(0, cpuset_set_mems("x", NODE(self->a)));
	for (i = 0; i < PROCESSES; i++)
		ASSERT_EQ(0, join(&self->member[i], "x", self->a));
	LOOK(PROCESSES);
	EXPECT_EQ(0, cpuset_set_mems("x", NODE(self->b)));
	for (i = 0; i < PROCESSES; i++) {
		pages_want_all(&self->member[i].pages, self->b);
		EXPECT_EQ(NODE(self->b),
			  holder_call(&self->member[i].holder, allowed));
	}
	VERIFY(PROCESSES, "a group of four");
	END(PROCESSES);
}

/* Policies of the task and of ranges, in each process. */
static long bind_to_all(struct pages *p)
{
	unsigned long nodes = nodes_with_memory();

	return numa_set_mempolicy(MPOL_INTERLEAVE, nodes) ? :
	       numa_mbind(p->addr, COUNT * PAGE_BYTES, MPOL_BIND, nodes, 0);
}

static long task_nodes(struct pages *p)
{
	unsigned long nodes = 0;
	int mode;

	(void)p;
	return numa_get_mempolicy(&mode, &nodes, NULL, 0) ? : (long)nodes;
}

static long range_nodes(struct pages *p)
{
	unsigned long nodes = 0;
	int mode;

	return numa_get_mempolicy(&mode, &nodes, p->addr, MPOL_F_ADDR) ? :
	       (long)nodes;
}

TEST_F(cpuset_many, policies)
{
	int i;

	ASSERT_EQ(0, cpuset_set_mems("x", self->scene.all));
	for (i = 0; i < PROCESSES; i++) {
		struct member *m = &self->member[i];

		ASSERT_EQ(0, join(m, "x", self->a));
		ASSERT_EQ(0, holder_call(&m->holder, bind_to_all));
		EXPECT_EQ(self->scene.all, holder_call(&m->holder, task_nodes));
	}
	EXPECT_EQ(0, cpuset_set_mems("x", NODE(self->b)));
	for (i = 0; i < PROCESSES; i++) {
		struct member *m = &self->member[i];

		TH_LOG("process %d", i);
		EXPECT_EQ(NODE(self->b), holder_call(&m->holder, task_nodes));
		EXPECT_EQ(NODE(self->b), holder_call(&m->holder, range_nodes));
	}
	END(PROCESSES);
}

/*
 * Four groups below one: the first has what it keeps, the others what they
 * lose; the last one is a level deeper. In v1 each has its mems written.
 */
static const char *const below[PROCESSES] = { "x/1", "x/2", "x/3", "x/3/in" };

TEST_F(cpuset_many, groups_below)
{
	bool is_v2 = variant->kind == CPUSET_V2;
	unsigned long both = NODE(self->a) | NODE(self->b);
	int i;

	ASSERT_EQ(0, cpuset_set_mems("x", both));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, cpuset_create(below[i]));
		ASSERT_EQ(0, cpuset_set_mems(below[i],
					     i ? both : NODE(self->b)));
	}
	/* No process beside a group that has the controller, in v2. */
	ASSERT_EQ(0, cpuset_create("x/3/in"));
	ASSERT_EQ(0, cpuset_set_mems("x/3/in", both));
	for (i = 0; i < PROCESSES; i++)
		ASSERT_EQ(0, join(&self->member[i], below[i == 2 ? 1 : i],
				  i ? self->a : self->b));
	LOOK(PROCESSES);

	/* From the leaves in v1, which refuses it otherwise. */
	for (i = PROCESSES - 1; !is_v2 && i > 0; i--)
		EXPECT_EQ(0, cpuset_set_mems(below[i], NODE(self->b)));
	EXPECT_EQ(0, cpuset_set_mems("x", NODE(self->b)));
	for (i = 0; i < PROCESSES; i++) {
		TH_LOG("group %s", below[i]);
		EXPECT_EQ(NODE(self->b), cpuset_effective_mems(below[i]));
		EXPECT_EQ(is_v2 && i ? both : NODE(self->b),
			  cpuset_mems(below[i]));
		EXPECT_EQ(NODE(self->b),
			  holder_call(&self->member[i].holder, allowed));
		pages_want_all(&self->member[i].pages, self->b);
	}
	VERIFY(PROCESSES, "groups below");
	END(PROCESSES);
}

TEST_HARNESS_MAIN
