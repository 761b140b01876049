// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/<pid>/migrate of patches/manual-migration where a node has no room.
 * The write says ENOMEM, and the file still says how many pages moved, which
 * neither migrate_pages(2) nor move_pages(2) does. Huge pages of hugetlbfs
 * without room are but counted: their pool says nothing of the node's memory.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: [manual-migration]
 *   timeout_s: 120   # over the harness's own 90 s
 *   cases:
 *     "no_huge_page.*": {kconfig: [HUGETLBFS, FAIL_PAGE_ALLOC,
 *       FAULT_INJECTION_DEBUG_FS]}
 */
#include "harness.h"

#include <sys/mman.h>

#include "counters.h"
#include "fail_alloc.h"
#include "full_scene.h"
#include "hugetlb.h"
#include "migrate_file_steps.h"
#include "pages.h"
#include "scene.h"

FIXTURE(full)
{
	struct full_scene scene;
	struct pages pages;
	struct counters before;
	int fd;
};

FIXTURE_SETUP(full)
{
	ASSERT_CLEAN(full_scene_begin(&self->scene));
	OPEN(0);
}

FIXTURE_TEARDOWN(full)
{
	EXPECT_EQ(0, close(self->fd));
	EXPECT_CLEAN(full_scene_end(&self->scene));
}

TEST_F_TIMEOUT(full, target, 90)
{
	struct full_scene *scene = &self->scene;
	const char *map = migrate_map_one(scene->a, scene->b);
	struct pages *p = &self->pages;
	struct migrate_told told;
	long moved;

	ASSERT_CLEAN(full_scene_own(scene, p));
	ASSERT_CLEAN(full_scene_fill(scene));
	ASSERT_EQ(0, counters_read(&self->before));
	EXPECT_EQ(-ENOMEM, migrate_file_ask_range(self->fd, p, 0, p->count,
						  map));
	moved = full_scene_want_as_found(scene, p);
	TH_LOG("%ld of %ld pages fitted", moved, p->count);
	EXPECT_LT(0, moved);
	EXPECT_GT(p->count, moved);
	EXPECT_CLEAN(pages_verify(p, "node b is full"));
	/* One is counted by the kernel, on which it gave up. */
	EXPECT_CLEAN(counters_verify(&self->before, moved, 1));
	ASSERT_EQ(0, migrate_file_read(self->fd, &told));
	EXPECT_EQ(moved, told.moved);
	/* Of the window of 64 MB in which that was, which they all may be. */
	EXPECT_LE(1, told.failed);
	EXPECT_GE(p->count - moved, told.failed);
	EXPECT_EQ(0, told.shared);

	/* Where there is room the same request goes on with the rest. */
	ASSERT_EQ(0, full_give_back(&scene->full));
	EXPECT_EQ(0, migrate_file_ask_range(self->fd, p, 0, p->count,
					    migrate_map_one(scene->a,
							    scene->b)));
	TOLD(p->count - moved, 0, 0);
	pages_want_all(p, scene->b);
	EXPECT_CLEAN(pages_verify(p, "node b has room"));
	EXPECT_CLEAN(counters_verify(&self->before, p->count, 1));
}

#define HUGE_BYTES	(2UL << 20)
#define HUGE_PAGES	512
#define HUGE_ORDER	9
#define COUNT		16

FIXTURE(no_huge_page)
{
	int a;
	int b;
	int fd;
	struct pages huge;
	struct pages base;	/* behind them */
	struct counters before;
};

FIXTURE_SETUP(no_huge_page)
{
	char *addr;

	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, hugetlb_pool(-1, "nr_hugepages"));
	ASSERT_EQ(0, hugetlb_set_pool(self->a, 2));
	/* One below the other, the huge ones first. */
	addr = area_reserve(3 * HUGE_BYTES, HUGE_BYTES);
	ASSERT_NE(MAP_FAILED, (void *)addr);
	ASSERT_EQ(0, pages_map_at(&self->huge, addr, 2 * HUGE_PAGES,
				  MAP_PRIVATE | MAP_HUGETLB));
	pages_want_all(&self->huge, self->a);
	ASSERT_EQ(0, pages_populate(&self->huge));
	addr += 2 * HUGE_BYTES;
	ASSERT_EQ(0, pages_map_at(&self->base, addr, COUNT, MAP_PRIVATE));
	pages_want_all(&self->base, self->a);
	ASSERT_EQ(0, pages_populate(&self->base));
	ASSERT_CLEAN(pages_snapshot(&self->huge));
	ASSERT_CLEAN(pages_snapshot(&self->base));
	ASSERT_EQ(0, fail_alloc_begin());
	ASSERT_EQ(0, counters_read(&self->before));
	OPEN(0);
}

/* In the parent, when all mappings are gone. */
FIXTURE_TEARDOWN_PARENT(no_huge_page)
{
	EXPECT_EQ(0, fail_alloc_end());
	EXPECT_EQ(0, hugetlb_set_pool(self->a, 0));
	EXPECT_EQ(0, hugetlb_set_pool(self->b, 0));
	EXPECT_EQ(0, hugetlb_pool(-1, "nr_hugepages"));
}

/* Ask for both. */
#define ASK()								\
	EXPECT_EQ(0, migrate_file_ask_span(self->fd, self->huge.addr,	\
					   pages_at(&self->base, COUNT),\
					   A_TO_B))

/* Node b has no huge page, and none can be made: the others move. */
TEST_F(no_huge_page, counted)
{
	struct counters now;

	ASSERT_EQ(0, fail_alloc_after(0, HUGE_ORDER));
	ASK();
	ASSERT_EQ(0, fail_alloc_no_more());
	TOLD(COUNT, 2 * HUGE_PAGES, 0);
	pages_want_all(&self->base, self->b);
	EXPECT_CLEAN(pages_verify(&self->huge, "huge pages without room"));
	EXPECT_CLEAN(pages_verify(&self->base, "pages with room"));
	ASSERT_EQ(0, counters_read(&now));
	EXPECT_EQ(COUNT, now.success - self->before.success);

	/* With room they move as well. */
	ASSERT_CLEAN(pages_snapshot(&self->base));
	ASK();
	TOLD(2 * HUGE_PAGES, 0, 0);
	pages_want_all(&self->huge, self->b);
	EXPECT_CLEAN(pages_verify(&self->huge, "huge pages with room"));
	EXPECT_CLEAN(pages_verify(&self->base, "pages that are there"));
	EXPECT_EQ(0, hugetlb_pool(-1, "surplus_hugepages"));
}

TEST_HARNESS_MAIN
