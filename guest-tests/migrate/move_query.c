// SPDX-License-Identifier: GPL-2.0-only
/*
 * move_pages(2) on many pages, on pages that are no ordinary memory, and asked
 * where pages are. do_pages_stat() in mm/migrate.c goes by chunks of 16
 * (DO_PAGES_STAT_CHUNK_NR), so all around multiples of it is asked.
 *
 * What is not migratable (VM_IO, VM_PFNMAP: the vvar pages) has no page for a
 * move: EFAULT; what is on no LRU list (the ring of a perf event, the vDSO) is
 * found, and cannot be taken: EBUSY.
 *
 * 6.1 differs where it looks pages up by follow_page(), which 6.12 does by
 * folio_walk_start() since "mm/migrate: convert do_pages_stat_array() from
 * follow_page() to folio_walk" and its like for the moves, both 6.12:
 *
 *  - what a VM_PFNMAP area maps is EFAULT to a query there, ENOENT since;
 *  - so is an anonymous page that is absent.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     move_query.off_the_lru: {kconfig: [PERF_EVENTS]}
 *     move_query.inaccessible: {kconfig: [NUMA_BALANCING]}
 *   contract: {9: ["move_query.*"]}
 *   covers:
 *     - {cases: "move_query.*", interface: [move_pages-query],
 *        backing: [anon-private], condition: [quiet]}
 *     - {cases: "move_query.by_chunks", interface: [move_pages-query],
 *        backing: [anon-private, zero-page], condition: [hole]}
 *     - {cases: "move_query.many_*", interface: [move_pages-set],
 *        backing: [anon-private], condition: [quiet]}
 *   known:
 *     - cases: [move_query.inaccessible]
 *       kernels: "<6.5"
 *       why: move_pages(2) takes pages under PROT_NONE for NUMA hints, and
 *         neither finds nor moves them
 *       commit: known-issues/prot-none-not-found.md; mended in 6.5
 */
#include "harness.h"

#include <linux/perf_event.h>
#include <sys/auxv.h>

#include "counters.h"
#include "kernel.h"
#include "metric.h"
#include "movelist.h"
#include "pages.h"
#include "placement.h"
#include "proc.h"
#include "scene.h"

#define COUNT		12
#define CHUNK		16
/* Past four batches of migrate_pages(), NR_MAX_BATCHED_MIGRATION each. */
#define MANY		2400
#define RING_PAGES	5

FIXTURE(move_query)
{
	int a;
	int b;
	struct pages pages;
	struct movelist list;
	struct counters before;
};

/* COUNT pages on node a, to go to b, and the counters read. */
FIXTURE_SETUP(move_query)
{
	FIND_TWO_NODES(self, return);
	ASSERT_CLEAN(scene_pages(&self->pages, COUNT, MAP_PRIVATE, self->a));
	ASSERT_EQ(0, movelist_make(&self->list, &self->pages, COUNT, self->b));
	ASSERT_EQ(0, counters_read(&self->before));
}

/* Mappings end with the test's process. */
FIXTURE_TEARDOWN(move_query)
{
}

#define EXPECT_CALL(result, flags) do {					\
	movelist_clear(&self->list);					\
	EXPECT_EQ(result, movelist_call(&self->list, 0, flags));	\
	EXPECT_CLEAN(movelist_check(&self->list));			\
} while (0)

/*
 * On either node in turn but for a hole, an absent and a zero page, which come
 * to lie in all places of a chunk. Each twice: a query faults nothing in.
 */
TEST_F(move_query, by_chunks)
{
	const int counts[] = { 1, 2, CHUNK - 1, CHUNK, CHUNK + 1,
			       2 * CHUNK - 1, 2 * CHUNK, 2 * CHUNK + 1,
			       5 * CHUNK, 5 * CHUNK + 7, 40 * CHUNK };
	const int absent = kernel_before(6, 12) ? UNMAPPED : UNTOUCHED;
	const int most = 40 * CHUNK;
	struct pages *p = &self->pages;
	unsigned int i;
	int k;

	ASSERT_EQ(0, pages_map(p, most, MAP_PRIVATE));
	/* Mapped before there are holes for it to fall into. */
	ASSERT_EQ(0, movelist_make(&self->list, p, most, self->a));
	pages_want_dealt(p, NODE(self->a) | NODE(self->b));
	for (k = 3; k < most; k += 7)
		p->want[k] = absent;
	ASSERT_EQ(0, pages_populate(p));
	for (k = 3; k < most; k += 14) {
		pages_read(p, k);
		p->want[k] = UNMAPPED;
	}
	for (k = 5; k < most; k += 29) {
		ASSERT_EQ(0, munmap(pages_at(p, k), PAGE_BYTES));
		p->want[k] = UNMAPPED;
	}
	ASSERT_CLEAN(pages_snapshot(p));
	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		self->list.count = counts[i];
		for (k = 0; k < counts[i]; k++)
			movelist_want(&self->list, k, 1, p->want[k]);
		movelist_want(&self->list, counts[i], 1, UNWRITTEN);
		TH_LOG("%d entries", counts[i]);
		EXPECT_CALL(0, 0);
		EXPECT_CALL(0, 0);
	}
	EXPECT_CLEAN(pages_verify(p, "after queries"));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
}

/* Nothing asked for is nothing done, with arrays or without. */
TEST_F(move_query, none)
{
	EXPECT_EQ(0, numa_move_pages(0, 0, NULL, NULL, NULL, 0));
	EXPECT_EQ(0, numa_move_pages(0, 0, self->list.addrs, NULL,
				     self->list.status, 0));
	EXPECT_EQ(0, numa_move_pages(0, 0, self->list.addrs, self->list.nodes,
				     self->list.status, MPOL_MF_MOVE));
	EXPECT_EQ(0, numa_move_pages(0, 0, NULL, self->list.nodes, NULL,
				     MPOL_MF_MOVE_ALL));
	/* All else is looked at before. */
	EXPECT_EQ(-EINVAL, numa_move_pages(0, 0, NULL, NULL, NULL, 1 << 5));
	EXPECT_EQ(-ESRCH, numa_move_pages(-1, 0, NULL, NULL, NULL, 0));
	movelist_want(&self->list, 0, COUNT, UNWRITTEN);
	EXPECT_CLEAN(movelist_check(&self->list));
	EXPECT_CLEAN(pages_verify(&self->pages, "after nothing"));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
}

/* Without flags and with nodes nothing is refused: it is as MOVE. */
TEST_F(move_query, nodes_without_flags)
{
	EXPECT_EQ(0, numa_move_pages(0, COUNT, self->list.addrs,
				     self->list.nodes, self->list.status, 0));
	EXPECT_CLEAN(movelist_check(&self->list));
	pages_want_all(&self->pages, self->b);
	EXPECT_CLEAN(pages_verify(&self->pages, "no flags"));
	EXPECT_CLEAN(counters_verify(&self->before, COUNT, 0));
}

/* And flags without nodes are a query. */
TEST_F(move_query, flags_without_nodes)
{
	EXPECT_EQ(0, numa_move_pages(0, COUNT, self->list.addrs, NULL,
				     self->list.status, MPOL_MF_MOVE_ALL));
	movelist_want(&self->list, 0, COUNT, self->a);
	EXPECT_CLEAN(movelist_check(&self->list));
	EXPECT_CLEAN(pages_verify(&self->pages, "a query with flags"));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
}

/* Pages that nobody may touch are there all the same. */
TEST_F(move_query, inaccessible)
{
	struct pages *p = &self->pages;

	ASSERT_EQ(0, mprotect(p->addr, COUNT * PAGE_BYTES, PROT_NONE));
	movelist_want(&self->list, 0, COUNT, self->a);
	EXPECT_CALL(0, 0);
	movelist_want(&self->list, 0, COUNT, self->b);
	EXPECT_CALL(0, MPOL_MF_MOVE);
	ASSERT_EQ(0, mprotect(p->addr, COUNT * PAGE_BYTES,
			      PROT_READ | PROT_WRITE));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "accessible again"));
	EXPECT_CLEAN(counters_verify(&self->before, COUNT, 0));
}

/* @count entries of pages that lie at @addr, the node of each in @on. */
static int list_area(struct movelist *list, void *addr, int count, int *on)
{
	struct pages area;

	return pages_over(&area, addr, count) ||
	       placement_query(0, addr, count, on) ||
	       movelist_make(list, &area, count, 0) ? -1 : 0;
}

/* To where it is not; EBUSY for each, and to where it is. */
#define EXPECT_STUCK(count, on) do {					\
	int _i;								\
									\
	for (_i = 0; _i < (count); _i++) {				\
		self->list.nodes[_i] = (on)[_i] == self->a ? self->b :	\
							      self->a;	\
		movelist_want(&self->list, _i, 1, -EBUSY);		\
	}								\
	EXPECT_CALL(0, MPOL_MF_MOVE_ALL);				\
	for (_i = 0; _i < (count); _i++)				\
		movelist_send(&self->list, _i, 1, (on)[_i]);		\
	EXPECT_CALL(0, MPOL_MF_MOVE_ALL);				\
	EXPECT_CALL(0, 0);						\
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));		\
} while (0)

TEST_F(move_query, off_the_lru)
{
	struct perf_event_attr event = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(event),
		.config = PERF_COUNT_SW_DUMMY,
	};
	int i, on[RING_PAGES], fd;
	struct pages ring;
	void *addr;

	fd = syscall(SYS_perf_event_open, &event, 0, -1, -1, 0);
	ASSERT_LE(0, fd);
	addr = mmap(NULL, RING_PAGES * PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, addr);
	ASSERT_EQ(0, pages_over(&ring, addr, RING_PAGES));
	for (i = 0; i < RING_PAGES; i++)
		pages_read(&ring, i);
	ASSERT_EQ(0, list_area(&self->list, addr, RING_PAGES, on));
	for (i = 0; i < RING_PAGES; i++)
		ASSERT_LE(0, on[i]);
	EXPECT_STUCK(RING_PAGES, on);
}

TEST_F(move_query, vdso)
{
	void *addr = (void *)getauxval(AT_SYSINFO_EHDR);
	struct pages vdso;
	int on;

	ASSERT_NE(NULL, addr);
	ASSERT_EQ(0, pages_over(&vdso, addr, 1));
	pages_read(&vdso, 0);
	ASSERT_EQ(0, list_area(&self->list, addr, 1, &on));
	ASSERT_LE(0, on);
	EXPECT_STUCK(1, &on);
}

/* Where the vvar pages begin; what is read there first is mapped there. */
static void *find_vvar(void)
{
	static char maps[32 << 10];
	char *line;

	if (proc_read("/proc/self/maps", maps, sizeof(maps)) < 0)
		return NULL;
	line = strstr(maps, "[vvar]");
	if (!line)
		return NULL;
	while (line > maps && line[-1] != '\n')
		line--;
	return (void *)strtoul(line, NULL, 16);
}

TEST_F(move_query, vvar)
{
	void *addr = find_vvar();
	struct pages vvar;
	int on;

	ASSERT_NE(NULL, addr);
	ASSERT_EQ(0, pages_over(&vvar, addr, 1));
	pages_read(&vvar, 0);
	ASSERT_EQ(0, list_area(&self->list, addr, 1, &on));
	self->list.nodes[0] = self->b;
	movelist_want(&self->list, 0, 1, -EFAULT);
	EXPECT_CALL(0, MPOL_MF_MOVE_ALL);
	movelist_want(&self->list, 0, 1,
		      kernel_before(6, 12) ? -EFAULT : -ENOENT);
	EXPECT_CALL(0, 0);
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
}

/*
 * Each page to another node than the last, which is a run and a call of
 * migrate_pages() for each; then all change places.
 */
TEST_F(move_query, many_in_runs_of_one)
{
	struct pages *p = &self->pages;
	double start, end;
	int i, turn;

	ASSERT_CLEAN(scene_pages(p, MANY, MAP_PRIVATE, self->a));
	ASSERT_EQ(0, movelist_make(&self->list, p, MANY, self->a));
	for (turn = 0; turn < 2; turn++) {
		ASSERT_EQ(0, counters_read(&self->before));
		for (i = 0; i < MANY; i++) {
			movelist_send(&self->list, i, 1,
				      (i + turn) % 2 ? self->a : self->b);
			pages_want(p, i, 1, self->list.nodes[i]);
		}
		start = metric_now_us();
		EXPECT_CALL(0, MPOL_MF_MOVE);
		end = metric_now_us();
		EXPECT_CLEAN(pages_verify(p, "2400 runs"));
		EXPECT_CLEAN(counters_verify(&self->before,
					     turn ? MANY : MANY / 2, 0));
		ASSERT_CLEAN(pages_snapshot(p));
	}
	metric_print("move_pages_runs_of_one", (end - start) / MANY, "us/page");
}

/* One run of them, asked for in an order that is not theirs. */
TEST_F(move_query, many_in_one_run)
{
	struct pages *p = &self->pages;
	long i;

	ASSERT_CLEAN(scene_pages(p, MANY, MAP_PRIVATE, self->a));
	ASSERT_EQ(0, movelist_make(&self->list, p, MANY, self->b));
	/* 7 and 2400 have no divisor in common: each page once. */
	for (i = 0; i < MANY; i++)
		self->list.addrs[i] = pages_at(p, i * 7 % MANY);
	EXPECT_CALL(0, MPOL_MF_MOVE);
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "2400 in one run"));
	EXPECT_CLEAN(counters_verify(&self->before, MANY, 0));
}

TEST_HARNESS_MAIN
