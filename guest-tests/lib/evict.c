// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <linux/kernel-page-flags.h>

#include "evict.h"
#include "node_stat.h"
#include "proc.h"
#include "relocate.h"

#define MODE	"/proc/sys/vm/migrate_mode"
#define EVENT	"migrate/mm_migrate_evict"

int evict_read(struct evict_counts *counts)
{
	if (counters_read(&counts->counters))
		return -1;
	counts->swapped = system_stat("pgmigrate_swapped");
	counts->written = system_stat("pswpout");
	counts->zeroes = system_stat("swpout_zero");
	counts->read = system_stat("pswpin");
	return counts->swapped < 0 || counts->written < 0 ||
	       counts->zeroes < 0 || counts->read < 0 ? -1 : 0;
}

static void check_delta(struct problems *p, const char *name, long was,
			long now, long wanted)
{
	if (now - was != wanted)
		problems_add(p, "%s: wanted %+ld, is %+ld", name, wanted,
			     now - was);
}

const char *evict_verify(const struct evict_counts *before,
			 const struct evict_want *want)
{
	static struct problems p;
	struct evict_counts now;
	const char *problem;

	problem = counters_verify(&before->counters, want->copied,
				  want->failed);
	if (*problem)
		return problem;
	problems_clear(&p);
	if (evict_read(&now)) {
		problems_add(&p, "reading the counts: %m");
		return problems_text(&p);
	}
	check_delta(&p, "pgmigrate_swapped", before->swapped, now.swapped,
		    want->swapped);
	check_delta(&p, "pswpout", before->written, now.written,
		    want->written);
	check_delta(&p, "swpout_zero", before->zeroes, now.zeroes,
		    want->zeroes);
	check_delta(&p, "pswpin", before->read, now.read, want->read);
	return problems_text(&p);
}

long evict_bind(const struct pages *p, long first, long count, int node,
		unsigned int flags)
{
	return numa_mbind(pages_at(p, first), count * PAGE_BYTES, MPOL_BIND,
			  NODE(node), flags);
}

void evict_want_out(struct pages *p, long first, long count)
{
	pages_want(p, first, count, UNTOUCHED);
}

const char *evict_out(struct pages *p, const char *what)
{
	const char *problem = pages_verify(p, what);
	unsigned char in[p->count];
	long i, held = 0;

	if (*problem)
		return problem;
	if (mincore(p->addr, p->count * PAGE_BYTES, in)) {
		problems_add(&p->problems, "mincore: %m");
		return problems_text(&p->problems);
	}
	for (i = 0; i < p->count; i++)
		held += p->want[i] == UNTOUCHED && in[i] & 1;
	if (held)
		problems_add(&p->problems, "%s: %ld pages are in memory", what,
			     held);
	return problems_text(&p->problems);
}

/* Want what was out on @node, and clean: it was written, and only read since. */
static const char *verify_back(struct pages *p, int node, const char *what)
{
	long i;

	for (i = 0; i < p->count; i++) {
		if (p->want[i] != UNTOUCHED)
			continue;
		p->want[i] = node;
		p->was[i].kflags &= ~(1UL << KPF_DIRTY);
	}
	/* Off the CPU's batch, on the LRU, as all others are. */
	return relocate_drain() ? "cannot drain the batches" :
				  pages_verify(p, what);
}

const char *evict_back(struct pages *p, int node, const char *what)
{
	long i;

	for (i = 0; i < p->count; i++)
		if (p->want[i] == UNTOUCHED)
			pages_read(p, i);
	return verify_back(p, node, what);
}

const char *evict_back_in(struct holder *child, holder_fn look,
			  struct pages *p, int node, const char *what)
{
	return holder_call(child, look) ?
		       "the child finds pages that lost their content" :
		       verify_back(p, node, what);
}

const char *evict_out_and_back(struct pages *p, int node, const char *what)
{
	const char *problem = evict_out(p, what);

	return *problem ? problem : evict_back(p, node, what);
}

int evict_set_mode(int mode)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", mode);
	return proc_write(MODE, text);
}

int evict_mode(void)
{
	char text[16];

	return proc_read(MODE, text, sizeof(text)) < 0 ? -1 : atoi(text);
}

int evict_trace(struct trace *t)
{
	return trace_begin(t) ? : trace_event(t, EVENT, NULL);
}

int evict_events(const struct trace *t, struct evict_event *events, int most)
{
	char *text = trace_text(t);
	const char *at = text;
	int count = 0;

	if (!text)
		return -1;
	while (count < most && (at = trace_next(at, "mm_migrate_evict"))) {
		struct evict_event *e = &events[count++];

		if (sscanf(at, "nr_swapped=%ld nr_dropped=%ld nr_failed=%ld reason=%31s",
			   &e->swapped, &e->dropped, &e->failed,
			   e->reason) != 4)
			count = -1;
		if (count < 0)
			break;
	}
	free(text);
	return count;
}
