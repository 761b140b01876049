// SPDX-License-Identifier: GPL-2.0-only
/*
 * PG_workingset: a page that reclaim has put on the inactive list was in use
 * before (shrink_active_list(), mm/vmscan.c), and if it has to be read back it
 * was wrong to evict it. No file shows the flag; that a page had it shows when
 * it was evicted (workingset_eviction() notes it in the shadow entry) and comes
 * back: workingset_restore_file (workingset_refault(), mm/workingset.c, 6.12).
 * It goes along with the page (folio_migrate_flags(), mm/migrate.c). To page
 * out an active page would set it, so it is inactive ones that are looked at.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, BLK_DEV_RAM, EXT4_FS, MEMCG]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {10: ["*"]}
 *   covers:
 *     - {cases: "workingset.*", interface: [move_pages-set, mbind-move-strict],
 *        backing: [file-clean], condition: [quiet]}
 */
#include "harness.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>

#include <linux/kernel-page-flags.h>

#include "deadline.h"
#include "disk.h"
#include "memcg.h"
#include "metric.h"
#include "node_stat.h"
#include "nodes.h"
#include "pagemap.h"
#include "relocate.h"
#include "scene.h"

/*
 * Few of many: a page read back counts as of the working set only where the
 * active pages of its group on its node are more than were evicted since.
 */
#define COUNT		1024
#define BYTES		(COUNT * PAGE_BYTES)
#define EVICTED		"131072"
#define FEW		64
#define RESTORED	"workingset_restore_file"
#define ACTIVE		(4 * FEW * (long)PAGE_BYTES)
#define DEADLINE_US	15e6

FIXTURE(workingset)
{
	int a;
	int b;
	int fd;
	struct memcg group;
	struct pages pages;
};

/* In the group: a file on node a, of which all pages are active. */
FIXTURE_SETUP(workingset)
{
	struct pages *p = &self->pages;
	void *addr;

	FIND_TWO_NODES(self, return);
	self->fd = disk_file(BYTES);
	ASSERT_LE(0, self->fd);
	addr = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd,
		    0);
	ASSERT_NE(MAP_FAILED, addr);
	ASSERT_EQ(0, madvise(addr, BYTES, MADV_RANDOM));
	ASSERT_EQ(0, pages_over(p, addr, COUNT));
	ASSERT_EQ(0, memcg_begin(&self->group) ? : memcg_attach(0));
}

/* The disk is unmounted with the last process that sees it. */
FIXTURE_TEARDOWN_PARENT(workingset)
{
	EXPECT_EQ(0, memcg_end(&self->group));
}

/* Have the pages from @first on active: by access after access. 0 or -1. */
static int make_active(int fd, int first)
{
	char byte;
	int i, k;

	for (k = 0; k < 3; k++) {
		for (i = first; i < COUNT; i++)
			if (pread(fd, &byte, 1, i * PAGE_BYTES) != 1)
				return -1;
		if (relocate_drain())
			return -1;
	}
	return 0;
}

/*
 * The counts of a group are folded in every other second at the latest, each
 * group's for itself. What MADV_PAGEOUT evicts it evicts for the root group
 * (reclaim_pages(), mm/vmscan.c, has no target_mem_cgroup), so it is the
 * root's that workingset_test_recent() compares with; it waits for no folding.
 */
static int await_active(int node, long bytes)
{
	double deadline = deadline_after_us(DEADLINE_US);

	while (memcg_on_node("active_file", node) < bytes ||
	       memcg_root_on_node("active_file", node) < bytes) {
		if (metric_now_us() > deadline)
			return -1;
		poll(NULL, 0, 20);
	}
	return 0;
}

/* The pages that the case is about. */
static bool marked[COUNT];

static bool is_active(const struct pages *p, long i)
{
	uint64_t entry, flags;

	return pagemap_read(0, pages_at(p, i), 1, &entry) ||
	       kpageflags_read(pagemap_pfn(entry), &flags) ||
	       flags >> KPF_ACTIVE & 1;
}

/* Map what is in memory, and mark the first few that are inactive. How many. */
static int mark_inactive(struct pages *p, int node)
{
	unsigned char there[COUNT];
	int i, count = 0;

	if (mincore(p->addr, BYTES, there))
		return -1;
	for (i = 0; i < COUNT; i++) {
		marked[i] = false;
		p->want[i] = UNTOUCHED;
		if (!(there[i] & 1))
			continue;
		pages_read(p, i);
		p->want[i] = node;
		marked[i] = count < FEW && !is_active(p, i);
		count += marked[i];
	}
	return count;
}

/* Read the marked ones back, to @node. How many came as restored. */
static long read_back(struct pages *p, int node)
{
	long before = system_stat(RESTORED), i;

	if (numa_set_mempolicy(MPOL_BIND, NODE(node)))
		return -1;
	for (i = 0; i < COUNT; i++)
		if (marked[i])
			pages_read(p, i);
	if (numa_set_mempolicy(MPOL_DEFAULT, 0))
		return -1;
	return system_stat(RESTORED) - before;
}

/* Page out the marked ones, one by one. 0 or -1. */
static int evict(struct pages *p)
{
	unsigned char there;
	long i;

	if (relocate_drain())
		return -1;
	for (i = 0; i < COUNT; i++) {
		if (!marked[i])
			continue;
		if (madvise(pages_at(p, i), PAGE_BYTES, MADV_PAGEOUT) ||
		    mincore(pages_at(p, i), PAGE_BYTES, &there) || there & 1)
			return -1;
	}
	return 0;
}

/* Unmapped, all active; then reclaim makes some inactive, and takes some. */
static const char *make_workingset(struct pages *p, int fd, int node)
{
	if (pages_populate(p) || fsync(fd) ||
	    madvise(p->addr, BYTES, MADV_DONTNEED) || relocate_drain() ||
	    make_active(fd, 0))
		return "the file is not there";
	if (await_active(node, BYTES * 3 / 4))
		return "its pages do not become active";
	memcg_set("memory.reclaim", EVICTED);
	return mark_inactive(p, node) == FEW ? "" :
	       "reclaim has not made enough pages inactive";
}

/* Refaults are told by what is active on the node at that time. */
#define EXPECT_RESTORED(want) do {					\
	struct pages *p = &self->pages;					\
									\
	ASSERT_EQ(0, await_active(self->a, ACTIVE));			\
	ASSERT_EQ(0, evict(p));						\
	EXPECT_EQ(want, read_back(p, self->a));				\
	EXPECT_EQ(0, pages_bad(p));					\
} while (0)

TEST_F(workingset, goes_along)
{
	struct pages *p = &self->pages;

	pages_want_all(p, self->a);
	ASSERT_CLEAN(make_workingset(p, self->fd, self->a));
	ASSERT_EQ(0, relocate_drain());
	EXPECT_CLEAN(relocate_to(p, self->b, "of the working set"));
	EXPECT_CLEAN(relocate_to_by_mbind(p, self->a, "and back"));
	ASSERT_EQ(0, numa_mbind(p->addr, BYTES, MPOL_DEFAULT, 0, 0));
	EXPECT_RESTORED(FEW);
}

/* What had not the flag does not get it. */
TEST_F(workingset, is_not_gained)
{
	struct pages *p = &self->pages;
	int i;

	pages_want_all(p, self->a);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, relocate_drain());
	for (i = 0; i < COUNT; i++) {
		marked[i] = i < FEW;
		if (!marked[i])
			p->want[i] = UNTOUCHED;
	}
	ASSERT_EQ(0, madvise(pages_at(p, FEW), BYTES - FEW * PAGE_BYTES,
			     MADV_DONTNEED));
	ASSERT_EQ(0, make_active(self->fd, FEW));
	EXPECT_CLEAN(relocate_to(p, self->b, "never reclaimed"));
	EXPECT_CLEAN(relocate_to(p, self->a, "and back"));
	EXPECT_RESTORED(0);
}

TEST_HARNESS_MAIN
