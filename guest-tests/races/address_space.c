// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages move by move_pages(2) while another thread changes the mapping that
 * they are in: it is taken away, moved to another address, made read-only,
 * locked, thrown away page by page. Each finds migration entries where it
 * expects pages (zap_nonpresent_ptes() and move_ptes() in mm/memory.c and
 * mm/mremap.c, change_pte_range() in mm/mprotect.c, 6.12), and has to leave
 * what remove_migration_pte() can make right.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, ADVISE_SYSCALLS]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {14: ["address_space.*"]}
 *   promises: {addresses-kept: ["address_space.*"]}
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "harness.h"

#include "pagemap.h"
#include "pattern.h"
#include "race_pages.h"
#include "rival.h"
#include "scene.h"

#define COUNT		32
#define ROUNDS		60

FIXTURE(address_space)
{
	struct contest contest;
};

SHARING_VARIANTS(address_space);

FIXTURE_SETUP(address_space)
{
	if (contest_nodes(&self->contest))
		SKIP(return, "needs 2 nodes with memory");
	self->contest.sharing = variant->sharing;
	ASSERT_EQ(0, pages_map(&self->contest.pages, COUNT, variant->sharing));
}

/* Mappings and threads end with the test's process. */
FIXTURE_TEARDOWN(address_space)
{
}

TEST_F(address_space, munmap)
{
	self->contest.replaces = true;
	EXPECT_CLEAN(contest_run(&self->contest, rival_unmap, ROUNDS));
}

TEST_F(address_space, dontneed)
{
	self->contest.replaces = variant->sharing == MAP_PRIVATE;
	EXPECT_CLEAN(contest_run(&self->contest, rival_discard, ROUNDS));
}

TEST_F(address_space, mremap)
{
	EXPECT_CLEAN(contest_run(&self->contest, rival_remap, ROUNDS));
}

/*
 * Read-only in odd rounds: the kernel's own write by way of the page tables
 * tells whether an entry came back writable.
 */
static void protect(void *contest, int round)
{
	struct contest *c = contest;
	struct pages *p = &c->pages;
	int prot = round % 2 ? PROT_READ : PROT_READ | PROT_WRITE;

	if (mprotect(p->addr, p->count * PAGE_BYTES, prot))
		c->wrong = "mprotect(2) failed";
	c->acted++;
}

static const char *judge_protection(void *contest, int round)
{
	struct contest *c = contest;
	struct pages *p = &c->pages;
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	long i, want = round % 2 ? -EFAULT : 1, result;

	for (i = 0; i < p->count; i++) {
		result = kernel_result(read(zero, pages_at(p, i), 1));
		if (result != want)
			c->wrong = "an entry does not have its protection";
		if (result > 0)
			pattern_fill(pages_at(p, i), p->seed, i);
	}
	close(zero);
	return contest_judge(c, round);
}

TEST_F(address_space, mprotect)
{
	struct race race = {
		.rival = protect,
		.judge = judge_protection,
		.rounds = ROUNDS,
	};

	EXPECT_CLEAN(contest_run_race(&self->contest, &race));
}

static void lock_and_unlock(void *contest, int round)
{
	struct contest *c = contest;
	struct pages *p = &c->pages;
	size_t bytes = p->count * PAGE_BYTES;

	if (round % 2 ? munlock(p->addr, bytes) : mlock(p->addr, bytes))
		c->wrong = "mlock(2) or munlock(2) failed";
	c->acted++;
}

static long count_locked(const struct pages *p)
{
	uint64_t entries[COUNT], flags;
	long i, locked = 0;

	if (pagemap_read(0, p->addr, COUNT, entries))
		return -1;
	for (i = 0; i < COUNT; i++) {
		if (kpageflags_read(pagemap_pfn(entries[i]), &flags))
			return -1;
		locked += flags >> KPF_MLOCKED & 1;
	}
	return locked;
}

/*
 * No page stays locked for which nobody wants it. One that mlock(2) finds
 * under migration may miss its mark: mlock_vma_folio() ignores it as long as
 * mlock_vma_pages_range() in mm/mlock.c works, 6.12. Reclaim is to set it
 * then, and so does the next migration.
 */
static const char *judge_locks(void *contest, int round)
{
	struct contest *c = contest;
	long locked = count_locked(&c->pages);

	if (round % 2 && locked)
		c->wrong = "pages stay locked after munlock(2)";
	if (round % 2 == 0 && locked != COUNT) {
		contest_move(c, round + 1);
		contest_move(c, round);
		if (count_locked(&c->pages) != COUNT)
			c->wrong = "pages never get their mark after mlock(2)";
	}
	return contest_judge(c, round);
}

TEST_F(address_space, mlock)
{
	struct race race = {
		.rival = lock_and_unlock,
		.judge = judge_locks,
		.rounds = ROUNDS,
	};

	/* What the judge moves it moves twice: counted, but not seen. */
	self->contest.replaces = true;
	EXPECT_CLEAN(contest_run_race(&self->contest, &race));
}

TEST_HARNESS_MAIN
