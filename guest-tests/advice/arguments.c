// SPDX-License-Identifier: GPL-2.0-only
/*
 * What process_madvise(2) does with arguments that will not do, and with lists
 * of ranges of which one will not: what comes before the first bad range is
 * advised upon and counted in the result, what comes after it is as it was.
 * madvise(2) has a single range, and the same answers to it.
 *
 * testbed:
 *   nodes: 2
 *   swap_mib: 64
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, SWAP, ADVISE_SYSCALLS]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   covers:
 *     - {cases: [advice_arguments.bad_ranges, advice_arguments.bad_vector,
 *                advice_arguments.one_bad_of_three],
 *        interface: process_madvise, backing: anon-private,
 *        condition: bad-address}
 *     - {cases: advice_arguments.bad_ranges_of_one_s_own,
 *        interface: pageout, backing: anon-private, condition: bad-address}
 *     - {cases: "advice_arguments.hole_*", interface: process_madvise,
 *        backing: anon-private, condition: hole}
 */
#include "harness.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>

#include "advised.h"
#include "nodes.h"
#include "pagemap.h"
#include "pages.h"

#define COUNT		16
#define BYTES(pages)	((long)((pages) * PAGE_BYTES))

FIXTURE(advice_arguments)
{
	struct advised advised;
	struct subject *subject;
	struct pages *pages;
};

FIXTURE_SETUP(advice_arguments)
{
	int a = nodes_nth(nodes_with_memory(), 0);

	ASSERT_EQ(0, nodes_run_on(a));
	self->subject = &self->advised.subject;
	self->pages = &self->subject->pages;
	self->advised.from_outside = true;
	ASSERT_EQ(0, pages_map(self->pages, COUNT, MAP_PRIVATE));
	pages_want_all(self->pages, a);
	ASSERT_EQ(0, advised_start(&self->advised));
	ASSERT_CLEAN(subject_look(self->subject));
}

/* Mappings and peers end with the test's process. */
FIXTURE_TEARDOWN(advice_arguments)
{
}

#define UNCHANGED(what) do {						\
	EXPECT_CLEAN(subject_verify(self->subject, 0, what));		\
	EXPECT_EQ(0, subject_moved());					\
	EXPECT_EQ(0, holder_end(&self->subject->holder));		\
} while (0)

static struct iovec range_of(const struct pages *p, long first, long count)
{
	struct iovec range = {
		.iov_base = pages_at(p, first),
		.iov_len = count * PAGE_BYTES,
	};

	return range;
}

static long advise_one(const struct pages *p, void *addr, size_t bytes)
{
	struct iovec range = {
		.iov_base = addr,
		.iov_len = bytes,
	};

	return advise_ranges(p->pid, &range, 1, MADV_PAGEOUT);
}

/* Around the mapping of pages_map() there is a page that is not accessible. */
TEST_F(advice_arguments, bad_ranges)
{
	struct pages *p = self->pages;
	char *none = p->addr - (1L << 30);

	EXPECT_EQ(-EINVAL, advise_one(p, p->addr + 1, BYTES(1)));
	EXPECT_EQ(-ENOMEM, advise_one(p, none, BYTES(1)));
	EXPECT_EQ(-EINVAL, advise_one(p, p->addr, -1));
	/* The kernel's half of the addresses. */
	EXPECT_EQ(-EFAULT, advise_one(p, (void *)LONG_MIN, BYTES(1)));
	EXPECT_EQ(0, advise_one(p, p->addr, 0));
	UNCHANGED("bad ranges");
}

TEST_F(advice_arguments, bad_ranges_of_one_s_own)
{
	struct pages *p = self->pages;
	struct pages own;

	ASSERT_EQ(0, pages_map(&own, COUNT, MAP_PRIVATE));
	pages_want_all(&own, p->want[0]);
	ASSERT_EQ(0, pages_populate(&own));
	ASSERT_CLEAN(pages_snapshot(&own));
	EXPECT_EQ(-1, madvise(own.addr + 1, BYTES(1), MADV_PAGEOUT));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, madvise(own.addr, -BYTES(1), MADV_PAGEOUT));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, madvise(own.addr, -1, MADV_PAGEOUT));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, madvise((void *)LONG_MIN, BYTES(1), MADV_PAGEOUT));
	EXPECT_EQ(ENOMEM, errno);
	EXPECT_EQ(0, madvise(own.addr, 0, MADV_PAGEOUT));
	EXPECT_CLEAN(pages_verify(&own, "bad ranges of one's own"));
	UNCHANGED("bad ranges of another");
}

static long raw(int fd, const void *ranges, unsigned long count, int advice,
		unsigned int flags)
{
	return kernel_result(syscall(SYS_process_madvise, fd, ranges, count,
				     advice, flags));
}

TEST_F(advice_arguments, bad_vector)
{
	struct iovec range = range_of(self->pages, 0, COUNT);
	int fd = syscall(SYS_pidfd_open, self->pages->pid, 0);
	int file = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ASSERT_LE(0, fd);
	ASSERT_LE(0, file);
	EXPECT_EQ(-EFAULT, raw(fd, (void *)8, 1, MADV_PAGEOUT, 0));
	EXPECT_EQ(-EINVAL, raw(fd, &range, IOV_MAX + 1, MADV_PAGEOUT, 0));
	EXPECT_EQ(-EINVAL, raw(fd, &range, 1, MADV_PAGEOUT, 1));
	EXPECT_EQ(-EBADF, raw(-1, &range, 1, MADV_PAGEOUT, 0));
	EXPECT_EQ(-EBADF, raw(file, &range, 1, MADV_PAGEOUT, 0));
	EXPECT_EQ(0, raw(fd, &range, 0, MADV_PAGEOUT, 0));
	close(file);
	close(fd);
	UNCHANGED("bad vectors");
}

/* Of another process nothing that destroys, and no page is to be faulted in. */
TEST_F(advice_arguments, bad_advice)
{
	static const int wrong[] = {
		MADV_DONTNEED, MADV_FREE, MADV_REMOVE, MADV_HUGEPAGE,
		MADV_DONTFORK, MADV_POPULATE_READ, MADV_POPULATE_WRITE, 12345,
	};
	struct iovec range = range_of(self->pages, 0, COUNT);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		EXPECT_EQ(-EINVAL, advise_ranges(self->pages->pid, &range, 1,
						 wrong[i]));
	UNCHANGED("bad advice");
}

TEST_F(advice_arguments, process_that_has_ended)
{
	struct iovec range = range_of(self->pages, 0, COUNT);
	int fd = syscall(SYS_pidfd_open, self->pages->pid, 0);

	ASSERT_LE(0, fd);
	EXPECT_EQ(BYTES(COUNT), raw(fd, &range, 1, MADV_COLD, 0));
	EXPECT_EQ(0, holder_end(&self->subject->holder));
	EXPECT_EQ(-ESRCH, raw(fd, &range, 1, MADV_COLD, 0));
	close(fd);
	EXPECT_CLEAN(counters_verify(&self->subject->before, 0, 0));
}

/* Three ranges, and between them what is to stay. */
TEST_F(advice_arguments, three_good_ones)
{
	struct pages *p = self->pages;
	const struct iovec ranges[] = {
		range_of(p, 0, 4), range_of(p, 6, 4), range_of(p, 12, 2),
	};

	EXPECT_EQ(BYTES(10), advise_ranges(p->pid, ranges, 3, MADV_PAGEOUT));
	pages_want(p, 0, 4, UNTOUCHED);
	pages_want(p, 6, 4, UNTOUCHED);
	pages_want(p, 12, 2, UNTOUCHED);
	EXPECT_CLEAN(pages_verify(p, "three ranges of one call"));
	EXPECT_CLEAN(counters_verify(&self->subject->before, 0, 0));
	EXPECT_EQ(0, holder_bad(&self->subject->holder));
	EXPECT_EQ(0, holder_end(&self->subject->holder));
}

TEST_F(advice_arguments, one_bad_of_three)
{
	struct pages *p = self->pages;
	struct iovec ranges[] = {
		range_of(p, 0, 4), range_of(p, 6, 4), range_of(p, 12, 2),
	};

	ranges[1].iov_base = p->addr + 6 * PAGE_BYTES + 1;
	EXPECT_EQ(BYTES(4), advise_ranges(p->pid, ranges, 3, MADV_PAGEOUT));
	pages_want(p, 0, 4, UNTOUCHED);
	EXPECT_CLEAN(pages_verify(p, "up to the bad range of three"));
	EXPECT_EQ(-EINVAL, advise_ranges(p->pid, ranges + 1, 2, MADV_PAGEOUT));
	EXPECT_CLEAN(pages_verify(p, "the bad range first"));
	EXPECT_CLEAN(counters_verify(&self->subject->before, 0, 0));
	EXPECT_EQ(0, holder_bad(&self->subject->holder));
	EXPECT_EQ(0, holder_end(&self->subject->holder));
}

/* A range with a hole is advised upon on both sides of it, and counts as bad. */
TEST_F(advice_arguments, hole_in_one_of_three)
{
	struct pages *p = self->pages;
	const struct iovec ranges[] = {
		range_of(p, 0, 4), range_of(p, 6, 4), range_of(p, 12, 2),
	};

	ASSERT_EQ(0, advised_unmap(&self->advised, 7, 1));
	ASSERT_CLEAN(pages_snapshot(p));
	EXPECT_EQ(BYTES(4), advise_ranges(p->pid, ranges, 3, MADV_PAGEOUT));
	pages_want(p, 0, 4, UNTOUCHED);
	pages_want(p, 6, 1, UNTOUCHED);
	pages_want(p, 8, 2, UNTOUCHED);
	EXPECT_CLEAN(pages_verify(p, "a hole in the second of three"));
	EXPECT_CLEAN(counters_verify(&self->subject->before, 0, 0));
	EXPECT_EQ(0, advised_read(&self->advised, 0, 7));
	EXPECT_EQ(0, advised_read(&self->advised, 8, 8));
	EXPECT_EQ(0, holder_end(&self->subject->holder));
}

TEST_HARNESS_MAIN
