// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shared memory: tmpfs, memfd and SysV segments. The object owns the pages;
 * all its mappings, and read(2) and write(2), find them where they are now.
 * The accounts by node (nr_shmem) follow (__folio_migrate_mapping()).
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, SHMEM, TMPFS, SYSVIPC]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {12: ["*"]}
 *   covers:
 *     - {cases: "shared_memory.memfd.*",
 *        interface: [move_pages-set, mbind-move-strict, mbind-move-all],
 *        backing: [shmem], condition: [quiet]}
 *     - {cases: "shared_memory.tmpfs.*",
 *        interface: [move_pages-set, mbind-move-strict, mbind-move-all],
 *        backing: [shmem], condition: [quiet]}
 *     - {cases: "shared_memory.sysv.*",
 *        interface: [move_pages-set, mbind-move-strict, mbind-move-all],
 *        backing: [sysv-shm], condition: [quiet]}
 */
#include "harness.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/shm.h>

#include <linux/kernel-page-flags.h>

#include "holder.h"
#include "node_stat.h"
#include "pattern.h"
#include "relocate.h"
#include "scene.h"

#define COUNT		32
#define BYTES		(COUNT * PAGE_BYTES)

enum kind { MEMFD, TMPFS, SYSV };

FIXTURE(shared_memory)
{
	int a;
	int b;
	int object;	/* a descriptor, or the number of a segment */
	long on_a;
	long on_b;
	struct pages pages;
};

FIXTURE_VARIANT(shared_memory)
{
	enum kind kind;
};

FIXTURE_VARIANT_ADD(shared_memory, memfd) { .kind = MEMFD };
FIXTURE_VARIANT_ADD(shared_memory, tmpfs) { .kind = TMPFS };
FIXTURE_VARIANT_ADD(shared_memory, sysv) { .kind = SYSV };

static int make_object(enum kind kind)
{
	int fd;

	if (kind == SYSV)
		return shmget(IPC_PRIVATE, BYTES, IPC_CREAT | 0600);
	fd = kind == MEMFD ? memfd_create("shared_memory", MFD_CLOEXEC) :
	     open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0 && ftruncate(fd, BYTES)) {
		close(fd);
		return -1;
	}
	return fd;
}

static void *map_object(enum kind kind, int object)
{
	if (kind == SYSV)
		return shmat(object, NULL, 0);
	return mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, object,
		    0);
}

static int unmap_object(enum kind kind, void *addr)
{
	return kind == SYSV ? shmdt(addr) : munmap(addr, BYTES);
}

FIXTURE_SETUP(shared_memory)
{
	struct pages *p = &self->pages;
	void *addr;

	FIND_TWO_NODES(self, return);
	self->on_a = node_stat(self->a, "nr_shmem");
	self->on_b = node_stat(self->b, "nr_shmem");
	self->object = make_object(variant->kind);
	ASSERT_LE(0, self->object);
	addr = map_object(variant->kind, self->object);
	ASSERT_NE(MAP_FAILED, addr);
	/* It goes with its last mapping, however this ends. */
	if (variant->kind == SYSV)
		ASSERT_EQ(0, shmctl(self->object, IPC_RMID, NULL));
	ASSERT_EQ(0, pages_over(p, addr, COUNT));
	pages_want_all(p, self->a);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_CLEAN(pages_snapshot(p));
}

FIXTURE_TEARDOWN(shared_memory)
{
}

#define EXPECT_ACCOUNT(at_a, at_b) do {					\
	EXPECT_EQ(at_a, node_stat(self->a, "nr_shmem") - self->on_a);	\
	EXPECT_EQ(at_b, node_stat(self->b, "nr_shmem") - self->on_b);	\
} while (0)

TEST_F(shared_memory, account_by_node)
{
	struct pages *p = &self->pages;

	EXPECT_ACCOUNT(COUNT, 0);
	EXPECT_CLEAN(relocate_to(p, self->b, "shared memory"));
	EXPECT_ACCOUNT(0, COUNT);
	EXPECT_CLEAN(relocate_to_by_mbind(p, self->a, "and back"));
	EXPECT_ACCOUNT(COUNT, 0);
	EXPECT_CLEAN(relocate_to(p, self->b, "and there again"));
	ASSERT_EQ(0, unmap_object(variant->kind, p->addr));
	if (variant->kind != SYSV) {
		/* Unmapped it is still there. */
		EXPECT_ACCOUNT(0, COUNT);
		close(self->object);
	}
	EXPECT_ACCOUNT(0, 0);
}

/* The content of the second mapping, by its own page table. */
static int bad_at(const char *addr, uint64_t seed)
{
	int i, bad = 0;

	for (i = 0; i < COUNT; i++)
		bad += pattern_check(addr + i * PAGE_BYTES, seed, i) >= 0;
	return bad;
}

TEST_F(shared_memory, two_mappings)
{
	struct pages *p = &self->pages;
	char *twin = map_object(variant->kind, self->object);
	int i;

	ASSERT_NE(MAP_FAILED, (void *)twin);
	ASSERT_EQ(0, bad_at(twin, p->seed));
	ASSERT_CLEAN(pages_snapshot(p));
	EXPECT_CLEAN(relocate_all_to(p, self->b, "mapped twice"));
	EXPECT_EQ(0, bad_at(twin, p->seed));
	/* A write through either is seen through the other. */
	p->seed++;
	for (i = 0; i < COUNT; i++)
		pattern_fill(twin + i * PAGE_BYTES, p->seed, i);
	EXPECT_EQ(0, pages_bad(p));
	EXPECT_CLEAN(relocate_all_to_by_mbind(p, self->a, "and back"));
	p->seed++;
	for (i = 0; i < COUNT; i++)
		pattern_fill(pages_at(p, i), p->seed, i);
	EXPECT_EQ(0, bad_at(twin, p->seed));
	EXPECT_ACCOUNT(COUNT, 0);
}

/* Moved, unmapped, and mapped anew: in the place that it was moved to. */
TEST_F(shared_memory, mapped_anew)
{
	struct pages *p = &self->pages;
	const uint64_t seed = p->seed;
	void *keep, *anew;

	/* A segment lives as long as it is attached somewhere. */
	keep = map_object(variant->kind, self->object);
	ASSERT_NE(MAP_FAILED, keep);
	EXPECT_CLEAN(relocate_to(p, self->b, "shared memory"));
	ASSERT_EQ(0, unmap_object(variant->kind, p->addr));
	anew = map_object(variant->kind, self->object);
	ASSERT_NE(MAP_FAILED, anew);
	ASSERT_EQ(0, pages_over(p, anew, COUNT));
	p->seed = seed;
	pages_want_all(p, self->b);
	EXPECT_EQ(0, pages_bad(p));
	EXPECT_CLEAN(pages_snapshot(p));
	EXPECT_ACCOUNT(0, COUNT);
}

/* read(2) and write(2) on the object, and a hole punched into it. */
TEST_F(shared_memory, calls_on_the_file)
{
	struct pages *p = &self->pages;
	char page[PAGE_BYTES];
	int i, bad = 0;

	/* Has no file that a program could open: shm_lock instead. */
	if (variant->kind == SYSV) {
		ASSERT_EQ(0, shmctl(self->object, SHM_LOCK, NULL));
		EXPECT_CLEAN(relocate_to(p, self->b, "a locked segment"));
		ASSERT_EQ(0, shmctl(self->object, SHM_UNLOCK, NULL));
		EXPECT_CLEAN(relocate_to(p, self->a, "an unlocked one"));
		return;
	}
	EXPECT_CLEAN(relocate_to(p, self->b, "shared memory"));
	p->seed++;
	for (i = 0; i < COUNT; i++) {
		pattern_fill(page, p->seed, i);
		ASSERT_EQ(PAGE_BYTES, pwrite(self->object, page, PAGE_BYTES,
					     i * PAGE_BYTES));
	}
	EXPECT_EQ(0, pages_bad(p));
	EXPECT_CLEAN(relocate_to_by_mbind(p, self->a, "written by write(2)"));
	for (i = 0; i < COUNT; i++)
		bad += pread(self->object, page, PAGE_BYTES,
			     i * PAGE_BYTES) != (ssize_t)PAGE_BYTES ||
		       pattern_check(page, p->seed, i) >= 0;
	EXPECT_EQ(0, bad);

	ASSERT_EQ(0, fallocate(self->object,
			       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       8 * PAGE_BYTES, 8 * PAGE_BYTES));
	pages_want(p, 8, 8, UNTOUCHED);
	ASSERT_CLEAN(pages_snapshot(p));
	EXPECT_ACCOUNT(COUNT - 8, 0);
	EXPECT_CLEAN(relocate_to(p, self->b, "around a hole"));
	EXPECT_ACCOUNT(0, COUNT - 8);
}

TEST_HARNESS_MAIN
