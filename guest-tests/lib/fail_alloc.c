// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>

#include "fail_alloc.h"
#include "proc.h"

#define KNOBS	"/sys/kernel/debug/fail_page_alloc/"

static int set(const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), KNOBS "%s", name);
	return proc_write(path, value);
}

static int set_number(const char *name, long value)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld", value);
	return set(name, text);
}

int fail_alloc_begin(void)
{
	return set("times", "0") ? :
	       set("task-filter", "Y") ? :
	       set("ignore-gfp-wait", "N") ? :
	       set("ignore-gfp-highmem", "N") ? :
	       set("verbose", "0") ? :
	       set("interval", "1") ? :
	       set("probability", "100");
}

int fail_alloc_after(long granted, int order)
{
	int error = set_number("min-order", order);

	/* An allocation is granted as long as there is more room than it. */
	error |= set_number("space", granted ? granted + 1 : 0);
	error |= set_number("times", -1);
	return error | proc_write("/proc/self/make-it-fail", "1");
}

int fail_alloc_no_more(void)
{
	return proc_write("/proc/self/make-it-fail", "0");
}

int fail_alloc_end(void)
{
	return set_number("probability", 0) ? : set_number("min-order", 1);
}
