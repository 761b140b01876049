// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "fail_alloc.h"
#include "proc.h"

#define KNOBS	"/sys/kernel/debug/fail_page_alloc/"

/*
 * The caller's make-it-fail, open for as long as its allocations fail: another
 * open() would be one that fails where the file's slab has no object left, and
 * then there would be no way back. KASAN keeps freed objects for a while.
 */
static int make_it_fail = -1;

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
	if (error)
		return error;
	make_it_fail = open("/proc/self/make-it-fail", O_WRONLY | O_CLOEXEC);
	if (make_it_fail < 0 || write(make_it_fail, "1", 1) < 0)
		return -errno;
	return 0;
}

int fail_alloc_no_more(void)
{
	int error = pwrite(make_it_fail, "0", 1, 0) < 0 ? -errno : 0;

	close(make_it_fail);
	return error;
}

int fail_alloc_end(void)
{
	return set_number("probability", 0) ? : set_number("min-order", 1);
}
