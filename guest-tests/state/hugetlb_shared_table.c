// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tables that two processes share: a shared mapping of hugetlbfs that
 * covers a whole 1 GiB. Each page in it is mapped once, by that table, so only
 * the table tells that it is not one process's alone (queue_folios_hugetlb() in
 * mm/mempolicy.c); and to unmap it for a migration is to take the table away
 * (huge_pmd_unshare() in try_to_migrate_one(), mm/rmap.c, 6.12).
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, HUGETLBFS, MEMFD_CREATE]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {5: ["*"], 12: ["*"]}
 *   covers:
 *     - {cases: "hugetlb_shared_table.mbind",
 *        interface: [mbind-move, mbind-move-all], backing: [hugetlb-shared],
 *        condition: [quiet]}
 *     - {cases: "hugetlb_shared_table.move_pages",
 *        interface: [move_pages-set], backing: [hugetlb-shared],
 *        condition: [quiet]}
 */
#include "harness.h"

#include <sys/mman.h>

#include "holder.h"
#include "hugetlb.h"
#include "nodes.h"
#include "policy.h"
#include "proc.h"
#include "relocate.h"
#include "scene.h"
#include "smaps.h"

#define HUGE_BYTES	(2UL << 20)
#define HUGE_PAGES	512
#define TABLE_BYTES	(1UL << 30)
#define HUGE		2
#define COUNT		(HUGE * HUGE_PAGES)
#define KIB		(COUNT * 4)

FIXTURE(hugetlb_shared_table)
{
	int a;
	int b;
	struct pages pages;
	struct holder holder;
};

/* A whole table's worth of addresses; little of it is reserved or touched. */
static void *map_table(void)
{
	int fd = memfd_create("table", MFD_CLOEXEC | MFD_HUGETLB);
	char *outer, *inner;

	outer = mmap(NULL, 2 * TABLE_BYTES, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (fd < 0 || outer == MAP_FAILED || ftruncate(fd, TABLE_BYTES))
		return MAP_FAILED;
	inner = outer + TABLE_BYTES - (uintptr_t)outer % TABLE_BYTES;
	return mmap(inner, TABLE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd, 0);
}

/* Called in the holder: its first access finds the table of the parent. */
static long just_look(struct pages *p)
{
	return pages_bad(p);
}

FIXTURE_SETUP(hugetlb_shared_table)
{
	struct pages *p = &self->pages;
	void *addr;

	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, hugetlb_set_pool(self->a, 2));
	ASSERT_EQ(0, hugetlb_set_pool(self->b, 2));
	addr = map_table();
	ASSERT_NE(MAP_FAILED, addr);
	ASSERT_EQ(0, pages_over(p, addr, COUNT));
	pages_want_all(p, self->a);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_EQ(0, holder_start(&self->holder, p, just_look));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_CLEAN(pages_shared_with(p, self->holder.peer.pid));
}

FIXTURE_TEARDOWN_PARENT(hugetlb_shared_table)
{
	EXPECT_EQ(0, hugetlb_set_pool(self->a, 0));
	EXPECT_EQ(0, hugetlb_set_pool(self->b, 0));
}

static const char *go_all(struct pages *p, int node, const char *what)
{
	const struct relocation r = { node, MPOL_MF_MOVE_ALL, HUGE_PAGES, 0 };
	const char *problem = relocate(p, &r);

	if (*problem)
		return problem;
	/* Who lost the table finds nothing there until it faults. */
	if (pages_bad(p))
		return "content lost";
	return relocate_verify(p, what);
}

/* Called in the holder. */
static long write_all(struct pages *p)
{
	long i;

	for (i = 0; i < p->count; i++) {
		uint64_t *word = pages_at(p, i);

		*word ^= 1;
	}
	return 0;
}

/* Both still have one and the same memory, whichever touches it first. */
#define EXPECT_IN_COMMON() do {						\
	EXPECT_EQ(0, holder_bad(&self->holder));			\
	EXPECT_CLEAN(pages_shared_with(&self->pages,			\
				       self->holder.peer.pid));		\
	EXPECT_EQ(0, holder_call(&self->holder, write_all));		\
	EXPECT_EQ(COUNT, pages_bad(&self->pages));			\
	EXPECT_EQ(0, holder_call(&self->holder, write_all));		\
	EXPECT_EQ(0, pages_bad(&self->pages));				\
} while (0)

/*
 * All of the mapping, since a part would become one of its own, and have a
 * table of its own (hugetlb_vm_op_split(), mm/hugetlb.c).
 */
static long bind_all(struct pages *p, int node, int flags)
{
	return numa_mbind(p->addr, TABLE_BYTES, MPOL_BIND, NODE(node),
			  flags | MPOL_MF_STRICT);
}

/*
 * MOVE leaves what is not the caller's alone, and that is no failure; whose
 * mapping it is shows in smaps.
 */
TEST_F(hugetlb_shared_table, mbind)
{
	struct pages *p = &self->pages;
	struct counters before;

	EXPECT_EQ(KIB, smaps_kib(0, p->addr, "Shared_Hugetlb"));
	EXPECT_EQ(0, smaps_kib(0, p->addr, "Private_Hugetlb"));
	ASSERT_EQ(0, counters_read(&before));
	EXPECT_EQ(0, bind_all(p, self->b, MPOL_MF_MOVE));
	EXPECT_CLEAN(pages_verify(p, "in a shared table"));
	EXPECT_CLEAN(counters_verify(&before, 0, 0));

	EXPECT_EQ(0, bind_all(p, self->b, MPOL_MF_MOVE_ALL));
	/* Who lost the table finds nothing there until it faults. */
	EXPECT_EQ(0, pages_bad(p));
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "moved for both"));
	EXPECT_CLEAN(counters_verify(&before, COUNT, 0));
	EXPECT_IN_COMMON();
	EXPECT_EQ(0, holder_end(&self->holder));
}

TEST_F(hugetlb_shared_table, move_pages)
{
	struct pages *p = &self->pages;

	EXPECT_CLEAN(go_all(p, self->b, "moved for both"));
	EXPECT_IN_COMMON();
	EXPECT_CLEAN(go_all(p, self->a, "and back"));
	EXPECT_IN_COMMON();
	EXPECT_EQ(0, holder_end(&self->holder));
}

/* Alone again, it is moved by MOVE. */
TEST_F(hugetlb_shared_table, when_the_other_ended)
{
	const struct relocation r = { self->b, MPOL_MF_MOVE, HUGE_PAGES, 0 };
	struct pages *p = &self->pages;

	ASSERT_EQ(0, holder_end(&self->holder));
	EXPECT_CLEAN(relocate_by_mbind(p, &r));
	EXPECT_CLEAN(relocate_verify(p, "in a table of its own"));
}

TEST_HARNESS_MAIN
