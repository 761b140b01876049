// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two threads write and verify pages without a pause while move_pages(2) and
 * mbind(2) send them to and fro between two nodes: no write may be lost, torn
 * or go to the old frame, no read may be stale.
 *
 * What moves is counted three times, by the result of the call, by a query of
 * each page and by vmstat, and the three have to agree in every round: a page
 * that was busy (migrate_folio_move() in mm/migrate.c, 6.12, gives up after
 * ten times EAGAIN) is told as failed by all of them, and stays where it was.
 * None may be busy for no reason: a thread that faults on a migration entry
 * takes no reference (migration_entry_wait_on_locked(), mm/filemap.c), so
 * anonymous memory always moves. A write fault on a shared file page holds
 * one, so there some may stay, never all.
 *
 * Of files and shmem a page may also be locked when a call has returned, by the
 * fault of a writer: one that came upon the PTE when it was cleared and not yet
 * a migration entry goes for the page cache and waits for the lock
 * (do_shared_fault(), mm/memory.c). 6.1 flushes the TLBs between the two
 * (try_to_migrate_one(), mm/rmap.c; 6.12 does so later), so that it is seen
 * there. Once the writers stand still none may be locked.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     writers.thp.move_pages: {kconfig: [TRANSPARENT_HUGEPAGE]}
 *     writers.thp.mbind: {kconfig: [TRANSPARENT_HUGEPAGE]}
 *     writers.shmem.move_pages: {kconfig: [TMPFS]}
 *     writers.shmem.mbind: {kconfig: [TMPFS]}
 *     writers.file.move_pages: {kconfig: [BLK_DEV_RAM]}
 *     writers.file.mbind: {kconfig: [BLK_DEV_RAM]}
 *   quick:
 *     - writers.anon.move_pages
 *   contract: {13: ["writers.*"]}
 *   promises: {addresses-kept: ["writers.*"]}
 *   covers:
 *     - {cases: "writers.anon.move_pages", interface: [move_pages-set],
 *        backing: [anon-private], condition: [writer]}
 *     - {cases: "writers.anon_shared.move_pages", interface: [move_pages-set],
 *        backing: [anon-shared], condition: [writer]}
 *     - {cases: "writers.shmem.move_pages", interface: [move_pages-set],
 *        backing: [shmem], condition: [writer]}
 *     - {cases: "writers.thp.move_pages", interface: [move_pages-set], backing:
 *        [thp], condition: [writer]}
 *     - {cases: "writers.file.move_pages", interface: [move_pages-set],
 *        backing: [file-shared, file-dirty], condition: [writer]}
 *     - {cases: "writers.anon.mbind", interface: [mbind-move,
 *        mbind-move-strict], backing: [anon-private], condition: [writer]}
 *     - {cases: "writers.anon_shared.mbind", interface: [mbind-move,
 *        mbind-move-strict], backing: [anon-shared], condition: [writer]}
 *     - {cases: "writers.shmem.mbind", interface: [mbind-move,
 *        mbind-move-strict], backing: [shmem], condition: [writer]}
 *     - {cases: "writers.thp.mbind", interface: [mbind-move,
 *        mbind-move-strict], backing: [thp], condition: [writer]}
 *     - {cases: "writers.file.mbind", interface: [mbind-move,
 *        mbind-move-strict], backing: [file-shared, file-dirty], condition:
 *        [writer]}
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "harness.h"

#include <linux/kernel-page-flags.h>

#include "counters.h"
#include "metric.h"
#include "nodes.h"
#include "pages.h"
#include "placement.h"
#include "writer.h"

#define FEW		64
#define THP_PAGES	512
#define ROUNDS		24

enum backing { ANON, ANON_SHARED, SHMEM, THP, RAMDISK };

struct ping_pong {
	int node[2];
	struct pages pages;
	struct writers writers;
	struct counters before;
	long moved;	/* by the query of each page */
	long left;
	long meanwhile;	/* pages written while a call was under way */
};

FIXTURE(writers)
{
	struct ping_pong game;
};

FIXTURE_VARIANT(writers)
{
	enum backing kind;
	long count;
};

FIXTURE_VARIANT_ADD(writers, anon)
{
	.kind = ANON, .count = FEW,
};

FIXTURE_VARIANT_ADD(writers, anon_shared)
{
	.kind = ANON_SHARED, .count = FEW,
};

FIXTURE_VARIANT_ADD(writers, shmem)
{
	.kind = SHMEM, .count = FEW,
};

FIXTURE_VARIANT_ADD(writers, thp)
{
	.kind = THP, .count = THP_PAGES,
};

FIXTURE_VARIANT_ADD(writers, file)
{
	.kind = RAMDISK, .count = FEW,
};

static int map_thp(struct pages *p)
{
	size_t bytes = THP_PAGES * PAGE_BYTES;
	char *room, *inner;

	/* Inaccessible around it, so that it is a VMA of one huge page. */
	room = mmap(NULL, 3 * bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	if (room == MAP_FAILED)
		return -1;
	inner = (char *)(((uintptr_t)room + bytes) & ~(bytes - 1));
	inner = mmap(inner, bytes, PROT_READ | PROT_WRITE,
		     MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (inner == MAP_FAILED || madvise(inner, bytes, MADV_HUGEPAGE))
		return -1;
	return pages_over(p, inner, THP_PAGES);
}

static int map_file(struct pages *p, int fd, long count)
{
	void *addr;

	if (fd < 0)
		return -1;
	addr = mmap(NULL, count * PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_SHARED, fd, 0);
	close(fd);
	return addr == MAP_FAILED ? -1 : pages_over(p, addr, count);
}

static int open_shmem(long count)
{
	int fd = memfd_create("writers", MFD_CLOEXEC);

	return fd < 0 || ftruncate(fd, count * PAGE_BYTES) ? -1 : fd;
}

static int map_pages(struct pages *p, enum backing kind, long count)
{
	switch (kind) {
	case THP:
		return map_thp(p);
	case SHMEM:
		return map_file(p, open_shmem(count), count);
	case RAMDISK:
		return map_file(p, open("/dev/ram0", O_RDWR | O_CLOEXEC),
				count);
	default:
		return pages_map(p, count, kind == ANON_SHARED ?
				 MAP_SHARED : MAP_PRIVATE);
	}
}

/* Filled on node a, and the counters read. */
FIXTURE_SETUP(writers)
{
	unsigned long nodes = nodes_with_memory();
	struct ping_pong *g = &self->game;
	struct pages *p = &g->pages;

	if (nodes_count(nodes) < 2)
		SKIP(return, "needs 2 nodes with memory, has %s",
		     nodes_text(nodes));
	g->node[0] = nodes_nth(nodes, 0);
	g->node[1] = nodes_nth(nodes, 1);
	ASSERT_EQ(0, map_pages(p, variant->kind, variant->count));
	/* By its number, so that the library looks for no content of its own. */
	p->pid = getpid();
	if (variant->kind != ANON && variant->kind != THP)
		p->unkept = 1UL << KPF_LOCKED;
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(g->node[0])));
	ASSERT_EQ(0, writers_prepare(&g->writers, p->addr, p->count));
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_DEFAULT, 0));
	pages_want_all(p, g->node[0]);
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, counters_read(&g->before));
	ASSERT_EQ(0, writers_start(&g->writers));
}

/* Mappings and threads end with the test's process. */
FIXTURE_TEARDOWN(writers)
{
}

/* Want all on @to but what is still where it was; how many those are. */
static long want_on(struct pages *p, int to)
{
	int status[p->count];
	long i, left = 0;

	pages_want_all(p, to);
	if (placement_query(0, p->addr, p->count, status))
		return -1;
	for (i = 0; i < p->count; i++) {
		if (status[i] != p->was[i].status)
			continue;
		pages_want(p, i, 1, status[i]);
		left++;
	}
	return left;
}

static long by_move_pages(struct pages *p, int to)
{
	int nodes[p->count], status[p->count];
	void *addrs[p->count];
	long i;

	for (i = 0; i < p->count; i++) {
		addrs[i] = pages_at(p, i);
		nodes[i] = to;
	}
	return numa_move_pages(0, p->count, addrs, nodes, status,
			       MPOL_MF_MOVE);
}

static long by_mbind(struct pages *p, int to)
{
	return numa_mbind(p->addr, p->count * PAGE_BYTES, MPOL_BIND, NODE(to),
			  MPOL_MF_MOVE | MPOL_MF_STRICT);
}

/* One call, and all that has to be true after it. */
static const char *go(struct ping_pong *g, int round,
		      long (*call)(struct pages *p, int to))
{
	int to = g->node[(round + 1) % 2];
	long ticks, result, left, want;
	static struct problems problems;
	struct pages *p = &g->pages;

	problems_clear(&problems);
	if (writers_await_pass(&g->writers))
		return "the writers stand still";
	ticks = writers_ticks(&g->writers);
	result = call(p, to);
	g->meanwhile += writers_ticks(&g->writers) - ticks;
	left = want_on(p, to);
	g->left += left;
	g->moved += p->count - left;
	want = call == by_move_pages ? left : left ? -EIO : 0;
	if (result != want)
		problems_add(&problems, "result %ld, but %ld pages left",
			     result, left);
	if (*pages_verify(p, "under two writers"))
		problems_add(&problems, "%s", problems_text(&p->problems));
	/* Frames and nodes of the next round are compared with these. */
	if (*pages_snapshot(p))
		problems_add(&problems, "%s", problems_text(&p->problems));
	return problems_text(&problems);
}

#define PLAY(call) do {							\
	int round;							\
									\
	for (round = 0; round < ROUNDS; round++)			\
		ASSERT_CLEAN(go(&self->game, round, call));		\
	ASSERT_EQ(0, writers_await_pass(&self->game.writers));		\
	writers_stop(&self->game.writers);				\
	EXPECT_CLEAN(writers_verify(&self->game.writers));		\
	self->game.pages.unkept = 0;					\
	EXPECT_CLEAN(pages_verify(&self->game.pages, "all is still"));	\
	EXPECT_LT(0, self->game.meanwhile);				\
	EXPECT_CLEAN(counted(&self->game, variant->kind));		\
	if (variant->kind != RAMDISK)					\
		EXPECT_EQ(0, self->game.left);				\
	EXPECT_LT(self->game.left, self->game.moved);			\
	metric_print("left_behind", self->game.left, "pages");		\
} while (0)

static const char *counted(const struct ping_pong *g, enum backing kind)
{
	struct counters before = g->before;

	if (kind == THP)
		before.thp_success += g->moved / THP_PAGES;
	return counters_verify(&before, g->moved, g->left);
}

TEST_F(writers, move_pages)
{
	PLAY(by_move_pages);
}

TEST_F(writers, mbind)
{
	PLAY(by_mbind);
}

TEST_HARNESS_MAIN
