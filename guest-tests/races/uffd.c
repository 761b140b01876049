// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that are registered with userfaultfd(2) move while another thread
 * fills them (UFFDIO_COPY), protects them from writes (UFFDIO_WRITEPROTECT) and
 * moves them to other addresses (UFFDIO_MOVE, since 6.8: adef440691ba
 * ("userfaultfd: UFFDIO_MOVE uABI")). The protection is a bit of each entry,
 * in a migration entry, too (pte_swp_uffd_wp() in change_pte_range(),
 * mm/mprotect.c, and remove_migration_pte(), mm/migrate.c, 6.12): none may be
 * lost, and none made up.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, USERFAULTFD, ADVISE_SYSCALLS]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {14: ["uffd.*"], 10: ["uffd.write_protect"]}
 *   covers:
 *     - {cases: "uffd.*", interface: [move_pages-set], backing:
 *        [uffd-registered], condition: [writer]}
 */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <linux/userfaultfd.h>

#include "harness.h"

#include "deadline.h"
#include "kernel.h"
#include "metric.h"
#include "pagemap.h"
#include "pattern.h"
#include "race_pages.h"

#define COUNT		32
#define ROUNDS		60
#define MOVE_DEADLINE_US	2e6

/* Of <linux/userfaultfd.h> since 6.8. */
struct uffd_move {
	uint64_t dst;
	uint64_t src;
	uint64_t len;
	uint64_t mode;
	int64_t moved;
};

#define UFFD_MOVE	_IOWR(UFFDIO, 0x05, struct uffd_move)

FIXTURE(uffd)
{
	struct contest contest;
};

/* Of the case: the descriptor, and a range to move the pages to. */
static int uffd;
static struct pages away;

FIXTURE_SETUP(uffd)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct contest *c = &self->contest;

	if (contest_nodes(c))
		SKIP(return, "needs 2 nodes with memory");
	ASSERT_EQ(0, pages_map(&c->pages, COUNT, MAP_PRIVATE));
	ASSERT_EQ(0, pages_map(&away, COUNT, MAP_PRIVATE));
	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	ASSERT_LE(0, uffd);
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_API, &api));
}

/* Mappings, descriptors and threads end with the test's process. */
FIXTURE_TEARDOWN(uffd)
{
}

/* After the first content is there: that is faulted in as usual. */
static int register_range(const struct pages *p, int mode)
{
	struct uffdio_register range = {
		.range = {
			.start = (unsigned long)p->addr,
			.len = COUNT * PAGE_BYTES,
		},
		.mode = mode,
	};

	return ioctl(uffd, UFFDIO_REGISTER, &range);
}

static void throw_and_copy(void *contest, int round)
{
	static char content[4096];
	struct contest *c = contest;
	struct pages *p = &c->pages;
	struct uffdio_copy copy = {
		.src = (unsigned long)content,
		.len = PAGE_BYTES,
	};
	long i;

	for (i = round % 2; i < COUNT; i += 2) {
		pattern_fill(content, p->seed, i);
		madvise(pages_at(p, i), PAGE_BYTES, MADV_DONTNEED);
		copy.dst = (unsigned long)pages_at(p, i);
		if (ioctl(uffd, UFFDIO_COPY, &copy))
			c->wrong = "UFFDIO_COPY failed";
		/* Never faulted in as zeroes: there is no other copy of it. */
		if (pattern_check(pages_at(p, i), p->seed, i) >= 0)
			c->wrong = "what was copied in is not there";
		c->acted++;
	}
}

/* Races begin with contest_begin(), so the range is registered after it. */
#define RUN(the_rival, the_judge, mode) do {				\
	struct race race = {						\
		.mover = contest_move,					\
		.rival = the_rival,					\
		.judge = the_judge,					\
		.arg = &self->contest,					\
		.rounds = ROUNDS,					\
	};								\
									\
	ASSERT_EQ(0, contest_begin(&self->contest));			\
	ASSERT_EQ(0, register_range(&self->contest.pages, mode));	\
	ASSERT_CLEAN(race_run(&race));					\
	EXPECT_CLEAN(contest_end(&self->contest));			\
} while (0)

TEST_F(uffd, copy)
{
	self->contest.replaces = true;
	RUN(throw_and_copy, contest_judge, UFFDIO_REGISTER_MODE_MISSING);
}

/* On in even rounds, off in odd ones. */
static void write_protect(void *contest, int round)
{
	struct contest *c = contest;
	struct uffdio_writeprotect range = {
		.range = {
			.start = (unsigned long)c->pages.addr,
			.len = COUNT * PAGE_BYTES,
		},
		.mode = round % 2 ? 0 : UFFDIO_WRITEPROTECT_MODE_WP,
	};

	if (ioctl(uffd, UFFDIO_WRITEPROTECT, &range))
		c->wrong = "UFFDIO_WRITEPROTECT failed";
	c->acted++;
}

static const char *judge_protection(void *contest, int round)
{
	struct contest *c = contest;
	uint64_t entries[COUNT];
	long i;

	if (pagemap_read(0, c->pages.addr, COUNT, entries))
		return "cannot read pagemap";
	for (i = 0; i < COUNT; i++)
		if (!(entries[i] & PM_UFFD_WP) != !!(round % 2))
			c->wrong = "a page does not know its protection";
	return contest_judge(c, round);
}

TEST_F(uffd, write_protect)
{
	RUN(write_protect, judge_protection, UFFDIO_REGISTER_MODE_WP);
}

/*
 * A page that is under migration or isolated at the moment is refused with
 * EAGAIN or EBUSY (move_pages_pte() in mm/userfaultfd.c, 6.12), for the caller
 * to come again, as ioctl_userfaultfd(2) says.
 */
static int move_page(const struct pages *to, const struct pages *from, long i)
{
	double deadline = deadline_after_us(MOVE_DEADLINE_US);
	struct uffd_move move = {
		.dst = (unsigned long)pages_at(to, i),
		.src = (unsigned long)pages_at(from, i),
		.len = PAGE_BYTES,
	};

	while (ioctl(uffd, UFFD_MOVE, &move)) {
		if ((errno != EAGAIN && errno != EBUSY) ||
		    metric_now_us() > deadline)
			return -errno;
	}
	return 0;
}

static void move_away_and_back(void *contest, int round)
{
	struct contest *c = contest;
	struct pages *p = &c->pages;
	long i;

	for (i = round % 2; i < COUNT; i += 2) {
		if (move_page(&away, p, i))
			c->wrong = "UFFDIO_MOVE to the other place failed";
		else if (pattern_check(pages_at(&away, i), p->seed, i) >= 0)
			c->wrong = "content is wrong at the other place";
		else if (move_page(p, &away, i))
			c->wrong = "UFFDIO_MOVE back failed";
		if (c->wrong)
			return;
		c->acted++;
	}
}

TEST_F(uffd, move)
{
	if (kernel_before(6, 8)) {
		ASSERT_EQ(0, contest_begin(&self->contest));
		EXPECT_EQ(-EINVAL, move_page(&away, &self->contest.pages, 0));
		return;
	}
	ASSERT_EQ(0, register_range(&away, UFFDIO_REGISTER_MODE_MISSING));
	RUN(move_away_and_back, contest_judge, UFFDIO_REGISTER_MODE_MISSING);
}

TEST_HARNESS_MAIN
