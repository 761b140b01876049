// SPDX-License-Identifier: GPL-2.0-only
/*
 * The accessed and the dirty bit of a PMD go through its migration entry, both
 * ways: neither is lost nor gained (set_pmd_migration_entry() and
 * remove_migration_pmd() in mm/huge_memory.c, 6.12; since 6.1, 2e3468778dbe
 * ("mm: remember young/dirty bit for page migrations")). state/young.c and
 * state/lazyfree.c do the same for PTEs.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, TRANSPARENT_HUGEPAGE]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {10: ["*"]}
 *   covers:
 *     - {cases: "thp_bits.*", interface: [move_pages-set, mbind-move-strict],
 *        backing: [thp], condition: [quiet]}
 */
#include "harness.h"

#include <sys/mman.h>

#include "nodes.h"
#include "proc.h"
#include "relocate.h"
#include "scene.h"
#include "smaps.h"
#include "thp.h"

#define COUNT		THP_PAGES
#define KIB		(COUNT * 4)

FIXTURE(thp_bits)
{
	int a;
	int b;
	struct pages pages;
};

FIXTURE_SETUP(thp_bits)
{
	struct pages *p = &self->pages;
	char *area = thp_map();

	FIND_TWO_NODES(self, return);
	ASSERT_NE(MAP_FAILED, area);
	ASSERT_EQ(0, pages_over(p, area, COUNT));
	pages_want_all(p, self->a);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_EQ(0, relocate_drain());
	ASSERT_EQ(KIB, smaps_kib(0, area, "AnonHugePages"));
	ASSERT_CLEAN(pages_snapshot(p));
}

FIXTURE_TEARDOWN(thp_bits)
{
}

/* Not verified yet: to look at the content is to use the page. */
static const char *go(struct pages *p, int node, bool by_mbind)
{
	const struct relocation r = { node, MPOL_MF_MOVE, COUNT, 1 };

	return by_mbind ? relocate_by_mbind(p, &r) : relocate(p, &r);
}

/*
 * Have the TLB forget all: to unmap more pages than are flushed one by one
 * does it (tlb_single_page_flush_ceiling, arch/x86/mm/tlb.c). mprotect(2), as
 * for base pages, leaves a PMD in the TLB on 6.1.
 */
static int flush_tlb(void)
{
	void *other = mmap(NULL, 256 * PAGE_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	return other == MAP_FAILED ? -1 : munmap(other, 256 * PAGE_BYTES);
}

TEST_F(thp_bits, young)
{
	struct pages *p = &self->pages;
	int turn, used;

	for (turn = 0; turn < 4; turn++) {
		used = turn % 2 ? KIB : 0;
		ASSERT_EQ(0, proc_write("/proc/self/clear_refs", "1"));
		ASSERT_EQ(0, flush_tlb());
		ASSERT_EQ(0, smaps_kib(0, p->addr, "Referenced"));
		if (used)
			pages_read(p, 99);
		ASSERT_EQ(used, smaps_kib(0, p->addr, "Referenced"));
		ASSERT_CLEAN(go(p, turn % 2 ? self->a : self->b, turn / 2));
		EXPECT_EQ(used, smaps_kib(0, p->addr, "Referenced"));
		EXPECT_CLEAN(relocate_verify(p, "used or not"));
	}
}

#define EXPECT_CLEAN_AND_FREE(p) do {					\
	EXPECT_EQ(0, smaps_kib(0, (p)->addr, "Private_Dirty"));		\
	EXPECT_EQ(KIB, smaps_kib(0, (p)->addr, "Private_Clean"));	\
	EXPECT_EQ(KIB, smaps_kib(0, (p)->addr, "LazyFree"));		\
} while (0)

/* Given up by MADV_FREE it is clean, and is only kept once it is written. */
TEST_F(thp_bits, clean)
{
	struct pages *p = &self->pages;

	EXPECT_EQ(KIB, smaps_kib(0, p->addr, "Private_Dirty"));
	ASSERT_EQ(0, madvise(p->addr, THP_BYTES, MADV_FREE));
	ASSERT_EQ(0, relocate_drain());
	EXPECT_CLEAN_AND_FREE(p);
	ASSERT_CLEAN(go(p, self->b, false));
	EXPECT_CLEAN_AND_FREE(p);
	EXPECT_CLEAN(relocate_verify(p, "a huge page given up"));
	ASSERT_CLEAN(go(p, self->a, true));
	EXPECT_CLEAN_AND_FREE(p);
	EXPECT_CLEAN(relocate_verify(p, "and back"));

	pages_write(p, 5);
	EXPECT_EQ(KIB, smaps_kib(0, p->addr, "Private_Dirty"));
	EXPECT_EQ(0, smaps_kib(0, p->addr, "LazyFree"));
	ASSERT_CLEAN(go(p, self->b, false));
	EXPECT_EQ(KIB, smaps_kib(0, p->addr, "Private_Dirty"));
	EXPECT_EQ(0, smaps_kib(0, p->addr, "LazyFree"));
	EXPECT_CLEAN(relocate_verify(p, "written since"));
	EXPECT_EQ(KIB, smaps_kib(0, p->addr, "AnonHugePages"));
}

TEST_HARNESS_MAIN
