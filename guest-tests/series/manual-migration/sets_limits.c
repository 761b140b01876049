// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/<pid>/migrate of patches/manual-migration, "sets:FROM:TO": what is no
 * pair of sets is refused, as is a node that cannot be or has no memory. Of the
 * second set what the cpuset of the caller does not allow is left out, as by
 * migrate_pages(2).
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, CPUSETS]
 *   features: [manual-migration]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     sets_limits.mems_of_the_caller: {nodes: 3}
 *     sets_limits.no_memory: {memoryless: 1}
 *   quick:
 *     - sets_malformed.lists
 */
#include "harness.h"

#include "chores.h"
#include "counters.h"
#include "cpuset.h"
#include "holder.h"
#include "migrate_file_steps.h"
#include "nodes.h"
#include "pages.h"
#include "scene.h"

#define COUNT		24

#define A	NODE(self->a)
#define B	NODE(self->b)
#define C	NODE(self->c)

FIXTURE(sets_malformed)
{
	int a;
	int b;
	int fd;
	struct pages pages;
	struct counters before;
	char range[64];
};

FIXTURE_SETUP(sets_malformed)
{
	FIND_TWO_NODES(self, return);
	ASSERT_CLEAN(scene_pages(&self->pages, COUNT, MAP_PRIVATE, self->a));
	ASSERT_EQ(0, counters_read(&self->before));
	snprintf(self->range, sizeof(self->range), "%lx-%lx",
		 (unsigned long)self->pages.addr,
		 (unsigned long)pages_at(&self->pages, COUNT));
	OPEN(0);
}

/* What was refused moved nothing, and the same without the fault does. */
FIXTURE_TEARDOWN(sets_malformed)
{
	EXPECT_CLEAN(pages_verify(&self->pages, "requests that are none"));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
	EXPECT_EQ(0, migrate_file_ask_range(self->fd, &self->pages, 0, COUNT,
					    migrate_map_sets(A, B)));
	TOLD(COUNT, 0, 0);
	EXPECT_EQ(0, close(self->fd));
}

/* Of the range, with a map that is none. */
#define NO_MAP(map, ...) \
	NO_REQUEST("%s " map, self->range, ##__VA_ARGS__)

TEST_F(sets_malformed, lists)
{
	const int a = self->a, b = self->b;

	NO_MAP("sets");
	NO_MAP("sets:");
	NO_MAP("sets::");
	NO_MAP("sets:%d", a);
	NO_MAP("sets:%d:", a);
	NO_MAP("sets::%d", b);
	NO_MAP("sets:%d:%d:%d", a, b, a);
	NO_MAP("sets:%d:%d,%d:%d", a, b, b, a);
	NO_MAP("sets:%d-:%d", a, b);
	NO_MAP("sets:-%d:%d", a, b);
	NO_MAP("sets:%d-%d:%d", b, a, b);
	NO_MAP("sets:x:%d", b);
	NO_MAP("sets:%d:x", a);
	NO_MAP("sets: %d:%d", a, b);
	NO_MAP("sets:%d :%d", a, b);
	NO_MAP("sets:%d:%d ", a, b);
	NO_MAP("Sets:%d:%d", a, b);
	NO_MAP("set:%d:%d", a, b);
	NO_MAP("sets%d:%d", a, b);
	NO_MAP("%d:%d,sets:%d:%d", a, b, a, b);
}

TEST_F(sets_malformed, nodes)
{
	const int none = nodes_nth(~nodes_possible(), 0);

	NO_MAP("sets:1024:%d", self->b);
	NO_MAP("sets:%d:1024", self->a);
	NO_MAP("sets:%d-1024:%d", self->a, self->b);
	ASSERT_LE(0, none);
	NO_MAP("sets:%d:%d", none, self->b);
	NO_MAP("sets:%d:%d", self->a, none);
	NO_MAP("sets:all:%d", self->b);
}

/* Nodes that the sets may name. */
FIXTURE(sets_limits)
{
	int a;
	int b;
	int c;
	int fd;
	struct pages pages;
	struct counters before;
	struct cpuset_root root;
};

FIXTURE_SETUP(sets_limits)
{
	FIND_TWO_NODES(self, return);
	self->c = THIRD_NODE();
	ASSERT_EQ(0, cpuset_begin(&self->root));
	ASSERT_EQ(0, cpuset_create("x"));
	ASSERT_CLEAN(scene_pages(&self->pages, COUNT, MAP_PRIVATE, self->a));
	ASSERT_EQ(0, counters_read(&self->before));
	OPEN(0);
}

FIXTURE_TEARDOWN_PARENT(sets_limits)
{
	EXPECT_EQ(0, cpuset_end(&self->root));
}

/* In a holder: itself, from @sets_from to @sets_to. */
static unsigned long sets_from, sets_to;

static long ask_itself(struct pages *p)
{
	int fd = migrate_file_open(0);
	long result;

	if (fd < 0)
		return fd;
	result = migrate_file_ask_range(fd, p, 0, p->count,
					migrate_map_sets(sets_from, sets_to));
	close(fd);
	return result;
}

/* It populates pages of its own on node a, in a cpuset of @nodes. */
#define HOLDER_IN_X(holder, nodes) do {					\
	ASSERT_EQ(0, holder_start(holder, &self->pages,			\
				  chore_populate_anew));		\
	ASSERT_EQ(0, cpuset_set_mems("x", nodes));			\
	ASSERT_EQ(0, cpuset_attach("x", (holder)->peer.pid));		\
	self->pages.pid = (holder)->peer.pid;				\
	ASSERT_CLEAN(pages_snapshot(&self->pages));			\
} while (0)

/* {a} to {b,c} goes to b; where b is not allowed, to c. */
TEST_F(sets_limits, mems_of_the_caller)
{
	struct holder holder;

	if (self->c < 0)
		SKIP(return, "needs 3 nodes with memory");
	sets_from = A;
	sets_to = B | C;
	HOLDER_IN_X(&holder, A | C);
	EXPECT_EQ(0, holder_call(&holder, ask_itself));
	pages_want_all(&self->pages, self->c);
	EXPECT_CLEAN(pages_verify(&self->pages, "from {a} to {b,c}, less b"));
	EXPECT_EQ(0, holder_end(&holder));
}

TEST_F(sets_limits, none_of_the_caller)
{
	struct holder holder;

	sets_from = A;
	sets_to = B;
	HOLDER_IN_X(&holder, A);
	EXPECT_EQ(-EINVAL, holder_call(&holder, ask_itself));
	EXPECT_CLEAN(pages_verify(&self->pages, "from {a} to {b}, less b"));
	EXPECT_EQ(0, holder_end(&holder));
}

TEST_F(sets_limits, no_memory)
{
	const int none = nodes_nth(nodes_possible() & ~nodes_with_memory(), 0);

	if (none < 0)
		SKIP(return, "needs a node without memory");
	EXPECT_EQ(-ENODEV,
		  migrate_file_ask_range(self->fd, &self->pages, 0, COUNT,
					 migrate_map_sets(A, NODE(none))));
	EXPECT_EQ(-ENODEV,
		  migrate_file_ask_range(self->fd, &self->pages, 0, COUNT,
					 migrate_map_sets(A, B | NODE(none))));
	EXPECT_CLEAN(pages_verify(&self->pages, "to a node without memory"));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
}

TEST_HARNESS_MAIN
