// SPDX-License-Identifier: GPL-2.0-only
/*
 * numastat: each page that is allocated counts, on its node, as a hit or a
 * miss, as local or of a CPU elsewhere (zone_statistics(), mm/page_alloc.c),
 * and one that the turn of an interleave put there counts as that besides
 * (alloc_pages_mpol_noprof(), mm/mempolicy.c, 6.12): under MPOL_INTERLEAVE
 * alone.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {7: ["numastat.interleave*", "numastat.weighted*"]}
 */
#include "harness.h"

#include <sys/mman.h>

#include "kernel.h"
#include "node_stat.h"
#include "nodes.h"
#include "policy.h"

#define COUNT		512
#define BYTES		(COUNT * PAGE_BYTES)
/* What this process and the kernel allocate besides. */
#define SLACK		96

struct stats {
	long hit;
	long miss;
	long foreign;
	long interleave;
	long local;
	long other;
};

FIXTURE(numastat)
{
	struct placed t;
	struct stats was_a;
	struct stats was_b;
};

static struct stats stats_of(int node)
{
	return (struct stats){
		.hit = node_stat(node, "numa_hit"),
		.miss = node_stat(node, "numa_miss"),
		.foreign = node_stat(node, "numa_foreign"),
		.interleave = node_stat(node, "numa_interleave"),
		.local = node_stat(node, "numa_local"),
		.other = node_stat(node, "numa_other"),
	};
}

/* Untouched pages; the CPU is on node a. */
FIXTURE_SETUP(numastat)
{
	struct placed *t = &self->t;

	ASSERT_CLEAN(placed_start(t, COUNT, 0, MAP_PRIVATE));
	ASSERT_EQ(0, nodes_run_on(t->a));
	/* The page tables come first, and are no pages of the case. */
	policy_fault(&t->pages, 0, COUNT);
	ASSERT_EQ(0, madvise(t->pages.addr, BYTES, MADV_DONTNEED));
	ASSERT_LE(0, stats_of(t->a).interleave);
}

FIXTURE_TEARDOWN(numastat)
{
}

#define LOOK() do {							\
	self->was_a = stats_of(self->t.a);				\
	self->was_b = stats_of(self->t.b);				\
} while (0)

#define EXPECT_ABOUT(want, is) do {					\
	long _is = is;							\
									\
	EXPECT_LE((want) - SLACK, _is);					\
	EXPECT_GE((want) + SLACK, _is);					\
} while (0)

/* Since LOOK(): what node a and node b have of it, the latter by name. */
#define EXPECT_A(name, want) \
	EXPECT_ABOUT(want, stats_of(self->t.a).name - self->was_a.name)
#define EXPECT_B(name, want) \
	EXPECT_ABOUT(want, stats_of(self->t.b).name - self->was_b.name)

TEST_F(numastat, local)
{
	LOOK();
	policy_fault(&self->t.pages, 0, COUNT);
	EXPECT_A(hit, COUNT);
	EXPECT_A(local, COUNT);
	EXPECT_A(other, 0);
	EXPECT_B(hit, 0);
	EXPECT_B(other, 0);
	EXPECT_EQ(self->was_a.interleave, stats_of(self->t.a).interleave);
	EXPECT_EQ(self->was_b.interleave, stats_of(self->t.b).interleave);
}

/* Where they were asked for, and not where the CPU is. */
TEST_F(numastat, elsewhere)
{
	static const int modes[] = {
		MPOL_BIND, MPOL_PREFERRED, MPOL_PREFERRED_MANY,
	};
	struct placed *t = &self->t;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		TH_LOG("mode %d", modes[i]);
		ASSERT_EQ(0, madvise(t->pages.addr, BYTES, MADV_DONTNEED));
		ASSERT_EQ(0, policy_bind(&t->pages, 0, COUNT, modes[i],
					 NODE(t->b), 0));
		LOOK();
		policy_fault(&t->pages, 0, COUNT);
		EXPECT_B(other, COUNT);
		EXPECT_B(local, 0);
		EXPECT_A(local, 0);
		EXPECT_EQ(self->was_b.interleave,
			  stats_of(t->b).interleave);
		/* The CPU's node was not asked, so it has missed nothing. */
		if (modes[i] == MPOL_PREFERRED) {
			EXPECT_B(hit, COUNT);
			EXPECT_B(miss, 0);
			EXPECT_A(foreign, 0);
		}
	}
}

/* Exactly: there is nobody else who interleaves. */
static const char *interleaved(struct placed *t, const struct stats *a,
			       const struct stats *b, long on_a, long on_b)
{
	static struct problems problems;

	a = &(struct stats){ .interleave = stats_of(t->a).interleave -
					   a->interleave };
	b = &(struct stats){ .interleave = stats_of(t->b).interleave -
					   b->interleave };
	problems_clear(&problems);
	if (a->interleave != on_a || b->interleave != on_b)
		problems_add(&problems, "%ld and %ld by turn, wanted %ld and %ld",
			     a->interleave, b->interleave, on_a, on_b);
	return problems_text(&problems);
}

TEST_F(numastat, interleave_of_a_range)
{
	struct placed *t = &self->t;

	ASSERT_EQ(0, policy_bind(&t->pages, 0, COUNT, MPOL_INTERLEAVE,
				 NODE(t->a) | NODE(t->b), 0));
	LOOK();
	policy_fault(&t->pages, 0, COUNT);
	EXPECT_CLEAN(interleaved(t, &self->was_a, &self->was_b, COUNT / 2,
				 COUNT / 2));
	EXPECT_A(hit, COUNT / 2);
	EXPECT_B(hit, COUNT / 2);
	EXPECT_B(other, COUNT / 2);
}

/* Pages that are moved by it are allocated by it. */
TEST_F(numastat, interleave_of_a_move)
{
	struct placed *t = &self->t;

	policy_fault(&t->pages, 0, COUNT);
	LOOK();
	EXPECT_EQ(0, policy_bind(&t->pages, 0, COUNT, MPOL_INTERLEAVE,
				 NODE(t->b), MPOL_MF_MOVE | MPOL_MF_STRICT));
	EXPECT_CLEAN(interleaved(t, &self->was_a, &self->was_b, 0, COUNT));
	EXPECT_B(other, COUNT);
}

TEST_F(numastat, weighted_is_not_counted)
{
	struct placed *t = &self->t;

	EXPECT_EQ(kernel_before(6, 9) ? -EINVAL : 0,
		  policy_bind(&t->pages, 0, COUNT, MODE_WEIGHTED_INTERLEAVE,
			      NODE(t->b), 0));
	LOOK();
	policy_fault(&t->pages, 0, COUNT);
	EXPECT_CLEAN(interleaved(t, &self->was_a, &self->was_b, 0, 0));
	if (kernel_before(6, 9))
		EXPECT_A(local, COUNT);
	else
		EXPECT_B(other, COUNT);
}

TEST_HARNESS_MAIN
