// SPDX-License-Identifier: GPL-2.0-only
/*
 * migspeed(8) where its memory is of large folios, since the machine gives such
 * to everybody: huge pages, and folios of 64 KiB. Its memory is gone when it
 * ends, so that they moved whole is told by counters and by the tracepoint of
 * each entry that is unmapped, which has the order of the folio.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, TRANSPARENT_HUGEPAGE]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     migspeed_folios.large: {kconfig: [EVENT_TRACING]}
 *   contract: {12: [migspeed_folios.large]}
 *   covers:
 *     - {cases: migspeed_folios.huge_pages, interface: migspeed-tool,
 *        backing: thp, condition: quiet}
 *     - {cases: migspeed_folios.large, interface: migspeed-tool,
 *        backing: large-folio, condition: quiet}
 */
#include "harness.h"

#include "counters.h"
#include "kernel.h"
#include "migspeed.h"
#include "nodes.h"
#include "proc.h"
#include "scene.h"
#include "syscalls.h"
#include "trace.h"

#define PAGES		4096
#define PAGES_TEXT	"4096"
#define SETTINGS	"/sys/kernel/mm/transparent_hugepage/"
#define HUGE_ENABLED	SETTINGS "enabled"
#define HUGE_BYTES	(2UL << 20)
#define LARGE_ENABLED	SETTINGS "hugepages-64kB/enabled"
#define LARGE_SPLIT	SETTINGS "hugepages-64kB/stats/split"
#define LARGE_BYTES	(64UL << 10)
#define LARGE_ORDER	4

FIXTURE(migspeed_folios)
{
	int a;
	int b;
	struct counters before;
	struct program tool;
};

FIXTURE_SETUP(migspeed_folios)
{
	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, counters_read(&self->before));
}

FIXTURE_TEARDOWN(migspeed_folios)
{
}

/* Have the setting, if any, be "always" while it runs. 0 or not. */
static int run_with(struct program *tool, const char *setting, int a, int b)
{
	char was[64], *chosen = NULL;
	int error;

	if (setting) {
		if (proc_read(setting, was, sizeof(was)) < 0 ||
		    proc_write(setting, "always"))
			return -1;
		chosen = strtok(strchr(was, '[') + 1, "]");
	}
	error = program_run(tool, MIGSPEED, "-p", PAGES_TEXT,
			    nodes_text(NODE(a)), nodes_text(NODE(b)), NULL);
	return setting && proc_write(setting, chosen) ? -1 : error;
}

/* Folios of @bytes that lie wholly in the range that it moves. */
static long in_range(unsigned long addr, unsigned long bytes)
{
	unsigned long end = addr + PAGES * PAGE_BYTES;

	addr = (addr + bytes - 1) & ~(bytes - 1);
	return addr < end ? (end - addr) / bytes : 0;
}

TEST_F(migspeed_folios, huge_pages)
{
	struct migspeed_report r;
	struct counters after;

	ASSERT_EQ(0, run_with(&self->tool, HUGE_ENABLED, self->a, self->b));
	EXPECT_CLEAN(migspeed_check_rate(&self->tool, PAGES));
	EXPECT_CLEAN(migspeed_check_reports(&self->tool, self->a, self->b,
					    PAGES, PAGES));
	ASSERT_EQ(0, migspeed_read_report(&self->tool, 1, &r));
	EXPECT_LE(7, in_range(r.addr, HUGE_BYTES));

	ASSERT_EQ(0, counters_read(&after));
	EXPECT_EQ(in_range(r.addr, HUGE_BYTES),
		  after.thp_success - self->before.thp_success);
	/* Of huge pages all the base pages are counted. */
	self->before.thp_success = after.thp_success;
	EXPECT_CLEAN(counters_verify(&self->before, PAGES, 0));
}

/* Entries of the range that were unmapped to move a folio of this @order. */
static long unmapped(const struct trace *trace, unsigned long first, int order)
{
	unsigned long addr, entry, last = first + PAGES * PAGE_BYTES;
	char *text = trace_text(trace);
	const char *at = text;
	long count = 0;
	int seen;

	while (at && (at = trace_next(at, "set_migration_pte")))
		if (sscanf(at, "addr=%lx, pte=%lx order=%d", &addr, &entry,
			   &seen) == 3 &&
		    addr >= first && addr < last && seen == order)
			count++;
	free(text);
	return count;
}

static long splits(void)
{
	char text[32];

	return proc_read(LARGE_SPLIT, text, sizeof(text)) < 0 ? -1 : atol(text);
}

/* Before 6.8 there are none of such a size: base pages, and all else alike. */
TEST_F(migspeed_folios, large)
{
	const bool none = kernel_before(6, 8);
	struct migspeed_report r;
	struct trace trace;
	long split, folios;

	ASSERT_EQ(0, trace_begin(&trace));
	ASSERT_EQ(0, trace_event(&trace, "migrate/set_migration_pte", NULL));
	split = splits();
	ASSERT_EQ(0, trace_clear(&trace));
	ASSERT_EQ(none, access(LARGE_ENABLED, F_OK) != 0);
	ASSERT_EQ(0, run_with(&self->tool, none ? NULL : LARGE_ENABLED,
			      self->a, self->b));
	ASSERT_EQ(0, trace_write(&trace, "tracing_on", "0"));
	EXPECT_CLEAN(migspeed_check_rate(&self->tool, PAGES));
	EXPECT_CLEAN(migspeed_check_reports(&self->tool, self->a, self->b,
					    PAGES, PAGES));
	EXPECT_CLEAN(counters_verify(&self->before, PAGES, 0));

	ASSERT_EQ(0, migspeed_read_report(&self->tool, 1, &r));
	folios = none ? 0 : in_range(r.addr, LARGE_BYTES);
	EXPECT_LE(none ? 0 : PAGES / 16 - 1, folios);
	EXPECT_EQ(16 * folios, unmapped(&trace, r.addr, LARGE_ORDER));
	EXPECT_EQ(PAGES - 16 * folios, unmapped(&trace, r.addr, 0));
	EXPECT_EQ(split, splits());
	EXPECT_EQ(0, trace_end(&trace));
}

TEST_HARNESS_MAIN
