// SPDX-License-Identifier: GPL-2.0-only
/*
 * The task's policy and each kind of memory that it governs: private memory,
 * shared memory, page cache that a write(2) makes and such as a fault on a
 * file makes; and the order in which MPOL_BIND and MPOL_PREFERRED_MANY take
 * the nodes of their set, by the distances of the machine
 * (policy_nodemask() in mm/mempolicy.c, the zonelists of mm/page_alloc.c).
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, MEMFD_CREATE]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   scope: file
 *   cases:
 *     allocation.private.by_distance: {nodes: 3}
 *     allocation.shared.by_distance: {nodes: 3}
 *     allocation.written.by_distance: {nodes: 3}
 *     allocation.mapped.by_distance: {nodes: 3}
 *   quick:
 *     - allocation.private.each_mode
 *   contract: {7: ["allocation.*"]}
 *   covers:
 *     - {cases: "allocation.private.*", interface: [set_mempolicy], backing:
 *        [anon-private], condition: [quiet]}
 *     - {cases: "allocation.shared.*", interface: [set_mempolicy], backing:
 *        [shmem], condition: [quiet]}
 *     - {cases: ["allocation.written.*", "allocation.mapped.*"], interface:
 *        [set_mempolicy], backing: [file-shared], condition: [quiet]}
 */
#include "harness.h"

#include <fcntl.h>

#include "nodes.h"
#include "placement.h"
#include "policy.h"
#include "ramfs.h"

#define COUNT		12
#define BYTES		(COUNT * PAGE_BYTES)

enum kind { PRIVATE, SHARED, WRITTEN, MAPPED };

FIXTURE(allocation)
{
	struct placed t;
	char path[64];
};

FIXTURE_VARIANT(allocation)
{
	enum kind kind;
};

FIXTURE_VARIANT_ADD(allocation, private) { .kind = PRIVATE };
FIXTURE_VARIANT_ADD(allocation, shared) { .kind = SHARED };
FIXTURE_VARIANT_ADD(allocation, written) { .kind = WRITTEN };
FIXTURE_VARIANT_ADD(allocation, mapped) { .kind = MAPPED };

/*
 * Files are of ramfs, which is page cache and nothing else: tmpfs would be
 * shared memory, with policies of its own.
 */
FIXTURE_SETUP(allocation)
{
	ASSERT_EQ(0, ramfs_begin());
	ASSERT_CLEAN(placed_start(&self->t, COUNT, 0, MAP_PRIVATE));
}

/* The mount is its namespace's, and goes with it. */
FIXTURE_TEARDOWN(allocation)
{
}

static int map_over(struct pages *p, int sharing, int fd)
{
	if (mmap(p->addr, BYTES, PROT_READ | PROT_WRITE, sharing | MAP_FIXED,
		 fd, 0) != p->addr)
		return -1;
	if (fd >= 0)
		close(fd);
	/* As pages_map() has it: no huge pages. */
	madvise(p->addr, BYTES, MADV_NOHUGEPAGE);
	pages_want_all(p, UNTOUCHED);
	return 0;
}

/* An empty file in place of the pages, mapped when @allocate has run. */
static int open_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	unlink(path);
	return fd;
}

static int write_pages(int fd, const struct pages *p)
{
	char *copy = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct pages source = *p;

	source.addr = copy;
	policy_fault(&source, 0, COUNT);
	return pwrite(fd, copy, BYTES, 0) == (ssize_t)BYTES ? 0 : -1;
}

/* Have COUNT new pages under the policy that is set now. 0 or -1. */
static int allocate(struct pages *p, enum kind kind)
{
	int fd;

	switch (kind) {
	case PRIVATE:
		if (map_over(p, MAP_PRIVATE | MAP_ANONYMOUS, -1))
			return -1;
		policy_fault(p, 0, COUNT);
		return 0;
	case SHARED:
		if (map_over(p, MAP_SHARED | MAP_ANONYMOUS, -1))
			return -1;
		policy_fault(p, 0, COUNT);
		return 0;
	case WRITTEN:
		fd = open_file("/tmp/written");
		if (fd < 0 || write_pages(fd, p) ||
		    map_over(p, MAP_SHARED, fd))
			return -1;
		/* Mapped only now. */
		for (int i = 0; i < COUNT; i++)
			pages_read(p, i);
		return 0;
	case MAPPED:
		fd = open_file("/tmp/mapped");
		if (fd < 0 || ftruncate(fd, BYTES) ||
		    map_over(p, MAP_SHARED, fd))
			return -1;
		policy_fault(p, 0, COUNT);
		return 0;
	}
	return -1;
}

/* New pages, all on @node. */
#define EXPECT_NEW_ON(node, what) do {					\
	ASSERT_EQ(0, allocate(&self->t.pages, variant->kind));		\
	pages_want_all(&self->t.pages, node);				\
	EXPECT_CLEAN(pages_snapshot(&self->t.pages));			\
	EXPECT_CLEAN(pages_verify(&self->t.pages, what));		\
} while (0)

TEST_F(allocation, each_mode)
{
	unsigned long a = NODE(self->t.a), b = NODE(self->t.b);
	struct placed *t = &self->t;

	ASSERT_EQ(0, nodes_run_on(t->a));
	EXPECT_NEW_ON(t->a, "no policy");
	EXPECT_EQ(0, numa_set_mempolicy(MPOL_BIND, b));
	EXPECT_NEW_ON(t->b, "bound to b");
	EXPECT_EQ(0, numa_set_mempolicy(MPOL_PREFERRED, b));
	EXPECT_NEW_ON(t->b, "b preferred");
	EXPECT_EQ(0, numa_set_mempolicy(MPOL_PREFERRED_MANY, b));
	EXPECT_NEW_ON(t->b, "b preferred, as one of many");
	EXPECT_EQ(0, numa_set_mempolicy(MPOL_LOCAL, 0));
	EXPECT_NEW_ON(t->a, "local to a");
	ASSERT_EQ(0, nodes_run_on(t->b));
	EXPECT_NEW_ON(t->b, "local to b");
	EXPECT_EQ(0, numa_set_mempolicy(MPOL_BIND, a));
	EXPECT_NEW_ON(t->a, "bound to a");
	EXPECT_EQ(0, numa_set_mempolicy(MPOL_DEFAULT, 0));
	EXPECT_NEW_ON(t->b, "no policy any more");
}

/* As many on one node as on the other; interleave.c has which. */
TEST_F(allocation, interleave)
{
	unsigned long set = NODE(self->t.a) | NODE(self->t.b);
	struct pages *p = &self->t.pages;
	int i, status, on_a = 0;

	EXPECT_EQ(0, numa_set_mempolicy(MPOL_INTERLEAVE, set));
	ASSERT_EQ(0, allocate(p, variant->kind));
	EXPECT_EQ(0, numa_set_mempolicy(MPOL_DEFAULT, 0));
	for (i = 0; i < COUNT; i++) {
		ASSERT_EQ(0, placement_query(0, pages_at(p, i), 1, &status));
		ASSERT_TRUE(set & NODE(status));
		on_a += status == self->t.a;
	}
	/*
	 * Page cache takes its turn with all else that is allocated meanwhile
	 * (page tables, nodes of the file's tree).
	 */
	if (variant->kind == PRIVATE || variant->kind == SHARED)
		EXPECT_EQ(COUNT / 2, on_a);
	EXPECT_LT(0, on_a);
	EXPECT_GT(COUNT, on_a);
}

/* Of two nodes the nearer to the thread; -1 if neither is nearer. */
static int nearer(int from, int x, int y)
{
	int far_x = policy_distance(from, x);
	int far_y = policy_distance(from, y);

	if (far_x == far_y)
		return -1;
	return far_x < far_y ? x : y;
}

/* Each node with a CPU, each two nodes: the nearer one gets the pages. */
TEST_F(allocation, by_distance)
{
	unsigned long memory = nodes_with_memory();
	unsigned long cpus = policy_nodes_with_cpu();
	int from, x, y, tried = 0;

	for (int i = 0; (from = nodes_nth(cpus, i)) >= 0; i++)
		for (int k = 0; (y = nodes_nth(memory, k)) >= 0; k++)
			for (int n = 0; n < k; n++) {
				x = nodes_nth(memory, n);
				if (nearer(from, x, y) < 0)
					continue;
				TH_LOG("from %d to {%d,%d}", from, x, y);
				ASSERT_EQ(0, nodes_run_on(from));
				ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND,
							NODE(x) | NODE(y)));
				EXPECT_NEW_ON(nearer(from, x, y), "bound");
				ASSERT_EQ(0, numa_set_mempolicy(
							MPOL_PREFERRED_MANY,
							NODE(x) | NODE(y)));
				EXPECT_NEW_ON(nearer(from, x, y), "preferred");
				tried++;
			}
	EXPECT_LT(0, tried);
}

TEST_HARNESS_MAIN
