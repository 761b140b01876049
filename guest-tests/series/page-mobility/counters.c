// SPDX-License-Identifier: GPL-2.0-only
/*
 * The counters extfrag_* of /proc/vmstat: each counts what the event
 * kmem:mm_page_alloc_extfrag tells, by the type that was asked for and by
 * whether the pageblock changed hands, and in a mode that does not tell a type
 * apart there is nothing to count.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [EVENT_TRACING, VM_EVENT_COUNTERS]
 *   features: [page-mobility]
 *   timeout_s: 120
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "full.h"
#include "mixture.h"
#include "mobility.h"
#include "node_stat.h"
#include "pagetypes.h"
#include "problems.h"
#include "scene.h"
#include "syscalls.h"
#include "trace.h"

#define EVENT		"mm_page_alloc_extfrag"
#define SEED		3
/* 16 MiB: more than there is for such pages on a node that has just booted. */
#define ROOM_PIPED	4096
/* Of which one in HOLES is given back, so that no pageblock is free. */
#define FULL_PAGES	16384
#define HOLES		4
/*
 * What is left free of the full node besides the holes: less than the pages in
 * pipes need, and enough for what lies in the list of a CPU.
 */
#define LEAVE		(8L << 20)
#define FULL_PIPED	3072

enum how { CLAIM, STEAL, HOWS };

static const char *const how_names[HOWS] = { "claim", "steal" };

struct fallbacks {
	long count[HOWS][PAGETYPES];
};

static const char *name_of(int how, int type)
{
	static char name[64];
	size_t i;

	snprintf(name, sizeof(name), "extfrag_%s_%s", how_names[how],
		 pagetype_names[type]);
	for (i = 0; name[i]; i++)
		if (name[i] >= 'A' && name[i] <= 'Z')
			name[i] += 'a' - 'A';
	return name;
}

/* What the counters say. 0, or -1 if one is not there. */
static int read_counters(struct fallbacks *f)
{
	int how, type;

	for (how = 0; how < HOWS; how++)
		for (type = 0; type < PAGETYPES; type++) {
			f->count[how][type] = system_stat(name_of(how, type));
			if (f->count[how][type] < 0)
				return -1;
		}
	return 0;
}

/* What the events in @text say, up to @end. 0, or -1 for one that is not so. */
static int count_events(const char *text, const char *end, struct fallbacks *f)
{
	int type, changes;
	const char *at;

	memset(f, 0, sizeof(*f));
	while ((text = trace_next(text, EVENT)) && text < end) {
		at = strstr(text, " change_ownership=");
		if (!at || sscanf(at, " change_ownership=%d", &changes) != 1)
			return -1;
		at = strstr(text, " alloc_migratetype=");
		if (!at ||
		    sscanf(at, " alloc_migratetype=%d", &type) != 1 ||
		    type < 0 || type >= PAGETYPES)
			return -1;
		f->count[changes ? CLAIM : STEAL][type]++;
	}
	return 0;
}

FIXTURE(counters)
{
	int a;
	int b;
	enum mobility mode;
	struct trace trace;
	struct fallbacks before;
	struct fallbacks after;
	struct fallbacks inner;	/* events while nobody read the counters */
	struct fallbacks outer;	/* events from before to after it */
	struct mixture mixture;
};

FIXTURE_SETUP(counters)
{
	int bad;

	FIND_TWO_NODES(self, return);
	self->mode = mobility_asked(&bad);
	ASSERT_EQ(0, trace_begin(&self->trace));
	ASSERT_EQ(0, trace_write(&self->trace, "buffer_size_kb", "8192"));
}

FIXTURE_TEARDOWN(counters)
{
	EXPECT_EQ(0, trace_end(&self->trace));
}

/* Anybody's events, as the counters are everybody's. 0 or -1. */
static int watch(const struct trace *t, struct fallbacks *before)
{
	if (trace_event(t, "kmem/" EVENT, NULL) || read_counters(before))
		return -1;
	return trace_write(t, "trace_marker", "begin");
}

static int unwatch(const struct trace *t, struct fallbacks *after,
		   struct fallbacks *inner, struct fallbacks *outer)
{
	const char *begin, *end;
	char *text;
	int error;

	if (trace_write(t, "trace_marker", "end") || read_counters(after) ||
	    trace_write(t, "tracing_on", "0"))
		return -1;
	text = trace_text(t);
	begin = text ? strstr(text, "tracing_mark_write: begin") : NULL;
	end = begin ? strstr(begin, "tracing_mark_write: end") : NULL;
	error = end ? count_events(begin, end, inner) |
		      count_events(text, text + strlen(text), outer) : -1;
	free(text);
	return error;
}

/*
 * "" if each counter grew by its events: by no less than there were for certain
 * before it was read, and no more than after. Where nobody else allocates these
 * are the same.
 */
static const char *verify(const struct fallbacks *before,
			  const struct fallbacks *after,
			  const struct fallbacks *inner,
			  const struct fallbacks *outer)
{
	static struct problems p;
	int how, type;
	long grown;

	problems_clear(&p);
	for (how = 0; how < HOWS; how++) {
		for (type = 0; type < PAGETYPES; type++) {
			grown = after->count[how][type] -
				before->count[how][type];
			printf("# %s %+ld, events %ld to %ld\n",
			       name_of(how, type), grown,
			       inner->count[how][type],
			       outer->count[how][type]);
			if (grown < inner->count[how][type] ||
			    grown > outer->count[how][type])
				problems_add(&p, "%s: %+ld, events %ld to %ld",
					     name_of(how, type), grown,
					     inner->count[how][type],
					     outer->count[how][type]);
		}
	}
	return problems_text(&p);
}

/* What the mode does not tell apart has nothing to fall back to, since boot. */
static const char *verify_mode(const struct fallbacks *now, enum mobility mode)
{
	static struct problems p;
	int how, type;

	problems_clear(&p);
	for (how = 0; how < HOWS; how++)
		for (type = 0; type < PAGETYPES; type++)
			if (now->count[how][type] &&
			    (mode == MOBILITY_OFF ||
			     (mode == MOBILITY_LITE && type == RECLAIMABLE)))
				problems_add(&p, "%s is %ld since boot",
					     name_of(how, type),
					     now->count[how][type]);
	return problems_text(&p);
}

/* A node with room: pageblocks change hands, none is shared. */
TEST_F(counters, on_a_node_with_room)
{
	struct fallbacks *grown = &self->inner;

	ASSERT_EQ(0, watch(&self->trace, &self->before));
	ASSERT_EQ(0, mixture_pipe(&self->mixture, self->b, ROOM_PIPED, SEED));
	ASSERT_EQ(0, unwatch(&self->trace, &self->after, &self->inner,
			     &self->outer));
	EXPECT_CLEAN(verify(&self->before, &self->after, &self->inner,
			    &self->outer));
	EXPECT_CLEAN(verify_mode(&self->after, self->mode));
	EXPECT_EQ(0, grown->count[STEAL][UNMOVABLE]);
	if (self->mode == MOBILITY_OFF) {
		EXPECT_EQ(0, grown->count[CLAIM][UNMOVABLE]);
	} else {
		EXPECT_LT(0, grown->count[CLAIM][UNMOVABLE]);
	}
	EXPECT_EQ(0, mixture_end(&self->mixture));
}

/* Give back one page in HOLES, so that no pageblock of @addr is free. */
static int make_holes(char *addr)
{
	long i;

	for (i = 0; i < FULL_PAGES; i += HOLES)
		if (madvise(addr + i * PAGE_BYTES, PAGE_BYTES, MADV_DONTNEED))
			return -1;
	return 0;
}

static char *map_locally(int node)
{
	char *addr = mmap(NULL, FULL_PAGES * PAGE_BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long i;

	if (addr == MAP_FAILED ||
	    madvise(addr, FULL_PAGES * PAGE_BYTES, MADV_NOHUGEPAGE) ||
	    numa_mbind(addr, FULL_PAGES * PAGE_BYTES, MPOL_BIND, NODE(node),
		       0))
		return NULL;
	for (i = 0; i < FULL_PAGES; i++)
		addr[i * PAGE_BYTES] = 1;
	return addr;
}

/*
 * A full node with a hole in every fourth page: pages that can't be moved have
 * to go between those that can, one by one, where they are told apart.
 */
TEST_F(counters, on_a_full_node)
{
	struct fallbacks *grown = &self->inner;
	struct full full;
	char *addr;

	ASSERT_EQ(0, full_begin(&full));
	addr = map_locally(self->b);
	ASSERT_NE(NULL, addr);
	ASSERT_EQ(0, full_take(&full, self->b, LEAVE));
	ASSERT_EQ(0, make_holes(addr));
	ASSERT_EQ(0, watch(&self->trace, &self->before));
	ASSERT_EQ(0, mixture_pipe(&self->mixture, self->b, FULL_PIPED, SEED));
	ASSERT_EQ(0, unwatch(&self->trace, &self->after, &self->inner,
			     &self->outer));
	EXPECT_CLEAN(verify(&self->before, &self->after, &self->inner,
			    &self->outer));
	EXPECT_CLEAN(verify_mode(&self->after, self->mode));
	if (self->mode == MOBILITY_OFF) {
		EXPECT_EQ(0, grown->count[STEAL][UNMOVABLE]);
	} else {
		EXPECT_LT(0, grown->count[STEAL][UNMOVABLE]);
	}
	EXPECT_EQ(0, full_give_back(&full));
	EXPECT_EQ(0, full_end(&full));
	EXPECT_EQ(0, mixture_end(&self->mixture));
	EXPECT_CLEAN(pagetypes_astray());
}

TEST_HARNESS_MAIN
