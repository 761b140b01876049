// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page cache of a file system that has no way of its own to migrate it: the
 * generic one takes the page if it is clean, and would else have it written
 * (fallback_migrate_folio() and writeout() in mm/migrate.c, 6.12). To ramfs
 * nothing can be written: what the file was given stays where it is, and what
 * was only read, the zeros of a hole, moves. Neither is ever evicted, so both
 * are on the unevictable list.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {10: ["ramfs.*"]}
 *   covers:
 *     - {cases: "ramfs.*", interface: [move_pages-set, mbind-move-strict],
 *        backing: [file-shared], condition: [quiet]}
 */
#include "harness.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include <linux/kernel-page-flags.h>

#include "counters.h"
#include "pagemap.h"
#include "ramfs.h"
#include "relocate.h"
#include "scene.h"

#define COUNT	16
#define BYTES	(COUNT * PAGE_BYTES)

/* What no kernel writes: an entry that still holds it was not written. */
#define UNWRITTEN	-12345

FIXTURE(ramfs)
{
	int a;
	int b;
	int fd;
	struct pages pages;
};

/* A file of a hole, mapped shared. */
FIXTURE_SETUP(ramfs)
{
	struct pages *p = &self->pages;
	void *addr;

	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, ramfs_begin());
	self->fd = open("/tmp/file", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
			0600);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, ftruncate(self->fd, BYTES));
	addr = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd,
		    0);
	ASSERT_NE(MAP_FAILED, addr);
	ASSERT_EQ(0, pages_over(p, addr, COUNT));
	pages_want_all(p, self->a);
}

/* The mount goes with the test's process. */
FIXTURE_TEARDOWN(ramfs)
{
}

/* A pages.check: the zeros of a hole. */
static int check_hole(const void *page, uint64_t seed, uint64_t number)
{
	static const char zeros[4096];

	(void)seed;
	(void)number;
	return memcmp(page, zeros, sizeof(zeros)) ? 0 : -1;
}

/* Read all of it in on @node. 0 or -errno. */
static long read_hole(struct pages *p, int node)
{
	long error = numa_set_mempolicy(MPOL_BIND, NODE(node)), i;

	if (error)
		return error;
	for (i = 0; i < p->count; i++)
		pages_read(p, i);
	p->check = check_hole;
	return numa_set_mempolicy(MPOL_DEFAULT, 0) ? : relocate_drain();
}

/* Pages that read(2) finds otherwise than they are mapped. */
static long bad_in_file(int fd, const struct pages *p)
{
	char page[PAGE_BYTES];
	long i, bad = 0;

	for (i = 0; i < COUNT; i++)
		bad += pread(fd, page, PAGE_BYTES, i * PAGE_BYTES) !=
			       (ssize_t)PAGE_BYTES ||
		       memcmp(page, pages_at(p, i), PAGE_BYTES);
	return bad;
}

static long count_unevictable(const struct pages *p)
{
	uint64_t entry, flags;
	long i, count = 0;

	for (i = 0; i < COUNT; i++) {
		if (pagemap_read(0, pages_at(p, i), 1, &entry) ||
		    kpageflags_read(pagemap_pfn(entry), &flags))
			return -1;
		count += flags >> KPF_UNEVICTABLE & 1;
	}
	return count;
}

TEST_F(ramfs, clean_moves)
{
	struct pages *p = &self->pages;

	ASSERT_EQ(0, read_hole(p, self->a));
	EXPECT_EQ(COUNT, count_unevictable(p));
	EXPECT_CLEAN(relocate_to(p, self->b, "pages that were read"));
	EXPECT_EQ(0, bad_in_file(self->fd, p));
	EXPECT_CLEAN(relocate_to_by_mbind(p, self->a, "and back"));
	EXPECT_EQ(0, bad_in_file(self->fd, p));
	EXPECT_EQ(COUNT, count_unevictable(p));
}

TEST_F(ramfs, written_stays)
{
	struct pages *p = &self->pages;
	struct counters before;
	int nodes[COUNT], status[COUNT];
	void *addrs[COUNT];
	int i;

	ASSERT_EQ(0, pages_populate(p));
	ASSERT_EQ(0, relocate_drain());
	EXPECT_EQ(COUNT, count_unevictable(p));
	ASSERT_CLEAN(pages_snapshot(p));
	for (i = 0; i < COUNT; i++) {
		addrs[i] = pages_at(p, i);
		nodes[i] = self->b;
		status[i] = UNWRITTEN;
	}
	ASSERT_EQ(0, counters_read(&before));
	/* How many did not move; that is all that is told. */
	EXPECT_EQ(COUNT, numa_move_pages(0, COUNT, addrs, nodes, status,
					 MPOL_MF_MOVE));
	for (i = 0; i < COUNT; i++)
		EXPECT_EQ(UNWRITTEN, status[i]);
	EXPECT_CLEAN(counters_verify(&before, 0, COUNT));
	EXPECT_CLEAN(pages_verify(p, "that nobody can write"));

	EXPECT_EQ(-EIO, numa_mbind(p->addr, BYTES, MPOL_BIND, NODE(self->b),
				   MPOL_MF_MOVE | MPOL_MF_STRICT));
	EXPECT_CLEAN(counters_verify(&before, 0, 2 * COUNT));
	EXPECT_CLEAN(pages_verify(p, "nor mbind(2)"));
	EXPECT_EQ(0, bad_in_file(self->fd, p));
	EXPECT_EQ(COUNT, count_unevictable(p));
}

TEST_HARNESS_MAIN
