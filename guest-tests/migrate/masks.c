// SPDX-License-Identifier: GPL-2.0-only
/*
 * How migrate_pages(2) reads its two sets of nodes: get_nodes() and
 * get_bitmap() in mm/mempolicy.c, the same in 6.1 and 6.12.
 *
 *  - maxnode is one more than the number of bits (it is decremented first), so
 *    node n counts from maxnode n + 2 on; 0 wraps, and is too large;
 *  - up to a page of bits may be given; those past what the kernel is built
 *    for have to be 0;
 *  - whole words are read, and no more of them than maxnode tells of;
 *  - no address is an empty set. From an empty set nothing moves; to an empty
 *    set is an error, once there is such a process.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   covers:
 *     - {cases: "masks.*", interface: [migrate_pages-child],
 *        backing: [anon-private], condition: [bad-mask-size]}
 *     - {cases: "masks.end_of_memory", interface: [migrate_pages-child],
 *        backing: [anon-private], condition: [bad-address]}
 */
#include "harness.h"

#include "pages.h"
#include "scene.h"
#include "subject.h"

#define COUNT		16
/* A page of bits: more is refused. */
#define MAX_BITS	(PAGE_BYTES * 8)
#define WORD_BITS	(8 * sizeof(long))

FIXTURE(masks)
{
	int a;
	int b;
	pid_t pid;
	/* Sets in memory of their own: a page each, none behind it. */
	unsigned long *from;
	unsigned long *to;
	struct subject subject;
};

static unsigned long *map_set(void)
{
	char *addr = mmap(NULL, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (addr == MAP_FAILED ||
	    mprotect(addr + PAGE_BYTES, PAGE_BYTES, PROT_NONE))
		return NULL;
	return (unsigned long *)addr;
}

/* A child with pages on both nodes; the sets are {a} and {b}. */
FIXTURE_SETUP(masks)
{
	struct pages *p = &self->subject.pages;

	FIND_TWO_NODES(self, return);
	self->from = map_set();
	self->to = map_set();
	ASSERT_TRUE(self->from && self->to);
	*self->from = NODE(self->a);
	*self->to = NODE(self->b);
	ASSERT_EQ(0, pages_map(p, COUNT, MAP_PRIVATE));
	pages_want_dealt(p, NODE(self->a) | NODE(self->b));
	ASSERT_EQ(0, subject_start(&self->subject, pages_populate));
	ASSERT_CLEAN(subject_look(&self->subject));
	self->pid = p->pid;
}

/* Mappings and peers end with the test's process. */
FIXTURE_TEARDOWN(masks)
{
}

#define MIGRATE(maxnode, from, to)					\
	kernel_result(syscall(SYS_migrate_pages, self->pid, maxnode, from, to))

/* It did nothing, and the child is well. */
#define EXPECT_NOTHING(what) do {					\
	EXPECT_CLEAN(subject_verify(&self->subject, 0, what));		\
	EXPECT_EQ(0, subject_moved());					\
	EXPECT_EQ(0, holder_end(&self->subject.holder));		\
} while (0)

#define EXPECT_MOVED(from, to, what) do {				\
	pages_want_moved(&self->subject.pages, from, to);		\
	EXPECT_CLEAN(subject_verify(&self->subject, 0, what));		\
	EXPECT_EQ(0, subject_is_on(NODE(from)));			\
	EXPECT_EQ(0, holder_end(&self->subject.holder));		\
} while (0)

TEST_F(masks, one_bit_less_than_said)
{
	/* So far b is not among the bits that count: the target is empty. */
	EXPECT_EQ(-EINVAL, MIGRATE(self->b + 1, self->from, self->to));
	EXPECT_CLEAN(subject_verify(&self->subject, 0, "without b"));
	EXPECT_EQ(0, subject_moved());
	EXPECT_EQ(0, MIGRATE(self->b + 2, self->from, self->to));
	EXPECT_MOVED(self->a, self->b, "with b as the last bit");
}

/* {a,b} to {a}, but for b, which is past the end: nothing is to be done. */
TEST_F(masks, bits_past_the_end)
{
	*self->from |= NODE(self->b);
	*self->to = NODE(self->a);
	EXPECT_EQ(0, MIGRATE(self->b + 1, self->from, self->to));
	EXPECT_CLEAN(subject_verify(&self->subject, 0, "b past the end"));
	EXPECT_EQ(0, subject_moved());
	EXPECT_EQ(0, MIGRATE(self->b + 2, self->from, self->to));
	EXPECT_MOVED(self->b, self->a, "b within");
}

TEST_F(masks, sizes_refused)
{
	const unsigned long sizes[] = {
		0, 1, MAX_BITS + 2, MAX_BITS * 2, 1UL << 31, 1UL << 32,
		1UL << 63, -1UL,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		EXPECT_EQ(-EINVAL, MIGRATE(sizes[i], self->from, self->to)) {
			TH_LOG("maxnode %#lx", sizes[i]);
		}
	}
	EXPECT_NOTHING("after sizes that are none");
}

TEST_F(masks, largest_size)
{
	EXPECT_EQ(0, MIGRATE(MAX_BITS + 1, self->from, self->to));
	EXPECT_MOVED(self->a, self->b, "a page of bits");
}

/*
 * Nodes that no kernel can have (MAX_NUMNODES is 1 << NODES_SHIFT, at most
 * 1024), in either set, near the end of it and far from it.
 */
TEST_F(masks, nodes_past_all)
{
	const unsigned long at[] = { 1024 / WORD_BITS, 2048 / WORD_BITS,
				     MAX_BITS / WORD_BITS - 1 };
	unsigned long *sets[] = { self->from, self->to };
	unsigned int i, k;

	for (i = 0; i < ARRAY_SIZE(at); i++) {
		for (k = 0; k < ARRAY_SIZE(sets); k++) {
			sets[k][at[i]] = 1UL << (WORD_BITS - 1);
			EXPECT_EQ(-EINVAL, MIGRATE(MAX_BITS + 1, self->from,
						   self->to)) {
				TH_LOG("word %ld of set %d", at[i], k);
			}
			sets[k][at[i]] = 0;
		}
	}
	EXPECT_CLEAN(subject_verify(&self->subject, 0, "nodes past all"));
	EXPECT_EQ(0, subject_moved());

	/* What is past the end as well is not looked at. */
	self->from[at[2]] = 1;
	self->to[at[2]] = 1;
	EXPECT_EQ(0, MIGRATE(MAX_BITS - WORD_BITS + 1, self->from, self->to));
	EXPECT_MOVED(self->a, self->b, "such nodes past the end");
}

/* The last word of readable memory is enough for a word's worth of nodes. */
TEST_F(masks, end_of_memory)
{
	const unsigned long last = PAGE_BYTES / sizeof(long) - 1;
	unsigned long *bad = self->from + last + 1;

	self->from[last] = NODE(self->a);
	self->to[last] = NODE(self->b);
	EXPECT_EQ(-EFAULT, MIGRATE(WORD_BITS + 2, self->from + last,
				   self->to));
	EXPECT_EQ(-EFAULT, MIGRATE(WORD_BITS + 2, self->from,
				   self->to + last));
	EXPECT_EQ(-EFAULT, MIGRATE(WORD_BITS + 1, bad, self->to));
	EXPECT_EQ(-EFAULT, MIGRATE(WORD_BITS + 1, self->from, bad));
	EXPECT_EQ(-EFAULT, MIGRATE(WORD_BITS + 1, self->from, -PAGE_BYTES));
	/* Across the end by one byte. */
	EXPECT_EQ(-EFAULT, MIGRATE(WORD_BITS + 1, self->from,
				   (char *)(self->to + last) + 1));
	EXPECT_CLEAN(subject_verify(&self->subject, 0, "bad addresses"));
	EXPECT_EQ(0, subject_moved());

	EXPECT_EQ(0, MIGRATE(WORD_BITS + 1, self->from + last,
			     self->to + last));
	EXPECT_MOVED(self->a, self->b, "sets at the end of memory");
}

TEST_F(masks, empty_sets)
{
	unsigned long *none = NULL;

	EXPECT_EQ(0, MIGRATE(WORD_BITS + 1, none, self->to));
	EXPECT_EQ(-EINVAL, MIGRATE(WORD_BITS + 1, self->from, none));
	EXPECT_EQ(-EINVAL, MIGRATE(WORD_BITS + 1, none, none));
	/* Without an address the size is not looked at. */
	EXPECT_EQ(-EINVAL, MIGRATE(0, none, none));
	*self->from = 0;
	EXPECT_EQ(0, MIGRATE(WORD_BITS + 1, self->from, self->to));
	*self->to = 0;
	EXPECT_EQ(-EINVAL, MIGRATE(WORD_BITS + 1, self->from, self->to));
	EXPECT_NOTHING("with empty sets");
}

/* Sets are read before the process is looked for, and looked at after it. */
TEST_F(masks, order_of_errors)
{
	const pid_t pid = self->pid;
	unsigned long *bad = NULL;

	bad++;
	self->pid = -1;
	EXPECT_EQ(-EFAULT, MIGRATE(WORD_BITS + 1, bad, self->to));
	EXPECT_EQ(-EFAULT, MIGRATE(WORD_BITS + 1, self->from, bad));
	EXPECT_EQ(-EINVAL, MIGRATE(0, bad, self->to));
	EXPECT_EQ(-EINVAL, MIGRATE(MAX_BITS + 2, self->from, bad));
	EXPECT_EQ(-ESRCH, MIGRATE(WORD_BITS + 1, self->from, self->to));
	*self->to = 0;
	EXPECT_EQ(-ESRCH, MIGRATE(WORD_BITS + 1, self->from, self->to));
	self->pid = pid;
	EXPECT_EQ(-EINVAL, MIGRATE(WORD_BITS + 1, self->from, self->to));
	EXPECT_NOTHING("after errors");
}

TEST_HARNESS_MAIN
