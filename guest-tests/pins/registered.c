// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that are a fixed buffer of io_uring: pinned with FOLL_LONGTERM from
 * the registration on, whether or not anything is read or written. They stay
 * where they are, at both ends the data is right, and they move as soon as the
 * buffer is given back, with no pin left.
 *
 * A page that is shared by copy on write is made the caller's own before it is
 * pinned (gup_must_unshare() in mm/internal.h, 6.12): what the device sees is
 * what the caller sees, and the other process's page is as movable as before.
 * A huge page is pinned as a whole, whichever part of it is asked for.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, IO_URING]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     registered.huge_page: {kconfig: [TRANSPARENT_HUGEPAGE]}
 *   quick:
 *     - registered.read_in_flight
 *   contract: {15: ["registered.*"], 10: ["registered.shared_by_fork",
 *     "registered.by_the_child"]}
 *   covers:
 *     - {cases: "registered.stays", interface: [move_pages-set,
 *        mbind-move-strict, migrate_pages-self], backing:
 *        [io_uring-registered], condition: [quiet]}
 *     - {cases: "registered.huge_page", interface: [move_pages-set], backing:
 *        [io_uring-registered, thp], condition: [quiet]}
 */
#include <fcntl.h>
#include <sys/mman.h>

#include <linux/kernel-page-flags.h>

#include "harness.h"

#include "chores.h"
#include "counters.h"
#include "deadline.h"
#include "holder.h"
#include "metric.h"
#include "pagemap.h"
#include "pages.h"
#include "pattern.h"
#include "pin_count.h"
#include "scene.h"
#include "uring.h"

#define COUNT		8
#define FIRST		2	/* of the buffer */
#define PINNED		4
#define BYTES		(PINNED * PAGE_BYTES)
#define THP_PAGES	512

FIXTURE(registered)
{
	int a;
	int b;
	struct pages pages;
	struct counters before;
	struct pin_count pins;
	struct uring uring;
	int pipe[2];
};

/* COUNT pages on node a, and a ring without a buffer yet. */
FIXTURE_SETUP(registered)
{
	struct pages *p = &self->pages;

	FIND_TWO_NODES(self, return);
	ASSERT_CLEAN(scene_pages(p, COUNT, MAP_PRIVATE, self->a));
	ASSERT_EQ(0, pipe2(self->pipe, O_CLOEXEC));
	/* Its own pages, which never move, are out of the way over there. */
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(self->b)));
	ASSERT_EQ(0, uring_open(&self->uring));
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_DEFAULT, 0));
	ASSERT_EQ(0, pin_count_read(&self->pins));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, counters_read(&self->before));
}

/* Mappings, rings and peers end with the test's process. */
FIXTURE_TEARDOWN(registered)
{
}

#define REGISTER(p) \
	ASSERT_EQ(0, uring_register(&self->uring, pages_at(p, FIRST), BYTES))

#define UNREGISTER() do {						\
	EXPECT_EQ(0, uring_unregister(&self->uring));			\
	EXPECT_EQ(0, pin_count_held(&self->pins));			\
} while (0)

/* @count pages from @first on to node @to: what move_pages(2) answers. */
static long move_part(struct pages *p, long first, long count, int to,
		      int flags)
{
	int nodes[count], status[count];
	void *addrs[count];
	long i;

	for (i = 0; i < count; i++) {
		addrs[i] = pages_at(p, first + i);
		nodes[i] = to;
	}
	return numa_move_pages(p->pid, count, addrs, nodes, status, flags);
}

static long move_all(struct pages *p, int to, int flags)
{
	return move_part(p, 0, p->count, to, flags);
}

/* Where others are that are there already, entries not begun count, too. */
static long move_pinned(struct pages *p, int to)
{
	return move_part(p, FIRST, PINNED, to, MPOL_MF_MOVE_ALL);
}

static void want_pinned(struct pages *p, int pinned, int others)
{
	pages_want_all(p, others);
	pages_want(p, FIRST, PINNED, pinned);
}

/* By every way; afterwards to where the others have gone already. */
TEST_F(registered, stays)
{
	struct pages *p = &self->pages;

	REGISTER(p);
	EXPECT_EQ(PINNED, pin_count_held(&self->pins));
	EXPECT_EQ(PINNED, move_all(p, self->b, MPOL_MF_MOVE));
	want_pinned(p, self->a, self->b);
	EXPECT_CLEAN(pages_verify(p, "registered, after move_pages"));
	EXPECT_CLEAN(counters_verify(&self->before, COUNT - PINNED, PINNED));

	EXPECT_EQ(-EIO, numa_mbind(p->addr, COUNT * PAGE_BYTES, MPOL_BIND,
				   NODE(self->b),
				   MPOL_MF_MOVE | MPOL_MF_STRICT));
	EXPECT_CLEAN(pages_verify(p, "registered, after mbind"));
	EXPECT_CLEAN(counters_verify(&self->before, COUNT - PINNED,
				     2 * PINNED));
	EXPECT_EQ(PINNED, numa_migrate_pages(0, NODE(self->a), NODE(self->b)));
	EXPECT_CLEAN(pages_verify(p, "registered, after migrate_pages"));

	UNREGISTER();
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, counters_read(&self->before));
	EXPECT_EQ(0, move_pinned(p, self->b));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "given back"));
	EXPECT_CLEAN(counters_verify(&self->before, PINNED, 0));
}

/* A read that is under way while the move fails lands in the same pages. */
TEST_F(registered, read_in_flight)
{
	static char content[PINNED * 4096], seen[PINNED * 4096];
	struct pages *p = &self->pages;
	int i;

	for (i = 0; i < PINNED; i++)
		pattern_fill(content + i * PAGE_BYTES, p->seed + 1, FIRST + i);
	REGISTER(p);
	ASSERT_EQ(0, uring_read_fixed(&self->uring, self->pipe[0],
				      pages_at(p, FIRST), BYTES));
	EXPECT_TRUE(uring_is_pending(&self->uring));
	EXPECT_EQ(PINNED, move_all(p, self->b, MPOL_MF_MOVE));
	want_pinned(p, self->a, self->b);
	EXPECT_CLEAN(pages_verify(p, "a read in flight"));
	EXPECT_CLEAN(counters_verify(&self->before, COUNT - PINNED, PINNED));

	ASSERT_EQ(BYTES, write(self->pipe[1], content, BYTES));
	EXPECT_EQ(BYTES, uring_wait(&self->uring));
	EXPECT_EQ(0, memcmp(content, pages_at(p, FIRST), BYTES));
	/* The other way: what is in the pages now goes out. */
	for (i = 0; i < PINNED; i++)
		pattern_fill(pages_at(p, FIRST + i), p->seed, FIRST + i);
	ASSERT_EQ(0, uring_write_fixed(&self->uring, self->pipe[1],
				       pages_at(p, FIRST), BYTES));
	EXPECT_EQ(BYTES, uring_wait(&self->uring));
	ASSERT_EQ(BYTES, read(self->pipe[0], seen, BYTES));
	EXPECT_EQ(0, memcmp(seen, pages_at(p, FIRST), BYTES));

	UNREGISTER();
	EXPECT_EQ(0, move_all(p, self->b, MPOL_MF_MOVE));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "given back"));
	EXPECT_CLEAN(counters_verify(&self->before, COUNT, PINNED));
}

/* The end of the ring is the end of its pins. */
TEST_F(registered, ring_is_closed)
{
	double deadline = deadline_after_us(5e6);
	struct pages *p = &self->pages;

	REGISTER(p);
	EXPECT_EQ(PINNED, move_all(p, self->b, MPOL_MF_MOVE));
	want_pinned(p, self->a, self->b);
	EXPECT_CLEAN(pages_verify(p, "registered"));
	uring_close(&self->uring);
	/* The kernel's own workers end a ring (io_ring_exit_work()). */
	while (pin_count_held(&self->pins) && metric_now_us() < deadline)
		;
	EXPECT_EQ(0, pin_count_held(&self->pins));
	EXPECT_EQ(0, move_all(p, self->b, MPOL_MF_MOVE));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "the ring closed"));
	EXPECT_CLEAN(counters_verify(&self->before, COUNT, PINNED));
}

/* The caller's pages are its own from then on; the child keeps the old ones. */
TEST_F(registered, shared_by_fork)
{
	struct pages *p = &self->pages, theirs;
	struct holder holder;
	int i;

	ASSERT_EQ(0, pages_over(&theirs, p->addr, COUNT));
	ASSERT_EQ(0, holder_start(&holder, p, chore_look));
	ASSERT_CLEAN(pages_shared_with(p, holder.peer.pid));
	theirs.pid = holder.peer.pid;
	pages_want_all(&theirs, self->a);

	ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(self->a)));
	REGISTER(p);
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_DEFAULT, 0));
	ASSERT_CLEAN(pages_snapshot(&theirs));
	ASSERT_CLEAN(pages_snapshot(p));
	for (i = 0; i < COUNT; i++) {
		bool own = i >= FIRST && i < FIRST + PINNED;

		EXPECT_EQ(own, pagemap_pfn(p->was[i].pagemap) !=
			  pagemap_pfn(theirs.was[i].pagemap));
		EXPECT_EQ(own, !!(p->was[i].pagemap & PM_MMAP_EXCLUSIVE));
	}
	EXPECT_EQ(0, pages_bad(p));

	/* All of the child's move, none of the caller's own. */
	EXPECT_EQ(0, move_all(&theirs, self->b, MPOL_MF_MOVE_ALL));
	pages_want_all(&theirs, self->b);
	EXPECT_CLEAN(pages_verify(&theirs, "the child's"));
	want_pinned(p, self->a, self->b);
	EXPECT_CLEAN(pages_verify(p, "the caller's"));
	EXPECT_CLEAN(counters_verify(&self->before, COUNT, 0));
	EXPECT_EQ(PINNED, move_pinned(p, self->b));
	EXPECT_CLEAN(pages_verify(p, "the caller's, once more"));
	EXPECT_CLEAN(counters_verify(&self->before, COUNT, PINNED));
	EXPECT_EQ(0, holder_bad(&holder));
	EXPECT_EQ(0, holder_end(&holder));
	UNREGISTER();
	ASSERT_CLEAN(pages_snapshot(p));
	EXPECT_EQ(0, move_pinned(p, self->b));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "given back"));
}

/* Called in a holder: pin its side of the pages. */
static long register_there(struct pages *p)
{
	static struct uring uring;

	if (pages_bad(p) || numa_set_mempolicy(MPOL_BIND, NODE(p->want[0])) ||
	    uring_open(&uring))
		return -1;
	return uring_register(&uring, pages_at(p, FIRST), BYTES);
}

/* Turned about: what the child pinned stays, all of the parent's moves. */
TEST_F(registered, by_the_child)
{
	struct pages *p = &self->pages, theirs;
	struct holder holder;

	ASSERT_EQ(0, holder_start(&holder, p, register_there));
	EXPECT_EQ(PINNED, pin_count_held(&self->pins));
	ASSERT_EQ(0, pages_over(&theirs, p->addr, COUNT));
	theirs.pid = holder.peer.pid;
	pages_want_all(&theirs, self->a);
	ASSERT_CLEAN(pages_snapshot(&theirs));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, counters_read(&self->before));

	EXPECT_EQ(0, move_all(p, self->b, MPOL_MF_MOVE_ALL));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "the parent's"));
	want_pinned(&theirs, self->a, self->b);
	EXPECT_CLEAN(pages_verify(&theirs, "the child's"));
	EXPECT_CLEAN(counters_verify(&self->before, COUNT, 0));
	EXPECT_EQ(PINNED, move_pinned(&theirs, self->b));
	EXPECT_CLEAN(pages_verify(&theirs, "the child's, once more"));
	EXPECT_CLEAN(counters_verify(&self->before, COUNT, PINNED));
	EXPECT_EQ(0, holder_bad(&holder));
	EXPECT_EQ(0, holder_end(&holder));
	EXPECT_EQ(0, pages_bad(p));
}

/* A huge page with one base page of it in the buffer, in mid-page. */
TEST_F(registered, huge_page)
{
	const size_t bytes = THP_PAGES * PAGE_BYTES;
	struct pages *p = &self->pages;
	void *room, *middle;
	long i;

	room = mmap(NULL, 3 * bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	ASSERT_NE(MAP_FAILED, room);
	room = (void *)(((uintptr_t)room + bytes) & ~(bytes - 1));
	ASSERT_EQ(room, mmap(room, bytes, PROT_READ | PROT_WRITE, MAP_FIXED |
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	ASSERT_EQ(0, madvise(room, bytes, MADV_HUGEPAGE));
	ASSERT_EQ(0, pages_over(p, room, THP_PAGES));
	pages_want_all(p, self->a);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_CLEAN(pages_snapshot(p));
	for (i = 0; i < THP_PAGES; i++)
		ASSERT_TRUE(p->was[i].kflags & 1UL << KPF_THP);
	middle = pages_at(p, THP_PAGES / 2 + 3);
	ASSERT_EQ(0, uring_register(&self->uring, middle, PAGE_BYTES));
	ASSERT_EQ(0, counters_read(&self->before));

	EXPECT_EQ(1, move_part(p, 0, 1, self->b, MPOL_MF_MOVE));
	EXPECT_CLEAN(pages_verify(p, "a huge page with one part pinned"));
	self->before.thp_fail++;
	EXPECT_CLEAN(counters_verify(&self->before, 0, THP_PAGES));

	UNREGISTER();
	EXPECT_EQ(0, move_part(p, 0, 1, self->b, MPOL_MF_MOVE));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "a huge page, given back"));
	self->before.thp_success++;
	EXPECT_CLEAN(counters_verify(&self->before, THP_PAGES, THP_PAGES));
}

TEST_HARNESS_MAIN
