// SPDX-License-Identifier: GPL-2.0-only
/*
 * Huge pages on their way to another node, of anonymous memory and of
 * hugetlbfs: who forks, protects, unmaps or moves the mapping meanwhile finds
 * one migration entry for all of it (copy_huge_pmd(), change_huge_pmd(),
 * zap_huge_pmd(), move_huge_pmd() and __split_huge_pmd_locked() in
 * mm/huge_memory.c; copy_hugetlb_page_range() and hugetlb_change_protection()
 * in mm/hugetlb.c, 6.12). What it has changed is what the page is mapped with
 * when it has arrived.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, TRANSPARENT_HUGEPAGE,
 *             HUGETLBFS]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {14: ["*"], 10: ["*.protect*"]}
 */
#include "harness.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "hugetlb.h"
#include "nodes.h"
#include "pagemap.h"
#include "pattern.h"
#include "peer.h"
#include "placement.h"
#include "proc.h"
#include "race.h"
#include "relocate.h"
#include "smaps.h"
#include "thp.h"

#define COUNT		THP_PAGES
#define BYTES		THP_BYTES
#define ROUNDS		40
#define MAX_LOOKS	2000
/* The page that is protected apart from the others. */
#define PART		5

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

FIXTURE(huge_entries)
{
	int node[2];
	bool hugetlb;
	int zero;		/* to have the kernel write by */
	char *spare;		/* as much room, for mremap(2) */
	struct pages pages;
	struct counters before;
	const char *wrong;	/* what the rival found, NULL if nothing */
	bool read_only;		/* what the rival has made of it */
	bool part_read_only;
	long moved;
};

FIXTURE_VARIANT(huge_entries)
{
	bool hugetlb;
};

FIXTURE_VARIANT_ADD(huge_entries, thp)
{
};

FIXTURE_VARIANT_ADD(huge_entries, hugetlb)
{
	.hugetlb = true,
};

#define SCENE	FIXTURE_DATA(huge_entries)

static char *map_huge(bool hugetlb)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | (hugetlb ? MAP_HUGETLB : 0);
	char *addr = thp_map();

	if (addr == MAP_FAILED || !hugetlb)
		return addr;
	munmap(addr, BYTES);
	return mmap(addr, BYTES, PROT_READ | PROT_WRITE, flags | MAP_FIXED, -1,
		    0);
}

FIXTURE_SETUP(huge_entries)
{
	unsigned long nodes = nodes_with_memory();
	struct pages *p = &self->pages;
	char *addr;
	int i;

	if (nodes_count(nodes) < 2)
		SKIP(return, "needs 2 nodes with memory");
	self->hugetlb = variant->hugetlb;
	for (i = 0; i < 2; i++) {
		self->node[i] = nodes_nth(nodes, i);
		ASSERT_EQ(0, hugetlb_set_pool(self->node[i],
					      variant->hugetlb ? 3 : 0));
	}
	self->zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, self->zero);
	addr = map_huge(variant->hugetlb);
	ASSERT_NE(MAP_FAILED, addr);
	self->spare = thp_map();
	ASSERT_NE(MAP_FAILED, self->spare);
	ASSERT_EQ(0, pages_over(p, addr, COUNT));
	pages_want_all(p, self->node[0]);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_EQ(0, relocate_drain());
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, counters_read(&self->before));
}

FIXTURE_TEARDOWN_PARENT(huge_entries)
{
	EXPECT_EQ(0, hugetlb_set_pool(self->node[0], 0));
	EXPECT_EQ(0, hugetlb_set_pool(self->node[1], 0));
}

/* The mover, and what is true after each round. */

static void move(void *arg, int round)
{
	SCENE *s = arg;
	void *addr = s->pages.addr;
	int node = s->node[(round + 1) % 2], status = -1;
	long result = numa_move_pages(0, 1, &addr, &node, &status,
				      MPOL_MF_MOVE_ALL);

	if (result < 0)
		s->wrong = "move_pages(2) failed";
	s->moved += status == node;
}

/* Whether the kernel may write the page here: a byte that is put back. */
static bool is_writable(SCENE *s, long i)
{
	char *byte = pages_at(&s->pages, i), saved = *byte;

	if (read(s->zero, byte, 1) != 1)
		return false;
	*byte = saved;
	return true;
}

static const char *judge(void *arg, int round)
{
	static char text[128];
	SCENE *s = arg;
	long i;

	if (s->wrong)
		return s->wrong;
	if (pages_bad(&s->pages)) {
		snprintf(text, sizeof(text), "round %d: content lost", round);
		return text;
	}
	for (i = 0; i < COUNT; i += PART) {
		bool wanted = !s->read_only &&
			      !(s->part_read_only && i == PART);

		if (is_writable(s, i) == wanted)
			continue;
		snprintf(text, sizeof(text), "round %d: page %ld is %s", round,
			 i, wanted ? "read-only" : "writable");
		return text;
	}
	return "";
}

/* With nobody else about it is one huge page, and moves as that. */
static const char *end(SCENE *s)
{
	struct pages *p = &s->pages;
	struct relocation r = { s->node[1], MPOL_MF_MOVE, COUNT, !s->hugetlb };
	const char *problem;
	int status;

	if (placement_query(0, p->addr, 1, &status) || status < 0)
		return "it is on no node";
	if (!s->hugetlb && smaps_kib(0, p->addr, "AnonHugePages") != 2048)
		return "no PMD maps it any more";
	pages_want_all(p, status);
	r.node = s->node[status == s->node[1] ? 0 : 1];
	problem = relocate(p, &r);
	return *problem ? problem : relocate_verify(p, "when all was over");
}

#define RACE(the_rival) do {						\
	struct race race = {						\
		.mover = move,						\
		.rival = the_rival,					\
		.judge = judge,						\
		.arg = self,						\
		.rounds = ROUNDS,					\
	};								\
									\
	ASSERT_CLEAN(race_run(&race));					\
	EXPECT_LT(0, self->moved);					\
	EXPECT_CLEAN(race_settled(&self->before));			\
} while (0)

#define MAKE_HUGE() do {							\
	ASSERT_EQ(0, relocate_drain());					\
	if (!variant->hugetlb)						\
		ASSERT_EQ(0, madvise(self->pages.addr, BYTES,		\
				     MADV_COLLAPSE));			\
} while (0)

/* The rivals. */

/*
 * Every other two rounds wait for the migration entry: while the huge page is
 * copied it is not present. In the others they meet as they like.
 */
static void meet(SCENE *s, int round)
{
	uint64_t entry;
	int looks;

	if (round % 4 > 1)
		return;
	for (looks = 0; looks < MAX_LOOKS; looks++)
		if (pagemap_read(0, s->pages.addr, 1, &entry) ||
		    !(entry & PM_PRESENT))
			return;
}

/* What is written after the fork shows on one side only. */
static _Noreturn void be_child(const SCENE *s, struct peer *parent)
{
	long written;

	if (pages_bad(&s->pages) || peer_receive(parent, &written))
		_exit(1);
	_exit(pages_bad(&s->pages) ? 1 : 0);
}

/* The writer gets a copy, of a base page or all of it; then it is huge again. */
static void fork_and_write(void *arg, int round)
{
	SCENE *s = arg;
	uint64_t *word = pages_at(&s->pages, PART);
	struct peer peer;
	pid_t child;

	meet(s, round);
	child = peer_fork(&peer);
	if (child == 0)
		be_child(s, &peer);
	*word ^= 1;
	if (child < 0 || peer_send(&peer, 1) || peer_end(&peer))
		s->wrong = "the child found other content";
	*word ^= 1;
	if (!s->hugetlb)
		madvise(s->pages.addr, BYTES, MADV_COLLAPSE);
}

static void protect(void *arg, int round)
{
	SCENE *s = arg;

	meet(s, round);
	s->read_only = round % 2 == 0;
	if (mprotect(s->pages.addr, BYTES, s->read_only ?
		     PROT_READ : PROT_READ | PROT_WRITE))
		s->wrong = "mprotect(2) failed";
}

static void protect_part(void *arg, int round)
{
	SCENE *s = arg;

	meet(s, round);
	s->part_read_only = round % 2 == 0;
	if (mprotect(pages_at(&s->pages, PART), PAGE_BYTES, s->part_read_only ?
		     PROT_READ : PROT_READ | PROT_WRITE))
		s->wrong = "mprotect(2) failed";
	/* It is refused where the other party has a page of it. */
	if (!s->part_read_only)
		madvise(s->pages.addr, BYTES, MADV_COLLAPSE);
}

static void zap(void *arg, int round)
{
	SCENE *s = arg;
	long i;

	meet(s, round);
	if (madvise(s->pages.addr, BYTES, MADV_DONTNEED))
		s->wrong = "MADV_DONTNEED failed";
	for (i = 0; i < COUNT; i++)
		pattern_fill(pages_at(&s->pages, i), s->pages.seed, i);
}

static void remap(void *arg, int round)
{
	SCENE *s = arg;
	char *to = s->spare;

	meet(s, round);
	if (mremap(s->pages.addr, BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_FIXED,
		   to) != to)
		s->wrong = "mremap(2) failed";
	s->spare = s->pages.addr;
	s->pages.addr = to;
}

TEST_F(huge_entries, fork)
{
	RACE(fork_and_write);
	MAKE_HUGE();
	EXPECT_CLEAN(end(self));
}

TEST_F(huge_entries, protect)
{
	RACE(protect);
	ASSERT_EQ(0, mprotect(self->pages.addr, BYTES, PROT_READ | PROT_WRITE));
	EXPECT_CLEAN(end(self));
}

/* Of anonymous memory alone: hugetlbfs has no parts. */
TEST_F(huge_entries, protect_a_part)
{
	if (variant->hugetlb) {
		EXPECT_EQ(-1, mprotect(pages_at(&self->pages, PART), PAGE_BYTES,
				       PROT_READ));
		EXPECT_EQ(EINVAL, errno);
		EXPECT_CLEAN(end(self));
		return;
	}
	RACE(protect_part);
	ASSERT_EQ(0, mprotect(self->pages.addr, BYTES, PROT_READ | PROT_WRITE));
	MAKE_HUGE();
	EXPECT_CLEAN(end(self));
}

TEST_F(huge_entries, zap)
{
	RACE(zap);
	EXPECT_CLEAN(end(self));
}

TEST_F(huge_entries, remap)
{
	RACE(remap);
	EXPECT_CLEAN(end(self));
}

TEST_HARNESS_MAIN
