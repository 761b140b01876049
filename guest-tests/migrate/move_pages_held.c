// SPDX-License-Identifier: GPL-2.0-only
/*
 * move_pages(2) on pages that others have a part in: that are pinned, mapped by
 * another process too, another process's, or locked. What is expected is what
 * do_pages_move() in mm/migrate.c of 6.12 says.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   quick:
 *     - move_pages.pinned_stays
 *   contract:
 *     8: [move_pages.pinned_stays]
 *     10: [move_pages.mlocked_and_read_only]
 *     15: [move_pages.pinned_stays]
 *   promises:
 *     other-process: [move_pages.of_another_process]
 *   covers:
 *     - {cases: [move_pages.mapped_twice, move_pages.of_another_process],
 *        interface: move_pages-set, backing: anon-private, condition: quiet}
 *     - {cases: move_pages.pinned_stays, interface: move_pages-set,
 *        backing: vmspliced, condition: quiet}
 *     - {cases: move_pages.mlocked_and_read_only, interface: move_pages-set,
 *        backing: mlocked, condition: quiet}
 */
#include "harness.h"

#include "chores.h"
#include "holder.h"
#include "movelist_steps.h"
#include "pagemap.h"
#include "pin.h"
#include "scene.h"

#define COUNT		16

FIXTURE(move_pages)
{
	int a;
	int b;
	struct pages pages;
	struct movelist list;
	struct counters before;
};

/* COUNT pages on node a, to go to b, and the counters read. */
FIXTURE_SETUP(move_pages)
{
	FIND_TWO_NODES(self, return);
	ASSERT_CLEAN(scene_pages(&self->pages, COUNT, MAP_PRIVATE, self->a));
	ASSERT_EQ(0, movelist_make(&self->list, &self->pages, COUNT, self->b));
	ASSERT_EQ(0, counters_read(&self->before));
}

/* Mappings and peers end with the test's process. */
FIXTURE_TEARDOWN(move_pages)
{
}

/*
 * A pinned page ends the call at the end of its run of entries for one node.
 * The result counts it and all entries not begun. Of a run that was not moved
 * as a whole 6.12 writes no status; what is written is to be true.
 */
TEST_F(move_pages, pinned_stays)
{
	struct movelist *list = &self->list;
	struct pages *p = &self->pages;
	struct pin pin;
	int i;

	ASSERT_EQ(0, pin_pages(&pin, pages_at(p, 2), 1));
	/* Runs of four to b, four to a (where they are) and eight to b. */
	movelist_send(list, 4, 4, self->a);
	movelist_want(list, 0, COUNT, UNWRITTEN);
	EXPECT_CALL(1 + COUNT - 4, MPOL_MF_MOVE);
	pages_want(p, 0, 4, self->b);
	pages_want(p, 2, 1, self->a);
	for (i = 0; i < 4; i++)
		if (list->status[i] != UNWRITTEN)
			movelist_want(list, i, 1, i == 2 ? -EBUSY : self->b);
	VERIFY(3, 1, "page 2 pinned");

	pin_release(&pin);
	movelist_want(list, 0, COUNT, self->b);
	movelist_want(list, 4, 4, self->a);
	EXPECT_CALL(0, MPOL_MF_MOVE);
	pages_want_all(p, self->b);
	pages_want(p, 4, 4, self->a);
	VERIFY(9, 0, "unpinned");
}

TEST_F(move_pages, mapped_twice)
{
	struct movelist *list = &self->list;
	struct pages *p = &self->pages;
	struct holder holder;

	ASSERT_EQ(0, holder_start(&holder, p, chore_look));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_CLEAN(pages_shared_with(p, holder.peer.pid));

	/* Where it is already a page need not be the caller's alone. */
	movelist_want(list, 0, COUNT, -EACCES);
	movelist_send(list, 3, 1, self->a);
	EXPECT_CALL(0, MPOL_MF_MOVE);
	VERIFY(0, 0, "mapped twice, after MOVE");

	movelist_want(list, 0, COUNT, self->b);
	movelist_want(list, 3, 1, self->a);
	EXPECT_CALL(0, MPOL_MF_MOVE_ALL);
	pages_want_all(p, self->b);
	pages_want(p, 3, 1, self->a);
	VERIFY(COUNT - 1, 0, "mapped twice, after MOVE_ALL");
	EXPECT_CLEAN(pages_shared_with(p, holder.peer.pid));
	EXPECT_EQ(0, holder_bad(&holder));
	EXPECT_EQ(0, holder_end(&holder));
}

/* Pages of another process, seen from here and looked after over there. */
TEST_F(move_pages, of_another_process)
{
	struct movelist *list = &self->list;
	struct pages *p = &self->pages;
	struct holder holder;

	ASSERT_EQ(0, holder_start(&holder, p, chore_populate_anew));
	p->pid = holder.peer.pid;
	ASSERT_CLEAN(pages_snapshot(p));
	EXPECT_EQ(0, movelist_call(list, p->pid, MPOL_MF_MOVE));
	pages_want_all(p, self->b);
	VERIFY(COUNT, 0, "pages of another process");
	EXPECT_EQ(0, holder_bad(&holder));
	EXPECT_EQ(0, holder_end(&holder));

	/* The caller's own pages at the same addresses are untouched. */
	p->pid = 0;
	pages_want_all(p, self->a);
	EXPECT_CLEAN(pages_snapshot(p));
	EXPECT_EQ(0, pages_bad(p));
	EXPECT_EQ(-ESRCH, movelist_call(list, holder.peer.pid, MPOL_MF_MOVE));
}

/* Locked pages move and stay locked; read-only ones stay read-only. */
TEST_F(move_pages, mlocked_and_read_only)
{
	struct pages *p = &self->pages;
	struct holder holder;
	int i;

	ASSERT_EQ(0, mlock(p->addr, 8 * PAGE_BYTES));
	ASSERT_EQ(0, mprotect(pages_at(p, 4), 8 * PAGE_BYTES, PROT_READ));
	ASSERT_CLEAN(pages_snapshot(p));
	for (i = 0; i < 8; i++)
		ASSERT_TRUE(p->was[i].kflags & 1UL << KPF_MLOCKED);

	EXPECT_CALL(0, MPOL_MF_MOVE);
	pages_want_all(p, self->b);
	VERIFY(COUNT, 0, "locked and read-only pages");

	/* A write by a process of its own ends as the protection says. */
	for (i = 4; i < 12; i++) {
		if (peer_fork(&holder.peer) == 0) {
			pages_write(p, i);
			_exit(0);
		}
		EXPECT_EQ(128 + SIGSEGV, holder_end(&holder));
	}
	EXPECT_CLEAN(pages_verify(p, "after writes that were refused"));
}

TEST_HARNESS_MAIN
