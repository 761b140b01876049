// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cpuset.h"
#include "cpuset_tree.h"
#include "nodes.h"
#include "proc.h"

#define CGROUP	"/sys/fs/cgroup"
#define OURS	CGROUP "/testbed"

/* What has begun; the parent of a test learns of it in cpuset_end() only. */
static const struct cpuset_root *begun;

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

static int remove_ours(void)
{
	int error;

	if (access(OURS, F_OK))
		return 0;
	error = proc_write(OURS "/cgroup.kill", "1");
	return error ? error : cpuset_tree_remove(OURS, true);
}

static int begin_v2(struct cpuset_root *root)
{
	int error;

	root->path = OURS;
	root->begun = true;
	error = proc_write(CGROUP "/cgroup.subtree_control", "+cpuset");
	if (!error && mkdir(OURS, 0755))
		error = -errno;
	if (!error)
		error = proc_write(OURS "/cgroup.subtree_control", "+cpuset");
	return error;
}

int cpuset_begin_as(struct cpuset_root *root, enum cpuset_kind kind)
{
	int error = cpuset_tree_unmount();

	if (!error)
		error = remove_ours();
	if (error)
		return error;
	root->kind = kind;
	root->had_cpuset = has_cpuset(CGROUP "/cgroup.subtree_control");
	begun = root;
	if (kind == CPUSET_V2) {
		error = begin_v2(root);
	} else {
		root->path = CPUSET_TREE;
		root->begun = true;
		error = cpuset_tree_mount(kind == CPUSET_V1_AS_V2);
	}
	if (error)
		cpuset_end(root);
	return error;
}

int cpuset_begin(struct cpuset_root *root)
{
	return cpuset_begin_as(root, CPUSET_V2);
}

int cpuset_end(struct cpuset_root *root)
{
	int error;

	if (!root->begun)
		return 0;
	root->begun = false;
	begun = root;
	error = root->kind == CPUSET_V2 ? remove_ours() : cpuset_tree_unmount();
	if (!error)
		error = proc_write(CGROUP "/cgroup.subtree_control",
				   root->had_cpuset ? "+cpuset" : "-cpuset");
	return error;
}

static const char *file_of(const char *name, const char *file)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s/%s", begun->path, name, file);
	return path;
}

int cpuset_write(const char *name, const char *file, const char *text)
{
	return proc_write(file_of(name, file), text);
}

long cpuset_read(const char *name, const char *file, char *text, size_t bytes)
{
	long len = proc_read(file_of(name, file), text, bytes);

	if (len > 0 && text[len - 1] == '\n')
		text[--len] = '\0';
	return len;
}

static void parent_of(const char *name, char *parent, size_t bytes)
{
	const char *slash = strrchr(name, '/');

	if (slash)
		snprintf(parent, bytes, "%.*s", (int)(slash - name), name);
	else
		snprintf(parent, bytes, ".");
}

static int prepare_v1(const char *name, const char *parent)
{
	char cpus[256];
	long len = cpuset_read(parent, "cpuset.cpus", cpus, sizeof(cpus));
	int error = len < 0 ? (int)len : cpuset_write(name, "cpuset.cpus", cpus);

	if (error || begun->kind == CPUSET_V1_STAY)
		return error;
	return cpuset_write(name, "cpuset.memory_migrate", "1");
}

int cpuset_create(const char *name)
{
	char parent[64];
	int error = 0;

	parent_of(name, parent, sizeof(parent));
	if (begun->kind == CPUSET_V2 && strcmp(parent, "."))
		error = cpuset_write(parent, "cgroup.subtree_control",
				     "+cpuset");
	if (!error && mkdir(file_of(name, ""), 0755))
		error = -errno;
	if (!error && begun->kind != CPUSET_V2)
		error = prepare_v1(name, parent);
	return error;
}

int cpuset_set_mems(const char *name, unsigned long nodes)
{
	/* Nothing at all would be no write to the kernel. */
	return cpuset_write(name, "cpuset.mems",
			    nodes ? nodes_text(nodes) : "\n");
}

static unsigned long read_set(const char *name, const char *file)
{
	char text[256];

	return cpuset_read(name, file, text, sizeof(text)) < 0 ?
		       0 : nodes_parse(text);
}

unsigned long cpuset_mems(const char *name)
{
	return read_set(name, "cpuset.mems");
}

unsigned long cpuset_effective_mems(const char *name)
{
	return read_set(name, begun->kind == CPUSET_V2 ?
				      "cpuset.mems.effective" :
				      "cpuset.effective_mems");
}

static int write_id(const char *path, pid_t id)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", id);
	return proc_write(path, text);
}

int cpuset_attach(const char *name, pid_t pid)
{
	return write_id(file_of(name, "cgroup.procs"), pid);
}

int cpuset_attach_thread(const char *name, pid_t tid)
{
	return write_id(file_of(name, begun->kind == CPUSET_V2 ?
					      "cgroup.threads" : "tasks"),
			tid);
}

int cpuset_detach(pid_t pid)
{
	return write_id(begun->kind == CPUSET_V2 ? CGROUP "/cgroup.procs" :
						   CPUSET_TREE "/cgroup.procs",
			pid);
}

int cpuset_give(const char *name, const char *file, uid_t user)
{
	return chown(file_of(name, file), user, -1) ? -errno : 0;
}

int cpuset_open(const char *name)
{
	int fd = open(file_of(name, ""), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}
