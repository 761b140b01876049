// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages move while another thread sends them to swap and has them back. On the
 * way they are in the swap cache, under writeback, unmapped and mapped again;
 * migration takes the swap cache along (folio_migrate_mapping() and
 * migrate_huge_page_move_mapping() in mm/migrate.c, 6.12) or leaves the page.
 *
 * testbed:
 *   nodes: 2
 *   swap_mib: 64
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, SWAP, ADVISE_SYSCALLS]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {14: ["pageout.*"], 11: ["pageout.*"]}
 *   covers:
 *     - {cases: "pageout.private.*", interface: [move_pages-set, pageout],
 *        backing: [anon-private, swap-cache, swapped-out], condition: [writer]}
 *     - {cases: "pageout.shared.*", interface: [move_pages-set, pageout],
 *        backing: [anon-shared, swap-cache, swapped-out], condition: [writer]}
 */
#include <stdio.h>
#include <sys/mman.h>

#include "harness.h"

#include "pattern.h"
#include "proc.h"
#include "race_pages.h"
#include "scene.h"

#define COUNT		32
#define ROUNDS		40

FIXTURE(pageout)
{
	struct contest contest;
	long out_before;
};

SHARING_VARIANTS(pageout);

static long swapped_out(void)
{
	static char text[16384];
	long value = -1;
	char *line;

	if (proc_read("/proc/vmstat", text, sizeof(text)) < 0)
		return -1;
	line = strstr(text, "\npswpout ");
	if (line)
		sscanf(line, " pswpout %ld", &value);
	return value;
}

FIXTURE_SETUP(pageout)
{
	struct contest *c = &self->contest;

	if (contest_nodes(c))
		SKIP(return, "needs 2 nodes with memory");
	ASSERT_EQ(0, pages_map(&c->pages, COUNT, variant->sharing));
	/* A page that comes back is on the node of the CPU that wants it. */
	c->replaces = true;
	self->out_before = swapped_out();
	ASSERT_LE(0, self->out_before);
}

/* Mappings and threads end with the test's process. */
FIXTURE_TEARDOWN(pageout)
{
}

/*
 * Out, back by reading, out again, back by writing the next content; and every
 * other round there, so that there is something to move.
 */
static void out_and_in(void *contest, int round)
{
	struct contest *c = contest;
	struct pages *p = &c->pages;
	long i;

	if (round % 2) {
		if (pages_bad(p))
			c->wrong = "a page has another content";
		c->acted++;
		return;
	}
	madvise(p->addr, COUNT * PAGE_BYTES, MADV_PAGEOUT);
	if (pages_bad(p))
		c->wrong = "a page came back with another content";
	madvise(p->addr, COUNT * PAGE_BYTES, MADV_PAGEOUT);
	p->seed++;
	for (i = 0; i < COUNT; i++)
		pattern_fill(pages_at(p, i), p->seed, i);
	c->acted++;
}

TEST_F(pageout, out_and_in)
{
	EXPECT_CLEAN(contest_run(&self->contest, out_and_in, ROUNDS));
	EXPECT_LT(COUNT, swapped_out() - self->out_before);
}

TEST_HARNESS_MAIN
