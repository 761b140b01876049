// SPDX-License-Identifier: GPL-2.0-only
/*
 * Merged pages: moved as one, still merged, and known to ksmd by the new frame
 * (folio_migrate_ksm(), mm/ksm.c), so that more is merged into it, and that
 * it is taken apart into pages with the right content.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, KSM]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {12: ["*"]}
 *   covers:
 *     - {cases: "ksm.*", interface: [move_pages-set, mbind-move-all],
 *        backing: [ksm], condition: [quiet]}
 */
#include "harness.h"

#include "ksm.h"
#include "pagemap.h"
#include "pattern.h"
#include "proc.h"
#include "relocate.h"
#include "scene.h"

#define COUNT		16

/* Two ranges of the same content, and a third that comes later. */
FIXTURE(ksm)
{
	int a;
	int b;
	struct pages pages;
	struct pages twin;
	struct pages late;
};

FIXTURE_SETUP(ksm)
{
	struct pages *p = &self->pages;

	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, ksm_hurry());
	ASSERT_EQ(0, ksm_map(p, COUNT, 4711, self->a));
	ASSERT_EQ(0, ksm_map(&self->twin, COUNT, 4711, self->a));
	ASSERT_CLEAN(ksm_merge(p, &self->twin));
	pages_want_all(p, self->a);
	pages_want_all(&self->twin, self->a);
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_CLEAN(pages_snapshot(&self->twin));
}

/* In the parent, so that it is done however the test ended. */
FIXTURE_TEARDOWN_PARENT(ksm)
{
	EXPECT_EQ(0, ksm_end());
}

#define EXPECT_STILL_MERGED(node, what) do {				\
	pages_want_all(&self->twin, node);				\
	EXPECT_CLEAN(pages_verify(&self->twin, what));			\
	EXPECT_EQ(COUNT, ksm_merged(&self->pages, &self->twin));		\
	ASSERT_CLEAN(pages_snapshot(&self->twin));			\
} while (0)

TEST_F(ksm, stays_merged)
{
	struct pages *p = &self->pages;

	EXPECT_CLEAN(relocate_all_to(p, self->b, "merged pages"));
	EXPECT_STILL_MERGED(self->b, "the twins of what moved");
	EXPECT_CLEAN(relocate_all_to_by_mbind(p, self->a, "and back"));
	EXPECT_STILL_MERGED(self->a, "the twins of what moved back");
}

/* ksmd knows the new frames: what comes later is merged into these. */
TEST_F(ksm, merges_into_the_new_frame)
{
	struct pages *p = &self->pages;

	EXPECT_CLEAN(relocate_all_to(p, self->b, "merged pages"));
	ASSERT_EQ(0, ksm_map(&self->late, COUNT, p->seed, self->a));
	ASSERT_CLEAN(pages_snapshot(p));
	EXPECT_CLEAN(ksm_merge(p, &self->late));
	EXPECT_CLEAN(pages_verify(p, "the frames that were merged into"));
	EXPECT_EQ(COUNT, ksm_merged(&self->twin, &self->late));
	EXPECT_EQ(0, pages_bad(&self->late));
}

TEST_F(ksm, taken_apart)
{
	struct pages *p = &self->pages;
	int i;

	EXPECT_CLEAN(relocate_all_to(p, self->b, "merged pages"));
	ASSERT_EQ(0, proc_write(KSM "run", "2"));
	EXPECT_EQ(0, ksm_merged(p, &self->twin));
	for (i = 0; i < COUNT; i++)
		EXPECT_NE(pagemap_frame(0, pages_at(p, i)),
			  pagemap_frame(0, pages_at(&self->twin, i)));
	EXPECT_EQ(0, pages_bad(p));
	EXPECT_EQ(0, pages_bad(&self->twin));
}

/* A write after the move is the writer's own. */
TEST_F(ksm, written_after_the_move)
{
	struct pages *p = &self->pages;
	int i;

	EXPECT_CLEAN(relocate_all_to(p, self->b, "merged pages"));
	p->seed++;
	for (i = 0; i < COUNT; i++)
		pattern_fill(pages_at(p, i), p->seed, i);
	EXPECT_EQ(0, pages_bad(p));
	EXPECT_EQ(0, ksm_merged(p, &self->twin));
	pages_want_all(&self->twin, self->b);
	EXPECT_EQ(0, pages_bad(&self->twin));
}

TEST_HARNESS_MAIN
