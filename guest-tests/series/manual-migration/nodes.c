// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/<pid>/migrate of patches/manual-migration: which nodes pages may be
 * sent to. One that
 *
 *  - has no memory: ENODEV;
 *  - the cpuset of the process does not allow: EPERM without CAP_SYS_NICE, of
 *    both who opened the file and who writes;
 *  - the cpuset of the caller does not allow: EINVAL, whatever it may do.
 *
 * Where pages come from is up to nobody.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, CPUSETS]
 *   features: [manual-migration]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     "memoryless.*": {memoryless: 1}
 *   quick:
 *     - allowed.outside_the_target
 */
#include "harness.h"

#include "caps.h"
#include "cpuset_steps.h"
#include "migrate_file_steps.h"
#include "nodes.h"
#include "scene.h"

#define COUNT		16

FIXTURE(allowed)
{
	struct cpuset_scene scene;
	int a;
	int b;
};

FIXTURE_SETUP(allowed)
{
	FIND_TWO_NODES(self, return);
	ASSERT_CLEAN(cpuset_scene_begin(&self->scene, CPUSET_V2, COUNT));
}

FIXTURE_TEARDOWN_PARENT(allowed)
{
	EXPECT_EQ(0, cpuset_scene_end(&self->scene));
}

/* A child on node @node, in a group that allows @nodes, and its file. */
#define BEGIN(fd, nodes, node) do {					\
	pages_want_all(&SUBJECT->pages, node);				\
	START_IN_X(nodes, pages_populate);				\
	(fd) = migrate_file_open(SUBJECT->pages.pid);			\
	ASSERT_LE(0, fd);						\
} while (0)

#define ASK(result, fd, map)						\
	EXPECT_EQ(result, migrate_file_ask_range(fd, &SUBJECT->pages, 0,\
						 COUNT, map))

TEST_F(allowed, outside_the_target)
{
	const char *map = A_TO_B;
	int fd, unprivileged;

	BEGIN(fd, NODE(self->a), self->a);
	ASSERT_EQ(0, caps_set_sys_nice(false));
	unprivileged = migrate_file_open(SUBJECT->pages.pid);
	ASSERT_LE(0, unprivileged);
	ASK(-EPERM, unprivileged, map);
	ASK(-EPERM, fd, map);
	/* Back to where it is allowed, or nowhere, anybody may send it. */
	ASK(0, unprivileged, B_TO_A);
	ASSERT_EQ(0, caps_set_sys_nice(true));
	ASK(-EPERM, unprivileged, map);
	UNMOVED("outside of the cpuset, without CAP_SYS_NICE");

	ASK(0, fd, map);
	EXPECT_STREQ(migrate_file_text(COUNT, 0, 0), migrate_file_told(fd));
	pages_want_all(&SUBJECT->pages, self->b);
	VERIFY(0, "outside of the cpuset, with CAP_SYS_NICE");
	EXPECT_EQ(COUNT, subject_moved());

	/* The way back is open to anybody. */
	LOOK();
	ASSERT_EQ(0, caps_set_sys_nice(false));
	ASK(0, unprivileged, B_TO_A);
	ASSERT_EQ(0, caps_set_sys_nice(true));
	EXPECT_STREQ(migrate_file_text(COUNT, 0, 0),
		     migrate_file_told(unprivileged));
	pages_want_all(&SUBJECT->pages, self->a);
	VERIFY(0, "back into the cpuset, without CAP_SYS_NICE");
	EXPECT_EQ(0, close(fd));
	EXPECT_EQ(0, close(unprivileged));
	END();
}

/* One pair that is not allowed, and nothing moves. */
TEST_F(allowed, one_of_two)
{
	int fd;

	BEGIN(fd, NODE(self->a), self->a);
	EXPECT_EQ(0, close(fd));
	ASSERT_EQ(0, caps_set_sys_nice(false));
	fd = migrate_file_open(SUBJECT->pages.pid);
	ASSERT_LE(0, fd);
	ASK(-EPERM, fd, migrate_map_two(self->b, self->a, self->a, self->b));
	ASK(-EPERM, fd, EXCHANGED);
	/* A node that is sent to itself is sent somewhere. */
	ASK(-EPERM, fd, migrate_map_one(self->b, self->b));
	ASSERT_EQ(0, caps_set_sys_nice(true));
	UNMOVED("one pair of two is not allowed");
	EXPECT_EQ(0, close(fd));
	END();
}

/* Ask from group "y", which allows @mems. */
static long ask_from_y(const struct pages *p, unsigned long mems,
		       const char *map)
{
	long result = -ECHILD;
	struct peer peer;
	pid_t pid = peer_fork(&peer);
	int fd;

	if (pid == 0) {
		fd = migrate_file_open(p->pid);
		/* The parent has put it there by then. */
		if (fd >= 0 && !peer_receive(&peer, &result))
			result = migrate_file_ask_range(fd, p, 0, p->count,
							map);
		peer_send(&peer, result);
		_exit(0);
	}
	if (pid < 0 || cpuset_set_mems("y", mems) || cpuset_attach("y", pid) ||
	    peer_send(&peer, 0) || peer_receive(&peer, &result))
		result = -ECHILD;
	peer_end(&peer);
	return result;
}

TEST_F(allowed, outside_the_caller)
{
	struct pages *p = &SUBJECT->pages;
	int fd;

	BEGIN(fd, NODE(self->a) | NODE(self->b), self->a);
	EXPECT_EQ(-EINVAL, ask_from_y(p, NODE(self->a), A_TO_B));
	EXPECT_EQ(-EINVAL, ask_from_y(p, NODE(self->a),
				      migrate_map_two(self->b, self->a,
						      self->a, self->b)));
	EXPECT_STREQ("", migrate_file_told(fd));
	EXPECT_CLEAN(pages_verify(p, "outside of the caller's cpuset"));
	EXPECT_EQ(0, close(fd));
	END();
}

TEST_F(allowed, within_the_caller)
{
	struct pages *p = &SUBJECT->pages;
	struct counters before;
	int fd;

	BEGIN(fd, NODE(self->a) | NODE(self->b), self->a);
	ASSERT_EQ(0, counters_read(&before));
	EXPECT_EQ(0, ask_from_y(p, NODE(self->b), A_TO_B));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "within the caller's cpuset"));
	EXPECT_EQ(0, close(fd));
	END();
}

/* Which nodes exist is the machine's affair: memory is what is asked for. */
FIXTURE(memoryless)
{
	int a;
	int b;
	int none;
	int fd;
	struct pages pages;
};

FIXTURE_SETUP(memoryless)
{
	FIND_TWO_NODES(self, return);
	self->none = nodes_nth(nodes_possible() & ~nodes_with_memory(), 0);
	ASSERT_CLEAN(scene_pages(&self->pages, COUNT, MAP_PRIVATE, self->a));
	OPEN(0);
}

FIXTURE_TEARDOWN(memoryless)
{
	EXPECT_EQ(0, close(self->fd));
}

TEST_F(memoryless, target)
{
	struct pages *p = &self->pages;
	struct counters before;

	if (self->none < 0)
		SKIP(return, "needs a node without memory");
	ASSERT_EQ(0, counters_read(&before));
	EXPECT_EQ(-ENODEV,
		  migrate_file_ask_range(self->fd, p, 0, COUNT,
					 migrate_map_one(self->a,
							 self->none)));
	EXPECT_EQ(-ENODEV,
		  migrate_file_ask_range(self->fd, p, 0, COUNT,
					 migrate_map_two(self->a, self->b,
							 self->b,
							 self->none)));
	EXPECT_EQ(-ENODEV,
		  migrate_file_ask_range(self->fd, p, 0, COUNT,
					 migrate_map_one(self->none,
							 self->none)));
	TOLD_NOTHING();
	EXPECT_CLEAN(pages_verify(p, "to a node without memory"));
	EXPECT_CLEAN(counters_verify(&before, 0, 0));
}

/* There is nothing to come from it, and that is no mistake. */
TEST_F(memoryless, source)
{
	struct pages *p = &self->pages;
	struct counters before;

	if (self->none < 0)
		SKIP(return, "needs a node without memory");
	ASSERT_EQ(0, counters_read(&before));
	EXPECT_EQ(0, migrate_file_ask_range(self->fd, p, 0, COUNT,
					    migrate_map_two(self->none, self->a,
							    self->a, self->b)));
	TOLD(COUNT, 0, 0);
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "from a node without memory, and from a"));
	EXPECT_CLEAN(counters_verify(&before, COUNT, 0));
}

TEST_HARNESS_MAIN
