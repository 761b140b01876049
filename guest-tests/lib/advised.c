// SPDX-License-Identifier: GPL-2.0-only
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "advised.h"
#include "deadline.h"
#include "metric.h"
#include "pattern.h"
#include "syscalls.h"

#define DEADLINE_US	15e6

/* What the child is asked to do, in memory that it shares with the test. */
struct order {
	long first;
	long count;
	int advice;
	int node;
};

static struct order *order;

static char *order_addr(const struct pages *p)
{
	return pages_at(p, order->first);
}

static size_t order_bytes(void)
{
	return order->count * PAGE_BYTES;
}

static long give(struct advised *a, long first, long count, holder_fn fn)
{
	order->first = first;
	order->count = count;
	return holder_call(&a->subject.holder, fn);
}

/*
 * Pages that were just faulted in are in a batch of a CPU, where advice leaves
 * them: move_pages(2) has all CPUs put theirs on the LRU lists.
 */
static long drain(void)
{
	static char own[1];
	int node, status;
	void *addr = own;

	if (numa_move_pages(0, 1, &addr, NULL, &node, 0))
		return -1;
	return numa_move_pages(0, 1, &addr, &node, &status, MPOL_MF_MOVE);
}

long advised_start(struct advised *a)
{
	order = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (order == MAP_FAILED)
		return -1;
	return subject_start(&a->subject, pages_populate) ? : drain();
}

long advise_ranges(pid_t pid, const struct iovec *ranges, long count,
		   int advice)
{
	int fd = syscall(SYS_pidfd_open, pid, 0);
	long result;

	if (fd < 0)
		return -errno;
	result = kernel_result(syscall(SYS_process_madvise, fd, ranges, count,
				       advice, 0));
	close(fd);
	return result;
}

/* The functions that are called in the child. */

static long advise_self(struct pages *p)
{
	return kernel_result(madvise(order_addr(p), order_bytes(),
				     order->advice));
}

static long bind_range(struct pages *p)
{
	return numa_mbind(order_addr(p), order_bytes(), MPOL_BIND,
			  NODE(order->node), 0);
}

static long bind_task(struct pages *p)
{
	(void)p;
	if (order->node < 0)
		return numa_set_mempolicy(MPOL_DEFAULT, 0);
	return numa_set_mempolicy(MPOL_BIND, NODE(order->node));
}

static long unmap(struct pages *p)
{
	return kernel_result(munmap(order_addr(p), order_bytes()));
}

static long count_bad(struct pages *p)
{
	long i, bad = 0;

	for (i = order->first; i < order->first + order->count; i++)
		bad += pattern_check(pages_at(p, i), p->seed, i) >= 0;
	return bad;
}

/* mincore(2) counts what is in the swap cache. */
static long count_in_memory(struct pages *p)
{
	unsigned char in[order->count];
	long i, count = 0;

	if (mincore(order_addr(p), order_bytes(), in))
		return -1;
	for (i = 0; i < order->count; i++)
		count += in[i] & 1;
	return count;
}

long advise(struct advised *a, long first, long count, int advice)
{
	struct pages *p = &a->subject.pages;
	struct iovec range = {
		.iov_base = pages_at(p, first),
		.iov_len = count * PAGE_BYTES,
	};
	long result;

	order->advice = advice;
	if (!a->from_outside)
		return give(a, first, count, advise_self);
	result = advise_ranges(p->pid, &range, 1, advice);
	return result == (long)range.iov_len ? 0 : result;
}

long advised_bind(struct advised *a, long first, long count, int node)
{
	order->node = node;
	return give(a, first, count, bind_range);
}

long advised_bind_task(struct advised *a, int node)
{
	order->node = node;
	return give(a, 0, 0, bind_task);
}

long advised_unmap(struct advised *a, long first, long count)
{
	long error = give(a, first, count, unmap);

	if (!error)
		pages_want(&a->subject.pages, first, count, UNMAPPED);
	return error;
}

long advised_read(struct advised *a, long first, long count)
{
	long bad = give(a, first, count, count_bad);

	return bad ? bad : drain();
}

long advised_in_memory(struct advised *a, long first, long count)
{
	return give(a, first, count, count_in_memory);
}

/*
 * The first call starts to write, and leaves pages in the swap cache. Mapped
 * once more, when they are clean, they are let go by the next one.
 */
const char *advised_page_out(struct advised *a, long first, long count)
{
	double deadline = deadline_after_us(DEADLINE_US);
	long error, in;

	for (;;) {
		error = advise(a, first, count, MADV_PAGEOUT);
		if (error)
			return "MADV_PAGEOUT fails";
		in = advised_in_memory(a, first, count);
		if (!in)
			break;
		if (metric_now_us() > deadline)
			return "pages stay in memory";
		/* The writes may be on their way. */
		poll(NULL, 0, 1);
		if (advised_read(a, first, count))
			return "pages lost their content on the way out";
	}
	pages_want(&a->subject.pages, first, count, UNTOUCHED);
	return "";
}
