// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that are in the swap cache: a frame that has a slot in swap space too.
 * One that is mapped moves and takes its slot along (__folio_migrate_mapping()
 * in mm/migrate.c); one that no PTE maps is out of reach of all calls.
 *
 * testbed:
 *   nodes: 2
 *   swap_mib: 64
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, SWAP]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {11: ["*"]}
 *   covers:
 *     - {cases: "swap_cache.slot_goes_along",
 *        interface: [move_pages-set, mbind-move-strict, pageout],
 *        backing: [swap-cache], condition: [quiet]}
 *     - {cases: "swap_cache.mapped_by_one_of_two",
 *        interface: [move_pages-set], backing: [swap-cache],
 *        condition: [quiet]}
 *     - {cases: "swap_cache.mapped_by_none",
 *        interface: [move_pages-set, move_pages-query, mbind-move-strict],
 *        backing: [swap-cache], condition: [quiet]}
 */
#include "harness.h"

#include <sys/mman.h>

#include <linux/kernel-page-flags.h>

#include "counters.h"
#include "holder.h"
#include "node_stat.h"
#include "pagemap.h"
#include "pattern.h"
#include "relocate.h"
#include "scene.h"
#include "swap.h"

#define COUNT		16

FIXTURE(swap_cache)
{
	int a;
	int b;
	struct pages pages;
	struct counters before;
	uint64_t entries[COUNT];
};

FIXTURE_SETUP(swap_cache)
{
	FIND_TWO_NODES(self, return);
	if (!swap_has_room(COUNT))
		SKIP(return, "needs swap space");
	ASSERT_CLEAN(scene_pages(&self->pages, COUNT, MAP_PRIVATE, self->a));
}

FIXTURE_TEARDOWN(swap_cache)
{
}

static void note_entries(struct pages *p, uint64_t *entries)
{
	int i;

	for (i = 0; i < COUNT; i++)
		entries[i] = swap_entry(p, i);
}

static int wrong_entries(struct pages *p, const uint64_t *entries)
{
	int i, wrong = 0;

	for (i = 0; i < COUNT; i++)
		wrong += !entries[i] || swap_entry(p, i) != entries[i];
	return wrong;
}

static int cached_pages(const struct pages *p)
{
	int i, cached = 0;

	for (i = 0; i < COUNT; i++)
		cached += p->now[i].kflags >> KPF_SWAPCACHE & 1;
	return cached;
}

/* Written, and mapped again by a read: it stays in the cache, clean. */
static const char *into_cache(struct pages *p, uint64_t *entries)
{
	int node = p->want[0], i;
	const char *problem = swap_out_wholly(p, 0, COUNT);

	if (*problem)
		return problem;
	note_entries(p, entries);
	numa_set_mempolicy(MPOL_BIND, NODE(node));
	for (i = 0; i < COUNT; i++)
		pages_read(p, i);
	numa_set_mempolicy(MPOL_DEFAULT, 0);
	pages_want_all(p, node);
	relocate_drain();
	return pages_snapshot(p);
}

/*
 * Moved to and fro, the pages are still clean copies of their slots: reclaim
 * drops them without a write, and what the slots hold is right.
 */
TEST_F(swap_cache, slot_goes_along)
{
	struct pages *p = &self->pages;
	long out;

	ASSERT_CLEAN(into_cache(p, self->entries));
	ASSERT_EQ(COUNT, cached_pages(p));
	ASSERT_EQ(COUNT, node_stat(self->a, "nr_swapcached"));
	EXPECT_CLEAN(relocate_to(p, self->b, "in the swap cache"));
	EXPECT_EQ(COUNT, cached_pages(p));
	EXPECT_EQ(0, node_stat(self->a, "nr_swapcached"));
	EXPECT_EQ(COUNT, node_stat(self->b, "nr_swapcached"));
	EXPECT_CLEAN(relocate_to_by_mbind(p, self->a, "and back"));
	EXPECT_CLEAN(relocate_to(p, self->b, "and there again"));

	out = system_stat("pswpout");
	ASSERT_CLEAN(swap_out(p, 0, COUNT));
	EXPECT_EQ(out, system_stat("pswpout"));
	EXPECT_EQ(0, wrong_entries(p, self->entries));
	EXPECT_EQ(0, system_stat("nr_swapcached"));
	pages_want_all(p, self->a);
	EXPECT_EQ(0, pages_bad(p));
}

/* Written to after the move: it is the new content that goes to the slot. */
TEST_F(swap_cache, written_after_the_move)
{
	struct pages *p = &self->pages;
	int i;

	ASSERT_CLEAN(into_cache(p, self->entries));
	EXPECT_CLEAN(relocate_to(p, self->b, "in the swap cache"));
	p->seed++;
	for (i = 0; i < COUNT; i++)
		pattern_fill(pages_at(p, i), p->seed, i);
	ASSERT_CLEAN(pages_snapshot(p));
	for (i = 0; i < COUNT; i++)
		EXPECT_EQ(self->b, p->now[i].status);
	ASSERT_CLEAN(swap_out_wholly(p, 0, COUNT));
	pages_want_all(p, self->b);
	EXPECT_EQ(0, pages_bad(p));
}

/* Written to before, its old slot stale: what moves is what was written. */
TEST_F(swap_cache, written_before_the_move)
{
	struct pages *p = &self->pages;
	int i;

	ASSERT_CLEAN(into_cache(p, self->entries));
	p->seed++;
	for (i = 0; i < COUNT; i++)
		pattern_fill(pages_at(p, i), p->seed, i);
	ASSERT_CLEAN(pages_snapshot(p));
	EXPECT_CLEAN(relocate_to(p, self->b, "written before the move"));
	ASSERT_CLEAN(swap_out_wholly(p, 0, COUNT));
	pages_want_all(p, self->b);
	EXPECT_EQ(0, pages_bad(p));
}

/* Called in a holder. */

static long read_all(struct pages *p)
{
	pages_want_all(p, 0);
	return pages_bad(p);
}

static long write_all(struct pages *p)
{
	for (int i = 0; i < COUNT; i++)
		pattern_fill(pages_at(p, i), p->seed + 1, i);
	return 0;
}

/*
 * The child has entries of swap space, the parent maps the pages again and
 * they move: the child finds them where they are now, and a write of its own
 * is still its own.
 */
TEST_F(swap_cache, mapped_by_one_of_two)
{
	struct pages *p = &self->pages;
	struct holder holder;
	int i;

	ASSERT_CLEAN(swap_out_wholly(p, 0, COUNT));
	ASSERT_EQ(0, holder_start_blind(&holder, p));
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(self->a)));
	for (i = 0; i < COUNT; i++)
		pages_read(p, i);
	pages_want_all(p, self->a);
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(COUNT, cached_pages(p));
	EXPECT_CLEAN(relocate_to(p, self->b, "in the other's swap entries"));
	EXPECT_EQ(COUNT, cached_pages(p));

	EXPECT_EQ(0, holder_call(&holder, read_all));
	EXPECT_CLEAN(pages_shared_with(p, holder.peer.pid));
	EXPECT_EQ(0, holder_call(&holder, write_all));
	EXPECT_EQ(0, pages_bad(p));
	EXPECT_EQ(0, holder_end(&holder));
}

/*
 * In the cache, but mapped by nobody, as reclaim leaves pages on a disk that
 * writes behind. No call finds them; who touches one gets the old frame,
 * whatever the policy says by then.
 */
TEST_F(swap_cache, mapped_by_none)
{
	struct pages *p = &self->pages;
	int nodes[COUNT], status[COUNT], want[COUNT], i;
	void *addrs[COUNT];

	ASSERT_CLEAN(into_cache(p, self->entries));
	/* Dirty once again, so that reclaim has to write, and keeps it. */
	for (i = 0; i < COUNT; i++)
		pages_write(p, i);
	ASSERT_CLEAN(swap_out(p, 0, COUNT));
	ASSERT_EQ(COUNT, node_stat(self->a, "nr_swapcached"));
	ASSERT_CLEAN(pages_snapshot(p));
	note_entries(p, self->entries);
	ASSERT_EQ(0, counters_read(&self->before));
	for (i = 0; i < COUNT; i++) {
		addrs[i] = pages_at(p, i);
		nodes[i] = self->b;
		want[i] = -ENOENT;
	}
	EXPECT_EQ(0, numa_move_pages(0, COUNT, addrs, nodes, status,
				     MPOL_MF_MOVE));
	EXPECT_STREQ(placement_statuses(want, COUNT),
		     placement_statuses(status, COUNT));
	EXPECT_EQ(0, numa_mbind(p->addr, COUNT * PAGE_BYTES, MPOL_BIND,
				NODE(self->b),
				MPOL_MF_MOVE | MPOL_MF_STRICT));
	EXPECT_CLEAN(pages_verify(p, "mapped by none"));
	EXPECT_EQ(0, wrong_entries(p, self->entries));
	EXPECT_EQ(COUNT, node_stat(self->a, "nr_swapcached"));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));

	for (i = 0; i < COUNT; i++)
		pages_read(p, i);
	pages_want_all(p, self->a);
	EXPECT_CLEAN(pages_verify(p, "mapped from the cache"));
	/* And from there they do move. */
	EXPECT_CLEAN(relocate_to_by_mbind(p, self->b, "mapped once again"));
}

TEST_HARNESS_MAIN
