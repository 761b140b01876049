// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <linux/kernel-page-flags.h>

#include "ksm.h"
#include "pagemap.h"
#include "proc.h"
#include "syscalls.h"

long ksm_count(const char *name)
{
	char path[64], text[32];

	snprintf(path, sizeof(path), KSM "%s", name);
	return proc_read(path, text, sizeof(text)) < 0 ? -1 : atol(text);
}

long ksm_map(struct pages *p, long count, uint64_t seed, int node)
{
	if (pages_map(p, count, MAP_PRIVATE))
		return -1;
	p->seed = seed;
	pages_want_all(p, node);
	return pages_populate(p) ? :
	       madvise(p->addr, count * PAGE_BYTES, MADV_MERGEABLE);
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
