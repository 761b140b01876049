// SPDX-License-Identifier: GPL-2.0-only
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "nodes.h"
#include "proc.h"
#include "syscalls.h"

unsigned long nodes_parse(const char *list)
{
	unsigned long set = 0;
	char *end;
	long first, last;

	while (*list >= '0' && *list <= '9') {
		first = strtol(list, &end, 10);
		last = first;
		if (*end == '-')
			last = strtol(end + 1, &end, 10);
		if (last < first || last >= MAX_NODES)
			return 0;
		while (first <= last)
			set |= NODE(first++);
		list = *end == ',' ? end + 1 : end;
	}
	return set;
}

static unsigned long read_list(const char *path)
{
	char text[256];

	return proc_read(path, text, sizeof(text)) < 0 ? 0 : nodes_parse(text);
}

unsigned long nodes_with_memory(void)
{
	return read_list("/sys/devices/system/node/has_memory");
}

unsigned long nodes_possible(void)
{
	return read_list("/sys/devices/system/node/possible");
}

int nodes_nth(unsigned long set, int index)
{
	int node;

	for (node = 0; node < MAX_NODES; node++)
		if (set & NODE(node) && index-- == 0)
			return node;
	return -1;
}

int nodes_count(unsigned long set)
{
	return __builtin_popcountl(set);
}

int nodes_first_without_memory(void)
{
	return nodes_nth(~nodes_with_memory(), 0);
}

const char *nodes_text(unsigned long set)
{
	static char buffers[4][256];
	static int turn;
	char *text = buffers[turn++ % 4];
	int first, last, len = 0;

	text[0] = '\0';
	for (first = 0; first < MAX_NODES; first = last + 1) {
		last = first;
		if (!(set & NODE(first)))
			continue;
		while (last + 1 < MAX_NODES && set & NODE(last + 1))
			last++;
		len += snprintf(text + len, sizeof(buffers[0]) - len,
				first == last ? "%s%d" : "%s%d-%d",
				len ? "," : "", first, last);
	}
	return text;
}

/* Lists of CPUs are written as those of nodes are. */
static unsigned long cpus_of(int node)
{
	char path[64], list[256];

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpulist",
		 node);
	return proc_read(path, list, sizeof(list)) < 0 ? 0 : nodes_parse(list);
}

int nodes_of_cpu(int cpu)
{
	int node;

	for (node = 0; node < MAX_NODES; node++)
		if (cpus_of(node) & NODE(cpu))
			return node;
	return -1;
}

int nodes_run_on(int node)
{
	unsigned long cpus = cpus_of(node);
	cpu_set_t set;
	int i, cpu;

	CPU_ZERO(&set);
	for (i = 0; (cpu = nodes_nth(cpus, i)) >= 0; i++)
		CPU_SET(cpu, &set);
	return i ? sched_setaffinity(0, sizeof(set), &set) : -1;
}
