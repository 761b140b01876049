// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory cgroups: the charge of page cache goes along as that of anonymous
 * memory does (memcg.c), though no page table of the group may map it: it is
 * the folio's own (mem_cgroup_migrate(), mm/memcontrol.c), and so are the
 * group's counts of what is of a file, mapped, and dirty, which go from node to
 * node (__folio_migrate_mapping(), mm/migrate.c).
 *
 * The files tell what was folded in last, which is done every two seconds at
 * the latest (FLUSH_TIME), so an exact value is waited for.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, MEMCG, BLK_DEV_RAM, EXT4_FS]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {12: ["*"]}
 *   covers:
 *     - {cases: "memcg_file.clean.*", interface: [move_pages-set,
 *        mbind-move-all], backing: [file-shared], condition: [quiet]}
 *     - {cases: "memcg_file.dirty.*", interface: [move_pages-set,
 *        mbind-move-all], backing: [file-dirty], condition: [quiet]}
 *     - {cases: "memcg_file.shmem.*", interface: [move_pages-set,
 *        mbind-move-all], backing: [shmem], condition: [quiet]}
 */
#include "harness.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>

#include "deadline.h"
#include "disk.h"
#include "memcg.h"
#include "metric.h"
#include "node_stat.h"
#include "nodes.h"
#include "pattern.h"
#include "peer.h"
#include "relocate.h"
#include "scene.h"

#define COUNT		256
#define BYTES		((long)(COUNT * PAGE_BYTES))
/* Charged ahead by each CPU (MEMCG_CHARGE_BATCH), and some metadata. */
#define SLACK		((long)(192 * PAGE_BYTES))
/* Inodes, bitmaps and so on are page cache that the group is charged, too. */
#define METADATA	((long)(32 * PAGE_BYTES))
#define DEADLINE_US	15e6

enum kind { CLEAN, DIRTY, SHMEM };

FIXTURE(memcg_file)
{
	int a;
	int b;
	int fd;
	bool has_disk;
	struct memcg group;
	struct pages pages;
};

FIXTURE_VARIANT(memcg_file)
{
	enum kind kind;
	const char *name;	/* of memory.stat */
};

FIXTURE_VARIANT_ADD(memcg_file, clean)
{
	.kind = CLEAN, .name = "file",
};

FIXTURE_VARIANT_ADD(memcg_file, dirty)
{
	.kind = DIRTY, .name = "file_dirty",
};

FIXTURE_VARIANT_ADD(memcg_file, shmem)
{
	.kind = SHMEM, .name = "shmem",
};

/* As a member of the group, so that it is charged: fill the file on @node. */
static long fill_file(int fd, uint64_t seed, int node, bool sync)
{
	char page[PAGE_BYTES];
	long i, error;

	error = memcg_attach(0) ? : numa_set_mempolicy(MPOL_BIND, NODE(node));
	for (i = 0; i < COUNT && !error; i++) {
		pattern_fill(page, seed, i);
		error = pwrite(fd, page, PAGE_BYTES, i * PAGE_BYTES) !=
			(ssize_t)PAGE_BYTES;
	}
	return error || !sync ? error : fsync(fd);
}

/* A process that fills it and ends: what it was charged stays. */
static long fill_by_another(int fd, uint64_t seed, int node, bool sync)
{
	struct peer peer;
	pid_t pid = peer_fork(&peer);

	if (pid < 0)
		return -1;
	if (pid == 0)
		_exit(!!fill_file(fd, seed, node, sync));
	return peer_end(&peer);
}

static int open_file(enum kind kind)
{
	int fd;

	if (kind != SHMEM)
		return disk_file(BYTES);
	fd = memfd_create("memcg", MFD_CLOEXEC);
	return fd < 0 || ftruncate(fd, BYTES) ? -1 : fd;
}

/* The group is left with the page cache alone, which the caller maps. */
FIXTURE_SETUP(memcg_file)
{
	struct pages *p = &self->pages;
	void *addr;
	long error;

	FIND_TWO_NODES(self, return);
	self->has_disk = variant->kind != SHMEM;
	self->fd = open_file(variant->kind);
	ASSERT_LE(0, self->fd);
	addr = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd,
		    0);
	ASSERT_NE(MAP_FAILED, addr);
	ASSERT_EQ(0, pages_over(p, addr, COUNT));
	pages_want_all(p, self->a);
	error = memcg_begin(&self->group) ? :
		fill_by_another(self->fd, p->seed, self->a,
				variant->kind == CLEAN) ? :
		pages_bad(p) ? :
		relocate_drain();
	/* A setup that failed is not torn down. */
	if (error)
		memcg_end(&self->group);
	ASSERT_EQ(0, error);
	ASSERT_CLEAN(pages_snapshot(p));
}

/*
 * In the parent, so that it is done however the test ended; the disk goes with
 * the test's process.
 */
FIXTURE_TEARDOWN_PARENT(memcg_file)
{
	EXPECT_EQ(0, memcg_end(&self->group));
}

/* Wait until the group has on @node from @least on, @more at most; the value */
static long wait_on_node(const char *name, int node, long least, long more)
{
	double deadline = deadline_after_us(DEADLINE_US);
	long value;

	do {
		value = memcg_on_node(name, node);
		if (value >= least && value <= least + more)
			break;
		poll(NULL, 0, 20);
	} while (metric_now_us() < deadline);
	return value;
}

#define EXPECT_ON(on_a, on_b) do {					\
	long more = self->has_disk ? METADATA : 0;			\
	long at_a = wait_on_node(variant->name, self->a, on_a, more);	\
	long at_b = wait_on_node(variant->name, self->b, on_b, more);	\
									\
	EXPECT_LE(on_a, at_a);						\
	EXPECT_GE(on_a + more, at_a);					\
	EXPECT_LE(on_b, at_b);						\
	EXPECT_GE(on_b + more, at_b);					\
} while (0)

TEST_F(memcg_file, charge_goes_along)
{
	struct pages *p = &self->pages;
	long current, mapped;

	EXPECT_ON(BYTES, 0);
	current = memcg_value("memory.current");
	mapped = memcg_field("memory.stat", "file_mapped");
	EXPECT_LE(BYTES, current);
	EXPECT_EQ(BYTES, mapped);
	EXPECT_CLEAN(relocate_to(p, self->b, "page cache of a group"));
	EXPECT_ON(0, BYTES);
	EXPECT_EQ(BYTES, wait_on_node("file_mapped", self->b, BYTES, 0));
	EXPECT_EQ(0, wait_on_node("file_mapped", self->a, 0, 0));
	EXPECT_GE(SLACK, labs(memcg_value("memory.current") - current));

	EXPECT_CLEAN(relocate_all_to_by_mbind(p, self->a, "and back"));
	EXPECT_ON(BYTES, 0);
	EXPECT_EQ(mapped, memcg_field("memory.stat", "file_mapped"));
	EXPECT_GE(SLACK, labs(memcg_value("memory.current") - current));
}

/* Six times to and fro, by one who is no member: nobody is charged anew. */
TEST_F(memcg_file, charge_does_not_add_up)
{
	struct pages *p = &self->pages;
	long current, turn;

	EXPECT_ON(BYTES, 0);
	current = memcg_value("memory.current");
	ASSERT_EQ(0, memcg_set("memory.max", "2M"));
	for (turn = 0; turn < 6; turn++)
		EXPECT_CLEAN(relocate_to(p, turn % 2 ? self->a : self->b,
					 "to and fro"));
	EXPECT_GE(SLACK, labs(memcg_value("memory.current") - current));
	EXPECT_LE(BYTES, memcg_value("memory.current"));
	EXPECT_EQ(0, memcg_field("memory.events", "max"));
	EXPECT_EQ(0, memcg_field("memory.events", "oom"));
	EXPECT_ON(BYTES, 0);
}

/* Given back, the file is nobody's any more: the new frame is uncharged. */
TEST_F(memcg_file, nothing_is_left)
{
	struct pages *p = &self->pages;

	EXPECT_CLEAN(relocate_to(p, self->b, "page cache of a group"));
	EXPECT_ON(0, BYTES);
	ASSERT_EQ(0, munmap(p->addr, BYTES));
	ASSERT_EQ(0, ftruncate(self->fd, 0));
	EXPECT_ON(0, 0);
	EXPECT_EQ(0, wait_on_node("file_mapped", self->b, 0, 0));
	EXPECT_GE(SLACK, memcg_value("memory.current"));
}

TEST_HARNESS_MAIN
