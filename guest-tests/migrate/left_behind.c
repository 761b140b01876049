// SPDX-License-Identifier: GPL-2.0-only
/*
 * What migrate_pages(2) returns: the number of folios that should have moved
 * and did not, each counted here in another way as well. By migrate_to_node()
 * in mm/mempolicy.c of 6.12 they are those that could not be isolated (not on
 * an LRU list) and those that migrate_pages() gave up; a huge page is one.
 *
 * 6.1 forgets the former: they are counted since 6.7 ("mempolicy: fix
 * migrate_pages(2) syscall return nr_failed").
 *
 * Not counted in either: what is mapped elsewhere too and skipped for want of
 * CAP_SYS_NICE, the zero page, and what is no page of an LRU at all (reserved
 * pages as in the vDSO, VM_IO and VM_PFNMAP areas as the vvar pages).
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     left_behind.pinned_on_two_sources: {nodes: 3}
 *     left_behind.off_the_lru: {kconfig: [PERF_EVENTS]}
 *     left_behind.a_huge_page_is_one: {kconfig: [TRANSPARENT_HUGEPAGE]}
 *     left_behind.a_hugetlb_page_is_one: {kconfig: [HUGETLBFS]}
 *   quick:
 *     - left_behind.pinned_and_mapped_twice
 *   contract: {3: ["left_behind.*"]}
 *   covers:
 *     - {cases: "left_behind.*", interface: [migrate_pages-child],
 *        backing: [anon-private], condition: [quiet]}
 *     - {cases: "left_behind.pinned_*", interface: [migrate_pages-child],
 *        backing: [vmspliced], condition: [quiet]}
 *     - {cases: "left_behind.pinned_and_mapped_twice",
 *        interface: [migrate_pages-child], backing: [vmspliced],
 *        condition: [no-capability]}
 *     - {cases: "left_behind.a_huge_page_is_one",
 *        interface: [migrate_pages-child], backing: [thp],
 *        condition: [quiet]}
 *     - {cases: "left_behind.a_hugetlb_page_is_one",
 *        interface: [migrate_pages-child], backing: [hugetlb-private],
 *        condition: [quiet]}
 *     - {cases: "left_behind.zero_page_and_vdso",
 *        interface: [migrate_pages-child], backing: [zero-page],
 *        condition: [quiet]}
 */
#include "harness.h"

#include <linux/perf_event.h>
#include <sys/auxv.h>

#include "backings.h"
#include "caps.h"
#include "kernel.h"
#include "nodes.h"
#include "pagemap.h"
#include "pages.h"
#include "pin.h"
#include "scene.h"
#include "subject_steps.h"

#define COUNT		24
/* Past two batches of migrate_pages(): NR_MAX_BATCHED_MIGRATION is 512. */
#define MANY		1200
/* Of each dozen but the first, as a pipe takes no more than 16. */
#define DOZEN		12
#define RING_PAGES	9

FIXTURE(left_behind)
{
	int a;
	int b;
	int c;
	struct subject subject;
};

FIXTURE_SETUP(left_behind)
{
	FIND_TWO_NODES(self, return);
	self->c = THIRD_NODE();
	ASSERT_EQ(0, pages_map(&self->subject.pages, COUNT, MAP_PRIVATE));
}

/* Mappings and peers end with the test's process. */
FIXTURE_TEARDOWN(left_behind)
{
}

static bool is_pinned(int i)
{
	return i % DOZEN != 0;
}

/* Called in the child. */

static long populate_and_pin_many(struct pages *p)
{
	static struct pin pins[MANY / DOZEN];
	long i, error = pages_populate(p);

	for (i = 0; !error && i < p->count / DOZEN; i++)
		error = pin_pages(&pins[i], pages_at(p, i * DOZEN + 1),
				  DOZEN - 1);
	return error;
}

static struct pin one_pin;

static long populate_and_pin_six(struct pages *p)
{
	return pages_populate(p) ? : pin_pages(&one_pin, pages_at(p, 6), 6);
}

static long pin_six(struct pages *p)
{
	return pin_pages(&one_pin, pages_at(p, 6), 6);
}

static long unpin(struct pages *p)
{
	(void)p;
	pin_release(&one_pin);
	return 0;
}

TEST_F(left_behind, pinned_many)
{
	struct pages *p = &self->subject.pages;
	long result;
	int i;

	ASSERT_EQ(0, pages_map(p, MANY, MAP_PRIVATE));
	pages_want_all(p, self->a);
	START(populate_and_pin_many);
	result = numa_migrate_pages(p->pid, NODE(self->a), NODE(self->b));
	for (i = 0; i < MANY; i++)
		if (!is_pinned(i))
			pages_want(p, i, 1, self->b);
	VERIFY(MANY - MANY / DOZEN, "1100 of 1200 pinned");
	EXPECT_EQ(MANY - MANY / DOZEN, result);
	EXPECT_EQ(subject_is_on(NODE(self->a)), result);
	END();
}

/* Those of each source count, each once. */
TEST_F(left_behind, pinned_on_two_sources)
{
	unsigned long low, high;
	struct pages *p = &self->subject.pages;

	if (self->c < 0)
		SKIP(return, "needs 3 nodes with memory");
	low = NODE(self->a) | NODE(self->b);
	high = NODE(self->b) | NODE(self->c);
	pages_want_dealt(p, low);
	START(populate_and_pin_six);
	EXPECT_EQ(6, numa_migrate_pages(p->pid, low, high));
	pages_want_moved(p, self->b, self->c);
	pages_want_moved(p, self->a, self->b);
	pages_want(p, 6, 6, self->a);
	pages_want(p, 7, 1, self->b);
	pages_want(p, 9, 1, self->b);
	pages_want(p, 11, 1, self->b);
	VERIFY(6, "three pinned on either source");
	EXPECT_EQ(3, subject_is_on(NODE(self->a)));

	/* Let go, what was left behind follows: {a} is all that is wrong. */
	ASSERT_EQ(0, CALL(unpin));
	LOOK();
	EXPECT_EQ(0, numa_migrate_pages(p->pid, NODE(self->a), NODE(self->b)));
	pages_want_moved(p, self->a, self->b);
	VERIFY(0, "let go");
	EXPECT_EQ(3, subject_moved());
	EXPECT_EQ(0, subject_is_on(NODE(self->a)));
	END();
}

/*
 * Pages 6 to 11 are pinned, and half of all are in common with the test. To
 * skip is no failure; what is pinned and would not be skipped is one.
 */
TEST_F(left_behind, pinned_and_mapped_twice)
{
	struct pages *p = &self->subject.pages;
	struct holder other;
	int i;

	pages_want_all(p, self->a);
	ASSERT_EQ(0, pages_populate(p));
	/* The child has pages of its own but for the odd ones. */
	ASSERT_EQ(0, holder_start(&other, p, pin_six));
	for (i = 0; i < COUNT; i += 2)
		ASSERT_EQ(0, madvise(pages_at(p, i), PAGE_BYTES,
				     MADV_DONTNEED));
	self->subject.holder = other;
	p->pid = other.peer.pid;
	LOOK();

	ASSERT_EQ(0, caps_set_sys_nice(false));
	EXPECT_EQ(3, numa_migrate_pages(p->pid, NODE(self->a), NODE(self->b)));
	ASSERT_EQ(0, caps_set_sys_nice(true));
	for (i = 0; i < COUNT; i += 2)
		if (i < 6 || i > 11)
			pages_want(p, i, 1, self->b);
	VERIFY(3, "without CAP_SYS_NICE");

	LOOK();
	EXPECT_EQ(6, numa_migrate_pages(p->pid, NODE(self->a), NODE(self->b)));
	pages_want_all(p, self->b);
	pages_want(p, 6, 6, self->a);
	VERIFY(6, "with CAP_SYS_NICE");
	EXPECT_EQ(6, subject_is_on(NODE(self->a)));
	END();
}

/* The ring of a perf event: its pages are mapped, and on no LRU list. */
static long map_ring(struct pages *p)
{
	struct perf_event_attr event = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(event),
		.config = PERF_COUNT_SW_DUMMY,
	};
	int fd = syscall(SYS_perf_event_open, &event, 0, -1, -1, 0);
	struct pages ring;
	void *addr;
	int i;

	addr = mmap(NULL, RING_PAGES * PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_SHARED, fd, 0);
	if (fd < 0 || addr == MAP_FAILED ||
	    pages_over(&ring, addr, RING_PAGES))
		return -1;
	for (i = 0; i < RING_PAGES; i++)
		pages_read(&ring, i);
	return pages_populate(p);
}

/* The ring is where its maker ran, so one of the calls at least finds it. */
TEST_F(left_behind, off_the_lru)
{
	const int targets[] = { self->a, self->b };
	struct pages *p = &self->subject.pages;
	long result, left, seen = 0;
	unsigned int i;

	pages_want_dealt(p, NODE(self->a) | NODE(self->b));
	START(map_ring);
	for (i = 0; i < ARRAY_SIZE(targets); i++) {
		result = numa_migrate_pages(p->pid,
					    nodes_with_memory() &
					    ~NODE(targets[i]),
					    NODE(targets[i]));
		pages_want_all(p, targets[i]);
		VERIFY(0, "with a perf ring mapped");
		left = subject_is_on(~NODE(targets[i]));
		EXPECT_EQ(kernel_before(6, 7) ? 0 : left, result);
		EXPECT_TRUE(left == 0 || left == RING_PAGES);
		seen += left;
		LOOK();
	}
	EXPECT_LE(RING_PAGES, seen);
	END();
}

static long read_zero_and_vdso(struct pages *p)
{
	struct pages vdso;
	int i;

	for (i = 0; i < COUNT / 2; i++)
		pages_read(p, i);
	if (pages_over(&vdso, (void *)getauxval(AT_SYSINFO_EHDR), 1))
		return -1;
	pages_read(&vdso, 0);
	return pages_populate(p);
}

TEST_F(left_behind, zero_page_and_vdso)
{
	void *vdso = (void *)getauxval(AT_SYSINFO_EHDR);
	struct pages *p = &self->subject.pages;
	unsigned long all = nodes_with_memory();
	uint64_t zero[COUNT / 2], again[COUNT / 2], was, now;
	int on, is_on, to;

	ASSERT_NE(NULL, vdso);
	pages_want(p, COUNT / 2, COUNT / 2, self->a);
	ASSERT_EQ(0, subject_start(&self->subject, read_zero_and_vdso));
	/* What the zero page is has no status but this one. */
	pages_want(p, 0, COUNT / 2, UNMAPPED);
	ASSERT_EQ(0, pagemap_read(p->pid, p->addr, COUNT / 2, zero));
	ASSERT_NE(0, pagemap_pfn(zero[0]));
	ASSERT_EQ(0, pagemap_read(p->pid, vdso, 1, &was));
	ASSERT_NE(0, pagemap_pfn(was));
	ASSERT_EQ(0, placement_query(p->pid, vdso, 1, &on));
	ASSERT_LE(0, on);
	to = on == self->b ? self->a : self->b;

	EXPECT_EQ(0, numa_migrate_pages(p->pid, all, NODE(to)));
	ASSERT_EQ(0, pagemap_read(p->pid, p->addr, COUNT / 2, again));
	EXPECT_EQ(0, memcmp(zero, again, sizeof(zero)));
	ASSERT_EQ(0, pagemap_read(p->pid, vdso, 1, &now));
	EXPECT_EQ(was, now);
	ASSERT_EQ(0, placement_query(p->pid, vdso, 1, &is_on));
	EXPECT_EQ(on, is_on);
	pages_want(p, COUNT / 2, COUNT / 2, to);
	EXPECT_CLEAN(subject_look(&self->subject));
	EXPECT_EQ(0, subject_was_on(~NODE(to)));
	END();
}

static struct area area;

static long fill_and_pin_first(struct pages *p)
{
	return area_fill(&area) ? : pin_pages(&one_pin, p->addr, 1);
}

/*
 * Two huge pages, the first of them pinned at its first base page: 512 pages
 * stay and one folio is counted. Let go, it moves.
 */
static const char *left_huge(struct subject *s, const struct backing *backing,
			     int from, int to)
{
	static struct problems problems;
	struct pages *p = &s->pages;
	const char *problem;
	long result;

	problems_clear(&problems);
	if (area_map(&area, backing, p, from) ||
	    subject_start(s, fill_and_pin_first))
		return "no huge pages";
	problem = subject_look(s);
	if (*problem)
		return problem;
	result = numa_migrate_pages(p->pid, NODE(from), NODE(to));
	if (result != 1)
		problems_add(&problems, "pinned: wanted 1, is %ld", result);
	pages_want(p, backing->folio, backing->folio, to);
	s->thps.thps_moved = backing->thp;
	s->thps.thps_failed = backing->thp;
	problem = subject_verify(s, backing->folio, "a huge page, pinned");
	problems_add(&problems, "%s%s", problem, area_verify(&area, "huge"));

	holder_call(&s->holder, unpin);
	problems_add(&problems, "%s", subject_look(s));
	result = numa_migrate_pages(p->pid, NODE(from), NODE(to));
	if (result)
		problems_add(&problems, "let go: wanted 0, is %ld", result);
	pages_want_all(p, to);
	s->thps.thps_failed = 0;
	problem = subject_verify(s, 0, "a huge page, let go");
	problems_add(&problems, "%s%s", problem, area_verify(&area, "huge"));
	return problems_text(&problems);
}

TEST_F(left_behind, a_huge_page_is_one)
{
	EXPECT_CLEAN(left_huge(&self->subject, &backing_thp, self->a, self->b));
	END();
	area_release(&area);
}

TEST_F(left_behind, a_hugetlb_page_is_one)
{
	EXPECT_CLEAN(left_huge(&self->subject, &backing_hugetlb_private,
			       self->a, self->b));
	END();
	area_release(&area);
}

TEST_HARNESS_MAIN
