// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cpusets by thread: v1's "tasks", and threaded groups of v2. The facts are of
 * kernel/cgroup/cpuset.c, 6.12:
 *
 *  - an attach gives each thread its own mems, but moves the memory (and
 *    rebinds the policies of its ranges) for leaders of thread groups only:
 *    cgroup_taskset_for_each_leader() in cpuset_attach();
 *  - a change of mems moves the memory for every thread that is in the group,
 *    leader or not: cpuset_update_tasks_nodemask().
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, CPUSETS, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     "cpuset_threads.v1*.*": {kconfig: [CPUSETS_V1 since 6.12]}
 *   quick:
 *     - cpuset_threads.v2.attach_of_the_leader
 *   contract:
 *     17: ["cpuset_threads.*"]
 *   promises:
 *     cpuset-takes-pages: ["cpuset_threads.*"]
 *   covers:
 *     - {cases: ["cpuset_threads.v1.attach_of_*"],
 *        interface: [cpuset-v1-attach], backing: [anon-private], condition:
 *          [quiet]}
 *     - {cases: ["cpuset_threads.v1.mems_under_*"],
 *        interface: [cpuset-v1-mems], backing: [anon-private], condition:
 *          [quiet]}
 *     - {cases: ["cpuset_threads.v2.attach_of_*"],
 *        interface: [cpuset-v2-attach], backing: [anon-private], condition:
 *          [quiet]}
 *     - {cases: ["cpuset_threads.v2.mems_under_*"],
 *        interface: [cpuset-v2-mems], backing: [anon-private], condition:
 *          [quiet]}
 */
#include "harness.h"

#include <pthread.h>
#include <string.h>

#include "cpuset_steps.h"
#include "nodes.h"
#include "pattern.h"
#include "proc.h"
#include "scene.h"

#define COUNT		24
/* The last quarters are for the leader and for the thread to touch later. */
#define QUARTER		(COUNT / 4)

FIXTURE(cpuset_threads)
{
	int a;
	int b;
	pid_t tid;
	struct cpuset_scene scene;
};

CPUSET_VARIANTS(cpuset_threads);

static int make_threaded(const char *name, enum cpuset_kind kind)
{
	int error = cpuset_create(name);

	if (error || kind != CPUSET_V2)
		return error;
	return cpuset_write(name, "cgroup.type", "threaded");
}

/* "x" for the process, and in it two groups that threads can be dealt over. */
FIXTURE_SETUP(cpuset_threads)
{
	int error;

	FIND_TWO_NODES(self, return);
	ASSERT_CLEAN(cpuset_scene_begin(&self->scene, variant->kind, COUNT));
	error = cpuset_set_mems("x", NODE(self->a) | NODE(self->b)) ? :
		make_threaded("x/on_a", variant->kind) ? :
		make_threaded("x/on_b", variant->kind) ? :
		cpuset_set_mems("x/on_a", NODE(self->a)) ? :
		cpuset_set_mems("x/on_b", NODE(self->b));
	if (error)
		cpuset_scene_end(&self->scene);
	ASSERT_EQ(0, error);
}

FIXTURE_TEARDOWN_PARENT(cpuset_threads)
{
	EXPECT_EQ(0, cpuset_scene_end(&self->scene));
}

/* Called in the child. */

static int orders[2], answers[2];
static pthread_t thread;

static long touch(struct pages *p, int first)
{
	int i;

	for (i = first; i < first + QUARTER; i++) {
		pattern_fill(pages_at(p, i), p->seed, i);
		pages_want(p, i, 1, 0);
	}
	return 0;
}

static void *obey(void *pages)
{
	pid_t tid = gettid();
	int first;

	if (write(answers[1], &tid, sizeof(tid)) != sizeof(tid))
		return NULL;
	while (read(orders[0], &first, sizeof(first)) == sizeof(first)) {
		touch(pages, first);
		if (write(answers[1], &first, sizeof(first)) != sizeof(first))
			return NULL;
	}
	return NULL;
}

static long populate_and_thread(struct pages *p)
{
	if (pipe(orders) || pipe(answers))
		return -1;
	return pages_populate(p) ? : pthread_create(&thread, NULL, obey, p);
}

static long read_tid(struct pages *p)
{
	pid_t tid;

	(void)p;
	return read(answers[0], &tid, sizeof(tid)) == sizeof(tid) ? tid : -1;
}

static long leader_touches(struct pages *p)
{
	return touch(p, 2 * QUARTER);
}

static long thread_touches(struct pages *p)
{
	int first = 3 * QUARTER;

	if (write(orders[1], &first, sizeof(first)) != sizeof(first) ||
	    read(answers[0], &first, sizeof(first)) != sizeof(first))
		return -1;
	/* Its wants are the child's, which looks after the content. */
	pages_want(p, first, QUARTER, 0);
	return 0;
}

/* Bound, so that whether the policy of the range is rebound can be seen. */
static long bind_to_its_nodes(struct pages *p)
{
	return numa_mbind(p->addr, QUARTER * PAGE_BYTES, MPOL_BIND,
			  NODE(p->want[0]), 0);
}

/* In "x" with half of the pages on @nodes, dealt out, the rest untouched. */
static void start(struct __test_metadata *const _metadata,
		  struct cpuset_scene *scene, pid_t *tid, unsigned long nodes)
{
	struct pages *p = &scene->subject.pages;

	pages_want_dealt(p, nodes);
	pages_want(p, 2 * QUARTER, 2 * QUARTER, UNTOUCHED);
	ASSERT_CLEAN(cpuset_scene_start(scene, cpuset_scene_set(scene, 3),
					populate_and_thread));
	*tid = holder_call(&scene->subject.holder, read_tid);
	ASSERT_LT(0, *tid);
	ASSERT_NE(p->pid, *tid);
}

/* Mems_allowed_list of /proc/<tid>/status. */
static unsigned long mems_of(pid_t tid)
{
	char path[64], text[4096], *line;

	proc_path(path, sizeof(path), tid, "status");
	if (proc_read(path, text, sizeof(text)) < 0)
		return 0;
	line = strstr(text, "Mems_allowed_list:\t");
	return line ? nodes_parse(line + 19) : 0;
}

/* The thread alone: its mems change, and no page of the process moves. */
TEST_F(cpuset_threads, attach_of_a_thread)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);
	struct pages *p = &self->scene.subject.pages;
	char want[32], text[64];

	start(_metadata, &self->scene, &self->tid, a);
	EXPECT_EQ(0, cpuset_attach_thread("x/on_a", p->pid));
	ASSERT_EQ(0, CALL(bind_to_its_nodes));
	LOOK();
	EXPECT_EQ(0, cpuset_attach_thread("x/on_b", self->tid));
	UNMOVED("a thread from x to on_b");
	EXPECT_CLEAN(cpuset_same(a, mems_of(p->pid)));
	EXPECT_CLEAN(cpuset_same(b, mems_of(self->tid)));
	snprintf(want, sizeof(want), "bind:%d", self->a);
	EXPECT_STREQ(want, placement_policy(p->pid, p->addr, text,
					    sizeof(text)));

	EXPECT_EQ(0, CALL(leader_touches));
	EXPECT_EQ(0, CALL(thread_touches));
	pages_want(p, 2 * QUARTER, QUARTER, self->a);
	pages_want(p, 3 * QUARTER, QUARTER, self->b);
	EXPECT_CLEAN(pages_verify(p, "touched by the leader, by the thread"));
	EXPECT_EQ(0, holder_bad(&self->scene.subject.holder));
	END();
}

/* The leader alone: all memory moves, and the thread keeps its mems. */
TEST_F(cpuset_threads, attach_of_the_leader)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);
	struct pages *p = &self->scene.subject.pages;
	char want[32], text[64];

	start(_metadata, &self->scene, &self->tid, a);
	EXPECT_EQ(0, cpuset_attach_thread("x/on_a", p->pid));
	EXPECT_EQ(0, cpuset_attach_thread("x/on_a", self->tid));
	ASSERT_EQ(0, CALL(bind_to_its_nodes));
	LOOK();
	EXPECT_EQ(0, cpuset_attach_thread("x/on_b", p->pid));
	pages_want_moved(p, self->a, self->b);
	VERIFY(0, "the leader from on_a to on_b");
	EXPECT_EQ(0, subject_is_on(a));
	EXPECT_CLEAN(cpuset_same(b, mems_of(p->pid)));
	EXPECT_CLEAN(cpuset_same(a, mems_of(self->tid)));
	snprintf(want, sizeof(want), "bind:%d", self->b);
	EXPECT_STREQ(want, placement_policy(p->pid, p->addr, text,
					    sizeof(text)));

	EXPECT_EQ(0, CALL(leader_touches));
	EXPECT_EQ(0, CALL(thread_touches));
	pages_want(p, 2 * QUARTER, QUARTER, self->b);
	pages_want(p, 3 * QUARTER, QUARTER, self->a);
	EXPECT_CLEAN(pages_verify(p, "touched by the leader, by the thread"));
	EXPECT_EQ(0, holder_bad(&self->scene.subject.holder));
	END();
}

/* By its process id all threads go, and the memory with them. */
TEST_F(cpuset_threads, attach_of_the_process)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);
	struct pages *p = &self->scene.subject.pages;

	ASSERT_EQ(0, cpuset_set_mems("y", b));
	start(_metadata, &self->scene, &self->tid, a);
	LOOK();
	EXPECT_EQ(0, cpuset_attach("y", p->pid));
	pages_want_moved(p, self->a, self->b);
	VERIFY(0, "the process from x {a,b} to y (b)");
	EXPECT_EQ(0, subject_is_on(a));
	EXPECT_CLEAN(cpuset_same(b, mems_of(p->pid)));
	EXPECT_CLEAN(cpuset_same(b, mems_of(self->tid)));

	EXPECT_EQ(0, CALL(leader_touches));
	EXPECT_EQ(0, CALL(thread_touches));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "touched by the leader, by the thread"));
	END();
}

/* A change of mems under a mere thread takes the memory of all of them. */
TEST_F(cpuset_threads, mems_under_a_thread)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);
	struct pages *p = &self->scene.subject.pages;

	start(_metadata, &self->scene, &self->tid, a | b);
	ASSERT_EQ(0, cpuset_attach_thread("x/on_b", self->tid));
	LOOK();
	EXPECT_EQ(0, cpuset_set_mems("x/on_b", a));
	pages_want_moved(p, self->b, self->a);
	VERIFY(0, "mems from b to a, under a thread");
	EXPECT_EQ(0, subject_is_on(b));
	EXPECT_CLEAN(cpuset_same(a | b, mems_of(p->pid)));
	EXPECT_CLEAN(cpuset_same(a, mems_of(self->tid)));
	END();
}

/* Two threads in the group: two turns of the same, the second moves nothing. */
TEST_F(cpuset_threads, mems_under_both)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);
	struct pages *p = &self->scene.subject.pages;

	start(_metadata, &self->scene, &self->tid, a);
	ASSERT_EQ(0, cpuset_attach_thread("x/on_a", p->pid));
	ASSERT_EQ(0, cpuset_attach_thread("x/on_a", self->tid));
	LOOK();
	EXPECT_EQ(0, cpuset_set_mems("x/on_a", b));
	pages_want_moved(p, self->a, self->b);
	VERIFY(0, "mems from a to b, under both threads");
	EXPECT_EQ(0, subject_is_on(a));
	EXPECT_CLEAN(cpuset_same(b, mems_of(p->pid)));
	EXPECT_CLEAN(cpuset_same(b, mems_of(self->tid)));
	END();
}

TEST_HARNESS_MAIN
