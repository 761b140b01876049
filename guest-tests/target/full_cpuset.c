// SPDX-License-Identifier: GPL-2.0-only
/*
 * A cpuset whose node has no room: the write says nothing of it, what fits has
 * moved, the rest stays where it was, whole, and nobody is killed. It is not
 * tried again: what was left behind follows with the next change that begins
 * where it is.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, CPUSETS, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 120   # over the harness's own 90 s
 *   cases:
 *     "full_cpuset.v1.*": {kconfig: [CPUSETS_V1 since 6.12]}
 *   contract: {16: ["full_cpuset.*"], 17: ["full_cpuset.*"]}
 *   covers:
 *     - {cases: full_cpuset.v1.mems, interface: cpuset-v1-mems,
 *        backing: anon-private, condition: target-full}
 *     - {cases: full_cpuset.v1.attach, interface: cpuset-v1-attach,
 *        backing: anon-private, condition: target-full}
 *     - {cases: full_cpuset.v2.mems, interface: cpuset-v2-mems,
 *        backing: anon-private, condition: target-full}
 *     - {cases: full_cpuset.v2.attach, interface: cpuset-v2-attach,
 *        backing: anon-private, condition: target-full}
 */
#include "harness.h"

#include "cpuset_scene.h"
#include "full_scene.h"

FIXTURE(full_cpuset)
{
	unsigned long a;
	unsigned long b;
	struct full_scene full;
	struct cpuset_scene scene;
};

CPUSET_VARIANTS(full_cpuset);

FIXTURE_SETUP(full_cpuset)
{
	ASSERT_CLEAN(full_scene_begin(&self->full));
	cpuset_scene_nodes(&self->scene);
	self->a = NODE(self->full.a);
	self->b = NODE(self->full.b);
	ASSERT_CLEAN(cpuset_scene_begin(&self->scene, variant->kind,
					FULL_PAGES));
}

/* In the parent, so that it is done however the test ended. */
FIXTURE_TEARDOWN_PARENT(full_cpuset)
{
	EXPECT_EQ(0, cpuset_scene_end(&self->scene));
	EXPECT_CLEAN(full_scene_end(&self->full));
}

#define LOOK() \
	ASSERT_CLEAN(subject_look(&self->scene.subject))

#define VERIFY(nodes, what) \
	EXPECT_CLEAN(cpuset_scene_verify(&self->scene, nodes, what))

/* The child with its pages in "x", whose mems are a; and node b full. */
#define START() do {							\
	pages_want_all(&self->scene.subject.pages, self->full.a);	\
	ASSERT_CLEAN(cpuset_scene_start(&self->scene, self->a,		\
					pages_populate));		\
	ASSERT_CLEAN(full_scene_fill(&self->full));			\
	LOOK();								\
} while (0)

/* Some have moved to b and some have not, and one try was in vain. */
#define VERIFY_SOME(what) do {						\
	struct subject *_s = &self->scene.subject;			\
	long _moved = full_scene_want_as_found(&self->full, &_s->pages); \
									\
	TH_LOG("%ld of %ld pages fitted", _moved, _s->pages.count);	\
	EXPECT_LT(0, _moved);						\
	EXPECT_GT(_s->pages.count, _moved);				\
	EXPECT_CLEAN(subject_verify(_s, 1, what));			\
} while (0)

#define ROOM_AGAIN() do {						\
	ASSERT_EQ(0, full_give_back(&self->full.full));			\
	LOOK();								\
} while (0)

#define END() \
	EXPECT_EQ(0, holder_end(&self->scene.subject.holder))

TEST_F_TIMEOUT(full_cpuset, mems, 90)
{
	struct pages *p = &self->scene.subject.pages;

	START();
	EXPECT_EQ(0, cpuset_set_mems("x", self->b));
	VERIFY_SOME("mems from a to b, which is full");
	EXPECT_CLEAN(cpuset_same(self->b, cpuset_mems("x")));
	EXPECT_CLEAN(cpuset_same(self->b, cpuset_effective_mems("x")));

	ROOM_AGAIN();
	EXPECT_EQ(0, cpuset_set_mems("x", self->b));
	EXPECT_CLEAN(subject_verify(&self->scene.subject, 0,
				    "the same mems once more"));
	EXPECT_EQ(0, subject_moved());
	EXPECT_EQ(0, cpuset_set_mems("x", self->a | self->b));
	EXPECT_EQ(0, cpuset_set_mems("x", self->b));
	pages_want_all(p, self->full.b);
	VERIFY(self->b, "mems from {a,b} to b, which has room");
	END();
}

TEST_F_TIMEOUT(full_cpuset, attach, 90)
{
	struct pages *p = &self->scene.subject.pages;
	char pid[16], members[64];

	START();
	ASSERT_EQ(0, cpuset_set_mems("y", self->b));
	EXPECT_EQ(0, cpuset_attach("y", p->pid));
	VERIFY_SOME("from x (a) to y (b), which is full");
	snprintf(pid, sizeof(pid), "%d", p->pid);
	ASSERT_LT(0, cpuset_read("y", "cgroup.procs", members,
				 sizeof(members)));
	EXPECT_STREQ(pid, members);

	ROOM_AGAIN();
	EXPECT_EQ(0, cpuset_attach("y", p->pid));
	EXPECT_CLEAN(subject_verify(&self->scene.subject, 0,
				    "attached where it is"));
	EXPECT_EQ(0, subject_moved());
	/* Those left on a are there already. */
	EXPECT_EQ(0, cpuset_attach("x", p->pid));
	pages_want_all(p, self->full.a);
	VERIFY(self->a, "from y (b) back to x (a)");

	LOOK();
	EXPECT_EQ(0, cpuset_attach("y", p->pid));
	pages_want_all(p, self->full.b);
	VERIFY(self->b, "from x (a) to y (b), which has room");
	END();
}

TEST_HARNESS_MAIN
