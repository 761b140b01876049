// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages move while another thread has the kernel take references to them, use
 * them and give them back: O_DIRECT, process_vm_writev(2), vmsplice(2), a fixed
 * buffer of io_uring. Either the reference comes first, and the page stays, or
 * the migration, and the reference is to the new page (the recheck of the PTE
 * in gup_fast_pte_range(), mm/gup.c, 6.12). In neither case may data go to a
 * page that the program does not see any more.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     gup.direct_io: {kconfig: [BLK_DEV_RAM]}
 *     gup.process_vm: {kconfig: [CROSS_MEMORY_ATTACH]}
 *     gup.fixed_buffer: {kconfig: [IO_URING]}
 *   contract: {14: ["gup.*"], 15: ["gup.*"]}
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "harness.h"

#include "pattern.h"
#include "pin_count.h"
#include "race_pages.h"
#include "uring.h"

/* As many as a pipe takes. */
#define COUNT		16
#define BYTES		(COUNT * PAGE_BYTES)
#define ROUNDS		80

FIXTURE(gup)
{
	struct contest contest;
	struct pin_count pins;
};

/* Of the case. */
static int disk;
static int pipes[2];
static struct uring uring;
static char *copy;

FIXTURE_SETUP(gup)
{
	struct contest *c = &self->contest;

	if (contest_nodes(c))
		SKIP(return, "needs 2 nodes with memory");
	ASSERT_EQ(0, pages_map(&c->pages, COUNT, MAP_PRIVATE));
	copy = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, copy);
	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	ASSERT_EQ(0, pin_count_read(&self->pins));
}

/* Files, mappings and threads end with the test's process. */
FIXTURE_TEARDOWN(gup)
{
}

/* To be overwritten: a write that goes astray leaves it. */
static void spoil(struct pages *p)
{
	memset(p->addr, 0xa5, BYTES);
}

static bool is_whole(const struct pages *p, const char *at)
{
	long i;

	for (i = 0; i < COUNT; i++)
		if (pattern_check(at + i * PAGE_BYTES, p->seed, i) >= 0)
			return false;
	return true;
}

#define EXPECT_NO_PIN_LEFT() \
	EXPECT_EQ(0, pin_count_held(&self->pins))

/* Out to the disk, and back. */
static void go_by_disk(void *contest, int round)
{
	struct contest *c = contest;
	struct pages *p = &c->pages;

	(void)round;
	if (pwrite(disk, p->addr, BYTES, 0) != (ssize_t)BYTES)
		c->wrong = "the write failed";
	spoil(p);
	if (pread(disk, p->addr, BYTES, 0) != (ssize_t)BYTES)
		c->wrong = "the read failed";
	if (!is_whole(p, p->addr))
		c->wrong = "what was read is not what was written";
	c->acted++;
}

TEST_F(gup, direct_io)
{
	disk = open("/dev/ram0", O_RDWR | O_DIRECT | O_CLOEXEC);
	ASSERT_LE(0, disk);
	EXPECT_CLEAN(contest_run(&self->contest, go_by_disk, ROUNDS));
	EXPECT_NO_PIN_LEFT();
}

static void go_by_process_vm(void *contest, int round)
{
	struct contest *c = contest;
	struct pages *p = &c->pages;
	struct iovec there = { .iov_base = p->addr, .iov_len = BYTES };
	struct iovec here = { .iov_base = copy, .iov_len = BYTES };
	pid_t me = getpid();

	(void)round;
	if (process_vm_readv(me, &here, 1, &there, 1, 0) != (ssize_t)BYTES ||
	    !is_whole(p, copy))
		c->wrong = "what was read is not what is there";
	spoil(p);
	if (process_vm_writev(me, &here, 1, &there, 1, 0) != (ssize_t)BYTES ||
	    !is_whole(p, p->addr))
		c->wrong = "what was written is not there";
	c->acted++;
}

TEST_F(gup, process_vm)
{
	EXPECT_CLEAN(contest_run(&self->contest, go_by_process_vm, ROUNDS));
	EXPECT_NO_PIN_LEFT();
}

/* What a pipe has of a page is what the program wrote there last. */
static void go_by_pipe(void *contest, int round)
{
	struct contest *c = contest;
	struct pages *p = &c->pages;
	struct iovec range = { .iov_base = p->addr, .iov_len = BYTES };
	size_t done = 0;
	ssize_t got;
	long i;

	(void)round;
	if (vmsplice(pipes[1], &range, 1, 0) != (ssize_t)BYTES)
		c->wrong = "vmsplice(2) failed";
	p->seed++;
	for (i = 0; i < COUNT; i++)
		pattern_fill(pages_at(p, i), p->seed, i);
	for (; !c->wrong && done < BYTES; done += got) {
		got = read(pipes[0], copy + done, BYTES - done);
		if (got <= 0)
			c->wrong = "the pipe has less than was put into it";
	}
	if (!is_whole(p, copy))
		c->wrong = "the pipe has another page than the program";
	c->acted++;
}

TEST_F(gup, vmsplice)
{
	EXPECT_CLEAN(contest_run(&self->contest, go_by_pipe, ROUNDS));
}

static void go_by_ring(void *contest, int round)
{
	struct contest *c = contest;
	struct pages *p = &c->pages;

	(void)round;
	if (uring_register(&uring, p->addr, BYTES)) {
		c->wrong = "the buffer was not registered";
		return;
	}
	if (uring_write_fixed(&uring, pipes[1], p->addr, BYTES) ||
	    uring_wait(&uring) != (long)BYTES)
		c->wrong = "the write failed";
	spoil(p);
	if (uring_read_fixed(&uring, pipes[0], p->addr, BYTES) ||
	    uring_wait(&uring) != (long)BYTES)
		c->wrong = "the read failed";
	if (!is_whole(p, p->addr))
		c->wrong = "what was read is not what was written";
	if (uring_unregister(&uring))
		c->wrong = "the buffer was not given back";
	c->acted++;
}

TEST_F(gup, fixed_buffer)
{
	ASSERT_EQ(0, uring_open(&uring));
	EXPECT_CLEAN(contest_run(&self->contest, go_by_ring, ROUNDS));
	EXPECT_NO_PIN_LEFT();
}

TEST_HARNESS_MAIN
