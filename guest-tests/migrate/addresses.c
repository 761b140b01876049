// SPDX-License-Identifier: GPL-2.0-only
/*
 * The oldest promise of page migration: the process does not notice. Its
 * addresses are what they were, each with its content, and it runs on, from
 * text, on stacks and heaps that are elsewhere now. Pointers that lead all
 * through its memory are followed before and after.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   promises:
 *     addresses-kept: ["addresses.*"]
 *     other-process: ["addresses.*"]
 *   covers:
 *     - {cases: "addresses.migrate_pages", interface: [migrate_pages-child],
 *        backing: [anon-private, anon-shared, mlocked, text],
 *        condition: [quiet]}
 *     - {cases: "addresses.move_pages", interface: [move_pages-set],
 *        backing: [anon-private, anon-shared, mlocked, text],
 *        condition: [quiet]}
 *     - {cases: "addresses.of_itself", interface: [migrate_pages-self],
 *        backing: [anon-private, anon-shared, mlocked, text],
 *        condition: [quiet]}
 */
#include "harness.h"

#include <time.h>

#include "nodes.h"
#include "pages.h"
#include "proc.h"
#include "process.h"
#include "scene.h"
#include "subject.h"

#define COUNT		16
/* Mappings of all sorts, so that they make as many VMAs. */
#define AREAS		120
#define AREA_PAGES	3
#define HEAP_BLOCKS	64
#define BRK_PAGES	8
#define STACK_PAGES	24
#define MAPS_BYTES	(64 << 10)

/* A ring through all of it, each link in a page of its own. */
struct link {
	struct link *next;
	struct link *self;
	unsigned long number;
};

#define MAX_LINKS	(AREAS * AREA_PAGES + HEAP_BLOCKS + BRK_PAGES +	\
			 STACK_PAGES)

static struct link *place[MAX_LINKS];
static int links;
/* In the frame of the test, which the child has too. */
static char *stack;

struct whole {
	struct process process;
	char maps[MAPS_BYTES];
	long locked_kb;
};

static struct whole before, after;

FIXTURE(addresses)
{
	int a;
	int b;
	struct subject subject;
};

FIXTURE_SETUP(addresses)
{
	struct pages *p = &self->subject.pages;

	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, pages_map(p, COUNT, MAP_PRIVATE));
	pages_want_dealt(p, NODE(self->a) | NODE(self->b));
}

/* Mappings and peers end with the test's process. */
FIXTURE_TEARDOWN(addresses)
{
}

/* Called in the child. */

static void add_links(char *from, int count, size_t distance)
{
	while (count--) {
		place[links++] = (struct link *)from;
		from += distance;
	}
}

/* In turn private and shared, so that no two become one VMA. */
static char *map_area(int i)
{
	char *addr = mmap(NULL, AREA_PAGES * PAGE_BYTES, PROT_READ | PROT_WRITE,
			  MAP_ANONYMOUS | (i % 2 ? MAP_SHARED : MAP_PRIVATE),
			  -1, 0);

	if (addr == MAP_FAILED)
		return NULL;
	add_links(addr + 8 * i, AREA_PAGES, PAGE_BYTES);
	if (i % 3 == 0 && mlock(addr, AREA_PAGES * PAGE_BYTES))
		return NULL;
	return addr;
}

static void close_ring(void)
{
	int i;

	for (i = 0; i < links; i++) {
		place[i]->next = place[(i + 1) % links];
		place[i]->self = place[i];
		place[i]->number = i;
	}
}

/* Fill all sorts of memory, each fifth area of it read-only at last. */
static long spread(struct pages *p)
{
	char *area[AREAS], *block;
	long i, error = pages_populate(p);

	/* On both nodes in turn, wherever the child happens to run. */
	error |= numa_set_mempolicy(MPOL_INTERLEAVE,
				    NODE(p->want[0]) | NODE(p->want[1]));
	for (i = 0; !error && i < AREAS; i++) {
		area[i] = map_area(i);
		error = !area[i];
	}
	for (i = 0; !error && i < HEAP_BLOCKS; i++) {
		block = malloc(PAGE_BYTES + 512);
		error = !block;
		add_links(block, 1, 0);
	}
	if (error)
		return -1;
	add_links(sbrk(BRK_PAGES * PAGE_BYTES), BRK_PAGES, PAGE_BYTES);
	add_links(stack, STACK_PAGES, PAGE_BYTES);
	close_ring();
	error = numa_set_mempolicy(MPOL_DEFAULT, 0);
	for (i = 0; i < AREAS; i += 5)
		error |= mprotect(area[i], AREA_PAGES * PAGE_BYTES, PROT_READ);
	return error;
}

/* How many links are as they were; and the vDSO still tells the time. */
static long follow(struct pages *p)
{
	struct link *link = place[0];
	struct timespec time;
	long good = 0, i;

	(void)p;
	for (i = 0; i < links; i++) {
		good += link == place[i] && link->self == link &&
			link->number == (unsigned long)i;
		link = link->next;
	}
	return clock_gettime(CLOCK_MONOTONIC, &time) ? -1 :
	       link == place[0] ? good : -1;
}

/* Known to the child since it was forked. */
static int target[2];

static long gather(int node)
{
	return numa_migrate_pages(0, nodes_with_memory() & ~NODE(node),
				  NODE(node));
}

static long gather_on_first(struct pages *p)
{
	(void)p;
	return gather(target[0]);
}

static long gather_on_second(struct pages *p)
{
	(void)p;
	return gather(target[1]);
}

/* Called in the test. */

static int look(struct whole *whole, pid_t pid)
{
	char path[64], status[4096], *line;

	proc_path(path, sizeof(path), pid, "maps");
	if (proc_read(path, whole->maps, sizeof(whole->maps)) < 0)
		return -1;
	proc_path(path, sizeof(path), pid, "status");
	if (proc_read(path, status, sizeof(status)) < 0)
		return -1;
	line = strstr(status, "VmLck:");
	if (!line)
		return -1;
	whole->locked_kb = strtol(line + 6, NULL, 10);
	return process_read(&whole->process, pid);
}

/* "" if all is at the addresses where it was, and on @node. */
static const char *compare(int node)
{
	static struct problems problems;
	int i, moved = 0, count = before.process.count;

	problems_clear(&problems);
	if (strcmp(before.maps, after.maps))
		problems_add(&problems, "maps: was %s is %s", before.maps,
			     after.maps);
	if (before.locked_kb != after.locked_kb)
		problems_add(&problems, "VmLck: was %ld kB, is %ld kB",
			     before.locked_kb, after.locked_kb);
	if (count != after.process.count)
		problems_add(&problems, "%d pages were there, %d are", count,
			     after.process.count);
	for (i = 0; i < count && i < after.process.count; i++) {
		const struct process_page *was = &before.process.page[i];
		const struct process_page *is = &after.process.page[i];

		if (was->addr != is->addr || is->node != node ||
		    (was->node == node) != (was->pfn == is->pfn))
			problems_add(&problems,
				     "%#lx: frame %#lx of node %d became %#lx: frame %#lx of node %d",
				     was->addr, was->pfn, was->node, is->addr,
				     is->pfn, is->node);
		moved += was->pfn != is->pfn;
	}
	/* What was spread is on both nodes, so a good part had to move. */
	if (moved < links / 4)
		problems_add(&problems, "only %d pages moved", moved);
	return problems_text(&problems);
}

#define START() do {							\
	ASSERT_EQ(0, subject_start(&self->subject, spread));		\
	links = MAX_LINKS;						\
	FOLLOW();							\
} while (0)

#define FOLLOW() \
	EXPECT_EQ(MAX_LINKS, holder_call(&self->subject.holder, follow))

#define LOOK() do {							\
	ASSERT_CLEAN(subject_look(&self->subject));			\
	ASSERT_EQ(0, look(&before, self->subject.pages.pid));		\
} while (0)

#define VERIFY(node, what) do {						\
	pages_want_all(&self->subject.pages, node);			\
	EXPECT_CLEAN(subject_verify(&self->subject, 0, what));		\
	ASSERT_EQ(0, look(&after, self->subject.pages.pid));		\
	EXPECT_CLEAN(compare(node));					\
	FOLLOW();							\
} while (0)

TEST_F(addresses, migrate_pages)
{
	char frame[STACK_PAGES * PAGE_BYTES];
	struct pages *p = &self->subject.pages;
	int turn, to;

	stack = frame;
	START();
	for (turn = 0; turn < 2; turn++) {
		LOOK();
		to = turn ? self->a : self->b;
		EXPECT_EQ(0, numa_migrate_pages(p->pid,
						nodes_with_memory() & ~NODE(to),
						NODE(to)));
		VERIFY(to, "all of a process, by migrate_pages");
	}
	EXPECT_EQ(0, holder_end(&self->subject.holder));
}

/* All of it by a list of all its pages, as a batch system would. */
TEST_F(addresses, move_pages)
{
	static void *addrs[PROCESS_MAX_PAGES];
	static int nodes[PROCESS_MAX_PAGES], status[PROCESS_MAX_PAGES];
	char frame[STACK_PAGES * PAGE_BYTES];
	struct pages *p = &self->subject.pages;
	int turn, to, i, count;

	stack = frame;
	START();
	for (turn = 0; turn < 2; turn++) {
		LOOK();
		to = turn ? self->a : self->b;
		count = before.process.count;
		for (i = 0; i < count; i++) {
			addrs[i] = (void *)before.process.page[i].addr;
			nodes[i] = to;
		}
		EXPECT_EQ(0, numa_move_pages(p->pid, count, addrs, nodes,
					     status, MPOL_MF_MOVE_ALL));
		EXPECT_EQ(0, memcmp(nodes, status, count * sizeof(*nodes)));
		VERIFY(to, "all of a process, by move_pages");
	}
	EXPECT_EQ(0, holder_end(&self->subject.holder));
}

/* The stack that it stands on and the text that it is in, by its own call. */
TEST_F(addresses, of_itself)
{
	char frame[STACK_PAGES * PAGE_BYTES];
	struct holder *child = &self->subject.holder;

	stack = frame;
	target[0] = self->a;
	target[1] = self->b;
	START();
	/* The first call touches what a call needs; those after it are seen. */
	EXPECT_EQ(0, holder_call(child, gather_on_second));
	EXPECT_EQ(0, holder_call(child, gather_on_first));
	pages_want_all(&self->subject.pages, self->a);
	LOOK();
	EXPECT_EQ(0, holder_call(child, gather_on_second));
	VERIFY(self->b, "all of a process, by itself");
	LOOK();
	EXPECT_EQ(0, holder_call(child, gather_on_first));
	VERIFY(self->a, "all of a process, by itself and back");
	EXPECT_EQ(0, holder_end(child));
}

TEST_HARNESS_MAIN
