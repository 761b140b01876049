// SPDX-License-Identifier: GPL-2.0-only
#include <string.h>
#include <sys/mman.h>

#include "nodes.h"
#include "placement.h"
#include "race_pages.h"

/* What no kernel writes: an entry that still holds it was not written. */
#define UNWRITTEN	-12345

static struct problems problems;

int contest_nodes(struct contest *c)
{
	unsigned long nodes = nodes_with_memory();

	int rival = nodes_of_cpu(race_last_cpu());

	c->node[0] = nodes_nth(nodes, 0);
	c->node[1] = nodes_nth(nodes, 1);
	if (rival > c->node[0] && nodes & NODE(rival))
		c->node[1] = rival;
	return c->node[1] < 0 ? -1 : 0;
}

int contest_begin(struct contest *c)
{
	struct pages *p = &c->pages;
	char *arrays;
	long i;

	arrays = mmap(NULL, p->count * (sizeof(void *) + 3 * sizeof(int)),
		      PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (arrays == MAP_FAILED)
		return -1;
	c->addrs = (void *)arrays;
	c->nodes = (void *)(c->addrs + p->count);
	c->status = c->nodes + p->count;
	c->seen = c->status + p->count;
	if (!c->flags)
		c->flags = MPOL_MF_MOVE;
	pages_want_all(p, c->node[0]);
	if (pages_populate(p) || *pages_snapshot(p))
		return -1;
	for (i = 0; i < p->count; i++) {
		c->addrs[i] = pages_at(p, i);
		c->seen[i] = c->node[0];
	}
	return counters_read(&c->before);
}

static void move_to(struct contest *c, int node)
{
	long i;

	for (i = 0; i < c->pages.count; i++) {
		c->nodes[i] = node;
		c->status[i] = UNWRITTEN;
	}
	c->result = numa_move_pages(0, c->pages.count, c->addrs, c->nodes,
				    c->status, c->flags);
}

void contest_move(void *contest, int round)
{
	struct contest *c = contest;

	move_to(c, c->node[(round + 1) % 2]);
}

/*
 * A page may be gone for a while (ENOENT), its mapping too (EFAULT), isolated
 * by the rival (EBUSY) or mapped by another process as well (EACCES).
 */
static bool is_told_truly(const struct contest *c, long i)
{
	switch (c->status[i]) {
	case UNWRITTEN:
	case -ENOENT:
	case -EFAULT:
	case -EBUSY:
	case -EACCES:
		return true;
	default:
		return c->status[i] == c->nodes[i];
	}
}

static void judge_page(struct contest *c, long i, int is)
{
	if (is != c->node[0] && is != c->node[1])
		problems_add(&problems, "page %ld is on %d", i, is);
	if (is != c->seen[i])
		c->moved++;
	c->seen[i] = is;
	if (!is_told_truly(c, i))
		problems_add(&problems, "page %ld to %d has status %d", i,
			     c->nodes[i], c->status[i]);
}

const char *contest_judge(void *contest, int round)
{
	struct contest *c = contest;
	int is[c->pages.count];
	long i, bad;

	(void)round;
	problems_clear(&problems);
	if (c->wrong)
		problems_add(&problems, "%s", c->wrong);
	/* Positive: what has stayed behind. */
	if (c->result < 0 || c->result > c->pages.count)
		problems_add(&problems, "move_pages(2): %ld", c->result);
	bad = pages_bad(&c->pages);
	if (bad)
		problems_add(&problems, "%ld pages lost their content", bad);
	if (placement_query(0, c->pages.addr, c->pages.count, is))
		return "cannot ask where the pages are";
	for (i = 0; i < c->pages.count; i++)
		judge_page(c, i, is[i]);
	return problems_text(&problems);
}

/* With nobody else about all pages move, each counted once. */
static const char *move_the_last_time(struct contest *c)
{
	struct pages *p = &c->pages;
	struct counters before;
	const char *problem;
	long i;

	for (i = 0; i < p->count; i++)
		pages_want(p, i, 1, c->seen[i]);
	problem = pages_snapshot(p);
	if (*problem)
		return problem;
	if (counters_read(&before))
		return "cannot read the counters";
	pages_want_all(p, c->node[1]);
	move_to(c, c->node[1]);
	if (c->result)
		return "a page is busy although nobody else is about";
	problem = pages_verify(p, "when the race was over");
	if (*problem)
		return problem;
	return counters_verify(&before, pages_to_move(p), 0);
}

const char *contest_end(struct contest *c)
{
	const char *problem;
	struct counters now;

	if (!c->acted)
		return "the rival got nothing done";
	problem = race_settled(&c->before);
	if (*problem)
		return problem;
	if (counters_read(&now))
		return "cannot read the counters";
	if (now.success == c->before.success)
		return "no page ever moved";
	/* Where another took the place of a page, that is not to be seen. */
	if (!c->replaces && now.success - c->before.success != c->moved)
		return "pgmigrate_success is not what moved";
	return move_the_last_time(c);
}

const char *contest_run_race(struct contest *c, struct race *race)
{
	const char *problem;

	if (!race->mover)
		race->mover = contest_move;
	if (!race->judge)
		race->judge = contest_judge;
	race->arg = c;
	if (contest_begin(c))
		return "cannot fill the pages on the first node";
	problem = race_run(race);
	return *problem ? problem : contest_end(c);
}

const char *contest_run(struct contest *c, race_fn rival, int rounds)
{
	struct race race = { .rival = rival, .rounds = rounds };

	return contest_run_race(c, &race);
}
