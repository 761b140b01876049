// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/<pid>/migrate of patches/manual-migration: what is no request is
 * refused as a whole, and nothing has moved by then. Each is asked of pages
 * that a request which differs only in that one thing does move.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: [manual-migration]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   quick:
 *     - malformed.range
 *     - malformed.map
 */
#include "harness.h"

#include <sys/mman.h>

#include "counters.h"
#include "migrate_file_steps.h"
#include "nodes.h"
#include "pages.h"
#include "scene.h"

#define COUNT		4
/* As fs/proc/migrate.c has it. */
#define MAX_BYTES	(16 * 1024)

FIXTURE(malformed)
{
	int a;
	int b;
	int fd;
	struct pages pages;
	struct counters before;
	char start[32];		/* of the pages, as maps has it */
	char end[32];
	char map[32];		/* "a:b" */
};

FIXTURE_SETUP(malformed)
{
	FIND_TWO_NODES(self, return);
	ASSERT_CLEAN(scene_pages(&self->pages, COUNT, MAP_PRIVATE, self->a));
	ASSERT_EQ(0, counters_read(&self->before));
	OPEN(0);
	snprintf(self->start, sizeof(self->start), "%lx",
		 (unsigned long)self->pages.addr);
	snprintf(self->end, sizeof(self->end), "%lx",
		 (unsigned long)pages_at(&self->pages, COUNT));
	snprintf(self->map, sizeof(self->map), "%d:%d", self->a, self->b);
}

/* What was refused moved nothing, and the same without the fault does. */
FIXTURE_TEARDOWN(malformed)
{
	EXPECT_CLEAN(pages_verify(&self->pages, "requests that are none"));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
	EXPECT_EQ(0, migrate_file_ask_range(self->fd, &self->pages, 0, COUNT,
					    self->map));
	TOLD(COUNT, 0, 0);
	pages_want_all(&self->pages, self->b);
	EXPECT_CLEAN(pages_verify(&self->pages, "a request"));
	EXPECT_CLEAN(counters_verify(&self->before, COUNT, 0));
	EXPECT_EQ(0, close(self->fd));
}

TEST_F(malformed, parts_missing)
{
	NO_REQUEST("\n");
	NO_REQUEST(" ");
	NO_REQUEST("\n\n");
	NO_REQUEST("%s-%s", self->start, self->end);
	NO_REQUEST("%s-%s ", self->start, self->end);
	NO_REQUEST("%s", self->map);
	NO_REQUEST(" %s", self->map);
	NO_REQUEST("%s %s", self->start, self->map);
	NO_REQUEST("-%s %s", self->end, self->map);
	NO_REQUEST("%s- %s", self->start, self->map);
	NO_REQUEST("- %s", self->map);
	NO_REQUEST("%s-%s%s", self->start, self->end, self->map);
}

TEST_F(malformed, separators)
{
	const char *start = self->start, *end = self->end, *map = self->map;

	NO_REQUEST(" %s-%s %s", start, end, map);
	NO_REQUEST("%s-%s %s ", start, end, map);
	NO_REQUEST("%s-%s  %s", start, end, map);
	NO_REQUEST("%s-%s\t%s", start, end, map);
	NO_REQUEST("%s -%s %s", start, end, map);
	NO_REQUEST("%s- %s %s", start, end, map);
	NO_REQUEST("%s:%s %s", start, end, map);
	NO_REQUEST("%s--%s %s", start, end, map);
	NO_REQUEST("%s-%s-%s %s", start, end, end, map);
	NO_REQUEST("%s-%s\n%s", start, end, map);
	NO_REQUEST("%s\n-%s %s", start, end, map);
	NO_REQUEST("%s-%s\n %s", start, end, map);
	NO_REQUEST("\n%s-%s %s", start, end, map);
	NO_REQUEST("%s-%s %s\r\n", start, end, map);
	NO_REQUEST("%s-%s %s\n%s-%s %s\n", start, end, map, start, end, map);
	NO_REQUEST("%s-%s %s %s", start, end, map, map);
}

TEST_F(malformed, range)
{
	const unsigned long start = (unsigned long)self->pages.addr;
	const unsigned long end = start + COUNT * PAGE_BYTES;
	const char *map = self->map;

	/* Empty, or the wrong way round. */
	NO_REQUEST("%lx-%lx %s", start, start, map);
	NO_REQUEST("%lx-%lx %s", end, start, map);
	NO_REQUEST("%lx-0 %s", start, map);
	/* Not whole pages. */
	NO_REQUEST("%lx-%lx %s", start + 1, end, map);
	NO_REQUEST("%lx-%lx %s", start, end - 1, map);
	NO_REQUEST("%lx-%lx %s", start + 8, end + 8, map);
	NO_REQUEST("0-1 %s", map);
	/* No numbers. */
	NO_REQUEST("+%lx-%lx %s", start, end, map);
	NO_REQUEST("%lx-+%lx %s", start, end, map);
	NO_REQUEST("%lxg-%lx %s", start, end, map);
	NO_REQUEST("%lx-%lxg %s", start, end, map);
	NO_REQUEST("all %s", map);
	NO_REQUEST("0x-0x %s", map);
	/* Larger than an address: 2^64 is none, nor is it 0. */
	NO_REQUEST("0-10000000000000000 %s", map);
	NO_REQUEST("10000000000000000-10000000000001000 %s", map);
}

TEST_F(malformed, map)
{
	const char *start = self->start, *end = self->end;
	const int a = self->a, b = self->b;

	NO_REQUEST("%s-%s %d", start, end, a);
	NO_REQUEST("%s-%s :", start, end);
	NO_REQUEST("%s-%s %d:", start, end, a);
	NO_REQUEST("%s-%s :%d", start, end, b);
	NO_REQUEST("%s-%s ,", start, end);
	NO_REQUEST("%s-%s %d:%d,", start, end, a, b);
	NO_REQUEST("%s-%s ,%d:%d", start, end, a, b);
	NO_REQUEST("%s-%s %d:%d,,%d:%d", start, end, a, b, b, a);
	NO_REQUEST("%s-%s %d:%d:%d", start, end, a, b, a);
	NO_REQUEST("%s-%s %d:%d;%d:%d", start, end, a, b, b, a);
	NO_REQUEST("%s-%s %d:%d, %d:%d", start, end, a, b, b, a);
	NO_REQUEST("%s-%s %d-%d", start, end, a, b);
	/* It cannot go to two nodes, nor be said twice. */
	NO_REQUEST("%s-%s %d:%d,%d:%d", start, end, a, b, a, a);
	NO_REQUEST("%s-%s %d:%d,%d:%d", start, end, a, b, a, b);
	NO_REQUEST("%s-%s %d:%d,%d:%d", start, end, a, a, a, b);
	/* A list is one of pairs, not of nodes. */
	NO_REQUEST("%s-%s %d-%d:%d", start, end, a, a, b);
}

TEST_F(malformed, node)
{
	const char *start = self->start, *end = self->end;
	const int a = self->a, b = self->b;

	NO_REQUEST("%s-%s -1:%d", start, end, b);
	NO_REQUEST("%s-%s %d:-1", start, end, a);
	NO_REQUEST("%s-%s +%d:%d", start, end, a, b);
	NO_REQUEST("%s-%s %d:+%d", start, end, a, b);
	NO_REQUEST("%s-%s 0x%d:%d", start, end, a, b);
	NO_REQUEST("%s-%s %d:0x%d", start, end, a, b);
	NO_REQUEST("%s-%s a:b", start, end);
	NO_REQUEST("%s-%s %dx:%d", start, end, a, b);
	/* More nodes than any kernel is built for, and more than an int. */
	NO_REQUEST("%s-%s %d:1024", start, end, a);
	NO_REQUEST("%s-%s 1024:%d", start, end, b);
	NO_REQUEST("%s-%s %d:2147483647", start, end, a);
	NO_REQUEST("%s-%s %d:4294967296", start, end, a);
	NO_REQUEST("%s-%s %d:18446744073709551616", start, end, a);
}

/* A number that a kernel of many nodes knows, but this machine cannot have. */
TEST_F(malformed, impossible_node)
{
	const int none = nodes_nth(~nodes_possible(), 0);

	ASSERT_LE(0, none);
	NO_REQUEST("%s-%s %d:%d", self->start, self->end, self->a, none);
	NO_REQUEST("%s-%s %d:%d", self->start, self->end, none, self->b);
}

/* The good half of a request is not carried out either. */
TEST_F(malformed, last_pair_alone)
{
	NO_REQUEST("%s-%s %d:%d,%d:x", self->start, self->end, self->a,
		   self->b, self->b);
	NO_REQUEST("%s-%s %d:%d,%d:1024", self->start, self->end, self->a,
		   self->b, self->b);
}

TEST_F(malformed, nothing)
{
	EXPECT_EQ(-EINVAL, migrate_file_ask(self->fd, ""));
	TOLD_NOTHING();
}

/* What lies behind a NUL would be a secret. */
TEST_F(malformed, nul)
{
	char request[128];
	int length;

	length = snprintf(request, sizeof(request), "%s-%s %s", self->start,
			  self->end, self->map);
	EXPECT_EQ(-1, write(self->fd, request, length + 1));
	EXPECT_EQ(EINVAL, errno);
	request[length + 1] = '\n';
	EXPECT_EQ(-1, write(self->fd, request, length + 2));
	EXPECT_EQ(EINVAL, errno);
	request[0] = '\0';
	EXPECT_EQ(-1, write(self->fd, request, length));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(malformed, too_long)
{
	static char request[MAX_BYTES + 1];
	int length;

	length = snprintf(request, sizeof(request), "%s-%s %s,", self->start,
			  self->end, self->map);
	memset(request + length, ',', sizeof(request) - length);
	EXPECT_EQ(-1, write(self->fd, request, sizeof(request)));
	EXPECT_EQ(E2BIG, errno);
	/* A byte less is read, and is none. */
	EXPECT_EQ(-1, write(self->fd, request, sizeof(request) - 1));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(malformed, not_mine_to_read)
{
	char *hidden = mmap(NULL, PAGE_BYTES, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, (void *)hidden);
	EXPECT_EQ(-1, write(self->fd, hidden, 16));
	EXPECT_EQ(EFAULT, errno);
	ASSERT_EQ(0, munmap(hidden, PAGE_BYTES));
	EXPECT_EQ(-1, write(self->fd, hidden, 16));
	EXPECT_EQ(EFAULT, errno);
}

TEST_HARNESS_MAIN
