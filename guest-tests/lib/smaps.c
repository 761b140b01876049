// SPDX-License-Identifier: GPL-2.0-only
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proc.h"
#include "smaps.h"

long smaps_kib(pid_t pid, const void *addr, const char *name)
{
	const uintptr_t wanted = (uintptr_t)addr;
	size_t room = 0, len = strlen(name);
	unsigned long start, end;
	char path[64], *line = NULL;
	long kib = -1;
	int inside = 0;
	FILE *file;

	proc_path(path, sizeof(path), pid, "smaps");
	file = fopen(path, "re");
	if (!file)
		return -1;
	while (kib < 0 && getline(&line, &room, file) > 0) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = start <= wanted && wanted < end;
		else if (inside && !strncmp(line, name, len) &&
			 line[len] == ':')
			kib = strtol(line + len + 1, NULL, 10);
	}
	free(line);
	fclose(file);
	return kib;
}
