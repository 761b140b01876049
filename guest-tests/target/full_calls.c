// SPDX-License-Identifier: GPL-2.0-only
/*
 * The target has no room, for the calls that full.c leaves out:
 *
 *  - mbind(2) with MPOL_MF_MOVE_ALL moves what fits of what other processes map
 *    as well, and everybody sees the same pages afterwards;
 *  - with MPOL_MF_STRICT alone it asks where pages are, not whether there is
 *    room: what is on the full node already may be bound to it;
 *  - migrate_pages(2) of the caller by itself is ENOMEM, and what fits, its own
 *    stack perhaps, has moved.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 120   # over the harness's own 90 s
 *   contract: {5: [full_calls.mbind_move_all], 16: ["full_calls.*"]}
 *   covers:
 *     - {cases: full_calls.mbind_move_all, backing: anon-private,
 *        interface: [mbind-move-all, mbind-move-strict], condition: target-full}
 *     - {cases: full_calls.mbind_strict, interface: mbind-strict,
 *        backing: anon-private, condition: target-full}
 *     - {cases: full_calls.migrate_self, interface: migrate_pages-self,
 *        backing: anon-private, condition: target-full}
 */
#include "harness.h"

#include "counters.h"
#include "full_scene.h"
#include "pages.h"
#include "policy.h"
#include "subject.h"

#define HALF		(FULL_PAGES / 2)

FIXTURE(full_calls)
{
	struct full_scene scene;
	struct subject subject;
	struct counters before;
};

FIXTURE_SETUP(full_calls)
{
	ASSERT_CLEAN(full_scene_begin(&self->scene));
}

FIXTURE_TEARDOWN(full_calls)
{
	EXPECT_CLEAN(full_scene_end(&self->scene));
}

static long bind_to_b(const struct full_scene *scene, const struct pages *p,
		      int flags)
{
	return policy_bind(p, 0, p->count, MPOL_BIND, NODE(scene->b), flags);
}

TEST_F_TIMEOUT(full_calls, mbind_move_all, 90)
{
	struct full_scene *scene = &self->scene;
	struct pages *p = &self->subject.pages;
	struct holder *other = &self->subject.holder;
	long moved, more;

	ASSERT_CLEAN(full_scene_own(scene, p));
	ASSERT_EQ(0, holder_start_blind(other, p));
	ASSERT_EQ(0, holder_bad(other));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_CLEAN(pages_shared_with(p, other->peer.pid));
	ASSERT_CLEAN(full_scene_fill(scene));
	ASSERT_EQ(0, counters_read(&self->before));

	EXPECT_EQ(0, bind_to_b(scene, p, MPOL_MF_MOVE_ALL));
	moved = full_scene_want_as_found(scene, p);
	TH_LOG("%ld of %ld pages fitted", moved, p->count);
	EXPECT_LT(0, moved);
	EXPECT_GT(p->count, moved);
	EXPECT_CLEAN(pages_verify(p, "shared pages, node b is full"));
	EXPECT_CLEAN(counters_verify(&self->before, moved, 1));
	EXPECT_CLEAN(policy_check(p, 0, MPOL_BIND, NODE(scene->b)));

	EXPECT_EQ(-EIO, bind_to_b(scene, p, MPOL_MF_MOVE_ALL | MPOL_MF_STRICT));
	more = full_scene_want_as_found(scene, p);
	EXPECT_LE(moved, more);
	EXPECT_GT(p->count, more);
	EXPECT_CLEAN(pages_verify(p, "the same with STRICT"));
	EXPECT_CLEAN(counters_verify(&self->before, more, 2));
	EXPECT_CLEAN(pages_shared_with(p, other->peer.pid));

	ASSERT_EQ(0, full_give_back(&scene->full));
	EXPECT_EQ(0, bind_to_b(scene, p, MPOL_MF_MOVE_ALL | MPOL_MF_STRICT));
	pages_want_all(p, scene->b);
	EXPECT_CLEAN(pages_verify(p, "shared pages, node b has room"));
	EXPECT_CLEAN(counters_verify(&self->before, p->count, 2));
	EXPECT_CLEAN(pages_shared_with(p, other->peer.pid));
	EXPECT_EQ(0, holder_bad(other));
	EXPECT_EQ(0, holder_end(other));
}

TEST_F_TIMEOUT(full_calls, mbind_strict, 90)
{
	struct full_scene *scene = &self->scene;
	struct pages *p = &self->subject.pages;

	ASSERT_EQ(0, pages_map(p, FULL_PAGES, MAP_PRIVATE));
	pages_want(p, 0, HALF, scene->b);
	pages_want(p, HALF, HALF, scene->a);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_CLEAN(full_scene_fill(scene));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, counters_read(&self->before));

	EXPECT_EQ(-EIO, bind_to_b(scene, p, MPOL_MF_STRICT));
	EXPECT_STREQ("default", pages_policy(p, 0));
	EXPECT_STREQ("default", pages_policy(p, FULL_PAGES - 1));
	EXPECT_EQ(-EIO, policy_bind(p, HALF - 1, 2, MPOL_BIND, NODE(scene->b),
				    MPOL_MF_STRICT));
	EXPECT_STREQ("default", pages_policy(p, HALF - 1));
	EXPECT_EQ(0, policy_bind(p, 0, HALF, MPOL_BIND, NODE(scene->b),
				 MPOL_MF_STRICT));
	EXPECT_CLEAN(policy_check(p, 0, MPOL_BIND, NODE(scene->b)));
	EXPECT_STREQ("default", pages_policy(p, HALF));
	EXPECT_CLEAN(pages_verify(p, "half on the full node, half not"));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
	ASSERT_EQ(0, full_give_back(&scene->full));
}

/* Called in the child; a and b are those of the parent when it was forked. */

static int from, to;

/* A call that moves nothing first: what it takes is there at the first look. */
static long populate(struct pages *p)
{
	return pages_populate(p) ? : numa_migrate_pages(0, 0, NODE(to));
}

static long migrate_self(struct pages *p)
{
	(void)p;
	return numa_migrate_pages(0, NODE(from), NODE(to));
}

TEST_F_TIMEOUT(full_calls, migrate_self, 90)
{
	struct full_scene *scene = &self->scene;
	struct subject *s = &self->subject;
	long moved;

	from = scene->a;
	to = scene->b;
	ASSERT_CLEAN(full_scene_child(scene, s, populate));
	ASSERT_CLEAN(full_scene_fill(scene));
	ASSERT_CLEAN(subject_look(s));
	EXPECT_EQ(-ENOMEM, holder_call(&s->holder, migrate_self));
	moved = full_scene_want_as_found(scene, &s->pages);
	TH_LOG("%ld of %ld pages fitted", moved, s->pages.count);
	EXPECT_LT(0, moved);
	EXPECT_GT(s->pages.count, moved);
	EXPECT_CLEAN(subject_verify(s, 1, "the caller, node b is full"));

	ASSERT_EQ(0, full_give_back(&scene->full));
	ASSERT_CLEAN(subject_look(s));
	EXPECT_EQ(0, holder_call(&s->holder, migrate_self));
	pages_want_all(&s->pages, scene->b);
	EXPECT_CLEAN(subject_verify(s, 0, "the caller, node b has room"));
	EXPECT_EQ(0, holder_end(&s->holder));
}

TEST_HARNESS_MAIN
