// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pool of huge pages grows and shrinks under the policy of whoever writes
 * nr_hugepages_mempolicy, on the nodes of that policy and in turn
 * (init_nodemask_of_mempolicy() in mm/mempolicy.c and set_max_huge_pages() in
 * mm/hugetlb.c, 6.12; Documentation/admin-guide/mm/hugetlbpage.rst). To
 * nr_hugepages no policy means anything.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, HUGETLBFS]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {7: ["hugetlb_pool.*"]}
 *   covers:
 *     - {cases: "hugetlb_pool.*", interface: [set_mempolicy],
 *        backing: [hugetlb-shared], condition: [quiet]}
 */
#include "harness.h"

#include <stdio.h>

#include "hugetlb.h"
#include "proc.h"
#include "scene.h"

#define PAGES	"nr_hugepages"
#define SYSFS	"/sys/kernel/mm/hugepages/hugepages-2048kB/"
#define SYSCTL	"/proc/sys/vm/"

FIXTURE(hugetlb_pool)
{
	int a;
	int b;
};

FIXTURE_VARIANT(hugetlb_pool)
{
	const char *file;
};

FIXTURE_VARIANT_ADD(hugetlb_pool, sysfs)
{
	.file = SYSFS "nr_hugepages_mempolicy",
};

FIXTURE_VARIANT_ADD(hugetlb_pool, sysctl)
{
	.file = SYSCTL "nr_hugepages_mempolicy",
};

FIXTURE_SETUP(hugetlb_pool)
{
	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, hugetlb_pool(-1, PAGES));
}

/* In the parent, so that it is done however the test ended. */
FIXTURE_TEARDOWN_PARENT(hugetlb_pool)
{
	EXPECT_EQ(0, hugetlb_set_pool(-1, 0));
}

/* Write @pages to @file under the policy. 0 or -errno. */
static int set_under(int mode, unsigned long nodes, const char *file,
		     int pages)
{
	int error = numa_set_mempolicy(mode, nodes);
	char text[16];

	snprintf(text, sizeof(text), "%d", pages);
	if (!error)
		error = proc_write(file, text);
	return error ? : numa_set_mempolicy(MPOL_DEFAULT, 0);
}

#define EXPECT_POOL(on_a, on_b) do {					\
	EXPECT_EQ(on_a, hugetlb_pool(self->a, PAGES));			\
	EXPECT_EQ(on_b, hugetlb_pool(self->b, PAGES));			\
	EXPECT_EQ((on_a) + (on_b), hugetlb_pool(-1, "free_hugepages"));	\
} while (0)

TEST_F(hugetlb_pool, bind)
{
	const char *file = variant->file;

	EXPECT_EQ(0, set_under(MPOL_BIND, NODE(self->b), file, 4));
	EXPECT_POOL(0, 4);
	/* It is the whole pool's size that is asked for. */
	EXPECT_EQ(0, set_under(MPOL_BIND, NODE(self->a), file, 6));
	EXPECT_POOL(2, 4);
	/* What goes, goes from the nodes of the policy. */
	EXPECT_EQ(0, set_under(MPOL_BIND, NODE(self->b), file, 3));
	EXPECT_POOL(2, 1);
}

TEST_F(hugetlb_pool, prefer)
{
	EXPECT_EQ(0, set_under(MPOL_PREFERRED, NODE(self->b), variant->file,
			       4));
	EXPECT_POOL(0, 4);
}

TEST_F(hugetlb_pool, interleave)
{
	const unsigned long both = NODE(self->a) | NODE(self->b);

	EXPECT_EQ(0, set_under(MPOL_INTERLEAVE, both, variant->file, 6));
	EXPECT_POOL(3, 3);
}

/* MPOL_LOCAL is a policy too: of the node that the writer runs on. */
TEST_F(hugetlb_pool, local_is_here)
{
	ASSERT_EQ(0, nodes_run_on(self->a));
	EXPECT_EQ(0, set_under(MPOL_LOCAL, 0, variant->file, 3));
	EXPECT_POOL(3, 0);
}

TEST_F(hugetlb_pool, plain_file_has_no_policy)
{
	const int nodes = nodes_count(nodes_with_memory());

	EXPECT_EQ(0, set_under(MPOL_BIND, NODE(self->b), SYSFS PAGES,
			       2 * nodes));
	EXPECT_EQ(2, hugetlb_pool(self->a, PAGES));
	EXPECT_EQ(2, hugetlb_pool(self->b, PAGES));
	EXPECT_EQ(2 * nodes, hugetlb_pool(-1, "free_hugepages"));
}

TEST_HARNESS_MAIN
