/* SPDX-License-Identifier: GPL-2.0-only */
/* Files of procfs, sysfs and cgroupfs: small, written and read whole. */
#ifndef TESTBED_PROC_H
#define TESTBED_PROC_H

#include <stddef.h>
#include <sys/types.h>

/* "/proc/<pid>/<name>", or "/proc/self/<name>" for pid 0. */
void proc_path(char *path, size_t bytes, pid_t pid, const char *name);

/* Write @text in one write(2). 0 or -errno: cgroupfs tells by it. */
int proc_write(const char *path, const char *text);

/* Read up to @bytes - 1 and end them with a NUL. The length or -errno. */
long proc_read(const char *path, char *text, size_t bytes);

#endif /* TESTBED_PROC_H */
