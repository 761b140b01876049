// SPDX-License-Identifier: GPL-2.0-only
/*
 * The target has no room: what fits moves, the rest stays where it is, whole,
 * and nobody is killed for it. The node is filled by another process with
 * locked pages, and there is no swap, so there is nothing to reclaim. (With
 * swap the target makes room by swapping out pages that have just come to it,
 * and the calls succeed.)
 *
 *  - move_pages(2) and migrate_pages(2) ask for the target alone
 *    (__GFP_THISNODE) and fail with ENOMEM, although pages have moved. Of a
 *    call of move_pages(2) that ends so, no status is written for the pages
 *    that went to that node (move_pages_and_store_status(), mm/migrate.c).
 *  - mbind(2) with MPOL_BIND reports EIO if STRICT; the policy is installed.
 *  - With MPOL_PREFERRED it takes another node for what does not fit, and that
 *    is no failure, even if the other node is the one the page was on.
 *  - A cpuset takes along what fits and says nothing.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, CPUSETS]
 *   timeout_s: 120   # over the harness's own 90 s
 *   contract: {16: ["full.*"]}
 *   covers:
 *     - {cases: "full.move_pages", interface: [move_pages-set], backing:
 *        [anon-private], condition: [target-full]}
 *     - {cases: "full.mbind_*", interface: [mbind-move], backing:
 *        [anon-private], condition: [target-full]}
 *     - {cases: "full.mbind_strict", interface: [mbind-move-strict], backing:
 *        [anon-private], condition: [target-full]}
 *     - {cases: "full.migrate_pages", interface: [migrate_pages-child],
 *        backing: [anon-private], condition: [target-full]}
 *     - {cases: "full.cpuset_mems", interface: [cpuset-v2-mems], backing:
 *        [anon-private], condition: [target-full]}
 */
#include "harness.h"

#include "counters.h"
#include "cpuset.h"
#include "full_scene.h"
#include "pages.h"
#include "subject.h"

#define UNWRITTEN	12345

FIXTURE(full)
{
	struct full_scene scene;
	struct subject subject;
	struct counters before;
};

FIXTURE_SETUP(full)
{
	ASSERT_CLEAN(full_scene_begin(&self->scene));
}

FIXTURE_TEARDOWN(full)
{
	EXPECT_CLEAN(full_scene_end(&self->scene));
}

static long bind_all(const struct pages *p, int mode, int node, int flags)
{
	return numa_mbind(p->addr, p->count * PAGE_BYTES, mode, NODE(node),
			  flags);
}

static long move_all(const struct pages *p, int node, int *status)
{
	static void *addrs[FULL_PAGES];
	static int nodes[FULL_PAGES];
	long i;

	for (i = 0; i < p->count; i++) {
		addrs[i] = pages_at(p, i);
		nodes[i] = node;
		status[i] = UNWRITTEN;
	}
	return numa_move_pages(0, p->count, addrs, nodes, status, MPOL_MF_MOVE);
}

TEST_F_TIMEOUT(full, move_pages, 90)
{
	struct full_scene *scene = &self->scene;
	struct pages *p = &self->subject.pages;
	static int status[FULL_PAGES];
	long moved, i, written = 0;

	ASSERT_CLEAN(full_scene_own(scene, p));
	ASSERT_CLEAN(full_scene_fill(scene));
	ASSERT_EQ(0, counters_read(&self->before));
	EXPECT_EQ(-ENOMEM, move_all(p, scene->b, status));
	moved = full_scene_want_as_found(scene, p);
	TH_LOG("%ld of %ld pages fitted", moved, p->count);
	EXPECT_LT(0, moved);
	EXPECT_GT(p->count, moved);
	EXPECT_CLEAN(pages_verify(p, "more pages than node b has room for"));
	EXPECT_CLEAN(counters_verify(&self->before, moved, 1));
	for (i = 0; i < p->count; i++)
		written += status[i] != UNWRITTEN;
	EXPECT_EQ(0, written);

	/* With room again the same call moves the rest. */
	ASSERT_EQ(0, full_give_back(&scene->full));
	EXPECT_EQ(0, move_all(p, scene->b, status));
	ASSERT_EQ(p->count, full_scene_want_as_found(scene, p));
	for (i = 0; i < p->count; i++)
		EXPECT_EQ(scene->b, status[i]);
	EXPECT_CLEAN(pages_verify(p, "node b has room again"));
	EXPECT_CLEAN(counters_verify(&self->before, p->count, 1));
}

TEST_F_TIMEOUT(full, mbind_strict, 90)
{
	struct full_scene *scene = &self->scene;
	struct pages *p = &self->subject.pages;
	char bound[32];
	long moved;

	ASSERT_CLEAN(full_scene_own(scene, p));
	ASSERT_CLEAN(full_scene_fill(scene));
	ASSERT_EQ(0, counters_read(&self->before));
	EXPECT_EQ(-EIO, bind_all(p, MPOL_BIND, scene->b,
				 MPOL_MF_MOVE | MPOL_MF_STRICT));
	moved = full_scene_want_as_found(scene, p);
	EXPECT_LT(0, moved);
	EXPECT_GT(p->count, moved);
	EXPECT_CLEAN(pages_verify(p, "more pages than node b has room for"));
	EXPECT_CLEAN(counters_verify(&self->before, moved, 1));
	snprintf(bound, sizeof(bound), "bind:%d", scene->b);
	EXPECT_STREQ(bound, pages_policy(p, 0));
	EXPECT_STREQ(bound, pages_policy(p, p->count - 1));

	ASSERT_EQ(0, full_give_back(&scene->full));
	EXPECT_EQ(0, bind_all(p, MPOL_BIND, scene->b,
			      MPOL_MF_MOVE | MPOL_MF_STRICT));
	pages_want_all(p, scene->b);
	EXPECT_CLEAN(pages_verify(p, "node b has room again"));
	EXPECT_CLEAN(counters_verify(&self->before, p->count, 1));
}

TEST_F_TIMEOUT(full, mbind_without_strict, 90)
{
	struct full_scene *scene = &self->scene;
	struct pages *p = &self->subject.pages;
	long moved;

	ASSERT_CLEAN(full_scene_own(scene, p));
	ASSERT_CLEAN(full_scene_fill(scene));
	ASSERT_EQ(0, counters_read(&self->before));
	EXPECT_EQ(0, bind_all(p, MPOL_BIND, scene->b, MPOL_MF_MOVE));
	moved = full_scene_want_as_found(scene, p);
	EXPECT_LT(0, moved);
	EXPECT_GT(p->count, moved);
	EXPECT_CLEAN(pages_verify(p, "more pages than node b has room for"));
	EXPECT_CLEAN(counters_verify(&self->before, moved, 1));
	ASSERT_EQ(0, full_give_back(&scene->full));
}

/*
 * What does not fit is migrated all the same, to a frame of another node: all
 * that were misplaced have new frames, and none has failed.
 */
TEST_F_TIMEOUT(full, mbind_preferred, 90)
{
	struct full_scene *scene = &self->scene;
	struct pages *p = &self->subject.pages;
	long moved, i;

	ASSERT_CLEAN(full_scene_own(scene, p));
	ASSERT_CLEAN(full_scene_fill(scene));
	ASSERT_EQ(0, counters_read(&self->before));
	EXPECT_EQ(0, bind_all(p, MPOL_PREFERRED, scene->b,
			      MPOL_MF_MOVE | MPOL_MF_STRICT));
	moved = full_scene_want_as_found(scene, p);
	EXPECT_LT(0, moved);
	EXPECT_GT(p->count, moved);
	for (i = 0; i < p->count; i++)
		pages_forget_frame(p, i);
	EXPECT_CLEAN(pages_verify(p, "preferred, more than there is room for"));
	EXPECT_CLEAN(counters_verify(&self->before, p->count, 0));
	ASSERT_EQ(0, full_give_back(&scene->full));
}

/* A child with the pages on node a, and node b full. "" or not. */
static const char *child_and_fill(struct full_scene *scene, struct subject *s)
{
	const char *problem = full_scene_child(scene, s, pages_populate);

	if (!*problem)
		problem = full_scene_fill(scene);
	return *problem ? problem : subject_look(s);
}

TEST_F_TIMEOUT(full, migrate_pages, 90)
{
	struct full_scene *scene = &self->scene;
	struct subject *s = &self->subject;
	long moved;

	ASSERT_CLEAN(child_and_fill(scene, s));
	EXPECT_EQ(-ENOMEM, numa_migrate_pages(s->pages.pid, NODE(scene->a),
					      NODE(scene->b)));
	moved = full_scene_want_as_found(scene, &s->pages);
	EXPECT_LT(0, moved);
	EXPECT_GT(s->pages.count, moved);
	EXPECT_CLEAN(subject_verify(s, 1, "a child, node b without room"));

	ASSERT_EQ(0, full_give_back(&scene->full));
	ASSERT_CLEAN(subject_look(s));
	EXPECT_LE(0, numa_migrate_pages(s->pages.pid, NODE(scene->a),
					NODE(scene->b)));
	pages_want_all(&s->pages, scene->b);
	EXPECT_CLEAN(subject_verify(s, 0, "a child, node b with room"));
	EXPECT_EQ(0, holder_end(&s->holder));
}

TEST_F_TIMEOUT(full, cpuset_mems, 90)
{
	struct full_scene *scene = &self->scene;
	struct subject *s = &self->subject;
	struct cpuset_root root;
	long moved;

	ASSERT_CLEAN(child_and_fill(scene, s));
	ASSERT_EQ(0, cpuset_begin(&root));
	ASSERT_EQ(0, cpuset_create("x"));
	ASSERT_EQ(0, cpuset_set_mems("x", NODE(scene->a)));
	ASSERT_EQ(0, cpuset_attach("x", s->pages.pid));
	ASSERT_CLEAN(subject_look(s));
	EXPECT_EQ(0, cpuset_set_mems("x", NODE(scene->b)));
	moved = full_scene_want_as_found(scene, &s->pages);
	EXPECT_LT(0, moved);
	EXPECT_GT(s->pages.count, moved);
	EXPECT_CLEAN(subject_verify(s, 1, "in a cpuset without room"));
	EXPECT_EQ(NODE(scene->b), cpuset_effective_mems("x"));
	EXPECT_EQ(0, holder_end(&s->holder));
	ASSERT_EQ(0, full_give_back(&scene->full));
	EXPECT_EQ(0, cpuset_end(&root));
}

TEST_HARNESS_MAIN
