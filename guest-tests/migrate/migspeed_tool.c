// SPDX-License-Identifier: GPL-2.0-only
/*
 * migspeed(8) of numactl, as a user runs it: it binds memory of its own to the
 * first node, writes to it, moves it to the second by mbind(2) with MPOL_BIND
 * and MPOL_MF_MOVE, and prints a rate. In between it prints what numa_maps says
 * of that memory, before and after, which is where the pages are seen here: when
 * it ends they are gone. That nothing stays behind is seen by the counters.
 *
 * Without MPOL_MF_STRICT mbind(2) succeeds also where pages stay, so what it
 * calls a rate may be of pages that did not move.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, MULTIUSER, CPUSETS]
 *   timeout_s: 100   # over that of the longest case
 *   cases:
 *     migspeed.node_without_memory: {memoryless: 1}
 *     migspeed.huge_pages: {kconfig: [TRANSPARENT_HUGEPAGE]}
 *   contract: {16: [migspeed.target_full, migspeed.node_without_memory]}
 *   covers:
 *     - {cases: [migspeed.a_thousand_pages, migspeed.other_numbers,
 *                migspeed.to_where_they_are],
 *        interface: migspeed-tool, backing: anon-private, condition: quiet}
 *     - {cases: migspeed.huge_pages, interface: migspeed-tool,
 *        backing: thp, condition: quiet}
 *     - {cases: migspeed.as_a_user, interface: migspeed-tool,
 *        backing: anon-private, condition: no-capability}
 *     - {cases: migspeed.no_set_of_nodes, interface: migspeed-tool,
 *        backing: anon-private, condition: bad-node}
 *     - {cases: migspeed.node_without_memory, interface: migspeed-tool,
 *        backing: anon-private, condition: target-memoryless}
 *     - {cases: migspeed.outside_its_cpuset, interface: migspeed-tool,
 *        backing: anon-private, condition: target-outside-cpuset}
 *     - {cases: migspeed.target_full, interface: migspeed-tool,
 *        backing: anon-private, condition: target-full}
 */
#include "harness.h"

#include "counters.h"
#include "cpuset.h"
#include "creds.h"
#include "full.h"
#include "nodes.h"
#include "placement.h"
#include "proc.h"
#include "program.h"
#include "swap.h"

#define TOOL		"/usr/bin/migspeed"
/* Unless -p says otherwise. */
#define PAGES		1000
/*
 * 48 MiB, against 8 MiB that the node has left and what is free beyond: the
 * lists of the CPUs, which are not counted as free (zone_highsize() in
 * mm/page_alloc.c).
 */
#define MANY		12288
#define MANY_TEXT	"12288"
#define LEAVE		(8L << 20)
#define HUGE_ENABLED	"/sys/kernel/mm/transparent_hugepage/enabled"
#define HUGE_BYTES	(2UL << 20)

FIXTURE(migspeed)
{
	int a;
	int b;
	struct cpuset_root root;
	struct counters before;
	struct program tool;
};

FIXTURE_SETUP(migspeed)
{
	unsigned long nodes = nodes_with_memory();

	if (nodes_count(nodes) < 2)
		SKIP(return, "needs 2 nodes with memory, has %s",
		     nodes_text(nodes));
	self->a = nodes_nth(nodes, 0);
	self->b = nodes_nth(nodes, 1);
	ASSERT_EQ(0, counters_read(&self->before));
}

FIXTURE_TEARDOWN(migspeed)
{
	EXPECT_EQ(0, cpuset_end(&self->root));
}

/* What it printed of its memory: where it is, under which policy. */
struct report {
	unsigned long addr;
	char policy[32];
	struct placement seen;
};

/* The VMA that is bound in line @index of those that tell of one. 0 or -1. */
static int read_report(const struct program *tool, int index, struct report *r)
{
	const char *line = tool->said, *end;
	long pages;
	int node;

	memset(r, 0, sizeof(*r));
	for (; line; line = end ? end + 1 : NULL) {
		end = strchr(line, '\n');
		if (sscanf(line, "%lx %31s", &r->addr, r->policy) == 2 &&
		    !strncmp(r->policy, "bind:", 5) && !index--)
			break;
	}
	if (!line)
		return -1;
	while ((line = strstr(line, " N")) && (!end || line < end)) {
		if (sscanf(line, " N%d=%ld", &node, &pages) == 2)
			r->seen.on[node] = pages;
		line += 2;
	}
	return 0;
}

/* "" if report @index is of a range bound to @bound, with its pages as wanted. */
static const char *check_report(const struct program *tool, int index,
				int bound, const struct placement *want)
{
	static struct problems problems;
	char policy[32], text[256], other[256];
	struct report r;

	problems_clear(&problems);
	snprintf(policy, sizeof(policy), "bind:%d", bound);
	if (read_report(tool, index, &r)) {
		problems_add(&problems, "no line %d of numa_maps in: %s", index,
			     tool->said);
		return problems_text(&problems);
	}
	placement_print(index ? "migspeed, after" : "migspeed, before", want,
			&r.seen);
	if (strcmp(policy, r.policy))
		problems_add(&problems, "wanted %s, is %s", policy, r.policy);
	if (!placement_equal(want, &r.seen))
		problems_add(&problems, "wanted %s, is %s",
			     placement_text(want, text, sizeof(text)),
			     placement_text(&r.seen, other, sizeof(other)));
	return problems_text(&problems);
}

/* The two reports, of @moved of @pages that went from @a to @b. */
static const char *check_reports(const struct program *tool, int a, int b,
				 long pages, long moved)
{
	struct placement want = {0};
	const char *problem;

	want.on[a] = pages;
	problem = check_report(tool, 0, a, &want);
	if (*problem)
		return problem;
	want.on[a] = pages - moved;
	want.on[b] += moved;
	return check_report(tool, 1, b, &want);
}

/* The mebibytes and the rate in its last line, as far as it is one. */
static int read_rate(const struct program *tool, double *mib, double *rate)
{
	const char *line = strstr(tool->said, " Mbyte migrated in ");

	while (line && line > tool->said && line[-1] != '\n')
		line--;
	if (!line ||
	    sscanf(line, "%lf Mbyte migrated in %*f secs. %lf Mbytes/second\n",
		   mib, rate) != 2)
		return -1;
	return 0;
}

/* It ends well and tells of so many pages, at some rate. */
#define EXPECT_RATE(pages) do {						\
	double _mib = 0, _rate = 0;					\
									\
	EXPECT_EQ(0, self->tool.status)					\
		TH_LOG("it says: %s", self->tool.said);			\
	EXPECT_EQ(0, read_rate(&self->tool, &_mib, &_rate));		\
	/* To one place behind the point. */				\
	EXPECT_LT((pages) / 256.0 - 0.06, _mib);			\
	EXPECT_GT((pages) / 256.0 + 0.06, _mib);			\
	EXPECT_LT(0.0, _rate);						\
} while (0)

#define EXPECT_REFUSED(set) do {					\
	char _text[48];							\
									\
	snprintf(_text, sizeof(_text), "<%s> is invalid", set);		\
	EXPECT_EQ(1, self->tool.status);				\
	EXPECT_NE(NULL, strstr(self->tool.said, _text))			\
		TH_LOG("it says: %s", self->tool.said);			\
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));		\
} while (0)

static int run(struct program *tool, int from, int to)
{
	return program_run(tool, TOOL, nodes_text(NODE(from)),
			   nodes_text(NODE(to)), NULL);
}

TEST_F(migspeed, a_thousand_pages)
{
	ASSERT_EQ(0, run(&self->tool, self->a, self->b));
	EXPECT_RATE(PAGES);
	EXPECT_CLEAN(check_reports(&self->tool, self->a, self->b, PAGES,
				   PAGES));
	EXPECT_CLEAN(counters_verify(&self->before, PAGES, 0));
	ASSERT_EQ(0, run(&self->tool, self->b, self->a));
	EXPECT_RATE(PAGES);
	EXPECT_CLEAN(check_reports(&self->tool, self->b, self->a, PAGES,
				   PAGES));
	EXPECT_CLEAN(counters_verify(&self->before, 2 * PAGES, 0));
}

TEST_F(migspeed, other_numbers)
{
	static const long numbers[] = { 1, 33, 5000 };
	const char *from = nodes_text(NODE(self->a));
	const char *to = nodes_text(NODE(self->b));
	unsigned int i;
	long n, all = 0;
	char text[16];

	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		n = numbers[i];
		snprintf(text, sizeof(text), "%ld", n);
		ASSERT_EQ(0, program_run(&self->tool, TOOL, "-p", text, from,
					 to, NULL));
		EXPECT_EQ(0, self->tool.status);
		EXPECT_CLEAN(check_reports(&self->tool, self->a, self->b, n,
					   n));
		all += n;
		EXPECT_CLEAN(counters_verify(&self->before, all, 0));
	}
}

/* Nothing to move: it prints a rate all the same. */
TEST_F(migspeed, to_where_they_are)
{
	ASSERT_EQ(0, run(&self->tool, self->a, self->a));
	EXPECT_RATE(PAGES);
	EXPECT_CLEAN(check_reports(&self->tool, self->a, self->a, PAGES, 0));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
}

/* Huge pages that lie wholly in the range that it moves. */
static long huge_in_range(unsigned long addr, long pages)
{
	unsigned long end = addr + pages * PAGE_BYTES;

	addr = (addr + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1);
	return addr < end ? (end - addr) / HUGE_BYTES : 0;
}

TEST_F(migspeed, huge_pages)
{
	const char *from = nodes_text(NODE(self->a));
	const char *to = nodes_text(NODE(self->b));
	struct counters after;
	struct report r;

	ASSERT_EQ(0, proc_write(HUGE_ENABLED, "always"));
	EXPECT_EQ(0, program_run(&self->tool, TOOL, "-p", "4096", from, to,
				 NULL));
	ASSERT_EQ(0, proc_write(HUGE_ENABLED, "madvise"));
	EXPECT_RATE(4096);
	EXPECT_CLEAN(check_reports(&self->tool, self->a, self->b, 4096, 4096));
	ASSERT_EQ(0, read_report(&self->tool, 1, &r));
	EXPECT_LE(7, huge_in_range(r.addr, 4096));

	ASSERT_EQ(0, counters_read(&after));
	EXPECT_EQ(huge_in_range(r.addr, 4096),
		  after.thp_success - self->before.thp_success);
	/* Of huge pages all the base pages are counted. */
	self->before.thp_success = after.thp_success;
	EXPECT_CLEAN(counters_verify(&self->before, 4096, 0));
}

static int become_user(void)
{
	return creds_become(USER_A, 0, true);
}

TEST_F(migspeed, as_a_user)
{
	self->tool.become = become_user;
	ASSERT_EQ(0, run(&self->tool, self->a, self->b));
	EXPECT_RATE(PAGES);
	EXPECT_CLEAN(check_reports(&self->tool, self->a, self->b, PAGES,
				   PAGES));
	EXPECT_CLEAN(counters_verify(&self->before, PAGES, 0));
}

/* Neither as the first nor as the second set. */
TEST_F(migspeed, no_set_of_nodes)
{
	static const char *const wrong[] = { "63", "1024", "x", "0-", "0-63" };
	const char *here = nodes_text(NODE(self->a));
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		ASSERT_EQ(0, program_run(&self->tool, TOOL, here, wrong[i],
					 NULL));
		EXPECT_REFUSED(wrong[i]);
		ASSERT_EQ(0, program_run(&self->tool, TOOL, wrong[i], here,
					 NULL));
		EXPECT_REFUSED(wrong[i]);
	}
	ASSERT_EQ(0, program_run(&self->tool, TOOL, NULL));
	EXPECT_EQ(1, self->tool.status);
	EXPECT_EQ(0, strncmp(self->tool.said, "usage ", 6));
}

TEST_F(migspeed, node_without_memory)
{
	int bare = nodes_first_without_memory();

	ASSERT_LE(0, bare);
	ASSERT_EQ(0, run(&self->tool, self->a, bare));
	EXPECT_REFUSED(nodes_text(NODE(bare)));
	ASSERT_EQ(0, run(&self->tool, bare, self->a));
	EXPECT_REFUSED(nodes_text(NODE(bare)));
}

/* The test enters the cpuset and leaves it again; the tool inherits it. */
TEST_F(migspeed, outside_its_cpuset)
{
	ASSERT_EQ(0, cpuset_begin(&self->root));
	ASSERT_EQ(0, cpuset_create("x"));
	ASSERT_EQ(0, cpuset_set_mems("x", NODE(self->a)));
	ASSERT_EQ(0, cpuset_attach("x", getpid()));
	/* Entering has moved pages of the test. */
	EXPECT_EQ(0, counters_read(&self->before));
	EXPECT_EQ(0, run(&self->tool, self->a, self->b));
	ASSERT_EQ(0, proc_write("/sys/fs/cgroup/cgroup.procs", "0"));
	EXPECT_REFUSED(nodes_text(NODE(self->b)));
}

/* What it says it moved is not what moved. */
TEST_F_TIMEOUT(migspeed, target_full, 90)
{
	const char *from = nodes_text(NODE(self->a));
	const char *to = nodes_text(NODE(self->b));
	struct counters after;
	struct swap_areas swap;
	struct full full;
	long moved, kills = full_oom_kills();

	ASSERT_EQ(0, nodes_run_on(self->a));
	/* Swap would make room, by what has just moved there. */
	ASSERT_EQ(0, swap_stop(&swap));
	ASSERT_EQ(0, full_begin(&full));
	ASSERT_EQ(0, full_take(&full, self->b, LEAVE));
	ASSERT_EQ(0, counters_read(&self->before));
	ASSERT_EQ(0, program_run(&self->tool, TOOL, "-p", MANY_TEXT, from, to,
				 NULL));
	ASSERT_EQ(0, counters_read(&after));
	moved = after.success - self->before.success;
	EXPECT_LT(0, moved);
	EXPECT_GT(MANY, moved);
	EXPECT_RATE(MANY);
	EXPECT_CLEAN(check_reports(&self->tool, self->a, self->b, MANY,
				   moved));
	/* One failure: the ENOMEM ends the call. */
	EXPECT_CLEAN(counters_verify(&self->before, moved, 1));
	ASSERT_EQ(0, full_give_back(&full));

	ASSERT_EQ(0, counters_read(&self->before));
	ASSERT_EQ(0, program_run(&self->tool, TOOL, "-p", MANY_TEXT, from, to,
				 NULL));
	EXPECT_CLEAN(counters_verify(&self->before, MANY, 0));
	EXPECT_EQ(kills, full_oom_kills());
	EXPECT_EQ(0, full_end(&full));
	EXPECT_EQ(0, swap_resume(&swap));
}

TEST_HARNESS_MAIN
