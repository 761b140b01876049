// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/<pid>/migrate of patches/manual-migration exchanges the pages of a
 * process while that unmaps, discards, remaps or forks: it is not stopped.
 * Whatever the moment, each page is on either node with its content, nothing
 * stays isolated, and no reference is kept: a last move takes them all.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, ADVISE_SYSCALLS]
 *   features: [manual-migration]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   quick:
 *     - midst.munmap
 */
#include <sys/mman.h>
#include <sys/wait.h>

#include "harness.h"

#include "migrate_file.h"
#include "pattern.h"
#include "race_pages.h"
#include "rival.h"

#define COUNT		32
#define ROUNDS		60

FIXTURE(midst)
{
	struct contest contest;
};

/* The file of the process, and the last that it told. */
static int fd;
static struct migrate_told told;

FIXTURE_SETUP(midst)
{
	if (contest_nodes(&self->contest))
		SKIP(return, "needs 2 nodes with memory");
	self->contest.sharing = MAP_PRIVATE;
	ASSERT_EQ(0, pages_map(&self->contest.pages, COUNT, MAP_PRIVATE));
	fd = migrate_file_open(0);
	ASSERT_LE(0, fd);
}

/* Mappings and threads end with the test's process. */
FIXTURE_TEARDOWN(midst)
{
	EXPECT_EQ(0, close(fd));
}

/* What is on either node goes to the other; more than there is cannot. */
static void exchange(void *contest, int round)
{
	struct contest *c = contest;
	long result;

	(void)round;
	result = migrate_file_ask_range(fd, &c->pages, 0, COUNT,
					migrate_map_two(c->node[0], c->node[1],
							c->node[1],
							c->node[0]));
	if (!result && migrate_file_read(fd, &told))
		result = -EBADMSG;
	if (!result && told.moved + told.failed > COUNT)
		result = -ERANGE;
	c->result = result;
}

/* To and fro, by a map of one pair. */
static void send(void *contest, int round)
{
	struct contest *c = contest;

	c->result = migrate_file_ask_range(fd, &c->pages, 0, COUNT,
					   migrate_map_one(c->node[round % 2],
							   c->node[!(round % 2)]
							   ));
}

static const char *run(struct contest *c, race_fn mover, race_fn rival)
{
	struct race race = {
		.mover = mover,
		.rival = rival,
		.rounds = ROUNDS,
	};

	return contest_run_race(c, &race);
}

TEST_F(midst, munmap)
{
	self->contest.replaces = true;
	EXPECT_CLEAN(run(&self->contest, exchange, rival_unmap));
}

TEST_F(midst, dontneed)
{
	self->contest.replaces = true;
	EXPECT_CLEAN(run(&self->contest, exchange, rival_discard));
}

TEST_F(midst, mremap)
{
	EXPECT_CLEAN(run(&self->contest, exchange, rival_remap));
}

/* Other content, page by page: a write to a page that moves is not lost. */
static void rewrite(void *contest, int round)
{
	struct contest *c = contest;
	struct pages *p = &c->pages;
	long i;

	(void)round;
	p->seed++;
	for (i = 0; i < p->count; i++) {
		pattern_fill(pages_at(p, i), p->seed, i);
		if (pattern_check(pages_at(p, i), p->seed, i) >= 0)
			c->wrong = "what was written is not there";
	}
	c->acted++;
}

TEST_F(midst, write)
{
	EXPECT_CLEAN(run(&self->contest, exchange, rewrite));
}

/* A child that has them in common, looks, and makes them its own. */
static void fork_here(void *contest, int round)
{
	struct contest *c = contest;
	struct pages *p = &c->pages;
	int status;
	pid_t pid;
	long i;

	(void)round;
	pid = fork();
	if (pid == 0) {
		for (i = 0; i < p->count; i++)
			if (pattern_check(pages_at(p, i), p->seed, i) >= 0)
				_exit(1);
		for (i = 0; i < p->count; i++)
			pattern_fill(pages_at(p, i), p->seed + 1, i);
		for (i = 0; i < p->count; i++)
			if (pattern_check(pages_at(p, i), p->seed + 1, i) >= 0)
				_exit(1);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		c->wrong = "the child finds other content than at the fork";
	c->acted++;
}

TEST_F(midst, fork)
{
	EXPECT_CLEAN(run(&self->contest, exchange, fork_here));
}

/* Two files of one process, at once: a page moves, or is taken already. */
static int other_fd;

static void send_too(void *contest, int round)
{
	struct contest *c = contest;

	if (migrate_file_ask_range(other_fd, &c->pages, 0, COUNT,
				   migrate_map_one(c->node[round % 2],
						   c->node[!(round % 2)])))
		c->wrong = "the other request failed";
	c->acted++;
}

TEST_F(midst, by_two)
{
	other_fd = migrate_file_open(0);
	ASSERT_LE(0, other_fd);
	EXPECT_CLEAN(run(&self->contest, send, send_too));
	EXPECT_EQ(0, close(other_fd));
}

/* One file, two writers: one at a time, and both are carried out. */
TEST_F(midst, by_two_with_one_file)
{
	other_fd = fd;
	EXPECT_CLEAN(run(&self->contest, send, send_too));
}

TEST_HARNESS_MAIN
