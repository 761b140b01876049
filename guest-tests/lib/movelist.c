// SPDX-License-Identifier: GPL-2.0-only
#include <string.h>
#include <sys/mman.h>

#include "movelist.h"
#include "placement.h"
#include "syscalls.h"

/* Entries that a message names one by one. */
#define SHOWN	4

int movelist_make(struct movelist *list, const struct pages *p, long count,
		  int node)
{
	const size_t each = sizeof(void *) + 3 * sizeof(int);
	long i;

	memset(list, 0, sizeof(*list));
	/* Populated: no fault of ours is to land in a measurement. */
	list->addrs = mmap(NULL, (count + 1) * each, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (list->addrs == MAP_FAILED)
		return -1;
	list->count = count;
	list->nodes = (int *)(list->addrs + count + 1);
	list->status = list->nodes + count + 1;
	list->want = list->status + count + 1;
	for (i = 0; i < count; i++)
		list->addrs[i] = pages_at(p, i % p->count);
	movelist_send(list, 0, count, node);
	movelist_want(list, count, 1, UNWRITTEN);
	movelist_clear(list);
	return 0;
}

void movelist_send(struct movelist *list, long first, long count, int node)
{
	movelist_want(list, first, count, node);
	while (count--)
		list->nodes[first++] = node;
}

void movelist_want(struct movelist *list, long first, long count, int status)
{
	while (count--)
		list->want[first++] = status;
}

void movelist_clear(struct movelist *list)
{
	long i;

	for (i = 0; i <= list->count; i++)
		list->status[i] = UNWRITTEN;
}

long movelist_call(struct movelist *list, pid_t pid, int flags)
{
	return numa_move_pages(pid, list->count, list->addrs,
			       flags ? list->nodes : NULL, list->status, flags);
}

const char *movelist_check(struct movelist *list)
{
	long i, wrong = 0;

	problems_clear(&list->problems);
	for (i = 0; i <= list->count; i++) {
		if (list->status[i] == list->want[i] || ++wrong > SHOWN)
			continue;
		problems_add(&list->problems, "entry %ld: wanted %s, is %s", i,
			     placement_statuses(&list->want[i], 1),
			     placement_statuses(&list->status[i], 1));
	}
	if (wrong > SHOWN)
		problems_add(&list->problems, "%ld more entries",
			     wrong - SHOWN);
	return problems_text(&list->problems);
}
