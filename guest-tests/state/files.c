// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages of the page cache of a disk: dirty ones stay dirty until they are
 * written, and then it is the new frame that is written; clean ones stay
 * clean. Buffers go along (buffer_migrate_folio(), mm/migrate.c), and the
 * accounts of dirty pages by node, too (__folio_migrate_mapping()).
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, BLK_DEV_RAM, EXT4_FS]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {10: ["files.*dirty*", "files.clean*"], 12: ["*"]}
 *   covers:
 *     - {cases: "files.dirty*", interface: [move_pages-set, mbind-move-strict],
 *        backing: [file-dirty], condition: [quiet]}
 *     - {cases: "files.clean_stays_clean",
 *        interface: [move_pages-set, mbind-move-strict],
 *        backing: [file-clean], condition: [quiet]}
 *     - {cases: "files.copies_among_pages",
 *        interface: [move_pages-set, mbind-move-strict], backing: [file-cow],
 *        condition: [quiet]}
 *     - {cases: "files.seen_by_another_process",
 *        interface: [move_pages-set, mbind-move-all],
 *        backing: [file-shared], condition: [quiet]}
 */
#include "harness.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <linux/kernel-page-flags.h>

#include "chores.h"
#include "disk.h"
#include "holder.h"
#include "node_stat.h"
#include "pattern.h"
#include "proc.h"
#include "relocate.h"
#include "scene.h"
#include "smaps.h"

#define COUNT		32
#define KIB		(COUNT * 4)

/* The page has buffers; not told to user space by its name. */
#define KPF_PRIVATE	35

FIXTURE(files)
{
	int a;
	int b;
	int fd;
	long dirty_a;
	long dirty_b;
	struct pages pages;
};

/* A file on the disk and clean pages of it on node a, mapped shared. */
FIXTURE_SETUP(files)
{
	struct pages *p = &self->pages;
	void *addr;

	FIND_TWO_NODES(self, return);
	self->fd = disk_file(COUNT * PAGE_BYTES);
	ASSERT_LE(0, self->fd);
	addr = mmap(NULL, COUNT * PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, addr);
	ASSERT_EQ(0, pages_over(p, addr, COUNT));
	pages_want_all(p, self->a);
	ASSERT_EQ(0, pages_populate(p));
	/* Of the file system itself nothing is to be left over either. */
	sync();
	ASSERT_EQ(0, relocate_drain());
	ASSERT_EQ(0, pages_bad(p));
	ASSERT_CLEAN(pages_snapshot(p));
	self->dirty_a = node_stat(self->a, "nr_dirty");
	self->dirty_b = node_stat(self->b, "nr_dirty");
}

FIXTURE_TEARDOWN(files)
{
	munmap(self->pages.addr, COUNT * PAGE_BYTES);
	close(self->fd);
	disk_end();
}

static int pages_with(const struct pages *p, uint64_t flag)
{
	int i, with = 0;

	for (i = 0; i < COUNT; i++)
		with += p->now[i].kflags >> flag & 1;
	return with;
}

/* The same as disk_bad(), by read(2): as the page cache has it. */
static int bad_in_cache(int fd, uint64_t seed)
{
	char page[PAGE_BYTES];
	int i, bad = 0;

	for (i = 0; i < COUNT; i++)
		bad += pread(fd, page, PAGE_BYTES, i * PAGE_BYTES) !=
		       (ssize_t)PAGE_BYTES ||
		       pattern_check(page, seed, i) >= 0;
	return bad;
}

static void write_anew(struct pages *p)
{
	int i;

	p->seed++;
	for (i = 0; i < COUNT; i++)
		pattern_fill(pages_at(p, i), p->seed, i);
}

/* The inode and the map of blocks may be dirty, too: a page or two of them. */
#define METADATA	2

#define EXPECT_ABOUT(pages, more) do {					\
	long is = more;							\
									\
	EXPECT_LE(pages, is);						\
	EXPECT_GE((pages) + METADATA, is);				\
} while (0)

#define EXPECT_DIRTY(on_a, on_b) do {					\
	EXPECT_ABOUT(on_a, node_stat(self->a, "nr_dirty") - self->dirty_a);\
	EXPECT_ABOUT(on_b, node_stat(self->b, "nr_dirty") - self->dirty_b);\
} while (0)

TEST_F(files, dirty_is_written_later)
{
	struct pages *p = &self->pages;
	long written = system_stat("nr_written");

	write_anew(p);
	EXPECT_DIRTY(COUNT, 0);
	EXPECT_CLEAN(relocate_to(p, self->b, "dirty file pages"));
	EXPECT_EQ(COUNT, pages_with(p, KPF_DIRTY));
	EXPECT_DIRTY(0, COUNT);
	EXPECT_CLEAN(relocate_to_by_mbind(p, self->a, "and back"));
	EXPECT_DIRTY(COUNT, 0);
	EXPECT_CLEAN(relocate_to(p, self->b, "and there again"));
	/* Nothing has been written yet: a move is not a write. */
	EXPECT_EQ(written, system_stat("nr_written"));
	ASSERT_EQ(0, fsync(self->fd));
	EXPECT_LE(written + COUNT, system_stat("nr_written"));
	EXPECT_EQ(0, disk_bad(self->fd, p->seed, COUNT));
}

TEST_F(files, dirty_then_synced)
{
	struct pages *p = &self->pages;

	write_anew(p);
	EXPECT_CLEAN(relocate_to(p, self->b, "dirty file pages"));
	EXPECT_EQ(COUNT, pages_with(p, KPF_DIRTY));
	EXPECT_EQ(0, bad_in_cache(self->fd, p->seed));
	ASSERT_EQ(0, fsync(self->fd));
	EXPECT_EQ(0, disk_bad(self->fd, p->seed, COUNT));
	EXPECT_DIRTY(0, 0);
	ASSERT_CLEAN(pages_snapshot(p));
	EXPECT_EQ(0, pages_with(p, KPF_DIRTY));

	/* And it gets dirty by a write to the new frame, and is cleaned. */
	write_anew(p);
	EXPECT_DIRTY(0, COUNT);
	ASSERT_EQ(0, fsync(self->fd));
	EXPECT_EQ(0, disk_bad(self->fd, p->seed, COUNT));
}

/* What is dropped from memory is read back from the disk as it was. */
TEST_F(files, dirty_then_dropped)
{
	struct pages *p = &self->pages;
	int i;

	write_anew(p);
	EXPECT_CLEAN(relocate_to(p, self->b, "dirty file pages"));
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, madvise(p->addr, COUNT * PAGE_BYTES, MADV_DONTNEED));
	ASSERT_EQ(0, posix_fadvise(self->fd, 0, 0, POSIX_FADV_DONTNEED));
	ASSERT_EQ(0, proc_write("/proc/sys/vm/drop_caches", "1"));
	pages_want_all(p, UNTOUCHED);
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(self->a)));
	for (i = 0; i < COUNT; i++)
		pages_read(p, i);
	pages_want_all(p, self->a);
	/* From node a, so these are not the frames that were dropped. */
	EXPECT_CLEAN(pages_verify(p, "read back from the disk"));
}

/* write(2) and read(2) through buffers that went along with the page. */
TEST_F(files, written_by_call)
{
	struct pages *p = &self->pages;
	char page[PAGE_BYTES];
	int i;

	EXPECT_CLEAN(relocate_to(p, self->b, "clean file pages"));
	/* The file system's blocks are smaller: a page has buffers. */
	EXPECT_EQ(COUNT, pages_with(p, KPF_PRIVATE));
	p->seed++;
	for (i = 0; i < COUNT; i++) {
		pattern_fill(page, p->seed, i);
		ASSERT_EQ(PAGE_BYTES, pwrite(self->fd, page, PAGE_BYTES,
					     i * PAGE_BYTES));
	}
	EXPECT_EQ(0, pages_bad(p));
	EXPECT_CLEAN(relocate_to_by_mbind(p, self->a, "written by write(2)"));
	EXPECT_EQ(COUNT, pages_with(p, KPF_DIRTY));
	EXPECT_EQ(COUNT, pages_with(p, KPF_PRIVATE));
	ASSERT_EQ(0, fsync(self->fd));
	EXPECT_EQ(0, disk_bad(self->fd, p->seed, COUNT));
	EXPECT_EQ(0, bad_in_cache(self->fd, p->seed));
}

TEST_F(files, clean_stays_clean)
{
	struct pages *p = &self->pages;
	long written = system_stat("nr_written");

	EXPECT_EQ(0, pages_with(p, KPF_DIRTY));
	EXPECT_CLEAN(relocate_to(p, self->b, "clean file pages"));
	EXPECT_CLEAN(relocate_to_by_mbind(p, self->a, "and back"));
	EXPECT_EQ(0, pages_with(p, KPF_DIRTY));
	EXPECT_DIRTY(0, 0);
	EXPECT_EQ(0, smaps_kib(0, p->addr, "Private_Dirty"));
	EXPECT_EQ(0, smaps_kib(0, p->addr, "Shared_Dirty"));
	EXPECT_EQ(KIB, smaps_kib(0, p->addr, "Rss"));
	ASSERT_EQ(0, fsync(self->fd));
	EXPECT_EQ(written, system_stat("nr_written"));
	EXPECT_EQ(0, disk_bad(self->fd, p->seed, COUNT));
}

/* Of a private mapping the copies move as what they are, anonymous pages. */
TEST_F(files, copies_among_pages)
{
	struct pages *p = &self->pages;
	const uint64_t seed = p->seed;
	void *shared = p->addr, *addr;
	int i;

	ASSERT_EQ(0, munmap(shared, COUNT * PAGE_BYTES));
	addr = mmap(NULL, COUNT * PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE, self->fd, 0);
	ASSERT_NE(MAP_FAILED, addr);
	ASSERT_EQ(0, pages_over(p, addr, COUNT));
	p->seed = seed;
	pages_want_all(p, self->a);
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(self->a)));
	ASSERT_EQ(0, pages_bad(p));
	for (i = 0; i < COUNT; i += 2)
		pages_write(p, i);
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(COUNT / 2, pages_with(p, KPF_ANON));
	EXPECT_CLEAN(relocate_to(p, self->b, "copies among file pages"));
	EXPECT_EQ(COUNT / 2, pages_with(p, KPF_ANON));
	EXPECT_EQ(COUNT / 2 * 4, smaps_kib(0, addr, "Anonymous"));
	EXPECT_CLEAN(relocate_to_by_mbind(p, self->a, "and back"));

	/* A write to a copy is private, one to the file shows in the rest. */
	write_anew(p);
	EXPECT_EQ(0, bad_in_cache(self->fd, seed));
	EXPECT_DIRTY(0, 0);
	EXPECT_EQ(0, disk_bad(self->fd, seed, COUNT));
	EXPECT_EQ(0, pages_bad(p));
}

/* Called in a holder. */

static long write_new(struct pages *p)
{
	write_anew(p);
	return 0;
}

/* One page cache for all: what a process writes after the move, all see. */
TEST_F(files, seen_by_another_process)
{
	struct pages *p = &self->pages;
	struct holder holder;

	ASSERT_EQ(0, holder_start(&holder, p, chore_look));
	EXPECT_CLEAN(relocate_all_to(p, self->b, "mapped by two"));
	EXPECT_CLEAN(pages_shared_with(p, holder.peer.pid));
	EXPECT_CLEAN(relocate_all_to_by_mbind(p, self->a, "and back"));
	EXPECT_CLEAN(pages_shared_with(p, holder.peer.pid));
	ASSERT_EQ(0, holder_call(&holder, write_new));
	p->seed++;
	EXPECT_EQ(0, pages_bad(p));
	EXPECT_EQ(0, bad_in_cache(self->fd, p->seed));
	EXPECT_DIRTY(COUNT, 0);
	ASSERT_EQ(0, fsync(self->fd));
	EXPECT_EQ(0, disk_bad(self->fd, p->seed, COUNT));
	EXPECT_EQ(0, holder_end(&holder));
}

TEST_HARNESS_MAIN
