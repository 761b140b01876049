// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that are mapped more than once: MPOL_MF_MOVE leaves them, without
 * calling it a failure, and MPOL_MF_MOVE_ALL takes them along
 * (migrate_folio_add() in mm/mempolicy.c). What counts is how many page table
 * entries map the page (folio_likely_mapped_shared() of 6.12,
 * folio_estimated_sharers() before 6.10: the same for small pages), not how
 * many processes do or could. mbind.c has two processes with all pages or the
 * odd ones in common.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, MEMFD_CREATE]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   scope: file
 *   contract: {5: ["sharing.*"]}
 *   covers:
 *     - {cases: "sharing.*", interface: [mbind-move, mbind-move-strict,
 *        mbind-move-all], backing: [anon-shared, shmem], condition: [quiet]}
 *     - {cases: ["sharing.copied_on_write", "sharing.by_three_processes"],
 *        interface: [mbind-move-strict, mbind-move-all], backing:
 *        [anon-private], condition: [quiet]}
 */
#include "harness.h"

#include "chores.h"
#include "holder.h"
#include "nodes.h"
#include "policy.h"

#define COUNT		15	/* a multiple of 3 */
#define THIRD		(COUNT / 3)
#define BYTES		(COUNT * PAGE_BYTES)

#define MOVE		MPOL_MF_MOVE
#define MOVE_ALL	MPOL_MF_MOVE_ALL
#define STRICT		MPOL_MF_STRICT

FIXTURE(sharing)
{
	struct placed t;
	struct pages other;	/* the second mapping of the same pages */
};

/* COUNT pages of a memfd on node a, mapped twice, touched in one only. */
FIXTURE_SETUP(sharing)
{
	struct pages *p = &self->t.pages;
	int fd = memfd_create("sharing", MFD_CLOEXEC);
	void *addr;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, BYTES));
	ASSERT_CLEAN(placed_start(&self->t, COUNT, 0, MAP_SHARED));
	ASSERT_EQ(p->addr, mmap(p->addr, BYTES, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_FIXED, fd, 0));
	addr = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, addr);
	ASSERT_EQ(0, pages_over(&self->other, addr, COUNT));
	self->other.seed = p->seed;
	close(fd);
	pages_want_all(p, self->t.a);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_CLEAN(placed_look(&self->t));
	ASSERT_CLEAN(pages_snapshot(&self->other));
}

FIXTURE_TEARDOWN(sharing)
{
}

static long move(struct placed *t, int flags)
{
	return policy_bind(&t->pages, 0, t->pages.count, MPOL_BIND, NODE(t->b),
			   flags);
}

/*
 * Map @count pages of the second mapping, too, and no others: a fault for
 * reading maps the neighbours as well (do_fault_around() in mm/memory.c).
 */
static int touch_other(struct pages *other, long first, long count, int node)
{
	long i;

	pages_want(other, first, count, node);
	for (i = first; i < first + count; i++)
		pages_read(other, i);
	for (i = 0; i < other->count; i++)
		if (other->want[i] < 0 &&
		    madvise(pages_at(other, i), PAGE_BYTES, MADV_DONTNEED))
			return -1;
	return 0;
}

/* Both mappings as wanted, @moved pages counted. */
#define EXPECT_BOTH(moved, what) do {					\
	EXPECT_CLEAN(pages_verify(&self->t.pages, what));		\
	EXPECT_CLEAN(pages_verify(&self->other, what));			\
	EXPECT_CLEAN(counters_verify(&self->t.before, moved, 0));	\
} while (0)

#define LOOK() do {							\
	ASSERT_CLEAN(placed_look(&self->t));				\
	ASSERT_CLEAN(pages_snapshot(&self->other));			\
} while (0)

/* A mapping that has no page mapped is none. */
TEST_F(sharing, untouched_mapping)
{
	struct placed *t = &self->t;

	EXPECT_EQ(0, move(t, MOVE | STRICT));
	pages_want_all(&t->pages, t->b);
	EXPECT_BOTH(COUNT, "mapped again, but not touched there");
	/* The policy is the memory's: the other mapping has it, too. */
	EXPECT_CLEAN(policy_check(&self->other, 0, MPOL_BIND, NODE(t->b)));
}

/* One process alone has them, yet twice: they stay, which is no failure. */
TEST_F(sharing, twice_in_one_process)
{
	struct placed *t = &self->t;

	ASSERT_EQ(0, touch_other(&self->other, 0, COUNT, t->a));
	LOOK();
	EXPECT_EQ(0, move(t, MOVE | STRICT));
	EXPECT_EQ(0, move(t, MOVE));
	EXPECT_BOTH(0, "mapped twice, after MOVE");
	EXPECT_CLEAN(policy_check(&t->pages, 0, MPOL_BIND, NODE(t->b)));

	EXPECT_EQ(0, move(t, MOVE_ALL | STRICT));
	pages_want_all(&t->pages, t->b);
	pages_want_all(&self->other, t->b);
	EXPECT_BOTH(COUNT, "mapped twice, after MOVE_ALL");
}

/* MOVE beside MOVE_ALL takes nothing away from it. */
TEST_F(sharing, both_flags)
{
	struct placed *t = &self->t;

	ASSERT_EQ(0, touch_other(&self->other, 0, COUNT, t->a));
	LOOK();
	EXPECT_EQ(0, move(t, MOVE | MOVE_ALL | STRICT));
	pages_want_all(&t->pages, t->b);
	pages_want_all(&self->other, t->b);
	EXPECT_BOTH(COUNT, "mapped twice, after MOVE and MOVE_ALL");
}

/* STRICT alone looks at all pages, mapped more than once or not. */
TEST_F(sharing, strict_alone)
{
	struct placed *t = &self->t;

	ASSERT_EQ(0, touch_other(&self->other, 0, COUNT, t->a));
	LOOK();
	EXPECT_EQ(-EIO, move(t, STRICT));
	EXPECT_BOTH(0, "mapped twice, STRICT alone");
	EXPECT_CLEAN(policy_check(&t->pages, 0, MPOL_DEFAULT, 0));
}

/* Mapped twice, then once again: unmapped, not merely unused. */
TEST_F(sharing, until_unmapped)
{
	struct placed *t = &self->t;

	ASSERT_EQ(0, touch_other(&self->other, 0, COUNT, t->a));
	LOOK();
	EXPECT_EQ(0, move(t, MOVE | STRICT));
	EXPECT_BOTH(0, "mapped twice, after MOVE");

	ASSERT_EQ(0, madvise(self->other.addr, BYTES, MADV_DONTNEED));
	pages_want_all(&self->other, UNTOUCHED);
	LOOK();
	EXPECT_EQ(0, move(t, MOVE | STRICT));
	pages_want_all(&t->pages, t->b);
	EXPECT_BOTH(COUNT, "mapped once again, after MOVE");
}

/* Called in a holder: have the first third in common with the parent. */
static long share_third(struct pages *p)
{
	long bad;

	pages_want(p, THIRD, COUNT - THIRD, UNTOUCHED);
	bad = pages_bad(p);
	/* Unmapped last: a fault for reading maps the neighbours too. */
	return bad | madvise(pages_at(p, THIRD), BYTES - THIRD * PAGE_BYTES,
			     MADV_DONTNEED);
}

/*
 * The first third by two processes, the second by two mappings, the last by
 * nobody else: three kinds in one call.
 */
TEST_F(sharing, in_thirds)
{
	struct placed *t = &self->t;
	struct holder holder;

	ASSERT_EQ(0, holder_start(&holder, &t->pages, share_third));
	ASSERT_EQ(0, touch_other(&self->other, THIRD, THIRD, t->a));
	LOOK();
	EXPECT_EQ(0, move(t, MOVE | STRICT));
	pages_want(&t->pages, 2 * THIRD, THIRD, t->b);
	EXPECT_BOTH(THIRD, "a third mapped once, after MOVE");
	EXPECT_EQ(0, holder_bad(&holder));

	LOOK();
	EXPECT_EQ(0, move(t, MOVE_ALL | STRICT));
	pages_want_all(&t->pages, t->b);
	pages_want(&self->other, THIRD, THIRD, t->b);
	EXPECT_BOTH(2 * THIRD, "the two other thirds, after MOVE_ALL");
	EXPECT_EQ(0, holder_bad(&holder));
	EXPECT_EQ(0, holder_end(&holder));
}

/* From here on private memory, shared by fork. */

#define START_PRIVATE() \
	ASSERT_CLEAN(placed_start(&self->t, COUNT, COUNT, MAP_PRIVATE))

/* Called in a holder. */

static long write_odd(struct pages *p)
{
	long i;

	for (i = 1; i < p->count; i += 2)
		pages_write(p, i);
	return 0;
}

/*
 * A child's writes end the sharing: the parent has its page to itself again,
 * and MOVE takes it; the child's copy stays where it was made.
 */
TEST_F(sharing, copied_on_write)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;
	struct holder holder;
	long i;

	START_PRIVATE();
	ASSERT_EQ(0, nodes_run_on(t->a));
	ASSERT_EQ(0, holder_start(&holder, p, chore_look));
	ASSERT_EQ(0, holder_call(&holder, write_odd));
	ASSERT_CLEAN(placed_look(t));
	EXPECT_EQ(0, move(t, MOVE | STRICT));
	for (i = 1; i < COUNT; i += 2)
		pages_want(p, i, 1, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "after the child wrote odd pages"));
	EXPECT_EQ(0, holder_bad(&holder));

	/* Seen from the child's side: nothing of it has moved. */
	p->pid = holder.peer.pid;
	pages_want_all(p, t->a);
	EXPECT_CLEAN(pages_snapshot(p));
	EXPECT_CLEAN(policy_check(p, 0, MPOL_DEFAULT, 0));
	EXPECT_EQ(0, holder_end(&holder));
}

#define PROCESSES	3

/* MOVE_ALL by one of four: all of them follow, and keep sharing. */
TEST_F(sharing, by_three_processes)
{
	struct holder holders[PROCESSES];
	struct placed *t = &self->t;
	int i;

	START_PRIVATE();
	for (i = 0; i < PROCESSES; i++)
		ASSERT_EQ(0, holder_start(&holders[i], &t->pages, chore_look));
	ASSERT_CLEAN(placed_look(t));
	EXPECT_EQ(0, move(t, MOVE | STRICT));
	EXPECT_CLEAN(placed_verify(t, 0, "in four processes, after MOVE"));
	EXPECT_EQ(0, move(t, MOVE_ALL | STRICT));
	pages_want_all(&t->pages, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "in four processes, after MOVE_ALL"));
	for (i = 0; i < PROCESSES; i++) {
		EXPECT_CLEAN(pages_shared_with(&t->pages,
					       holders[i].peer.pid));
		EXPECT_EQ(0, holder_bad(&holders[i]));
	}

	/*
	 * As long as one other is left, MOVE leaves them. The last ends first,
	 * since each holds the pipes of those before it.
	 */
	for (i = PROCESSES - 1; i > 0; i--)
		EXPECT_EQ(0, holder_end(&holders[i]));
	ASSERT_CLEAN(placed_look(t));
	EXPECT_EQ(0, policy_bind(&t->pages, 0, COUNT, MPOL_BIND, NODE(t->a),
				 MOVE | STRICT));
	EXPECT_CLEAN(placed_verify(t, 0, "in two processes, after MOVE"));
	EXPECT_EQ(0, holder_end(&holders[0]));
	ASSERT_CLEAN(placed_look(t));
	EXPECT_EQ(0, policy_bind(&t->pages, 0, COUNT, MPOL_BIND, NODE(t->a),
				 MOVE | STRICT));
	pages_want_all(&t->pages, t->a);
	EXPECT_CLEAN(placed_verify(t, 0, "in one process, after MOVE"));
}

/* What is shared but where it belongs already is not touched by MOVE_ALL. */
TEST_F(sharing, in_place)
{
	struct placed *t = &self->t;

	ASSERT_EQ(0, touch_other(&self->other, 0, COUNT, t->a));
	LOOK();
	EXPECT_EQ(0, policy_bind(&t->pages, 0, COUNT, MPOL_BIND, NODE(t->a),
				 MOVE_ALL | STRICT));
	EXPECT_BOTH(0, "mapped twice, in place");
}

TEST_HARNESS_MAIN
