// SPDX-License-Identifier: GPL-2.0-only
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "nodes.h"
#include "pattern.h"
#include "placement.h"
#include "policy.h"
#include "proc.h"

static bool takes_nodes(int mode)
{
	return mode != MPOL_DEFAULT && mode != MPOL_LOCAL;
}

const char *policy_text(int mode, unsigned long nodes)
{
	static const char *const names[] = {
		[MPOL_DEFAULT] = "default",
		[MPOL_PREFERRED] = "prefer",
		[MPOL_BIND] = "bind",
		[MPOL_INTERLEAVE] = "interleave",
		[MPOL_LOCAL] = "local",
		[MPOL_PREFERRED_MANY] = "prefer (many)",
		[MODE_WEIGHTED_INTERLEAVE] = "weighted interleave",
	};
	static char buffers[4][128];
	static int turn;
	char *text = buffers[turn++ % 4];
	int flags = mode & MPOL_MODE_FLAGS, fixed;

	mode &= ~MPOL_MODE_FLAGS;
	if (mode < 0 || mode > MODE_WEIGHTED_INTERLEAVE) {
		snprintf(text, sizeof(buffers[0]), "mode %d", mode);
		return text;
	}
	fixed = flags & (MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES);
	snprintf(text, sizeof(buffers[0]), "%s%s%s%s%s%s%s%s", names[mode],
		 flags ? "=" : "",
		 flags & MPOL_F_STATIC_NODES ? "static" : "",
		 flags & MPOL_F_RELATIVE_NODES ? "relative" : "",
		 fixed && flags != fixed ? "|" : "",
		 flags & MPOL_F_NUMA_BALANCING ? "balancing" : "",
		 takes_nodes(mode) && nodes ? ":" : "",
		 takes_nodes(mode) ? nodes_text(nodes) : "");
	return text;
}

const char *policy_check_asked(struct pages *p, long index, int mode,
			       unsigned long asked, unsigned long governs)
{
	const char *want = policy_text(mode, asked);
	const char *shown = policy_text(mode, governs);
	const char *seen = p->pid ? want : pages_policy(p, index);
	char text[64];

	problems_clear(&p->problems);
	if (strcmp(want, seen))
		problems_add(&p->problems,
			     "page %ld: get_mempolicy: wanted %s, is %s", index,
			     want, seen);
	placement_policy(p->pid, pages_at(p, index), text, sizeof(text));
	if (strcmp(shown, text))
		problems_add(&p->problems,
			     "page %ld: numa_maps: wanted %s, is %s", index,
			     shown, text);
	return problems_text(&p->problems);
}

const char *policy_check(struct pages *p, long index, int mode,
			 unsigned long nodes)
{
	return policy_check_asked(p, index, mode, nodes, nodes);
}

const char *policy_check_amid(struct pages *p, long first, long count, int node)
{
	const char *bound = policy_text(MPOL_BIND, NODE(node)), *want, *is;
	long i;

	problems_clear(&p->problems);
	for (i = first - 1; i <= first + count; i++) {
		want = i < first || i == first + count ? "default" : bound;
		is = pages_policy(p, i);
		if (strcmp(want, is))
			problems_add(&p->problems,
				     "page %ld: wanted %s, is %s", i, want, is);
	}
	return problems_text(&p->problems);
}

long policy_bind(const struct pages *p, long first, long count, int mode,
		 unsigned long nodes, int flags)
{
	return numa_mbind(pages_at(p, first), count * PAGE_BYTES, mode, nodes,
			  flags);
}

int policy_interleaved(unsigned long nodes, unsigned long index)
{
	return nodes_nth(nodes, index % nodes_count(nodes));
}

void policy_fault(const struct pages *p, long first, long count)
{
	for (; count--; first++)
		pattern_fill(pages_at(p, first), p->seed, first);
}

/* The CPUs of a node, as a set. */
static unsigned long cpus_of(int node)
{
	char path[64], list[256];

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpulist",
		 node);
	return proc_read(path, list, sizeof(list)) < 0 ? 0 : nodes_parse(list);
}

unsigned long policy_nodes_with_cpu(void)
{
	unsigned long nodes = 0;
	int node;

	for (node = 0; node < MAX_NODES; node++)
		if (cpus_of(node))
			nodes |= NODE(node);
	return nodes;
}

int policy_distance(int from, int to)
{
	char path[64], text[256], *word = text;
	int node;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/distance",
		 from);
	if (proc_read(path, text, sizeof(text)) < 0)
		return -1;
	/* Of online nodes only; those of these machines are 0, 1, 2, ... */
	for (node = 0; node < to; node++)
		word += strcspn(word, " ") + 1;
	return atoi(word);
}

const char *placed_start(struct placed *t, long count, long present,
			 int sharing)
{
	unsigned long nodes = nodes_with_memory();

	t->a = nodes_nth(nodes, 0);
	t->b = nodes_nth(nodes, 1);
	t->c = nodes_nth(nodes, 2);
	if (t->b < 0)
		return "needs 2 nodes with memory";
	if (pages_map(&t->pages, count, sharing))
		return "cannot map pages";
	pages_want(&t->pages, 0, present, t->a);
	if (pages_populate(&t->pages))
		return "cannot populate the pages";
	return placed_look(t);
}

const char *placed_look(struct placed *t)
{
	const char *problem = pages_snapshot(&t->pages);

	if (*problem)
		return problem;
	return counters_read(&t->before) ? "cannot read counters" : "";
}

const char *placed_verify(struct placed *t, long failed, const char *what)
{
	const char *problem = pages_verify(&t->pages, what);
	const struct pages *p = &t->pages;
	long i, moved = 0;

	/* A page that is there for the first time did not move. */
	for (i = 0; i < p->count; i++)
		moved += p->want[i] >= 0 && p->was[i].status >= 0 &&
			 p->want[i] != p->was[i].status;
	if (*problem)
		return problem;
	return counters_verify(&t->before, moved, failed);
}
