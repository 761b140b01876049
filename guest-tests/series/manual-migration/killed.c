// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/<pid>/migrate of patches/manual-migration: who asks is killed in the
 * midst of a request. It ends early, nothing stays isolated, and what has moved
 * is told to whoever has the same open file. Other signals do not end it: a
 * system call that is begun anew would take back half of an exchange.
 *
 * The process that is moved has a page in each of many windows of 64 MB and
 * stands still, so that what is told can be compared with where they are.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: [manual-migration]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 */
#include "harness.h"

#include <signal.h>
#include <sys/mman.h>

#include "counters.h"
#include "deadline.h"
#include "holder.h"
#include "metric.h"
#include "migrate_file_steps.h"
#include "race.h"
#include "scene.h"

#define WINDOW		(64UL << 20)
#define WINDOWS		1024
#define COUNT		4
#define ROUNDS		16
#define DEADLINE_US	10e6

FIXTURE(killed)
{
	int a;
	int b;
	int fd;
	struct pages pages;	/* only for the holder to have some */
	struct holder holder;
	struct counters before;
};

/* For the holder, which is forked. */
static char *space;

static long populate(struct pages *p)
{
	size_t i;

	if (numa_mbind(space, WINDOWS * WINDOW, MPOL_BIND, NODE(p->want[0]), 0))
		return -1;
	for (i = 0; i < WINDOWS; i++)
		space[i * WINDOW] = i % 100 + 1;
	return pages_populate(p);
}

/* How many of the pages have lost what was written to them. */
static long count_wrong(struct pages *p)
{
	long i, wrong = 0;

	(void)p;
	for (i = 0; i < WINDOWS; i++)
		wrong += space[i * WINDOW] != i % 100 + 1;
	return wrong;
}

FIXTURE_SETUP(killed)
{
	FIND_TWO_NODES(self, return);
	space = mmap(NULL, WINDOWS * WINDOW, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)space);
	ASSERT_EQ(0, madvise(space, WINDOWS * WINDOW, MADV_NOHUGEPAGE));
	ASSERT_EQ(0, pages_map(&self->pages, COUNT, MAP_PRIVATE));
	pages_want_all(&self->pages, self->a);
	ASSERT_EQ(0, holder_start(&self->holder, &self->pages, populate));
	ASSERT_EQ(0, holder_call(&self->holder, count_wrong));
	OPEN(self->holder.peer.pid);
	ASSERT_EQ(0, counters_read(&self->before));
}

FIXTURE_TEARDOWN(killed)
{
	EXPECT_EQ(0, close(self->fd));
}

/* How many of the pages in the windows are on @node; -1 if one is nowhere. */
static long count_on(pid_t pid, int node)
{
	void *addrs[WINDOWS];
	int status[WINDOWS];
	long i, count = 0;

	for (i = 0; i < WINDOWS; i++)
		addrs[i] = space + i * WINDOW;
	if (numa_move_pages(pid, WINDOWS, addrs, NULL, status, 0))
		return -1;
	for (i = 0; i < WINDOWS; i++) {
		if (status[i] < 0)
			return -1;
		count += status[i] == node;
	}
	return count;
}

/* Those of the range alone, of which nobody else has any. */
static long ask(int fd, int from, int to)
{
	return migrate_file_ask_span(fd, space, space + WINDOWS * WINDOW,
				     migrate_map_one(from, to));
}

static void ignore(int signal)
{
	(void)signal;
}

/* Ask when told to, and say what came of it. */
static _Noreturn void be_caller(struct peer *parent, int fd, int from, int to)
{
	const struct sigaction action = { .sa_handler = ignore };
	long go;

	sigaction(SIGUSR1, &action, NULL);
	/* Not where the parent waits for its moment. */
	race_stay_on(race_last_cpu());
	peer_send(parent, 0);
	if (!peer_receive(parent, &go))
		peer_send(parent, ask(fd, from, to));
	_exit(0);
}

/* Wait until the page in window @index is on @node. 0 or -1. */
static int wait_for(pid_t pid, long index, int node)
{
	double deadline = deadline_after_us(DEADLINE_US);
	void *addr = space + index * WINDOW;
	int status;

	while (metric_now_us() < deadline)
		if (numa_move_pages(pid, 1, &addr, NULL, &status, 0) == 0 &&
		    status == node)
			return 0;
	return -1;
}

/* What another process is to ask, and by when it is to get a signal. */
struct errand {
	int fd;
	pid_t pid;	/* of the process that is moved */
	int from;
	int to;
	long window;	/* as soon as the page in this one has moved */
	int signal;
};

/*
 * What it ended with, and in @result what it was answered; -EINTR if it did
 * not live to say so.
 */
static int run_errand(const struct errand *e, long *result)
{
	struct peer peer;
	long ready;

	if (peer_fork(&peer) == 0)
		be_caller(&peer, e->fd, e->from, e->to);
	if (peer_receive(&peer, &ready) || peer_send(&peer, 0) ||
	    wait_for(e->pid, e->window, e->to))
		return -1;
	kill(peer.pid, e->signal);
	if (peer_receive(&peer, result))
		*result = -EINTR;
	return peer_end(&peer);
}

TEST_F(killed, in_the_midst)
{
	struct errand e = {
		.fd = self->fd,
		.pid = self->holder.peer.pid,
		.from = self->a,
		.to = self->b,
		.signal = SIGKILL,
	};
	struct migrate_told told;
	int round, cut = 0;
	long result;

	ASSERT_EQ(0, race_stay_on(race_first_cpu()));
	for (round = 0; round < ROUNDS; round++) {
		e.window = round * (WINDOWS / 4 / ROUNDS);
		EXPECT_LE(0, run_errand(&e, &result));
		/* Some had moved by then, so there is something to tell. */
		ASSERT_EQ(0, migrate_file_read(self->fd, &told));
		EXPECT_LT(e.window, told.moved);
		EXPECT_EQ(0, told.failed + told.shared);
		EXPECT_EQ(told.moved, count_on(e.pid, self->b));
		cut += told.moved < WINDOWS;
		ASSERT_EQ(0, ask(self->fd, self->b, self->a));
		TOLD(told.moved, 0, 0);
	}
	TH_LOG("%d of %d were cut short", cut, ROUNDS);
	EXPECT_LT(0, cut);
	EXPECT_CLEAN(race_settled(&self->before));
	EXPECT_EQ(WINDOWS, count_on(e.pid, self->a));
	EXPECT_EQ(0, holder_call(&self->holder, count_wrong));
	EXPECT_EQ(0, holder_end(&self->holder));
}

/* A handler runs when all has been done. */
TEST_F(killed, other_signals)
{
	struct errand e = {
		.fd = self->fd,
		.pid = self->holder.peer.pid,
		.signal = SIGUSR1,
	};
	long result;
	int round;

	ASSERT_EQ(0, race_stay_on(race_first_cpu()));
	for (round = 0; round < ROUNDS; round++) {
		e.from = round % 2 ? self->b : self->a;
		e.to = round % 2 ? self->a : self->b;
		e.window = round * (WINDOWS / 4 / ROUNDS);
		EXPECT_EQ(0, run_errand(&e, &result));
		EXPECT_EQ(0, result);
		TOLD(WINDOWS, 0, 0);
		EXPECT_EQ(WINDOWS, count_on(e.pid, e.to));
	}
	EXPECT_CLEAN(race_settled(&self->before));
	EXPECT_EQ(0, holder_call(&self->holder, count_wrong));
	EXPECT_EQ(0, holder_end(&self->holder));
}

TEST_HARNESS_MAIN
