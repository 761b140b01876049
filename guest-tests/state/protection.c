// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a mapping allows is what the PTE of the new frame allows: migration
 * makes it anew from vma->vm_page_prot (remove_migration_pte(), mm/migrate.c).
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   quick:
 *     - protection.private.none
 *   contract: {10: ["*"]}
 *   known:
 *     - cases: ["protection.*.none"]
 *       kernels: "<6.5"
 *       why: move_pages(2) takes pages under PROT_NONE for NUMA hints, and
 *         neither finds nor moves them
 *       commit: known-issues/prot-none-not-found.md; mended in 6.5
 *   covers:
 *     - {cases: "protection.private.*",
 *        interface: [move_pages-set, mbind-move-strict],
 *        backing: [anon-private], condition: [quiet]}
 *     - {cases: "protection.shared.*",
 *        interface: [move_pages-set, mbind-move-strict],
 *        backing: [shmem], condition: [quiet]}
 */
#include "harness.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#include "pagemap.h"
#include "relocate.h"
#include "scene.h"

#define COUNT		16

FIXTURE(protection)
{
	int a;
	int b;
	struct pages pages;
};

SHARING_VARIANTS(protection);

FIXTURE_SETUP(protection)
{
	FIND_TWO_NODES(self, return);
	ASSERT_CLEAN(scene_pages(&self->pages, COUNT, variant->sharing,
				 self->a));
}

FIXTURE_TEARDOWN(protection)
{
}

static sigjmp_buf refused;

static void note_refusal(int signal)
{
	(void)signal;
	siglongjmp(refused, 1);
}

/* Pages on which @touch is refused with SIGSEGV. */
static int refusals(struct pages *p,
		    void (*touch)(const struct pages *p, long index))
{
	struct sigaction action = { .sa_handler = note_refusal }, old;
	volatile int i, count = 0;

	sigaction(SIGSEGV, &action, &old);
	for (i = 0; i < COUNT; i++) {
		if (sigsetjmp(refused, 1))
			count++;
		else
			touch(p, i);
	}
	sigaction(SIGSEGV, &old, NULL);
	return count;
}

static int protect(struct pages *p, int protection)
{
	return mprotect(p->addr, COUNT * PAGE_BYTES, protection);
}

TEST_F(protection, read_only)
{
	struct pages *p = &self->pages;

	ASSERT_EQ(0, protect(p, PROT_READ));
	EXPECT_CLEAN(relocate_to(p, self->b, "read-only pages"));
	EXPECT_EQ(COUNT, refusals(p, pages_write));
	EXPECT_EQ(0, refusals(p, pages_read));
	EXPECT_CLEAN(relocate_to_by_mbind(p, self->a, "and back"));
	EXPECT_EQ(COUNT, refusals(p, pages_write));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, protect(p, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, refusals(p, pages_write));
	EXPECT_CLEAN(pages_verify(p, "writable once again"));
}

#define EXPECT_STILL_NONE() do {					\
	EXPECT_EQ(COUNT, refusals(p, pages_read));			\
	EXPECT_EQ(COUNT, refusals(p, pages_write));			\
	ASSERT_EQ(0, protect(p, PROT_READ | PROT_WRITE));		\
	EXPECT_CLEAN(relocate_verify(p, "pages that were PROT_NONE"));	\
	ASSERT_CLEAN(pages_snapshot(p));				\
	EXPECT_EQ(0, refusals(p, pages_write));				\
	EXPECT_CLEAN(pages_verify(p, "writable once again, in place"));	\
} while (0)

/*
 * Pages that nobody may touch are mapped all the same; they move, and stay
 * out of reach.
 */
TEST_F(protection, none)
{
	const struct relocation r = { self->b, MPOL_MF_MOVE, 1, 0 };
	struct pages *p = &self->pages;

	ASSERT_EQ(0, protect(p, PROT_NONE));
	ASSERT_CLEAN(relocate(p, &r));
	EXPECT_STILL_NONE();
}

/* mbind(2) looks pages up in another way (queue_folios_pte_range()). */
TEST_F(protection, none_by_mbind)
{
	const struct relocation r = { self->b, MPOL_MF_MOVE, 1, 0 };
	struct pages *p = &self->pages;

	ASSERT_EQ(0, protect(p, PROT_NONE));
	ASSERT_CLEAN(relocate_unseen_by_mbind(p, &r));
	EXPECT_STILL_NONE();
}

/* Code stays code: it runs on the new frame, and stays read-only. */
TEST_F(protection, executable)
{
	/* mov $42, %eax; ret */
	static const unsigned char code[] = { 0xb8, 42, 0, 0, 0, 0xc3 };
	const struct relocation r = { self->b, MPOL_MF_MOVE, 1, 0 };
	struct pages *p = &self->pages;
	int (*function)(void) = pages_at(p, 3);
	unsigned char was[sizeof(code)];

#ifndef __x86_64__
	SKIP(return, "has code for x86-64 only");
#endif
	memcpy(was, function, sizeof(code));
	memcpy(function, code, sizeof(code));
	ASSERT_EQ(0, protect(p, PROT_READ | PROT_EXEC));
	EXPECT_EQ(42, function());
	ASSERT_CLEAN(relocate(p, &r));
	EXPECT_EQ(42, function());
	EXPECT_EQ(COUNT, refusals(p, pages_write));
	ASSERT_EQ(0, protect(p, PROT_READ | PROT_WRITE));
	memcpy(function, was, sizeof(code));
	EXPECT_CLEAN(relocate_verify(p, "pages with code"));
}

TEST_HARNESS_MAIN
