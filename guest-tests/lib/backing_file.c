// SPDX-License-Identifier: GPL-2.0-only
/* Page cache of a file that is on a disk, and private copies of its pages. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/kernel-page-flags.h>

#include "backings.h"
#include "disk.h"
#include "pagemap.h"
#include "pattern.h"
#include "syscalls.h"

/* In area->saved: the seed of what is on the disk. */
#define ON_DISK		0

static int map_file(struct area *area, int prot, int flags)
{
	int fd = disk_file(area->backing->count * PAGE_BYTES);

	return fd < 0 ? -1 : area_map_fd(area, fd, prot, flags, PAGE_BYTES);
}

static int map_private(struct area *area)
{
	return map_file(area, PROT_READ | PROT_WRITE, MAP_PRIVATE);
}

static int map_shared(struct area *area)
{
	return map_file(area, PROT_READ | PROT_WRITE, MAP_SHARED);
}

static int map_twice(struct area *area)
{
	size_t bytes = area->backing->count * PAGE_BYTES;

	if (map_shared(area))
		return -1;
	area->twin = mmap(NULL, bytes, PROT_READ, MAP_SHARED, area->fd, 0);
	return area->twin == MAP_FAILED ? -1 : 0;
}

typedef void (*page_fill)(void *page, uint64_t seed, uint64_t number);

/* Have the pages read in anew: they are clean, and not mapped yet. */
static long drop(struct area *area)
{
	return posix_fadvise(area->fd, 0, 0, POSIX_FADV_DONTNEED) ? :
	       area_is_out(area) ? 0 : -1;
}

/* The cache's pages come to be by write(2), under the policy of the task. */
static long write_file(struct area *area, page_fill fill_page)
{
	struct pages *p = area->pages;
	char page[PAGE_BYTES];
	long i, error = area_bind_task(area);

	area->saved[ON_DISK] = p->seed;
	for (i = 0; i < p->count && !error; i++) {
		fill_page(page, p->seed, i);
		if (pwrite(area->fd, page, PAGE_BYTES, i * PAGE_BYTES) !=
		    (ssize_t)PAGE_BYTES)
			error = -1;
	}
	error = error ? : area_unbind_task(area) ? : fsync(area->fd);
	return error || !p->by_policy ? error : drop(area);
}

static long fill_clean(struct area *area)
{
	return write_file(area, pattern_fill) ? : pages_bad(area->pages);
}

/* Newer than what the disk has: that is there no more if it gets lost. */
static long fill_dirty(struct area *area)
{
	struct pages *p = area->pages;
	long i, error = fill_clean(area);

	p->seed++;
	for (i = 0; i < p->count; i++)
		pattern_fill(pages_at(p, i), p->seed, i);
	return error;
}

static long fill_cow(struct area *area)
{
	long error = fill_clean(area);

	area->pages->seed++;
	return error ? : pages_populate(area->pages);
}

static long fill_twice(struct area *area)
{
	long i, error = fill_clean(area);

	/* Mapped by reading it, as the first one is. */
	for (i = 0; i < area->pages->count && !error; i++)
		error = pattern_check(area->twin + i * PAGE_BYTES,
				      area->pages->seed, i) >= 0;
	return error;
}

static long fill_for_two(struct area *area)
{
	return fill_clean(area) ? : area_share(area);
}

static const char *is_clean(struct area *area)
{
	return area_has_flags(area, KPF(UPTODATE),
			      KPF(ANON) | KPF(SWAPBACKED) | KPF(DIRTY));
}

static const char *is_dirty(struct area *area)
{
	return area_has_flags(area, KPF(UPTODATE) | KPF(DIRTY),
			      KPF(ANON) | KPF(SWAPBACKED));
}

static const char *is_copy(struct area *area)
{
	return area_has_flags(area, KPF(ANON) | KPF(SWAPBACKED), 0);
}

static const char *is_twice(struct area *area)
{
	struct pages *p = area->pages;
	uint64_t here[p->count], there[p->count];
	long i;

	if (pagemap_read(p->pid, p->addr, p->count, here) ||
	    pagemap_read(p->pid, area->twin, p->count, there))
		return "reading pagemap";
	for (i = 0; i < p->count; i++)
		if (!pagemap_pfn(here[i]) ||
		    pagemap_pfn(here[i]) != pagemap_pfn(there[i]))
			return "the two mappings no longer map one page";
	return is_clean(area);
}

/* What the disk itself has is the file with seed area->saved[ON_DISK]. */
static const char *on_disk(struct area *area)
{
	char page[PAGE_BYTES];
	struct pages *p = area->pages;
	long i;

	for (i = 0; i < p->count; i++) {
		if (disk_read(area->fd, page, i))
			return "cannot read the disk";
		if (pattern_check(page, area->saved[ON_DISK], i) >= 0)
			return "the disk has other content";
	}
	return area_content(area);
}

/* Written back now: cleaned, and all that was newer is on the disk. */
static const char *write_back(struct area *area)
{
	struct pages *p = area->pages;
	const char *problem;

	if (msync(p->addr, p->count * PAGE_BYTES, MS_SYNC))
		return "msync(2) fails";
	area->saved[ON_DISK] = p->seed;
	problem = is_clean(area);
	return *problem ? problem : on_disk(area);
}

/* Written to through one mapping, seen through the other and on the disk. */
static const char *write_twice(struct area *area)
{
	struct pages *p = area->pages;
	const char *problem = area_write(area);
	long i;

	for (i = 0; i < p->count; i++)
		if (pattern_check(area->twin + i * PAGE_BYTES, p->seed, i) >= 0)
			return "the twin does not see what was written";
	return *problem ? problem : write_back(area);
}

static const char *shared_and_on_disk(struct area *area)
{
	const char *problem = pages_shared_with(area->pages, area->other.pid);

	return *problem ? problem : write_back(area);
}

static void end(struct area *area)
{
	(void)area;
	disk_end();
}

const struct backing backing_file_clean = {
	.name = "file-clean",
	.page_cache = true,
	.count = 16,
	.folio = 1,
	.map = map_private,
	.fill = fill_clean,
	.check = is_clean,
	.finish = on_disk,
	.release = end,
};

const struct backing backing_file_dirty = {
	.name = "file-dirty",
	.page_cache = true,
	.count = 16,
	.folio = 1,
	.map = map_shared,
	.fill = fill_dirty,
	.check = is_dirty,
	.finish = write_back,
	.release = end,
};

const struct backing backing_file_cow = {
	.name = "file-cow",
	.count = 16,
	.folio = 1,
	.map = map_private,
	.fill = fill_cow,
	.check = is_copy,
	.finish = on_disk,
	.release = end,
};

/* Twice in one process. */
const struct backing backing_file_shared = {
	.name = "file-shared",
	.fate = FATE_SHARED,
	.twice = true,
	.page_cache = true,
	.count = 16,
	.folio = 1,
	.map = map_twice,
	.fill = fill_twice,
	.check = is_twice,
	.finish = write_twice,
	.release = end,
};

/* Once in each of two processes. */
const struct backing backing_file_shared_by_two = {
	.name = "file-shared",
	.fate = FATE_SHARED,
	.page_cache = true,
	.count = 16,
	.folio = 1,
	.map = map_shared,
	.fill = fill_for_two,
	.check = is_clean,
	.finish = shared_and_on_disk,
	.release = end,
};

/*
 * Text: each 16 bytes are a function that returns a number of its own, which
 * is "mov $number, %eax; ret" and traps behind it.
 */
#define FUNCTION_BYTES	16

static uint32_t function_result(uint64_t seed, uint64_t number, int offset)
{
	return pattern_word(seed, number, offset);
}

static void make_function(unsigned char *code, uint32_t result)
{
	memset(code, 0xcc, FUNCTION_BYTES);
	code[0] = 0xb8;
	memcpy(code + 1, &result, sizeof(result));
	code[5] = 0xc3;
}

static void fill_code(void *page, uint64_t seed, uint64_t number)
{
	int offset;

	for (offset = 0; offset < (int)PAGE_BYTES; offset += FUNCTION_BYTES)
		make_function((unsigned char *)page + offset,
			      function_result(seed, number, offset));
}

static int check_code(const void *page, uint64_t seed, uint64_t number)
{
	unsigned char want[FUNCTION_BYTES];
	int offset;

	for (offset = 0; offset < (int)PAGE_BYTES; offset += FUNCTION_BYTES) {
		make_function(want, function_result(seed, number, offset));
		if (memcmp(want, (char *)page + offset, FUNCTION_BYTES))
			return offset;
	}
	return -1;
}

static int map_text(struct area *area)
{
	int error = map_file(area, PROT_READ | PROT_EXEC, MAP_PRIVATE);

	area->pages->check = check_code;
	return error;
}

static long fill_text(struct area *area)
{
	return write_file(area, fill_code) ? : pages_bad(area->pages) ? :
	       area_share(area);
}

static const char *run_text(struct area *area)
{
	struct pages *p = area->pages;
	uint32_t (*function)(void);
	long i;
	int offset;

	for (i = 0; i < p->count; i++) {
		for (offset = 0; offset < (int)PAGE_BYTES;
		     offset += FUNCTION_BYTES) {
			function = pages_at(p, i) + offset;
			if (function() != function_result(p->seed, i, offset))
				return "a function returns another number";
		}
	}
	return pages_shared_with(p, area->other.pid);
}

const struct backing backing_text = {
	.name = "text",
	.fate = FATE_SHARED,
	.page_cache = true,
	.count = 16,
	.folio = 1,
	.map = map_text,
	.fill = fill_text,
	.check = is_clean,
	.finish = run_text,
	.release = end,
};
