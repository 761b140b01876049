// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cpusets of cgroup v2: the memory of a process follows cpuset.mems, on a
 * change of it as on an attach, and keeps its relative placement.
 *
 * The migration is queued to a workqueue (cpuset_migrate_mm() in
 * kernel/cgroup/cpuset.c, 6.12), but both ways to it wait: a write to
 * cpuset.mems in cpuset_write_resmask(), one to cgroup.procs in
 * cpuset_post_attach(), each by flush_workqueue(). So all is asserted as soon
 * as the write returns; nothing is polled for.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, CPUSETS, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     cpuset_v2.pairs: {nodes: 3}
 *     cpuset_v2.attach_pairs: {nodes: 3}
 *   quick:
 *     - cpuset_v2.change_of_mems
 *     - cpuset_v2.attach
 *     - cpuset_v2.pairs
 *     - cpuset_v2.mems_of_the_parent
 *   contract:
 *     4: [cpuset_v2.bounds_of_the_calls]
 *     9: [cpuset_v2.bounds_of_the_calls]
 *     17: [cpuset_v2.change_of_mems, "cpuset_v2.attach*", cpuset_v2.pairs,
 *          cpuset_v2.mems_of_the_parent, "cpuset_v2.*policy*"]
 *     18: [cpuset_v2.mems_without_memory]
 *   promises:
 *     addresses-kept: [cpuset_v2.change_of_mems, cpuset_v2.attach]
 *     relative-placement: [cpuset_v2.pairs, cpuset_v2.attach_pairs]
 *     cpuset-takes-pages: ["cpuset_v2.attach*"]
 *   covers:
 *     - {cases: [cpuset_v2.change_of_mems, cpuset_v2.pairs,
 *                cpuset_v2.mems_of_the_parent, "cpuset_v2.*policy*"],
 *        interface: cpuset-v2-mems, backing: [anon-private, text],
 *        condition: quiet}
 *     - {cases: "cpuset_v2.attach*", interface: cpuset-v2-attach,
 *        backing: [anon-private, text], condition: quiet}
 *     - {cases: cpuset_v2.mems_without_memory, interface: cpuset-v2-mems,
 *        backing: anon-private, condition: [bad-node, target-memoryless]}
 *     - {cases: cpuset_v2.bounds_of_the_calls,
 *        interface: [migrate_pages-self, migrate_pages-child, mbind-move,
 *                    move_pages-set],
 *        backing: anon-private, condition: target-outside-cpuset}
 *     - {cases: cpuset_v2.bounds_of_the_calls, interface: migrate_pages-child,
 *        backing: anon-private, condition: no-capability}
 */
#include "harness.h"

#include "caps.h"
#include "cpuset_steps.h"
#include "nodes.h"
#include "pages.h"
#include "scene.h"

/* A multiple of 2 and 3, dealt out over that many nodes in turn. */
#define COUNT		24

FIXTURE(cpuset_v2)
{
	int a;
	int b;
	int c;
	unsigned long low;	/* a and b */
	unsigned long high;	/* b and c, where there is a third */
	struct cpuset_scene scene;
};

/* Two groups, "x" and "y", and COUNT pages that a child is to populate. */
FIXTURE_SETUP(cpuset_v2)
{
	FIND_TWO_NODES(self, return);
	self->c = THIRD_NODE();
	self->low = NODE(self->a) | NODE(self->b);
	self->high = NODE(self->b) | (self->c < 0 ? 0 : NODE(self->c));
	if (!cpuset_is_available())
		SKIP(return, "no cpuset controller in /sys/fs/cgroup");
	ASSERT_CLEAN(cpuset_scene_begin(&self->scene, CPUSET_V2, COUNT));
}

/* In the parent, so that it is done however the test ended. */
FIXTURE_TEARDOWN_PARENT(cpuset_v2)
{
	EXPECT_EQ(0, cpuset_scene_end(&self->scene));
}

/* Called in the child. */

static long bind_to_its_node(struct pages *p)
{
	return numa_mbind(p->addr, p->count * PAGE_BYTES, MPOL_BIND,
			  NODE(p->want[0]), 0) ? : pages_populate(p);
}

static long bind_static_to_its_node(struct pages *p)
{
	return numa_mbind(p->addr, p->count * PAGE_BYTES,
			  MPOL_BIND | MPOL_F_STATIC_NODES, NODE(p->want[0]),
			  0) ? : pages_populate(p);
}

/* Touch the other half, wherever the policy of the range has it. */
static long touch_other_half(struct pages *p)
{
	int i;

	for (i = COUNT / 2; i < COUNT; i++)
		pages_write(p, i);
	return 0;
}

/* To every node but the one that it is on; as many as there are. */
static long migrate_itself_away(struct pages *p)
{
	return numa_migrate_pages(0, NODE(p->want[0]), ~NODE(p->want[0]));
}

static long bind_elsewhere(struct pages *p)
{
	return numa_mbind(p->addr, p->count * PAGE_BYTES, MPOL_BIND,
			  ~NODE(p->want[0]), MPOL_MF_MOVE);
}

TEST_F(cpuset_v2, change_of_mems)
{
	struct pages *p = &self->scene.subject.pages;

	pages_want_all(p, self->a);
	START_IN_X(NODE(self->a), pages_populate);
	EXPECT_STREQ(nodes_text(NODE(self->a)),
		     nodes_text(cpuset_effective_mems("x")));
	LOOK();
	EXPECT_EQ(0, cpuset_set_mems("x", NODE(self->b)));
	pages_want_all(p, self->b);
	VERIFY_ON(NODE(self->b), "cpuset.mems from a to b");
	EXPECT_STREQ(nodes_text(NODE(self->b)), nodes_text(cpuset_mems("x")));
	EXPECT_STREQ(nodes_text(NODE(self->b)),
		     nodes_text(cpuset_effective_mems("x")));

	/* A node more moves nothing, the same set again neither. */
	LOOK();
	EXPECT_EQ(0, cpuset_set_mems("x", NODE(self->a) | NODE(self->b)));
	EXPECT_EQ(0, cpuset_set_mems("x", NODE(self->a) | NODE(self->b)));
	VERIFY_ON(NODE(self->b), "cpuset.mems from b to {a,b}");
	EXPECT_EQ(0, subject_moved());
	END();
}

/* Out of a group with all nodes, and from group to group. */
TEST_F(cpuset_v2, attach)
{
	struct pages *p = &self->scene.subject.pages;

	ASSERT_EQ(0, cpuset_set_mems("x", NODE(self->a)));
	ASSERT_EQ(0, cpuset_set_mems("y", NODE(self->b)));
	pages_want_dealt(p, NODE(self->a) | NODE(self->b));
	START(pages_populate);
	EXPECT_EQ(0, cpuset_attach("x", p->pid));
	pages_want_all(p, self->a);
	VERIFY_ON(NODE(self->a), "from the root group to x (a)");

	LOOK();
	EXPECT_EQ(0, cpuset_attach("y", p->pid));
	pages_want_all(p, self->b);
	VERIFY_ON(NODE(self->b), "from x (a) to y (b)");

	LOOK();
	EXPECT_EQ(0, cpuset_attach("x", p->pid));
	pages_want_all(p, self->a);
	VERIFY_ON(NODE(self->a), "from y (b) back to x (a)");
	END();
}

/* {a,b} -> {b,c} -> {a,b}: node by node, no page moved twice. */
TEST_F(cpuset_v2, pairs)
{
	struct pages *p = &self->scene.subject.pages;

	if (self->c < 0)
		SKIP(return, "needs 3 nodes with memory");
	pages_want_dealt(p, self->low);
	START_IN_X(self->low, pages_populate);
	EXPECT_EQ(0, cpuset_set_mems("x", self->high));
	pages_want_moved(p, self->b, self->c);
	pages_want_moved(p, self->a, self->b);
	VERIFY_ON(self->high, "cpuset.mems from {a,b} to {b,c}");
	EXPECT_STREQ(nodes_text(self->high), nodes_text(cpuset_effective_mems("x")));

	LOOK();
	EXPECT_EQ(0, cpuset_set_mems("x", self->low));
	pages_want_moved(p, self->b, self->a);
	pages_want_moved(p, self->c, self->b);
	VERIFY_ON(self->low, "cpuset.mems from {b,c} to {a,b}");
	END();
}

TEST_F(cpuset_v2, attach_pairs)
{
	struct pages *p = &self->scene.subject.pages;

	if (self->c < 0)
		SKIP(return, "needs 3 nodes with memory");
	pages_want_dealt(p, self->low);
	START_IN_X(self->low, pages_populate);
	ASSERT_EQ(0, cpuset_set_mems("y", self->high));
	LOOK();
	EXPECT_EQ(0, cpuset_attach("y", p->pid));
	pages_want_moved(p, self->b, self->c);
	pages_want_moved(p, self->a, self->b);
	VERIFY_ON(self->high, "from x {a,b} to y {b,c}");
	END();
}

/* A group that sets no mems has its parent's, and follows them. */
TEST_F(cpuset_v2, mems_of_the_parent)
{
	struct pages *p = &self->scene.subject.pages;

	ASSERT_EQ(0, cpuset_set_mems("x", NODE(self->a)));
	ASSERT_EQ(0, cpuset_create("x/in"));
	EXPECT_STREQ("", nodes_text(cpuset_mems("x/in")));
	EXPECT_STREQ(nodes_text(NODE(self->a)),
		     nodes_text(cpuset_effective_mems("x/in")));
	pages_want_all(p, self->a);
	ASSERT_EQ(0, subject_start(&self->scene.subject, pages_populate));
	ASSERT_EQ(0, cpuset_attach("x/in", p->pid));
	LOOK();
	EXPECT_EQ(0, cpuset_set_mems("x", NODE(self->b)));
	pages_want_all(p, self->b);
	VERIFY_ON(NODE(self->b), "cpuset.mems of the parent from a to b");
	EXPECT_STREQ("", nodes_text(cpuset_mems("x/in")));
	EXPECT_STREQ(nodes_text(NODE(self->b)),
		     nodes_text(cpuset_effective_mems("x/in")));
	END();
}

/* A policy follows too: pages yet to come land on the new node. */
TEST_F(cpuset_v2, policy_is_rebound)
{
	struct pages *p = &self->scene.subject.pages;
	char want[32], text[64];

	pages_want_all(p, self->a);
	pages_want(p, COUNT / 2, COUNT / 2, UNTOUCHED);
	START_IN_X(NODE(self->a), bind_to_its_node);
	EXPECT_EQ(0, cpuset_set_mems("x", NODE(self->b)));
	pages_want(p, 0, COUNT / 2, self->b);
	VERIFY_ON(NODE(self->b), "a bound range, cpuset.mems from a to b");
	snprintf(want, sizeof(want), "bind:%d", self->b);
	EXPECT_STREQ(want, placement_policy(p->pid, p->addr, text,
					    sizeof(text)));

	ASSERT_EQ(0, CALL(touch_other_half));
	pages_want(p, COUNT / 2, COUNT / 2, self->b);
	EXPECT_CLEAN(pages_verify(p, "the rest of it, touched now"));
	END();
}

/* MPOL_F_STATIC_NODES: as asked for as soon as the cpuset has the node. */
TEST_F(cpuset_v2, static_policy_returns)
{
	struct pages *p = &self->scene.subject.pages;
	char want[32], text[64];

	pages_want_all(p, self->a);
	START_IN_X(NODE(self->a), bind_static_to_its_node);
	EXPECT_EQ(0, cpuset_set_mems("x", NODE(self->b)));
	pages_want_all(p, self->b);
	VERIFY_ON(NODE(self->b), "a static range, cpuset.mems from a to b");
	snprintf(want, sizeof(want), "bind=static:%d", self->b);
	EXPECT_STREQ(want, placement_policy(p->pid, p->addr, text,
					    sizeof(text)));

	EXPECT_EQ(0, cpuset_set_mems("x", NODE(self->a) | NODE(self->b)));
	snprintf(want, sizeof(want), "bind=static:%d", self->a);
	EXPECT_STREQ(want, placement_policy(p->pid, p->addr, text,
					    sizeof(text)));
	END();
}

/* What the system calls may do to a process in a cpuset. */
TEST_F(cpuset_v2, bounds_of_the_calls)
{
	struct pages *p = &self->scene.subject.pages;
	int to = self->b, status = 1234;
	void *addr = p->addr;

	pages_want_all(p, self->a);
	START_IN_X(NODE(self->a), pages_populate);
	/* Once before the look: text is mapped when it is first run. */
	CALL(migrate_itself_away);
	CALL(bind_elsewhere);
	LOOK();
	/* From inside: other nodes are as good as not there. */
	EXPECT_EQ(-EINVAL, CALL(migrate_itself_away));
	EXPECT_EQ(-EINVAL, CALL(bind_elsewhere));
	/* From outside. */
	EXPECT_EQ(-EACCES, numa_move_pages(p->pid, 1, &addr, &to, &status,
					   MPOL_MF_MOVE));
	EXPECT_EQ(1234, status);
	ASSERT_EQ(0, caps_set_sys_nice(false));
	EXPECT_EQ(-EPERM, numa_migrate_pages(p->pid, NODE(self->a),
					     NODE(self->b)));
	ASSERT_EQ(0, caps_set_sys_nice(true));
	/* Such text lies wherever the page cache has it. */
	UNMOVED("after calls that were refused");

	/* CAP_SYS_NICE may take pages out of the cpuset of another. */
	EXPECT_EQ(0, numa_migrate_pages(p->pid, NODE(self->a), NODE(self->b)));
	pages_want_all(p, self->b);
	VERIFY(0, "migrate_pages(2) out of the cpuset");
	END();
}

/*
 * A node that there may be, but that has no memory, is kept in cpuset.mems and
 * left out of what is effective; a node that can never be is refused.
 */
TEST_F(cpuset_v2, mems_without_memory)
{
	int none = nodes_first_without_memory();
	struct pages *p = &self->scene.subject.pages;
	bool possible;

	ASSERT_LE(0, none);
	possible = nodes_possible() & NODE(none);
	TH_LOG("node %d is %s", none, possible ? "possible" : "impossible");
	pages_want_all(p, self->a);
	START_IN_X(NODE(self->a), pages_populate);
	/* None left that has memory: those of the parent, so nothing moves. */
	EXPECT_EQ(possible ? 0 : -EINVAL, cpuset_set_mems("x", NODE(none)));
	VERIFY_ON(NODE(self->a), "cpuset.mems without memory");
	EXPECT_EQ(0, subject_moved());
	EXPECT_STREQ(nodes_text(NODE(possible ? none : self->a)),
		     nodes_text(cpuset_mems("x")));
	EXPECT_STREQ(nodes_text(possible ? nodes_with_memory() :
					   NODE(self->a)),
		     nodes_text(cpuset_effective_mems("x")));

	EXPECT_EQ(possible ? 0 : -EINVAL,
		  cpuset_set_mems("x", NODE(self->b) | NODE(none)));
	if (possible)
		pages_want_all(p, self->b);
	VERIFY_ON(NODE(possible ? self->b : self->a),
		  "cpuset.mems with and without memory");
	EXPECT_STREQ(nodes_text(NODE(possible ? self->b : self->a)),
		     nodes_text(cpuset_effective_mems("x")));
	END();
}

TEST_HARNESS_MAIN
