// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "deadline.h"
#include "memcg.h"
#include "metric.h"
#include "proc.h"

/* For statistics: FLUSH_TIME of mm/memcontrol.c is 2 s. */
#define STAT_DEADLINE_US	15e6

#define ROOT		"/sys/fs/cgroup"
#define GROUP		ROOT "/testbed-memory"
#define CONTROLLERS	ROOT "/cgroup.subtree_control"
#define DEADLINE_US	10e6

static const char *path_of(const char *file)
{
	static char path[256];

	snprintf(path, sizeof(path), GROUP "/%s", file);
	return path;
}

int memcg_begin(struct memcg *group)
{
	char text[256];
	int error;

	if (proc_read(CONTROLLERS, text, sizeof(text)) < 0)
		return -ENOENT;
	group->had_memory = strstr(text, "memory");
	error = proc_write(CONTROLLERS, "+memory");
	if (error)
		return error;
	if (mkdir(GROUP, 0755))
		return -errno;
	group->begun = true;
	return 0;
}

static int attach(const char *path, pid_t pid)
{
	char text[32];

	snprintf(text, sizeof(text), "%d", pid);
	return proc_write(path, text);
}

int memcg_attach(pid_t pid)
{
	return attach(path_of("cgroup.procs"), pid);
}

int memcg_detach(pid_t pid)
{
	return attach(ROOT "/cgroup.procs", pid);
}

int memcg_set(const char *file, const char *text)
{
	return proc_write(path_of(file), text);
}

long memcg_value(const char *file)
{
	char text[64];

	if (proc_read(path_of(file), text, sizeof(text)) < 0)
		return -1;
	return strtol(text, NULL, 10);
}

/* The rest of the line that begins with @name in the file at @path. */
static const char *line_of(const char *path, const char *name)
{
	static char text[16384];
	size_t len = strlen(name);
	char *line, *save;

	if (proc_read(path, text, sizeof(text)) < 0)
		return NULL;
	for (line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		if (!strncmp(line, name, len) && line[len] == ' ')
			return line + len;
	return NULL;
}

long memcg_field(const char *file, const char *name)
{
	const char *line = line_of(path_of(file), name);

	return line ? strtol(line, NULL, 10) : -1;
}

static long on_node(const char *path, const char *name, int node)
{
	const char *line = line_of(path, name), *at;
	char key[16];

	snprintf(key, sizeof(key), " N%d=", node);
	at = line ? strstr(line, key) : NULL;
	return at ? strtol(at + strlen(key), NULL, 10) : -1;
}

long memcg_on_node(const char *name, int node)
{
	return on_node(path_of("memory.numa_stat"), name, node);
}

long memcg_root_on_node(const char *name, int node)
{
	return on_node(ROOT "/memory.numa_stat", name, node);
}

long memcg_wait_on_node(const char *name, int node, long wanted)
{
	double deadline = deadline_after_us(STAT_DEADLINE_US);
	long value;

	do {
		value = memcg_on_node(name, node);
		if (value == wanted)
			break;
		poll(NULL, 0, 20);
	} while (metric_now_us() < deadline);
	return value;
}

long memcg_settled_on_node(const char *name, int node)
{
	long was, now = memcg_on_node(name, node);
	int same = 0;

	/* For 5 s: two turns of FLUSH_TIME. */
	while (same < 250) {
		poll(NULL, 0, 20);
		was = now;
		now = memcg_on_node(name, node);
		same = was == now ? same + 1 : 0;
	}
	return now;
}

int memcg_end(struct memcg *group)
{
	double deadline = deadline_after_us(DEADLINE_US);
	int error = 0;

	if (!group->begun)
		return 0;
	proc_write(path_of("cgroup.kill"), "1");
	/* Those killed leave the group a little after they have died. */
	while (rmdir(GROUP)) {
		if (errno != EBUSY || metric_now_us() > deadline)
			return -errno;
		poll(NULL, 0, 1);
	}
	if (!group->had_memory)
		error = proc_write(CONTROLLERS, "-memory");
	group->begun = false;
	return error;
}
