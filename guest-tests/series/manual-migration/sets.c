// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/<pid>/migrate of patches/manual-migration, "sets:FROM:TO": two sets of
 * nodes, mapped as migrate_pages(2) maps them, of a range or of all:
 *
 *  - the n-th node of one goes to the n-th of the other, so that what was apart
 *    stays apart, and what was near stays near where the sets are alike;
 *  - sets of different sizes map modulo the size of the second, but for nodes
 *    that are in it already, whose pages stay.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: [manual-migration]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     sets.up: {nodes: 3}
 *     sets.down: {nodes: 3}
 *     sets.three_to_one: {nodes: 3}
 *     sets.one_to_two: {nodes: 3}
 *     sets.two_to_two: {nodes: 4}
 *     sets.three_to_two: {nodes: 4}
 *   quick:
 *     - sets.one_to_one
 *     - sets.up
 */
#include "harness.h"

#include "chores.h"
#include "migrate_file_steps.h"
#include "nodes.h"
#include "pages.h"
#include "scene.h"
#include "subject_steps.h"

/* A multiple of 2, 3 and 4, dealt out over that many nodes in turn. */
#define COUNT		24

FIXTURE(sets)
{
	int a;
	int b;
	int c;
	int d;
	int fd;
	struct subject subject;
};

FIXTURE_SETUP(sets)
{
	FIND_TWO_NODES(self, return);
	self->c = THIRD_NODE();
	self->d = nodes_nth(nodes_with_memory(), 3);
	self->fd = -1;
	ASSERT_EQ(0, pages_map(&self->subject.pages, COUNT, MAP_PRIVATE));
}

/* Mappings and peers end with the test's process. */
FIXTURE_TEARDOWN(sets)
{
	CLOSE_IF_OPEN();
}

/* Ask of all pages, and be told that @moved moved. */
#define ASK(from, to, moved) do {					\
	const char *_map = migrate_map_sets(from, to);			\
									\
	EXPECT_EQ(0, migrate_file_ask_range(self->fd,			\
					    &self->subject.pages, 0,	\
					    COUNT, _map));		\
	TOLD(moved, 0, 0);						\
} while (0)

#define A	NODE(self->a)
#define B	NODE(self->b)
#define C	NODE(self->c)
#define D	NODE(self->d)

TEST_F(sets, one_to_one)
{
	struct pages *p = &self->subject.pages;

	BEGIN_ON(A | B, pages_populate);
	ASK(A, B, COUNT / 2);
	pages_want_all(p, self->b);
	VERIFY(0, "from {a} to {b}");
	EXPECT_EQ(COUNT / 2, subject_moved());
	END();
}

TEST_F(sets, all_of_it)
{
	struct pages *p = &self->subject.pages;
	char request[160];

	BEGIN_ON(A | B, pages_populate);
	snprintf(request, sizeof(request), "0-0 %s\n", migrate_map_sets(A, B));
	EXPECT_EQ(0, migrate_file_ask(self->fd, request));
	pages_want_all(p, self->b);
	VERIFY(0, "all from {a} to {b}");
	TOLD(subject_moved(), 0, 0);
	EXPECT_EQ(0, subject_is_on(A));
	END();
}

/* A set has no order: this is no exchange. */
TEST_F(sets, to_itself)
{
	BEGIN_ON(A | B, pages_populate);
	ASK(A | B, A | B, 0);
	UNMOVED("from a set to itself");
	END();
}

TEST_F(sets, up)
{
	struct pages *p = &self->subject.pages;

	if (self->c < 0)
		SKIP(return, "needs 3 nodes with memory");
	BEGIN_ON(A | B, pages_populate);
	ASK(A | B, B | C, COUNT);
	pages_want_moved(p, self->a, self->b);
	pages_want_moved(p, self->b, self->c);
	VERIFY(0, "from {a,b} to {b,c}");
	END();
}

TEST_F(sets, down)
{
	struct pages *p = &self->subject.pages;

	if (self->c < 0)
		SKIP(return, "needs 3 nodes with memory");
	BEGIN_ON(B | C, pages_populate);
	ASK(B | C, A | B, COUNT);
	pages_want_moved(p, self->b, self->a);
	pages_want_moved(p, self->c, self->b);
	VERIFY(0, "from {b,c} to {a,b}");
	END();
}

TEST_F(sets, three_to_one)
{
	struct pages *p = &self->subject.pages;

	if (self->c < 0)
		SKIP(return, "needs 3 nodes with memory");
	BEGIN_ON(A | B | C, pages_populate);
	ASK(A | B | C, B, COUNT * 2 / 3);
	pages_want_all(p, self->b);
	VERIFY(0, "from {a,b,c} to {b}");
	END();
}

TEST_F(sets, one_to_two)
{
	struct pages *p = &self->subject.pages;

	if (self->c < 0)
		SKIP(return, "needs 3 nodes with memory");
	BEGIN_ON(A | B, pages_populate);
	ASK(A, B | C, COUNT / 2);
	pages_want_all(p, self->b);
	VERIFY(0, "from {a} to {b,c}");
	END();
}

/* What lay on one node of two lies on one of the others, side by side. */
TEST_F(sets, two_to_two)
{
	struct pages *p = &self->subject.pages;

	if (self->d < 0)
		SKIP(return, "needs 4 nodes with memory");
	BEGIN_ON(A | B, pages_populate);
	ASK(A | B, C | D, COUNT);
	pages_want_moved(p, self->a, self->c);
	pages_want_moved(p, self->b, self->d);
	VERIFY(0, "from {a,b} to {c,d}");
	END();
}

/* a to c, b to d, c to c: but c is there already. */
TEST_F(sets, three_to_two)
{
	struct pages *p = &self->subject.pages;

	if (self->d < 0)
		SKIP(return, "needs 4 nodes with memory");
	BEGIN_ON(A | B | C, pages_populate);
	ASK(A | B | C, C | D, COUNT * 2 / 3);
	pages_want_moved(p, self->a, self->c);
	pages_want_moved(p, self->b, self->d);
	VERIFY(0, "from {a,b,c} to {c,d}");
	END();
}

/* From every set to every other, as migrate_pages(2), which goes first. */
static const char *as_migrate_pages(struct subject *s, int fd,
				    unsigned long from, unsigned long to)
{
	struct pages *p = &s->pages;
	int node[COUNT], i;

	/* Both begin with new pages in the same places. */
	if (numa_migrate_pages(p->pid, from, to) ||
	    placement_query(p->pid, p->addr, COUNT, node) ||
	    holder_call(&s->holder, chore_populate_anew))
		return "migrate_pages(2) or the child failed";
	pages_want_dealt(p, nodes_with_memory());
	if (*subject_look(s))
		return "the child has not populated its pages anew";
	if (migrate_file_ask_range(fd, p, 0, COUNT, migrate_map_sets(from, to)))
		return "the request is refused";
	for (i = 0; i < COUNT; i++)
		pages_want(p, i, 1, node[i]);
	return subject_verify(s, 0, migrate_map_sets(from, to));
}

TEST_F(sets, as_migrate_pages)
{
	const unsigned long all = nodes_with_memory();
	unsigned long from, to;

	BEGIN_ON(all, pages_populate);
	for (from = 1; from <= all; from++) {
		for (to = 1; to <= all; to++) {
			if (from & ~all || to & ~all)
				continue;
			EXPECT_CLEAN(as_migrate_pages(&self->subject, self->fd,
						      from, to))
				TH_LOG("%s", migrate_map_sets(from, to));
			ASSERT_EQ(0, CALL(chore_populate_anew));
		}
	}
	END();
}

TEST_HARNESS_MAIN
