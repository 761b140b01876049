// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>

#include "deadline.h"
#include "kernel.h"

bool kernel_before(int major, int minor)
{
	struct utsname name;
	int is_major, is_minor;

	if (uname(&name) ||
	    sscanf(name.release, "%d.%d", &is_major, &is_minor) != 2)
		abort();
	return is_major < major || (is_major == major && is_minor < minor);
}

bool kernel_is_checked(void)
{
	return deadline_slowness() > 1;
}
