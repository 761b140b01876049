// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages of a file move while the file loses them: by a hole, by being cut off
 * and made long again, by a range of zeroes on a block device. Truncation
 * waits for the lock of a page that is being moved and takes the new one out
 * of the page cache (truncate_inode_pages_range() in mm/truncate.c, 6.12): no
 * old content may come back, neither from the old frame nor from the new one.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, TMPFS]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     truncate.block_device: {kconfig: [BLK_DEV_RAM]}
 *   contract: {14: ["truncate.*"], 12: ["truncate.*"]}
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "harness.h"

#include "race_pages.h"
#include "rival.h"

#define COUNT		32
#define ROUNDS		50

FIXTURE(truncate)
{
	struct contest contest;
};

/* Of the case: the file under the mapping. */
static int fd;

FIXTURE_SETUP(truncate)
{
	if (contest_nodes(&self->contest))
		SKIP(return, "needs 2 nodes with memory");
	self->contest.replaces = true;
}

/* Files, mappings and threads end with the test's process. */
FIXTURE_TEARDOWN(truncate)
{
}

static int map_file(struct pages *p)
{
	void *addr = mmap(NULL, COUNT * PAGE_BYTES, PROT_READ | PROT_WRITE,
			  MAP_SHARED, fd, 0);

	return addr == MAP_FAILED ? -1 : pages_over(p, addr, COUNT);
}

static int map_memfd(struct pages *p)
{
	fd = memfd_create("truncate", MFD_CLOEXEC);
	return fd < 0 || ftruncate(fd, COUNT * PAGE_BYTES) ? -1 : map_file(p);
}

static void take(struct contest *c, int mode, long first, long step)
{
	long i;

	for (i = first; i < COUNT; i += step) {
		if (fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, i * PAGE_BYTES,
			      PAGE_BYTES))
			c->wrong = "fallocate(2) failed";
		rival_renew(c, i);
	}
}

static void punch(void *contest, int round)
{
	take(contest, FALLOC_FL_PUNCH_HOLE, round % 2, 2);
}

TEST_F(truncate, hole)
{
	ASSERT_EQ(0, map_memfd(&self->contest.pages));
	EXPECT_CLEAN(contest_run(&self->contest, punch, ROUNDS));
}

static void zero_range(void *contest, int round)
{
	/* Each is a write to the disk, so fewer of them. */
	take(contest, FALLOC_FL_ZERO_RANGE, round % 8, 8);
}

TEST_F(truncate, block_device)
{
	fd = open("/dev/ram0", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, map_file(&self->contest.pages));
	EXPECT_CLEAN(contest_run(&self->contest, zero_range, ROUNDS));
}

/* The pages past the new end are gone, and long again the file has none. */
static void cut(void *contest, int round)
{
	struct contest *c = contest;
	long i, keep = round % COUNT;

	if (ftruncate(fd, keep * PAGE_BYTES) ||
	    ftruncate(fd, COUNT * PAGE_BYTES))
		c->wrong = "ftruncate(2) failed";
	for (i = keep; i < COUNT; i++)
		rival_renew(c, i);
}

TEST_F(truncate, size)
{
	ASSERT_EQ(0, map_memfd(&self->contest.pages));
	EXPECT_CLEAN(contest_run(&self->contest, cut, ROUNDS));
}

TEST_HARNESS_MAIN
