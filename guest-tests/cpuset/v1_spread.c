// SPDX-License-Identifier: GPL-2.0-only
/*
 * memory_spread_page and memory_spread_slab of cgroup v1: page cache is spread
 * over the mems, page by page in turn (filemap_alloc_folio(), mm/filemap.c, and
 * cpuset_mem_spread_node(), kernel/cgroup/cpuset.c, 6.12). Anonymous memory is
 * not. The flag for slabs is kept and inherited, but nothing has asked for it
 * since the slab allocator that did was removed in 6.8.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, CPUSETS, CPUSETS_V1 since 6.12, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 */
#include "harness.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "cpuset_steps.h"
#include "nodes.h"
#include "scene.h"

#define COUNT		24
#define FOLDER		"/tmp/testbed-spread"
#define FILE_PATH	FOLDER "/file"

FIXTURE(cpuset_spread)
{
	int a;
	int b;
	struct cpuset_scene scene;
};

/* A file system whose pages go through filemap_alloc_folio() and never away. */
FIXTURE_SETUP(cpuset_spread)
{
	FIND_TWO_NODES(self, return);
	ASSERT_CLEAN(cpuset_scene_begin(&self->scene, CPUSET_V1, COUNT));
	if (mkdir(FOLDER, 0700) || mount("none", FOLDER, "ramfs", 0, NULL)) {
		cpuset_scene_end(&self->scene);
		ASSERT_EQ(0, errno);
	}
}

FIXTURE_TEARDOWN_PARENT(cpuset_spread)
{
	EXPECT_EQ(0, cpuset_scene_end(&self->scene));
	EXPECT_EQ(0, umount2(FOLDER, MNT_DETACH));
	EXPECT_EQ(0, rmdir(FOLDER));
}

/* Called in the child, which keeps to one CPU: no other node is the local one. */

static int status[COUNT];

static long write_file(struct pages *p)
{
	char page[PAGE_BYTES];
	cpu_set_t cpu;
	int fd, i;

	(void)p;
	CPU_ZERO(&cpu);
	CPU_SET(0, &cpu);
	if (sched_setaffinity(0, sizeof(cpu), &cpu))
		return -1;
	fd = open(FILE_PATH, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	for (i = 0; i < COUNT; i++) {
		memset(page, i + 1, sizeof(page));
		if (write(fd, page, sizeof(page)) != (ssize_t)sizeof(page))
			return -1;
	}
	close(fd);
	return 0;
}

/* In the parent: where the pages of the file are, by a mapping of its own. */
static long look_at_file(struct placement *seen)
{
	int fd = open(FILE_PATH, O_RDONLY | O_CLOEXEC), i;
	long error;
	char *addr;

	memset(seen, 0, sizeof(*seen));
	if (fd < 0)
		return -1;
	addr = mmap(NULL, COUNT * PAGE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (addr == MAP_FAILED)
		return -1;
	for (i = 0; i < COUNT; i++)
		if (addr[i * PAGE_BYTES] != i + 1)
			return -1;
	error = placement_query(0, addr, COUNT, status);
	for (i = 0; i < COUNT; i++)
		placement_add(seen, status[i]);
	munmap(addr, COUNT * PAGE_BYTES);
	return error;
}

static int node_of_cpu_0(void)
{
	char path[64];
	int node;

	for (node = 0; node < MAX_NODES; node++) {
		snprintf(path, sizeof(path),
			 "/sys/devices/system/node/node%d/cpu0", node);
		if (!access(path, F_OK))
			return node;
	}
	return -1;
}

static long touch_all(struct pages *p)
{
	int i;

	for (i = 0; i < COUNT; i++)
		pages_write(p, i);
	return 0;
}

TEST_F(cpuset_spread, page)
{
	struct placement local = {0}, spread = {0}, seen;
	struct pages *p = &self->scene.subject.pages;
	int i;

	local.on[node_of_cpu_0()] = COUNT;
	spread.on[self->a] = COUNT / 2;
	spread.on[self->b] = COUNT / 2;
	ASSERT_CLEAN(cpuset_scene_start(&self->scene,
					NODE(self->a) | NODE(self->b),
					pages_populate));
	ASSERT_EQ(0, CALL(write_file));
	ASSERT_EQ(0, look_at_file(&seen));
	placement_print("a file, no spreading", &local, &seen);
	EXPECT_NE(0, placement_equal(&local, &seen));

	/* For who is in the group already, too; what is there stays. */
	EXPECT_EQ(0, cpuset_write("x", "cpuset.memory_spread_page", "1"));
	ASSERT_EQ(0, look_at_file(&seen));
	EXPECT_NE(0, placement_equal(&local, &seen));
	ASSERT_EQ(0, CALL(write_file));
	ASSERT_EQ(0, look_at_file(&seen));
	placement_print("a file, spread over a and b", &spread, &seen);
	EXPECT_NE(0, placement_equal(&spread, &seen));
	for (i = 1; i < COUNT; i++)
		EXPECT_NE(status[i - 1], status[i]);

	ASSERT_EQ(0, CALL(touch_all));
	pages_want_all(p, node_of_cpu_0());
	EXPECT_CLEAN(pages_verify(p, "anonymous memory, not spread"));

	EXPECT_EQ(0, cpuset_write("x", "cpuset.memory_spread_page", "0"));
	ASSERT_EQ(0, CALL(write_file));
	ASSERT_EQ(0, look_at_file(&seen));
	placement_print("a file, no spreading any more", &local, &seen);
	EXPECT_NE(0, placement_equal(&local, &seen));
	END();
}

/* Over the mems as they are now. */
TEST_F(cpuset_spread, page_after_a_change_of_mems)
{
	struct placement one = {0}, seen;

	ASSERT_EQ(0, cpuset_write("x", "cpuset.memory_spread_page", "1"));
	ASSERT_CLEAN(cpuset_scene_start(&self->scene,
					NODE(self->a) | NODE(self->b),
					pages_populate));
	EXPECT_EQ(0, cpuset_set_mems("x", NODE(self->b)));
	one.on[self->b] = COUNT;
	ASSERT_EQ(0, CALL(write_file));
	ASSERT_EQ(0, look_at_file(&seen));
	placement_print("a file, spread over b", &one, &seen);
	EXPECT_NE(0, placement_equal(&one, &seen));
	END();
}

static const char *flag(const char *name, const char *file)
{
	static char text[2][16];
	static int turn;
	char *buffer = text[turn++ % 2];

	if (cpuset_read(name, file, buffer, sizeof(text[0])) < 0)
		return "unreadable";
	return buffer;
}

/* A new group has the flags of its parent; afterwards each has its own. */
TEST_F(cpuset_spread, flags_are_inherited)
{
	static const char *const files[] = {
		"cpuset.memory_spread_page",
		"cpuset.memory_spread_slab",
	};
	unsigned int i;

	for (i = 0; i < 2; i++) {
		EXPECT_STREQ("0", flag("x", files[i]));
		EXPECT_EQ(0, cpuset_write("x", files[i], "1"));
		EXPECT_STREQ("1", flag("x", files[i]));
		EXPECT_STREQ("0", flag("y", files[i]));
	}
	ASSERT_EQ(0, cpuset_create("x/in"));
	for (i = 0; i < 2; i++) {
		EXPECT_STREQ("1", flag("x/in", files[i]));
		EXPECT_EQ(0, cpuset_write("x", files[i], "0"));
		EXPECT_STREQ("1", flag("x/in", files[i]));
		EXPECT_STREQ("0", flag("x", files[i]));
	}
}

TEST_HARNESS_MAIN
