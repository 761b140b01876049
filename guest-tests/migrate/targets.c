// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whose memory migrate_pages(2) and move_pages(2) take: that of any thread of
 * any process, stopped or not, a parent or a child; and what they say of those
 * that have none. kernel_migrate_pages() in mm/mempolicy.c and find_mm_struct()
 * in mm/migrate.c, 6.1 and 6.12: no such task is ESRCH, a task without memory
 * (a zombie, a kernel thread) EINVAL.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   promises: {other-process: ["targets.stopped", "targets.parent",
 *     "targets.any_thread"]}
 *   covers:
 *     - {cases: "targets.*", interface: [migrate_pages-child, move_pages-set],
 *        backing: [anon-private], condition: [quiet]}
 */
#include "harness.h"

#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/wait.h>

#include "nodes.h"
#include "pages.h"
#include "scene.h"
#include "subject_steps.h"

#define COUNT		16
#define UNWRITTEN	-12345
#define ROUNDS		40

FIXTURE(targets)
{
	int a;
	int b;
	struct subject subject;
	/* The arguments of move_pages(2): all pages, to b. */
	void *addrs[COUNT];
	int nodes[COUNT];
	int status[COUNT];
};

FIXTURE_SETUP(targets)
{
	struct pages *p = &self->subject.pages;
	int i;

	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, pages_map(p, COUNT, MAP_PRIVATE));
	pages_want_all(p, self->a);
	for (i = 0; i < COUNT; i++) {
		self->addrs[i] = pages_at(p, i);
		self->nodes[i] = self->b;
		self->status[i] = UNWRITTEN;
	}
}

/* Mappings and peers end with the test's process. */
FIXTURE_TEARDOWN(targets)
{
}

#define MOVE(pid, nodes) \
	numa_move_pages(pid, COUNT, self->addrs, nodes, self->status,	\
			(nodes) ? MPOL_MF_MOVE : 0)

/* All three calls on @pid say @error, and write no status. */
#define EXPECT_REFUSED(error, pid) do {					\
	int untold[COUNT], *no_nodes = NULL, _i;			\
									\
	for (_i = 0; _i < COUNT; _i++)					\
		untold[_i] = UNWRITTEN;					\
	EXPECT_EQ(error, numa_migrate_pages(pid, NODE(self->a),		\
					    NODE(self->b)));		\
	EXPECT_EQ(error, MOVE(pid, self->nodes));			\
	EXPECT_EQ(error, MOVE(pid, no_nodes));				\
	EXPECT_STREQ(placement_statuses(untold, COUNT),			\
		     placement_statuses(self->status, COUNT));		\
} while (0)

TEST_F(targets, zombie)
{
	struct counters before;
	siginfo_t info;
	pid_t pid;

	ASSERT_EQ(0, counters_read(&before));
	pid = fork();
	if (pid == 0)
		_exit(0);
	/* It has ended, and waits to be asked how. */
	ASSERT_EQ(0, waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
	EXPECT_REFUSED(-EINVAL, pid);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	EXPECT_REFUSED(-ESRCH, pid);
	EXPECT_CLEAN(counters_verify(&before, 0, 0));
}

/* kthreadd is process 2 of every machine (rest_init(), init/main.c). */
TEST_F(targets, kernel_thread)
{
	struct counters before;

	ASSERT_EQ(0, counters_read(&before));
	EXPECT_REFUSED(-EINVAL, 2);
	EXPECT_CLEAN(counters_verify(&before, 0, 0));
}

TEST_F(targets, no_process)
{
	const pid_t none[] = { -1, -2, INT_MIN, INT_MAX };
	struct counters before;
	unsigned int i;

	ASSERT_EQ(0, counters_read(&before));
	for (i = 0; i < ARRAY_SIZE(none); i++) {
		TH_LOG("process %d", none[i]);
		EXPECT_REFUSED(-ESRCH, none[i]);
	}
	EXPECT_CLEAN(counters_verify(&before, 0, 0));
}

static sem_t begun;
static pid_t thread_id;

static void *wait_for_good(void *nothing)
{
	thread_id = gettid();
	sem_post(&begun);
	for (;;)
		pause();
	return nothing;
}

/* Called in the child: the id of a second thread of it. */
static long start_thread(struct pages *p)
{
	pthread_t thread;

	(void)p;
	if (sem_init(&begun, 0, 0) ||
	    pthread_create(&thread, NULL, wait_for_good, NULL) ||
	    sem_wait(&begun))
		return -1;
	return thread_id;
}

/* Any thread's id will do: it is the memory that it runs in. */
TEST_F(targets, any_thread)
{
	struct pages *p = &self->subject.pages;
	int *no_nodes = NULL;
	long tid;

	START(pages_populate);
	tid = CALL(start_thread);
	ASSERT_LT(p->pid, tid);
	LOOK();
	EXPECT_EQ(0, numa_migrate_pages(tid, NODE(self->a), NODE(self->b)));
	pages_want_all(p, self->b);
	VERIFY(0, "by the id of a thread");
	EXPECT_EQ(0, subject_is_on(NODE(self->a)));

	EXPECT_EQ(0, MOVE(tid, no_nodes));
	EXPECT_STREQ(placement_statuses(self->nodes, COUNT),
		     placement_statuses(self->status, COUNT));
	END();
}

/* One that is stopped, as a batch system does it, is moved all the same. */
TEST_F(targets, stopped)
{
	struct pages *p = &self->subject.pages;
	int i, status;

	START(pages_populate);
	LOOK();
	ASSERT_EQ(0, kill(p->pid, SIGSTOP));
	ASSERT_EQ(p->pid, waitpid(p->pid, &status, WUNTRACED));
	ASSERT_TRUE(WIFSTOPPED(status));
	EXPECT_EQ(0, numa_migrate_pages(p->pid, NODE(self->a), NODE(self->b)));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "while it is stopped"));
	/* It was not woken by it. */
	EXPECT_EQ(0, waitpid(p->pid, &status, WCONTINUED | WNOHANG));
	ASSERT_EQ(0, kill(p->pid, SIGCONT));
	ASSERT_EQ(p->pid, waitpid(p->pid, &status, WCONTINUED));
	VERIFY(0, "when it goes on");

	LOOK();
	ASSERT_EQ(0, kill(p->pid, SIGSTOP));
	ASSERT_EQ(p->pid, waitpid(p->pid, &status, WUNTRACED));
	for (i = 0; i < COUNT; i++)
		self->nodes[i] = i % 2 ? self->a : self->b;
	EXPECT_EQ(0, MOVE(p->pid, self->nodes));
	EXPECT_STREQ(placement_statuses(self->nodes, COUNT),
		     placement_statuses(self->status, COUNT));
	for (i = 0; i < COUNT; i++)
		pages_want(p, i, 1, self->nodes[i]);
	EXPECT_CLEAN(pages_verify(p, "every other page, while stopped"));
	ASSERT_EQ(0, kill(p->pid, SIGCONT));
	VERIFY(0, "every other page, when it goes on");
	END();
}

/* For what a child is to call: its copy of all that it needs. */
static struct call {
	int from;
	int to;
	void *addrs[COUNT];
	int nodes[COUNT];
} call;

/* Called in the child: have none of the pages in common with the parent. */
static long let_go(struct pages *p)
{
	pages_want_all(p, UNTOUCHED);
	return madvise(p->addr, COUNT * PAGE_BYTES, MADV_DONTNEED);
}

static long move_parent(struct pages *p)
{
	int status[COUNT];
	long result;

	(void)p;
	result = numa_move_pages(getppid(), COUNT, call.addrs, call.nodes,
				 status, MPOL_MF_MOVE);
	return result ? : memcmp(call.nodes, status, sizeof(status));
}

static long migrate_parent(struct pages *p)
{
	(void)p;
	return numa_migrate_pages(getppid(), NODE(call.to), NODE(call.from));
}

TEST_F(targets, parent)
{
	struct pages *p = &self->subject.pages;
	struct counters before, after;
	struct holder child;

	ASSERT_EQ(0, pages_populate(p));
	call.from = self->a;
	call.to = self->b;
	memcpy(call.addrs, self->addrs, sizeof(call.addrs));
	memcpy(call.nodes, self->nodes, sizeof(call.nodes));
	ASSERT_EQ(0, holder_start(&child, p, let_go));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, counters_read(&before));
	EXPECT_EQ(0, holder_call(&child, move_parent));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "moved by the child"));
	EXPECT_CLEAN(counters_verify(&before, COUNT, 0));

	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, counters_read(&before));
	EXPECT_EQ(0, holder_call(&child, migrate_parent));
	pages_want_all(p, self->a);
	EXPECT_CLEAN(pages_verify(p, "migrated by the child"));
	/* What else it had there went too: a bound, not an exact number. */
	ASSERT_EQ(0, counters_read(&after));
	EXPECT_LE(COUNT, after.success - before.success);
	EXPECT_EQ(before.fail, after.fail);
	EXPECT_EQ(0, holder_end(&child));
}

static long leave(struct pages *p)
{
	(void)p;
	_exit(0);
}

/*
 * It exits while it is moved. A call that found its memory holds it until it is
 * done (get_task_mm()), so either all is done or nothing.
 */
TEST_F(targets, exits_meanwhile)
{
	struct counters before;
	struct holder child;
	int i, k, done = 0;
	long result;

	ASSERT_EQ(0, counters_read(&before));
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, holder_start(&child, &self->subject.pages,
					  pages_populate));
		for (k = 0; k < COUNT; k++)
			self->status[k] = UNWRITTEN;
		ASSERT_EQ(0, peer_send(&child.peer, (long)leave));
		/* It takes a while to get there: half of the calls wait. */
		for (k = 0; k < i % 8 * 20; k++)
			getppid();
		result = MOVE(child.peer.pid, self->nodes);
		if (result == 0)
			done++;
		else
			EXPECT_EQ(-EINVAL, result);
		for (k = 0; k < COUNT; k++) {
			EXPECT_EQ(result ? UNWRITTEN : self->b,
				  self->status[k]) {
				TH_LOG("round %d, page %d", i, k);
			}
		}
		EXPECT_EQ(0, holder_end(&child));
	}
	TH_LOG("found %d of %d", done, ROUNDS);
	EXPECT_LT(0, done);
	EXPECT_CLEAN(counters_verify(&before, (long)done * COUNT, 0));
}

TEST_HARNESS_MAIN
