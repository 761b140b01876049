// SPDX-License-Identifier: GPL-2.0-only
/*
 * vm.migrate_mode: how migrate_pages(2) moves a process, 0 directly, 1 via
 * swap, 2 directly as long as the target has free pages. mbind(2) and
 * move_pages(2) do not look at it. Cpusets are in migrate_mode_cpuset.c.
 *
 * A process has more than its pages: of those of its programs some may not be
 * able to leave memory (ramfs), so what migrate_pages(2) says stayed is
 * compared with what the trace event tells.
 *
 * testbed:
 *   nodes: 2
 *   swap_mib: 128
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, SWAP, EVENT_TRACING]
 *   features: [swap-migration]
 *   timeout_s: 180   # over the harness's own 150 s
 *   quick: [migrate_mode.knob]
 */
#include "harness.h"

#include "caps.h"
#include "chores.h"
#include "evict.h"
#include "full_scene.h"
#include "node_stat.h"
#include "nodes.h"
#include "placement.h"
#include "proc.h"
#include "scene.h"
#include "subject.h"

#define COUNT		64

FIXTURE(migrate_mode)
{
	int a;
	int b;
	struct subject subject;
	struct trace trace;
	struct evict_counts before;
};

FIXTURE_SETUP(migrate_mode)
{
	FIND_TWO_NODES(self, return);
	ASSERT_EQ(MIGRATE_MODE_DIRECT, evict_mode());
	/* The child is local to the node that it is to leave. */
	ASSERT_EQ(0, nodes_run_on(self->a));
	ASSERT_EQ(0, pages_map(&self->subject.pages, COUNT, MAP_PRIVATE));
	pages_want_all(&self->subject.pages, self->a);
	ASSERT_EQ(0, evict_trace(&self->trace));
}

FIXTURE_TEARDOWN(migrate_mode)
{
	EXPECT_EQ(0, evict_set_mode(MIGRATE_MODE_DIRECT));
	EXPECT_EQ(0, trace_end(&self->trace));
}

TEST_F(migrate_mode, knob)
{
	static const char *const bad[] = { "3", "-1", "x", "4294967296" };
	const char *const path = "/proc/sys/vm/migrate_mode";
	unsigned int i;
	int mode;

	for (mode = 0; mode <= 2; mode++) {
		EXPECT_EQ(0, evict_set_mode(mode));
		EXPECT_EQ(mode, evict_mode());
	}
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		EXPECT_EQ(-EINVAL, proc_write(path, bad[i]));
	EXPECT_EQ(2, evict_mode());
}

TEST_F(migrate_mode, direct)
{
	struct subject *s = &self->subject;
	struct evict_event e[2];
	long swapped;

	ASSERT_EQ(0, subject_start(s, pages_populate));
	ASSERT_CLEAN(subject_look(s));
	swapped = system_stat("pgmigrate_swapped");
	EXPECT_EQ(0, numa_migrate_pages(s->pages.pid, NODE(self->a),
					NODE(self->b)));
	pages_want_all(&s->pages, self->b);
	EXPECT_CLEAN(subject_verify(s, 0, "mode 0"));
	EXPECT_LE(COUNT, subject_moved());
	EXPECT_EQ(swapped, system_stat("pgmigrate_swapped"));
	EXPECT_EQ(0, evict_events(&self->trace, e, 2));
	EXPECT_EQ(0, holder_end(&s->holder));
}

static int run_on;

/* Called in the child. */
static long look_from_there(struct pages *p)
{
	return nodes_run_on(run_on) ? : pages_bad(p);
}

TEST_F(migrate_mode, evict)
{
	struct subject *s = &self->subject;
	struct pages *p = &s->pages;
	struct evict_event e[2];
	long stayed;

	run_on = self->b;
	ASSERT_EQ(0, subject_start(s, pages_populate));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, evict_set_mode(MIGRATE_MODE_EVICT));
	ASSERT_EQ(0, evict_read(&self->before));
	stayed = numa_migrate_pages(p->pid, NODE(self->a), NODE(self->b));
	EXPECT_LE(0, stayed);
	evict_want_out(p, 0, COUNT);
	EXPECT_CLEAN(pages_verify(p, "mode 1"));

	/* Nothing was copied, and what stayed was told. */
	EXPECT_EQ(self->before.counters.success,
		  system_stat("pgmigrate_success"));
	EXPECT_EQ(self->before.counters.fail, system_stat("pgmigrate_fail"));
	ASSERT_EQ(1, evict_events(&self->trace, e, 2));
	EXPECT_EQ(stayed, e[0].failed);
	EXPECT_LE(COUNT, e[0].swapped);
	EXPECT_EQ(self->before.swapped + e[0].swapped,
		  system_stat("pgmigrate_swapped"));
	EXPECT_STREQ("syscall_or_cpuset", e[0].reason);

	EXPECT_CLEAN(evict_back_in(&s->holder, look_from_there, p, self->b,
				   "touched on the other node"));
	EXPECT_EQ(0, holder_end(&s->holder));
}

/* No policy says otherwise: they come back to where they were to leave. */
TEST_F(migrate_mode, evict_leads_back)
{
	struct subject *s = &self->subject;
	struct pages *p = &s->pages;

	ASSERT_EQ(0, subject_start(s, pages_populate));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, evict_set_mode(MIGRATE_MODE_EVICT));
	EXPECT_LE(0, numa_migrate_pages(p->pid, NODE(self->a),
					NODE(self->b)));
	evict_want_out(p, 0, COUNT);
	EXPECT_CLEAN(pages_snapshot(p));
	EXPECT_CLEAN(evict_back_in(&s->holder, chore_look, p, self->a,
				   "back on the old node"));

	/* Directly they stay where they were put. */
	ASSERT_EQ(0, evict_set_mode(MIGRATE_MODE_DIRECT));
	ASSERT_CLEAN(subject_look(s));
	EXPECT_EQ(0, numa_migrate_pages(p->pid, NODE(self->a),
					NODE(self->b)));
	EXPECT_EQ(0, holder_bad(&s->holder));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(subject_verify(s, 0, "directly"));
	EXPECT_EQ(0, holder_end(&s->holder));
}

/* Without CAP_SYS_NICE what is shared is left alone, as ever. */
TEST_F(migrate_mode, evict_without_right)
{
	struct pages *p = &self->subject.pages;
	struct holder *holder = &self->subject.holder;

	ASSERT_EQ(0, pages_populate(p));
	ASSERT_EQ(0, holder_start_blind(holder, p));
	ASSERT_EQ(0, holder_bad(holder));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, evict_set_mode(MIGRATE_MODE_EVICT));
	ASSERT_EQ(0, caps_set_sys_nice(false));
	EXPECT_LE(0, numa_migrate_pages(0, NODE(self->a), NODE(self->b)));
	EXPECT_CLEAN(pages_verify(p, "mapped by two, without the right"));
	EXPECT_CLEAN(pages_shared_with(p, holder->peer.pid));
	ASSERT_EQ(0, caps_set_sys_nice(true));
	/* With it, from both. */
	EXPECT_LE(0, numa_migrate_pages(0, NODE(self->a), NODE(self->b)));
	evict_want_out(p, 0, COUNT);
	EXPECT_CLEAN(evict_out(p, "mapped by two, with the right"));
	EXPECT_EQ(0, holder_bad(holder));
	EXPECT_EQ(0, holder_end(holder));
}

TEST_F(migrate_mode, others_do_not_look)
{
	const struct evict_want want = { .copied = 2 * COUNT };
	struct pages *p = &self->subject.pages;
	int nodes[COUNT], status[COUNT], i;
	void *addrs[COUNT];

	ASSERT_EQ(0, pages_populate(p));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, evict_set_mode(MIGRATE_MODE_EVICT));
	ASSERT_EQ(0, evict_read(&self->before));
	for (i = 0; i < COUNT; i++) {
		addrs[i] = pages_at(p, i);
		nodes[i] = self->b;
	}
	EXPECT_EQ(0, numa_move_pages(0, COUNT, addrs, nodes, status,
				     MPOL_MF_MOVE));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "move_pages(2)"));
	ASSERT_CLEAN(pages_snapshot(p));
	EXPECT_EQ(0, evict_bind(p, 0, COUNT, self->a,
				MPOL_MF_MOVE | MPOL_MF_STRICT));
	pages_want_all(p, self->a);
	EXPECT_CLEAN(pages_verify(p, "mbind(2)"));
	EXPECT_CLEAN(evict_verify(&self->before, &want));
}

/* Room for all: as in mode 0. */
TEST_F(migrate_mode, fallback_with_room)
{
	struct subject *s = &self->subject;
	struct evict_event e[2];
	long swapped;

	ASSERT_EQ(0, subject_start(s, pages_populate));
	ASSERT_EQ(0, evict_set_mode(MIGRATE_MODE_FALLBACK));
	ASSERT_CLEAN(subject_look(s));
	swapped = system_stat("pgmigrate_swapped");
	EXPECT_EQ(0, numa_migrate_pages(s->pages.pid, NODE(self->a),
					NODE(self->b)));
	pages_want_all(&s->pages, self->b);
	EXPECT_CLEAN(subject_verify(s, 0, "mode 2"));
	EXPECT_LE(COUNT, subject_moved());
	EXPECT_EQ(swapped, system_stat("pgmigrate_swapped"));
	EXPECT_EQ(0, evict_events(&self->trace, e, 2));
	EXPECT_EQ(0, holder_end(&s->holder));
}

FIXTURE(migrate_mode_full)
{
	struct full_scene scene;
	struct subject subject;
	struct trace trace;
};

FIXTURE_SETUP(migrate_mode_full)
{
	ASSERT_EQ(0, evict_trace(&self->trace));
	ASSERT_CLEAN(full_scene_begin(&self->scene));
	ASSERT_LT(0, self->scene.swap.count);
}

FIXTURE_TEARDOWN(migrate_mode_full)
{
	EXPECT_EQ(0, evict_set_mode(MIGRATE_MODE_DIRECT));
	EXPECT_CLEAN(full_scene_end(&self->scene));
	EXPECT_EQ(0, trace_end(&self->trace));
}

/* What fits is copied, the rest is swapped, and comes to where it runs. */
TEST_F_TIMEOUT(migrate_mode_full, fallback, 150)
{
	struct full_scene *scene = &self->scene;
	struct subject *s = &self->subject;
	struct pages *p = &s->pages;
	struct evict_event e[2];
	struct full_found found;
	long stayed;

	run_on = scene->b;
	ASSERT_CLEAN(full_scene_child(scene, s, pages_populate));
	ASSERT_CLEAN(full_scene_fill(scene));
	ASSERT_EQ(0, evict_set_mode(MIGRATE_MODE_FALLBACK));
	ASSERT_EQ(0, full_scene_resume_swap(scene));
	ASSERT_CLEAN(pages_snapshot(p));
	stayed = numa_migrate_pages(p->pid, NODE(scene->a), NODE(scene->b));
	EXPECT_LE(0, stayed);
	ASSERT_EQ(0, full_scene_find(scene, p, &found));
	TH_LOG("%ld copied, %ld swapped, %ld stayed", found.copied, found.out,
	       stayed);
	EXPECT_LT(0, found.copied);
	EXPECT_LT(0, found.out);
	EXPECT_EQ(p->count, found.copied + found.out);
	ASSERT_EQ(1, evict_events(&self->trace, e, 2));
	EXPECT_LE(found.out, e[0].swapped);
	EXPECT_EQ(stayed, e[0].failed);
	EXPECT_STREQ("syscall_or_cpuset", e[0].reason);

	ASSERT_EQ(0, full_give_back(&scene->full));
	EXPECT_CLEAN(evict_back_in(&s->holder, look_from_there, p, scene->b,
				   "all on the target"));
	EXPECT_EQ(0, holder_end(&s->holder));
}

TEST_HARNESS_MAIN
