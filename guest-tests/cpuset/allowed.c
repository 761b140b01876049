// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the system calls may do where a cpuset stands in the way, and that all
 * pages stay where they were when one is refused. The facts are of
 * mm/mempolicy.c and mm/migrate.c, 6.12:
 *
 *  - migrate_pages(2) to a node outside of the target's cpuset is EPERM without
 *    CAP_SYS_NICE; the nodes are then cut down to the caller's own cpuset, and
 *    EINVAL if none is left (kernel_migrate_pages());
 *  - move_pages(2) to a node outside of the target's cpuset is EACCES, with
 *    CAP_SYS_NICE too (do_pages_move()); of the caller's cpuset it does not
 *    ask, but the new page is allocated in it, or not at all: ENOMEM;
 *  - set_mempolicy(2) and mbind(2) cut the nodes down to the caller's cpuset
 *    (mpol_set_nodemask()), EINVAL if none is left.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, CPUSETS, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     "cpuset_allowed.v1*.*": {kconfig: [CPUSETS_V1 since 6.12]}
 *     "cpuset_allowed.*.migrate_cut_down_to_the_caller_s": {nodes: 3}
 *   contract:
 *     4: ["cpuset_allowed.*.migrate_*"]
 *     9: ["cpuset_allowed.*.move_*"]
 *     17: ["cpuset_allowed.*.policy_*"]
 *   promises:
 *     other-process: ["cpuset_allowed.*.migrate_*"]
 *   covers:
 *     - {cases: ["cpuset_allowed.*.migrate_*"],
 *        interface: [migrate_pages-child], backing: [anon-private], condition:
 *          [target-outside-cpuset]}
 *     - {cases: ["cpuset_allowed.*.migrate_outside_of_the_target_s"],
 *        interface: [migrate_pages-child], backing: [anon-private], condition:
 *          [no-capability]}
 *     - {cases: ["cpuset_allowed.*.move_*"],
 *        interface: [move_pages-set], backing: [anon-private], condition:
 *          [target-outside-cpuset]}
 *     - {cases: ["cpuset_allowed.*.policy_of_the_task"],
 *        interface: [set_mempolicy], backing: [anon-private], condition:
 *          [target-outside-cpuset]}
 *     - {cases: ["cpuset_allowed.*.policy_of_a_range"],
 *        interface: [mbind-move-strict], backing: [anon-private], condition:
 *          [target-outside-cpuset]}
 */
#include "harness.h"

#include "caps.h"
#include "cpuset_steps.h"
#include "nodes.h"
#include "scene.h"

#define COUNT		24
/* Not a status that the kernel writes. */
#define UNWRITTEN	1234

FIXTURE(cpuset_allowed)
{
	int a;
	int b;
	int c;
	struct cpuset_scene scene;
};

CPUSET_VARIANTS(cpuset_allowed);

FIXTURE_SETUP(cpuset_allowed)
{
	FIND_TWO_NODES(self, return);
	self->c = THIRD_NODE();
	ASSERT_CLEAN(cpuset_scene_begin(&self->scene, variant->kind, COUNT));
}

FIXTURE_TEARDOWN_PARENT(cpuset_allowed)
{
	EXPECT_EQ(0, cpuset_scene_end(&self->scene));
}

/* One page of the child to @node: the result, and the status beside it. */
static long move_first(struct pages *p, int node, int *status)
{
	void *addr = p->addr;

	*status = UNWRITTEN;
	return numa_move_pages(p->pid, 1, &addr, &node, status, MPOL_MF_MOVE);
}

TEST_F(cpuset_allowed, migrate_outside_of_the_target_s)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);
	struct pages *p = &self->scene.subject.pages;

	pages_want_all(p, self->a);
	START_IN_X(a, pages_populate);
	ASSERT_EQ(0, caps_set_sys_nice(false));
	EXPECT_EQ(-EPERM, numa_migrate_pages(p->pid, a, b));
	/* One node that is allowed does not make up for one that is not. */
	EXPECT_EQ(-EPERM, numa_migrate_pages(p->pid, a, a | b));
	UNMOVED("refused without CAP_SYS_NICE");
	/* Nothing to move is refused as well: the target comes first. */
	EXPECT_EQ(-EPERM, numa_migrate_pages(p->pid, 0, b));

	/* With the node in the cpuset nothing is in the way. */
	EXPECT_EQ(0, cpuset_set_mems("x", a | b));
	LOOK();
	EXPECT_EQ(0, numa_migrate_pages(p->pid, a, b));
	pages_want_all(p, self->b);
	VERIFY(0, "inside of the cpuset, without CAP_SYS_NICE");
	ASSERT_EQ(0, caps_set_sys_nice(true));

	EXPECT_EQ(0, cpuset_set_mems("x", b));
	LOOK();
	EXPECT_EQ(0, numa_migrate_pages(p->pid, b, a));
	pages_want_all(p, self->a);
	VERIFY(0, "out of the cpuset, with CAP_SYS_NICE");
	END();
}

/* The caller's cpuset bounds it, with all capabilities and in any cpuset. */
TEST_F(cpuset_allowed, migrate_outside_of_the_caller_s)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);
	struct pages *p = &self->scene.subject.pages;

	pages_want_all(p, self->a);
	START_IN_X(a | b, pages_populate);
	ASSERT_EQ(0, cpuset_set_mems("y", a));
	ASSERT_EQ(0, cpuset_attach("y", getpid()));
	LOOK();
	EXPECT_EQ(-EINVAL, numa_migrate_pages(p->pid, a, b));
	UNMOVED("a node that only the target may use");
	/* {a,b} becomes {a}, on which the pages are. */
	EXPECT_EQ(0, numa_migrate_pages(p->pid, a, a | b));
	UNMOVED("cut down to the node they are on");

	ASSERT_EQ(0, cpuset_set_mems("y", b));
	LOOK();
	EXPECT_EQ(0, numa_migrate_pages(p->pid, a, a | b));
	pages_want_all(p, self->b);
	VERIFY(0, "cut down to the other node");
	END();
}

/* What is cut off has no place any more: the second node becomes the first. */
TEST_F(cpuset_allowed, migrate_cut_down_to_the_caller_s)
{
	unsigned long a = NODE(self->a), b = NODE(self->b), c = NODE(self->c);
	struct pages *p = &self->scene.subject.pages;

	if (self->c < 0)
		SKIP(return, "needs 3 nodes with memory");
	pages_want_all(p, self->a);
	START_IN_X(a | b | c, pages_populate);
	ASSERT_EQ(0, cpuset_set_mems("y", a | c));
	ASSERT_EQ(0, cpuset_attach("y", getpid()));
	LOOK();
	EXPECT_EQ(0, numa_migrate_pages(p->pid, a, b | c));
	pages_want_all(p, self->c);
	VERIFY(0, "from a to {b,c}, by a caller in {a,c}");
	END();
}

TEST_F(cpuset_allowed, move_outside_of_the_target_s)
{
	struct pages *p = &self->scene.subject.pages;
	int status, nodes[3], statuses[3], i;
	void *addrs[3];

	pages_want_all(p, self->a);
	START_IN_X(NODE(self->a), pages_populate);
	EXPECT_EQ(-EACCES, move_first(p, self->b, &status));
	EXPECT_EQ(UNWRITTEN, status);
	/* In mid-array: what comes first is done, the others are not looked at. */
	for (i = 0; i < 3; i++) {
		addrs[i] = pages_at(p, i);
		nodes[i] = i == 1 ? self->b : self->a;
		statuses[i] = UNWRITTEN;
	}
	EXPECT_EQ(-EACCES, numa_move_pages(p->pid, 3, addrs, nodes, statuses,
					   MPOL_MF_MOVE));
	EXPECT_EQ(self->a, statuses[0]);
	EXPECT_EQ(UNWRITTEN, statuses[1]);
	EXPECT_EQ(UNWRITTEN, statuses[2]);
	UNMOVED("move_pages out of the cpuset");

	EXPECT_EQ(0, cpuset_set_mems("x", NODE(self->a) | NODE(self->b)));
	EXPECT_EQ(0, move_first(p, self->b, &status));
	EXPECT_EQ(self->b, status);
	pages_want(p, 0, 1, self->b);
	VERIFY(0, "move_pages inside of the cpuset");
	EXPECT_EQ(1, subject_moved());
	END();
}

/* Its own cpuset is not asked for, but bounds what it can allocate. */
TEST_F(cpuset_allowed, move_outside_of_the_caller_s)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);
	struct pages *p = &self->scene.subject.pages;
	int status;

	pages_want_all(p, self->a);
	START_IN_X(a | b, pages_populate);
	ASSERT_EQ(0, cpuset_set_mems("y", a));
	ASSERT_EQ(0, cpuset_attach("y", getpid()));
	LOOK();
	EXPECT_EQ(-ENOMEM, move_first(p, self->b, &status));
	EXPECT_EQ(UNWRITTEN, status);
	VERIFY(1, "to a node that only the target may use");
	EXPECT_EQ(0, subject_moved());

	ASSERT_EQ(0, cpuset_set_mems("y", a | b));
	LOOK();
	EXPECT_EQ(0, move_first(p, self->b, &status));
	EXPECT_EQ(self->b, status);
	pages_want(p, 0, 1, self->b);
	VERIFY(0, "to a node that both may use");
	END();
}

/* Called in the child: a node of "x" and another. */

static int in, out;

static long set_policy_outside(struct pages *p)
{
	(void)p;
	return numa_set_mempolicy(MPOL_BIND, NODE(out));
}

static long set_policy_partly_outside(struct pages *p)
{
	(void)p;
	return numa_set_mempolicy(MPOL_BIND, NODE(in) | NODE(out));
}

static long bind_outside(struct pages *p)
{
	return numa_mbind(p->addr, p->count * PAGE_BYTES, MPOL_BIND, NODE(out),
			  MPOL_MF_MOVE | MPOL_MF_STRICT);
}

static long bind_partly_outside(struct pages *p)
{
	return numa_mbind(p->addr, p->count * PAGE_BYTES, MPOL_BIND,
			  NODE(in) | NODE(out), MPOL_MF_MOVE | MPOL_MF_STRICT);
}

static long task_policy(struct pages *p)
{
	unsigned long nodes = 0;
	int mode;

	(void)p;
	return numa_get_mempolicy(&mode, &nodes, NULL, 0) ? :
	       mode != MPOL_BIND ? 0 : (long)nodes;
}

static long allowed_mems(struct pages *p)
{
	unsigned long nodes = 0;

	(void)p;
	return numa_get_mempolicy(NULL, &nodes, NULL, MPOL_F_MEMS_ALLOWED) ? :
	       (long)nodes;
}

static long prefer_outside(struct pages *p)
{
	(void)p;
	return numa_set_mempolicy(MPOL_PREFERRED, NODE(out)) ? :
	       numa_set_mempolicy(MPOL_DEFAULT, 0);
}

TEST_F(cpuset_allowed, policy_of_the_task)
{
	const unsigned long a = NODE(self->a);
	struct pages *p = &self->scene.subject.pages;

	in = self->a;
	out = self->b;
	pages_want_all(p, self->a);
	START_IN_X(a, pages_populate);
	/* Once before the look: text is mapped when it is first run. */
	CALL(set_policy_outside);
	CALL(prefer_outside);
	CALL(set_policy_partly_outside);
	LOOK();
	EXPECT_CLEAN(cpuset_same(a, CALL(allowed_mems)));
	EXPECT_EQ(-EINVAL, CALL(set_policy_outside));
	EXPECT_EQ(-EINVAL, CALL(prefer_outside));
	EXPECT_EQ(0, CALL(set_policy_partly_outside));
	EXPECT_CLEAN(cpuset_same(a, CALL(task_policy)));
	EXPECT_EQ(-EINVAL, CALL(set_policy_outside));
	EXPECT_CLEAN(cpuset_same(a, CALL(task_policy)));
	UNMOVED("policies of the task");
	END();
}

TEST_F(cpuset_allowed, policy_of_a_range)
{
	const unsigned long a = NODE(self->a), b = NODE(self->b);
	struct pages *p = &self->scene.subject.pages;
	char want[32], text[64];

	in = self->a;
	out = self->b;
	pages_want_all(p, self->a);
	START_IN_X(a, pages_populate);
	CALL(bind_outside);
	LOOK();
	EXPECT_EQ(-EINVAL, CALL(bind_outside));
	EXPECT_STREQ("default", placement_policy(p->pid, p->addr, text,
						 sizeof(text)));
	UNMOVED("bound to a node outside");

	/*
	 * The policy is cut down to a, but the pages are held against what was
	 * asked for (queue_pages_range() gets the nodes of the caller): those
	 * on b, put there from outside, may stay, and it succeeds.
	 */
	ASSERT_EQ(0, numa_migrate_pages(p->pid, a, b));
	pages_want_all(p, self->b);
	LOOK();
	EXPECT_EQ(0, CALL(bind_partly_outside));
	snprintf(want, sizeof(want), "bind:%d", self->a);
	EXPECT_STREQ(want, placement_policy(p->pid, p->addr, text,
					    sizeof(text)));
	EXPECT_CLEAN(pages_verify(p, "bound partly outside"));
	END();
}

TEST_HARNESS_MAIN
