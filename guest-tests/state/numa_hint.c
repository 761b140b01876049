// SPDX-License-Identifier: GPL-2.0-only
/*
 * NUMA-hint PTEs, which NUMA balancing makes: present, but out of reach until
 * a fault tells who uses the page. MPOL_MF_LAZY is refused, so only the scan
 * of a running task makes them; it skips pages on the node of a task with one
 * thread (change_pte_range(), mm/mprotect.c), so that they are on the other.
 *
 * Migration replaces such a PTE by an ordinary one (remove_migration_pte()
 * makes it from vma->vm_page_prot): the hint is used up. What counts is that
 * the page stays usable, writable and its owner's own.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, NUMA_BALANCING]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {10: ["*"]}
 *   known:
 *     - cases: [numa_hint.moves_and_stays_usable]
 *       kernels: "<6.5"
 *       why: move_pages(2) neither finds nor moves pages that have NUMA hints
 *       commit: known-issues/prot-none-not-found.md; mended in 6.5
 *   covers:
 *     - {cases: "numa_hint.*", interface: [move_pages-set, mbind-move-strict],
 *        backing: [anon-private], condition: [quiet]}
 */
#include "harness.h"

#include <sched.h>

#include "deadline.h"
#include "metric.h"
#include "node_stat.h"
#include "proc.h"
#include "relocate.h"
#include "scene.h"

#define COUNT		256
#define DEADLINE_US	20e6
#define KNOBS		"/sys/kernel/debug/sched/numa_balancing/"
#define BALANCING	"/proc/sys/kernel/numa_balancing"

FIXTURE(numa_hint)
{
	int a;
	int b;
	char delay[16];
	char period[16];
	struct pages pages;
	struct pages control;
};

FIXTURE_SETUP(numa_hint)
{
	cpu_set_t cpu;

	FIND_TWO_NODES(self, return);
	/* The scan looks from the node of CPU 0. */
	CPU_ZERO(&cpu);
	CPU_SET(0, &cpu);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(cpu), &cpu));
	ASSERT_LT(0, proc_read(KNOBS "scan_delay_ms", self->delay,
			       sizeof(self->delay)));
	ASSERT_LT(0, proc_read(KNOBS "scan_period_min_ms", self->period,
			       sizeof(self->period)));
	ASSERT_EQ(0, pages_map(&self->pages, COUNT, MAP_PRIVATE));
	ASSERT_EQ(0, pages_map(&self->control, COUNT, MAP_PRIVATE));
	pages_want_all(&self->pages, self->b);
	pages_want_all(&self->control, self->b);
	ASSERT_EQ(0, pages_populate(&self->pages));
	ASSERT_EQ(0, pages_populate(&self->control));
	ASSERT_EQ(0, relocate_drain());
	ASSERT_CLEAN(pages_snapshot(&self->pages));
	ASSERT_CLEAN(pages_snapshot(&self->control));
}

/* In the parent, so that it is done however the test ended. */
FIXTURE_TEARDOWN_PARENT(numa_hint)
{
	EXPECT_EQ(0, proc_write(BALANCING, "0"));
	EXPECT_EQ(0, proc_write(KNOBS "scan_delay_ms", self->delay));
	EXPECT_EQ(0, proc_write(KNOBS "scan_period_min_ms", self->period));
}

/*
 * Run until the scan has been over both ranges: it goes through all VMAs in
 * turn, so once so many PTEs have been made as all of this process's are.
 */
static const char *scan(void)
{
	double deadline = deadline_after_us(DEADLINE_US);
	long made = system_stat("numa_pte_updates");

	if (proc_write(KNOBS "scan_delay_ms", "1") ||
	    proc_write(KNOBS "scan_period_min_ms", "1") ||
	    proc_write(BALANCING, "1"))
		return "cannot turn NUMA balancing on";
	while (system_stat("numa_pte_updates") - made < 2 * COUNT)
		if (metric_now_us() > deadline)
			return "no scan in 20 s";
	/* What was made stays so. */
	return proc_write(BALANCING, "0") ? "cannot turn it off" : "";
}

/* Hint faults that touching all pages of @p takes. */
static long faults_on(struct pages *p)
{
	long before = system_stat("numa_hint_faults"), i;

	for (i = 0; i < COUNT; i++)
		pages_read(p, i);
	return system_stat("numa_hint_faults") - before;
}

TEST_F(numa_hint, moves_and_stays_usable)
{
	struct relocation r = { self->a, MPOL_MF_MOVE, 1, 0 };
	struct pages *p = &self->pages;
	long i;

	ASSERT_CLEAN(scan());
	ASSERT_CLEAN(relocate(p, &r));
	EXPECT_EQ(0, faults_on(p));
	EXPECT_CLEAN(relocate_verify(p, "moved with hint PTEs"));
	/* Those that stayed show that there were any. */
	EXPECT_LE(COUNT, faults_on(&self->control));

	ASSERT_CLEAN(pages_snapshot(p));
	for (i = 0; i < COUNT; i++)
		pages_write(p, i);
	EXPECT_CLEAN(pages_verify(p, "written in place"));
}

TEST_F(numa_hint, moves_by_mbind)
{
	struct relocation r = { self->a, MPOL_MF_MOVE, 1, 0 };
	struct pages *p = &self->pages;

	ASSERT_CLEAN(scan());
	/* Queries of 6.1 do not find them: known-issues/prot-none-not-found. */
	ASSERT_CLEAN(relocate_unseen_by_mbind(p, &r));
	EXPECT_EQ(0, faults_on(p));
	EXPECT_CLEAN(relocate_verify(p, "moved with hint PTEs"));
	EXPECT_LE(COUNT, faults_on(&self->control));
	EXPECT_CLEAN(relocate_to(p, self->b, "and back"));
}

TEST_HARNESS_MAIN
