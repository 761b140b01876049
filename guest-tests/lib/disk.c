// SPDX-License-Identifier: GPL-2.0-only
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "disk.h"
#include "syscalls.h"

#define DISK	"/dev/ram0"

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

static int mount_disk(void)
{
	/* That of busybox makes an ext2, which the driver of ext4 mounts. */
	static char *const mke2fs[] = {
		"/bin/busybox", "mke2fs", DISK, NULL
	};

	if (!mkdtemp(point) || run(mke2fs) || unshare(CLONE_NEWNS))
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
	char path[64];
	ssize_t got;
	int direct;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	direct = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (direct < 0)
		return -1;
	got = pread(direct, page, PAGE_BYTES, number * PAGE_BYTES);
	close(direct);
	return got == (ssize_t)PAGE_BYTES ? 0 : -1;
}

void disk_end(void)
{
	umount2(point, MNT_DETACH);
	rmdir(point);
}
