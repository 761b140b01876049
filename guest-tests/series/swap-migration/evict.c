// SPDX-License-Identifier: GPL-2.0-only
/*
 * mbind(2) with MPOL_MF_EVICT: the pages that are not where the policy has them
 * are swapped, not copied, all of the way out, and the touch that brings one
 * back places it. As evict_isolated_folios() in mm/vmscan.c of the series has
 * it; what stays is in evict_stays.c.
 *
 * testbed:
 *   nodes: 2
 *   swap_mib: 64
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, SWAP]
 *   features: [swap-migration]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   quick:
 *     - evict.private.moves
 *     - evict.private.bad_flags
 */
#include <sys/mman.h>

#include "harness.h"

#include "evict.h"
#include "node_stat.h"
#include "pagemap.h"
#include "pattern.h"
#include "policy.h"
#include "scene.h"
#include "swap.h"

#define COUNT		16
/* Past two batches: EVICT_BATCH_PAGES is 512. */
#define MANY		1200

#define MOVE		MPOL_MF_MOVE
#define MOVE_ALL	MPOL_MF_MOVE_ALL
#define STRICT		MPOL_MF_STRICT
#define EVICT		MPOL_MF_EVICT

FIXTURE(evict)
{
	int a;
	int b;
	struct pages pages;
	struct evict_counts before;
};

SHARING_VARIANTS(evict);

FIXTURE_SETUP(evict)
{
	FIND_TWO_NODES(self, return);
	ASSERT_TRUE(swap_has_room(2 * MANY));
	ASSERT_CLEAN(scene_pages(&self->pages, COUNT, variant->sharing,
				 self->a));
	ASSERT_EQ(0, evict_read(&self->before));
}

FIXTURE_TEARDOWN(evict)
{
}

/* Out of memory they are in swap; shared memory keeps that from the PTEs. */
static long swap_entries(const struct pages *p)
{
	long i, count = 0;

	for (i = 0; i < p->count; i++)
		count += swap_entry(p, i) != 0;
	return count;
}

TEST_F(evict, moves)
{
	const struct evict_want out = { .swapped = COUNT, .written = COUNT };
	const struct evict_want in = {
		.swapped = COUNT, .written = COUNT, .read = COUNT,
	};
	struct pages *p = &self->pages;
	long free_on_b = node_stat(self->b, "nr_free_pages");

	EXPECT_EQ(0, evict_bind(p, 0, COUNT, self->b, MOVE | STRICT | EVICT));
	evict_want_out(p, 0, COUNT);
	EXPECT_CLEAN(evict_out(p, "evicted"));
	EXPECT_CLEAN(evict_verify(&self->before, &out));
	EXPECT_EQ(0, system_stat("nr_swapcached"));
	EXPECT_EQ(variant->sharing == MAP_PRIVATE ? COUNT : 0,
		  swap_entries(p));
	EXPECT_STREQ(policy_text(MPOL_BIND, NODE(self->b)),
		     pages_policy(p, 0));
	/* Nothing was allocated there on the way. */
	EXPECT_LE(free_on_b - COUNT / 2, node_stat(self->b, "nr_free_pages"));

	EXPECT_CLEAN(evict_back(p, self->b, "touched"));
	EXPECT_CLEAN(evict_verify(&self->before, &in));
}

TEST_F(evict, moves_all_and_not_strict)
{
	/*
	 * What was only read since is clean and in the swap cache still. Shared
	 * memory has given its slots back (shmem_swapin_folio(), mm/shmem.c).
	 */
	const struct evict_want again = {
		.swapped = COUNT,
		.written = variant->sharing == MAP_PRIVATE ? 0 : COUNT,
	};
	struct pages *p = &self->pages;

	EXPECT_EQ(0, evict_bind(p, 0, COUNT, self->b, MOVE_ALL | EVICT));
	evict_want_out(p, 0, COUNT);
	EXPECT_CLEAN(evict_out_and_back(p, self->b, "evicted by MOVE_ALL"));
	EXPECT_EQ(0, evict_bind(p, 0, COUNT, self->b, MOVE | EVICT));
	EXPECT_CLEAN(pages_verify(p, "where the policy has them"));
	ASSERT_EQ(0, evict_read(&self->before));
	ASSERT_CLEAN(pages_snapshot(p));
	EXPECT_EQ(0, evict_bind(p, 0, COUNT, self->a, MOVE | EVICT));
	evict_want_out(p, 0, COUNT);
	EXPECT_CLEAN(evict_out(p, "evicted by MOVE"));
	EXPECT_CLEAN(evict_verify(&self->before, &again));
	EXPECT_CLEAN(evict_back(p, self->a, "touched"));
}

/* Of a range only what is elsewhere goes, and of the rest nothing does. */
TEST_F(evict, part)
{
	const struct evict_want want = {
		.swapped = 8, .written = 8, .read = 8,
	};
	struct pages *p = &self->pages;

	EXPECT_EQ(0, evict_bind(p, 4, 8, self->b, MOVE | STRICT | EVICT));
	evict_want_out(p, 4, 8);
	EXPECT_CLEAN(evict_out_and_back(p, self->b, "pages 4 to 11"));
	EXPECT_CLEAN(evict_verify(&self->before, &want));
	if (variant->sharing == MAP_PRIVATE) {
		EXPECT_STREQ("default", pages_policy(p, 3));
		EXPECT_STREQ("default", pages_policy(p, 12));
	}

	ASSERT_CLEAN(pages_snapshot(p));
	EXPECT_EQ(0, evict_bind(p, 0, COUNT, self->b, MOVE | STRICT | EVICT));
	evict_want_out(p, 0, 4);
	evict_want_out(p, 12, 4);
	EXPECT_CLEAN(evict_out_and_back(p, self->b, "the others"));
}

/* Where all is well there is nothing to do, for STRICT neither. */
TEST_F(evict, nothing_misplaced)
{
	const struct evict_want none = { 0 };
	struct pages *p = &self->pages;

	EXPECT_EQ(0, evict_bind(p, 0, COUNT, self->a, MOVE | STRICT | EVICT));
	EXPECT_CLEAN(pages_verify(p, "where they are"));
	EXPECT_CLEAN(evict_verify(&self->before, &none));
}

/* Advantage C: no page conforms to no policy, so the whole range goes. */
TEST_F(evict, whole_range_by_default)
{
	const struct evict_want want = {
		.swapped = COUNT, .written = COUNT, .read = COUNT,
	};
	struct pages *p = &self->pages;

	ASSERT_EQ(0, nodes_run_on(self->b));
	EXPECT_EQ(0, numa_mbind(p->addr, COUNT * PAGE_BYTES, MPOL_DEFAULT, 0,
				MOVE | EVICT));
	evict_want_out(p, 0, COUNT);
	EXPECT_CLEAN(evict_out(p, "suspended"));
	/* Local allocation, by whoever runs on: from node b. */
	EXPECT_CLEAN(evict_back(p, self->b, "resumed elsewhere"));
	EXPECT_CLEAN(evict_verify(&self->before, &want));
}

/* What is not there is left alone, what is out already too. */
TEST_F(evict, twice)
{
	const struct evict_want want = { .swapped = COUNT, .written = COUNT };
	struct pages *p = &self->pages;

	EXPECT_EQ(0, evict_bind(p, 0, COUNT, self->b, MOVE | STRICT | EVICT));
	EXPECT_EQ(0, evict_bind(p, 0, COUNT, self->b, MOVE | STRICT | EVICT));
	evict_want_out(p, 0, COUNT);
	EXPECT_CLEAN(evict_out(p, "evicted twice"));
	EXPECT_CLEAN(evict_verify(&self->before, &want));
	EXPECT_CLEAN(evict_back(p, self->b, "touched"));
}

/* More than a batch, and a batch's worth of nodes in turn. */
TEST_F(evict, many_of_two_nodes)
{
	const struct evict_want want = {
		.swapped = MANY / 2, .written = MANY / 2, .read = MANY / 2,
	};
	struct pages many, *p = &many;
	long i;

	ASSERT_EQ(0, pages_map(p, MANY, variant->sharing));
	pages_want_dealt(p, NODE(self->a) | NODE(self->b));
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, evict_read(&self->before));

	EXPECT_EQ(0, evict_bind(p, 0, MANY, self->b, MOVE | STRICT | EVICT));
	for (i = 0; i < MANY; i++)
		if (p->want[i] == self->a)
			evict_want_out(p, i, 1);
	EXPECT_CLEAN(evict_out_and_back(p, self->b, "every other page"));
	EXPECT_CLEAN(evict_verify(&self->before, &want));

	/* Both nodes at once; local allocation brings them back. */
	ASSERT_EQ(0, nodes_run_on(self->a));
	ASSERT_EQ(0, numa_mbind(p->addr, MANY * PAGE_BYTES, MPOL_DEFAULT, 0,
				MOVE | EVICT));
	evict_want_out(p, 0, MANY);
	EXPECT_CLEAN(pages_snapshot(p));
	EXPECT_CLEAN(evict_out(p, "all of them"));
	EXPECT_CLEAN(evict_back(p, self->a, "touched"));
}

/* Pages of zeroes go too; swap only notes that they are (zeromap). */
TEST(evict_zeroes)
{
	struct evict_want want = { .swapped = COUNT, .zeroes = COUNT };
	struct evict_counts before;
	unsigned char in[COUNT];
	struct {
		int a;
		int b;
	} nodes;
	int status[COUNT], i;
	struct pages p;

	FIND_TWO_NODES(&nodes, return);
	ASSERT_EQ(0, pages_map(&p, COUNT, MAP_PRIVATE));
	ASSERT_EQ(0, evict_bind(&p, 0, COUNT, nodes.a, 0));
	for (i = 0; i < COUNT; i++)
		*(volatile char *)pages_at(&p, i) = 0;
	ASSERT_EQ(0, evict_read(&before));

	EXPECT_EQ(0, evict_bind(&p, 0, COUNT, nodes.b, MOVE | STRICT | EVICT));
	ASSERT_EQ(0, mincore(p.addr, COUNT * PAGE_BYTES, in));
	for (i = 0; i < COUNT; i++)
		EXPECT_EQ(0, in[i] & 1);
	EXPECT_CLEAN(evict_verify(&before, &want));
	for (i = 0; i < COUNT * (int)PAGE_BYTES; i++)
		ASSERT_EQ(0, p.addr[i]);
	ASSERT_EQ(0, placement_query(0, p.addr, COUNT, status));
	for (i = 0; i < COUNT; i++)
		EXPECT_EQ(nodes.b, status[i]);
}

/* What is written to afterwards is not what was written before. */
TEST_F(evict, written_when_back)
{
	struct pages *p = &self->pages;
	int i;

	EXPECT_EQ(0, evict_bind(p, 0, COUNT, self->b, MOVE | STRICT | EVICT));
	p->seed++;
	for (i = 0; i < COUNT; i++)
		pattern_fill(pages_at(p, i), p->seed, i);
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_snapshot(p));
	EXPECT_EQ(0, evict_bind(p, 0, COUNT, self->a, MOVE | STRICT | EVICT));
	evict_want_out(p, 0, COUNT);
	EXPECT_CLEAN(evict_out_and_back(p, self->a, "written and evicted"));
	EXPECT_EQ(0, pages_bad(p));
}

/* Said once, where pages are to move, to a call that can do it. */
TEST_F(evict, bad_flags)
{
	static const unsigned int bad[] = {
		EVICT, EVICT | STRICT, MPOL_MF_FALLBACK,
		MPOL_MF_FALLBACK | STRICT,
		MOVE | EVICT | MPOL_MF_FALLBACK,
		MOVE | EVICT | 1 << 3, MOVE | 1 << 6, MOVE | 1 << 7,
		MOVE | 1 << 8,
	};
	const struct evict_want none = { 0 };
	struct pages *p = &self->pages;
	void *addr = pages_at(p, 0);
	int status = -1;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, evict_bind(p, 0, COUNT, self->b, bad[i])) {
			TH_LOG("flags %#x", bad[i]);
		}
	}
	EXPECT_EQ(-EINVAL, numa_move_pages(0, 1, &addr, &self->b, &status,
					   MOVE | EVICT));
	EXPECT_EQ(-EINVAL, numa_move_pages(0, 1, &addr, &self->b, &status,
					   MOVE | MPOL_MF_FALLBACK));
	EXPECT_EQ(-1, status);
	EXPECT_CLEAN(pages_verify(p, "refused"));
	EXPECT_CLEAN(evict_verify(&self->before, &none));
	EXPECT_STREQ("default", pages_policy(p, 0));
}

TEST_HARNESS_MAIN
