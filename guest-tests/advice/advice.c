// SPDX-License-Identifier: GPL-2.0-only
/*
 * Advice upon pages that migration or a policy has put somewhere, given by the
 * process itself, madvise(2), or from outside, process_madvise(2):
 *
 *  - MADV_COLD moves nothing, it ages;
 *  - MADV_PAGEOUT forgets where a page was: it comes back where the policy
 *    says by then, also where it had been migrated elsewhere;
 *  - MADV_WILLNEED reads into the swap cache, on the node that the policy says
 *    when the advice is given, and there a touch finds it.
 *
 * mm/madvise.c and __read_swap_cache_async() in mm/swap_state.c, 6.1 and 6.12.
 *
 * testbed:
 *   nodes: 2
 *   swap_mib: 64
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, SWAP, ADVISE_SYSCALLS]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {11: ["advice.*.pageout_*", "advice.*.willneed_*"]}
 *   covers:
 *     - {cases: ["advice.self.pageout_*", "advice.self.untouched_pages"],
 *        interface: pageout, backing: [anon-private, swapped-out],
 *        condition: quiet}
 *     - {cases: ["advice.outside.cold", "advice.outside.pageout_*",
 *                "advice.outside.willneed_*", "advice.outside.untouched_*"],
 *        interface: process_madvise, backing: [anon-private, swapped-out],
 *        condition: quiet}
 *     - {cases: "advice.*.cold", interface: migrate_pages-child,
 *        backing: anon-private, condition: quiet}
 *     - {cases: "advice.self.hole", interface: pageout, backing: anon-private,
 *        condition: hole}
 *     - {cases: "advice.outside.hole", interface: process_madvise,
 *        backing: anon-private, condition: hole}
 */
#include "harness.h"

#include <poll.h>
#include <sys/mman.h>

#include "advised.h"
#include "deadline.h"
#include "metric.h"
#include "nodes.h"
#include "pagemap.h"
#include "pages.h"
#include "scene.h"
#include "smaps.h"

#define COUNT		16
#define DEADLINE_US	10e6

FIXTURE(advice)
{
	int a;
	int b;
	struct advised advised;
	struct pages *pages;
	struct counters before;
};

FIXTURE_VARIANT(advice)
{
	bool from_outside;
};

FIXTURE_VARIANT_ADD(advice, self)
{
	.from_outside = false,
};

FIXTURE_VARIANT_ADD(advice, outside)
{
	.from_outside = true,
};

/* COUNT pages for a child on node a, where both it and the test run. */
FIXTURE_SETUP(advice)
{
	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, nodes_run_on(self->a));
	self->advised.from_outside = variant->from_outside;
	self->pages = &self->advised.subject.pages;
	ASSERT_EQ(0, pages_map(self->pages, COUNT, MAP_PRIVATE));
	pages_want_all(self->pages, self->a);
}

/* Mappings and peers end with the test's process. */
FIXTURE_TEARDOWN(advice)
{
}

#define START() do {							\
	ASSERT_EQ(0, advised_start(&self->advised));			\
	ASSERT_CLEAN(subject_look(&self->advised.subject));		\
	ASSERT_EQ(0, counters_read(&self->before));			\
} while (0)

#define END(moved) do {							\
	EXPECT_CLEAN(counters_verify(&self->before, moved, 0));		\
	EXPECT_EQ(0, holder_end(&self->advised.subject.holder));	\
} while (0)

/* Of @count pages from @first on, those that are swap entries. */
static long swapped(const struct pages *p, long first, long count)
{
	return pagemap_count(p->pid, pages_at(p, first), count,
			     PM_SWAP | PM_PRESENT, PM_SWAP);
}

/* All of them are younger than the last advice, or none is. */
static long referenced(const struct pages *p)
{
	long kib = smaps_kib(p->pid, p->addr, "Referenced");

	return kib < 0 ? kib : kib * 1024 / (long)PAGE_BYTES;
}

TEST_F(advice, cold)
{
	struct subject *s = &self->advised.subject;
	struct pages *p = self->pages;
	long moved;

	START();
	EXPECT_EQ(0, numa_migrate_pages(p->pid, NODE(self->a), NODE(self->b)));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(subject_verify(s, 0, "from a to b"));
	moved = subject_moved();
	EXPECT_EQ(0, advised_read(&self->advised, 0, COUNT));
	EXPECT_EQ(COUNT, referenced(p));

	ASSERT_CLEAN(subject_look(s));
	EXPECT_EQ(0, advise(&self->advised, 0, COUNT, MADV_COLD));
	EXPECT_EQ(0, referenced(p));
	/* The same frames on the same node, and nothing is counted. */
	EXPECT_CLEAN(subject_verify(s, 0, "MADV_COLD on b"));
	EXPECT_EQ(0, subject_moved());

	ASSERT_CLEAN(subject_look(s));
	EXPECT_EQ(0, advise(&self->advised, 0, COUNT, MADV_COLD));
	EXPECT_EQ(0, numa_migrate_pages(p->pid, NODE(self->b), NODE(self->a)));
	pages_want_all(p, self->a);
	EXPECT_CLEAN(subject_verify(s, 0, "cold, from b to a"));
	END(moved + subject_moved());
}

TEST_F(advice, pageout_and_back)
{
	struct pages *p = self->pages;

	START();
	ASSERT_EQ(0, advised_bind(&self->advised, 0, COUNT, self->b));
	EXPECT_CLEAN(advised_page_out(&self->advised, 0, COUNT));
	EXPECT_CLEAN(pages_verify(p, "paged out"));
	EXPECT_EQ(COUNT, swapped(p, 0, COUNT));
	EXPECT_EQ(0, advised_read(&self->advised, 0, COUNT));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "back under the policy"));
	END(0);
}

/* Migration leaves no trace in a swap entry; the policy has the last word. */
TEST_F(advice, pageout_of_what_was_migrated)
{
	struct subject *s = &self->advised.subject;
	struct pages *p = self->pages;
	long moved;

	START();
	ASSERT_EQ(0, advised_bind(&self->advised, 0, COUNT, self->a));
	ASSERT_CLEAN(subject_look(s));
	EXPECT_EQ(0, numa_migrate_pages(p->pid, NODE(self->a), NODE(self->b)));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(subject_verify(s, 0, "from a to b"));
	moved = subject_moved();
	ASSERT_CLEAN(subject_look(s));
	EXPECT_CLEAN(advised_page_out(&self->advised, 0, COUNT));
	EXPECT_EQ(0, advised_read(&self->advised, 0, COUNT));
	/* Not as they were: what is read in is not dirty, as a moved page is. */
	pages_want_all(p, self->a);
	EXPECT_CLEAN(pages_snapshot(p));
	END(moved);
}

/* Half of the range alone: the other half is as it was, frame by frame. */
TEST_F(advice, pageout_of_a_part)
{
	struct pages *p = self->pages;

	START();
	ASSERT_EQ(0, advised_bind(&self->advised, 0, COUNT, self->b));
	EXPECT_CLEAN(advised_page_out(&self->advised, 4, 8));
	EXPECT_CLEAN(pages_verify(p, "8 of 16 paged out"));
	EXPECT_EQ(8, swapped(p, 0, COUNT));
	EXPECT_EQ(0, advised_read(&self->advised, 0, COUNT));
	pages_want(p, 4, 8, self->b);
	EXPECT_CLEAN(pages_verify(p, "8 of 16 back under the policy"));
	END(0);
}

/* What was never touched gets no swap entry, and is none afterwards. */
TEST_F(advice, untouched_pages)
{
	struct pages *p = self->pages;

	pages_want(p, 4, 8, UNTOUCHED);
	START();
	EXPECT_EQ(0, advise(&self->advised, 0, COUNT, MADV_COLD));
	EXPECT_CLEAN(pages_verify(p, "MADV_COLD, half of it untouched"));
	EXPECT_EQ(0, advise(&self->advised, 0, COUNT, MADV_PAGEOUT));
	pages_want_all(p, UNTOUCHED);
	EXPECT_CLEAN(pages_verify(p, "MADV_PAGEOUT, half of it untouched"));
	EXPECT_EQ(4, swapped(p, 0, 4));
	EXPECT_EQ(0, swapped(p, 4, 8));
	EXPECT_EQ(4, swapped(p, 12, 4));
	EXPECT_EQ(0, advised_read(&self->advised, 0, 4));
	EXPECT_EQ(0, advised_read(&self->advised, 12, 4));
	END(0);
}

static const char *await_in_memory(struct advised *a)
{
	double deadline = deadline_after_us(DEADLINE_US);

	while (advised_in_memory(a, 0, COUNT) != COUNT) {
		if (metric_now_us() > deadline)
			return "pages are not read ahead";
		poll(NULL, 0, 1);
	}
	return "";
}

TEST_F(advice, willneed_of_swapped_pages)
{
	struct pages *p = self->pages;

	START();
	ASSERT_CLEAN(advised_page_out(&self->advised, 0, COUNT));
	ASSERT_EQ(0, advised_bind(&self->advised, 0, COUNT, self->b));
	EXPECT_EQ(0, advise(&self->advised, 0, COUNT, MADV_WILLNEED));
	EXPECT_CLEAN(await_in_memory(&self->advised));
	/* In the swap cache, and not mapped. */
	EXPECT_CLEAN(pages_verify(p, "MADV_WILLNEED"));
	EXPECT_EQ(COUNT, swapped(p, 0, COUNT));

	/* A policy that comes later does not move what is there. */
	ASSERT_EQ(0, advised_bind(&self->advised, 0, COUNT, self->a));
	EXPECT_EQ(0, advised_read(&self->advised, 0, COUNT));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "where MADV_WILLNEED had read it"));
	END(0);
}

/*
 * Where the range has no policy, that of a task decides, and it is the task
 * that gives the advice: get_vma_policy() in mm/mempolicy.c asks current.
 */
TEST_F(advice, willneed_by_the_adviser_s_policy)
{
	struct pages *p = self->pages;
	bool outside = variant->from_outside;

	START();
	ASSERT_CLEAN(advised_page_out(&self->advised, 0, COUNT));
	ASSERT_EQ(0, advised_bind_task(&self->advised,
				       outside ? self->a : self->b));
	if (outside)
		ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(self->b)));
	EXPECT_EQ(0, advise(&self->advised, 0, COUNT, MADV_WILLNEED));
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_DEFAULT, 0));
	EXPECT_CLEAN(await_in_memory(&self->advised));
	ASSERT_EQ(0, advised_bind_task(&self->advised, self->a));
	EXPECT_EQ(0, advised_read(&self->advised, 0, COUNT));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "where the adviser's policy says"));
	END(0);
}

/* ENOMEM, and all that is mapped on either side is advised upon. */
TEST_F(advice, hole)
{
	struct pages *p = self->pages;

	START();
	ASSERT_EQ(0, advised_unmap(&self->advised, 6, 2));
	EXPECT_EQ(0, advised_read(&self->advised, 0, 6));
	EXPECT_EQ(0, advised_read(&self->advised, 8, 8));
	EXPECT_EQ(6, referenced(p));
	EXPECT_EQ(-ENOMEM, advise(&self->advised, 0, COUNT, MADV_COLD));
	EXPECT_EQ(0, referenced(p));
	EXPECT_EQ(0, smaps_kib(p->pid, pages_at(p, 8), "Referenced"));
	EXPECT_CLEAN(pages_verify(p, "MADV_COLD around a hole"));
	EXPECT_EQ(-ENOMEM, advise(&self->advised, 0, COUNT, MADV_WILLNEED));
	EXPECT_CLEAN(pages_verify(p, "MADV_WILLNEED around a hole"));

	EXPECT_EQ(-ENOMEM, advise(&self->advised, 0, COUNT, MADV_PAGEOUT));
	pages_want(p, 0, 6, UNTOUCHED);
	pages_want(p, 8, 8, UNTOUCHED);
	EXPECT_CLEAN(pages_verify(p, "MADV_PAGEOUT around a hole"));
	EXPECT_EQ(6, swapped(p, 0, 6));
	EXPECT_EQ(8, swapped(p, 8, 8));
	EXPECT_EQ(0, advised_read(&self->advised, 0, 6));
	EXPECT_EQ(0, advised_read(&self->advised, 8, 8));
	END(0);
}

TEST_HARNESS_MAIN
