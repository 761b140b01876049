// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node_stat.h"
#include "proc.h"

/*
 * The number after @name, in lines of "name value", "name: value kB" and
 * "Node 0 name: value kB".
 */
static long find(const char *path, const char *name)
{
	char text[16384], *line, *save, *at;
	size_t len = strlen(name);

	if (proc_read(path, text, sizeof(text)) < 0)
		return -1;
	for (line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		at = line;
		if (!strncmp(line, "Node ", 5)) {
			strtol(line + 5, &at, 10);
			at += strspn(at, " ");
		}
		if (!strncmp(at, name, len) && strchr(" :", at[len]))
			return strtol(at + len + 1, NULL, 10);
	}
	return -1;
}

static long find_folded(const char *path, const char *name)
{
	if (proc_write("/proc/sys/vm/stat_refresh", "1"))
		return -1;
	return find(path, name);
}

static const char *node_path(char *path, size_t bytes, int node,
			     const char *file)
{
	snprintf(path, bytes, "/sys/devices/system/node/node%d/%s", node,
		 file);
	return path;
}

long node_stat(int node, const char *name)
{
	char path[80];

	return find_folded(node_path(path, sizeof(path), node, "vmstat"),
			   name);
}

long node_meminfo(int node, const char *name)
{
	char path[80];

	return find_folded(node_path(path, sizeof(path), node, "meminfo"),
			   name);
}

long node_free(int node)
{
	char *line = NULL;
	long free_pages = 0, pages;
	int current = -1;
	size_t room = 0;
	FILE *file;

	if (proc_write("/proc/sys/vm/stat_refresh", "1"))
		return -1;
	file = fopen("/proc/zoneinfo", "re");
	if (!file)
		return -1;
	while (getline(&line, &room, file) > 0) {
		if (sscanf(line, "Node %d, zone", &current) == 1)
			continue;
		if (current == node &&
		    (sscanf(line, " pages free %ld", &pages) == 1 ||
		     sscanf(line, " count: %ld", &pages) == 1))
			free_pages += pages;
	}
	free(line);
	fclose(file);
	return free_pages;
}

long system_stat(const char *name)
{
	return find_folded("/proc/vmstat", name);
}

long system_meminfo(const char *name)
{
	return find_folded("/proc/meminfo", name);
}
