// SPDX-License-Identifier: GPL-2.0-only
#include <stdbool.h>
#include <string.h>

#include "counters.h"
#include "relocate.h"

/* What no kernel writes: an entry that still holds it was not written. */
#define UNWRITTEN	-12345

static struct counters before;
static struct problems problems;
static struct counters_want want;

/* From the last snapshot on. */
static const char *begin(struct pages *p, const struct relocation *r)
{
	long i;

	problems_clear(&problems);
	for (i = 0; i < p->count; i++)
		if (p->was[i].status >= 0)
			pages_want(p, i, 1, r->node);
	if (!pages_to_move(p))
		problems_add(&problems, "no page to move to node %d", r->node);
	if (counters_read(&before))
		problems_add(&problems, "reading the counters: %m");
	want = (struct counters_want){ .thps_moved = r->thps };
	return problems_text(&problems);
}

const char *relocate(struct pages *p, const struct relocation *r)
{
	void *addrs[p->count];
	int nodes[p->count], status[p->count];
	const char *problem = pages_snapshot(p);
	long i, count = 0, result;

	if (!*problem)
		problem = begin(p, r);
	if (*problem)
		return problem;
	for (i = 0; i < p->count; i += r->step) {
		if (p->was[i].status < 0)
			continue;
		addrs[count] = pages_at(p, i);
		nodes[count] = r->node;
		status[count++] = UNWRITTEN;
	}
	result = numa_move_pages(p->pid, count, addrs, nodes, status,
				 r->flags);
	if (result)
		problems_add(&problems, "move_pages(2): wanted 0, is %ld",
			     result);
	if (memcmp(nodes, status, count * sizeof(*nodes)))
		problems_add(&problems, "statuses: wanted node %d, are %s",
			     r->node, placement_statuses(status, count));
	return problems_text(&problems);
}

const char *relocate_by_mbind(struct pages *p, const struct relocation *r)
{
	const char *problem = pages_snapshot(p);

	return *problem ? problem : relocate_unseen_by_mbind(p, r);
}

const char *relocate_unseen_by_mbind(struct pages *p,
				     const struct relocation *r)
{
	const char *problem = begin(p, r);
	long result;

	if (*problem)
		return problem;
	result = numa_mbind(p->addr, p->count * PAGE_BYTES, MPOL_BIND,
			    NODE(r->node), r->flags | MPOL_MF_STRICT);
	if (result)
		problems_add(&problems, "mbind(2): wanted 0, is %ld", result);
	return problems_text(&problems);
}

const char *relocate_verify(struct pages *p, const char *what)
{
	const char *problem = pages_verify(p, what);

	if (*problem)
		return problem;
	want.moved = pages_to_move(p);
	return counters_verify_all(&before, &want);
}

static const char *whole(struct pages *p, int node, int flags, bool by_mbind,
			 const char *what)
{
	const struct relocation r = { .node = node, .flags = flags, .step = 1 };
	const char *problem;

	problem = by_mbind ? relocate_by_mbind(p, &r) : relocate(p, &r);
	return *problem ? problem : relocate_verify(p, what);
}

const char *relocate_to(struct pages *p, int node, const char *what)
{
	return whole(p, node, MPOL_MF_MOVE, false, what);
}

const char *relocate_to_by_mbind(struct pages *p, int node, const char *what)
{
	return whole(p, node, MPOL_MF_MOVE, true, what);
}

const char *relocate_all_to(struct pages *p, int node, const char *what)
{
	return whole(p, node, MPOL_MF_MOVE_ALL, false, what);
}

const char *relocate_all_to_by_mbind(struct pages *p, int node,
				     const char *what)
{
	return whole(p, node, MPOL_MF_MOVE_ALL, true, what);
}

long relocate_drain(void)
{
	int nothing = 0;

	/* do_pages_move() drains, also where it has no page to move (6.12). */
	return numa_move_pages(0, 0, (void **)&nothing, &nothing, &nothing,
			       MPOL_MF_MOVE);
}
