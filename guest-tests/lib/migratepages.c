// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>

#include "migratepages.h"

int migratepages_run(struct program *tool, pid_t pid, const char *from,
		     const char *to)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", pid);
	return program_run(tool, MIGRATEPAGES, number, from, to, NULL);
}
