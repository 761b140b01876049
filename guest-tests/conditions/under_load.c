// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each interface upon a process that does not stand still: two writers verify
 * what they wrote, or forks follow each other, whose children verify what they
 * inherit. Meanwhile a page is on the one node or on the other, or out where it
 * is paged out, and no call fails for it; once the load has ended, one more call
 * has all of its effect, so that nobody kept a reference or a lock.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, MULTIUSER, ADVISE_SYSCALLS]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     under_load.pageout.*: {swap_mib: 64, kconfig: [SWAP]}
 *     under_load.process_madvise.*: {swap_mib: 64, kconfig: [SWAP]}
 *   contract: {13: ["under_load.*.writers"], 14: ["under_load.*.forks"]}
 *   covers:
 *     - {cases: "under_load.mbind_move.*", interface: mbind-move,
 *        backing: anon-private, condition: [writer, fork-storm]}
 *     - {cases: "under_load.mbind_move_all.*", interface: mbind-move-all,
 *        backing: anon-private, condition: [writer, fork-storm]}
 *     - {cases: "under_load.mbind_strict.*", interface: mbind-strict,
 *        backing: anon-private, condition: [writer, fork-storm]}
 *     - {cases: "under_load.mbind_move_strict.*", interface: mbind-move-strict,
 *        backing: anon-private, condition: [writer, fork-storm]}
 *     - {cases: "under_load.set_mempolicy.*", interface: set_mempolicy,
 *        backing: anon-private, condition: [writer, fork-storm]}
 *     - {cases: "under_load.home_node.*", interface: home_node,
 *        backing: anon-private, condition: [writer, fork-storm]}
 *     - {cases: "under_load.migrate_self.*", interface: migrate_pages-self,
 *        backing: anon-private, condition: [writer, fork-storm]}
 *     - {cases: "under_load.migrate_other_user.*", interface: migrate_pages-other-user,
 *        backing: anon-private, condition: [writer, fork-storm]}
 *     - {cases: "under_load.query.*", interface: move_pages-query,
 *        backing: anon-private, condition: [writer, fork-storm]}
 *     - {cases: "under_load.pageout.*", interface: pageout,
 *        backing: anon-private, condition: [writer, fork-storm]}
 *     - {cases: "under_load.process_madvise.*", interface: process_madvise,
 *        backing: anon-private, condition: [writer, fork-storm]}
 *     - {cases: "under_load.migratepages.*", interface: migratepages-tool,
 *        backing: anon-private, condition: [writer, fork-storm]}
 */
#include "harness.h"

#include <sys/mman.h>

#include "advised.h"
#include "creds.h"
#include "load.h"
#include "nodes.h"
#include "pages.h"
#include "placement.h"
#include "program.h"

#define COUNT		32
#define ROUNDS		10

enum effect {
	MOVES,
	STAYS,	/* where it was filled */
	OUT,	/* and back where it is touched */
};

/* What an interface has to know; the child sees what is in shared memory. */
struct task {
	int from;
	int to;
	int home;
	unsigned int flags;	/* of mbind(2) */
};

static struct task *task;

FIXTURE(under_load)
{
	int node[2];
	struct load load;
	struct counters before;
	long moved;
};

FIXTURE_VARIANT(under_load)
{
	/* One of them: from within the child, or from outside. */
	holder_fn within;
	long (*outside)(struct pages *p);
	unsigned int flags;
	/* The other result than 0 that it may have while there is load. */
	long or_result;
	enum effect effect;
};

/* By STRICT alone EIO, and no policy, wherever the pages are not. */
static long mbind_with_flags(struct pages *p)
{
	long result = numa_mbind(p->addr, p->count * PAGE_BYTES, MPOL_BIND,
				 NODE(task->to), task->flags);

	return task->flags == MPOL_MF_STRICT && task->to != task->home ?
	       result + EIO : result;
}

static long set_mempolicy(struct pages *p)
{
	(void)p;
	return numa_set_mempolicy(MPOL_BIND, NODE(task->to));
}

static long home_node(struct pages *p)
{
	const size_t bytes = p->count * PAGE_BYTES;
	long error = numa_mbind(p->addr, bytes, MPOL_BIND,
				NODE(task->from) | NODE(task->to), 0);

	return error ? error : numa_home_node(p->addr, bytes, task->to, 0);
}

/* What is left is counted, and is no failure. */
static long migrate_pages(pid_t pid)
{
	long left = numa_migrate_pages(pid, NODE(task->from), NODE(task->to));

	return left > 0 ? 0 : left;
}

static long migrate_self(struct pages *p)
{
	(void)p;
	return migrate_pages(0);
}

static long migrate_as_user_b(struct pages *p)
{
	struct peer peer;
	pid_t pid = peer_fork(&peer);
	long result = 1;

	if (pid == 0) {
		if (!creds_become(USER_B, CAP(SYS_PTRACE) | CAP(SYS_NICE),
				  true))
			result = migrate_pages(p->pid);
		peer_send(&peer, result);
		_exit(0);
	}
	if (pid < 0 || peer_receive(&peer, &result))
		return 1;
	return peer_end(&peer) ? 1 : result;
}

/* How many are not where they are: no page in use is ever absent. */
static long query(struct pages *p)
{
	int status[COUNT];
	long i, wrong = placement_query(p->pid, p->addr, COUNT, status);

	for (i = 0; !wrong && i < COUNT; i++)
		wrong += status[i] != task->home;
	return wrong;
}

static long page_out(struct pages *p)
{
	return kernel_result(madvise(p->addr, p->count * PAGE_BYTES,
				     MADV_PAGEOUT));
}

static long page_out_from_outside(struct pages *p)
{
	struct iovec range = {
		.iov_base = p->addr,
		.iov_len = p->count * PAGE_BYTES,
	};

	return advise_ranges(p->pid, &range, 1, MADV_PAGEOUT) -
	       (long)range.iov_len;
}

static long run_migratepages(struct pages *p)
{
	static struct program tool;
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", p->pid);
	return program_run(&tool, "/usr/bin/migratepages", pid,
			   nodes_text(NODE(task->from)),
			   nodes_text(NODE(task->to)), NULL) ? : tool.status;
}

FIXTURE_VARIANT_ADD(under_load, mbind_move)
{
	.within = mbind_with_flags,
	.flags = MPOL_MF_MOVE,
};

FIXTURE_VARIANT_ADD(under_load, mbind_move_all)
{
	.within = mbind_with_flags,
	.flags = MPOL_MF_MOVE_ALL,
};

FIXTURE_VARIANT_ADD(under_load, mbind_move_strict)
{
	.within = mbind_with_flags,
	.flags = MPOL_MF_MOVE | MPOL_MF_STRICT,
	.or_result = -EIO,
};

FIXTURE_VARIANT_ADD(under_load, mbind_strict)
{
	.within = mbind_with_flags,
	.flags = MPOL_MF_STRICT,
	.effect = STAYS,
};

FIXTURE_VARIANT_ADD(under_load, set_mempolicy)
{
	.within = set_mempolicy,
	.effect = STAYS,
};

FIXTURE_VARIANT_ADD(under_load, home_node)
{
	.within = home_node,
	.effect = STAYS,
};

FIXTURE_VARIANT_ADD(under_load, migrate_self)
{
	.within = migrate_self,
};

FIXTURE_VARIANT_ADD(under_load, migrate_other_user)
{
	.outside = migrate_as_user_b,
};

FIXTURE_VARIANT_ADD(under_load, query)
{
	.outside = query,
	.effect = STAYS,
};

FIXTURE_VARIANT_ADD(under_load, pageout)
{
	.within = page_out,
	.effect = OUT,
};

FIXTURE_VARIANT_ADD(under_load, process_madvise)
{
	.outside = page_out_from_outside,
	.effect = OUT,
};

FIXTURE_VARIANT_ADD(under_load, migratepages)
{
	.outside = run_migratepages,
};

FIXTURE_SETUP(under_load)
{
	unsigned long nodes = nodes_with_memory();
	struct pages *p = &self->load.pages;

	if (nodes_count(nodes) < 2)
		SKIP(return, "needs 2 nodes with memory, has %s",
		     nodes_text(nodes));
	self->node[0] = nodes_nth(nodes, 0);
	self->node[1] = nodes_nth(nodes, 1);
	task = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, task);
	task->home = self->node[0];
	task->flags = variant->flags;
	ASSERT_EQ(0, pages_map(p, COUNT, MAP_PRIVATE));
	pages_want_all(p, task->home);
}

/* Mappings, threads and peers end with the test's process. */
FIXTURE_TEARDOWN(under_load)
{
}

/* Send it to and fro, beginning with away from home. */
static void turn(const int *node, int round)
{
	task->from = node[round % 2];
	task->to = node[(round + 1) % 2];
}

#define CALL()								\
	(variant->within ?						\
	 holder_call(&self->load.holder, variant->within) :		\
	 variant->outside(&self->load.pages))

/*
 * Want each page where it is now: on a node of the two or, as the case may be,
 * out. How many are on @node; -1 if one is elsewhere.
 */
static long want_as_found(struct pages *p, int node, int other, bool or_out)
{
	int status[COUNT];
	long i, count = 0;

	if (placement_query(p->pid, p->addr, COUNT, status))
		return -1;
	for (i = 0; i < COUNT; i++) {
		pages_want(p, i, 1, status[i] < 0 ? UNTOUCHED : status[i]);
		count += status[i] == node;
		if (status[i] != node && status[i] != other &&
		    !(or_out && status[i] < 0))
			return -1;
	}
	return count;
}

/* The rounds, while there is load. Result, place and content each time. */
#define UNDER(kind) do {						\
	struct load *_load = &self->load;				\
	long _result, _on;						\
	int _round;							\
									\
	ASSERT_EQ(0, load_begin(_load, kind, USER_A));			\
	for (_round = 0; _round < ROUNDS; _round++) {			\
		ASSERT_EQ(0, load_await(_load));			\
		turn(self->node, _round);				\
		_result = CALL();					\
		if (_result != variant->or_result)			\
			EXPECT_EQ(0, _result);				\
		_on = want_as_found(&_load->pages, task->to,		\
				    task->from, variant->effect == OUT); \
		EXPECT_LE(0, _on);					\
		self->moved += _on;					\
	}								\
	ASSERT_EQ(0, load_await(_load));				\
	EXPECT_CLEAN(load_end(_load));					\
} while (0)

/* With nobody else about it is all as it should be, exactly. */
#define THEN_QUIET() do {						\
	struct pages *_p = &self->load.pages;				\
	long _moves;							\
									\
	ASSERT_LE(0, want_as_found(_p, task->to, task->from,		\
				   variant->effect == OUT));		\
	ASSERT_CLEAN(pages_snapshot(_p));				\
	ASSERT_EQ(0, counters_read(&self->before));			\
	turn(self->node, ROUNDS);					\
	EXPECT_EQ(0, CALL());						\
	if (variant->effect == MOVES)					\
		pages_want_all(_p, task->to);				\
	else if (variant->effect == OUT)				\
		pages_want_all(_p, UNTOUCHED);				\
	_moves = variant->effect == MOVES ? pages_to_move(_p) : 0;	\
	EXPECT_CLEAN(pages_verify(_p, "once the load has ended"));	\
	EXPECT_CLEAN(load_content(&self->load));			\
	EXPECT_CLEAN(settled(&self->before, _moves,			\
			     !!variant->within &&			\
			     variant->within != migrate_self));		\
	EXPECT_EQ(0, holder_end(&self->load.holder));			\
} while (0)

/*
 * Nothing is isolated, nothing failed, and so many were moved: exactly, where
 * the call is about these pages alone, else at least.
 */
static const char *settled(struct counters *before, long moved, bool exactly)
{
	struct counters now;

	if (counters_read(&now))
		return "cannot read the counters";
	if (!exactly && now.success - before->success >= moved)
		moved = now.success - before->success;
	return counters_verify(before, moved, 0);
}

TEST_F(under_load, writers)
{
	UNDER(LOAD_WRITERS);
	if (variant->effect == MOVES)
		EXPECT_LE(COUNT * ROUNDS / 2, self->moved);
	THEN_QUIET();
}

TEST_F(under_load, forks)
{
	UNDER(LOAD_FORKS);
	if (variant->effect == MOVES)
		EXPECT_LT(0, self->moved);
	THEN_QUIET();
}

TEST_HARNESS_MAIN
