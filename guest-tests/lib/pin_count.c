// SPDX-License-Identifier: GPL-2.0-only
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "pin_count.h"
#include "proc.h"

static int read_field(const char *text, const char *name, long *value)
{
	const char *line = strstr(text, name);

	return line && sscanf(line + strlen(name), " %ld", value) == 1 ? 0 : -1;
}

int pin_count_read(struct pin_count *count)
{
	static char text[16384];

	/* Counts linger per CPU until this folds them (mm/vmstat.c). */
	if (proc_write("/proc/sys/vm/stat_refresh", "1") ||
	    proc_read("/proc/vmstat", text, sizeof(text)) < 0)
		return -1;
	return read_field(text, "\nnr_foll_pin_acquired", &count->acquired) ||
	       read_field(text, "\nnr_foll_pin_released", &count->released) ?
	       -1 : 0;
}

long pin_count_held(const struct pin_count *before)
{
	struct pin_count now;

	if (pin_count_read(&now))
		return LONG_MIN;
	return now.acquired - before->acquired -
	       (now.released - before->released);
}
