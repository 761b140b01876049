// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the nodes count of their pages: each count follows its page, those
 * that the page cache keeps (__folio_migrate_mapping(), mm/migrate.c) and those
 * of mappings, which unmapping and mapping anew carry over (__folio_mod_stat(),
 * mm/rmap.c, 6.12). Huge pages are counted by size besides.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     node_counters.dirty: {kconfig: [BLK_DEV_RAM, EXT4_FS]}
 *     node_counters.huge_pages_of_a_size: {kconfig: [TRANSPARENT_HUGEPAGE]}
 *   contract: {12: ["*"]}
 *   covers:
 *     - {cases: "node_counters.anonymous",
 *        interface: [move_pages-set, mbind-move-strict],
 *        backing: [anon-private], condition: [quiet]}
 *     - {cases: "node_counters.dirty",
 *        interface: [move_pages-set, mbind-move-strict],
 *        backing: [file-dirty], condition: [quiet]}
 *     - {cases: "node_counters.huge_pages_of_a_size",
 *        interface: [move_pages-set, mbind-move-strict], backing: [thp],
 *        condition: [quiet]}
 */
#include "harness.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "disk.h"
#include "kernel.h"
#include "node_stat.h"
#include "nodes.h"
#include "proc.h"
#include "relocate.h"
#include "scene.h"
#include "smaps.h"
#include "thp.h"

#define COUNT		512
#define BYTES		(COUNT * PAGE_BYTES)

/* What this process and the kernel do besides: far less than the pages. */
#define SLACK		96

FIXTURE(node_counters)
{
	int a;
	int b;
	struct pages pages;
};

FIXTURE_SETUP(node_counters)
{
	FIND_TWO_NODES(self, return);
}

FIXTURE_TEARDOWN(node_counters)
{
}

#define NAMES		4

/* "" if since @was each node has @more more (or less) of each count. */
static const char *grown(const char *const *names, int node, const long *was,
			 long more)
{
	static struct problems problems;
	int i;

	problems_clear(&problems);
	for (i = 0; i < NAMES && names[i]; i++) {
		long now = node_stat(node, names[i]);

		if (labs(now - was[i] - more) > SLACK)
			problems_add(&problems,
				     "node %d, %s: was %ld, is %ld, wanted %+ld",
				     node, names[i], was[i], now, more);
	}
	return problems_text(&problems);
}

static void read_all(const char *const *names, int node, long *values)
{
	int i;

	for (i = 0; i < NAMES && names[i]; i++)
		values[i] = node_stat(node, names[i]);
}

/*
 * Pages that are on node a: with each move the counts go to the other node,
 * and the sum of the system stays.
 */
#define EXPECT_FOLLOWED(names, p) do {					\
	long a[NAMES], b[NAMES];					\
									\
	read_all(names, self->a, a);					\
	read_all(names, self->b, b);					\
	EXPECT_CLEAN(relocate_to(p, self->b, "to node b"));		\
	EXPECT_CLEAN(grown(names, self->a, a, -COUNT));			\
	EXPECT_CLEAN(grown(names, self->b, b, COUNT));			\
	EXPECT_CLEAN(relocate_to_by_mbind(p, self->a, "and back"));	\
	EXPECT_CLEAN(grown(names, self->a, a, 0));			\
	EXPECT_CLEAN(grown(names, self->b, b, 0));			\
} while (0)

TEST_F(node_counters, anonymous)
{
	static const char *const names[NAMES] = {
		"nr_anon_pages", "nr_zone_inactive_anon",
	};
	struct pages *p = &self->pages;
	long page_cache = system_stat("nr_file_pages");

	ASSERT_EQ(0, pages_map(p, COUNT, MAP_PRIVATE));
	pages_want_all(p, self->a);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_EQ(0, relocate_drain());
	/* A page is moved to the list of its kind: all go to the inactive. */
	ASSERT_EQ(0, madvise(p->addr, BYTES, MADV_COLD));
	ASSERT_EQ(0, relocate_drain());
	EXPECT_FOLLOWED(names, p);
	EXPECT_GE(SLACK, labs(system_stat("nr_file_pages") - page_cache));
}

/* Shared memory that is mapped: page cache, and counted as mapped. */
TEST_F(node_counters, shared)
{
	static const char *const names[NAMES] = {
		"nr_mapped", "nr_shmem", "nr_file_pages",
	};
	struct pages *p = &self->pages;
	long anonymous;

	ASSERT_EQ(0, pages_map(p, COUNT, MAP_SHARED));
	pages_want_all(p, self->a);
	ASSERT_EQ(0, pages_populate(p));
	anonymous = system_stat("nr_anon_pages");
	EXPECT_FOLLOWED(names, p);
	EXPECT_GE(SLACK, labs(system_stat("nr_anon_pages") - anonymous));
}

/* What waits to be written: of the node, and of the zones it is made of. */
TEST_F(node_counters, dirty)
{
	static const char *const names[NAMES] = {
		"nr_dirty", "nr_zone_write_pending", "nr_mapped",
		"nr_file_pages",
	};
	struct pages *p = &self->pages;
	int fd = disk_file(BYTES);
	long pending;
	void *addr;

	ASSERT_LE(0, fd);
	sync();
	pending = system_stat("nr_zone_write_pending");
	addr = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, addr);
	ASSERT_EQ(0, pages_over(p, addr, COUNT));
	pages_want_all(p, self->a);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_EQ(0, relocate_drain());
	EXPECT_LE(pending + COUNT, system_stat("nr_zone_write_pending"));
	EXPECT_FOLLOWED(names, p);
	/* Written from the other node than the one they were dirtied on. */
	EXPECT_CLEAN(relocate_to(p, self->b, "to be written"));
	ASSERT_EQ(0, fsync(fd));
	EXPECT_GE(SLACK, node_stat(self->a, "nr_zone_write_pending"));
	EXPECT_GE(SLACK, node_stat(self->b, "nr_zone_write_pending"));
	EXPECT_EQ(0, pages_bad(p));
	disk_end();
}

#define SIZE_STAT \
	"/sys/kernel/mm/transparent_hugepage/hugepages-2048kB/stats/nr_anon"

static long huge_pages(void)
{
	char text[32];

	return proc_read(SIZE_STAT, text, sizeof(text)) < 0 ? -1 : atol(text);
}

/*
 * Of the whole system, so a move is to change nothing: the new page is counted
 * where it takes over (MTHP_STAT_NR_ANON, 6.12), the old when it is freed.
 */
TEST_F(node_counters, huge_pages_of_a_size)
{
	struct pages *p = &self->pages;
	char *area = thp_map();
	long before;
	int turn;

	ASSERT_NE(MAP_FAILED, area);
	before = huge_pages();
	EXPECT_EQ(kernel_before(6, 12), before < 0);
	ASSERT_EQ(0, pages_over(p, area, THP_PAGES));
	pages_want_all(p, self->a);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_EQ(2048, smaps_kib(0, area, "AnonHugePages"));
	ASSERT_EQ(0, relocate_drain());
	for (turn = 0; turn < 4; turn++) {
		const struct relocation r = {
			turn % 2 ? self->a : self->b, MPOL_MF_MOVE, THP_PAGES, 1
		};

		ASSERT_CLEAN(turn / 2 ? relocate_by_mbind(p, &r) :
			     relocate(p, &r));
		EXPECT_CLEAN(relocate_verify(p, "a huge page"));
		if (before >= 0)
			EXPECT_EQ(before + 1, huge_pages());
	}
	ASSERT_EQ(0, munmap(area, THP_BYTES));
	ASSERT_EQ(0, relocate_drain());
	EXPECT_EQ(before, huge_pages());
}

TEST_HARNESS_MAIN
