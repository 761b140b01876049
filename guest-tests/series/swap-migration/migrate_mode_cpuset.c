// SPDX-License-Identifier: GPL-2.0-only
/*
 * vm.migrate_mode and cpusets, of v1 and v2: a change of mems and a move into a
 * cpuset with other mems take a process's pages along in the way that the mode
 * says. However they go, they end up within the cpuset.
 *
 * testbed:
 *   nodes: 2
 *   swap_mib: 128
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, SWAP, CPUSETS, EVENT_TRACING]
 *   features: [swap-migration]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     "migrate_mode_cpuset.v1*.*": {kconfig: [CPUSETS_V1 since 6.12]}
 *     "migrate_mode_cpuset_stay.*": {kconfig: [CPUSETS_V1 since 6.12]}
 */
#include "harness.h"

#include "chores.h"
#include "cpuset_scene.h"
#include "evict.h"
#include "node_stat.h"
#include "subject.h"
#include "swap.h"

#define COUNT		64

FIXTURE(migrate_mode_cpuset)
{
	struct cpuset_scene scene;
	struct trace trace;
	long swapped;
};

FIXTURE_VARIANT(migrate_mode_cpuset)
{
	enum cpuset_kind kind;
	int mode;
};

#define VARIANT(name, a_kind, a_mode)					\
	FIXTURE_VARIANT_ADD(migrate_mode_cpuset, name) {		\
		.kind = a_kind,						\
		.mode = a_mode,						\
	}

VARIANT(v1_direct, CPUSET_V1, MIGRATE_MODE_DIRECT);
VARIANT(v1_evict, CPUSET_V1, MIGRATE_MODE_EVICT);
VARIANT(v1_fallback, CPUSET_V1, MIGRATE_MODE_FALLBACK);
VARIANT(v2_direct, CPUSET_V2, MIGRATE_MODE_DIRECT);
VARIANT(v2_evict, CPUSET_V2, MIGRATE_MODE_EVICT);
VARIANT(v2_fallback, CPUSET_V2, MIGRATE_MODE_FALLBACK);

/* A child in x, which has node a alone; y has node b. */
FIXTURE_SETUP(migrate_mode_cpuset)
{
	struct cpuset_scene *scene = &self->scene;

	ASSERT_TRUE(swap_has_room(COUNT));
	ASSERT_EQ(0, evict_trace(&self->trace));
	ASSERT_CLEAN(cpuset_scene_begin(scene, variant->kind, COUNT));
	ASSERT_LE(0, scene->node[1]);
	ASSERT_EQ(0, cpuset_set_mems("y", NODE(scene->node[1])));
	pages_want_all(&scene->subject.pages, scene->node[0]);
	ASSERT_CLEAN(cpuset_scene_start(scene, NODE(scene->node[0]),
					pages_populate));
	ASSERT_EQ(0, evict_set_mode(variant->mode));
	self->swapped = system_stat("pgmigrate_swapped");
}

FIXTURE_TEARDOWN(migrate_mode_cpuset)
{
	EXPECT_EQ(0, evict_set_mode(MIGRATE_MODE_DIRECT));
	EXPECT_EQ(0, cpuset_scene_end(&self->scene));
	EXPECT_EQ(0, trace_end(&self->trace));
}

/* "" if one request was told of, with at least the child's pages. */
static const char *told(const struct trace *t, long swapped)
{
	struct evict_event e[2];

	if (evict_events(t, e, 2) != 1)
		return "not one event";
	if (strcmp(e[0].reason, "syscall_or_cpuset"))
		return "another reason";
	if (e[0].swapped < COUNT)
		return "fewer pages than the child has";
	return e[0].swapped == swapped ? "" : "not what is counted";
}

/* The pages are taken along now, or out now and in when they are touched. */
#define VERIFY_TAKEN_ALONG(what) do {					\
	struct subject *s = &self->scene.subject;			\
	const int to = self->scene.node[1];				\
	struct evict_event none[1];					\
									\
	if (variant->mode == MIGRATE_MODE_EVICT) {			\
		evict_want_out(&s->pages, 0, COUNT);			\
		EXPECT_CLEAN(pages_verify(&s->pages, what ", out"));	\
		EXPECT_CLEAN(told(&self->trace,				\
				  system_stat("pgmigrate_swapped") -	\
				  self->swapped));			\
		EXPECT_EQ(s->before.success,				\
			  system_stat("pgmigrate_success"));		\
	} else {							\
		pages_want_all(&s->pages, to);				\
		EXPECT_CLEAN(cpuset_scene_verify(&self->scene, NODE(to),\
						 what));		\
		EXPECT_EQ(self->swapped,				\
			  system_stat("pgmigrate_swapped"));		\
		EXPECT_EQ(0, evict_events(&self->trace, none, 1));	\
	}								\
	EXPECT_CLEAN(evict_back_in(&s->holder, chore_look, &s->pages,	\
				   to, what ", touched"));		\
	EXPECT_EQ(0, holder_end(&s->holder));				\
} while (0)

TEST_F(migrate_mode_cpuset, mems)
{
	EXPECT_EQ(0, cpuset_set_mems("x", NODE(self->scene.node[1])));
	VERIFY_TAKEN_ALONG("other mems");
}

TEST_F(migrate_mode_cpuset, attach)
{
	EXPECT_EQ(0, cpuset_attach("y", self->scene.subject.pages.pid));
	VERIFY_TAKEN_ALONG("another cpuset");
}

/* A cpuset of v1 that leaves pages behind does so in every mode. */
FIXTURE(migrate_mode_cpuset_stay)
{
	struct cpuset_scene scene;
};

FIXTURE_SETUP(migrate_mode_cpuset_stay)
{
	struct cpuset_scene *scene = &self->scene;

	ASSERT_CLEAN(cpuset_scene_begin(scene, CPUSET_V1_STAY, COUNT));
	ASSERT_LE(0, scene->node[1]);
	pages_want_all(&scene->subject.pages, scene->node[0]);
	ASSERT_CLEAN(cpuset_scene_start(scene, NODE(scene->node[0]),
					pages_populate));
}

FIXTURE_TEARDOWN(migrate_mode_cpuset_stay)
{
	EXPECT_EQ(0, evict_set_mode(MIGRATE_MODE_DIRECT));
	EXPECT_EQ(0, cpuset_scene_end(&self->scene));
}

TEST_F(migrate_mode_cpuset_stay, mems)
{
	struct subject *s = &self->scene.subject;
	long swapped = system_stat("pgmigrate_swapped");
	int mode;

	for (mode = 1; mode <= 2; mode++) {
		ASSERT_EQ(0, evict_set_mode(mode));
		EXPECT_EQ(0, cpuset_set_mems("x", NODE(self->scene.node[1])));
		EXPECT_CLEAN(subject_verify(s, 0, "memory_migrate is 0"));
		EXPECT_EQ(0, cpuset_set_mems("x", NODE(self->scene.node[0])));
	}
	EXPECT_EQ(swapped, system_stat("pgmigrate_swapped"));
	EXPECT_EQ(0, holder_end(&s->holder));
}

TEST_HARNESS_MAIN
