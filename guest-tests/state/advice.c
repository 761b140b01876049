// SPDX-License-Identifier: GPL-2.0-only
/*
 * What madvise(2) said of a range is the mapping's and holds for the frames
 * that migration brought: MADV_DONTFORK and MADV_WIPEONFORK.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {10: ["*"]}
 *   covers:
 *     - {cases: "advice.*", interface: [move_pages-set, mbind-move-strict],
 *        backing: [anon-private], condition: [quiet]}
 */
#include "harness.h"

#include <sys/mman.h>

#include "holder.h"
#include "relocate.h"
#include "scene.h"

#define COUNT		16

FIXTURE(advice)
{
	int a;
	int b;
	struct pages pages;
};

FIXTURE_SETUP(advice)
{
	FIND_TWO_NODES(self, return);
	ASSERT_CLEAN(scene_pages(&self->pages, COUNT, MAP_PRIVATE, self->a));
}

FIXTURE_TEARDOWN(advice)
{
}

/* Called in a child: bytes that are not zero. */
static long nonzero(struct pages *p)
{
	long i, count = 0;

	for (i = 0; i < (long)(p->count * PAGE_BYTES); i++)
		count += !!p->addr[i];
	return count;
}

/* Called in a child: whether the range is mapped at all. */
static long is_mapped(struct pages *p)
{
	return !msync(p->addr, p->count * PAGE_BYTES, MS_ASYNC);
}

TEST_F(advice, not_for_children)
{
	struct pages *p = &self->pages;
	struct holder holder;

	ASSERT_EQ(0, madvise(p->addr, COUNT * PAGE_BYTES, MADV_DONTFORK));
	EXPECT_CLEAN(relocate_to(p, self->b, "not for children"));
	ASSERT_EQ(0, holder_start_blind(&holder, p));
	EXPECT_EQ(0, holder_call(&holder, is_mapped));
	EXPECT_CLEAN(relocate_to_by_mbind(p, self->a, "beside a child"));
	EXPECT_EQ(0, holder_end(&holder));
}

TEST_F(advice, wiped_for_children)
{
	struct pages *p = &self->pages;
	struct holder holder;

	ASSERT_EQ(0, madvise(p->addr, COUNT * PAGE_BYTES, MADV_WIPEONFORK));
	EXPECT_CLEAN(relocate_to(p, self->b, "wiped for children"));
	ASSERT_EQ(0, holder_start_blind(&holder, p));
	EXPECT_EQ(1, holder_call(&holder, is_mapped));
	EXPECT_EQ(0, holder_call(&holder, nonzero));
	/* Not shared by the fork: still the parent's alone. */
	EXPECT_CLEAN(relocate_to_by_mbind(p, self->a, "beside a child"));
	EXPECT_EQ(0, holder_end(&holder));
}

TEST_HARNESS_MAIN
