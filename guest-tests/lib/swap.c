// SPDX-License-Identifier: GPL-2.0-only
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/swap.h>
#include <unistd.h>

#include "deadline.h"
#include "metric.h"
#include "node_stat.h"
#include "pagemap.h"
#include "proc.h"
#include "relocate.h"
#include "swap.h"
#include "syscalls.h"

#define DEADLINE_US	20e6

/* lib/disk.c has the first one. */
#define RAM_DISK	"/dev/ram1"

bool swap_has_room(long pages)
{
	return system_meminfo("SwapFree") * 1024 >= pages * (long)PAGE_BYTES;
}

/* Of shared memory nothing is left in the page table. */
static long still_mapped(const struct pages *p, long first, long count)
{
	return pagemap_count(p->pid, pages_at(p, first), count, PM_PRESENT,
			     PM_PRESENT);
}

const char *swap_out(struct pages *p, long first, long count)
{
	double deadline = deadline_after_us(DEADLINE_US);
	long mapped;

	problems_clear(&p->problems);
	do {
		if (madvise(pages_at(p, first), count * PAGE_BYTES,
			    MADV_PAGEOUT)) {
			problems_add(&p->problems, "MADV_PAGEOUT: %m");
			return problems_text(&p->problems);
		}
		mapped = still_mapped(p, first, count);
		if (!mapped)
			break;
		/*
		 * One that is under writeback takes another turn. It waits for
		 * the LRU on the CPU of this one, and MADV_PAGEOUT asks only
		 * the CPU that it runs on to let go.
		 */
		poll(NULL, 0, 1);
		relocate_drain();
	} while (metric_now_us() < deadline);
	if (mapped)
		problems_add(&p->problems, "%ld of %ld pages not swapped out",
			     mapped, count);
	pages_want(p, first, count, UNTOUCHED);
	return problems_text(&p->problems);
}

const char *swap_out_wholly(struct pages *p, long first, long count)
{
	double deadline = deadline_after_us(DEADLINE_US);
	const char *problem = swap_out(p, first, count);
	long i;

	while (!*problem && system_stat("nr_swapcached") > 0) {
		if (metric_now_us() > deadline) {
			problems_add(&p->problems,
				     "%ld pages stay in the swap cache",
				     system_stat("nr_swapcached"));
			break;
		}
		if (system_stat("nr_writeback") > 0) {
			poll(NULL, 0, 1);
			continue;
		}
		for (i = first; i < first + count; i++)
			pages_read(p, i);
		problem = swap_out(p, first, count);
	}
	return problems_text(&p->problems);
}

uint64_t swap_entry(const struct pages *p, long index)
{
	uint64_t entry;

	if (pagemap_read(p->pid, pages_at(p, index), 1, &entry) ||
	    !(entry & PM_SWAP))
		return 0;
	/* Type in bits 0 to 4, offset from 5 on (pagemap.rst). */
	return entry & PM_PFN_MASK;
}

int swap_stop(struct swap_areas *areas)
{
	char text[4096], *line, *save;

	areas->count = 0;
	if (proc_read("/proc/swaps", text, sizeof(text)) < 0)
		return -errno;
	/* The first line has the names of the columns. */
	strtok_r(text, "\n", &save);
	while ((line = strtok_r(NULL, "\n", &save))) {
		char *path = areas->path[areas->count];

		if (areas->count == 4 || sscanf(line, "%63s", path) != 1)
			return -E2BIG;
		if (swapoff(path))
			return -errno;
		areas->count++;
	}
	return 0;
}

int swap_resume(const struct swap_areas *areas)
{
	int i;

	for (i = 0; i < areas->count; i++)
		if (swapon(areas->path[i], 0))
			return -errno;
	return 0;
}

/* union swap_header of <linux/swap.h>, which user space is not given. */
static int make_swap(long pages)
{
	static uint32_t header[1024];
	const size_t bytes = PAGE_BYTES;
	int fd = open(RAM_DISK, O_WRONLY | O_CLOEXEC);
	ssize_t done;

	if (fd < 0)
		return -errno;
	memset(header, 0, sizeof(header));
	header[256] = 1;		/* version, behind 1024 bytes */
	header[257] = pages - 1;	/* last_page */
	memcpy((char *)header + bytes - 10, "SWAPSPACE2", 10);
	done = write(fd, header, bytes);
	close(fd);
	return done == (ssize_t)bytes ? 0 : -EIO;
}

int swap_ram_begin(struct swap_areas *others, long pages)
{
	int error = swap_stop(others) ? : make_swap(pages);

	if (error)
		return error;
	return swapon(RAM_DISK, 0) ? -errno : 0;
}

int swap_ram_end(const struct swap_areas *others)
{
	if (swapoff(RAM_DISK))
		return -errno;
	return swap_resume(others);
}
