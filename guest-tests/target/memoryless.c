// SPDX-License-Identifier: GPL-2.0-only
/*
 * The target is a node that has CPUs and no memory: no call takes it alone,
 * nothing is moved, and of a set of nodes the others are used.
 *
 * testbed:
 *   nodes: 2
 *   memoryless: 1
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, CPUSETS]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {16: ["memoryless.*"]}
 *   covers:
 *     - {cases: "memoryless.move_pages", interface: [move_pages-set], backing:
 *        [anon-private], condition: [target-memoryless]}
 *     - {cases: "memoryless.mbind*", interface: [mbind-move, mbind-strict,
 *        mbind-move-strict], backing: [anon-private], condition:
 *        [target-memoryless]}
 *     - {cases: "memoryless.mbind_all", interface: [mbind-move-all], backing:
 *        [anon-private], condition: [target-memoryless]}
 *     - {cases: "memoryless.migrate_pages", interface: [migrate_pages-self],
 *        backing: [anon-private], condition: [target-memoryless]}
 *     - {cases: "memoryless.set_mempolicy", interface: [set_mempolicy],
 *        backing: [anon-private], condition: [target-memoryless]}
 *     - {cases: "memoryless.home_node", interface: [home_node], backing:
 *        [anon-private], condition: [target-memoryless]}
 *     - {cases: "memoryless.cpuset", interface: [cpuset-v2-mems], backing:
 *        [anon-private], condition: [target-memoryless]}
 */
#include "harness.h"

#include <sys/mman.h>

#include "counters.h"
#include "cpuset.h"
#include "nodes.h"
#include "pages.h"
#include "placement.h"
#include "policy.h"
#include "subject.h"

#define COUNT		16
#define UNWRITTEN	12345

FIXTURE(memoryless)
{
	int a;
	int b;
	int bare;	/* the node without memory */
	struct subject subject;
	struct counters before;
};

FIXTURE_SETUP(memoryless)
{
	unsigned long nodes = nodes_with_memory();
	struct pages *p = &self->subject.pages;

	self->a = nodes_nth(nodes, 0);
	self->b = nodes_nth(nodes, 1);
	self->bare = nodes_first_without_memory();
	ASSERT_LE(0, self->bare);
	ASSERT_EQ(0, pages_map(p, COUNT, MAP_PRIVATE));
	pages_want_all(p, self->a);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, counters_read(&self->before));
}

FIXTURE_TEARDOWN(memoryless)
{
}

static long bind_to(const struct pages *p, int mode, unsigned long nodes,
		    int flags)
{
	return numa_mbind(p->addr, p->count * PAGE_BYTES, mode, nodes, flags);
}

TEST_F(memoryless, move_pages)
{
	struct pages *p = &self->subject.pages;
	int nodes[COUNT], status[COUNT], i;
	void *addrs[COUNT];

	for (i = 0; i < COUNT; i++) {
		addrs[i] = pages_at(p, i);
		nodes[i] = self->bare;
		status[i] = UNWRITTEN;
	}
	EXPECT_EQ(-ENODEV, numa_move_pages(0, COUNT, addrs, nodes, status,
					   MPOL_MF_MOVE));
	EXPECT_CLEAN(pages_verify(p, "asked to a node without memory"));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
	for (i = 0; i < COUNT; i++)
		EXPECT_EQ(UNWRITTEN, status[i]);
}

/* Before it in the array is a node that has some: those pages have moved. */
TEST_F(memoryless, move_pages_in_the_middle)
{
	struct pages *p = &self->subject.pages;
	int nodes[COUNT], status[COUNT], i;
	void *addrs[COUNT];

	for (i = 0; i < COUNT; i++) {
		addrs[i] = pages_at(p, i);
		nodes[i] = i < 5 ? self->b : self->bare;
		status[i] = UNWRITTEN;
	}
	EXPECT_EQ(-ENODEV, numa_move_pages(0, COUNT, addrs, nodes, status,
					   MPOL_MF_MOVE));
	pages_want(p, 0, 5, self->b);
	EXPECT_CLEAN(pages_verify(p, "five asked to a node with memory"));
	EXPECT_CLEAN(counters_verify(&self->before, 5, 0));
	for (i = 0; i < COUNT; i++)
		EXPECT_EQ(i < 5 ? self->b : UNWRITTEN, status[i]);
}

TEST_F(memoryless, mbind_alone)
{
	static const int modes[] = { MPOL_BIND, MPOL_PREFERRED, MPOL_INTERLEAVE,
				     MPOL_PREFERRED_MANY };
	static const int flags[] = { 0, MPOL_MF_STRICT, MPOL_MF_MOVE,
				     MPOL_MF_MOVE | MPOL_MF_STRICT };
	struct pages *p = &self->subject.pages;
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(modes); i++)
		for (j = 0; j < ARRAY_SIZE(flags); j++)
			EXPECT_EQ(-EINVAL, bind_to(p, modes[i],
						   NODE(self->bare), flags[j]));
	EXPECT_CLEAN(pages_verify(p, "bound to a node without memory"));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
	EXPECT_STREQ("default", pages_policy(p, 0));
}

TEST_F(memoryless, mbind_all)
{
	struct pages *p = &self->subject.pages;

	EXPECT_EQ(-EINVAL, bind_to(p, MPOL_BIND, NODE(self->bare),
				   MPOL_MF_MOVE_ALL | MPOL_MF_STRICT));
	EXPECT_CLEAN(pages_verify(p, "bound to a node without memory"));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
}

/* Of a set the nodes with memory count, and they alone are told. */
TEST_F(memoryless, mbind_with_another)
{
	struct pages *p = &self->subject.pages;
	char bound[32];

	EXPECT_EQ(0, bind_to(p, MPOL_BIND, NODE(self->bare) | NODE(self->b),
			     MPOL_MF_MOVE | MPOL_MF_STRICT));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "bound to two, one without memory"));
	EXPECT_CLEAN(counters_verify(&self->before, COUNT, 0));
	snprintf(bound, sizeof(bound), "bind:%d", self->b);
	EXPECT_STREQ(bound, pages_policy(p, 0));
}

TEST_F(memoryless, set_mempolicy)
{
	struct placement nearer = { 0 }, seen = { 0 };
	int mode, status[COUNT], i;
	struct pages fresh;
	unsigned long nodes;

	EXPECT_EQ(-EINVAL, numa_set_mempolicy(MPOL_BIND, NODE(self->bare)));
	EXPECT_EQ(-EINVAL, numa_set_mempolicy(MPOL_INTERLEAVE,
					      NODE(self->bare)));
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_INTERLEAVE, NODE(self->a) |
					NODE(self->bare) | NODE(self->b)));
	EXPECT_EQ(0, numa_get_mempolicy(&mode, &nodes, NULL, 0));
	EXPECT_EQ(MPOL_INTERLEAVE, mode);
	EXPECT_EQ(NODE(self->a) | NODE(self->b), nodes);
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_DEFAULT, 0));

	/* Its own CPU's memory comes from the nearer of the other nodes. */
	nearer.on[self->b] = COUNT;
	ASSERT_EQ(0, nodes_run_on(self->bare));
	ASSERT_EQ(0, pages_map(&fresh, COUNT, MAP_PRIVATE));
	memset(fresh.addr, 1, COUNT * PAGE_BYTES);
	ASSERT_EQ(0, placement_query(0, fresh.addr, COUNT, status));
	for (i = 0; i < COUNT; i++)
		placement_add(&seen, status[i]);
	placement_print("memory of a CPU without any", &nearer, &seen);
	EXPECT_TRUE(placement_equal(&nearer, &seen));
}

/*
 * The home of a range may be such a node: it is online, and no more is asked.
 * Of the policy's nodes the nearest to it comes first, which is b.
 */
TEST_F(memoryless, home_node)
{
	static const int modes[] = { MPOL_BIND, MPOL_PREFERRED_MANY };
	const unsigned long both = NODE(self->a) | NODE(self->b);
	struct pages *p = &self->subject.pages;
	unsigned int i;

	ASSERT_EQ(0, nodes_run_on(self->a));
	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		pages_want_all(p, self->a);
		ASSERT_EQ(0, madvise(p->addr, COUNT * PAGE_BYTES,
				     MADV_DONTNEED));
		ASSERT_EQ(0, bind_to(p, modes[i], both, 0));
		policy_fault(p, 0, COUNT / 2);
		pages_want(p, COUNT / 2, COUNT / 2, UNTOUCHED);
		ASSERT_CLEAN(pages_snapshot(p));
		EXPECT_EQ(0, numa_home_node(p->addr, COUNT * PAGE_BYTES,
					    self->bare, 0));
		EXPECT_CLEAN(policy_check(p, 0, modes[i], both));
		EXPECT_CLEAN(pages_verify(p, "a home without memory"));

		policy_fault(p, COUNT / 2, COUNT / 2);
		pages_want(p, COUNT / 2, COUNT / 2, self->b);
		EXPECT_CLEAN(pages_verify(p, "new pages near it"));
	}
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
}

TEST_F(memoryless, migrate_pages)
{
	struct pages *p = &self->subject.pages;

	EXPECT_EQ(-EINVAL, numa_migrate_pages(0, NODE(self->a),
					      NODE(self->bare)));
	EXPECT_CLEAN(pages_verify(p, "asked to a node without memory"));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
}

static long populate(struct pages *p)
{
	return pages_populate(p);
}

/*
 * cgroup v2 takes it and keeps it in mind; what is in force is the parent's
 * set, so nothing moves.
 */
TEST_F(memoryless, cpuset)
{
	struct subject *s = &self->subject;
	struct cpuset_root root;

	ASSERT_EQ(0, pages_map(&s->pages, COUNT, MAP_PRIVATE));
	pages_want_all(&s->pages, self->a);
	ASSERT_EQ(0, subject_start(s, populate));
	ASSERT_EQ(0, cpuset_begin(&root));
	ASSERT_EQ(0, cpuset_create("x"));
	ASSERT_EQ(0, cpuset_attach("x", s->pages.pid));
	ASSERT_CLEAN(subject_look(s));
	EXPECT_EQ(0, cpuset_set_mems("x", NODE(self->bare)));
	EXPECT_EQ(NODE(self->bare), cpuset_mems("x"));
	EXPECT_EQ(nodes_with_memory(), cpuset_effective_mems("x"));
	EXPECT_CLEAN(subject_verify(s, 0, "in a cpuset without memory"));
	EXPECT_EQ(0, subject_moved());

	EXPECT_EQ(0, cpuset_set_mems("x", NODE(self->bare) | NODE(self->b)));
	EXPECT_EQ(NODE(self->b), cpuset_effective_mems("x"));
	pages_want_all(&s->pages, self->b);
	EXPECT_CLEAN(subject_verify(s, 0, "in a cpuset of two, one bare"));
	EXPECT_EQ(0, holder_end(&s->holder));
	EXPECT_EQ(0, cpuset_end(&root));
}

TEST_HARNESS_MAIN
