// SPDX-License-Identifier: GPL-2.0-only
/*
 * Flags that pages of a file have and few others: PG_mappedtodisk, which
 * spares a write from asking for the blocks, and PG_readahead, at which the
 * next read goes on to read ahead. Both go along (folio_migrate_flags(),
 * mm/migrate.c, 6.12); the latter shares its bit with PG_reclaim.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, BLK_DEV_RAM, EXT4_FS]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   quick:
 *     - page_flags.read_ahead
 *   contract: {10: ["*"], 12: ["*"]}
 *   covers:
 *     - {cases: "page_flags.*", interface: [move_pages-set, mbind-move-strict],
 *        backing: [file-clean], condition: [quiet]}
 */
#include "harness.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <linux/kernel-page-flags.h>

#include "disk.h"
#include "nodes.h"
#include "pattern.h"
#include "proc.h"
#include "relocate.h"
#include "scene.h"

#define COUNT		32
#define BYTES		(COUNT * PAGE_BYTES)

/* Told to user space by number alone (include/linux/kernel-page-flags.h). */
#define KPF_MAPPEDTODISK	34

FIXTURE(page_flags)
{
	int a;
	int b;
	int fd;
	struct pages pages;
};

/* A file on the disk with nothing of it in memory. */
FIXTURE_SETUP(page_flags)
{
	struct pages *p = &self->pages;
	char page[PAGE_BYTES];
	void *addr;
	int i;

	FIND_TWO_NODES(self, return);
	self->fd = disk_file(BYTES);
	ASSERT_LE(0, self->fd);
	addr = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, addr);
	/* Or the fault that maps the marked page reads on and takes the mark. */
	ASSERT_EQ(0, madvise(addr, BYTES, MADV_RANDOM));
	ASSERT_EQ(0, pages_over(p, addr, COUNT));
	for (i = 0; i < COUNT; i++) {
		pattern_fill(page, p->seed, i);
		ASSERT_EQ(PAGE_BYTES, pwrite(self->fd, page, PAGE_BYTES,
					     i * PAGE_BYTES));
	}
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, relocate_drain());
	ASSERT_EQ(0, posix_fadvise(self->fd, 0, 0, POSIX_FADV_DONTNEED));
	ASSERT_CLEAN(pages_snapshot(p));
}

FIXTURE_TEARDOWN(page_flags)
{
	munmap(self->pages.addr, BYTES);
	close(self->fd);
	disk_end();
}

/* Which of the pages have the flag, as a mask. */
static unsigned long with(const struct pages *p, int flag)
{
	unsigned long mask = 0;
	int i;

	for (i = 0; i < COUNT; i++)
		mask |= (p->now[i].kflags >> flag & 1) << i;
	return mask;
}

/*
 * Have the first page read, on node a, and map what came with it: the marked
 * page and some more. How many.
 */
static int read_first(struct pages *p, int fd, int node)
{
	unsigned char there[COUNT];
	int i, count = 0;
	char byte;

	if (numa_set_mempolicy(MPOL_BIND, NODE(node)) ||
	    pread(fd, &byte, 1, 0) != 1 || mincore(p->addr, BYTES, there))
		return -1;
	for (i = 0; i < COUNT; i++) {
		if (!(there[i] & 1))
			continue;
		pages_read(p, i);
		pages_want(p, i, 1, node);
		count++;
	}
	return numa_set_mempolicy(MPOL_DEFAULT, 0) ? -1 : count;
}

#define EXPECT_KEPT(flag) do {						\
	struct pages *p = &self->pages;					\
	unsigned long want = with(p, flag);				\
									\
	ASSERT_NE(0, want);						\
	EXPECT_CLEAN(relocate_to(p, self->b, "pages of a file"));	\
	EXPECT_EQ(want, with(p, flag));					\
	EXPECT_CLEAN(relocate_to_by_mbind(p, self->a, "and back"));	\
	EXPECT_EQ(want, with(p, flag));					\
} while (0)

TEST_F(page_flags, read_ahead)
{
	struct pages *p = &self->pages;

	ASSERT_LE(2, read_first(p, self->fd, self->a));
	ASSERT_EQ(0, relocate_drain());
	ASSERT_CLEAN(pages_snapshot(p));
	/* One marked page, which is not the one that was asked for. */
	ASSERT_EQ(1, __builtin_popcountl(with(p, KPF_RECLAIM)));
	ASSERT_EQ(0, with(p, KPF_RECLAIM) & 1);
	EXPECT_KEPT(KPF_RECLAIM);
}

TEST_F(page_flags, mapped_to_disk)
{
	struct pages *p = &self->pages;
	int i;

	ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(self->a)));
	for (i = 0; i < COUNT; i++)
		pages_read(p, i);
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_DEFAULT, 0));
	pages_want_all(p, self->a);
	ASSERT_EQ(0, relocate_drain());
	ASSERT_CLEAN(pages_snapshot(p));
	/* Read whole from blocks that follow on each other. */
	ASSERT_EQ(COUNT, __builtin_popcountl(with(p, KPF_MAPPEDTODISK)));
	EXPECT_KEPT(KPF_MAPPEDTODISK);
}

/* No flag that a page had not: neither of the two, nor others of a file. */
TEST_F(page_flags, none_is_gained)
{
	static const int flags[] = {
		KPF_RECLAIM, KPF_DIRTY, KPF_WRITEBACK, KPF_ERROR, KPF_SWAPCACHE,
		KPF_SWAPBACKED, KPF_ANON, KPF_UNEVICTABLE, KPF_ACTIVE,
	};
	struct pages *p = &self->pages;
	unsigned int i;

	ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(self->a)));
	for (i = 0; i < COUNT; i++)
		pages_read(p, i);
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_DEFAULT, 0));
	pages_want_all(p, self->a);
	ASSERT_EQ(0, relocate_drain());
	EXPECT_CLEAN(relocate_to(p, self->b, "pages of a file"));
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		TH_LOG("flag %d", flags[i]);
		EXPECT_EQ(0, with(p, flags[i]));
	}
}

TEST_HARNESS_MAIN
