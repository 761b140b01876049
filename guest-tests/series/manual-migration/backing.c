// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/<pid>/migrate of patches/manual-migration on memory of each kind:
 * lib/backings.h says of each what becomes of it. What is pinned counts as
 * failed, what others map as shared where CAP_SYS_NICE is missing. Pages that
 * are mapped at two addresses of the process and move are no failure, as they
 * are for migrate_pages(2).
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, TRANSPARENT_HUGEPAGE,
 *     HUGETLBFS, KSM, SWAP, USERFAULTFD, IO_URING, EXT4_FS, BLK_DEV_RAM,
 *     SYSVIPC]
 *   features: [manual-migration]
 *   scope: file   # each case puts back all that it changes
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     "*.swapped_out.*": {swap_mib: 64}
 *     "*.swap_cache.*": {swap_mib: 64}
 *   quick:
 *     - backing.thp.whole
 *     - backing.hugetlb_private.exchange
 */
#include "harness.h"

#include "backing_child.h"
#include "backings.h"
#include "caps.h"
#include "migrate_file_steps.h"
#include "nodes.h"
#include "scene.h"
#include "syscalls.h"

FIXTURE(backing)
{
	int a;
	int b;
	int fd;
	struct area_child child;
};

FIXTURE_VARIANT(backing)
{
	const struct backing *backing;
};

BACKINGS(backing);

/* A child with an area on node a, and its file. */
FIXTURE_SETUP(backing)
{
	struct area_child *c = &self->child;

	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, area_child_map(c, variant->backing, self->a));
	ASSERT_EQ(0, area_child_start(c));
	ASSERT_CLEAN(area_child_look(c));
	OPEN(c->subject.pages.pid);
}

FIXTURE_TEARDOWN(backing)
{
	area_release(&self->child.area);
	EXPECT_EQ(0, close(self->fd));
}

/* Of the area, what stays though it is to move. */
static long pinned(const struct area_child *c)
{
	const struct backing *b = c->area.backing;

	return b->fate == FATE_PINNED ? b->count : 0;
}

/*
 * "" if what the file says moved is what the kernel counted as moved since the
 * look, which area_child_verify() has compared with the frames. Before it.
 */
static const char *check_told(const struct area_child *c, int fd, long failed,
			      long shared)
{
	struct counters now;

	if (counters_read(&now))
		return "cannot read the counters";
	if (strcmp(migrate_file_text(now.success - c->subject.before.success,
				     failed, shared), migrate_file_told(fd)))
		return "the file tells other counts";
	return "";
}

TEST_F(backing, range)
{
	struct area_child *c = &self->child;
	struct pages *p = &c->subject.pages;

	EXPECT_EQ(0, migrate_file_ask_range(self->fd, p, 0, p->count, A_TO_B));
	EXPECT_CLEAN(check_told(c, self->fd, pinned(c), 0));
	EXPECT_CLEAN(area_child_verify(c, self->b, "the range from a to b"));
	EXPECT_EQ(0, area_child_finish(c));
}

TEST_F(backing, whole)
{
	struct area_child *c = &self->child;

	EXPECT_EQ(0, migrate_file_ask_all(self->fd, A_TO_B));
	EXPECT_CLEAN(check_told(c, self->fd, pinned(c), 0));
	EXPECT_CLEAN(area_child_verify(c, self->b, "all from a to b"));
	EXPECT_EQ(0, area_child_finish(c));
}

/* All that the child has, from both nodes at once. */
TEST_F(backing, exchange)
{
	struct area_child *c = &self->child;

	EXPECT_EQ(0, migrate_file_ask_all(self->fd, EXCHANGED));
	EXPECT_CLEAN(check_told(c, self->fd, pinned(c), 0));
	EXPECT_CLEAN(area_child_verify(c, self->b, "all a:b,b:a"));
	EXPECT_EQ(0, area_child_finish(c));
}

/* How many pages of the area stay for being shared: those that are there. */
static long shared(const struct area_child *c)
{
	const struct backing *b = c->area.backing;

	return b->fate == FATE_SHARED ? b->count : 0;
}

TEST_F(backing, without_nice)
{
	struct area_child *c = &self->child;
	struct pages *p = &c->subject.pages;

	ASSERT_EQ(0, caps_set_sys_nice(false));
	EXPECT_EQ(0, migrate_file_ask_range(self->fd, p, 0, p->count, A_TO_B));
	ASSERT_EQ(0, caps_set_sys_nice(true));
	EXPECT_CLEAN(check_told(c, self->fd, pinned(c), shared(c)));
	EXPECT_CLEAN(area_child_verify_moved(c, self->b, MPOL_MF_MOVE,
					     "without CAP_SYS_NICE"));
	EXPECT_EQ(0, area_child_finish(c));
}

TEST_HARNESS_MAIN
