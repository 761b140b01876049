// SPDX-License-Identifier: GPL-2.0-only
/*
 * MPOL_MF_FALLBACK: pages are copied as long as the target has free ones, and
 * those left over go via swap. Nothing that is in use on the target gives way
 * to them, as it does without the flag. Node b is filled by another process with
 * locked pages.
 *
 * What went via swap is touched after the filler has gone: under MPOL_BIND the
 * fault would meet the OOM killer.
 *
 * testbed:
 *   nodes: 2
 *   swap_mib: 128
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, SWAP, EVENT_TRACING]
 *   features: [swap-migration]
 *   timeout_s: 180   # over the harness's own 150 s
 *   cases:
 *     fallback.thp: {kconfig: [TRANSPARENT_HUGEPAGE]}
 */
#include <sys/mman.h>

#include <linux/kernel-page-flags.h>

#include "harness.h"

#include "backings.h"
#include "evict.h"
#include "full_scene.h"
#include "node_stat.h"
#include "pin.h"
#include "placement.h"
#include "policy.h"
#include "scene.h"
#include "thp.h"

#define MOVE		MPOL_MF_MOVE
#define STRICT		MPOL_MF_STRICT
#define FALLBACK	MPOL_MF_FALLBACK

FIXTURE(fallback)
{
	struct full_scene scene;
	struct pages pages;
	struct trace trace;
	struct evict_counts before;
};

/* Swap is out of use while the node fills up: the filler's own is to stay. */
FIXTURE_SETUP(fallback)
{
	ASSERT_EQ(0, evict_trace(&self->trace));
	ASSERT_CLEAN(full_scene_begin(&self->scene));
	ASSERT_LT(0, self->scene.swap.count);
}

FIXTURE_TEARDOWN(fallback)
{
	EXPECT_CLEAN(full_scene_end(&self->scene));
	EXPECT_EQ(0, trace_end(&self->trace));
}

#define FILL_AND_LOOK(p) do {						\
	ASSERT_CLEAN(full_scene_fill(&self->scene));			\
	ASSERT_CLEAN(pages_snapshot(p));				\
	ASSERT_EQ(0, evict_read(&self->before));			\
} while (0)

TEST_F_TIMEOUT(fallback, full, 150)
{
	struct full_scene *scene = &self->scene;
	struct pages *p = &self->pages;
	struct evict_event e[2];
	struct evict_want want;
	struct full_found found;

	ASSERT_CLEAN(full_scene_own(scene, p));
	FILL_AND_LOOK(p);
	ASSERT_EQ(0, full_scene_resume_swap(scene));
	EXPECT_EQ(0, evict_bind(p, 0, p->count, scene->b,
				MOVE | STRICT | FALLBACK));
	ASSERT_EQ(0, full_scene_find(scene, p, &found));
	TH_LOG("%ld copied, %ld swapped", found.copied, found.out);
	EXPECT_LT(0, found.copied);
	EXPECT_LT(0, found.out);
	EXPECT_EQ(p->count, found.copied + found.out);
	EXPECT_CLEAN(evict_out(p, "copied and swapped"));
	/* The one that found no room is counted, the rest was not tried. */
	want = (struct evict_want) {
		.copied = found.copied, .failed = 1,
		.swapped = found.out, .written = found.out,
	};
	EXPECT_CLEAN(evict_verify(&self->before, &want));
	ASSERT_EQ(1, evict_events(&self->trace, e, 2));
	EXPECT_EQ(found.out, e[0].swapped);
	EXPECT_EQ(0, e[0].dropped);
	EXPECT_EQ(0, e[0].failed);
	EXPECT_STREQ("mempolicy_mbind", e[0].reason);

	ASSERT_EQ(0, full_give_back(&scene->full));
	EXPECT_CLEAN(evict_back(p, scene->b, "all are on the target"));
	want.read = found.out;
	EXPECT_CLEAN(evict_verify(&self->before, &want));
}

/* Without swap it is what direct migration is: what fits moves, EIO. */
TEST_F_TIMEOUT(fallback, full_no_swap, 150)
{
	struct full_scene *scene = &self->scene;
	struct pages *p = &self->pages;
	struct evict_want want = { .failed = 1 };
	struct evict_event e[2];
	struct full_found found;

	ASSERT_CLEAN(full_scene_own(scene, p));
	FILL_AND_LOOK(p);
	EXPECT_EQ(-EIO, evict_bind(p, 0, p->count, scene->b,
				   MOVE | STRICT | FALLBACK));
	ASSERT_EQ(0, full_scene_find(scene, p, &found));
	EXPECT_LT(0, found.copied);
	EXPECT_GT(p->count, found.copied);
	EXPECT_EQ(0, found.out);
	EXPECT_CLEAN(pages_verify(p, "no swap"));
	want.copied = found.copied;
	EXPECT_CLEAN(evict_verify(&self->before, &want));
	ASSERT_EQ(1, evict_events(&self->trace, e, 2));
	EXPECT_EQ(p->count - found.copied, e[0].failed);
	EXPECT_EQ(0, e[0].swapped);
	ASSERT_EQ(0, full_give_back(&scene->full));
}

/* Where there is room it is direct migration, and nothing is swapped. */
TEST_F_TIMEOUT(fallback, room, 150)
{
	struct full_scene *scene = &self->scene;
	struct pages *p = &self->pages;
	const struct evict_want want = { .copied = 1024 };
	struct evict_event e[2];

	ASSERT_EQ(0, pages_map(p, 1024, MAP_PRIVATE));
	pages_want_all(p, scene->a);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_EQ(0, full_scene_resume_swap(scene));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, evict_read(&self->before));
	EXPECT_EQ(0, evict_bind(p, 0, 1024, scene->b,
				MOVE | STRICT | FALLBACK));
	pages_want_all(p, scene->b);
	EXPECT_CLEAN(pages_verify(p, "room for all"));
	EXPECT_CLEAN(evict_verify(&self->before, &want));
	EXPECT_EQ(0, evict_events(&self->trace, e, 2));
	ASSERT_EQ(0, full_give_back(&scene->full));
}

/* What cannot be copied cannot be swapped either: the others still go. */
TEST_F_TIMEOUT(fallback, pinned, 150)
{
	struct full_scene *scene = &self->scene;
	struct pages *p = &self->pages;
	struct full_found found;
	struct pin pin;

	ASSERT_CLEAN(full_scene_own(scene, p));
	ASSERT_EQ(0, pin_pages(&pin, pages_at(p, p->count - 2), 2));
	FILL_AND_LOOK(p);
	ASSERT_EQ(0, full_scene_resume_swap(scene));
	EXPECT_EQ(-EIO, evict_bind(p, 0, p->count, scene->b,
				   MOVE | STRICT | FALLBACK));
	ASSERT_EQ(0, full_scene_find(scene, p, &found));
	EXPECT_EQ(p->count - 2, found.copied + found.out);
	EXPECT_EQ(scene->a, p->want[p->count - 1]);
	EXPECT_EQ(scene->a, p->want[p->count - 2]);
	EXPECT_EQ(self->before.swapped + found.out,
		  system_stat("pgmigrate_swapped"));
	EXPECT_CLEAN(evict_out(p, "two pages are pinned"));
	ASSERT_EQ(0, full_give_back(&scene->full));
	EXPECT_CLEAN(evict_back(p, scene->b, "touched"));
	pin_release(&pin);
}

/* A policy that allows other nodes takes them: nothing is swapped. */
TEST_F_TIMEOUT(fallback, preferred, 150)
{
	struct full_scene *scene = &self->scene;
	struct pages *p = &self->pages;
	struct full_found found;

	ASSERT_CLEAN(full_scene_own(scene, p));
	FILL_AND_LOOK(p);
	ASSERT_EQ(0, full_scene_resume_swap(scene));
	EXPECT_EQ(0, policy_bind(p, 0, p->count, MPOL_PREFERRED,
				 NODE(scene->b), MOVE | STRICT | FALLBACK));
	ASSERT_EQ(0, full_scene_find(scene, p, &found));
	EXPECT_LT(0, found.copied);
	EXPECT_GT(p->count, found.copied);
	EXPECT_EQ(0, found.out);
	EXPECT_EQ(self->before.swapped, system_stat("pgmigrate_swapped"));
	EXPECT_EQ(0, pages_bad(p));
	ASSERT_EQ(0, full_give_back(&scene->full));
}

/* Huge pages, as many as there are base pages otherwise. 0 or -1. */
static int map_huge(struct pages *p)
{
	const size_t bytes = FULL_PAGES * PAGE_BYTES;
	void *at = area_reserve(bytes, THP_BYTES);

	if (at == MAP_FAILED ||
	    mmap(at, bytes, PROT_READ | PROT_WRITE,
		 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != at ||
	    madvise(at, bytes, MADV_HUGEPAGE) || pages_over(p, at, FULL_PAGES))
		return -1;
	/* What is split is no huge page any more, wherever it is then. */
	p->unkept = KPF(THP) | KPF(COMPOUND_HEAD) | KPF(COMPOUND_TAIL);
	return 0;
}

/* For a huge page there is no room first: it is split, and its pieces are. */
TEST_F_TIMEOUT(fallback, thp, 150)
{
	struct full_scene *scene = &self->scene;
	struct pages *p = &self->pages;
	long copied, thps, i;
	struct evict_event e[2];
	struct full_found found;

	ASSERT_EQ(0, map_huge(p));
	pages_want_all(p, scene->a);
	ASSERT_EQ(0, pages_populate(p));
	FILL_AND_LOOK(p);
	for (i = 0, thps = 0; i < p->count; i += THP_PAGES)
		thps += (p->was[i].kflags & KPF(THP)) != 0;
	ASSERT_EQ(FULL_PAGES / THP_PAGES, thps);
	ASSERT_EQ(0, full_scene_resume_swap(scene));
	EXPECT_EQ(0, evict_bind(p, 0, p->count, scene->b,
				MOVE | STRICT | FALLBACK));
	ASSERT_EQ(0, full_scene_find(scene, p, &found));
	TH_LOG("%ld copied, %ld swapped", found.copied, found.out);
	EXPECT_LT(0, found.out);
	EXPECT_EQ(p->count, found.copied + found.out);
	EXPECT_CLEAN(evict_out(p, "huge pages, copied and swapped"));
	copied = system_stat("pgmigrate_success") -
		 self->before.counters.success;
	EXPECT_EQ(found.copied, copied);
	EXPECT_EQ(self->before.swapped + found.out,
		  system_stat("pgmigrate_swapped"));
	ASSERT_EQ(1, evict_events(&self->trace, e, 2));
	EXPECT_EQ(found.out, e[0].swapped);
	EXPECT_EQ(0, e[0].failed);
	EXPECT_EQ(self->before.counters.isolated_anon.on[scene->a],
		  node_stat(scene->a, "nr_isolated_anon"));

	ASSERT_EQ(0, full_give_back(&scene->full));
	EXPECT_CLEAN(evict_back(p, scene->b, "all are on the target"));
}

#define RESIDENTS	2048

/* How many of another's pages on node b are no longer in memory there. */
static long driven_out(const struct pages *p, int b)
{
	int status[RESIDENTS];
	long i, out = 0;

	if (placement_query(0, p->addr, RESIDENTS, status))
		return -1;
	for (i = 0; i < RESIDENTS; i++)
		out += status[i] != b;
	return out;
}

/*
 * Pages that were on the target before stay in memory. Without the flag some of
 * them, or of those that have just come, are swapped out to make room.
 */
TEST_F_TIMEOUT(fallback, residents_stay, 150)
{
	struct full_scene *scene = &self->scene;
	struct pages residents, *p = &self->pages;
	long written;

	ASSERT_CLEAN(scene_pages(&residents, RESIDENTS, MAP_PRIVATE,
				 scene->b));
	ASSERT_CLEAN(full_scene_own(scene, p));
	FILL_AND_LOOK(p);
	ASSERT_EQ(0, full_scene_resume_swap(scene));
	EXPECT_EQ(0, evict_bind(p, 0, p->count, scene->b,
				MOVE | STRICT | FALLBACK));
	EXPECT_EQ(0, driven_out(&residents, scene->b));
	EXPECT_EQ(system_stat("pswpout") - self->before.written,
		  system_stat("pgmigrate_swapped") - self->before.swapped);
	EXPECT_LT(self->before.swapped, system_stat("pgmigrate_swapped"));

	/* The same without it: room is made by swapping what is there. */
	ASSERT_EQ(0, munmap(p->addr, p->count * PAGE_BYTES));
	ASSERT_CLEAN(full_scene_own(scene, p));
	ASSERT_EQ(0, evict_read(&self->before));
	written = system_stat("pswpout");
	EXPECT_EQ(0, evict_bind(p, 0, p->count, scene->b, MOVE | STRICT));
	EXPECT_EQ(self->before.swapped, system_stat("pgmigrate_swapped"));
	EXPECT_LT(written, system_stat("pswpout"));
	EXPECT_LT(0, driven_out(&residents, scene->b) +
		     driven_out(p, scene->b));
	ASSERT_EQ(0, full_give_back(&scene->full));
	EXPECT_EQ(0, pages_bad(&residents));
}

TEST_HARNESS_MAIN
