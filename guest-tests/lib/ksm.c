// SPDX-License-Identifier: GPL-2.0-only
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <linux/kernel-page-flags.h>

#include "deadline.h"
#include "ksm.h"
#include "metric.h"
#include "pagemap.h"
#include "proc.h"
#include "syscalls.h"

#define DEADLINE_US	15e6

long ksm_count(const char *name)
{
	char path[64], text[32];

	snprintf(path, sizeof(path), KSM "%s", name);
	return proc_read(path, text, sizeof(text)) < 0 ? -1 : atol(text);
}

long ksm_map(struct pages *p, long count, uint64_t seed, int node)
{
	return pages_map(p, count, MAP_PRIVATE) ? : ksm_fill(p, seed, node);
}

long ksm_fill(struct pages *p, uint64_t seed, int node)
{
	p->seed = seed;
	pages_want_all(p, node);
	return pages_populate(p) ? :
	       madvise(p->addr, p->count * PAGE_BYTES, MADV_MERGEABLE);
}

long ksm_merged(const struct pages *p, const struct pages *q)
{
	uint64_t frame, flags;
	long i, common = 0;

	for (i = 0; i < p->count; i++) {
		frame = pagemap_frame(p->pid, pages_at(p, i));
		common += frame &&
			  frame == pagemap_frame(q->pid, pages_at(q, i)) &&
			  !kpageflags_read(frame, &flags) &&
			  flags >> KPF_KSM & 1;
	}
	return common;
}

const char *ksm_merge(const struct pages *p, const struct pages *q)
{
	double deadline = deadline_after_us(DEADLINE_US);

	if (proc_write(KSM "run", "1"))
		return "cannot start ksmd";
	while (ksm_merged(p, q) < p->count && metric_now_us() < deadline)
		poll(NULL, 0, 5);
	if (proc_write(KSM "run", "0"))
		return "cannot stop ksmd";
	return ksm_merged(p, q) == p->count ? "" : "not merged in 15 s";
}

int ksm_hurry(void)
{
	return proc_write(KSM "sleep_millisecs", "1") ? :
	       proc_write(KSM "pages_to_scan", "1000");
}

int ksm_end(void)
{
	/* All of it, whatever fails: as mm/ksm.c begins. */
	int stop = proc_write(KSM "run", "0");
	int sleep = proc_write(KSM "sleep_millisecs", "20");
	int scan = proc_write(KSM "pages_to_scan", "100");

	return stop ? : sleep ? : scan;
}
