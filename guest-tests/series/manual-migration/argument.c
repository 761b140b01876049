// SPDX-License-Identifier: GPL-2.0-only
/*
 * The argument of the mails of 2005 about manual page migration, as it stands
 * with /proc/<pid>/migrate of patches/manual-migration. One side had it that
 * programs place their memory by first touch, without any policy, and that
 * whoever moves them has to respect that, range by range; the other that what
 * is not moved by policies is to be moved as a whole, since addresses of
 * another process are nobody's business and may be stale.
 *
 *  - Both forms respect first touch, as a page goes by the node that it is on;
 *    a policy on the range does not.
 *  - A range leaves alone what it does not name, such as text that others use.
 *  - A range that is read from maps may be stale when it is written: what is
 *    gone is passed over, and what has taken its place is moved. What has come
 *    since is missed. The whole has neither fault.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: [manual-migration]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     argument.first_touch_elsewhere: {nodes: 4}
 *   quick:
 *     - argument.first_touch
 *     - argument.stale
 */
#include "harness.h"

#include <sys/mman.h>

#include "migrate_file_steps.h"
#include "nodes.h"
#include "pages.h"
#include "policy.h"
#include "scene.h"
#include "subject_steps.h"

#define COUNT		32
#define HALF		(COUNT / 2)

FIXTURE(argument)
{
	int a;
	int b;
	int fd;
	struct subject subject;
};

/* For the child, which is forked. */
static int node_a, node_b;

FIXTURE_SETUP(argument)
{
	FIND_TWO_NODES(self, return);
	node_a = self->a;
	node_b = self->b;
	self->fd = -1;
	ASSERT_EQ(0, pages_map(&self->subject.pages, COUNT, MAP_PRIVATE));
}

FIXTURE_TEARDOWN(argument)
{
	CLOSE_IF_OPEN();
}

/*
 * Called in the child: the halves are touched by who runs on node a and who
 * runs on node b, as threads of a program would. No policy says so.
 */
static long touch_on_both(struct pages *p)
{
	if (nodes_run_on(node_a))
		return -1;
	policy_fault(p, 0, HALF);
	if (nodes_run_on(node_b))
		return -1;
	policy_fault(p, HALF, HALF);
	return 0;
}

#define BEGIN() do {							\
	pages_want(&self->subject.pages, 0, HALF, self->a);		\
	pages_want(&self->subject.pages, HALF, HALF, self->b);		\
	START(touch_on_both);						\
	EXPECT_STREQ("default", pages_policy(&self->subject.pages, 0));	\
	OPEN(self->subject.pages.pid);					\
} while (0)

#define WANT_HALVES(first, second) do {					\
	pages_want(&self->subject.pages, 0, HALF, first);		\
	pages_want(&self->subject.pages, HALF, HALF, second);		\
} while (0)

/* The program changes places with its memory, and all is as near as it was. */
TEST_F(argument, first_touch)
{
	const char *map = EXCHANGED;

	BEGIN();
	EXPECT_EQ(0, migrate_file_ask_all(self->fd, map));
	WANT_HALVES(self->b, self->a);
	VERIFY(0, "the whole a:b,b:a");

	/* The same by its range alone. */
	LOOK();
	EXPECT_EQ(0, migrate_file_ask_range(self->fd, &self->subject.pages, 0,
					    COUNT, map));
	WANT_HALVES(self->a, self->b);
	VERIFY(0, "its range a:b,b:a");
	EXPECT_EQ(COUNT, subject_moved());
	END();
}

/* Two nodes to two others. */
TEST_F(argument, first_touch_elsewhere)
{
	const int c = THIRD_NODE(), d = nodes_nth(nodes_with_memory(), 3);

	if (d < 0)
		SKIP(return, "needs 4 nodes with memory");
	BEGIN();
	EXPECT_EQ(0, migrate_file_ask_all(self->fd,
					  migrate_map_two(self->a, c, self->b,
							  d)));
	WANT_HALVES(c, d);
	VERIFY(0, "the whole a:c,b:d");
	EXPECT_EQ(0, subject_is_on(NODE(self->a) | NODE(self->b)));
	END();
}

/* Called in the child, who alone may: what a policy makes of it. */
static long interleave(struct pages *p)
{
	return policy_bind(p, 0, p->count, MPOL_INTERLEAVE,
			   NODE(node_a) | NODE(node_b), MPOL_MF_MOVE);
}

/*
 * migrate_pages() asks the policy only for pages that are elsewhere; so bind
 * them to one node first: what was apart is together, and comes apart another
 * way than it was.
 */
static long bind_and_interleave(struct pages *p)
{
	return policy_bind(p, 0, p->count, MPOL_BIND, NODE(node_a),
			   MPOL_MF_MOVE) ? : interleave(p);
}

TEST_F(argument, first_touch_against_a_policy)
{
	struct pages *p = &self->subject.pages;
	int node[COUNT], i, kept = 0;

	BEGIN();
	EXPECT_EQ(0, CALL(interleave));
	UNMOVED("interleaved over the nodes that it is on");
	EXPECT_EQ(0, CALL(bind_and_interleave));
	ASSERT_EQ(0, placement_query(p->pid, p->addr, COUNT, node));
	for (i = 0; i < COUNT; i++)
		kept += node[i] == (i < HALF ? self->a : self->b);
	/* The map had kept all of them, or moved all. */
	EXPECT_LT(0, kept);
	EXPECT_GT(COUNT, kept);
	END();
}

/* Where it touches memory first after that is up to where it runs. */
static long touch_more(struct pages *p)
{
	pages_want_all(p, node_a);
	return madvise(p->addr, p->count * PAGE_BYTES, MADV_DONTNEED) ? :
	       nodes_run_on(node_a) ? : (policy_fault(p, 0, COUNT), 0);
}

TEST_F(argument, first_touch_after)
{
	BEGIN();
	EXPECT_EQ(0, migrate_file_ask_all(self->fd, A_TO_B));
	pages_want_all(&self->subject.pages, self->b);
	VERIFY(0, "the whole a:b");
	EXPECT_EQ(0, CALL(touch_more));
	pages_want_all(&self->subject.pages, self->a);
	ASSERT_CLEAN(subject_look(&self->subject));
	END();
}

/* A range names what is to move: nothing else does, as the whole does. */
TEST_F(argument, left_alone)
{
	long moved;

	BEGIN();
	EXPECT_EQ(0, migrate_file_ask_range(self->fd, &self->subject.pages, 0,
					    COUNT,
					    EXCHANGED));
	WANT_HALVES(self->b, self->a);
	VERIFY(0, "its range a:b,b:a");
	moved = subject_moved();
	EXPECT_EQ(COUNT, moved);
	LOOK();
	EXPECT_EQ(0, migrate_file_ask_all(self->fd, EXCHANGED));
	WANT_HALVES(self->a, self->b);
	VERIFY(0, "the whole a:b,b:a");
	EXPECT_LT(moved, subject_moved());
	END();
}

/* Called in the child: give the second half up, for nothing. */
static long unmap_half(struct pages *p)
{
	pages_want(p, HALF, HALF, UNMAPPED);
	return munmap(pages_at(p, HALF), HALF * PAGE_BYTES);
}

/* ... and have other memory there, on the same node. */
static long map_other_half(struct pages *p)
{
	void *addr = mmap(pages_at(p, HALF), HALF * PAGE_BYTES,
			  PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (addr == MAP_FAILED || nodes_run_on(node_b))
		return -1;
	pages_want(p, HALF, HALF, node_b);
	policy_fault(p, HALF, HALF);
	return 0;
}

/*
 * The range was read while it was there. By the time it is written it is gone,
 * then it is something else: no interface of addresses can tell.
 */
TEST_F(argument, stale)
{
	struct pages *p = &self->subject.pages;

	BEGIN();
	ASSERT_EQ(0, CALL(unmap_half));
	pages_want(p, HALF, HALF, UNMAPPED);
	LOOK();
	EXPECT_EQ(0, migrate_file_ask_range(self->fd, p, HALF, HALF, B_TO_A));
	TOLD(0, 0, 0);
	UNMOVED("a range that is gone");

	ASSERT_EQ(0, CALL(map_other_half));
	pages_want(p, HALF, HALF, self->b);
	LOOK();
	EXPECT_EQ(0, migrate_file_ask_range(self->fd, p, HALF, HALF, B_TO_A));
	TOLD(HALF, 0, 0);
	pages_want(p, HALF, HALF, self->a);
	VERIFY(0, "a range that is something else by now");
	END();
}

/* Called in the child: memory that no reader of maps has seen. */
static char *more;

static long map_more(struct pages *p)
{
	(void)p;
	if (nodes_run_on(node_b))
		return -1;
	more = mmap(NULL, 4 * PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	return (long)more;
}

TEST_F(argument, come_since)
{
	struct pages *p = &self->subject.pages;
	int node[4], i;
	char *addr;

	BEGIN();
	addr = (char *)CALL(map_more);
	ASSERT_LT(0, (long)addr);
	/* All that was known of it ... */
	EXPECT_EQ(0, migrate_file_ask_range(self->fd, p, 0, COUNT, B_TO_A));
	ASSERT_EQ(0, placement_query(p->pid, addr, 4, node));
	for (i = 0; i < 4; i++)
		EXPECT_EQ(self->b, node[i]);
	/* ... and all that there is. */
	EXPECT_EQ(0, migrate_file_ask_all(self->fd, B_TO_A));
	ASSERT_EQ(0, placement_query(p->pid, addr, 4, node));
	for (i = 0; i < 4; i++)
		EXPECT_EQ(self->a, node[i]);
	END();
}

TEST_HARNESS_MAIN
