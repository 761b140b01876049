// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page cache of a block device, whose buffers a file system may hold at
 * any time: buffer_migrate_folio_norefs() in mm/migrate.c moves a page only
 * if nobody has a reference to a buffer of it.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, BLK_DEV_RAM, EXT4_FS]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {12: ["*"]}
 *   covers:
 *     - {cases: "block_device.*",
 *        interface: [move_pages-set, mbind-move-strict],
 *        backing: [file-shared], condition: [quiet]}
 */
#include "harness.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "counters.h"
#include "disk.h"
#include "pagemap.h"
#include "pattern.h"
#include "relocate.h"
#include "scene.h"

#define COUNT		16
#define DISK		"/dev/ram1"

FIXTURE(block_device)
{
	int a;
	int b;
	struct pages pages;
	struct counters before;
};

FIXTURE_SETUP(block_device)
{
	FIND_TWO_NODES(self, return);
}

FIXTURE_TEARDOWN(block_device)
{
}

/* The beginning of @disk, mapped shared, over @p; the fd or -1. */
static int map_disk(struct pages *p, const char *disk)
{
	int fd = open(disk, O_RDWR | O_CLOEXEC);
	void *addr;

	if (fd < 0)
		return -1;
	addr = mmap(NULL, COUNT * PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_SHARED, fd, 0);
	if (addr == MAP_FAILED || pages_over(p, addr, COUNT)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Dirty, moved, written: the disk has it. */
TEST_F(block_device, dirty_moves)
{
	struct pages *p = &self->pages;
	int fd = map_disk(p, DISK), i;

	ASSERT_LE(0, fd);
	pages_want_all(p, self->a);
	ASSERT_EQ(0, pages_populate(p));
	EXPECT_CLEAN(relocate_to(p, self->b, "dirty pages of a disk"));
	ASSERT_EQ(0, fsync(fd));
	EXPECT_EQ(0, disk_bad(fd, p->seed, COUNT));
	EXPECT_CLEAN(relocate_to_by_mbind(p, self->a, "clean, and back"));
	p->seed++;
	for (i = 0; i < COUNT; i++)
		pattern_fill(pages_at(p, i), p->seed, i);
	ASSERT_EQ(0, fsync(fd));
	EXPECT_EQ(0, disk_bad(fd, p->seed, COUNT));
	close(fd);
}

/*
 * The super block of a mounted file system is in a buffer that is held as long
 * as it is mounted: the page stays, and that is told. Unmounted, it moves.
 */
TEST_F(block_device, held_by_a_file_system)
{
	struct pages *p = &self->pages;
	int to = -1, status, fd, file, want;
	char content[PAGE_BYTES];
	uint64_t was, now;
	void *addr;

	file = disk_file(PAGE_BYTES);
	ASSERT_LE(0, file);
	close(file);
	sync();
	fd = map_disk(p, "/dev/ram0");
	ASSERT_LE(0, fd);
	/* At byte 1024, in the first page; wherever it has come to be. */
	addr = pages_at(p, 0);
	pages_read(p, 0);
	ASSERT_EQ(0, pagemap_read(0, addr, 1, &was));
	ASSERT_EQ(0, placement_query(0, addr, 1, &status));
	to = status == self->a ? self->b : self->a;
	want = status;
	ASSERT_EQ(0, relocate_drain());
	ASSERT_EQ(0, counters_read(&self->before));
	EXPECT_EQ(1, numa_move_pages(0, 1, &addr, &to, &status, MPOL_MF_MOVE));
	EXPECT_EQ(-EIO, numa_mbind(addr, PAGE_BYTES, MPOL_BIND, NODE(to),
				   MPOL_MF_MOVE | MPOL_MF_STRICT));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 2));
	ASSERT_EQ(0, placement_query(0, addr, 1, &status));
	EXPECT_EQ(want, status);
	/* Of its content nothing is to be said: the file system may write it. */
	ASSERT_EQ(0, pagemap_read(0, addr, 1, &now));
	EXPECT_EQ(pagemap_pfn(was), pagemap_pfn(now));

	disk_end();
	ASSERT_EQ(0, relocate_drain());
	ASSERT_EQ(0, counters_read(&self->before));
	memcpy(content, addr, PAGE_BYTES);
	EXPECT_EQ(0, numa_move_pages(0, 1, &addr, &to, &status, MPOL_MF_MOVE));
	EXPECT_EQ(to, status);
	EXPECT_CLEAN(counters_verify(&self->before, 1, 0));
	EXPECT_EQ(0, memcmp(content, addr, PAGE_BYTES));
	ASSERT_EQ(0, placement_query(0, addr, 1, &status));
	EXPECT_EQ(to, status);
	close(fd);
}

TEST_HARNESS_MAIN
