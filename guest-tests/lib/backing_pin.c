// SPDX-License-Identifier: GPL-2.0-only
/* Pages that somebody holds: a pipe, or io_uring for as long as it likes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include <linux/io_uring.h>
#include <linux/kernel-page-flags.h>

#include "backings.h"
#include "nodes.h"
#include "pattern.h"
#include "pin.h"
#include "placement.h"
#include "proc.h"
#include "syscalls.h"

/* In area->saved: the two ends of the pipe. */
#define READ_END	0
#define WRITE_END	1

static int map(struct area *area)
{
	return pages_map(area->pages, area->backing->count, MAP_PRIVATE);
}

static const char *is_anon(struct area *area)
{
	return area_has_flags(area, KPF(ANON) | KPF(SWAPBACKED), KPF(THP));
}

/* Let go, they move: to the other of the first two nodes. */
static const char *moves_now(struct area *area)
{
	unsigned long nodes = nodes_with_memory();
	struct pages *p = area->pages;
	int to[p->count], status[p->count];
	void *addrs[p->count];
	long i;

	for (i = 0; i < p->count; i++) {
		addrs[i] = pages_at(p, i);
		to[i] = nodes_nth(nodes, nodes_nth(nodes, 0) == area->home);
	}
	if (numa_move_pages(0, p->count, addrs, to, status, MPOL_MF_MOVE) ||
	    placement_query(0, p->addr, p->count, status) ||
	    memcmp(to, status, sizeof(to)))
		return "pages do not move although nobody holds them";
	return area_content(area);
}

static long fill_pipe(struct area *area)
{
	struct pages *p = area->pages;
	struct pin pin;
	long error = pages_populate(p) ? : pin_pages(&pin, p->addr, p->count);

	if (!error) {
		area->saved[READ_END] = pin.pipe[0];
		area->saved[WRITE_END] = pin.pipe[1];
	}
	return error;
}

/* What comes out of the pipe is these pages, as they are by now. */
static const char *drain_pipe(struct area *area)
{
	struct pages *p = area->pages;
	char page[PAGE_BYTES];
	const char *problem;
	long i;

	problem = area_write(area);
	if (*problem)
		return problem;
	for (i = 0; i < p->count; i++)
		if (read(area->saved[READ_END], page, PAGE_BYTES) !=
		    (ssize_t)PAGE_BYTES ||
		    pattern_check(page, p->seed, i) >= 0)
			return "the pipe has other pages than these";
	close(area->saved[READ_END]);
	close(area->saved[WRITE_END]);
	return moves_now(area);
}

const struct backing backing_vmspliced = {
	.name = "vmspliced",
	.fate = FATE_PINNED,
	.count = 16,	/* as many as a pipe has slots */
	.folio = 1,
	.map = map,
	.fill = fill_pipe,
	.check = is_anon,
	.finish = drain_pipe,
};

static long fill_ring(struct area *area)
{
	struct io_uring_params params = { 0 };
	struct pages *p = area->pages;
	struct iovec range = {
		.iov_base = p->addr,
		.iov_len = p->count * PAGE_BYTES,
	};

	if (pages_populate(p))
		return -1;
	area->fd = syscall(SYS_io_uring_setup, 1, &params);
	return area->fd < 0 ? -1 :
	       syscall(SYS_io_uring_register, area->fd,
		       IORING_REGISTER_BUFFERS, &range, 1);
}

/* VmPin of its status is what io_uring accounts. */
static const char *is_registered(struct area *area)
{
	long bytes = area->pages->count * PAGE_BYTES;
	char path[64], text[4096], *line;

	proc_path(path, sizeof(path), area->pages->pid, "status");
	if (proc_read(path, text, sizeof(text)) < 0)
		return "reading status";
	line = strstr(text, "VmPin:");
	if (!line || atol(line + 6) * 1024 != bytes)
		return "VmPin is not these pages";
	return is_anon(area);
}

static const char *unregister(struct area *area)
{
	if (syscall(SYS_io_uring_register, area->fd,
		    IORING_UNREGISTER_BUFFERS, NULL, 0))
		return "the buffers cannot be unregistered";
	close(area->fd);
	return moves_now(area);
}

const struct backing backing_io_uring_registered = {
	.name = "io_uring-registered",
	.fate = FATE_PINNED,
	.count = 16,
	.folio = 1,
	.map = map,
	.fill = fill_ring,
	.check = is_registered,
	.finish = unregister,
};
