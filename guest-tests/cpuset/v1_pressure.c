// SPDX-License-Identifier: GPL-2.0-only
/*
 * cpuset.memory_pressure of cgroup v1: how often processes of the group enter
 * direct reclaim (__perform_reclaim(), mm/page_alloc.c), as a filtered rate
 * that is brought up to date when a second has gone by (fmeter_update(),
 * kernel/cgroup/cpuset-v1.c, 6.12). It is counted only where the root group's
 * memory_pressure_enabled is 1.
 *
 * The pressure is that of a process which has the pool of huge pages grow past
 * all there is: that reclaims, gives up and kills nobody.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, CPUSETS, CPUSETS_V1 since 6.12, HUGETLBFS,
 *             PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract:
 *     17: ["cpuset_pressure.*"]
 */
#include "harness.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "cpuset_scene.h"
#include "cpuset_tree.h"
#include "deadline.h"
#include "metric.h"
#include "proc.h"

#define COUNT		4
#define POOL		"/proc/sys/vm/nr_hugepages"
#define ENABLED		"cpuset.memory_pressure_enabled"
#define DEADLINE_US	10e6

FIXTURE(cpuset_pressure)
{
	struct cpuset_scene scene;
};

FIXTURE_SETUP(cpuset_pressure)
{
	if (cpuset_scene_nodes(&self->scene) < 2)
		SKIP(return, "needs 2 nodes with memory");
	ASSERT_CLEAN(cpuset_scene_begin(&self->scene, CPUSET_V1, COUNT));
}

/* By its path: the groups are begun in the process of the test, not here. */
FIXTURE_TEARDOWN_PARENT(cpuset_pressure)
{
	EXPECT_EQ(0, proc_write(CPUSET_TREE "/" ENABLED, "0"));
	EXPECT_EQ(0, cpuset_scene_end(&self->scene));
	EXPECT_EQ(0, proc_write(POOL, "0"));
}

/* Called in the child: its pages are no prey of the reclaim. */
static long populate_locked(struct pages *p)
{
	long error = pages_populate(p);

	return error ? error : mlock(p->addr, p->count * PAGE_BYTES);
}

/* Called in the child: how many huge pages there were to have. */
static long press(struct pages *p)
{
	char text[32];
	long error = proc_write(POOL, "100000");

	(void)p;
	if (error || proc_read(POOL, text, sizeof(text)) < 0)
		return -1;
	error = proc_write(POOL, "0");
	return error ? error : strtol(text, NULL, 10);
}

static long pressure_of(const char *name)
{
	char text[32];

	if (cpuset_read(name, "cpuset.memory_pressure", text, sizeof(text)) < 0)
		return -1;
	return strtol(text, NULL, 10);
}

static long await_pressure(const char *name)
{
	double deadline = deadline_after_us(DEADLINE_US);
	long pressure;

	do {
		pressure = pressure_of(name);
		if (pressure)
			break;
		poll(NULL, 0, 20);
	} while (metric_now_us() < deadline);
	return pressure;
}

TEST_F(cpuset_pressure, counts_direct_reclaim)
{
	struct cpuset_scene *scene = &self->scene;
	struct holder *child = &scene->subject.holder;
	char text[16];

	EXPECT_LT(0, cpuset_read(".", ENABLED, text, sizeof(text)));
	EXPECT_STREQ("0", text);
	ASSERT_EQ(0, cpuset_set_mems("y", NODE(scene->node[1])));
	pages_want_all(&scene->subject.pages, scene->node[1]);
	ASSERT_CLEAN(cpuset_scene_start(scene, NODE(scene->node[1]),
					populate_locked));
	EXPECT_LT(0, holder_call(child, press));

	EXPECT_EQ(0, cpuset_write(".", ENABLED, "1"));
	EXPECT_EQ(0, pressure_of("x"));
	EXPECT_LT(0, holder_call(child, press));
	EXPECT_LT(0, await_pressure("x"));
	/* The group that the process is in, and no other. */
	EXPECT_EQ(0, pressure_of("y"));
	EXPECT_EQ(0, pressure_of("."));
	EXPECT_EQ(-EINVAL, cpuset_write("x", "cpuset.memory_pressure", "0"));
	EXPECT_CLEAN(pages_verify(&scene->subject.pages, "under pressure"));
	EXPECT_EQ(0, holder_end(child));
}

TEST_HARNESS_MAIN
