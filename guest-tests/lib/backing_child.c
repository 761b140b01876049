// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>

#include "backing_child.h"
#include "kernel.h"
#include "syscalls.h"

/* By address: the child has a copy of what the parent mapped, in one place. */
static struct area *of_child;

int area_child_map(struct area_child *c, const struct backing *backing,
		   int node)
{
	of_child = &c->area;
	return area_map(&c->area, backing, &c->subject.pages, node);
}

static long fill(struct pages *p)
{
	(void)p;
	return area_fill(of_child);
}

long area_child_start(struct area_child *c)
{
	return subject_start(&c->subject, fill);
}

const char *area_child_look(struct area_child *c)
{
	const char *problem = subject_look(&c->subject);

	return *problem ? problem : c->area.backing->check(&c->area);
}

const char *area_child_verify(struct area_child *c, int to, const char *what)
{
	return area_child_verify_moved(c, to, MPOL_MF_MOVE_ALL, what);
}

const char *area_child_verify_moved(struct area_child *c, int to,
				    unsigned int flags, const char *what)
{
	struct subject *s = &c->subject;
	struct counters_want want = { 0 };
	const char *problem;

	area_count(&c->area, &want, s->pages.count, to, flags);
	if (area_moves(&c->area, flags))
		area_want_all(&c->area, to);
	s->thps = want;
	s->thps.failed = 0;
	/* What subject_moved() cannot see: pages of a THP that nobody maps. */
	s->thps.moved -= pages_to_move(&s->pages);
	problem = subject_verify(s, want.failed, what);
	return *problem ? problem : c->area.backing->check(&c->area);
}

/*
 * Since 6.7 it counts what cannot be isolated, and a page that is met again at
 * another address is that, having been isolated at the first: it is counted,
 * and moves (queue_folios_pte_range() says so). What is not to move as others
 * map it is not tried, so not counted.
 */
long area_child_left(const struct area_child *c, int to, unsigned int flags)
{
	const struct backing *b = c->area.backing;

	if (b->fate == FATE_PINNED ||
	    (b->twice && area_moves(&c->area, flags) && !kernel_before(6, 7)))
		return area_misplaced(&c->area, b->count, to);
	return 0;
}

static long finish(struct pages *p)
{
	const char *problem = area_finish(of_child);

	(void)p;
	if (!*problem)
		return 0;
	printf("# in the child: %s\n", problem);
	fflush(stdout);
	return -1;
}

long area_child_finish(struct area_child *c)
{
	return holder_call(&c->subject.holder, finish) ? :
	       holder_end(&c->subject.holder);
}
