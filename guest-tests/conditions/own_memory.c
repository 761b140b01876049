// SPDX-License-Identifier: GPL-2.0-only
/*
 * What can be wrong with a call upon the caller's own memory, by each of the
 * flags of mbind(2) and by migrate_pages(2): the answer is the same whatever is
 * to happen to the pages, and nothing has happened to them. A caller without
 * CAP_SYS_NICE is refused only what takes it: MPOL_MF_MOVE_ALL.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, CPUSETS]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   covers:
 *     - {cases: "own_memory.move_all.bad_arguments",
 *        interface: mbind-move-all, backing: anon-private,
 *        condition: [bad-node, bad-address, bad-mask-size]}
 *     - {cases: "own_memory.strict.bad_arguments",
 *        interface: mbind-strict, backing: anon-private,
 *        condition: [bad-node, bad-address, bad-mask-size]}
 *     - {cases: "own_memory.move_strict.bad_arguments",
 *        interface: mbind-move-strict, backing: anon-private,
 *        condition: [bad-node, bad-address, bad-mask-size]}
 *     - {cases: "own_memory.move.outside_the_cpuset", interface: mbind-move,
 *        backing: anon-private, condition: target-outside-cpuset}
 *     - {cases: "own_memory.move_all.outside_the_cpuset",
 *        interface: mbind-move-all, backing: anon-private,
 *        condition: target-outside-cpuset}
 *     - {cases: "own_memory.strict.outside_the_cpuset",
 *        interface: mbind-strict, backing: anon-private,
 *        condition: target-outside-cpuset}
 *     - {cases: "own_memory.move.without_the_capability",
 *        interface: mbind-move, backing: anon-private,
 *        condition: no-capability}
 *     - {cases: "own_memory.strict.without_the_capability",
 *        interface: mbind-strict, backing: anon-private,
 *        condition: no-capability}
 *     - {cases: "own_process.bad_arguments", interface: migrate_pages-self,
 *        backing: anon-private,
 *        condition: [bad-node, bad-address, bad-mask-size]}
 *     - {cases: "own_process.without_the_capability",
 *        interface: [migrate_pages-self, move_pages-query],
 *        backing: anon-private, condition: no-capability}
 */
#include "harness.h"

#include "caps.h"
#include "cpuset.h"
#include "nodes.h"
#include "placement.h"
#include "policy.h"
#include "proc.h"

#define COUNT		16
#define BAD		((void *)8)

/* "" if all is as it was, under no policy. */
static const char *unchanged(struct placed *s, const char *what)
{
	const char *problem = pages_verify(&s->pages, what);

	if (!*problem && strcmp("default", pages_policy(&s->pages, 0)))
		problem = "a policy was left on the range";
	return *problem ? problem : counters_verify(&s->before, 0, 0);
}

FIXTURE(own_memory)
{
	struct placed scene;
	struct cpuset_root root;
};

FIXTURE_VARIANT(own_memory)
{
	unsigned int flags;
};

FIXTURE_VARIANT_ADD(own_memory, move) { .flags = MPOL_MF_MOVE };
FIXTURE_VARIANT_ADD(own_memory, move_all) { .flags = MPOL_MF_MOVE_ALL };
FIXTURE_VARIANT_ADD(own_memory, strict) { .flags = MPOL_MF_STRICT };

FIXTURE_VARIANT_ADD(own_memory, move_strict)
{
	.flags = MPOL_MF_MOVE | MPOL_MF_STRICT,
};

FIXTURE_SETUP(own_memory)
{
	if (nodes_count(nodes_with_memory()) < 2)
		SKIP(return, "needs 2 nodes with memory");
	ASSERT_CLEAN(placed_start(&self->scene, COUNT, COUNT, MAP_PRIVATE));
}

FIXTURE_TEARDOWN(own_memory)
{
	EXPECT_EQ(0, cpuset_end(&self->root));
}

static long bind_raw(char *addr, const void *mask, unsigned long bits,
		     unsigned int flags)
{
	return kernel_result(syscall(SYS_mbind, addr, COUNT * PAGE_BYTES,
				     MPOL_BIND, mask, bits, flags));
}

TEST_F(own_memory, bad_arguments)
{
	const unsigned long there = NODE(self->scene.b), none = 0;
	const unsigned long beyond = NODE(nodes_first_without_memory());
	const unsigned int flags = variant->flags;
	char *addr = self->scene.pages.addr;

	EXPECT_EQ(-EINVAL, bind_raw(addr, &beyond, MAXNODE, flags));
	EXPECT_EQ(-EINVAL, bind_raw(addr, &none, MAXNODE, flags));
	EXPECT_EQ(-EFAULT, bind_raw(addr, BAD, MAXNODE, flags));
	EXPECT_EQ(-EINVAL, bind_raw(addr, &there, 1UL << 20, flags));
	EXPECT_EQ(-EINVAL, bind_raw(addr + 1, &there, MAXNODE, flags));
	EXPECT_EQ(-EFAULT, bind_raw(addr - (1L << 30), &there, MAXNODE,
				    flags));
	EXPECT_CLEAN(unchanged(&self->scene, "bad arguments"));
}

/* Of a set with one node inside, that one counts; here there is none. */
TEST_F(own_memory, outside_the_cpuset)
{
	const unsigned long there = NODE(self->scene.b);

	ASSERT_EQ(0, cpuset_begin(&self->root));
	ASSERT_EQ(0, cpuset_create("x"));
	ASSERT_EQ(0, cpuset_set_mems("x", NODE(self->scene.a)));
	ASSERT_EQ(0, cpuset_attach("x", getpid()));
	/* Entering moved whatever else the test has on node b. */
	EXPECT_EQ(0, counters_read(&self->scene.before));
	EXPECT_EQ(-EINVAL, bind_raw(self->scene.pages.addr, &there, MAXNODE,
				    variant->flags));
	/* Out again, or the teardown ends the test with the cpuset. */
	ASSERT_EQ(0, proc_write("/sys/fs/cgroup/cgroup.procs", "0"));
	EXPECT_CLEAN(unchanged(&self->scene, "a node outside the cpuset"));
}

TEST_F(own_memory, without_the_capability)
{
	const bool all = variant->flags == MPOL_MF_MOVE_ALL;
	const bool alone = variant->flags == MPOL_MF_STRICT;
	const unsigned long there = NODE(self->scene.b);
	struct pages *p = &self->scene.pages;
	long result;

	ASSERT_EQ(0, caps_set_sys_nice(false));
	result = bind_raw(p->addr, &there, MAXNODE, variant->flags);
	ASSERT_EQ(0, caps_set_sys_nice(true));
	if (all || alone) {
		EXPECT_EQ(all ? -EPERM : -EIO, result);
		EXPECT_CLEAN(unchanged(&self->scene, "refused"));
	} else {
		EXPECT_EQ(0, result);
		pages_want_all(p, self->scene.b);
		EXPECT_CLEAN(pages_verify(p, "without CAP_SYS_NICE"));
		EXPECT_CLEAN(counters_verify(&self->scene.before, COUNT, 0));
	}
}

FIXTURE(own_process)
{
	struct placed scene;
};

FIXTURE_SETUP(own_process)
{
	if (nodes_count(nodes_with_memory()) < 2)
		SKIP(return, "needs 2 nodes with memory");
	ASSERT_CLEAN(placed_start(&self->scene, COUNT, COUNT, MAP_PRIVATE));
}

FIXTURE_TEARDOWN(own_process)
{
}

static long migrate_raw(unsigned long bits, const void *from, const void *to)
{
	return kernel_result(syscall(SYS_migrate_pages, 0, bits, from, to));
}

TEST_F(own_process, bad_arguments)
{
	const unsigned long here = NODE(self->scene.a);
	const unsigned long there = NODE(self->scene.b), none = 0;
	const unsigned long beyond = NODE(nodes_first_without_memory());

	EXPECT_EQ(-EINVAL, migrate_raw(MAXNODE, &here, &beyond));
	EXPECT_EQ(-EINVAL, migrate_raw(MAXNODE, &here, &none));
	EXPECT_EQ(-EFAULT, migrate_raw(MAXNODE, BAD, &there));
	EXPECT_EQ(-EFAULT, migrate_raw(MAXNODE, &here, BAD));
	EXPECT_EQ(-EINVAL, migrate_raw(1UL << 20, &here, &there));
	EXPECT_CLEAN(unchanged(&self->scene, "bad arguments"));
}

/* It asks about what it has, and moves it; by MOVE_ALL it may not ask. */
TEST_F(own_process, without_the_capability)
{
	const unsigned long here = NODE(self->scene.a);
	const unsigned long there = NODE(self->scene.b);
	struct pages *p = &self->scene.pages;
	struct counters after;
	void *addr = p->addr;
	int status = -1;
	long result;

	ASSERT_EQ(0, caps_set_sys_nice(false));
	EXPECT_EQ(0, numa_move_pages(0, 1, &addr, NULL, &status, 0));
	EXPECT_EQ(self->scene.a, status);
	EXPECT_EQ(-EPERM, numa_move_pages(0, 1, &addr, NULL, &status,
					  MPOL_MF_MOVE_ALL));
	result = migrate_raw(MAXNODE, &here, &there);
	ASSERT_EQ(0, caps_set_sys_nice(true));
	EXPECT_EQ(0, result);
	pages_want_all(p, self->scene.b);
	EXPECT_CLEAN(pages_verify(p, "the caller's own, from a to b"));
	/* The caller does not stand still: a bound, not an exact number. */
	ASSERT_EQ(0, counters_read(&after));
	EXPECT_LE(COUNT, after.success - self->scene.before.success);
	self->scene.before.success = after.success;
	EXPECT_CLEAN(counters_verify(&self->scene.before, 0, 0));
}

TEST_HARNESS_MAIN
