// SPDX-License-Identifier: GPL-2.0-only
/*
 * The types of the pageblocks, and of the free pages in them, before, during
 * and after the same workload in each of the modes.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA]
 *   features: [page-mobility]
 *   timeout_s: 60
 *   quick: ["blocks.by_mode"]
 */
#include "harness.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kernel.h"
#include "metric.h"
#include "mixture.h"
#include "mobility.h"
#include "node_stat.h"
#include "pagetypes.h"
#include "problems.h"
#include "proc.h"
#include "ramfs.h"
#include "scene.h"

#define SEED		1
/* 64 MiB, in which there are 256 pages in pipes and some 4096 files. */
#define USERS		16384
#define BOOST		"/proc/sys/vm/watermark_boost_factor"

FIXTURE(blocks)
{
	int a;
	int b;
	enum mobility mode;
	char boost[32];
	struct pagetypes before;
	long free_before;
	struct mixture mixture;
};

FIXTURE_SETUP(blocks)
{
	int bad;

	FIND_TWO_NODES(self, return);
	self->mode = mobility_asked(&bad);
	ASSERT_EQ(0, ramfs_begin());
	/* Or kswapd reclaims for each fallback, and what is free is luck. */
	ASSERT_LT(0, proc_read(BOOST, self->boost, sizeof(self->boost)));
	ASSERT_EQ(0, proc_write(BOOST, "0"));
	ASSERT_EQ(0, pagetypes_read(&self->before, self->b));
	self->free_before = node_free(self->b);
	ASSERT_EQ(0, mixture_begin(&self->mixture, self->b, USERS, MIXTURE_DENSE,
				   SEED));
}

FIXTURE_TEARDOWN(blocks)
{
	EXPECT_EQ(0, proc_write(BOOST, self->boost));
}

/* "" if there are none but those that the mode tells apart. */
static const char *only_types_of(const struct pagetypes *t, enum mobility mode)
{
	static struct problems p;
	int type, last = mode == MOBILITY_OFF ? UNMOVABLE :
			 mode == MOBILITY_LITE ? MOVABLE : RECLAIMABLE;

	problems_clear(&p);
	for (type = last + 1; type < PAGETYPES; type++)
		if (t->blocks[type] || t->free[type])
			problems_add(&p, "%s: %ld pageblocks, %ld free pages",
				     pagetype_names[type], t->blocks[type],
				     t->free[type]);
	if (t->isolated)
		problems_add(&p, "%ld isolated", t->isolated);
	return problems_text(&p);
}

static void print_blocks(const char *when, const struct pagetypes *t)
{
	char name[64];
	int type;

	for (type = 0; type < PAGETYPES; type++) {
		snprintf(name, sizeof(name), "%s_blocks_%s", pagetype_names[type],
			 when);
		metric_print(name, t->blocks[type], "blocks");
	}
}

/* All nodes: the memory of the boot was dealt out by the mode, too. */
TEST_F(blocks, by_mode)
{
	struct pagetypes now;

	ASSERT_EQ(0, pagetypes_read(&now, -1));
	EXPECT_CLEAN(only_types_of(&now, self->mode));
	ASSERT_EQ(0, pagetypes_read(&now, self->b));
	EXPECT_CLEAN(only_types_of(&now, self->mode));
	print_blocks("held", &now);
	if (self->mode != MOBILITY_OFF) {
		/* 64 MiB of the user's, and a few of the kernel's. */
		EXPECT_LE(USERS / now.block_pages, now.blocks[MOVABLE]);
		EXPECT_GT(now.blocks[MOVABLE] / 4, now.blocks[UNMOVABLE]);
	}
	if (self->mode == MOBILITY_FULL) {
		EXPECT_LT(0, now.blocks[RECLAIMABLE]);
		EXPECT_LE(self->before.blocks[RECLAIMABLE],
			  now.blocks[RECLAIMABLE]);
	}
	EXPECT_EQ(0, mixture_end(&self->mixture));
}

/* Whatever their types, there are as many, and free pages lie in their own. */
TEST_F(blocks, none_is_lost)
{
	const long all = pagetypes_blocks(&self->before);
	struct pagetypes now;

	ASSERT_EQ(0, pagetypes_read(&now, self->b));
	EXPECT_EQ(all, pagetypes_blocks(&now));
	EXPECT_CLEAN(pagetypes_astray());

	ASSERT_EQ(0, mixture_drop_users(&self->mixture));
	ASSERT_EQ(0, mixture_drop_files(&self->mixture));
	ASSERT_EQ(0, pagetypes_read(&now, self->b));
	EXPECT_EQ(all, pagetypes_blocks(&now));
	EXPECT_CLEAN(pagetypes_astray());
	EXPECT_CLEAN(only_types_of(&now, self->mode));
	print_blocks("left", &now);
	EXPECT_EQ(0, mixture_end(&self->mixture));
}

/* All is given back but a little of what the kernel keeps at hand. */
TEST_F(blocks, memory_comes_back)
{
	/* 4 MiB: slabs that are not yet empty; KASAN keeps freed objects. */
	const long slack = kernel_is_checked() ? 2048 : 1024;

	EXPECT_GT(self->free_before - USERS, node_free(self->b));
	EXPECT_EQ(0, mixture_drop_users(&self->mixture));
	EXPECT_EQ(0, mixture_drop_files(&self->mixture));
	EXPECT_EQ(0, mixture_end(&self->mixture));
	EXPECT_LE(self->free_before - slack, node_free(self->b));
}

TEST_HARNESS_MAIN
