// SPDX-License-Identifier: GPL-2.0-only
/*
 * What tracked.c and protection.c are about, for huge pages of hugetlbfs, whose
 * entries have a path of their own through unmapping and back
 * (try_to_migrate_one() in mm/rmap.c, remove_migration_pte() in mm/migrate.c):
 * userfaultfd's write protection, no right to write or none at all, and
 * whether a page is one process's own since a fork.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, HUGETLBFS]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     "tracked_hugetlb.*.write_protected": {kconfig: [USERFAULTFD]}
 *   contract: {10: ["*"], 12: ["*"]}
 *   covers:
 *     - {cases: "tracked_hugetlb.private.*",
 *        interface: [move_pages-set, mbind-move-strict],
 *        backing: [hugetlb-private], condition: [quiet]}
 *     - {cases: "tracked_hugetlb.shared.*",
 *        interface: [move_pages-set, mbind-move-strict],
 *        backing: [hugetlb-shared], condition: [quiet]}
 *     - {cases: "tracked_hugetlb.*.write_protected",
 *        interface: [move_pages-set, mbind-move-strict],
 *        backing: [uffd-registered], condition: [quiet]}
 */
#include "harness.h"

#include <sys/mman.h>

#include "holder.h"
#include "hugetlb.h"
#include "nodes.h"
#include "pagemap.h"
#include "pattern.h"
#include "proc.h"
#include "relocate.h"
#include "scene.h"
#include "uffd.h"

#define HUGE_BYTES	(2UL << 20)
#define HUGE_PAGES	512
#define HUGES		4
#define COUNT		(HUGES * HUGE_PAGES)

FIXTURE(tracked_hugetlb)
{
	int a;
	int b;
	struct pages pages;
};

FIXTURE_VARIANT(tracked_hugetlb)
{
	int sharing;
};

FIXTURE_VARIANT_ADD(tracked_hugetlb, private)
{
	.sharing = MAP_PRIVATE,
};

FIXTURE_VARIANT_ADD(tracked_hugetlb, shared)
{
	.sharing = MAP_SHARED,
};

/* HUGES pages on node a; as many are free, for copies, on either node. */
FIXTURE_SETUP(tracked_hugetlb)
{
	struct pages *p = &self->pages;
	void *addr;

	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, hugetlb_set_pool(self->a, 2 * HUGES));
	ASSERT_EQ(0, hugetlb_set_pool(self->b, HUGES));
	addr = mmap(NULL, HUGES * HUGE_BYTES, PROT_READ | PROT_WRITE,
		    variant->sharing | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	ASSERT_NE(MAP_FAILED, addr);
	ASSERT_EQ(0, pages_over(p, addr, COUNT));
	pages_want_all(p, self->a);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_CLEAN(pages_snapshot(p));
}

/* In the parent, when all mappings are gone. */
FIXTURE_TEARDOWN_PARENT(tracked_hugetlb)
{
	EXPECT_EQ(0, hugetlb_set_pool(self->a, 0));
	EXPECT_EQ(0, hugetlb_set_pool(self->b, 0));
}

static const char *go(struct pages *p, int node, int flags, bool by_mbind,
		      const char *what)
{
	const struct relocation r = { node, flags, HUGE_PAGES, 0 };
	const char *problem;

	problem = by_mbind ? relocate_by_mbind(p, &r) : relocate(p, &r);
	return *problem ? problem : relocate_verify(p, what);
}

static void *huge_at(const struct pages *p, int number)
{
	return p->addr + number * HUGE_BYTES;
}

static bool is_protected(int number)
{
	return number % 2 == 0;
}

/* Huge pages of which the bit says what it should. */
static int rightly_protected(struct pages *p)
{
	uint64_t entry;
	int i, right = 0;

	for (i = 0; i < HUGES; i++)
		right += !pagemap_read(0, huge_at(p, i), 1, &entry) &&
			 !!(entry & PM_UFFD_WP) == is_protected(i);
	return right;
}

TEST_F(tracked_hugetlb, write_protected)
{
	struct pages *p = &self->pages;
	int i, fd = uffd_watch_writes(p->addr, HUGES * HUGE_BYTES);

	ASSERT_LE(0, fd);
	for (i = 0; i < HUGES; i++)
		if (is_protected(i))
			ASSERT_EQ(0, uffd_protect(fd, huge_at(p, i),
						  HUGE_BYTES, true));
	EXPECT_EQ(HUGES, rightly_protected(p));
	EXPECT_CLEAN(go(p, self->b, MPOL_MF_MOVE, false, "half protected"));
	EXPECT_EQ(HUGES, rightly_protected(p));
	EXPECT_CLEAN(go(p, self->a, MPOL_MF_MOVE, true, "and back"));
	EXPECT_EQ(HUGES, rightly_protected(p));
	EXPECT_EQ(0, pages_bad(p));
	/* It is there in the entry, and does what it is for. */
	for (i = 0; i < HUGES; i++)
		EXPECT_EQ(is_protected(i), uffd_write_in(fd, huge_at(p, i),
							 HUGE_BYTES));
	for (i = 0; i < HUGES; i++)
		EXPECT_EQ(0, uffd_write_in(fd, huge_at(p, i), HUGE_BYTES));
	EXPECT_EQ(0, pages_bad(p));
}

/* Have the kernel write a byte for us: 1, or -EFAULT where we may not. */
static long write_by_call(void *addr)
{
	static const char byte;
	int pipes[2];
	long result;

	if (pipe(pipes) || write(pipes[1], &byte, 1) != 1)
		return -EIO;
	result = kernel_result(read(pipes[0], addr, 1));
	close(pipes[0]);
	close(pipes[1]);
	return result;
}

static int protect(struct pages *p, int prot)
{
	return mprotect(p->addr, HUGES * HUGE_BYTES, prot);
}

/* No right is gained, and with the right again no page is copied. */
TEST_F(tracked_hugetlb, read_only)
{
	struct pages *p = &self->pages;
	int i;

	ASSERT_EQ(0, protect(p, PROT_READ));
	EXPECT_CLEAN(go(p, self->b, MPOL_MF_MOVE, false, "read-only"));
	for (i = 0; i < HUGES; i++)
		EXPECT_EQ(-EFAULT, write_by_call(huge_at(p, i)));
	EXPECT_EQ(0, pages_bad(p));
	ASSERT_EQ(0, protect(p, PROT_READ | PROT_WRITE));
	ASSERT_CLEAN(pages_snapshot(p));
	for (i = 0; i < COUNT; i++)
		pages_write(p, i);
	EXPECT_CLEAN(pages_verify(p, "written in place"));
}

/* Of no access, and then of all. */
TEST_F(tracked_hugetlb, no_access)
{
	struct pages *p = &self->pages;
	int i;

	ASSERT_EQ(0, protect(p, PROT_NONE));
	/* By its number, so that nobody looks at the content meanwhile. */
	p->pid = getpid();
	EXPECT_CLEAN(go(p, self->b, MPOL_MF_MOVE, false, "inaccessible"));
	p->pid = 0;
	for (i = 0; i < HUGES; i++)
		EXPECT_EQ(-EFAULT, write_by_call(huge_at(p, i)));
	ASSERT_EQ(0, protect(p, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, pages_bad(p));
	ASSERT_CLEAN(pages_snapshot(p));
	for (i = 0; i < COUNT; i++)
		pages_write(p, i);
	EXPECT_CLEAN(pages_verify(p, "written in place"));
}

/* Called in a holder. */

static long just_look(struct pages *p)
{
	return pages_bad(p);
}

/* It sees p->seed, which the parent has raised since. */
static long bad_of_before(struct pages *p)
{
	long i, bad = 0;

	for (i = 0; i < p->count; i++)
		bad += pattern_check(pages_at(p, i), p->seed - 1, i) >= 0;
	return bad;
}

/*
 * Shared by a fork and moved twice: who writes gets a copy, if it is private,
 * and the other keeps what it had.
 */
TEST_F(tracked_hugetlb, fork_then_move)
{
	bool is_private = variant->sharing == MAP_PRIVATE;
	struct pages *p = &self->pages;
	struct holder holder;
	long i;

	ASSERT_EQ(0, holder_start(&holder, p, just_look));
	EXPECT_CLEAN(go(p, self->b, MPOL_MF_MOVE_ALL, false, "in common"));
	EXPECT_CLEAN(go(p, self->a, MPOL_MF_MOVE_ALL, true, "and back"));
	EXPECT_CLEAN(pages_shared_with(p, holder.peer.pid));
	p->seed++;
	for (i = 0; i < COUNT; i++)
		pattern_fill(pages_at(p, i), p->seed, i);
	EXPECT_EQ(0, is_private ? holder_call(&holder, bad_of_before) :
				  holder_bad(&holder));
	EXPECT_EQ(0, pages_bad(p));
	EXPECT_EQ(0, holder_end(&holder));
}

TEST_HARNESS_MAIN
