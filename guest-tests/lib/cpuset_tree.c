// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cpuset.h"
#include "cpuset_tree.h"
#include "deadline.h"
#include "metric.h"
#include "proc.h"

/* Dying groups and hierarchies tell nobody when they are gone: asked again. */
#define DEADLINE_US	10e6
#define PATIENCE_US	50e3
#define AGAIN_MS	5

static const char *kept;

/* Kill the members of the group at @path. 0, -EBUSY if there were any. */
static int kill_members(const char *path)
{
	char file[300], text[4096], *word, *save;
	int error = 0;
	pid_t pid;
	long len;

	snprintf(file, sizeof(file), "%s/cgroup.procs", path);
	len = proc_read(file, text, sizeof(text));
	if (len == -EOPNOTSUPP) {
		/* A threaded group tells threads only; each is as good. */
		snprintf(file, sizeof(file), "%s/cgroup.threads", path);
		len = proc_read(file, text, sizeof(text));
	}
	if (len < 0)
		return len;
	for (word = strtok_r(text, "\n", &save); word;
	     word = strtok_r(NULL, "\n", &save)) {
		pid = strtol(word, NULL, 10);
		kill(pid, SIGKILL);
		/*
		 * A zombie keeps its group from going. It may be a child of
		 * ours: after a failed ASSERT() the harness comes here in the
		 * process of the test.
		 */
		waitpid(pid, NULL, 0);
		error = -EBUSY;
	}
	return error;
}

static int remove_group(const char *path, const struct stat *stat, int type,
			struct FTW *ftw)
{
	double deadline = deadline_after_us(DEADLINE_US);
	int error;

	(void)stat;
	(void)ftw;
	if (type != FTW_DP || !strcmp(path, kept))
		return 0;
	/* rmdir(2) is refused while the last member is still on its way out. */
	do {
		error = kill_members(path);
		if (!error && rmdir(path))
			error = -errno;
		if (error != -EBUSY)
			return error;
		poll(NULL, 0, AGAIN_MS);
	} while (metric_now_us() < deadline);
	return error;
}

int cpuset_tree_remove(const char *path, bool itself)
{
	kept = itself ? "" : path;
	return nftw(path, remove_group, 8, FTW_DEPTH | FTW_PHYS);
}

static int mount_once(const char *options)
{
	return mount("none", CPUSET_TREE, "cgroup", 0, options) ? -errno : 0;
}

/*
 * -EBUSY while a group of v2 that has the controller is still dying
 * (rebind_subsystems() in kernel/cgroup/cgroup.c, 6.12).
 */
int cpuset_tree_mount(bool v2_mode)
{
	const char *options = v2_mode ? "cpuset,cpuset_v2_mode" : "cpuset";
	double deadline = deadline_after_us(DEADLINE_US);
	int error;

	if (mkdir(CPUSET_TREE, 0755) && errno != EEXIST)
		return -errno;
	do {
		error = mount_once(options);
		if (error != -EBUSY)
			break;
		poll(NULL, 0, AGAIN_MS);
	} while (metric_now_us() < deadline);
	if (error)
		rmdir(CPUSET_TREE);
	return error;
}

static bool is_back_within(double us)
{
	double deadline = metric_now_us() + us;

	while (!cpuset_is_available()) {
		if (metric_now_us() > deadline)
			return false;
		poll(NULL, 0, AGAIN_MS);
	}
	return true;
}

/*
 * The hierarchy goes with its last mount, some time later; but it stays for
 * good if a group was still dying at that moment (cgroup_kill_sb(), 6.12), so
 * it is mounted and unmounted until it goes.
 */
static int wait_for_v2(void)
{
	double deadline = deadline_after_us(DEADLINE_US);

	while (!is_back_within(PATIENCE_US)) {
		if (metric_now_us() > deadline)
			return -ETIMEDOUT;
		if (!mount_once("cpuset") && umount(CPUSET_TREE))
			return -errno;
	}
	return 0;
}

int cpuset_tree_unmount(void)
{
	int error;

	if (access(CPUSET_TREE "/cgroup.procs", F_OK))
		return 0;
	error = cpuset_tree_remove(CPUSET_TREE, false);
	if (!error && umount(CPUSET_TREE))
		error = -errno;
	if (!error)
		error = wait_for_v2();
	if (!error && rmdir(CPUSET_TREE))
		error = -errno;
	return error;
}
