// SPDX-License-Identifier: GPL-2.0-only
/*
 * mem_hardwall and mem_exclusive of cgroup v1. User memory never leaves the mems
 * of its group; memory of the kernel's own may, when they are full, as far as
 * the nearest group above that has one of the flags (cpuset_node_allowed(),
 * kernel/cgroup/cpuset.c, 6.12).
 *
 * A process in a group of one node that is full has page tables made by reading
 * here and there, which costs no other memory (the zero page is mapped). Where
 * they come is seen in the counts of page tables by node.
 *
 * testbed:
 *   nodes: 4
 *   kconfig: [NUMA, CPUSETS, CPUSETS_V1 since 6.12, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   contract:
 *     17: ["cpuset_hardwall.*"]
 */
#include "harness.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "cpuset_scene.h"
#include "proc.h"

#define COUNT		4
/* A page table maps 2 MiB. More of them than a node keeps below its marks. */
#define TABLES		8192L
#define TABLE_BYTES	(2UL << 20)

FIXTURE(cpuset_hardwall)
{
	int full;
	int last;
	struct cpuset_scene scene;
};

/* The flag of the outer group; NULL: the root is the nearest that has one. */
FIXTURE_VARIANT(cpuset_hardwall)
{
	const char *flag;
};

FIXTURE_VARIANT_ADD(cpuset_hardwall, none) { .flag = NULL };

FIXTURE_VARIANT_ADD(cpuset_hardwall, mem_hardwall) {
	.flag = "cpuset.mem_hardwall",
};

FIXTURE_VARIANT_ADD(cpuset_hardwall, mem_exclusive) {
	.flag = "cpuset.mem_exclusive",
};

FIXTURE_SETUP(cpuset_hardwall)
{
	int count = cpuset_scene_nodes(&self->scene);

	if (count < 4)
		SKIP(return, "needs 4 nodes with memory");
	self->full = self->scene.node[0];
	self->last = self->scene.node[2];
	ASSERT_CLEAN(cpuset_scene_begin(&self->scene, CPUSET_V1, COUNT));
}

FIXTURE_TEARDOWN_PARENT(cpuset_hardwall)
{
	EXPECT_EQ(0, cpuset_scene_end(&self->scene));
}

/* "Node 0 MemFree:  123 kB" of the node's meminfo, in KiB; or -1. */
static long meminfo_kib(int node, const char *key)
{
	char path[64], text[4096], *line;
	long value;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/meminfo",
		 node);
	/* Counts linger per CPU until this folds them (mm/vmstat.c). */
	if (proc_write("/proc/sys/vm/stat_refresh", "1") ||
	    proc_read(path, text, sizeof(text)) < 0)
		return -1;
	line = strstr(text, key);
	return line && sscanf(line + strlen(key), "%ld", &value) == 1 ? value :
									-1;
}

/*
 * Fill the node down to its low mark and let the rest go elsewhere: preferred,
 * so that nothing is reclaimed or killed for it. Locked, so that it stays.
 */
static int fill(int node)
{
	size_t bytes = (meminfo_kib(node, "MemFree:") + 4096) * 1024;
	void *addr;
	long error;

	error = numa_set_mempolicy(MPOL_PREFERRED, NODE(node));
	if (error)
		return error;
	addr = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1,
		    0);
	error = numa_set_mempolicy(MPOL_DEFAULT, 0);
	return addr == MAP_FAILED ? -errno : error;
}

/* Called in the child. */
static long make_tables(struct pages *p)
{
	char *addr = mmap(NULL, TABLES * TABLE_BYTES, PROT_READ,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	long i, sum = 0;

	(void)p;
	if (addr == MAP_FAILED ||
	    madvise(addr, TABLES * TABLE_BYTES, MADV_NOHUGEPAGE))
		return -1;
	for (i = 0; i < TABLES; i++)
		sum += addr[i * TABLE_BYTES];
	return sum;
}

TEST_F(cpuset_hardwall, memory_of_the_kernel)
{
	struct cpuset_scene *scene = &self->scene;
	unsigned long full = NODE(self->full), last = NODE(self->last);
	long grown[SCENE_NODES] = {0}, total = 0, others;
	int i;

	ASSERT_EQ(0, cpuset_set_mems("x", full | last));
	if (variant->flag)
		ASSERT_EQ(0, cpuset_write("x", variant->flag, "1"));
	ASSERT_EQ(0, cpuset_create("x/in"));
	ASSERT_EQ(0, cpuset_set_mems("x/in", full));
	pages_want_all(&scene->subject.pages, self->full);
	ASSERT_EQ(0, subject_start(&scene->subject, pages_populate));
	ASSERT_EQ(0, cpuset_attach("x/in", scene->subject.pages.pid));
	ASSERT_EQ(0, fill(self->full));
	for (i = 0; i < SCENE_NODES && scene->node[i] >= 0; i++)
		grown[i] = -meminfo_kib(scene->node[i], "PageTables:");
	EXPECT_EQ(0, holder_call(&scene->subject.holder, make_tables));
	for (i = 0; i < SCENE_NODES && scene->node[i] >= 0; i++) {
		grown[i] += meminfo_kib(scene->node[i], "PageTables:");
		total += grown[i];
		TH_LOG("page tables on node %d: %ld KiB more", scene->node[i],
		       grown[i]);
	}
	EXPECT_LE(TABLES * 4, total);
	/* The node was full: most had to go elsewhere. */
	EXPECT_GT(total / 2, grown[0]);
	others = total - grown[0] - grown[2];
	if (variant->flag) {
		EXPECT_EQ(0, others);
		EXPECT_LT(total / 2, grown[2]);
	} else {
		EXPECT_LT(total / 2, others);
	}
	EXPECT_EQ(0, holder_bad(&scene->subject.holder));
	EXPECT_EQ(0, holder_end(&scene->subject.holder));
}

TEST_HARNESS_MAIN
