// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/<pid>/migrate of patches/manual-migration as a file: what is read of
 * what was written, and when there is nothing to read.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: [manual-migration]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   quick:
 *     - protocol.read_once
 */
#include "harness.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "counters.h"
#include "migrate_file_steps.h"
#include "pages.h"
#include "proc.h"
#include "program.h"
#include "scene.h"

#define COUNT		16

FIXTURE(protocol)
{
	int a;
	int b;
	int fd;
	struct pages pages;
	struct counters before;
};

/* COUNT pages of the caller on node a, and its file. */
FIXTURE_SETUP(protocol)
{
	FIND_TWO_NODES(self, return);
	ASSERT_CLEAN(scene_pages(&self->pages, COUNT, MAP_PRIVATE, self->a));
	ASSERT_EQ(0, counters_read(&self->before));
	OPEN(0);
}

FIXTURE_TEARDOWN(protocol)
{
	EXPECT_EQ(0, close(self->fd));
}

#define ASK(result, first, count, from, to) \
	EXPECT_EQ(result, migrate_file_ask_range(self->fd, &self->pages, first,\
						 count,			\
						 migrate_map_one(from, to)))

#define VERIFY(count, what) do {					\
	EXPECT_CLEAN(pages_verify(&self->pages, what));			\
	EXPECT_CLEAN(counters_verify(&self->before, count, 0));		\
} while (0)

TEST_F(protocol, read_once)
{
	TOLD_NOTHING();
	ASK(0, 0, COUNT, self->a, self->b);
	pages_want_all(&self->pages, self->b);
	VERIFY(COUNT, "after one request");
	TOLD(COUNT, 0, 0);
	TOLD_NOTHING();
}

/* Each write begins anew, whether what it came to was read or not. */
TEST_F(protocol, last_write_counts)
{
	ASK(0, 0, 4, self->a, self->b);
	ASK(0, 4, 7, self->a, self->b);
	TOLD(7, 0, 0);
	ASK(0, 0, 4, self->a, self->b);
	TOLD(0, 0, 0);
	pages_want(&self->pages, 0, 11, self->b);
	VERIFY(11, "after three requests");
}

/* What a request was refused for is in errno, and nothing else is there. */
TEST_F(protocol, refused_leaves_nothing)
{
	ASK(0, 0, 4, self->a, self->b);
	EXPECT_EQ(-EINVAL, migrate_file_ask(self->fd, "nonsense"));
	TOLD_NOTHING();
	ASK(-EINVAL, 0, 0, self->a, self->b);
	TOLD_NOTHING();
	pages_want(&self->pages, 0, 4, self->b);
	VERIFY(4, "after one request and two that are none");
}

TEST_F(protocol, read_in_pieces)
{
	const char *wanted = migrate_file_text(COUNT, 0, 0);
	char text[128] = "";
	size_t i;

	ASK(0, 0, COUNT, self->a, self->b);
	for (i = 0; i < strlen(wanted); i++)
		ASSERT_EQ(1, read(self->fd, text + i, 1));
	EXPECT_STREQ(wanted, text);
	EXPECT_EQ(0, read(self->fd, text, 1));
	pages_want_all(&self->pages, self->b);
	VERIFY(COUNT, "to b");
	ASSERT_CLEAN(pages_snapshot(&self->pages));

	/* A write in the middle of it: the new one from its beginning. */
	ASK(0, 0, COUNT, self->b, self->a);
	EXPECT_EQ(5, read(self->fd, text, 5));
	ASK(0, 0, 1, self->b, self->a);
	TOLD(0, 0, 0);
	pages_want_all(&self->pages, self->a);
	VERIFY(2 * COUNT, "to b and back");
}

TEST_F(protocol, no_position)
{
	char text[64];

	ASK(0, 0, COUNT, self->a, self->b);
	EXPECT_EQ(-1, lseek(self->fd, 0, SEEK_SET));
	EXPECT_EQ(ESPIPE, errno);
	EXPECT_EQ(-1, pread(self->fd, text, sizeof(text), 0));
	EXPECT_EQ(ESPIPE, errno);
	EXPECT_EQ(-1, pwrite(self->fd, "0-0 0:0", 7, 0));
	EXPECT_EQ(ESPIPE, errno);
	TOLD(COUNT, 0, 0);
}

/* Two open files know nothing of each other. */
TEST_F(protocol, each_open_file)
{
	int other = migrate_file_open(0);

	ASSERT_LE(0, other);
	ASK(0, 0, 5, self->a, self->b);
	EXPECT_EQ(0, migrate_file_ask_range(other, &self->pages, 5, 3, A_TO_B));
	TOLD(5, 0, 0);
	EXPECT_STREQ(migrate_file_text(3, 0, 0), migrate_file_told(other));
	EXPECT_STREQ("", migrate_file_told(other));
	EXPECT_EQ(0, close(other));
	pages_want(&self->pages, 0, 8, self->b);
	VERIFY(8, "by two open files");
}

/* Without the newline, too; but a line is a request, and a request a line. */
TEST_F(protocol, newline)
{
	const unsigned long addr = (unsigned long)self->pages.addr;
	char request[128];

	snprintf(request, sizeof(request), "%lx-%lx %d:%d", addr,
		 addr + 4 * PAGE_BYTES, self->a, self->b);
	EXPECT_EQ(0, migrate_file_ask(self->fd, request));
	TOLD(4, 0, 0);
	strcat(request, "\n");
	EXPECT_EQ(0, migrate_file_ask(self->fd, request));
	TOLD(0, 0, 0);
	strcat(request, "\n");
	EXPECT_EQ(-EINVAL, migrate_file_ask(self->fd, request));
	pages_want(&self->pages, 0, 4, self->b);
	VERIFY(4, "with and without a newline");
}

TEST_F(protocol, mode)
{
	struct stat st;
	char path[64], text[8];
	int fd;

	ASSERT_EQ(0, fstat(self->fd, &st));
	EXPECT_EQ(S_IFREG | 0600, st.st_mode);
	EXPECT_EQ(getuid(), st.st_uid);

	proc_path(path, sizeof(path), 0, "migrate");
	fd = open(path, O_WRONLY);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, migrate_file_ask_range(fd, &self->pages, 0, COUNT,
					    A_TO_B));
	EXPECT_EQ(-1, read(fd, text, sizeof(text)));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(0, close(fd));
	fd = open(path, O_RDONLY);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EBADF, migrate_file_ask(fd, "0-0 0:0"));
	EXPECT_EQ(0, close(fd));
	pages_want_all(&self->pages, self->b);
	VERIFY(COUNT, "by a file that cannot be read");

	/* It is the process's, not a thread's. */
	snprintf(path, sizeof(path), "/proc/self/task/%d/migrate", getpid());
	EXPECT_EQ(-1, open(path, O_RDWR));
	EXPECT_EQ(ENOENT, errno);
}

/* As the documentation has it for a shell. */
TEST_F(protocol, from_a_shell)
{
	struct program shell = { 0 };
	char command[256];

	snprintf(command, sizeof(command),
		 "exec 3<>/proc/%d/migrate; echo '%lx-%lx %d:%d' >&3; cat <&3",
		 getpid(), (unsigned long)self->pages.addr,
		 (unsigned long)self->pages.addr + COUNT * PAGE_BYTES, self->a,
		 self->b);
	ASSERT_EQ(0, program_run(&shell, "/bin/sh", "-c", command, NULL));
	EXPECT_EQ(0, shell.status);
	EXPECT_STREQ(migrate_file_text(COUNT, 0, 0), shell.said);
	pages_want_all(&self->pages, self->b);
	VERIFY(COUNT, "by a shell");
}

/* A request in pieces is as many requests: writev(2) is one, of the whole. */
TEST_F(protocol, vectored)
{
	char first[64], second[16];
	struct iovec vec[2] = { { first, 0 }, { second, 0 } };

	vec[0].iov_len = snprintf(first, sizeof(first), "%lx-%lx ",
				  (unsigned long)self->pages.addr,
				  (unsigned long)self->pages.addr + PAGE_BYTES);
	vec[1].iov_len = snprintf(second, sizeof(second), "%d:%d", self->a,
				  self->b);
	/* proc has no write_iter: do_loop_readv_writev() in fs/read_write.c */
	EXPECT_EQ(-1, writev(self->fd, vec, 2));
	EXPECT_EQ(EINVAL, errno);
	VERIFY(0, "in two pieces");
}

TEST_HARNESS_MAIN
