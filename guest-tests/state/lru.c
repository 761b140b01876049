// SPDX-License-Identifier: GPL-2.0-only
/*
 * The LRU lists and migration: a page is on the same kind of list afterwards
 * (folio_migrate_flags(), mm/migrate.c), a page that still sits in a batch of
 * a CPU is found all the same, and the frame that it left is free.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   quick:
 *     - lru.active_and_referenced
 *   contract: {10: ["*"]}
 *   covers:
 *     - {cases: "lru.*", interface: [move_pages-set, mbind-move-strict],
 *        backing: [anon-private], condition: [quiet]}
 */
#include "harness.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>

#include <linux/kernel-page-flags.h>

#include "counters.h"
#include "holder.h"
#include "kernel.h"
#include "node_stat.h"
#include "pagemap.h"
#include "relocate.h"
#include "scene.h"

#define COUNT		16
#define MANY		4096
/* Less than the 15 that fill a batch (PAGEVEC_SIZE), and some more. */
#define FRESH		7
#define TURNS		50

#define ACTIVE		(1UL << KPF_ACTIVE)
#define REFERENCED	(1UL << KPF_REFERENCED)

FIXTURE(lru)
{
	int a;
	int b;
	struct pages pages;
};

FIXTURE_SETUP(lru)
{
	FIND_TWO_NODES(self, return);
}

FIXTURE_TEARDOWN(lru)
{
}

static uint64_t flags_of(struct pages *p, long i)
{
	uint64_t entry, flags;

	if (pagemap_read(0, pages_at(p, i), 1, &entry) ||
	    kpageflags_read(pagemap_pfn(entry), &flags))
		return 0;
	return flags;
}

/*
 * Pages of a file in memory that were read once, twice and three times: an
 * access makes them referenced first and active then (folio_mark_accessed()).
 */
static int read_file_pages(int fd, struct pages *p)
{
	char byte;
	int i, k;

	for (k = 0; k < 3; k++) {
		for (i = 0; i < COUNT; i++)
			if (i % 4 >= k + 1 &&
			    pread(fd, &byte, 1, i * PAGE_BYTES) != 1)
				return -1;
		/* Activation of a page in a batch waits for its drain. */
		if (relocate_drain())
			return -1;
	}
	return p->count == COUNT ? 0 : -1;
}

TEST_F(lru, active_and_referenced)
{
	struct pages *p = &self->pages;
	struct relocation r = { self->b, MPOL_MF_MOVE, 1, 0 };
	int fd = memfd_create("lru", MFD_CLOEXEC), i, turn;
	uint64_t want[COUNT], seen = 0, all = ~0UL;
	void *addr;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, COUNT * PAGE_BYTES));
	addr = mmap(NULL, COUNT * PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, addr);
	ASSERT_EQ(0, pages_over(p, addr, COUNT));
	pages_want_all(p, self->a);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_EQ(0, relocate_drain());
	ASSERT_EQ(0, read_file_pages(fd, p));
	for (i = 0; i < COUNT; i++) {
		want[i] = flags_of(p, i) & (ACTIVE | REFERENCED);
		seen |= want[i];
		all &= want[i];
	}
	/* Pages with each of the bits, and none that all have. */
	ASSERT_EQ(ACTIVE | REFERENCED, seen);
	ASSERT_EQ(0, all & REFERENCED);

	for (turn = 0; turn < 2; turn++) {
		r.node = turn ? self->a : self->b;
		ASSERT_CLEAN(turn ? relocate_by_mbind(p, &r) :
			     relocate(p, &r));
		ASSERT_EQ(0, relocate_drain());
		for (i = 0; i < COUNT; i++)
			EXPECT_EQ(want[i], flags_of(p, i) &
						   (ACTIVE | REFERENCED));
		EXPECT_CLEAN(relocate_verify(p, "active and inactive pages"));
	}
}

/* The lists themselves: as long on the one node as they were on the other. */
TEST_F(lru, lists_by_node)
{
	struct pages *p = &self->pages;
	const struct relocation r = { self->b, MPOL_MF_MOVE, 1, 0 };
	long on_a, on_b;

	ASSERT_CLEAN(scene_pages(p, MANY, MAP_PRIVATE, self->a));
	ASSERT_EQ(0, relocate_drain());
	on_a = node_stat(self->a, "nr_inactive_anon") +
	       node_stat(self->a, "nr_active_anon");
	on_b = node_stat(self->b, "nr_inactive_anon") +
	       node_stat(self->b, "nr_active_anon");
	ASSERT_LE(MANY, on_a);
	ASSERT_CLEAN(relocate(p, &r));
	ASSERT_EQ(0, relocate_drain());
	on_a -= node_stat(self->a, "nr_inactive_anon") +
		node_stat(self->a, "nr_active_anon");
	on_b -= node_stat(self->b, "nr_inactive_anon") +
		node_stat(self->b, "nr_active_anon");
	/* A batch of what this process itself touched comes on top. */
	EXPECT_LE(MANY - 64, on_a);
	EXPECT_GE(MANY + 64, on_a);
	EXPECT_LE(MANY - 64, -on_b);
	EXPECT_GE(MANY + 64, -on_b);
	EXPECT_CLEAN(relocate_verify(p, "4096 pages"));
}

static int run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

/*
 * A page just faulted in is in a batch of the CPU that did it, not on an LRU
 * list, so that it could not be isolated: move_pages(2) drains all of them
 * first (lru_cache_disable()). Whichever CPU it was.
 */
TEST_F(lru, fresh_pages_move)
{
	struct pages *p = &self->pages;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int turn, fresh = 0, i;

	ASSERT_LE(2, cpus);
	for (turn = 0; turn < TURNS; turn++) {
		ASSERT_EQ(0, run_on(turn % cpus));
		ASSERT_EQ(0, pages_map(p, FRESH, MAP_PRIVATE));
		pages_want_all(p, self->a);
		ASSERT_EQ(0, pages_populate(p));
		for (i = 0; i < FRESH; i++)
			fresh += !(flags_of(p, i) >> KPF_LRU & 1);
		/* Every other turn it is another CPU that moves them. */
		ASSERT_EQ(0, run_on((turn + turn / 2) % cpus));
		ASSERT_CLEAN(turn % 3 ? relocate_to(p, self->b, "fresh") :
			     relocate_to_by_mbind(p, self->b, "fresh"));
		ASSERT_EQ(0, munmap(p->addr, FRESH * PAGE_BYTES));
	}
	/* Or it would show nothing. */
	EXPECT_LE(TURNS * FRESH / 2, fresh);
}

/* The same for one that has just been moved: it can move on at once. */
TEST_F(lru, moved_pages_move_on)
{
	struct pages *p = &self->pages;
	int turn;

	ASSERT_CLEAN(scene_pages(p, FRESH, MAP_PRIVATE, self->a));
	for (turn = 0; turn < TURNS; turn++)
		ASSERT_CLEAN(turn % 2 ? relocate_to(p, self->a, "to") :
			     relocate_to_by_mbind(p, self->b, "and fro"));
}

/* Called in a holder: pages of its own, in the batch of its CPU. */
static long populate_anew(struct pages *p)
{
	if (run_on(1) || madvise(p->addr, p->count * PAGE_BYTES, MADV_DONTNEED))
		return -1;
	return pages_populate(p);
}

/* Another process's fresh pages, on another CPU than the caller's. */
TEST_F(lru, fresh_pages_of_another)
{
	struct pages *p = &self->pages;
	struct holder holder;
	int turn;

	ASSERT_LE(2, sysconf(_SC_NPROCESSORS_ONLN));
	ASSERT_EQ(0, run_on(0));
	ASSERT_CLEAN(scene_pages(p, FRESH, MAP_PRIVATE, self->a));
	ASSERT_EQ(0, holder_start(&holder, p, populate_anew));
	p->pid = holder.peer.pid;
	for (turn = 0; turn < 10; turn++) {
		ASSERT_EQ(0, holder_call(&holder, populate_anew));
		pages_want_all(p, self->a);
		ASSERT_CLEAN(relocate_to(p, self->b, "fresh over there"));
		EXPECT_EQ(0, holder_bad(&holder));
	}
	EXPECT_EQ(0, holder_end(&holder));
}

/* All frames that were left are free again, and all that came are taken. */
TEST_F(lru, old_frames_are_freed)
{
	struct pages *p = &self->pages;
	/* With KASAN 730 more were in use when so many pages had gone. */
	const long spare = kernel_is_checked() ? 1024 : 512;
	long a, b;
	int turn;

	ASSERT_CLEAN(scene_pages(p, MANY, MAP_PRIVATE, self->a));
	ASSERT_CLEAN(relocate_to(p, self->b, "once, to warm up"));
	ASSERT_CLEAN(relocate_to(p, self->a, "and back"));
	ASSERT_EQ(0, relocate_drain());
	a = node_free(self->a);
	b = node_free(self->b);
	for (turn = 0; turn < 4; turn++) {
		ASSERT_CLEAN(relocate_to(p, self->b, "to"));
		ASSERT_CLEAN(relocate_to_by_mbind(p, self->a, "and fro"));
	}
	ASSERT_EQ(0, relocate_drain());
	/* A leak of one page in eight would be 2048 in these turns. */
	EXPECT_GE(512, labs(a - node_free(self->a)));
	EXPECT_GE(512, labs(b - node_free(self->b)));
	EXPECT_CLEAN(relocate_to(p, self->b, "at last"));
	EXPECT_LE(a + MANY - spare, node_free(self->a));
	EXPECT_GE(b - MANY + spare, node_free(self->b));
}

TEST_HARNESS_MAIN
