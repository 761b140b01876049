// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings of ordinary files: the policy of such a range governs the private
 * copies of its pages, but not the page cache, which goes by the task that
 * reads it in (filemap_alloc_folio(); a VMA without set_policy keeps the
 * policy to itself). MPOL_MF_MOVE_ALL moves page cache all the same, text of a
 * shared library too, for everyone who maps it.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, TMPFS]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   scope: file
 *   contract: {12: ["file_policy.*"]}
 *   promises: {shared-mapping-policy: ["file_policy.text"], addresses-kept:
 *     ["file_policy.text"]}
 *   covers:
 *     - {cases: "file_policy.text", interface: [mbind-move, mbind-move-all],
 *        backing: [text], condition: [quiet]}
 *     - {cases: "file_policy.copies", interface: [mbind-move-strict], backing:
 *        [file-cow], condition: [quiet]}
 */
#include "harness.h"

#include <fcntl.h>
#include <sys/mount.h>

#include "holder.h"
#include "nodes.h"
#include "pattern.h"
#include "policy.h"
#include "ramfs.h"

#define COUNT		12
#define BYTES		(COUNT * PAGE_BYTES)

#define MOVE		MPOL_MF_MOVE
#define MOVE_ALL	MPOL_MF_MOVE_ALL
#define STRICT		MPOL_MF_STRICT

FIXTURE(file_policy)
{
	struct placed t;
};

/* A ramfs at /tmp, in a mount namespace of its own; the thread is on a. */
FIXTURE_SETUP(file_policy)
{
	ASSERT_CLEAN(placed_start(&self->t, COUNT, 0, MAP_PRIVATE));
	ASSERT_EQ(0, ramfs_begin());
	ASSERT_EQ(0, nodes_run_on(self->t.a));
}

FIXTURE_TEARDOWN(file_policy)
{
}

/* A new file of COUNT pages that are not there. */
static int open_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0700);

	return fd >= 0 && ftruncate(fd, BYTES) == 0 ? fd : -1;
}

static int map_file(struct pages *p, int fd, int protection, int sharing)
{
	pages_want_all(p, UNTOUCHED);
	return mmap(p->addr, BYTES, protection, sharing | MAP_FIXED, fd, 0) ==
	       p->addr ? 0 : -1;
}

/* The range says b, the task nothing or a: page cache is on a. */
TEST_F(file_policy, not_of_the_page_cache)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;
	int fd = open_file("/tmp/file");

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, map_file(p, fd, PROT_READ | PROT_WRITE, MAP_SHARED));
	EXPECT_EQ(0, policy_bind(p, 0, COUNT, MPOL_BIND, NODE(t->b), 0));
	EXPECT_CLEAN(policy_check(p, 0, MPOL_BIND, NODE(t->b)));
	policy_fault(p, 0, COUNT / 2);
	pages_want(p, 0, COUNT / 2, t->a);
	EXPECT_CLEAN(pages_snapshot(p));

	/* The task's policy is what counts, for the next ones. */
	ASSERT_EQ(0, policy_bind(p, 0, COUNT, MPOL_BIND, NODE(t->a), 0));
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(t->b)));
	policy_fault(p, COUNT / 2, COUNT / 2);
	pages_want(p, COUNT / 2, COUNT / 2, t->b);
	EXPECT_CLEAN(pages_snapshot(p));
	EXPECT_CLEAN(pages_verify(p, "page cache under the task's policy"));
}

/* Nor is it the file's: another mapping knows nothing of it. */
TEST_F(file_policy, of_one_mapping)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages, other;
	int fd = open_file("/tmp/file");
	void *addr;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, map_file(p, fd, PROT_READ | PROT_WRITE, MAP_SHARED));
	addr = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, addr);
	ASSERT_EQ(0, pages_over(&other, addr, COUNT));
	EXPECT_EQ(0, policy_bind(p, 0, COUNT, MPOL_BIND, NODE(t->b), 0));
	EXPECT_CLEAN(policy_check(&other, 0, MPOL_DEFAULT, 0));
	ASSERT_EQ(0, munmap(p->addr, BYTES));
	ASSERT_EQ(0, map_file(p, fd, PROT_READ | PROT_WRITE, MAP_SHARED));
	EXPECT_CLEAN(policy_check(p, 0, MPOL_DEFAULT, 0));
}

/* Private copies are the range's own: they go where its policy says. */
TEST_F(file_policy, copies)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;
	int fd = open_file("/tmp/file");

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, map_file(p, fd, PROT_READ | PROT_WRITE, MAP_SHARED));
	policy_fault(p, 0, COUNT);
	ASSERT_EQ(0, map_file(p, fd, PROT_READ | PROT_WRITE, MAP_PRIVATE));
	EXPECT_EQ(0, policy_bind(p, 0, COUNT, MPOL_BIND, NODE(t->b), 0));
	/* Half of them copied, the other half page cache. */
	for (int i = 0; i < COUNT; i++)
		pages_read(p, i);
	for (int i = 0; i < COUNT / 2; i++)
		pages_write(p, i);
	pages_want(p, 0, COUNT / 2, t->b);
	pages_want(p, COUNT / 2, COUNT / 2, t->a);
	ASSERT_CLEAN(placed_look(t));
	EXPECT_CLEAN(placed_verify(t, 0, "half of them copied"));

	/* The copies move, and leave what they were copied from. */
	EXPECT_EQ(0, policy_bind(p, 0, COUNT / 2, MPOL_BIND, NODE(t->a),
				 MOVE | STRICT));
	pages_want(p, 0, COUNT / 2, t->a);
	EXPECT_CLEAN(placed_verify(t, 0, "the copies moved"));
}

/* A function in each page: it returns the number of its page. */
#if defined(__x86_64__) || defined(__i386__)
#define CODE_BYTES	6

static void write_code(unsigned char *page, uint32_t number)
{
	page[0] = 0xb8;		/* mov number, %eax */
	memcpy(page + 1, &number, sizeof(number));
	page[5] = 0xc3;		/* ret */
}
#else
#error "no code for this machine: see write_code()"
#endif

static int run_code(const struct pages *p, long index)
{
	return ((int (*)(void))pages_at(p, index))();
}

/* How many pages do not do what they ought to, or are not as written. */
static long bad_code(struct pages *p)
{
	unsigned char page[4096];
	long i, bad = 0;

	for (i = 0; i < COUNT; i++) {
		pattern_fill(page, p->seed, i);
		write_code(page, 100 + i);
		if (run_code(p, i) != 100 + i ||
		    memcmp(page, pages_at(p, i), PAGE_BYTES))
			bad++;
	}
	return bad;
}

static int write_library(int fd, const struct pages *p)
{
	unsigned char page[4096];
	int i;

	for (i = 0; i < COUNT; i++) {
		pattern_fill(page, p->seed, i);
		write_code(page, 100 + i);
		if (pwrite(fd, page, PAGE_BYTES, i * PAGE_BYTES) !=
		    (ssize_t)PAGE_BYTES)
			return -1;
	}
	return 0;
}

/*
 * Text, as of a shared library: mapped private, executable and read-only by two
 * processes, which run it before and after. On tmpfs, since ramfs cannot
 * migrate what was written.
 */
TEST_F(file_policy, text)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;
	struct holder holder;
	int fd;

	ASSERT_EQ(0, mount("tmpfs", "/tmp", "tmpfs", 0, NULL));
	fd = open_file("/tmp/library.so");
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, write_library(fd, p));
	ASSERT_EQ(0, map_file(p, fd, PROT_READ | PROT_EXEC, MAP_PRIVATE));
	ASSERT_EQ(0, bad_code(p));
	/* The content is checked by bad_code(): it is no mere pattern. */
	p->pid = getpid();
	pages_want_all(p, UNTOUCHED);
	ASSERT_EQ(0, holder_start(&holder, p, bad_code));
	pages_want_all(p, t->a);
	ASSERT_CLEAN(placed_look(t));
	ASSERT_CLEAN(pages_shared_with(p, holder.peer.pid));

	EXPECT_EQ(0, policy_bind(p, 0, COUNT, MPOL_BIND, NODE(t->b),
				 MOVE | STRICT));
	EXPECT_CLEAN(placed_verify(t, 0, "text of two, after MOVE"));
	EXPECT_EQ(0, policy_bind(p, 0, COUNT, MPOL_BIND, NODE(t->b),
				 MOVE_ALL | STRICT));
	pages_want_all(p, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "text of two, after MOVE_ALL"));
	EXPECT_CLEAN(pages_shared_with(p, holder.peer.pid));
	EXPECT_EQ(0, bad_code(p));
	EXPECT_EQ(0, holder_call(&holder, bad_code));
	EXPECT_EQ(0, holder_end(&holder));

	/* A process that comes later finds it where it is now. */
	pages_want_all(p, UNTOUCHED);
	ASSERT_EQ(0, holder_start(&holder, p, bad_code));
	EXPECT_CLEAN(pages_shared_with(p, holder.peer.pid));
	EXPECT_EQ(0, holder_end(&holder));
}

TEST_HARNESS_MAIN
