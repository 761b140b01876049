// SPDX-License-Identifier: GPL-2.0-only
/*
 * move_pages(2), entry by entry: what is said of each page when its neighbours
 * in the array fare otherwise. do_pages_move() in mm/migrate.c of 6.12 and 6.1:
 *
 *  - entries for one node in a row are a run, moved together. A page that is
 *    not to be had (a hole, no page, the zero page, shared, not on an LRU list)
 *    gets its status, ends the run and stops nothing;
 *  - a run that does not move as a whole ends the call: nothing is written for
 *    it, the result counts its failures and all entries not begun;
 *  - a page that is in the run already cannot be taken again: EBUSY.
 *
 * An anonymous page that is not there is ENOENT, as the manual page has it, but
 * EFAULT on 6.1: follow_page() with FOLL_DUMP tells it like that
 * (no_page_table() in mm/gup.c), folio_walk_start() of 6.12 does not.
 *
 * A 32-bit caller's arrays go through other code (in_compat_syscall()): not
 * seen here, as the guest's kernels have no IA32_EMULATION.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   quick:
 *     - move_array.bad_page_at_each_place
 *   contract:
 *     8: ["move_array.bad_page_*", "move_array.pinned_*"]
 *     9: ["move_array.same_page_*"]
 *   covers:
 *     - {cases: "move_array.*", interface: [move_pages-set],
 *        backing: [anon-private], condition: [quiet]}
 *     - {cases: "move_array.bad_page_*", interface: [move_pages-set],
 *        backing: [anon-private, zero-page], condition: [hole]}
 *     - {cases: "move_array.pinned_*", interface: [move_pages-set],
 *        backing: [vmspliced], condition: [quiet]}
 */
#include "harness.h"

#include "holder.h"
#include "kernel.h"
#include "movelist_steps.h"
#include "pages.h"
#include "pin.h"
#include "scene.h"

#define COUNT		12

FIXTURE(move_array)
{
	int a;
	int b;
	struct pages pages;
	struct movelist list;
	struct counters before;
};

/* COUNT pages on node a, to go to b, and the counters read. */
FIXTURE_SETUP(move_array)
{
	FIND_TWO_NODES(self, return);
	ASSERT_CLEAN(scene_pages(&self->pages, COUNT, MAP_PRIVATE, self->a));
	ASSERT_EQ(0, movelist_make(&self->list, &self->pages, COUNT, self->b));
	ASSERT_EQ(0, counters_read(&self->before));
}

/* Mappings and peers end with the test's process. */
FIXTURE_TEARDOWN(move_array)
{
}

/* The other one of two nodes. */
static int other(int node, int a, int b)
{
	return node == a ? b : a;
}

/* Pages that are not to be had, and what is said of each. */
enum { HOLE, ABSENT, ZERO, KERNEL, NULL_PAGE, BAD_KINDS };

static int bad_status(int kind)
{
	return kind == ABSENT && !kernel_before(6, 12) ? -ENOENT : -EFAULT;
}

static int make_bad(void *bad[BAD_KINDS])
{
	static struct pages empty;

	if (pages_map(&empty, 3, MAP_PRIVATE))
		return -1;
	pages_read(&empty, ZERO);
	bad[HOLE] = pages_at(&empty, HOLE);
	bad[ABSENT] = pages_at(&empty, ABSENT);
	bad[ZERO] = pages_at(&empty, ZERO);
	/* The last page of all addresses, and the first. */
	bad[KERNEL] = (void *)-PAGE_BYTES;
	bad[NULL_PAGE] = NULL;
	return munmap(bad[HOLE], PAGE_BYTES);
}

/* All others go to and fro, in one run or in runs of one each. */
static void send_around(struct movelist *list, struct pages *p, int bad,
			int status, const int node[2])
{
	int i;

	for (i = 0; i < COUNT; i++) {
		movelist_send(list, i, 1, node[i % 2]);
		list->addrs[i] = pages_at(p, i);
		if (i != bad)
			pages_want(p, i, 1, node[i % 2]);
	}
	movelist_want(list, bad, 1, status);
}

/* Each entry in turn is bad; what is at @even and odd places goes elsewhere. */
#define BAD_PAGE_IN_TURN(even, odd, what) do {				\
	int _i, _to[2] = { even, odd };					\
	void *_bad[BAD_KINDS];						\
									\
	ASSERT_EQ(0, make_bad(_bad));					\
	for (_i = 0; _i < COUNT; _i++) {				\
		send_around(&self->list, &self->pages, _i,		\
			    bad_status(_i % BAD_KINDS), _to);		\
		self->list.addrs[_i] = _bad[_i % BAD_KINDS];		\
		EXPECT_CALL(0, MPOL_MF_MOVE);				\
		VERIFY(pages_to_move(&self->pages), 0, what);		\
		_to[0] = other(_to[0], self->a, self->b);		\
		_to[1] = other(_to[1], self->a, self->b);		\
	}								\
} while (0)

TEST_F(move_array, bad_page_at_each_place)
{
	BAD_PAGE_IN_TURN(self->b, self->b, "one run with a bad page");
}

TEST_F(move_array, bad_page_among_many_nodes)
{
	BAD_PAGE_IN_TURN(self->a, self->b, "runs of one with a bad page");
}

/* Nothing but pages that are not to be had: still no error of the call. */
TEST_F(move_array, bad_pages_only)
{
	void *bad[BAD_KINDS];
	int i;

	ASSERT_EQ(0, make_bad(bad));
	for (i = 0; i < COUNT; i++) {
		self->list.addrs[i] = bad[i % BAD_KINDS];
		movelist_want(&self->list, i, 1, bad_status(i % BAD_KINDS));
	}
	EXPECT_CALL(0, MPOL_MF_MOVE);
	VERIFY(0, 0, "bad pages only");
	EXPECT_CALL(0, MPOL_MF_MOVE_ALL);
	VERIFY(0, 0, "bad pages only, MOVE_ALL");
}

/* Called in a holder: keep some pages in common with the parent. */
static long share_each_third(struct pages *p)
{
	long i, bad = pages_bad(p);

	for (i = 0; i < p->count; i++) {
		if (i % 3 == 0)
			continue;
		p->want[i] = UNTOUCHED;
		bad |= madvise(pages_at(p, i), PAGE_BYTES, MADV_DONTNEED);
	}
	return bad;
}

TEST_F(move_array, bad_page_is_mapped_twice)
{
	struct pages *p = &self->pages;
	struct holder holder;
	int i;

	ASSERT_EQ(0, holder_start(&holder, p, share_each_third));
	ASSERT_CLEAN(pages_snapshot(p));
	for (i = 0; i < COUNT; i++) {
		if (i % 3)
			pages_want(p, i, 1, self->b);
		else
			movelist_want(&self->list, i, 1, -EACCES);
	}
	EXPECT_CALL(0, MPOL_MF_MOVE);
	VERIFY(COUNT - COUNT / 3, 0, "each third page is mapped twice");

	movelist_want(&self->list, 0, COUNT, self->b);
	EXPECT_CALL(0, MPOL_MF_MOVE_ALL);
	pages_want_all(p, self->b);
	VERIFY(COUNT / 3, 0, "each third page, MOVE_ALL");
	EXPECT_EQ(0, holder_bad(&holder));
	EXPECT_EQ(0, holder_end(&holder));
}

/* A run of one is written for, or it ends the call: no status follows. */
TEST_F(move_array, pinned_at_each_place)
{
	int i, k, to[2] = { self->b, self->a };
	struct pages *p = &self->pages;
	struct pin pin;

	for (i = 0; i < COUNT; i += 3) {
		/* Each on the node where it is not to be. */
		for (k = 0; k < COUNT; k++)
			movelist_send(&self->list, k, 1,
				      other(to[k % 2], self->a, self->b));
		ASSERT_EQ(0, movelist_call(&self->list, 0, MPOL_MF_MOVE));
		for (k = 0; k < COUNT; k++)
			pages_want(p, k, 1, self->list.nodes[k]);
		ASSERT_CLEAN(pages_snapshot(p));
		ASSERT_EQ(0, counters_read(&self->before));
		movelist_clear(&self->list);

		ASSERT_EQ(0, pin_pages(&pin, pages_at(p, i), 1));
		send_around(&self->list, p, i, UNWRITTEN, to);
		pages_want(p, i, 1, p->was[i].status);
		for (k = i; k < COUNT; k++)
			pages_want(p, k, 1, p->was[k].status);
		movelist_want(&self->list, i, COUNT - i, UNWRITTEN);
		EXPECT_CALL(COUNT - i, MPOL_MF_MOVE);
		VERIFY(i, 1, "runs of one, page pinned");
		pin_release(&pin);
	}
}

/* A run that ends at a bad page fails: the status of that page is kept. */
TEST_F(move_array, pinned_before_a_bad_page)
{
	struct pages *p = &self->pages;
	void *bad[BAD_KINDS];
	struct pin pin;

	ASSERT_EQ(0, make_bad(bad));
	ASSERT_EQ(0, pin_pages(&pin, pages_at(p, 1), 1));
	self->list.addrs[3] = bad[ABSENT];
	movelist_want(&self->list, 0, COUNT, UNWRITTEN);
	movelist_want(&self->list, 3, 1, bad_status(ABSENT));
	/* Page 1 and all after the absent one, which has its own status. */
	EXPECT_CALL(1 + COUNT - 4, MPOL_MF_MOVE);
	pages_want(p, 0, 1, self->b);
	pages_want(p, 2, 1, self->b);
	VERIFY(2, 1, "page 1 pinned, page 3 absent");
	pin_release(&pin);
}

/* One run: all but those pinned have moved, and nothing says so. */
TEST_F(move_array, pinned_in_a_run)
{
	struct pages *p = &self->pages;
	struct pin pin;

	ASSERT_EQ(0, pin_pages(&pin, pages_at(p, 4), 3));
	movelist_want(&self->list, 0, COUNT, UNWRITTEN);
	EXPECT_CALL(3, MPOL_MF_MOVE);
	pages_want_all(p, self->b);
	pages_want(p, 4, 3, self->a);
	VERIFY(COUNT - 3, 3, "three pinned in one run");

	/* Asked again, the pages that moved are told of, those are not. */
	movelist_want(&self->list, 0, 4, self->b);
	movelist_want(&self->list, 7, COUNT - 7, self->b);
	pin_release(&pin);
	movelist_want(&self->list, 4, 3, self->b);
	EXPECT_CALL(0, MPOL_MF_MOVE);
	pages_want_all(p, self->b);
	VERIFY(3, 0, "let go");
}

/* Of a page asked for again and again each second time finds it taken. */
TEST_F(move_array, same_page_many_times)
{
	struct pages *p = &self->pages;
	int i;

	for (i = 0; i < COUNT; i++)
		self->list.addrs[i] = pages_at(p, 0) + 300 * i;
	/* Taken; busy, which has it moved; from then on there already. */
	movelist_want(&self->list, 1, 1, -EBUSY);
	EXPECT_CALL(0, MPOL_MF_MOVE);
	pages_want(p, 0, 1, self->b);
	VERIFY(1, 0, "page 0, twelve times, by other addresses each");
}

/* To and fro: each entry is a run of its own, and is done. */
TEST_F(move_array, same_page_to_other_nodes)
{
	struct pages *p = &self->pages;
	int i;

	for (i = 0; i < COUNT; i++) {
		self->list.addrs[i] = pages_at(p, 5) + PAGE_BYTES - 1 - i;
		movelist_send(&self->list, i, 1, i % 2 ? self->a : self->b);
	}
	EXPECT_CALL(0, MPOL_MF_MOVE);
	pages_forget_frame(p, 5);
	VERIFY(COUNT, 0, "page 5, to and fro");
}

/* Backwards, and by each page's last byte. */
TEST_F(move_array, any_order_any_byte)
{
	struct pages *p = &self->pages;
	int i;

	for (i = 0; i < COUNT; i++)
		self->list.addrs[i] = pages_at(p, COUNT - i) - 1;
	EXPECT_CALL(0, MPOL_MF_MOVE);
	pages_want_all(p, self->b);
	VERIFY(COUNT, 0, "backwards");
	EXPECT_CALL(0, 0);
	VERIFY(0, 0, "a query, backwards");
}

TEST_HARNESS_MAIN
