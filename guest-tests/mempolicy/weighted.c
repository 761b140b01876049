// SPDX-License-Identifier: GPL-2.0-only
/*
 * MPOL_WEIGHTED_INTERLEAVE and the weights of
 * /sys/kernel/mm/mempolicy/weighted_interleave/, both of 6.9
 * (weighted_interleave_nid() in mm/mempolicy.c). Where a page goes follows
 * from its index as in MPOL_INTERLEAVE, each node coming as often in a row as
 * its weight says. On an older kernel each case asserts that there is neither
 * the mode nor the directory.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, MEMFD_CREATE]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   scope: file
 *   cases:
 *     weighted.move: {nodes: 3}
 *     weighted.move_shared: {nodes: 3}
 *   contract: {7: ["weighted.*"]}
 *   covers:
 *     - {cases: "weighted.move", interface: [mbind-move-strict], backing:
 *        [anon-private], condition: [quiet]}
 *     - {cases: "weighted.move_shared", interface: [mbind-move-strict],
 *        backing: [shmem], condition: [quiet]}
 */
#include "harness.h"

#include <sys/stat.h>

#include "kernel.h"
#include "nodes.h"
#include "placement.h"
#include "policy.h"
#include "proc.h"
#include "ramfs.h"

#define COUNT		24
#define BYTES		(COUNT * PAGE_BYTES)
#define WEIGHTS		"/sys/kernel/mm/mempolicy/weighted_interleave"
#define WEIGHTED	MODE_WEIGHTED_INTERLEAVE

#define MOVE		MPOL_MF_MOVE
#define STRICT		MPOL_MF_STRICT

FIXTURE(weighted)
{
	struct placed t;
	unsigned long set;
	int weight[MAX_NODES];	/* as the case has set them */
	char was[MAX_NODES][8];	/* as they were, to be put back */
};

static void weight_path(char *path, size_t bytes, int node)
{
	snprintf(path, bytes, WEIGHTS "/node%d", node);
}

static int set_weight(int node, const char *text)
{
	char path[128];

	weight_path(path, sizeof(path), node);
	return proc_write(path, text);
}

static int get_weight(int node)
{
	char path[128], text[16];

	weight_path(path, sizeof(path), node);
	return proc_read(path, text, sizeof(text)) < 0 ? -1 : atoi(text);
}

/* COUNT pages on node a; a and b, and c if there is one, weigh 3, 1 and 2. */
FIXTURE_SETUP(weighted)
{
	static const int weights[] = { 3, 1, 2 };
	char path[128], text[8];
	int i, node;

	ASSERT_CLEAN(placed_start(&self->t, COUNT, COUNT, MAP_PRIVATE));
	if (kernel_before(6, 9))
		return;
	for (i = 0; i < 3; i++) {
		node = nodes_nth(nodes_with_memory(), i);
		if (node < 0)
			break;
		self->set |= NODE(node);
		weight_path(path, sizeof(path), node);
		ASSERT_LT(0, proc_read(path, self->was[node],
				       sizeof(self->was[node])));
		self->weight[node] = weights[i];
		snprintf(text, sizeof(text), "%d", weights[i]);
		ASSERT_EQ(0, set_weight(node, text));
	}
}

FIXTURE_TEARDOWN_PARENT(weighted)
{
	int node;

	for (node = 0; node < MAX_NODES; node++)
		if (self->was[node][0])
			set_weight(node, self->was[node]);
}

static long weighted(struct placed *t, unsigned long set, int flags)
{
	return policy_bind(&t->pages, 0, t->pages.count, WEIGHTED, set, flags);
}

/* "" if there is neither the mode nor the weights, else what there is. */
static const char *anything_of_it(struct placed *t)
{
	if (weighted(t, NODE(t->b), 0) != -EINVAL)
		return "mbind takes the mode";
	if (numa_set_mempolicy(WEIGHTED, NODE(t->b)) != -EINVAL)
		return "set_mempolicy takes the mode";
	if (access(WEIGHTS, F_OK) == 0)
		return "there are weights";
	return placed_verify(t, 0, "no such mode");
}

/* The node at @index, told off one by one: 0 0 0 1 2 2 0 0 0 1 2 2 ... */
static int node_at(const int *weight, unsigned long set, unsigned long index)
{
	unsigned long total = 0, at = 0;
	int node, i;

	for (node = 0; node < MAX_NODES; node++)
		if (set & NODE(node))
			total += weight[node];
	index %= total;
	for (node = 0; node < MAX_NODES; node++)
		for (i = 0; set & NODE(node) && i < weight[node]; i++)
			if (at++ == index)
				return node;
	return -1;
}

static void want_from(struct pages *p, const int *weight, unsigned long set,
		      unsigned long index)
{
	long i;

	for (i = 0; i < p->count; i++)
		pages_want(p, i, 1, node_at(weight, set, index + i));
}

static unsigned long private_index(const struct pages *p)
{
	return (uintptr_t)p->addr / PAGE_BYTES;
}

TEST_F(weighted, fault)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;

	if (kernel_before(6, 9)) {
		EXPECT_CLEAN(anything_of_it(t));
		return;
	}
	ASSERT_EQ(0, madvise(p->addr, BYTES, MADV_DONTNEED));
	EXPECT_EQ(0, weighted(t, self->set, 0));
	EXPECT_CLEAN(policy_check(p, 0, WEIGHTED, self->set));
	policy_fault(p, 0, COUNT);
	want_from(p, self->weight, self->set, private_index(p));
	EXPECT_CLEAN(pages_snapshot(p));

	/* The task's policy does the same to a range that has none. */
	EXPECT_EQ(0, policy_bind(p, 0, COUNT, MPOL_DEFAULT, 0, 0));
	EXPECT_EQ(0, numa_set_mempolicy(WEIGHTED, self->set));
	ASSERT_EQ(0, madvise(p->addr, BYTES, MADV_DONTNEED));
	policy_fault(p, 0, COUNT);
	EXPECT_CLEAN(pages_snapshot(p));
}

/* The node that all pages are on is not in the set. */
TEST_F(weighted, move)
{
	struct placed *t = &self->t;
	unsigned long set = self->set & ~NODE(t->a);

	if (kernel_before(6, 9)) {
		EXPECT_CLEAN(anything_of_it(t));
		return;
	}
	EXPECT_EQ(0, weighted(t, set, MOVE | STRICT));
	want_from(&t->pages, self->weight, set, private_index(&t->pages));
	EXPECT_CLEAN(placed_verify(t, 0, "moved by weight"));
	EXPECT_CLEAN(policy_check(&t->pages, 0, WEIGHTED, set));

	/* Other weights move nothing: all is within the set. */
	ASSERT_CLEAN(placed_look(t));
	EXPECT_EQ(0, set_weight(t->b, "9"));
	EXPECT_EQ(0, weighted(t, set, MOVE | STRICT));
	EXPECT_CLEAN(placed_verify(t, 0, "moved again"));
}

TEST_F(weighted, move_shared)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;
	unsigned long set = self->set & ~NODE(t->a);
	int fd = memfd_create("weighted", MFD_CLOEXEC);
	struct stat stat;

	if (kernel_before(6, 9)) {
		EXPECT_CLEAN(anything_of_it(t));
		return;
	}
	ASSERT_EQ(0, ftruncate(fd, BYTES));
	ASSERT_EQ(0, fstat(fd, &stat));
	ASSERT_EQ(p->addr, mmap(p->addr, BYTES, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_FIXED, fd, 0));
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_CLEAN(placed_look(t));
	EXPECT_EQ(0, weighted(t, set, MOVE | STRICT));
	want_from(p, self->weight, set, stat.st_ino);
	EXPECT_CLEAN(placed_verify(t, 0, "shared memory moved by weight"));

	/* Where faults would have had it. */
	ASSERT_EQ(0, madvise(p->addr, BYTES, MADV_REMOVE));
	policy_fault(p, 0, COUNT);
	EXPECT_CLEAN(pages_snapshot(p));
}

/* Weights are read when a page is placed, whenever the policy was set. */
TEST_F(weighted, weights_change)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;
	unsigned long set = NODE(t->a) | NODE(t->b);

	if (kernel_before(6, 9)) {
		EXPECT_CLEAN(anything_of_it(t));
		return;
	}
	EXPECT_EQ(0, weighted(t, set, 0));
	EXPECT_EQ(0, set_weight(t->a, "1"));
	EXPECT_EQ(0, set_weight(t->b, "5"));
	self->weight[t->a] = 1;
	self->weight[t->b] = 5;
	ASSERT_EQ(0, madvise(p->addr, BYTES, MADV_DONTNEED));
	policy_fault(p, 0, COUNT);
	want_from(p, self->weight, set, private_index(p));
	EXPECT_CLEAN(pages_snapshot(p));

	/* 0 is the default, which is 1: plain interleave. */
	EXPECT_EQ(0, set_weight(t->b, "0"));
	EXPECT_EQ(1, get_weight(t->b));
	self->weight[t->b] = 1;
	ASSERT_EQ(0, madvise(p->addr, BYTES, MADV_DONTNEED));
	policy_fault(p, 0, COUNT);
	want_from(p, self->weight, set, private_index(p));
	EXPECT_CLEAN(pages_snapshot(p));
}

TEST_F(weighted, bad_weights)
{
	static const char *const bad[] = { "256", "-1", "x", "1 2", "1.5" };
	struct placed *t = &self->t;
	unsigned int i;

	if (kernel_before(6, 9)) {
		EXPECT_CLEAN(anything_of_it(t));
		return;
	}
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, set_weight(t->a, bad[i]));
		EXPECT_EQ(3, get_weight(t->a));
	}
	EXPECT_EQ(0, set_weight(t->a, "255\n"));
	EXPECT_EQ(255, get_weight(t->a));
	EXPECT_EQ(1, get_weight(t->b));
	EXPECT_EQ(0, set_weight(t->a, "\n"));
	EXPECT_EQ(1, get_weight(t->a));
	EXPECT_CLEAN(placed_verify(t, 0, "weights alone"));
}

TEST_F(weighted, bad_policies)
{
	struct placed *t = &self->t;
	int none = nodes_first_without_memory();

	if (kernel_before(6, 9)) {
		EXPECT_CLEAN(anything_of_it(t));
		return;
	}
	ASSERT_LE(0, none);
	EXPECT_EQ(-EINVAL, weighted(t, 0, MOVE));
	EXPECT_EQ(-EINVAL, weighted(t, NODE(none), MOVE));
	EXPECT_EQ(-EIO, weighted(t, NODE(t->b), STRICT));
	EXPECT_EQ(-EINVAL, policy_bind(&t->pages, 0, COUNT,
				       WEIGHTED | MPOL_F_NUMA_BALANCING,
				       NODE(t->b), MOVE));
	EXPECT_EQ(-EINVAL, numa_set_mempolicy(WEIGHTED | MPOL_F_STATIC_NODES |
					      MPOL_F_RELATIVE_NODES,
					      NODE(t->b)));
	/* The next mode is none. */
	EXPECT_EQ(-EINVAL, numa_set_mempolicy(WEIGHTED + 1, NODE(t->b)));
	EXPECT_CLEAN(policy_check(&t->pages, 0, MPOL_DEFAULT, 0));
	EXPECT_CLEAN(placed_verify(t, 0, "policies refused"));
}

/*
 * In turn, where there is no index: page cache. get_mempolicy(2) tells whose
 * turn it is, as often in a row as the node weighs.
 */
TEST_F(weighted, page_cache_in_turn)
{
	int i, next[COUNT], want[COUNT], status[COUNT];
	struct placed *t = &self->t;
	unsigned long set = NODE(t->a) | NODE(t->b);

	if (kernel_before(6, 9)) {
		EXPECT_CLEAN(anything_of_it(t));
		return;
	}
	ASSERT_EQ(0, ramfs_begin());
	ASSERT_CLEAN(ramfs_write_in_turn(WEIGHTED, set, COUNT, next, status));
	for (i = 0; i < COUNT; i++)
		want[i] = node_at(self->weight, set, i);
	EXPECT_STREQ(placement_statuses(want, COUNT),
		     placement_statuses(status, COUNT));
	EXPECT_STREQ(placement_statuses(want, COUNT),
		     placement_statuses(next, COUNT));
}

TEST_HARNESS_MAIN
