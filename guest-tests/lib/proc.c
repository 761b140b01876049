// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proc.h"

void proc_path(char *path, size_t bytes, pid_t pid, const char *name)
{
	if (pid)
		snprintf(path, bytes, "/proc/%d/%s", pid, name);
	else
		snprintf(path, bytes, "/proc/self/%s", name);
}

int proc_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		error = -errno;
	close(fd);
	return error;
}

long proc_read(const char *path, char *text, size_t bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t got = 0;

	if (fd < 0)
		return -errno;
	while (len < bytes - 1) {
		got = read(fd, text + len, bytes - 1 - len);
		if (got <= 0)
			break;
		len += got;
	}
	if (got < 0)
		got = -errno;
	close(fd);
	text[len] = '\0';
	return got < 0 ? got : (long)len;
}
