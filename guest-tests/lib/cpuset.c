// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cpuset.h"
#include "metric.h"
#include "nodes.h"
#include "proc.h"

#define CGROUP	"/sys/fs/cgroup"
#define OURS	CGROUP "/testbed"

#define EMPTY_DEADLINE_US	5e6

static bool has_cpuset(const char *path)
{
	char text[256], *word, *save;

	if (proc_read(path, text, sizeof(text)) < 0)
		return false;
	for (word = strtok_r(text, "\n ", &save); word;
	     word = strtok_r(NULL, "\n ", &save))
		if (!strcmp(word, "cpuset"))
			return true;
	return false;
}

bool cpuset_is_available(void)
{
	return has_cpuset(CGROUP "/cgroup.controllers");
}

static int remove_group(const char *path, const struct stat *stat, int type,
			struct FTW *ftw)
{
	(void)stat;
	(void)ftw;
	return type == FTW_DP && rmdir(path) ? -errno : 0;
}

/*
 * cgroup.kill does not wait for the processes to be gone; cgroup.events tells,
 * and wakes poll(2) when it changes.
 */
static int wait_until_empty(void)
{
	double deadline = metric_now_us() + EMPTY_DEADLINE_US;
	struct pollfd events = { .events = POLLPRI };
	int result = -ETIMEDOUT;
	char text[256];
	ssize_t len;

	events.fd = open(OURS "/cgroup.events", O_RDONLY | O_CLOEXEC);
	if (events.fd < 0)
		return -errno;
	do {
		len = pread(events.fd, text, sizeof(text) - 1, 0);
		if (len < 0) {
			result = -errno;
			break;
		}
		text[len] = '\0';
		if (strstr(text, "populated 0")) {
			result = 0;
			break;
		}
		poll(&events, 1, 1000);
	} while (metric_now_us() < deadline);
	close(events.fd);
	return result;
}

static int remove_ours(void)
{
	int error;

	if (access(OURS, F_OK))
		return 0;
	error = proc_write(OURS "/cgroup.kill", "1");
	if (!error)
		error = wait_until_empty();
	if (error)
		return error;
	return nftw(OURS, remove_group, 8, FTW_DEPTH | FTW_PHYS);
}

int cpuset_begin(struct cpuset_root *root)
{
	int error = remove_ours();

	if (error)
		return error;
	root->had_cpuset = has_cpuset(CGROUP "/cgroup.subtree_control");
	root->begun = true;
	error = proc_write(CGROUP "/cgroup.subtree_control", "+cpuset");
	if (!error && mkdir(OURS, 0755))
		error = -errno;
	if (!error)
		error = proc_write(OURS "/cgroup.subtree_control", "+cpuset");
	if (error)
		cpuset_end(root);
	return error;
}

int cpuset_end(struct cpuset_root *root)
{
	int error;

	if (!root->begun)
		return 0;
	root->begun = false;
	error = remove_ours();
	if (!error && !root->had_cpuset)
		error = proc_write(CGROUP "/cgroup.subtree_control", "-cpuset");
	return error;
}

static const char *file_of(const char *name, const char *file)
{
	static char path[256];

	snprintf(path, sizeof(path), OURS "/%s/%s", name, file);
	return path;
}

int cpuset_create(const char *name)
{
	const char *slash = strrchr(name, '/');
	char parent[64];

	if (slash) {
		snprintf(parent, sizeof(parent), "%.*s", (int)(slash - name),
			 name);
		if (proc_write(file_of(parent, "cgroup.subtree_control"),
			       "+cpuset"))
			return -errno;
	}
	return mkdir(file_of(name, ""), 0755) ? -errno : 0;
}

int cpuset_set_mems(const char *name, unsigned long nodes)
{
	return proc_write(file_of(name, "cpuset.mems"), nodes_text(nodes));
}

static unsigned long read_set(const char *name, const char *file)
{
	char text[256];

	if (proc_read(file_of(name, file), text, sizeof(text)) < 0)
		return 0;
	return nodes_parse(text);
}

unsigned long cpuset_mems(const char *name)
{
	return read_set(name, "cpuset.mems");
}

unsigned long cpuset_effective_mems(const char *name)
{
	return read_set(name, "cpuset.mems.effective");
}

int cpuset_attach(const char *name, pid_t pid)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", pid);
	return proc_write(file_of(name, "cgroup.procs"), text);
}
