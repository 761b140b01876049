// SPDX-License-Identifier: GPL-2.0-only
/*
 * The target has free pages, and no huge frame among them: between any two of
 * them is one that is in use, and there are too few for compaction to begin
 * (compact_gap()). A huge page is split, and its pages move one by one, as they
 * do where fail_page_alloc denies the huge frame (no_memory.c); or, where there
 * is not room enough for these either, as many of them as there is room for.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, TRANSPARENT_HUGEPAGE,
 *             COMPACTION]
 *   timeout_s: 120   # over the harness's own 90 s
 *   contract: {12: ["*"], 16: ["*"]}
 *   covers:
 *     - {cases: "fragmented.move_pages*", interface: [move_pages-set],
 *        backing: [thp], condition: [target-full]}
 *     - {cases: "fragmented.mbind*", interface: [mbind-move-strict],
 *        backing: [thp], condition: [target-full]}
 */
#include "harness.h"

#include <sys/mman.h>

#include <linux/kernel-page-flags.h>

#include "counters.h"
#include "full.h"
#include "node_stat.h"
#include "nodes.h"
#include "pages.h"
#include "placement.h"
#include "proc.h"
#include "smaps.h"
#include "swap.h"
#include "thp.h"

#define MIB		(1L << 20)
/* Locked; half of it gets free, in single pages: as many as a huge page has. */
#define COMB_BYTES	((long)(2 * THP_BYTES))
/* By the process that fills the node, in steps of 1 MiB. */
#define LEAVE		(8 * MIB)
#define STEP		(64L << 10)
/*
 * Pages that are left then: less than a huge page, more than the watermark that
 * nobody gets. With those of the comb they are less than compaction asks for,
 * twice a huge page and a watermark.
 */
#define LESS_ROOM	400

FIXTURE(fragmented)
{
	int a;
	int b;
	struct pages pages;
	struct counters before;
	struct full full;
	struct swap_areas swap;
	char *comb;
	long kills;
};

/* Free blocks on @node of the size of a huge page or more; -1 if unreadable. */
static long huge_blocks(int node)
{
	char text[8192], *line, *save, zone[16];
	long blocks = 0, count;
	int on, order, read;

	if (proc_read("/proc/buddyinfo", text, sizeof(text)) < 0)
		return -1;
	/* "Node 0, zone   Normal      4      3 ...", a column an order. */
	for (line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (sscanf(line, "Node %d, zone %15s%n", &on, zone, &read) < 2)
			return -1;
		for (order = 0; on == node; order++) {
			line += read;
			if (sscanf(line, "%ld%n", &count, &read) < 1)
				break;
			blocks += order >= 9 ? count : 0;
		}
	}
	return blocks;
}

/*
 * Take pages of @node until it has no huge one left, nor more than @most pages
 * but for what CPUs keep in their lists, which nobody else may get. 0 or -1.
 */
static int fill_up(int node, long most)
{
	char *addr;

	while (huge_blocks(node) > 0 ||
	       node_stat(node, "nr_free_pages") > most) {
		addr = mmap(NULL, STEP, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (addr == MAP_FAILED || madvise(addr, STEP, MADV_NOHUGEPAGE) ||
		    numa_mbind(addr, STEP, MPOL_BIND, NODE(node), 0) ||
		    mlock(addr, STEP))
			return -1;
	}
	return 0;
}

/* A huge page on node a, and node b full, by a process and by the comb. */
FIXTURE_SETUP(fragmented)
{
	unsigned long nodes = nodes_with_memory();
	struct pages *p = &self->pages;
	char *addr;

	ASSERT_LE(2, nodes_count(nodes));
	self->a = nodes_nth(nodes, 0);
	self->b = nodes_nth(nodes, 1);
	ASSERT_EQ(0, nodes_run_on(self->a));
	ASSERT_EQ(0, swap_stop(&self->swap));
	self->kills = full_oom_kills();
	ASSERT_EQ(0, full_begin(&self->full));
	addr = thp_map();
	ASSERT_NE(MAP_FAILED, (void *)addr);
	ASSERT_EQ(0, pages_over(p, addr, THP_PAGES));
	pages_want_all(p, self->a);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(THP_BYTES / 1024, smaps_kib(0, addr, "AnonHugePages"));
	self->comb = mmap(NULL, COMB_BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->comb);
	ASSERT_EQ(0, madvise(self->comb, COMB_BYTES, MADV_NOHUGEPAGE));
	ASSERT_EQ(0, numa_mbind(self->comb, COMB_BYTES, MPOL_BIND,
				NODE(self->b), 0));
	ASSERT_EQ(0, mlock(self->comb, COMB_BYTES));
	ASSERT_EQ(0, full_take(&self->full, self->b, LEAVE));
	ASSERT_EQ(0, fill_up(self->b, LESS_ROOM));
}

FIXTURE_TEARDOWN(fragmented)
{
	EXPECT_EQ(self->kills, full_oom_kills());
	EXPECT_EQ(0, full_end(&self->full));
	EXPECT_EQ(0, swap_resume(&self->swap));
}

/* Free every second page of the comb, which is one of a frame's neighbours. */
static int free_half(char *comb)
{
	long at;

	for (at = 0; at < COMB_BYTES; at += 2 * PAGE_BYTES)
		if (munmap(comb + at, PAGE_BYTES))
			return -1;
	return 0;
}

/* A huge page no more: each page is to have what all of it had. */
static void want_split(struct pages *p)
{
	long i;

	p->was[0].kflags &= ~(1UL << KPF_THP | 1UL << KPF_COMPOUND_HEAD);
	for (i = 1; i < THP_PAGES; i++)
		p->was[i].kflags = p->was[0].kflags;
}

/* The huge page could not move, was split, and @moved of its pages moved. */
static const char *check_counts(const struct counters *before, long moved)
{
	static struct problems problems;
	struct counters now;

	problems_clear(&problems);
	if (counters_read(&now))
		return "cannot read the counters";
	if (now.success - before->success != moved)
		problems_add(&problems, "%ld of %ld are counted as moved",
			     now.success - before->success, moved);
	if (now.thp_success != before->thp_success)
		problems_add(&problems, "a huge page is counted as moved");
	if (now.thp_fail != before->thp_fail + 1)
		problems_add(&problems, "thp_migration_fail %+ld",
			     now.thp_fail - before->thp_fail);
	if (now.thp_split != before->thp_split + 1)
		problems_add(&problems, "thp_migration_split %+ld",
			     now.thp_split - before->thp_split);
	if (!placement_equal(&before->isolated_anon, &now.isolated_anon) ||
	    !placement_equal(&before->isolated_file, &now.isolated_file) ||
	    before->isolated_blocks != now.isolated_blocks)
		problems_add(&problems, "something stays isolated");
	return problems_text(&problems);
}

static long by_move_pages(const struct pages *p, int node, int *status)
{
	void *head = p->addr;

	return numa_move_pages(0, 1, &head, &node, status, MPOL_MF_MOVE);
}

static long by_mbind(const struct pages *p, int node)
{
	return numa_mbind(p->addr, THP_BYTES, MPOL_BIND, NODE(node),
			  MPOL_MF_MOVE | MPOL_MF_STRICT);
}

#define EXPECT_SPLIT_AND_MOVED(what) do {				\
	want_split(&self->pages);					\
	pages_want_all(&self->pages, self->b);				\
	EXPECT_CLEAN(pages_verify(&self->pages, what));			\
	EXPECT_EQ(0, smaps_kib(0, self->pages.addr, "AnonHugePages"));	\
	EXPECT_CLEAN(check_counts(&self->before, THP_PAGES));		\
	ASSERT_EQ(0, full_give_back(&self->full));			\
} while (0)

#define ASSERT_ONLY_SINGLE_PAGES() do {					\
	ASSERT_EQ(0, free_half(self->comb));				\
	ASSERT_EQ(0, counters_read(&self->before));			\
	ASSERT_EQ(0, huge_blocks(self->b));				\
	ASSERT_LT(THP_PAGES, node_stat(self->b, "nr_free_pages"));	\
} while (0)

TEST_F_TIMEOUT(fragmented, move_pages, 90)
{
	int status = -1;

	ASSERT_ONLY_SINGLE_PAGES();
	EXPECT_EQ(0, by_move_pages(&self->pages, self->b, &status));
	EXPECT_EQ(self->b, status);
	EXPECT_SPLIT_AND_MOVED("told of its head alone");
}

TEST_F_TIMEOUT(fragmented, mbind, 90)
{
	ASSERT_ONLY_SINGLE_PAGES();
	EXPECT_EQ(0, by_mbind(&self->pages, self->b));
	EXPECT_SPLIT_AND_MOVED("bound");
}

/* Want each page where it is, which is to be node @a or @b; those on @b. */
static long want_as_found(struct pages *p, int a, int b)
{
	int status[THP_PAGES];
	long i, moved = 0;

	if (placement_query(0, p->addr, THP_PAGES, status))
		return -1;
	for (i = 0; i < THP_PAGES; i++) {
		pages_want(p, i, 1, status[i] == b ? b : a);
		moved += status[i] == b;
	}
	return moved;
}

#define EXPECT_SPLIT_AND_MOVED_IN_PART(what) do {			\
	long moved = want_as_found(&self->pages, self->a, self->b);	\
									\
	EXPECT_LT(0, moved);						\
	EXPECT_GT(THP_PAGES, moved);					\
	want_split(&self->pages);					\
	EXPECT_CLEAN(pages_verify(&self->pages, what));			\
	EXPECT_EQ(0, smaps_kib(0, self->pages.addr, "AnonHugePages"));	\
	EXPECT_CLEAN(check_counts(&self->before, moved));			\
	ASSERT_EQ(0, full_give_back(&self->full));			\
} while (0)

TEST_F_TIMEOUT(fragmented, move_pages_to_less_room, 90)
{
	int status = -12345;

	ASSERT_EQ(0, counters_read(&self->before));
	/*
	 * One that has not moved. That memory has run out is told of a page
	 * that is not split: of parts it is not (migrate_pages(), 6.12).
	 */
	EXPECT_EQ(1, by_move_pages(&self->pages, self->b, &status));
	EXPECT_EQ(-12345, status);
	EXPECT_SPLIT_AND_MOVED_IN_PART("less room than a huge page");
	/* With room again the rest of it moves, page by page. */
	EXPECT_EQ(0, by_mbind(&self->pages, self->b));
	pages_want_all(&self->pages, self->b);
	EXPECT_CLEAN(pages_verify(&self->pages, "room again"));
}

TEST_F_TIMEOUT(fragmented, mbind_to_less_room, 90)
{
	ASSERT_EQ(0, counters_read(&self->before));
	EXPECT_EQ(-EIO, by_mbind(&self->pages, self->b));
	EXPECT_SPLIT_AND_MOVED_IN_PART("bound, less room than a huge page");
	EXPECT_EQ(0, by_mbind(&self->pages, self->b));
	pages_want_all(&self->pages, self->b);
	EXPECT_CLEAN(pages_verify(&self->pages, "bound, room again"));
}

TEST_HARNESS_MAIN
