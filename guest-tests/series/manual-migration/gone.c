// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/<pid>/migrate of patches/manual-migration of a process that ends or
 * executes another program, before a request or in the midst of it: ESRCH. An
 * open file stands for the memory that the process had when it was opened, and
 * gives nobody a right to what it has since. Its memory is not kept: it is
 * pinned for 64 MB of addresses at a time.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: [manual-migration]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   quick:
 *     - gone.exited
 *     - gone.executed
 */
#include "harness.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "chores.h"
#include "counters.h"
#include "holder.h"
#include "migrate_file_steps.h"
#include "nodes.h"
#include "proc.h"
#include "race_pages.h"
#include "scene.h"
#include "victim.h"

#define COUNT		64
#define ROUNDS		30
/* So many windows of 64 MB, with a page in each. */
#define WINDOW		(64UL << 20)
#define WINDOWS		48

FIXTURE(gone)
{
	int a;
	int b;
	int fd;
	struct pages pages;
	struct holder holder;
};

/* A child with pages of its own on node a, and its file. */
FIXTURE_SETUP(gone)
{
	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, pages_map(&self->pages, COUNT, MAP_PRIVATE));
	pages_want_all(&self->pages, self->a);
	ASSERT_EQ(0, holder_start(&self->holder, &self->pages,
				  chore_populate_anew));
	OPEN(self->holder.peer.pid);
}

FIXTURE_TEARDOWN(gone)
{
	EXPECT_EQ(0, close(self->fd));
}

#define ASK(result) \
	EXPECT_EQ(result, migrate_file_ask_range(self->fd, &self->pages, 0,\
						 COUNT, A_TO_B))

/* It is refused as a whole: nothing was begun, and nothing is told. */
#define GONE() do {							\
	struct counters _before;					\
									\
	ASSERT_EQ(0, counters_read(&_before));				\
	ASK(-ESRCH);							\
	EXPECT_EQ(-ESRCH, migrate_file_ask_all(self->fd, A_TO_B));	\
	TOLD_NOTHING();							\
	EXPECT_CLEAN(counters_verify(&_before, 0, 0));			\
} while (0)

TEST_F(gone, exited)
{
	ASK(0);
	TOLD(COUNT, 0, 0);
	EXPECT_EQ(0, holder_end(&self->holder));
	GONE();
	EXPECT_EQ(-ENOENT, migrate_file_open(self->holder.peer.pid));
}

/* It is there, and has no memory any more. */
TEST_F(gone, zombie)
{
	const pid_t pid = self->holder.peer.pid;
	siginfo_t info;

	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(0, waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
	GONE();
	EXPECT_EQ(-ESRCH, migrate_file_open(pid));
	EXPECT_EQ(128 + SIGKILL, holder_end(&self->holder));
}

/* What is left is read still. */
TEST_F(gone, told_after_the_end)
{
	ASK(0);
	EXPECT_EQ(0, holder_end(&self->holder));
	TOLD(COUNT, 0, 0);
}

/* The node that the program is to run on, and so to have its memory. */
static int home;

/* A program that waits for its input to end. */
static long become_cat(struct pages *p)
{
	(void)p;
	if (nodes_run_on(home))
		_exit(98);
	execl("/bin/busybox", "cat", (char *)NULL);
	_exit(99);
}

/* The same process, another memory: that takes another file. */
TEST_F(gone, executed)
{
	const pid_t pid = self->holder.peer.pid;
	struct migrate_told told;
	int to_cat[2], fd;

	EXPECT_EQ(0, holder_end(&self->holder));
	EXPECT_EQ(0, close(self->fd));
	/* The next one has a standard input that this test holds. */
	ASSERT_EQ(0, pipe2(to_cat, O_CLOEXEC));
	ASSERT_EQ(0, dup2(to_cat[0], 0));
	ASSERT_EQ(0, holder_start(&self->holder, &self->pages,
				  chore_populate_anew));
	ASSERT_NE(pid, self->holder.peer.pid);
	OPEN(self->holder.peer.pid);
	home = self->a;
	EXPECT_EQ(-1, holder_call(&self->holder, become_cat));
	GONE();

	fd = migrate_file_open(self->holder.peer.pid);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, migrate_file_ask_all(fd, EXCHANGED));
	ASSERT_EQ(0, migrate_file_read(fd, &told));
	EXPECT_LT(0, told.moved);
	EXPECT_EQ(0, close(fd));
	EXPECT_EQ(0, close(to_cat[1]));
	EXPECT_EQ(0, holder_end(&self->holder));
}

/* Nobody's memory. */
TEST_F(gone, kernel_thread)
{
	EXPECT_EQ(-ESRCH, migrate_file_open(2));
	EXPECT_EQ(0, holder_end(&self->holder));
}

/*
 * The file of the round's child, and how often that was gone before, or in the
 * midst of a request.
 */
static int victim_fd;
static long late, cut;

/* A page in each of many windows, besides the pages of the case. */
static long populate_far_and_wide(struct pages *p)
{
	const size_t bytes = WINDOWS * WINDOW;
	char *space = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t i;

	if (space == MAP_FAILED || madvise(space, bytes, MADV_NOHUGEPAGE) ||
	    numa_mbind(space, bytes, MPOL_BIND, NODE(p->want[0]), 0))
		return -1;
	for (i = 0; i < bytes; i += WINDOW)
		space[i] = 1;
	return chore_populate_anew(p);
}

static void move(void *contest, int round)
{
	struct migrate_told told = { 0 };
	struct contest *c = contest;
	const char *text;

	(void)round;
	c->result = migrate_file_ask_all(victim_fd,
					 migrate_map_one(c->node[0],
							 c->node[1]));
	text = migrate_file_told(victim_fd);
	sscanf(text, "moved: %ld", &told.moved);
	if (c->result && c->result != -ESRCH)
		c->wrong = strerrorname_np(-c->result);
	if (!c->result && told.moved < COUNT + WINDOWS)
		c->wrong = "less moved than there was";
	if (!c->result)
		c->moved++;
	else if (*text)
		cut++;
	else
		late++;
}

/* A new child for the next round; its pages are on the first node. */
static const char *begin_round(void *contest, int round)
{
	struct contest *c = contest;

	if (c->wrong)
		return c->wrong;
	if (round >= 0) {
		if (migrate_file_ask_all(victim_fd,
					 migrate_map_one(c->node[0],
							 c->node[1])) !=
		    -ESRCH)
			return "a process that is gone was moved";
		close(victim_fd);
	}
	if (victim_start(&c->pages, populate_far_and_wide))
		return "cannot start the next child";
	victim_fd = migrate_file_open(victim_pid());
	return victim_fd < 0 ? "cannot open the next child's file" : "";
}

FIXTURE(gone_midway)
{
	struct contest contest;
	struct race race;
};

FIXTURE_SETUP(gone_midway)
{
	struct contest *c = &self->contest;

	if (contest_nodes(c))
		SKIP(return, "needs 2 nodes with memory");
	self->race.mover = move;
	self->race.judge = begin_round;
	self->race.arg = c;
	self->race.rounds = ROUNDS;
	ASSERT_EQ(0, pages_map(&c->pages, COUNT, MAP_PRIVATE));
	ASSERT_EQ(0, contest_begin(c));
	ASSERT_CLEAN(begin_round(c, -1));
}

/* Mappings, threads and peers end with the test's process. */
FIXTURE_TEARDOWN(gone_midway)
{
}

#define RUN() do {							\
	struct contest *c = &self->contest;				\
									\
	ASSERT_CLEAN(race_run(&self->race));				\
	EXPECT_EQ(self->race.done, c->acted);				\
	TH_LOG("of %d: %ld whole, %ld cut short, %ld too late",		\
	       self->race.done, c->moved, cut, late);			\
	EXPECT_LT(0, cut);						\
	EXPECT_CLEAN(race_settled(&c->before));				\
	EXPECT_CLEAN(victim_end(c));					\
} while (0)

TEST_F(gone_midway, killed)
{
	self->race.rival = victim_killed;
	RUN();
}

TEST_F(gone_midway, executed)
{
	self->race.rival = victim_executes;
	RUN();
}

TEST_HARNESS_MAIN
