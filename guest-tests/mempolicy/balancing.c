// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which pages NUMA balancing may move, and where to: mpol_misplaced() in
 * mm/mempolicy.c of 6.12 asks the policy at each hint fault. Without a policy,
 * and with MPOL_F_NUMA_BALANCING, a page follows the CPU that uses it, as far
 * as the policy has its node; under any other policy a range is not even
 * looked at (vma_policy_mof()).
 *
 * The scan that makes hint PTEs is over when a page is touched, so that what
 * moves is what is touched and no more.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, NUMA_BALANCING, DEBUG_FS,
 *             SCHED_DEBUG]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   quick:
 *     - balancing.bind_balancing.of_a_range
 *   cases:
 *     balancing_thp.*: {kconfig: [TRANSPARENT_HUGEPAGE]}
 */
#include "harness.h"

#include <sched.h>
#include <sys/mman.h>

#include "deadline.h"
#include "kernel.h"
#include "metric.h"
#include "node_stat.h"
#include "nodes.h"
#include "policy.h"
#include "proc.h"
#include "relocate.h"
#include "scene.h"
#include "thp.h"

#define COUNT		32
#define KNOBS		"/sys/kernel/debug/sched/numa_balancing/"
#define BALANCING	"/proc/sys/kernel/numa_balancing"
#define DEADLINE_US	20e6

#define NO_POLICY	MPOL_DEFAULT

struct knobs {
	char delay[16];
	char period[16];
};

static int knobs_read(struct knobs *k)
{
	return proc_read(KNOBS "scan_delay_ms", k->delay,
			 sizeof(k->delay)) > 0 &&
	       proc_read(KNOBS "scan_period_min_ms", k->period,
			 sizeof(k->period)) > 0 ? 0 : -1;
}

static int knobs_restore(const struct knobs *k)
{
	return proc_write(BALANCING, "0") ? :
	       proc_write(KNOBS "scan_delay_ms", k->delay) ? :
	       proc_write(KNOBS "scan_period_min_ms", k->period);
}

/* Until @pages at least have hint PTEs; one scan goes over all mappings. */
static const char *make_hints(long pages)
{
	double deadline = deadline_after_us(DEADLINE_US);
	long made = system_stat("numa_pte_updates");

	if (proc_write(KNOBS "scan_delay_ms", "1") ||
	    proc_write(KNOBS "scan_period_min_ms", "1") ||
	    proc_write(BALANCING, "1"))
		return "cannot turn NUMA balancing on";
	while (system_stat("numa_pte_updates") - made < pages)
		if (metric_now_us() > deadline)
			return "no scan in 20 s";
	return proc_write(BALANCING, "0") ? "cannot turn it off" : "";
}

static int stay_on_cpu_0(void)
{
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET(0, &cpu);
	return sched_setaffinity(0, sizeof(cpu), &cpu);
}

FIXTURE(balancing)
{
	int a;			/* where the CPU is */
	int b;			/* where the pages are */
	struct knobs knobs;
	struct pages pages;
	struct pages control;	/* without a policy: it is scanned and moves */
};

FIXTURE_VARIANT(balancing)
{
	int mode;
	bool a;			/* whether the policy has the node of the CPU */
	bool b;
	bool follows;		/* whether the pages go to the CPU */
	bool since_6_10;	/* -EINVAL before */
};

FIXTURE_VARIANT_ADD(balancing, none)
{
	.mode = NO_POLICY,
	.follows = true,
};

FIXTURE_VARIANT_ADD(balancing, bind)
{
	.mode = MPOL_BIND,
	.a = true,
	.b = true,
};

FIXTURE_VARIANT_ADD(balancing, bind_balancing)
{
	.mode = MPOL_BIND | MPOL_F_NUMA_BALANCING,
	.a = true,
	.b = true,
	.follows = true,
};

FIXTURE_VARIANT_ADD(balancing, bind_balancing_elsewhere)
{
	.mode = MPOL_BIND | MPOL_F_NUMA_BALANCING,
	.b = true,
};

FIXTURE_VARIANT_ADD(balancing, bind_balancing_to_the_cpu)
{
	.mode = MPOL_BIND | MPOL_F_NUMA_BALANCING,
	.a = true,
	.follows = true,
};

FIXTURE_VARIANT_ADD(balancing, preferred)
{
	.mode = MPOL_PREFERRED,
	.a = true,
};

FIXTURE_VARIANT_ADD(balancing, interleave)
{
	.mode = MPOL_INTERLEAVE,
	.a = true,
	.b = true,
};

FIXTURE_VARIANT_ADD(balancing, local)
{
	.mode = MPOL_LOCAL,
};

FIXTURE_VARIANT_ADD(balancing, many_balancing)
{
	.mode = MPOL_PREFERRED_MANY | MPOL_F_NUMA_BALANCING,
	.a = true,
	.b = true,
	.follows = true,
	.since_6_10 = true,
};

FIXTURE_VARIANT_ADD(balancing, many_balancing_elsewhere)
{
	.mode = MPOL_PREFERRED_MANY | MPOL_F_NUMA_BALANCING,
	.b = true,
	.since_6_10 = true,
};

FIXTURE_SETUP(balancing)
{
	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, stay_on_cpu_0());
	ASSERT_EQ(0, knobs_read(&self->knobs));
	ASSERT_EQ(0, pages_map(&self->pages, COUNT, MAP_PRIVATE));
	ASSERT_EQ(0, pages_map(&self->control, COUNT, MAP_PRIVATE));
	pages_want_all(&self->pages, self->b);
	pages_want_all(&self->control, self->b);
	ASSERT_EQ(0, pages_populate(&self->pages));
	ASSERT_EQ(0, pages_populate(&self->control));
	ASSERT_EQ(0, relocate_drain());
}

FIXTURE_TEARDOWN_PARENT(balancing)
{
	EXPECT_EQ(0, knobs_restore(&self->knobs));
}

/* Have the faults, and what was moved by them put on the LRU lists. */
static void touch(const struct pages *p)
{
	long i;

	for (i = 0; i < p->count; i++)
		pages_read(p, i);
	relocate_drain();
}

TEST_F(balancing, of_a_range)
{
	unsigned long set = (variant->a ? NODE(self->a) : 0) |
			    (variant->b ? NODE(self->b) : 0);
	struct pages *p = &self->pages;
	struct counters before;
	long error = policy_bind(p, 0, COUNT, variant->mode, set, 0);

	if (variant->since_6_10 && kernel_before(6, 10)) {
		EXPECT_EQ(-EINVAL, error);
		return;
	}
	ASSERT_EQ(0, error);
	/* Now: before 6.12 a query finds no page where there is a hint PTE. */
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_CLEAN(pages_snapshot(&self->control));
	ASSERT_CLEAN(make_hints(COUNT));
	ASSERT_EQ(0, counters_read(&before));
	touch(&self->control);
	pages_want_all(&self->control, self->a);
	EXPECT_CLEAN(pages_verify(&self->control, "pages with no policy"));

	touch(p);
	if (variant->follows)
		pages_want_all(p, self->a);
	EXPECT_CLEAN(pages_verify(p, "pages with a policy"));
	EXPECT_LE(before.balanced + COUNT * (variant->follows ? 2 : 1),
		  system_stat("numa_pages_migrated"));
	/* Nothing else than balancing has moved any. */
	EXPECT_CLEAN(counters_verify(&before, 0, 0));
}

/* The policy of the task decides where a range has none. */
TEST_F(balancing, of_the_task)
{
	unsigned long set = (variant->a ? NODE(self->a) : 0) |
			    (variant->b ? NODE(self->b) : 0);
	struct pages *p = &self->pages;
	struct counters before;
	long error = numa_set_mempolicy(variant->mode, set);

	if (variant->since_6_10 && kernel_before(6, 10)) {
		EXPECT_EQ(-EINVAL, error);
		return;
	}
	ASSERT_EQ(0, error);
	/* A range that balancing may look at, whatever the task's policy. */
	ASSERT_EQ(0, policy_bind(&self->control, 0, COUNT, MPOL_BIND |
				 MPOL_F_NUMA_BALANCING,
				 NODE(self->a) | NODE(self->b), 0));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_CLEAN(make_hints(COUNT));
	ASSERT_EQ(0, counters_read(&before));
	touch(p);
	if (variant->follows)
		pages_want_all(p, self->a);
	EXPECT_CLEAN(pages_verify(p, "under the task's policy"));
	touch(&self->control);
	pages_want_all(&self->control, self->a);
	ASSERT_EQ(0, pages_bad(&self->control));
	EXPECT_CLEAN(counters_verify(&before, 0, 0));
}

FIXTURE(balancing_thp)
{
	struct knobs knobs;
};

FIXTURE_SETUP(balancing_thp)
{
	if (nodes_count(nodes_with_memory()) < 2)
		SKIP(return, "needs 2 nodes with memory");
	ASSERT_EQ(0, stay_on_cpu_0());
	ASSERT_EQ(0, knobs_read(&self->knobs));
}

FIXTURE_TEARDOWN_PARENT(balancing_thp)
{
	EXPECT_EQ(0, knobs_restore(&self->knobs));
}

/* By one fault, as one, and mapped as one (do_huge_pmd_numa_page()). */
TEST_F(balancing_thp, moves_whole)
{
	const struct counters_want want = { .thps_moved = 1 };
	unsigned long nodes = nodes_with_memory();
	char *area = thp_map();
	struct counters before;
	struct pages p;

	ASSERT_NE(MAP_FAILED, area);
	ASSERT_EQ(0, pages_over(&p, area, THP_PAGES));
	pages_want_all(&p, nodes_nth(nodes, 1));
	ASSERT_EQ(0, pages_populate(&p));
	ASSERT_EQ(0, relocate_drain());
	ASSERT_CLEAN(pages_snapshot(&p));
	ASSERT_CLEAN(make_hints(1));
	ASSERT_EQ(0, counters_read(&before));
	pages_read(&p, 77);
	ASSERT_EQ(0, relocate_drain());
	pages_want_all(&p, nodes_nth(nodes, 0));
	EXPECT_CLEAN(pages_verify(&p, "a huge page follows"));
	EXPECT_LE(before.balanced + THP_PAGES,
		  system_stat("numa_pages_migrated"));
	EXPECT_CLEAN(counters_verify_all(&before, &want));
}

TEST_HARNESS_MAIN
