// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a page costs directly, via swap and with the fallback (disadvantage A
 * of 2005: having to go through swap is slower). Of eviction the call and the
 * touch that brings the page back are told apart: the one waits for the writes,
 * the other for the reads, and a page that nobody touches costs the call alone.
 *
 * Times are of this guest and its disk. What is asserted is that each way does
 * what it is measured for.
 *
 * testbed:
 *   nodes: 2
 *   swap_mib: 128
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, SWAP]
 *   features: [swap-migration]
 *   timeout_s: 240   # over the harness's own 200 s
 */
#include <stdio.h>
#include <sys/mman.h>

#include "harness.h"

#include "evict.h"
#include "full_scene.h"
#include "metric.h"
#include "node_stat.h"
#include "placement.h"
#include "relocate.h"
#include "scene.h"

/* 16 MiB. */
#define COUNT		4096
#define RUNS		3

#define MOVE		MPOL_MF_MOVE
#define STRICT		MPOL_MF_STRICT

static void print(const char *way, const char *part, double value,
		  const char *unit)
{
	char name[64];

	snprintf(name, sizeof(name), "swap_migration_%s_%s", way, part);
	metric_print(name, value, unit);
}

static void print_cost(const char *way, const char *part, double us, long pages)
{
	print(way, part, us / pages, "us/page");
}

/* Microseconds that the touch of all pages takes. */
static double touch(const struct pages *p)
{
	double begin = metric_now_us();
	long i;

	for (i = 0; i < p->count; i++)
		pages_read(p, i);
	return metric_now_us() - begin;
}

FIXTURE(cost)
{
	int a;
	int b;
};

FIXTURE_VARIANT(cost)
{
	const char *way;
	unsigned int flags;
};

FIXTURE_VARIANT_ADD(cost, direct)
{
	.way = "direct",
	.flags = 0,
};

FIXTURE_VARIANT_ADD(cost, evict)
{
	.way = "evict",
	.flags = MPOL_MF_EVICT,
};

/* There is room: what the other allocation and the bookkeeping cost. */
FIXTURE_VARIANT_ADD(cost, fallback)
{
	.way = "fallback",
	.flags = MPOL_MF_FALLBACK,
};

FIXTURE_SETUP(cost)
{
	FIND_TWO_NODES(self, return);
}

FIXTURE_TEARDOWN(cost)
{
}

TEST_F_TIMEOUT(cost, room, 200)
{
	double call = 0, back = 0, begin;
	long swapped = system_stat("pgmigrate_swapped");
	struct pages p;
	int run;

	for (run = 0; run < RUNS; run++) {
		ASSERT_CLEAN(scene_pages(&p, COUNT, MAP_PRIVATE, self->a));
		begin = metric_now_us();
		ASSERT_EQ(0, evict_bind(&p, 0, COUNT, self->b,
					MOVE | STRICT | variant->flags));
		call += metric_now_us() - begin;
		back += touch(&p);
		ASSERT_EQ(0, relocate_drain());
		pages_want_all(&p, self->b);
		ASSERT_CLEAN(pages_verify(&p, variant->way));
		ASSERT_EQ(0, munmap(p.addr, COUNT * PAGE_BYTES));
	}
	EXPECT_EQ(variant->flags & MPOL_MF_EVICT ? RUNS * COUNT : 0,
		  system_stat("pgmigrate_swapped") - swapped);
	print_cost(variant->way, "call", call, RUNS * COUNT);
	print_cost(variant->way, "touch", back, RUNS * COUNT);
}

FIXTURE(cost_full)
{
	struct full_scene scene;
	struct pages pages;
};

FIXTURE_VARIANT(cost_full)
{
	const char *way;
	unsigned int flags;
};

/* As mainline: room is made with what has just come, all else is locked. */
FIXTURE_VARIANT_ADD(cost_full, direct)
{
	.way = "full_direct",
	.flags = 0,
};

FIXTURE_VARIANT_ADD(cost_full, fallback)
{
	.way = "full_fallback",
	.flags = MPOL_MF_FALLBACK,
};

FIXTURE_SETUP(cost_full)
{
	ASSERT_CLEAN(full_scene_begin(&self->scene));
	ASSERT_LT(0, self->scene.swap.count);
}

FIXTURE_TEARDOWN(cost_full)
{
	EXPECT_CLEAN(full_scene_end(&self->scene));
}

/* A full target: 48 MiB to a node with room for about a fifth of it. */
TEST_F_TIMEOUT(cost_full, full, 200)
{
	struct full_scene *scene = &self->scene;
	struct pages *p = &self->pages;
	long copied, swapped, written;
	double begin, call;

	ASSERT_CLEAN(full_scene_own(scene, p));
	ASSERT_CLEAN(full_scene_fill(scene));
	ASSERT_EQ(0, full_scene_resume_swap(scene));
	copied = system_stat("pgmigrate_success");
	swapped = system_stat("pgmigrate_swapped");
	written = system_stat("pswpout");
	begin = metric_now_us();
	EXPECT_EQ(0, evict_bind(p, 0, p->count, scene->b,
				MOVE | STRICT | variant->flags));
	call = metric_now_us() - begin;
	copied = system_stat("pgmigrate_success") - copied;
	swapped = system_stat("pgmigrate_swapped") - swapped;
	written = system_stat("pswpout") - written;
	EXPECT_EQ(p->count, copied + swapped);
	EXPECT_EQ(variant->flags != 0, swapped > 0);
	print(variant->way, "copied", copied, "pages");
	print(variant->way, "swapped", swapped, "pages");
	print(variant->way, "written", written, "pages");
	print_cost(variant->way, "call", call, p->count);
	ASSERT_EQ(0, full_give_back(&scene->full));
	print_cost(variant->way, "touch", touch(p), p->count);
	pages_want_all(p, scene->b);
	/* Some are new frames of the node that they were on already. */
	EXPECT_CLEAN(pages_snapshot(p));
	EXPECT_EQ(0, pages_bad(p));
}

TEST_HARNESS_MAIN
