// SPDX-License-Identifier: GPL-2.0-only
/*
 * MPOL_INTERLEAVE: which page of a range goes to which node. The index of a
 * page is its offset in what is mapped: in the file for shared memory, plus
 * the number of the inode; in the address space for private memory, and that
 * of the first fault if mremap(2) took it elsewhere (get_vma_policy() in
 * mm/mempolicy.c). Migration follows the same index since 6.7 ("mempolicy:
 * alloc_pages_mpol() for NUMA policy without vma", "mempolicy: migration
 * attempt to match interleave nodes"), exactly for the VMA of the first page to
 * be moved; before that, new_page() went by the addresses in each VMA.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, MEMFD_CREATE]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   scope: file
 *   cases:
 *     interleave.with_a_gap: {nodes: 3}
 *     interleave.shared_moved: {nodes: 3}
 *     interleave.shared_and_private: {nodes: 3}
 *   quick:
 *     - interleave.private_range
 *   contract: {7: ["interleave.*"]}
 *   covers:
 *     - {cases: ["interleave.private_range", "interleave.remapped",
 *        "interleave.task_policy"], interface: [mbind-move-strict, mbind-move],
 *        backing: [anon-private], condition: [quiet]}
 *     - {cases: "interleave.shared_*", interface: [mbind-move-strict], backing:
 *        [shmem], condition: [quiet]}
 */
#include "harness.h"

#include "kernel.h"
#include "nodes.h"
#include "placement.h"
#include "policy.h"
#include "ramfs.h"

#include <sys/stat.h>

#define COUNT		16
#define BYTES		(COUNT * PAGE_BYTES)

#define MOVE		MPOL_MF_MOVE
#define STRICT		MPOL_MF_STRICT

FIXTURE(interleave)
{
	struct placed t;
	unsigned long set;	/* the nodes to interleave over: not all on a */
};

/* COUNT pages on node a. */
FIXTURE_SETUP(interleave)
{
	ASSERT_CLEAN(placed_start(&self->t, COUNT, COUNT, MAP_PRIVATE));
	self->set = NODE(self->t.a) | NODE(self->t.b);
}

FIXTURE_TEARDOWN(interleave)
{
}

static long interleave(struct placed *t, long first, long count,
		       unsigned long set, int flags)
{
	return policy_bind(&t->pages, first, count, MPOL_INTERLEAVE, set,
			   flags);
}

/* Want pages at @index of an interleave, counted for page 0. */
static void want_from(struct pages *p, long first, long count,
		      unsigned long set, unsigned long index)
{
	for (; count--; first++)
		pages_want(p, first, 1, policy_interleaved(set, index + first));
}

/* The index of page 0 of private memory that was never moved by mremap(2). */
static unsigned long private_index(const struct pages *p)
{
	return (uintptr_t)p->addr / PAGE_BYTES;
}

/* Put all of it where no page may stay. */
static long take_away(struct placed *t, int node)
{
	long error = policy_bind(&t->pages, 0, COUNT, MPOL_BIND, NODE(node),
				 MOVE | STRICT);

	pages_want_all(&t->pages, node);
	return error;
}

TEST_F(interleave, private_range)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;

	/* New pages. */
	ASSERT_EQ(0, madvise(p->addr, BYTES, MADV_DONTNEED));
	EXPECT_EQ(0, interleave(t, 0, COUNT, self->set, 0));
	policy_fault(p, 0, COUNT);
	want_from(p, 0, COUNT, self->set, private_index(p));
	EXPECT_CLEAN(pages_snapshot(p));

	/* What is within the set stays, all on one node though it be. */
	ASSERT_EQ(0, take_away(t, t->a));
	ASSERT_CLEAN(placed_look(t));
	EXPECT_EQ(0, interleave(t, 0, COUNT, self->set, MOVE | STRICT));
	EXPECT_CLEAN(placed_verify(t, 0, "within the set already"));
	EXPECT_CLEAN(policy_check(p, 0, MPOL_INTERLEAVE, self->set));
}

/* Out of the set, all pages or from the third on: each by its own index. */
TEST_F(interleave, with_a_gap)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;
	unsigned long set = NODE(t->a) | NODE(t->c);

	ASSERT_EQ(0, take_away(t, t->b));
	ASSERT_CLEAN(placed_look(t));
	EXPECT_EQ(0, interleave(t, 3, COUNT - 3, set, MOVE | STRICT));
	want_from(p, 3, COUNT - 3, set, private_index(p));
	EXPECT_CLEAN(placed_verify(t, 0, "from the third page on"));

	ASSERT_EQ(0, take_away(t, t->b));
	ASSERT_CLEAN(placed_look(t));
	EXPECT_EQ(0, interleave(t, 0, COUNT, set, MOVE | STRICT));
	want_from(p, 0, COUNT, set, private_index(p));
	EXPECT_CLEAN(placed_verify(t, 0, "all of them"));

	/* Only every third is misplaced: those alone move, by their index. */
	ASSERT_CLEAN(placed_look(t));
	EXPECT_EQ(0, interleave(t, 0, COUNT, NODE(t->b) | NODE(t->c),
				MOVE | STRICT));
	for (long i = 0; i < COUNT; i++)
		if (p->was[i].status == t->a)
			want_from(p, i, 1, NODE(t->b) | NODE(t->c),
				  private_index(p));
	EXPECT_CLEAN(placed_verify(t, 0, "those on the node that went"));
}

/* A range that was faulted in keeps its index when mremap(2) moves it. */
TEST_F(interleave, remapped)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;
	unsigned long index = private_index(p);
	char *from = p->addr, *to;

	/* An odd distance, so that the new address says otherwise. */
	to = mmap(NULL, 4 * BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		  0);
	ASSERT_NE(MAP_FAILED, to);
	to += PAGE_BYTES;
	if (!((to - from) / PAGE_BYTES % 2))
		to += PAGE_BYTES;
	ASSERT_EQ(0, interleave(t, 0, COUNT, self->set, 0));
	ASSERT_EQ(to, mremap(from, BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_FIXED,
			     to));
	p->addr = to;
	EXPECT_CLEAN(policy_check(p, 0, MPOL_INTERLEAVE, self->set));
	EXPECT_CLEAN(placed_verify(t, 0, "remapped"));

	/* Pages new after it. */
	ASSERT_EQ(0, madvise(to, BYTES / 2, MADV_DONTNEED));
	pages_want(p, 0, COUNT / 2, UNTOUCHED);
	ASSERT_CLEAN(placed_look(t));
	policy_fault(p, 0, COUNT / 2);
	want_from(p, 0, COUNT / 2, self->set, index);
	EXPECT_CLEAN(placed_verify(t, 0, "new pages where it is now"));
}

/* Where MPOL_DEFAULT takes pages that have only the task's interleave left. */
TEST_F(interleave, task_policy)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;

	ASSERT_EQ(0, policy_bind(p, 0, COUNT, MPOL_BIND, NODE(t->a), 0));
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_INTERLEAVE, NODE(t->b)));
	EXPECT_EQ(0, policy_bind(p, 0, COUNT, MPOL_DEFAULT, 0, MOVE));
	pages_want_all(p, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "MPOL_DEFAULT under an interleave"));

	/* And where it has new ones: by the index of the range, not in turn. */
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_INTERLEAVE, self->set));
	ASSERT_EQ(0, madvise(p->addr, BYTES, MADV_DONTNEED));
	pages_want_all(p, UNTOUCHED);
	ASSERT_CLEAN(placed_look(t));
	for (long i = 0; i < COUNT; i += 3)
		policy_fault(p, i, 1);
	for (long i = 0; i < COUNT; i += 3)
		want_from(p, i, 1, self->set, private_index(p));
	EXPECT_CLEAN(placed_verify(t, 0, "every third page touched"));
}

/* A memfd in place of the private pages; the number of its inode, or -1. */
static long map_memfd(struct pages *p)
{
	int fd = memfd_create("interleave", MFD_CLOEXEC);
	struct stat stat;

	if (fd < 0 || ftruncate(fd, BYTES) || fstat(fd, &stat))
		return -1;
	if (mmap(p->addr, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		 fd, 0) != p->addr)
		return -1;
	close(fd);
	pages_want_all(p, UNTOUCHED);
	return stat.st_ino;
}

static long populate_on_a(struct placed *t)
{
	pages_want_all(&t->pages, t->a);
	return pages_populate(&t->pages) ||
	       *pages_snapshot(&t->pages) || counters_read(&t->before);
}

/* Two files follow on each other in their index, as their inodes do. */
TEST_F(interleave, shared_by_inode)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;
	long inode, i;

	for (i = 0; i < 3; i++) {
		inode = map_memfd(p);
		ASSERT_LE(0, inode);
		ASSERT_EQ(0, interleave(t, 0, COUNT, self->set, 0));
		policy_fault(p, 0, COUNT);
		want_from(p, 0, COUNT, self->set, inode);
		EXPECT_CLEAN(pages_snapshot(p));
	}
}

/*
 * Moved to where a fault would have had them; before 6.7 the number of the
 * inode was forgotten.
 */
TEST_F(interleave, shared_moved)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;
	unsigned long set = NODE(t->b) | NODE(t->c);
	long inode = map_memfd(p);

	ASSERT_LE(0, inode);
	ASSERT_EQ(0, populate_on_a(t));
	EXPECT_EQ(0, interleave(t, 0, COUNT, set, MOVE | STRICT));
	want_from(p, 0, COUNT, set, kernel_before(6, 7) ? 0 : inode);
	EXPECT_CLEAN(placed_verify(t, 0, "shared memory moved"));
}

/*
 * Page cache outside of shared memory has no range and no index: the task's
 * interleave deals it out in turn, and get_mempolicy(2) tells whose turn it
 * is. A file of ramfs, for which a write allocates the page and nothing else.
 */
TEST_F(interleave, page_cache_in_turn)
{
	struct placed *t = &self->t;
	int i, next[COUNT], status[COUNT];

	ASSERT_EQ(0, ramfs_begin());
	ASSERT_CLEAN(ramfs_write_in_turn(MPOL_INTERLEAVE, self->set, COUNT,
					 next, status));
	EXPECT_STREQ(placement_statuses(next, COUNT),
		     placement_statuses(status, COUNT));
	for (i = 0; i < COUNT; i++)
		next[i] = policy_interleaved(self->set, i);
	EXPECT_STREQ(placement_statuses(next, COUNT),
		     placement_statuses(status, COUNT));
	EXPECT_CLEAN(placed_verify(t, 0, "pages that have no part in it"));
}

/*
 * Private and shared memory in one range: the index of the first page to be
 * moved is the base for all of them; before 6.7 each VMA had its own.
 */
TEST_F(interleave, shared_and_private)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;
	unsigned long set = NODE(t->b) | NODE(t->c);
	unsigned long own = private_index(p);
	const long half = COUNT / 2;
	long inode = map_memfd(p);

	ASSERT_LE(0, inode);
	ASSERT_NE(MAP_FAILED, mmap(pages_at(p, half), half * PAGE_BYTES,
				   PROT_READ | PROT_WRITE, MAP_PRIVATE |
				   MAP_FIXED | MAP_ANONYMOUS, -1, 0));
	ASSERT_EQ(0, populate_on_a(t));
	EXPECT_EQ(0, interleave(t, 0, COUNT, set, MOVE | STRICT));
	if (kernel_before(6, 7)) {
		want_from(p, 0, half, set, 0);
		want_from(p, half, half, set, own);
	} else {
		want_from(p, 0, half, set, inode);
		want_from(p, half, half, set, inode + own);
	}
	EXPECT_CLEAN(placed_verify(t, 0, "shared and private memory moved"));
}

TEST_HARNESS_MAIN
