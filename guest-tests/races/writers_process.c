// SPDX-License-Identifier: GPL-2.0-only
/*
 * A process whose two threads write and verify its pages without a pause,
 * while it is moved as a whole to and fro between two nodes: by
 * migrate_pages(2), by a change of cpuset.mems, by being attached to another
 * cpuset. Its stacks, its heap and its text move under it, too.
 *
 * What was left behind is counted frame by frame over all that the process
 * maps; the result of migrate_pages(2) is that number (do_migrate_pages() in
 * mm/mempolicy.c, 6.12). The pages under the writers are anonymous and all
 * move. Of text and of shared memory, which a fault takes references to, in
 * passing to the pages around it, too (filemap_map_pages() in mm/filemap.c), a
 * few may be busy in all of the ten tries.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     writers_process.cpuset_mems: {kconfig: [CPUSETS]}
 *     writers_process.cpuset_attach: {kconfig: [CPUSETS]}
 *   contract: {13: ["writers_process.*"], 17: ["writers_process.cpuset_*"]}
 *   promises:
 *     addresses-kept: ["writers_process.*"]
 *     other-process: ["writers_process.migrate_pages"]
 *     cpuset-takes-pages: ["writers_process.cpuset_attach"]
 *   covers:
 *     - {cases: "writers_process.migrate_pages", interface:
 *        [migrate_pages-child], backing: [anon-private, text], condition:
 *        [writer]}
 *     - {cases: "writers_process.cpuset_mems", interface: [cpuset-v2-mems],
 *        backing: [anon-private, text], condition: [writer]}
 *     - {cases: "writers_process.cpuset_attach", interface: [cpuset-v2-attach],
 *        backing: [anon-private, text], condition: [writer]}
 */
#include "harness.h"

#include "counters.h"
#include "cpuset.h"
#include "holder.h"
#include "metric.h"
#include "nodes.h"
#include "pages.h"
#include "process.h"
#include "writer.h"

#define COUNT		64
#define ROUNDS		12

static const char *const groups[] = { "x", "y" };

FIXTURE(writers_process)
{
	int node[2];
	struct pages pages;
	struct holder holder;
	struct cpuset_root root;
	struct counters before;
	long meanwhile;
	long moved;
	long left;
	bool in_cpuset;
};

/* Of the child; here only what it shares: the counts. */
static struct writers writers;
static struct process now;

/* Called in the child. */

static long start_writers(struct pages *p)
{
	long error = pages_populate(p);

	/* The writers' content replaces what the library looks for. */
	pages_want_all(p, UNTOUCHED);
	if (error || writers_prepare(&writers, p->addr, p->count))
		return -1;
	return writers_start(&writers);
}

static long stop_writers(struct pages *p)
{
	(void)p;
	writers_stop(&writers);
	return *writers_verify(&writers) != '\0';
}

FIXTURE_SETUP(writers_process)
{
	unsigned long nodes = nodes_with_memory();
	struct pages *p = &self->pages;

	if (nodes_count(nodes) < 2)
		SKIP(return, "needs 2 nodes with memory, has %s",
		     nodes_text(nodes));
	self->node[0] = nodes_nth(nodes, 0);
	self->node[1] = nodes_nth(nodes, 1);
	ASSERT_EQ(0, pages_map(p, COUNT, MAP_PRIVATE));
	pages_want_all(p, self->node[0]);
}

/* In the parent, so that it is done however the test ended. */
FIXTURE_TEARDOWN_PARENT(writers_process)
{
	EXPECT_EQ(0, cpuset_end(&self->root));
}

/* The child with its pages on node a, and its writers at work. */
#define START() do {							\
	ASSERT_EQ(0, writers_share(&writers));				\
	ASSERT_EQ(0, holder_start(&self->holder, &self->pages,		\
				  start_writers));			\
	self->pages.pid = self->holder.peer.pid;			\
	ASSERT_CLEAN(pages_snapshot(&self->pages));			\
	ASSERT_EQ(0, counters_read(&self->before));			\
} while (0)

/*
 * Move the child to node @to by the expression @call, under its writers; all
 * it has left on the other node is counted frame by frame.
 */
#define GO(round, call) do {						\
	const int from = self->node[(round) % 2];			\
	const int to = self->node[((round) + 1) % 2];			\
	struct counters was, is;					\
	long ticks, result, left;					\
									\
	ASSERT_EQ(0, writers_await_pass(&writers));			\
	ASSERT_EQ(0, counters_read(&was));				\
	ticks = writers_ticks(&writers);				\
	result = call;							\
	self->meanwhile += writers_ticks(&writers) - ticks;		\
	pages_want_all(&self->pages, to);				\
	EXPECT_CLEAN(pages_verify(&self->pages, "under two writers"));	\
	ASSERT_EQ(0, process_read(&now, self->pages.pid));		\
	left = process_frames_on(&now, NODE(from));			\
	/* A cpuset does not tell. */					\
	EXPECT_EQ(self->in_cpuset ? 0 : left, result);			\
	self->left += left;						\
	ASSERT_EQ(0, counters_read(&is));				\
	EXPECT_LE(COUNT, is.success - was.success);			\
	/* What could not be isolated is left, too, but has not failed. */ \
	EXPECT_GE(left, is.fail - was.fail);				\
	self->moved += is.success - was.success;			\
	ASSERT_CLEAN(pages_snapshot(&self->pages));			\
} while (0)

/* No word lost, next to no page left, nothing isolated. */
#define END() do {							\
	struct counters is;						\
									\
	EXPECT_LT(0, self->meanwhile);					\
	ASSERT_EQ(0, writers_await_pass(&writers));			\
	EXPECT_EQ(0, holder_call(&self->holder, stop_writers));		\
	EXPECT_EQ(0, writers.shared->bad);				\
	ASSERT_EQ(0, counters_read(&is));				\
	self->before.success = is.success;				\
	self->before.fail = is.fail;					\
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));		\
	EXPECT_GT(self->moved / 20, self->left);			\
	metric_print("left_behind", self->left, "pages");		\
	EXPECT_EQ(0, holder_end(&self->holder));			\
} while (0)

TEST_F(writers_process, migrate_pages)
{
	int round;

	START();
	for (round = 0; round < ROUNDS; round++)
		GO(round, numa_migrate_pages(self->pages.pid, NODE(from),
					     NODE(to)));
	END();
}

#define START_IN_CPUSETS() do {						\
	START();							\
	self->in_cpuset = true;						\
	ASSERT_EQ(0, cpuset_begin(&self->root));			\
} while (0)

TEST_F(writers_process, cpuset_mems)
{
	int round;

	if (!cpuset_is_available())
		SKIP(return, "no cpuset controller in /sys/fs/cgroup");
	START_IN_CPUSETS();
	ASSERT_EQ(0, cpuset_create("x"));
	ASSERT_EQ(0, cpuset_set_mems("x", NODE(self->node[0])));
	ASSERT_EQ(0, cpuset_attach("x", self->pages.pid));
	for (round = 0; round < ROUNDS; round++)
		GO(round, cpuset_set_mems("x", NODE(to)));
	END();
}

TEST_F(writers_process, cpuset_attach)
{
	int round;

	if (!cpuset_is_available())
		SKIP(return, "no cpuset controller in /sys/fs/cgroup");
	START_IN_CPUSETS();
	for (round = 0; round < 2; round++) {
		ASSERT_EQ(0, cpuset_create(groups[round]));
		ASSERT_EQ(0, cpuset_set_mems(groups[round],
					     NODE(self->node[round])));
	}
	ASSERT_EQ(0, cpuset_attach(groups[0], self->pages.pid));
	for (round = 0; round < ROUNDS; round++)
		GO(round, cpuset_attach(groups[(round + 1) % 2],
					self->pages.pid));
	END();
}

TEST_HARNESS_MAIN
