// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "deadline.h"
#include "disk.h"
#include "pattern.h"
#include "metric.h"
#include "syscalls.h"

#define DISK		"/dev/ram0"
#define DEADLINE_US	10e6

static char point[] = "/tmp/disk.XXXXXX";

static int run(char *const argv[])
{
	int status, null;
	pid_t pid = fork();

	if (pid == 0) {
		/* What it says is no TAP. */
		null = open("/dev/null", O_WRONLY);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		execv(argv[0], argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return status ? -1 : 0;
}

/* Whom it belonged to may have died just now: then it is unmounted soon. */
static int wait_until_free(void)
{
	double deadline = deadline_after_us(DEADLINE_US);
	int fd;

	do {
		fd = open(DISK, O_RDWR | O_EXCL | O_CLOEXEC);
		if (fd >= 0)
			return close(fd);
	} while (errno == EBUSY && metric_now_us() < deadline);
	return -1;
}

static int mount_disk(void)
{
	/* That of busybox makes an ext2, which the driver of ext4 mounts. */
	static char *const mke2fs[] = {
		"/bin/busybox", "mke2fs", DISK, NULL
	};

	if (wait_until_free() || !mkdtemp(point) || run(mke2fs) ||
	    unshare(CLONE_NEWNS))
		return -1;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -1;
	return mount(DISK, point, "ext4", 0, NULL);
}

int disk_file(size_t bytes)
{
	char path[64];
	int fd;

	if (mount_disk())
		return -1;
	snprintf(path, sizeof(path), "%s/file", point);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0700);
	if (fd >= 0 && ftruncate(fd, bytes)) {
		close(fd);
		return -1;
	}
	return fd;
}

int disk_read(int fd, void *page, long number)
{
	/* O_DIRECT asks for an aligned buffer. */
	void *buffer = aligned_alloc(PAGE_BYTES, PAGE_BYTES);
	ssize_t got = -1;
	char path[64];
	int direct;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	direct = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (buffer && direct >= 0)
		got = pread(direct, buffer, PAGE_BYTES, number * PAGE_BYTES);
	if (got == (ssize_t)PAGE_BYTES)
		memcpy(page, buffer, PAGE_BYTES);
	close(direct);
	free(buffer);
	return got == (ssize_t)PAGE_BYTES ? 0 : -1;
}

long disk_bad(int fd, uint64_t seed, long count)
{
	/* The pattern is looked at word by word. */
	uint64_t page[PAGE_BYTES / sizeof(uint64_t)];
	long i, bad = 0;

	for (i = 0; i < count; i++)
		bad += disk_read(fd, page, i) ||
		       pattern_check(page, seed, i) >= 0;
	return bad;
}

void disk_end(void)
{
	umount2(point, MNT_DETACH);
	rmdir(point);
}
