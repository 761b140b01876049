// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that a system call works on at this moment: the source of an O_DIRECT
 * write, the target of an O_DIRECT read, the source of a vmsplice(2), the far
 * side of a process_vm_readv(2). Each is stopped half-way, with references to
 * the pages (lib/pin_held.h), and the pages are sent to another node by every
 * way there is. They stay, each way says so, and the data is what it would
 * have been without: what the program writes in the meantime is what goes out,
 * what comes in is seen at the program's address.
 *
 * A page with a reference too many is tried again and then left (-EAGAIN of
 * folio_migrate_mapping(), mm/migrate.c, 6.12): move_pages(2) returns how many
 * and writes them no status, mbind(2) with STRICT fails with EIO,
 * migrate_pages(2) returns how many.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, USERFAULTFD]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     in_flight.direct_read.stays: {kconfig: [BLK_DEV_RAM]}
 *     in_flight.direct_write.stays: {kconfig: [BLK_DEV_RAM]}
 *     in_flight.process_vm.stays: {kconfig: [CROSS_MEMORY_ATTACH]}
 *   quick:
 *     - in_flight.direct_read.stays
 *   contract: {15: ["in_flight.*"], 6: ["in_flight.*"], 3: ["in_flight.*"]}
 *   covers:
 *     - {cases: "in_flight.vmsplice.stays", interface: [move_pages-set,
 *        mbind-move-strict, migrate_pages-self], backing: [vmspliced],
 *        condition: [quiet]}
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "harness.h"

#include "counters.h"
#include "kernel.h"
#include "pages.h"
#include "pattern.h"
#include "pin_count.h"
#include "pin_held.h"
#include "placement.h"
#include "scene.h"

#define COUNT		8
#define PINNED		4	/* pages 0 to 3; page 4 is the missing one */
#define IO_PAGES	(PINNED + 1)
#define BYTES		(IO_PAGES * PAGE_BYTES)
#define UNWRITTEN	-12345
/* What rep_movs_alternative() has read when its first store faults. */
#define IN_REGISTERS	64

FIXTURE(in_flight)
{
	int a;
	int b;
	struct pages pages;
	struct counters before;
	struct pin_count pins;
	struct pin_held held;
	char *content;		/* IO_PAGES pages of what comes later */
};

/* What the call works on: begun in one thread, looked at in the other. */
static struct io {
	int fd;
	int pipe[2];
	char *addr;
	char *sink;
} io;

static long direct_read(void *unused)
{
	(void)unused;
	return kernel_result(pread(io.fd, io.addr, BYTES, 0));
}

static long direct_write(void *unused)
{
	(void)unused;
	return kernel_result(pwrite(io.fd, io.addr, BYTES, 0));
}

static long splice_in(void *unused)
{
	struct iovec range = { .iov_base = io.addr, .iov_len = BYTES };

	(void)unused;
	return kernel_result(vmsplice(io.pipe[1], &range, 1, 0));
}

static long read_other(void *unused)
{
	struct iovec there = { .iov_base = io.addr,
			       .iov_len = PINNED * PAGE_BYTES };
	struct iovec here = { .iov_base = io.sink,
			      .iov_len = PINNED * PAGE_BYTES };

	(void)unused;
	return kernel_result(process_vm_readv(getpid(), &here, 1, &there, 1,
					      0));
}

FIXTURE_VARIANT(in_flight)
{
	pin_held_fn call;
	int pages;		/* of which it tells afterwards */
	bool pins;		/* by FOLL_PIN, otherwise by FOLL_GET */
	bool incoming;
};

FIXTURE_VARIANT_ADD(in_flight, direct_read)
{
	.call = direct_read, .pages = IO_PAGES, .pins = true, .incoming = true,
};

FIXTURE_VARIANT_ADD(in_flight, direct_write)
{
	.call = direct_write, .pages = IO_PAGES, .pins = true,
};

FIXTURE_VARIANT_ADD(in_flight, vmsplice)
{
	.call = splice_in, .pages = IO_PAGES,
};

FIXTURE_VARIANT_ADD(in_flight, process_vm)
{
	.call = read_other, .pages = PINNED, .pins = true,
};

static void *map(size_t bytes)
{
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* All but page 4 on node a; the next content ready, on the disk too. */
FIXTURE_SETUP(in_flight)
{
	struct pages *p = &self->pages;
	int i;

	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, pages_map(p, COUNT, MAP_PRIVATE));
	pages_want_all(p, self->a);
	/* Of a page that was never there queries told EFAULT before 6.12. */
	pages_want(p, PINNED, 1, kernel_before(6, 12) ? UNMAPPED : UNTOUCHED);
	ASSERT_EQ(0, pages_populate(p));
	self->content = map(BYTES);
	io.sink = map(PINNED * PAGE_BYTES);
	ASSERT_NE(MAP_FAILED, self->content);
	ASSERT_NE(MAP_FAILED, io.sink);
	for (i = 0; i < IO_PAGES; i++)
		pattern_fill(self->content + i * PAGE_BYTES, p->seed + 1, i);
	io.addr = p->addr;
	ASSERT_EQ(0, pipe2(io.pipe, O_CLOEXEC));
	if (variant->call == direct_read || variant->call == direct_write) {
		io.fd = open("/dev/ram0", O_RDWR | O_DIRECT | O_CLOEXEC);
		ASSERT_LE(0, io.fd);
		if (variant->incoming)
			ASSERT_EQ(BYTES, pwrite(io.fd, self->content, BYTES,
						0));
	}
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, pin_count_read(&self->pins));
	ASSERT_EQ(0, counters_read(&self->before));
}

/* Mappings, files and threads end with the test's process. */
FIXTURE_TEARDOWN(in_flight)
{
}

/* @count pages from page 0 on, to node @to; every status as it was left. */
static long move_first(struct pages *p, long count, int to, int *status)
{
	void *addrs[COUNT];
	int nodes[COUNT];
	long i;

	for (i = 0; i < count; i++) {
		addrs[i] = pages_at(p, i);
		nodes[i] = to;
		status[i] = UNWRITTEN;
	}
	return numa_move_pages(0, count, addrs, nodes, status, MPOL_MF_MOVE);
}

/* Read what went out, from where it went to. */
static bool has_gone_out(pin_held_fn call, const char *content)
{
	size_t bytes = BYTES, done = 0;
	char *seen = map(bytes);
	ssize_t got = 0;

	if (call == read_other)
		return !memcmp(io.sink + IN_REGISTERS, content + IN_REGISTERS,
			       PINNED * PAGE_BYTES - IN_REGISTERS);
	if (call == direct_write)
		return pread(io.fd, seen, bytes, 0) == (ssize_t)bytes &&
		       !memcmp(seen, content, bytes);
	for (; done < bytes; done += got) {
		got = read(io.pipe[0], seen + done, bytes - done);
		if (got <= 0)
			return false;
	}
	return !memcmp(seen, content, bytes);
}

/* Each way leaves the four, and each tells of them. */
#define TRY_ALL_WAYS(p) do {						\
	int i, status[COUNT];						\
									\
	EXPECT_EQ(PINNED, move_first(p, PINNED, self->b, status));	\
	for (i = 0; i < PINNED; i++)					\
		EXPECT_TRUE(status[i] == UNWRITTEN ||			\
			    status[i] == -EBUSY);			\
	EXPECT_CLEAN(pages_verify(p, "in flight, after move_pages"));	\
	EXPECT_CLEAN(counters_verify(&self->before, 0, PINNED));	\
	EXPECT_EQ(-EIO, numa_mbind((p)->addr, PINNED * PAGE_BYTES,	\
				   MPOL_BIND, NODE(self->b),		\
				   MPOL_MF_MOVE | MPOL_MF_STRICT));	\
	EXPECT_CLEAN(pages_verify(p, "in flight, after mbind"));	\
	EXPECT_CLEAN(counters_verify(&self->before, 0, 2 * PINNED));	\
	/* The whole process: all but the four. */			\
	EXPECT_EQ(PINNED, numa_migrate_pages(0, NODE(self->a),		\
					     NODE(self->b)));		\
	pages_want(p, IO_PAGES, COUNT - IO_PAGES, self->b);		\
	EXPECT_CLEAN(pages_verify(p, "in flight, after migrate_pages")); \
} while (0)

/* With the call over they move, and nothing of it is left. */
#define MOVES_AFTERWARDS(p) do {					\
	int status[COUNT];						\
									\
	EXPECT_EQ(0, pin_count_held(&self->pins));			\
	ASSERT_EQ(0, placement_query(0, pages_at(p, PINNED), 1,		\
				     status));				\
	pages_want(p, PINNED, 1, status[0]);				\
	ASSERT_CLEAN(pages_snapshot(p));				\
	ASSERT_EQ(0, counters_read(&self->before));			\
	EXPECT_EQ(0, move_first(p, PINNED, self->b, status));		\
	pages_want(p, 0, PINNED, self->b);				\
	EXPECT_CLEAN(pages_verify(p, "with the call over"));		\
	EXPECT_CLEAN(counters_verify(&self->before, PINNED, 0));	\
} while (0)

TEST_F(in_flight, stays)
{
	/* O_DIRECT took FOLL_GET until bio_iov_iter_get_pages() had pins, 6.5 */
	const bool pins = variant->pins && (variant->call == read_other ||
					    !kernel_before(6, 5));
	void *missing = variant->call == read_other ?
			io.sink : io.addr + PINNED * PAGE_BYTES;
	struct pages *p = &self->pages;
	int status[COUNT], i;

	ASSERT_EQ(0, pin_held_begin(&self->held, variant->call, NULL, missing));
	EXPECT_EQ(pins ? PINNED : 0, pin_count_held(&self->pins));
	TRY_ALL_WAYS(p);

	/* What is written now goes out; what comes in is not there yet. */
	p->seed++;
	for (i = 0; i < COUNT; i++)
		if (i >= IO_PAGES || (i < PINNED && !variant->incoming))
			pattern_fill(pages_at(p, i), p->seed, i);
	EXPECT_EQ(variant->pages * PAGE_BYTES,
		  pin_held_finish(&self->held, variant->call == read_other ?
				  self->content :
				  self->content + PINNED * PAGE_BYTES));
	EXPECT_EQ(0, pages_bad(p));
	/* A pipe holds them until it is read. */
	if (variant->call == splice_in)
		EXPECT_EQ(PINNED, move_first(p, PINNED, self->b, status));
	if (!variant->incoming)
		EXPECT_TRUE(has_gone_out(variant->call, self->content));
	MOVES_AFTERWARDS(p);
}

TEST_HARNESS_MAIN
