// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <stdlib.h>

#include "hugetlb.h"
#include "proc.h"

static const char *path_of(int node, const char *name)
{
	static char path[128];

	if (node < 0)
		snprintf(path, sizeof(path),
			 "/sys/kernel/mm/hugepages/hugepages-2048kB/%s", name);
	else
		snprintf(path, sizeof(path),
			 "/sys/devices/system/node/node%d/hugepages/hugepages-2048kB/%s",
			 node, name);
	return path;
}

long hugetlb_pool(int node, const char *name)
{
	char text[32];

	return proc_read(path_of(node, name), text, sizeof(text)) < 0 ?
	       -1 : atol(text);
}

int hugetlb_set_pool(int node, long pages)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld", pages);
	if (proc_write(path_of(node, "nr_hugepages"), text))
		return -1;
	return hugetlb_pool(node, "nr_hugepages") == pages ? 0 : -1;
}
