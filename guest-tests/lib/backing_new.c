// SPDX-License-Identifier: GPL-2.0-only
#include "backing_new.h"
#include "placement.h"
#include "syscalls.h"

const char *area_fill_by_policy(struct area *area, int node, const char *what)
{
	const char *problem;

	area->pages->by_policy = true;
	area->home = node;
	if (area_fill(area))
		return "the area cannot be filled";
	problem = pages_snapshot(area->pages);
	return *problem ? problem : area_verify(area, what);
}

/* What is behind the last page is there by now. */
static const char *missing_is_on(struct area *area, int node)
{
	const long missing = area->backing->missing;
	struct pages *p = area->pages;
	int status[missing + 1];
	long i;

	if (placement_query(0, pages_at(p, p->count), missing, status))
		return "move_pages(2) query fails";
	for (i = 0; i < missing; i++)
		if (status[i] != node)
			return "what was missing is not where the policy says";
	return "";
}

const char *area_finish_by_policy(struct area *area, int node)
{
	const char *problem;

	area->policy = node;
	problem = area_finish(area);
	if (*problem)
		return problem;
	if (area->backing->missing)
		return missing_is_on(area, node);
	if (!area->backing->renews)
		return "";
	pages_want_all(area->pages, node);
	return pages_snapshot(area->pages);
}

static long bytes_of(const struct area *area)
{
	return (area->backing->count + area->backing->missing) * PAGE_BYTES;
}

long area_bind_range(const struct area *area, int mode, unsigned long nodes)
{
	const long bytes = bytes_of(area);

	return numa_mbind(area->pages->addr, bytes, mode, nodes, 0) ? :
	       !area->twin ? 0 : numa_mbind(area->twin, bytes, mode, nodes, 0);
}

long area_give_home(const struct area *area, int node)
{
	const long bytes = bytes_of(area);

	return numa_home_node(area->pages->addr, bytes, node, 0) ? :
	       !area->twin ? 0 : numa_home_node(area->twin, bytes, node, 0);
}
