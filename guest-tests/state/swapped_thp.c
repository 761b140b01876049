// SPDX-License-Identifier: GPL-2.0-only
/*
 * A huge page in swap space. On a disk that does not rotate it goes out whole,
 * to a cluster of slots of its own (get_swap_pages() in mm/swapfile.c wants
 * si->cluster_info, which 6.12 makes for such disks only); what comes in are
 * base pages, under the policy of then.
 *
 * testbed:
 *   nodes: 2
 *   swap_mib: 64
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, SWAP, TRANSPARENT_HUGEPAGE]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract: {11: ["*"]}
 *   covers:
 *     - {cases: "swapped_thp.*", interface: [mbind-move-strict, pageout],
 *        backing: [swapped-out], condition: [quiet]}
 */
#include "harness.h"

#include <sys/mman.h>
#include <sys/swap.h>

#include "counters.h"
#include "node_stat.h"
#include "proc.h"
#include "relocate.h"
#include "scene.h"
#include "smaps.h"
#include "swap.h"

#define PMD_BYTES	(2UL << 20)
#define PMD_PAGES	512
#define COUNT		(2 * PMD_PAGES)

FIXTURE(swapped_thp)
{
	int a;
	int b;
	char disk[64];
	char rotates[128];
	struct pages pages;
	struct counters before;
};

/* The disk of the swap space, as "/dev/vda"; "" if it is none. */
static void find_disk(char *disk, size_t bytes)
{
	char text[4096], path[64];

	disk[0] = '\0';
	if (proc_read("/proc/swaps", text, sizeof(text)) > 0 &&
	    sscanf(text, "%*[^\n]\n%60s", path) == 1 &&
	    !strncmp(path, "/dev/", 5))
		snprintf(disk, bytes, "%s", path);
}

/* Begin with the swap space anew, on a disk of that kind. 0 or -errno. */
static int swap_anew(const char *disk, const char *rotates, const char *kind)
{
	int error;

	if (swapoff(disk))
		return -errno;
	error = proc_write(rotates, kind);
	return swapon(disk, 0) ? -errno : error;
}

FIXTURE_SETUP(swapped_thp)
{
	struct pages *p = &self->pages;
	char *area;

	FIND_TWO_NODES(self, return);
	find_disk(self->disk, sizeof(self->disk));
	if (!self->disk[0] || !swap_has_room(COUNT))
		SKIP(return, "needs swap space on a disk");
	snprintf(self->rotates, sizeof(self->rotates),
		 "/sys/block/%.40s/queue/rotational", self->disk + 5);
	ASSERT_EQ(0, swap_anew(self->disk, self->rotates, "0"));

	area = mmap(NULL, 3 * PMD_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, area);
	area += -(uintptr_t)area % PMD_BYTES;
	ASSERT_EQ(0, madvise(area, 2 * PMD_BYTES, MADV_HUGEPAGE));
	ASSERT_EQ(0, pages_over(p, area, COUNT));
	pages_want_all(p, self->a);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_EQ(COUNT * 4, smaps_kib(0, area, "AnonHugePages"));
}

/* What is still out comes in before swapoff(2) takes its space away. */
FIXTURE_TEARDOWN_PARENT(swapped_thp)
{
	if (self->disk[0])
		EXPECT_EQ(0, swap_anew(self->disk, self->rotates, "1"));
}

TEST_F(swapped_thp, neighbour_moves)
{
	struct pages *p = &self->pages;
	uint64_t entries[COUNT];
	long whole = system_stat("thp_swpout");
	int i;

	/* Both at once; the frames go when they have been written. */
	ASSERT_CLEAN(swap_out_wholly(p, 0, PMD_PAGES));
	EXPECT_LT(whole, system_stat("thp_swpout"));
	ASSERT_EQ(PMD_PAGES * 4, smaps_kib(0, p->addr, "AnonHugePages"));
	ASSERT_CLEAN(pages_snapshot(p));
	for (i = 0; i < PMD_PAGES; i++) {
		entries[i] = swap_entry(p, i);
		ASSERT_NE(0, entries[i]);
	}
	ASSERT_EQ(0, counters_read(&self->before));
	EXPECT_EQ(0, numa_mbind(p->addr, 2 * PMD_BYTES, MPOL_BIND,
				NODE(self->b),
				MPOL_MF_MOVE | MPOL_MF_STRICT));
	pages_want(p, PMD_PAGES, PMD_PAGES, self->b);
	EXPECT_CLEAN(pages_verify(p, "one huge page moved, one out"));
	for (i = 0; i < PMD_PAGES; i++)
		EXPECT_EQ(entries[i], swap_entry(p, i));
	self->before.thp_success++;
	EXPECT_CLEAN(counters_verify(&self->before, PMD_PAGES, 0));

	for (i = 0; i < PMD_PAGES; i++)
		pages_read(p, i);
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "swapped in under the policy"));
}

TEST_HARNESS_MAIN
