// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages in swap space while their neighbours migrate: they are on no node, so
 * nothing moves them, and their slots stay as they are; once they are touched
 * they come in on the node that the policy says by then.
 *
 * testbed:
 *   nodes: 2
 *   swap_mib: 64
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, SWAP]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {11: ["*"]}
 *   covers:
 *     - {cases: "swapped.move_pages_around", interface: [move_pages-set],
 *        backing: [swapped-out], condition: [quiet]}
 *     - {cases: "swapped.move_pages_around", interface: [move_pages-query],
 *        backing: [swapped-out], condition: [quiet]}
 *     - {cases: "swapped.mbind_around",
 *        interface: [mbind-move, mbind-move-strict],
 *        backing: [swapped-out], condition: [quiet]}
 *     - {cases: "swapped.all_out_and_strict", interface: [mbind-strict],
 *        backing: [swapped-out], condition: [quiet]}
 *     - {cases: "swapped.migrate_pages_around",
 *        interface: [migrate_pages-child],
 *        backing: [swapped-out], condition: [quiet]}
 *     - {cases: "swapped.shared_by_a_fork",
 *        interface: [mbind-move-all], backing: [swapped-out],
 *        condition: [quiet]}
 */
#include "harness.h"

#include <sys/mman.h>

#include "counters.h"
#include "pages.h"
#include "pattern.h"
#include "relocate.h"
#include "scene.h"
#include "subject.h"
#include "swap.h"

#define COUNT		16
#define HALF		8

#define MOVE		MPOL_MF_MOVE
#define STRICT		MPOL_MF_STRICT

FIXTURE(swapped)
{
	int a;
	int b;
	struct pages pages;
	struct counters before;
	uint64_t entries[COUNT];
};

FIXTURE_SETUP(swapped)
{
	FIND_TWO_NODES(self, return);
	if (!swap_has_room(COUNT))
		SKIP(return, "needs swap space");
	ASSERT_CLEAN(scene_pages(&self->pages, COUNT, MAP_PRIVATE, self->a));
}

FIXTURE_TEARDOWN(swapped)
{
}

/* Pages 4 to 11 are out, with pages in front of them and behind. */
#define OUT_FIRST	4

#define SWAP_HALF_OUT() do {						\
	ASSERT_CLEAN(swap_out_wholly(&self->pages, OUT_FIRST, HALF));	\
	ASSERT_CLEAN(pages_snapshot(&self->pages));			\
	note_entries(&self->pages, self->entries);			\
	ASSERT_EQ(0, counters_read(&self->before));			\
} while (0)

static void note_entries(struct pages *p, uint64_t *entries)
{
	int i;

	for (i = 0; i < COUNT; i++)
		entries[i] = swap_entry(p, i);
}

static bool is_out(long i)
{
	return i >= OUT_FIRST && i < OUT_FIRST + HALF;
}

/* Slots that are others than before, or none where one is to be. */
static int wrong_entries(struct pages *p, const uint64_t *entries)
{
	int i, wrong = 0;

	for (i = 0; i < COUNT; i++)
		wrong += swap_entry(p, i) != entries[i] ||
			 !!entries[i] != is_out(i);
	return wrong;
}

static void want_present(struct pages *p, int node)
{
	int i;

	for (i = 0; i < COUNT; i++)
		if (!is_out(i))
			pages_want(p, i, 1, node);
}

static void read_out(struct pages *p)
{
	int i;

	for (i = 0; i < COUNT; i++)
		if (is_out(i))
			pages_read(p, i);
}

static long bind_all(struct pages *p, int node, int flags)
{
	return numa_mbind(p->addr, p->count * PAGE_BYTES, MPOL_BIND,
			  NODE(node), flags);
}

TEST_F(swapped, move_pages_around)
{
	struct pages *p = &self->pages;
	int nodes[COUNT], status[COUNT], want[COUNT], i;
	void *addrs[COUNT];

	SWAP_HALF_OUT();
	for (i = 0; i < COUNT; i++) {
		addrs[i] = pages_at(p, i);
		nodes[i] = self->b;
		want[i] = is_out(i) ? -ENOENT : self->b;
	}
	EXPECT_EQ(0, numa_move_pages(0, COUNT, addrs, nodes, status, MOVE));
	EXPECT_STREQ(placement_statuses(want, COUNT),
		     placement_statuses(status, COUNT));
	want_present(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "half moved, half swapped out"));
	EXPECT_EQ(0, wrong_entries(p, self->entries));
	EXPECT_CLEAN(counters_verify(&self->before, HALF, 0));

	/* move_pages(2) sets no policy; with one they come in where it says. */
	ASSERT_EQ(0, bind_all(p, self->b, 0));
	read_out(p);
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "swapped in"));
}

TEST_F(swapped, mbind_around)
{
	struct pages *p = &self->pages;

	SWAP_HALF_OUT();
	EXPECT_EQ(0, bind_all(p, self->b, MOVE | STRICT));
	want_present(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "half moved, half swapped out"));
	EXPECT_EQ(0, wrong_entries(p, self->entries));
	EXPECT_CLEAN(counters_verify(&self->before, HALF, 0));
	read_out(p);
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "swapped in under the policy"));

	/* Those that are in the swap cache now move on like all others. */
	EXPECT_CLEAN(relocate_to(p, self->a, "moved on"));
}

/* Nothing is misplaced where nothing is. */
TEST_F(swapped, all_out_and_strict)
{
	struct pages *p = &self->pages;

	ASSERT_CLEAN(swap_out_wholly(p, 0, COUNT));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, counters_read(&self->before));
	EXPECT_EQ(0, bind_all(p, self->b, STRICT));
	EXPECT_EQ(0, bind_all(p, self->b, MOVE | STRICT));
	EXPECT_CLEAN(pages_verify(p, "all swapped out"));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
	for (int i = 0; i < COUNT; i++)
		pages_read(p, i);
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "swapped in under the policy"));
}

static struct subject subject;

/* Called in the child: what is swapped in goes to the node it began on. */

static long populate_and_swap_out(struct pages *p)
{
	long error = numa_mbind(p->addr, p->count * PAGE_BYTES, MPOL_BIND,
				NODE(p->want[0]), 0) ? : pages_populate(p);

	if (error)
		return error;
	return *swap_out_wholly(p, OUT_FIRST, HALF) ? -1 : 0;
}

static long touch_out(struct pages *p)
{
	read_out(p);
	for (int i = 0; i < COUNT; i++)
		if (is_out(i))
			p->want[i] = 0;
	return pages_bad(p);
}

/* migrate_pages(2) moves what is there and leaves the policies alone. */
TEST_F(swapped, migrate_pages_around)
{
	struct pages *p = &subject.pages;

	ASSERT_EQ(0, pages_map(p, COUNT, MAP_PRIVATE));
	pages_want_all(p, self->a);
	ASSERT_EQ(0, subject_start(&subject, populate_and_swap_out));
	pages_want(p, OUT_FIRST, HALF, UNTOUCHED);
	ASSERT_CLEAN(subject_look(&subject));
	note_entries(p, self->entries);
	EXPECT_EQ(0, numa_migrate_pages(p->pid, NODE(self->a), NODE(self->b)));
	want_present(p, self->b);
	EXPECT_EQ(0, wrong_entries(p, self->entries));
	EXPECT_CLEAN(subject_verify(&subject, 0, "half swapped out"));
	EXPECT_LE(HALF, subject_moved());

	EXPECT_EQ(0, holder_call(&subject.holder, touch_out));
	pages_want(p, OUT_FIRST, HALF, self->a);
	EXPECT_CLEAN(pages_verify(p, "swapped in under the old policy"));
	EXPECT_EQ(0, holder_end(&subject.holder));
}

/* Called in a holder. */
static long write_out(struct pages *p)
{
	for (int i = 0; i < COUNT; i++)
		if (is_out(i))
			pattern_fill(pages_at(p, i), p->seed + 1, i);
	return 0;
}

/* Out of both processes, and a page of each when one of them writes. */
TEST_F(swapped, shared_by_a_fork)
{
	struct pages *p = &self->pages;
	struct holder holder;

	/* Swapped out first: a child inherits entries of the page table. */
	SWAP_HALF_OUT();
	ASSERT_EQ(0, bind_all(p, self->b, 0));
	ASSERT_EQ(0, holder_start_blind(&holder, p));
	/* Those that are not out are in common now. */
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, counters_read(&self->before));
	EXPECT_EQ(0, bind_all(p, self->b, MPOL_MF_MOVE_ALL | STRICT));
	want_present(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "half moved, half swapped out"));
	EXPECT_EQ(0, wrong_entries(p, self->entries));
	EXPECT_CLEAN(counters_verify(&self->before, HALF, 0));

	EXPECT_EQ(0, holder_call(&holder, write_out));
	read_out(p);
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "swapped in after the child's writes"));
	EXPECT_EQ(0, holder_end(&holder));
	EXPECT_EQ(0, pages_bad(p));
}

TEST_HARNESS_MAIN
