// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/<pid>/migrate of patches/manual-migration: a page stays charged to
 * whom it was charged to, whoever asks for the move, on the node where it is
 * now. At its limit a group has its pages moved as well: nothing is charged
 * twice, not for a moment (mem_cgroup_replace_folio() and mem_cgroup_migrate()
 * in mm/memcontrol.c, 6.12).
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, MEMCG]
 *   features: [manual-migration]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 */
#include "harness.h"

#include "chores.h"
#include "memcg.h"
#include "migrate_file_steps.h"
#include "pages.h"
#include "scene.h"
#include "subject_steps.h"

#define COUNT		512L
#define BYTES		(COUNT * (long)PAGE_BYTES)

FIXTURE(charge)
{
	int a;
	int b;
	int fd;
	struct memcg group;
	struct subject subject;
};

/* A child in a group of its own; the file is the parent's, who is outside. */
FIXTURE_SETUP(charge)
{
	struct pages *p = &self->subject.pages;

	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, memcg_begin(&self->group));
	ASSERT_EQ(0, memcg_attach(0));
	ASSERT_EQ(0, pages_map(p, COUNT, MAP_PRIVATE));
	/* A quarter on b. */
	pages_want(p, 0, COUNT, self->a);
	pages_want(p, 0, COUNT / 4, self->b);
	START(pages_populate);
	ASSERT_EQ(0, memcg_detach(0));
	OPEN(p->pid);
}

FIXTURE_TEARDOWN_PARENT(charge)
{
	EXPECT_EQ(0, memcg_end(&self->group));
}

#define EXCHANGE(count) do {						\
	struct pages *_p = &self->subject.pages;			\
									\
	EXPECT_EQ(0, migrate_file_ask_range(self->fd, _p, 0, COUNT,	\
					    EXCHANGED));		\
	TOLD(count, 0, 0);						\
	WANT_EXCHANGED(_p);						\
	VERIFY(0, "a:b,b:a");						\
} while (0)

/* Three quarters there, one here: half of all goes from a to b. */
TEST_F(charge, exchange)
{
	const long a = memcg_settled_on_node("anon", self->a);
	const long b = memcg_settled_on_node("anon", self->b);

	EXPECT_LE(BYTES, a + b);
	LOOK();
	EXCHANGE(COUNT);
	EXPECT_EQ(a - BYTES / 2, memcg_wait_on_node("anon", self->a,
						    a - BYTES / 2));
	EXPECT_EQ(b + BYTES / 2, memcg_wait_on_node("anon", self->b,
						    b + BYTES / 2));
	END();
}

TEST_F(charge, at_the_limit)
{
	const long full = memcg_field("memory.events", "max");
	char limit[32];

	snprintf(limit, sizeof(limit), "%ld", memcg_value("memory.current"));
	ASSERT_EQ(0, memcg_set("memory.max", limit));
	EXCHANGE(COUNT);
	EXPECT_EQ(full, memcg_field("memory.events", "max"));
	EXPECT_EQ(0, memcg_field("memory.events", "oom_kill"));
	END();
}

TEST_HARNESS_MAIN
