// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that userfaultfd watches: the odd ones write-protected, and behind the
 * last a page that is missing.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <linux/kernel-page-flags.h>
#include <linux/userfaultfd.h>

#include "backings.h"
#include "pagemap.h"
#include "pattern.h"
#include "syscalls.h"

#define DEADLINE_MS	10000

static int map(struct area *area)
{
	const struct backing *b = area->backing;
	size_t bytes = (b->count + b->missing) * PAGE_BYTES;
	void *at = area_reserve(bytes, PAGE_BYTES);

	if (at == MAP_FAILED ||
	    mmap(at, bytes, PROT_READ | PROT_WRITE,
		 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
		return -1;
	/* No THP may fill the missing page. */
	madvise(at, bytes, MADV_NOHUGEPAGE);
	return pages_over(area->pages, at, area->backing->count);
}

static int protect(struct area *area, long index, unsigned int mode)
{
	struct uffdio_writeprotect range = {
		.range.start = (uintptr_t)pages_at(area->pages, index),
		.range.len = PAGE_BYTES,
		.mode = mode,
	};

	return ioctl(area->fd, UFFDIO_WRITEPROTECT, &range);
}

static long fill(struct area *area)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_PAGEFAULT_FLAG_WP,
	};
	struct pages *p = area->pages;
	struct uffdio_register range = {
		.range.start = (uintptr_t)p->addr,
		.range.len = (p->count + 1) * PAGE_BYTES,
		.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP,
	};
	long i;

	if (pages_populate(p))
		return -1;
	area->fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (area->fd < 0 || ioctl(area->fd, UFFDIO_API, &api) ||
	    ioctl(area->fd, UFFDIO_REGISTER, &range))
		return -1;
	for (i = 1; i < p->count; i += 2)
		if (protect(area, i, UFFDIO_WRITEPROTECT_MODE_WP))
			return -1;
	return 0;
}

static const char *is_watched(struct area *area)
{
	struct pages *p = area->pages;
	uint64_t entries[p->count + 1];
	long i;

	if (pagemap_read(p->pid, p->addr, p->count + 1, entries))
		return "reading pagemap";
	for (i = 0; i < p->count; i++)
		if (!!(entries[i] & PM_UFFD_WP) != i % 2)
			return "a page is write-protected that was not, or the reverse";
	if (entries[p->count] & PM_PRESENT)
		return "the missing page is there";
	return area_has_flags(area, KPF(ANON) | KPF(SWAPBACKED), KPF(THP));
}

/* The next event is a fault at page @index with flag WP or not. */
static const char *expect_fault(struct area *area, long index, bool wp)
{
	struct pollfd ready = { .fd = area->fd, .events = POLLIN };
	uintptr_t page = (uintptr_t)pages_at(area->pages, index);
	struct uffd_msg event;

	if (poll(&ready, 1, DEADLINE_MS) != 1 ||
	    read(area->fd, &event, sizeof(event)) != sizeof(event))
		return "a fault is not reported";
	if (event.event != UFFD_EVENT_PAGEFAULT ||
	    (event.arg.pagefault.address & ~(PAGE_BYTES - 1)) != page)
		return "another event is reported than the fault";
	if (!!(event.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP) != wp)
		return "the fault is reported as of another kind";
	return "";
}

/* A page that is not watched, one write-protected, the one missing. */
static void *touch(void *argument)
{
	struct pages *p = argument;

	pattern_fill(pages_at(p, 0), p->seed, 0);
	pattern_fill(pages_at(p, 1), p->seed, 1);
	pages_read(p, p->count);
	return NULL;
}

static const char *serve(struct area *area)
{
	struct pages *p = area->pages;
	char page[PAGE_BYTES];
	struct uffdio_copy copy = {
		.dst = (uintptr_t)pages_at(p, p->count),
		.src = (uintptr_t)page,
		.len = PAGE_BYTES,
	};
	const char *problem = expect_fault(area, 1, true);

	if (*problem)
		return problem;
	if (pattern_check(pages_at(p, 1), p->seed - 1, 1) >= 0)
		return "a page was written to before the fault was resolved";
	if (protect(area, 1, 0))
		return "a page cannot be unprotected";
	problem = expect_fault(area, p->count, false);
	if (*problem)
		return problem;
	pattern_fill(page, p->seed, p->count);
	return ioctl(area->fd, UFFDIO_COPY, &copy) ?
	       "the missing page cannot be filled" : "";
}

static const char *deliver(struct area *area)
{
	struct pages *p = area->pages;
	const char *problem;
	pthread_t thread;

	p->seed++;
	if (pthread_create(&thread, NULL, touch, p))
		return "cannot start a thread";
	problem = serve(area);
	/* Closed, it holds nobody back: the thread ends in any case. */
	close(area->fd);
	pthread_join(thread, NULL);
	if (*problem)
		return problem;
	if (pattern_check(pages_at(p, 0), p->seed, 0) >= 0 ||
	    pattern_check(pages_at(p, 1), p->seed, 1) >= 0 ||
	    pattern_check(pages_at(p, p->count), p->seed, p->count) >= 0)
		return "what was written and filled in is not there";
	return "";
}

const struct backing backing_uffd_registered = {
	.name = "uffd-registered",
	.count = 16,
	.folio = 1,
	.missing = 1,
	.map = map,
	.fill = fill,
	.check = is_watched,
	.finish = deliver,
};
