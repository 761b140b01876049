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
#include "full.h"
#include "nodes.h"
#include "pages.h"
#include "placement.h"
#include "subject.h"
#include "swap.h"

#define MIB		(1L << 20)
#define ASKED		(48 * MIB / 4096)
#define LEAVE		(8 * MIB)
#define UNWRITTEN	12345

FIXTURE(full)
{
	int a;
	int b;
	struct full full;
	struct swap_areas swap;
	struct subject subject;
	struct counters before;
	long kills;
};

FIXTURE_SETUP(full)
{
	unsigned long nodes = nodes_with_memory();

	ASSERT_LE(2, nodes_count(nodes));
	self->a = nodes_nth(nodes, 0);
	self->b = nodes_nth(nodes, 1);
	/* Away from the node that gets full: there every page is searched. */
	ASSERT_EQ(0, nodes_run_on(self->a));
	ASSERT_EQ(0, swap_stop(&self->swap));
	ASSERT_EQ(0, full_begin(&self->full));
	self->kills = full_oom_kills();
	ASSERT_LE(0, self->kills);
}

FIXTURE_TEARDOWN(full)
{
	EXPECT_EQ(self->kills, full_oom_kills());
	EXPECT_EQ(0, full_end(&self->full));
	EXPECT_EQ(0, swap_resume(&self->swap));
}

/* ASKED pages of the caller on node a, and node b full but for LEAVE. */
static const char *own_pages(struct pages *p, struct full *f, int a, int b)
{
	const char *problem;

	if (pages_map(p, ASKED, MAP_PRIVATE))
		return "cannot map";
	pages_want_all(p, a);
	if (pages_populate(p))
		return "cannot populate";
	problem = pages_snapshot(p);
	if (*problem)
		return problem;
	return full_take(f, b, LEAVE) ? "cannot fill the node" : "";
}

/*
 * Want each page where the kernel says it is, which is to be node @a or @b;
 * how many are on @b. What else pages_verify() looks at stays as strict.
 */
static long want_as_found(struct pages *p, int a, int b)
{
	static int status[ASKED];
	long i, moved = 0;

	if (placement_query(p->pid, p->addr, p->count, status))
		return -1;
	for (i = 0; i < p->count; i++) {
		pages_want(p, i, 1, status[i] == b ? b : a);
		moved += status[i] == b;
	}
	return moved;
}

static long bind_all(const struct pages *p, int mode, int node, int flags)
{
	return numa_mbind(p->addr, p->count * PAGE_BYTES, mode, NODE(node),
			  flags);
}

static long move_all(const struct pages *p, int node, int *status)
{
	static void *addrs[ASKED];
	static int nodes[ASKED];
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
	struct pages *p = &self->subject.pages;
	static int status[ASKED];
	long moved, i, written = 0;

	ASSERT_CLEAN(own_pages(p, &self->full, self->a, self->b));
	ASSERT_EQ(0, counters_read(&self->before));
	EXPECT_EQ(-ENOMEM, move_all(p, self->b, status));
	moved = want_as_found(p, self->a, self->b);
	TH_LOG("%ld of %ld pages fitted", moved, p->count);
	EXPECT_LT(0, moved);
	EXPECT_GT(p->count, moved);
	EXPECT_CLEAN(pages_verify(p, "more pages than node b has room for"));
	EXPECT_CLEAN(counters_verify(&self->before, moved, 1));
	for (i = 0; i < p->count; i++)
		written += status[i] != UNWRITTEN;
	EXPECT_EQ(0, written);

	/* With room again the same call moves the rest. */
	ASSERT_EQ(0, full_give_back(&self->full));
	EXPECT_EQ(0, move_all(p, self->b, status));
	ASSERT_EQ(p->count, want_as_found(p, self->a, self->b));
	for (i = 0; i < p->count; i++)
		EXPECT_EQ(self->b, status[i]);
	EXPECT_CLEAN(pages_verify(p, "node b has room again"));
	EXPECT_CLEAN(counters_verify(&self->before, p->count, 1));
}

TEST_F_TIMEOUT(full, mbind_strict, 90)
{
	struct pages *p = &self->subject.pages;
	char bound[32];
	long moved;

	ASSERT_CLEAN(own_pages(p, &self->full, self->a, self->b));
	ASSERT_EQ(0, counters_read(&self->before));
	EXPECT_EQ(-EIO, bind_all(p, MPOL_BIND, self->b,
				 MPOL_MF_MOVE | MPOL_MF_STRICT));
	moved = want_as_found(p, self->a, self->b);
	EXPECT_LT(0, moved);
	EXPECT_GT(p->count, moved);
	EXPECT_CLEAN(pages_verify(p, "more pages than node b has room for"));
	EXPECT_CLEAN(counters_verify(&self->before, moved, 1));
	snprintf(bound, sizeof(bound), "bind:%d", self->b);
	EXPECT_STREQ(bound, pages_policy(p, 0));
	EXPECT_STREQ(bound, pages_policy(p, p->count - 1));

	ASSERT_EQ(0, full_give_back(&self->full));
	EXPECT_EQ(0, bind_all(p, MPOL_BIND, self->b,
			      MPOL_MF_MOVE | MPOL_MF_STRICT));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "node b has room again"));
	EXPECT_CLEAN(counters_verify(&self->before, p->count, 1));
}

TEST_F_TIMEOUT(full, mbind_without_strict, 90)
{
	struct pages *p = &self->subject.pages;
	long moved;

	ASSERT_CLEAN(own_pages(p, &self->full, self->a, self->b));
	ASSERT_EQ(0, counters_read(&self->before));
	EXPECT_EQ(0, bind_all(p, MPOL_BIND, self->b, MPOL_MF_MOVE));
	moved = want_as_found(p, self->a, self->b);
	EXPECT_LT(0, moved);
	EXPECT_GT(p->count, moved);
	EXPECT_CLEAN(pages_verify(p, "more pages than node b has room for"));
	EXPECT_CLEAN(counters_verify(&self->before, moved, 1));
	ASSERT_EQ(0, full_give_back(&self->full));
}

/*
 * What does not fit is migrated all the same, to a frame of another node: all
 * that were misplaced have new frames, and none has failed.
 */
TEST_F_TIMEOUT(full, mbind_preferred, 90)
{
	struct pages *p = &self->subject.pages;
	long moved, i;

	ASSERT_CLEAN(own_pages(p, &self->full, self->a, self->b));
	ASSERT_EQ(0, counters_read(&self->before));
	EXPECT_EQ(0, bind_all(p, MPOL_PREFERRED, self->b,
			      MPOL_MF_MOVE | MPOL_MF_STRICT));
	moved = want_as_found(p, self->a, self->b);
	EXPECT_LT(0, moved);
	EXPECT_GT(p->count, moved);
	for (i = 0; i < p->count; i++)
		pages_forget_frame(p, i);
	EXPECT_CLEAN(pages_verify(p, "preferred, more than there is room for"));
	EXPECT_CLEAN(counters_verify(&self->before, p->count, 0));
	ASSERT_EQ(0, full_give_back(&self->full));
}

static long populate(struct pages *p)
{
	return pages_populate(p);
}

/* A child with the pages on node a, and node b full but for LEAVE. */
static const char *child_pages(struct subject *s, struct full *f, int a, int b)
{
	const char *problem;

	if (pages_map(&s->pages, ASKED, MAP_PRIVATE))
		return "cannot map";
	pages_want_all(&s->pages, a);
	if (subject_start(s, populate))
		return "cannot start the child";
	if (full_take(f, b, LEAVE))
		return "cannot fill the node";
	problem = subject_look(s);
	return problem;
}

TEST_F_TIMEOUT(full, migrate_pages, 90)
{
	struct subject *s = &self->subject;
	long moved;

	ASSERT_CLEAN(child_pages(s, &self->full, self->a, self->b));
	EXPECT_EQ(-ENOMEM, numa_migrate_pages(s->pages.pid, NODE(self->a),
					      NODE(self->b)));
	moved = want_as_found(&s->pages, self->a, self->b);
	EXPECT_LT(0, moved);
	EXPECT_GT(s->pages.count, moved);
	EXPECT_CLEAN(subject_verify(s, 1, "a child, node b without room"));

	ASSERT_EQ(0, full_give_back(&self->full));
	ASSERT_CLEAN(subject_look(s));
	EXPECT_LE(0, numa_migrate_pages(s->pages.pid, NODE(self->a),
					NODE(self->b)));
	pages_want_all(&s->pages, self->b);
	EXPECT_CLEAN(subject_verify(s, 0, "a child, node b with room"));
	EXPECT_EQ(0, holder_end(&s->holder));
}

TEST_F_TIMEOUT(full, cpuset_mems, 90)
{
	struct subject *s = &self->subject;
	struct cpuset_root root;
	long moved;

	ASSERT_CLEAN(child_pages(s, &self->full, self->a, self->b));
	ASSERT_EQ(0, cpuset_begin(&root));
	ASSERT_EQ(0, cpuset_create("x"));
	ASSERT_EQ(0, cpuset_set_mems("x", NODE(self->a)));
	ASSERT_EQ(0, cpuset_attach("x", s->pages.pid));
	ASSERT_CLEAN(subject_look(s));
	EXPECT_EQ(0, cpuset_set_mems("x", NODE(self->b)));
	moved = want_as_found(&s->pages, self->a, self->b);
	EXPECT_LT(0, moved);
	EXPECT_GT(s->pages.count, moved);
	EXPECT_CLEAN(subject_verify(s, 1, "in a cpuset without room"));
	EXPECT_EQ(NODE(self->b), cpuset_effective_mems("x"));
	EXPECT_EQ(0, holder_end(&s->holder));
	ASSERT_EQ(0, full_give_back(&self->full));
	EXPECT_EQ(0, cpuset_end(&root));
}

TEST_HARNESS_MAIN
