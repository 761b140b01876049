// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pagemap.h"
#include "placement.h"
#include "proc.h"
#include "process.h"

#define CHUNK	512

static int add_page(struct process *p, uintptr_t addr, uint64_t pfn, int node)
{
	if (p->count == PROCESS_MAX_PAGES)
		return -1;
	p->page[p->count].addr = addr;
	p->page[p->count].pfn = pfn;
	p->page[p->count].node = node;
	p->count++;
	return 0;
}

static int add_range(struct process *p, pid_t pid, uintptr_t start,
		     uintptr_t end)
{
	uint64_t entries[CHUNK];
	int status[CHUNK];
	long count, i;

	for (; start < end; start += count * PAGE_BYTES) {
		count = (end - start) / PAGE_BYTES;
		if (count > CHUNK)
			count = CHUNK;
		if (pagemap_read(pid, (void *)start, count, entries) ||
		    placement_query(pid, (void *)start, count, status))
			return -1;
		for (i = 0; i < count; i++)
			/* The zero page is present but has no node to leave. */
			if (entries[i] & PM_PRESENT && status[i] >= 0 &&
			    add_page(p, start + i * PAGE_BYTES,
				     pagemap_pfn(entries[i]), status[i]))
				return -1;
	}
	return 0;
}

int process_read(struct process *p, pid_t pid)
{
	char path[64], *line = NULL;
	uintptr_t start, end;
	size_t room = 0;
	int error = 0;
	FILE *file;

	p->count = 0;
	proc_path(path, sizeof(path), pid, "maps");
	file = fopen(path, "re");
	if (!file)
		return -1;
	while (!error && getline(&line, &room, file) > 0) {
		if (strstr(line, "[v") ||
		    sscanf(line, "%lx-%lx", &start, &end) != 2)
			continue;
		error = add_range(p, pid, start, end);
	}
	free(line);
	fclose(file);
	return error;
}

static int by_pfn(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static long count_distinct(uint64_t *pfn, long count)
{
	long i, distinct = 0;

	qsort(pfn, count, sizeof(*pfn), by_pfn);
	for (i = 0; i < count; i++)
		if (!i || pfn[i] != pfn[i - 1])
			distinct++;
	return distinct;
}

long process_frames_on(const struct process *p, unsigned long nodes)
{
	static uint64_t pfn[PROCESS_MAX_PAGES];
	long count = 0;
	int i;

	for (i = 0; i < p->count; i++)
		if (nodes & NODE(p->page[i].node))
			pfn[count++] = p->page[i].pfn;
	return count_distinct(pfn, count);
}

long process_frames_moved(const struct process *was,
			  const struct process *now)
{
	static uint64_t pfn[PROCESS_MAX_PAGES];
	long count = 0;
	int i, k = 0;

	for (i = 0; i < was->count; i++) {
		while (k < now->count && now->page[k].addr < was->page[i].addr)
			k++;
		if (k == now->count || now->page[k].addr != was->page[i].addr ||
		    now->page[k].pfn != was->page[i].pfn)
			pfn[count++] = was->page[i].pfn;
	}
	return count_distinct(pfn, count);
}
