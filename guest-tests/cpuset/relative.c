// SPDX-License-Identifier: GPL-2.0-only
/*
 * Relative placement: what lies on the n-th node of the old mems goes to the
 * n-th of the new, as do_migrate_pages() (mm/mempolicy.c, 6.12) has it for
 * every technique:
 *
 *  - sets of one size map node by node, and no page moves twice;
 *  - with sets of different sizes a node that is in both is left alone, and
 *    another goes to the place that is its own modulo the size of the new set.
 *
 * What is expected is written down case by case, node by node.
 *
 * testbed:
 *   nodes: 4
 *   kconfig: [NUMA, MIGRATION, CPUSETS, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     "cpuset_relative.v1*.*": {kconfig: [CPUSETS_V1 since 6.12]}
 *     "cpuset_relative.*.three_to_two": {nodes: 5}
 *     "cpuset_relative.*.two_to_three": {nodes: 5}
 *     "cpuset_relative.*.three_up_by_one": {nodes: 6}
 *     "cpuset_relative.*.half_to_half": {nodes: 8}
 *     "cpuset_relative.*.eight_to_three": {nodes: 8}
 *   contract:
 *     17: ["cpuset_relative.*"]
 *   promises:
 *     relative-placement: ["cpuset_relative.*"]
 *     cpuset-takes-pages: ["cpuset_relative.*"]
 *   covers:
 *     - {cases: ["cpuset_relative.v1_mems.*"],
 *        interface: [cpuset-v1-mems], backing: [anon-private], condition:
 *          [quiet]}
 *     - {cases: ["cpuset_relative.v1_attach.*"],
 *        interface: [cpuset-v1-attach], backing: [anon-private], condition:
 *          [quiet]}
 *     - {cases: ["cpuset_relative.v2_mems.*"],
 *        interface: [cpuset-v2-mems], backing: [anon-private], condition:
 *          [quiet]}
 *     - {cases: ["cpuset_relative.v2_attach.*"],
 *        interface: [cpuset-v2-attach], backing: [anon-private], condition:
 *          [quiet]}
 */
#include "harness.h"

#include "cpuset_scene.h"
#include "nodes.h"

/* A multiple of 2, 3, 4 and 8, dealt out over that many nodes in turn. */
#define COUNT		24

/* Places, not numbers: the first node with memory is 0. */
#define SET(...)	set_of((const int[]){ __VA_ARGS__, -1 })
#define MAP(...)	((const int[]){ __VA_ARGS__, -1 })

FIXTURE(cpuset_relative)
{
	struct cpuset_scene scene;
};

/* The same by a change of mems and by an attach, from a group to another. */
FIXTURE_VARIANT(cpuset_relative)
{
	enum cpuset_kind kind;
	bool attach;
};

FIXTURE_VARIANT_ADD(cpuset_relative, v1_mems) {
	.kind = CPUSET_V1,
};

FIXTURE_VARIANT_ADD(cpuset_relative, v1_attach) {
	.kind = CPUSET_V1,
	.attach = true,
};

FIXTURE_VARIANT_ADD(cpuset_relative, v2_mems) {
	.kind = CPUSET_V2,
};

FIXTURE_VARIANT_ADD(cpuset_relative, v2_attach) {
	.kind = CPUSET_V2,
	.attach = true,
};

FIXTURE_SETUP(cpuset_relative)
{
	if (cpuset_scene_nodes(&self->scene) < 4)
		SKIP(return, "needs 4 nodes with memory");
	ASSERT_CLEAN(cpuset_scene_begin(&self->scene, variant->kind, COUNT));
}

FIXTURE_TEARDOWN_PARENT(cpuset_relative)
{
	EXPECT_EQ(0, cpuset_scene_end(&self->scene));
}

static unsigned long set_of(const int *places)
{
	unsigned long set = 0;

	for (; *places >= 0; places++)
		set |= NODE(*places);
	return set;
}

/* @pairs are places: from, to, from, to ... What is not among them stays. */
static void want(struct cpuset_scene *scene, const int *pairs)
{
	for (; *pairs >= 0; pairs += 2)
		pages_want_moved(&scene->subject.pages, scene->node[pairs[0]],
				 scene->node[pairs[1]]);
}

/* The frames on each node after as before, but for those that went there. */
static void check(struct __test_metadata *const _metadata,
		  struct cpuset_scene *scene, const int *pairs)
{
	long leave[SCENE_NODES] = {0}, come[SCENE_NODES] = {0}, was, is;
	int i;

	for (i = 0; pairs[i] >= 0; i += 2) {
		was = subject_was_on(NODE(scene->node[pairs[i]]));
		leave[pairs[i]] += was;
		come[pairs[i + 1]] += was;
	}
	for (i = 0; i < SCENE_NODES && scene->node[i] >= 0; i++) {
		was = subject_was_on(NODE(scene->node[i]));
		is = subject_is_on(NODE(scene->node[i]));
		EXPECT_EQ(was - leave[i] + come[i], is)
			TH_LOG("on node %d", scene->node[i]);
	}
}

static int set_mems_or_attach(struct cpuset_scene *scene, bool attach,
			      unsigned long nodes)
{
	int error;

	if (!attach)
		return cpuset_set_mems("x", nodes);
	error = cpuset_set_mems("y", nodes);
	return error ? error : cpuset_attach("y", scene->subject.pages.pid);
}

static void run(struct __test_metadata *const _metadata,
		struct cpuset_scene *scene, bool attach, unsigned long from,
		unsigned long to, const int *pairs)
{
	struct subject *subject = &scene->subject;
	unsigned long old = cpuset_scene_set(scene, from);
	unsigned long new = cpuset_scene_set(scene, to);
	char what[80];

	pages_want_dealt(&subject->pages, old);
	ASSERT_CLEAN(cpuset_scene_start(scene, old, pages_populate));
	EXPECT_EQ(0, set_mems_or_attach(scene, attach, new));
	want(scene, pairs);
	snprintf(what, sizeof(what), "from %s to %s", nodes_text(old),
		 nodes_text(new));
	EXPECT_CLEAN(cpuset_scene_verify(scene, new, what));
	check(_metadata, scene, pairs);
	EXPECT_EQ(0, holder_end(&subject->holder));
}

#define RUN(from, to, pairs) \
	run(_metadata, &self->scene, variant->attach, from, to, pairs)

#define HAS(count) \
	(nodes_count(self->scene.all) >= (count))

TEST_F(cpuset_relative, pair_to_pair)
{
	RUN(SET(0, 1), SET(2, 3), MAP(0, 2, 1, 3));
}

TEST_F(cpuset_relative, pair_down)
{
	RUN(SET(2, 3), SET(0, 1), MAP(2, 0, 3, 1));
}

/* Ascending, whatever the distances: 0 and 2 are across from each other. */
TEST_F(cpuset_relative, across)
{
	RUN(SET(0, 2), SET(1, 3), MAP(0, 1, 2, 3));
}

/* {1,2} -> {0,3}: one goes down, one up. */
TEST_F(cpuset_relative, apart)
{
	RUN(SET(1, 2), SET(0, 3), MAP(1, 0, 2, 3));
}

/* Pages of 1 are moved before those of 0 come there. */
TEST_F(cpuset_relative, overlapping)
{
	RUN(SET(0, 1, 2), SET(1, 2, 3), MAP(2, 3, 1, 2, 0, 1));
}

TEST_F(cpuset_relative, overlapping_down)
{
	RUN(SET(1, 2, 3), SET(0, 1, 2), MAP(1, 0, 2, 1, 3, 2));
}

/* Of one size: a node in both sets is not spared, if its place is another. */
TEST_F(cpuset_relative, one_in_common)
{
	RUN(SET(0, 1), SET(1, 3), MAP(1, 3, 0, 1));
}

/* The third place of the old set is the first of the new. */
TEST_F(cpuset_relative, three_to_two_with_one_in_both)
{
	RUN(SET(0, 1, 2), SET(2, 3), MAP(0, 2, 1, 3));
}

TEST_F(cpuset_relative, one_to_three)
{
	RUN(SET(0), SET(1, 2, 3), MAP(0, 1));
}

TEST_F(cpuset_relative, all_to_one)
{
	RUN(SET(0, 1, 2, 3), SET(2), MAP(0, 2, 1, 2, 3, 2));
}

TEST_F(cpuset_relative, three_to_two)
{
	if (!HAS(5))
		SKIP(return, "needs 5 nodes with memory");
	RUN(SET(0, 1, 2), SET(3, 4), MAP(0, 3, 1, 4, 2, 3));
}

TEST_F(cpuset_relative, two_to_three)
{
	if (!HAS(5))
		SKIP(return, "needs 5 nodes with memory");
	RUN(SET(3, 4), SET(0, 1, 2), MAP(3, 0, 4, 1));
}

TEST_F(cpuset_relative, three_up_by_one)
{
	if (!HAS(6))
		SKIP(return, "needs 6 nodes with memory");
	RUN(SET(2, 3, 4), SET(3, 4, 5), MAP(4, 5, 3, 4, 2, 3));
}

TEST_F(cpuset_relative, half_to_half)
{
	if (!HAS(8))
		SKIP(return, "needs 8 nodes with memory");
	RUN(SET(0, 1, 2, 3), SET(4, 5, 6, 7), MAP(0, 4, 1, 5, 2, 6, 3, 7));
}

/* Only 0, 1, 2, 6 and 7 move. */
TEST_F(cpuset_relative, eight_to_three)
{
	if (!HAS(8))
		SKIP(return, "needs 8 nodes with memory");
	RUN(SET(0, 1, 2, 3, 4, 5, 6, 7), SET(3, 4, 5),
	    MAP(0, 3, 1, 4, 2, 5, 6, 3, 7, 4));
}

TEST_HARNESS_MAIN
