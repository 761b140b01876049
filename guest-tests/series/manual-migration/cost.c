// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/<pid>/migrate of patches/manual-migration: what a page costs, as
 * metrics: by one range, by many small ones, by the whole, by each line of
 * maps, in an exchange; and by migrate_pages(2) and move_pages(2) of the same
 * pages of the same child. Each figure is the best of some turns there and
 * back. Nothing is asserted of them; that the pages moved, and how many, is.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: [manual-migration]
 *   timeout_s: 120   # over the harness's own 90 s
 */
#include "harness.h"

#include <sys/mman.h>

#include "holder.h"
#include "metric.h"
#include "migrate_file.h"
#include "pages.h"
#include "scene.h"
#include "syscalls.h"

/* 32 MiB: less than a window. */
#define COUNT		8192L
#define TURNS		6
#define SMALL		16L
#define EMPTY		200

struct bench {
	int a;
	int b;
	int fd;
	struct pages pages;
	struct holder holder;
	int turn;		/* even: from a to b */
	long moved;		/* told of in the last turn */
};

FIXTURE(cost)
{
	struct bench bench;
};

FIXTURE_SETUP(cost)
{
	struct bench *t = &self->bench;

	FIND_TWO_NODES(t, return);
	t->moved = 0;
	t->turn = 0;
	ASSERT_EQ(0, pages_map(&t->pages, COUNT, MAP_PRIVATE));
	ASSERT_EQ(0, madvise(t->pages.addr, COUNT * PAGE_BYTES,
			     MADV_NOHUGEPAGE));
	pages_want_all(&t->pages, t->a);
}

FIXTURE_TEARDOWN(cost)
{
}

static int from(const struct bench *t)
{
	return t->turn % 2 ? t->b : t->a;
}

static int to(const struct bench *t)
{
	return t->turn % 2 ? t->a : t->b;
}

static long add_told(struct bench *t)
{
	struct migrate_told told;

	if (migrate_file_read(t->fd, &told) || told.failed || told.shared)
		return -1;
	t->moved += told.moved;
	return 0;
}

static long by_ranges(struct bench *t, long pages)
{
	const char *map = migrate_map_one(from(t), to(t));
	long i;

	for (i = 0; i < t->pages.count; i += pages)
		if (migrate_file_ask_range(t->fd, &t->pages, i, pages, map) ||
		    add_told(t))
			return -1;
	return 0;
}

static long by_one_range(struct bench *t)
{
	return by_ranges(t, t->pages.count);
}

static long by_small_ranges(struct bench *t)
{
	return by_ranges(t, SMALL);
}

static long by_whole(struct bench *t)
{
	return migrate_file_ask_all(t->fd, migrate_map_one(from(t), to(t))) ? :
	       add_told(t);
}

/* Range by range of what maps says, as a manager from outside has it. */
static long by_maps(struct bench *t)
{
	struct migrate_told told;
	const char *problem;

	problem = migrate_file_ask_maps(t->fd, t->pages.pid,
					migrate_map_one(from(t), to(t)), &told);
	t->moved = told.moved;
	return *problem || told.failed || told.shared ? -1 : 0;
}

/* All that there is, in one direction or the other. */
static long by_exchange(struct bench *t)
{
	return migrate_file_ask_all(t->fd, migrate_map_two(t->a, t->b, t->b,
							   t->a)) ? :
	       add_told(t);
}

static long by_migrate_pages(struct bench *t)
{
	t->moved = t->pages.count;
	return numa_migrate_pages(t->pages.pid, NODE(from(t)), NODE(to(t)));
}

static long by_move_pages(struct bench *t)
{
	static void *addrs[COUNT];
	static int nodes[COUNT], status[COUNT];
	long i;

	for (i = 0; i < t->pages.count; i++) {
		addrs[i] = pages_at(&t->pages, i);
		nodes[i] = to(t);
	}
	t->moved = t->pages.count;
	return numa_move_pages(t->pages.pid, t->pages.count, addrs, nodes,
			       status, MPOL_MF_MOVE_ALL);
}

/* The best of the turns, in microseconds; -1 if one failed. */
static double measure(struct bench *t, long (*move)(struct bench *t))
{
	double best = 0, start, took;

	/* An even number: they are on node a again. */
	for (t->turn = 0; t->turn < TURNS; t->turn++) {
		t->moved = 0;
		start = metric_now_us();
		if (move(t) || t->moved < t->pages.count)
			return -1;
		took = metric_now_us() - start;
		if (!best || took < best)
			best = took;
	}
	return best;
}

static const struct {
	const char *name;
	long (*move)(struct bench *t);
} way[] = {
	{ "one_range", by_one_range },
	{ "small_ranges", by_small_ranges },
	{ "whole", by_whole },
	{ "maps", by_maps },
	{ "exchange", by_exchange },
	{ "migrate_pages", by_migrate_pages },
	{ "move_pages", by_move_pages },
};

#define MEASURE(populate, suffix) do {					\
	struct bench *_t = &self->bench;				\
	char _name[64];							\
	double _us;							\
	size_t _i;							\
									\
	ASSERT_EQ(0, holder_start(&_t->holder, &_t->pages, populate));	\
	_t->pages.pid = _t->holder.peer.pid;				\
	_t->fd = migrate_file_open(_t->pages.pid);			\
	ASSERT_LE(0, _t->fd);						\
	for (_i = 0; _i < ARRAY_SIZE(way); _i++) {			\
		_us = measure(_t, way[_i].move);			\
		EXPECT_LT(0, _us)					\
			TH_LOG("%s", way[_i].name);			\
		snprintf(_name, sizeof(_name), "%s" suffix,		\
			 way[_i].name);					\
		metric_print(_name, _us / COUNT, "us/page");		\
	}								\
	ASSERT_CLEAN(pages_snapshot(&_t->pages));			\
	EXPECT_EQ(0, holder_bad(&_t->holder));				\
	EXPECT_EQ(0, holder_end(&_t->holder));				\
	EXPECT_EQ(0, close(_t->fd));					\
} while (0)

TEST_F_TIMEOUT(cost, base_pages, 90)
{
	MEASURE(pages_populate, "");
}

/* What a page of a THP costs, of which 512 move as one. */
static long populate_thps(struct pages *p)
{
	return madvise(p->addr, p->count * PAGE_BYTES, MADV_HUGEPAGE) ? :
	       pages_populate(p);
}

TEST_F_TIMEOUT(cost, thps, 90)
{
	MEASURE(populate_thps, "_thp");
}

/* What a request costs that finds nothing to do: it waits for other CPUs. */
TEST_F_TIMEOUT(cost, nothing_to_do, 90)
{
	struct bench *t = &self->bench;
	double start, best = 0, sum = 0, took;
	int i;

	ASSERT_EQ(0, holder_start(&t->holder, &t->pages, pages_populate));
	t->fd = migrate_file_open(t->holder.peer.pid);
	ASSERT_LE(0, t->fd);
	for (i = 0; i < EMPTY; i++) {
		start = metric_now_us();
		ASSERT_EQ(0, migrate_file_ask_range(t->fd, &t->pages, 0, 1,
						    migrate_map_one(t->b,
								    t->a)));
		took = metric_now_us() - start;
		sum += took;
		if (!best || took < best)
			best = took;
		ASSERT_STREQ(migrate_file_text(0, 0, 0),
			     migrate_file_told(t->fd));
	}
	metric_print("empty_request", best, "us");
	metric_print("empty_request_mean", sum / EMPTY, "us");
	EXPECT_EQ(0, holder_end(&t->holder));
	EXPECT_EQ(0, close(t->fd));
}

TEST_HARNESS_MAIN
