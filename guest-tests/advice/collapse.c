// SPDX-License-Identifier: GPL-2.0-only
/*
 * MADV_COLLAPSE of small pages that lie on several nodes, by the process itself
 * and, process_madvise(2), from outside. The huge page is on the node that most
 * of them were on, of several the first; the policy of the range has no part in
 * it: hpage_collapse_find_target_node() in mm/khugepaged.c, 6.1 and 6.12. It
 * copies and is no migration: none is counted.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, TRANSPARENT_HUGEPAGE,
 *     ADVISE_SYSCALLS]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {12: ["collapse.*"], 14: ["collapse.*"]}
 *   covers:
 *     - {cases: "collapse.outside.*", interface: process_madvise,
 *        backing: thp, condition: quiet}
 *     - {cases: "collapse.*.most_of_them_on_b",
 *        interface: migrate_pages-child, backing: thp, condition: quiet}
 */
#include "harness.h"

#include <sys/mman.h>

#include <linux/kernel-page-flags.h>

#include "advised.h"
#include "backing.h"
#include "nodes.h"
#include "pagemap.h"
#include "pages.h"
#include "pin.h"
#include "scene.h"
#include "smaps.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

#define HUGE_BYTES	(2UL << 20)
#define HUGE		512

FIXTURE(collapse)
{
	int a;
	int b;
	struct advised advised;
	struct pages *pages;
	struct counters before;
};

FIXTURE_VARIANT(collapse)
{
	bool from_outside;
};

FIXTURE_VARIANT_ADD(collapse, self)
{
	.from_outside = false,
};

FIXTURE_VARIANT_ADD(collapse, outside)
{
	.from_outside = true,
};

/* Room for one huge page. */
static int map_room(struct pages *p)
{
	void *room = area_reserve(HUGE_BYTES, HUGE_BYTES);

	if (room == MAP_FAILED ||
	    mmap(room, HUGE_BYTES, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		return -1;
	return pages_over(p, room, HUGE);
}

FIXTURE_SETUP(collapse)
{
	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, nodes_run_on(self->a));
	self->advised.from_outside = variant->from_outside;
	self->pages = &self->advised.subject.pages;
	ASSERT_EQ(0, map_room(self->pages));
}

/* Mappings and peers end with the test's process. */
FIXTURE_TEARDOWN(collapse)
{
}

#define START() do {							\
	ASSERT_EQ(0, advised_start(&self->advised));			\
	ASSERT_CLEAN(subject_look(&self->advised.subject));		\
	ASSERT_EQ(0, counters_read(&self->before));			\
	EXPECT_EQ(0, smaps_kib(self->pages->pid, self->pages->addr,	\
			       "AnonHugePages"));			\
} while (0)

#define END() \
	EXPECT_EQ(0, holder_end(&self->advised.subject.holder))

/*
 * "" if its pages are one huge page on @node, no move, and none of the first
 * @filled is lost.
 */
static const char *is_huge_on(struct advised *a, int node, long filled,
			      const struct counters *before)
{
	struct pages *p = &a->subject.pages;
	const char *problem;
	uint64_t pfn;
	long i;

	pages_want_all(p, node);
	problem = pages_snapshot(p);
	if (*problem)
		return problem;
	if (smaps_kib(p->pid, p->addr, "AnonHugePages") != 2048)
		return "no PMD maps it";
	pfn = pagemap_pfn(p->was[0].pagemap);
	if (pfn % HUGE)
		return "the first frame is not a huge page's first";
	for (i = 0; i < p->count; i++)
		if (pagemap_pfn(p->was[i].pagemap) != pfn + i ||
		    !(p->was[i].kflags & 1UL << KPF_THP))
			return "a frame is not of the huge page";
	if (advised_read(a, 0, filled))
		return "pages lost their content";
	return counters_verify(before, 0, 0);
}

/* 300 of them on b, 212 on a. */
TEST_F(collapse, most_of_them_on_b)
{
	struct subject *s = &self->advised.subject;
	struct pages *p = self->pages;

	pages_want_all(p, self->b);
	pages_want(p, 100, 212, self->a);
	START();
	ASSERT_EQ(0, advise(&self->advised, 0, HUGE, MADV_COLLAPSE));
	EXPECT_CLEAN(is_huge_on(&self->advised, self->b, HUGE,
				&self->before));

	/* As a huge page it moves on like any other, as a whole. */
	ASSERT_CLEAN(subject_look(s));
	s->thps.thps_moved = 1;
	EXPECT_EQ(0, numa_migrate_pages(p->pid, NODE(self->b), NODE(self->a)));
	pages_want_all(p, self->a);
	EXPECT_CLEAN(subject_verify(s, 0, "a collapsed page, from b to a"));
	EXPECT_EQ(2048, smaps_kib(p->pid, p->addr, "AnonHugePages"));
	END();
}

TEST_F(collapse, most_of_them_on_a)
{
	struct pages *p = self->pages;

	pages_want_all(p, self->a);
	pages_want(p, 0, 255, self->b);
	START();
	ASSERT_EQ(0, advise(&self->advised, 0, HUGE, MADV_COLLAPSE));
	EXPECT_CLEAN(is_huge_on(&self->advised, self->a, HUGE,
				&self->before));
	END();
}

TEST_F(collapse, half_and_half)
{
	struct pages *p = self->pages;

	pages_want_dealt(p, NODE(self->a) | NODE(self->b));
	START();
	ASSERT_EQ(0, advise(&self->advised, 0, HUGE, MADV_COLLAPSE));
	EXPECT_CLEAN(is_huge_on(&self->advised, self->a, HUGE,
				&self->before));
	END();
}

/* All of it is bound to a, most of it is on b: that counts. */
TEST_F(collapse, against_the_policy)
{
	struct pages *p = self->pages;

	pages_want_all(p, self->b);
	pages_want(p, 0, 100, self->a);
	START();
	ASSERT_EQ(0, advised_bind(&self->advised, 0, HUGE, self->a));
	ASSERT_EQ(0, advise(&self->advised, 0, HUGE, MADV_COLLAPSE));
	EXPECT_CLEAN(is_huge_on(&self->advised, self->b, HUGE,
				&self->before));
	END();
}

/* Pages that migration has just brought to b count as being there. */
TEST_F(collapse, of_what_was_migrated)
{
	struct subject *s = &self->advised.subject;
	struct pages *p = self->pages;

	pages_want_all(p, self->a);
	START();
	EXPECT_EQ(0, numa_migrate_pages(p->pid, NODE(self->a), NODE(self->b)));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(subject_verify(s, 0, "small pages, from a to b"));
	ASSERT_EQ(0, counters_read(&self->before));
	ASSERT_EQ(0, advise(&self->advised, 0, HUGE, MADV_COLLAPSE));
	EXPECT_CLEAN(is_huge_on(&self->advised, self->b, HUGE,
				&self->before));
	END();
}

/* What is not there is filled up, and has no part in the choice. */
TEST_F(collapse, mostly_untouched)
{
	struct pages *p = self->pages;

	pages_want(p, 0, 8, self->a);
	pages_want(p, 8, 12, self->b);
	START();
	ASSERT_EQ(0, advise(&self->advised, 0, HUGE, MADV_COLLAPSE));
	EXPECT_CLEAN(is_huge_on(&self->advised, self->b, 20, &self->before));
	END();
}

/* Called in the child. */
static long pin_one(struct pages *p)
{
	static struct pin pin;

	return pin_pages(&pin, pages_at(p, 99), 1);
}

/*
 * One page with a reference that nobody can account for: all stay as they are.
 * EAGAIN for MADV_COLLAPSE alone, SCAN_PAGE_COUNT (madvise_collapse_errno()).
 */
TEST_F(collapse, with_a_pinned_page)
{
	struct subject *s = &self->advised.subject;
	struct pages *p = self->pages;

	pages_want_dealt(p, NODE(self->a) | NODE(self->b));
	START();
	ASSERT_EQ(0, holder_call(&s->holder, pin_one));
	ASSERT_CLEAN(subject_look(s));
	EXPECT_EQ(-EAGAIN, advise(&self->advised, 0, HUGE, MADV_COLLAPSE));
	EXPECT_CLEAN(subject_verify(s, 0, "MADV_COLLAPSE, one page pinned"));
	EXPECT_EQ(0, subject_moved());
	EXPECT_EQ(0, smaps_kib(p->pid, p->addr, "AnonHugePages"));
	END();
}

/* Called in the child. */
static long forbid(struct pages *p)
{
	return kernel_result(madvise(p->addr, HUGE_BYTES, MADV_NOHUGEPAGE));
}

TEST_F(collapse, where_it_is_forbidden)
{
	struct subject *s = &self->advised.subject;
	struct pages *p = self->pages;

	pages_want_dealt(p, NODE(self->a) | NODE(self->b));
	START();
	ASSERT_EQ(0, holder_call(&s->holder, forbid));
	EXPECT_EQ(-EINVAL, advise(&self->advised, 0, HUGE, MADV_COLLAPSE));
	EXPECT_CLEAN(subject_verify(s, 0, "MADV_COLLAPSE, forbidden"));
	EXPECT_EQ(0, subject_moved());
	EXPECT_EQ(0, smaps_kib(p->pid, p->addr, "AnonHugePages"));
	END();
}

TEST_HARNESS_MAIN
