// SPDX-License-Identifier: GPL-2.0-only
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "placement.h"
#include "proc.h"

/* Addresses asked for at a time: bounds the array, no answer depends on it. */
#define CHUNK	512

void placement_add(struct placement *seen, int status)
{
	if (status >= 0 && status < MAX_NODES)
		seen->on[status]++;
	else
		seen->absent++;
}

bool placement_equal(const struct placement *a, const struct placement *b)
{
	return !memcmp(a, b, sizeof(*a));
}

long placement_query(pid_t pid, void *addr, long count, int *status)
{
	void *addrs[CHUNK];
	long done, chunk, i, error;

	for (done = 0; done < count; done += chunk) {
		chunk = count - done < CHUNK ? count - done : CHUNK;
		for (i = 0; i < chunk; i++)
			addrs[i] = (char *)addr + (done + i) * PAGE_BYTES;
		error = numa_move_pages(pid, chunk, addrs, NULL, status + done,
					0);
		if (error)
			return error;
	}
	return 0;
}

/*
 * One line is "start policy [word] ... N0=4 N1=12 kernelpagesize_kB=4". Pages
 * of hugetlbfs count as one each, THPs by their base pages.
 */
static void add_numa_maps_line(char *line, struct placement *seen)
{
	const char *size = strstr(line, "kernelpagesize_kB=");
	long each = size ? strtol(size + 18, NULL, 10) * 1024 / PAGE_BYTES : 1;
	char *word, *save;
	int node, pages;

	for (word = strtok_r(line, "\n ", &save); word;
	     word = strtok_r(NULL, "\n ", &save))
		if (sscanf(word, "N%d=%d", &node, &pages) == 2 &&
		    node >= 0 && node < MAX_NODES)
			seen->on[node] += pages * each;
}

int placement_numa_maps(pid_t pid, void *addr, long count,
			struct placement *seen)
{
	uintptr_t start = (uintptr_t)addr, vma;
	char path[64], *line = NULL;
	size_t room = 0;
	FILE *file;

	memset(seen, 0, sizeof(*seen));
	proc_path(path, sizeof(path), pid, "numa_maps");
	file = fopen(path, "re");
	if (!file)
		return -1;
	while (getline(&line, &room, file) > 0) {
		vma = strtoul(line, NULL, 16);
		if (vma >= start && vma < start + count * PAGE_BYTES)
			add_numa_maps_line(line, seen);
	}
	free(line);
	fclose(file);
	return 0;
}

const char *placement_policy(pid_t pid, void *addr, char *text, size_t bytes)
{
	char path[64], *line = NULL, *start, *policy, *rest, *save;
	size_t room = 0;
	FILE *file;

	text[0] = '\0';
	proc_path(path, sizeof(path), pid, "numa_maps");
	file = fopen(path, "re");
	if (!file)
		return text;
	while (!text[0] && getline(&line, &room, file) > 0) {
		start = strtok_r(line, "\n ", &save);
		policy = strtok_r(NULL, "\n ", &save);
		if (!policy || strtoul(start, NULL, 16) != (uintptr_t)addr)
			continue;
		rest = strtok_r(NULL, "\n ", &save);
		/* "prefer (many):0" and "weighted interleave:0" are one name */
		if (rest && (rest[0] == '(' || !strcmp(policy, "weighted")))
			snprintf(text, bytes, "%s %s", policy, rest);
		else
			snprintf(text, bytes, "%s", policy);
	}
	free(line);
	fclose(file);
	return text;
}

const char *placement_text(const struct placement *seen, char *text,
			   size_t bytes)
{
	size_t len = snprintf(text, bytes, "{");
	const char *comma = "";
	int node;

	for (node = -1; node < MAX_NODES && len < bytes; node++) {
		long pages = node < 0 ? seen->absent : seen->on[node];

		if (!pages)
			continue;
		len += snprintf(text + len, bytes - len, "%s\"%d\": %ld", comma,
				node, pages);
		comma = ", ";
	}
	if (len < bytes)
		snprintf(text + len, bytes - len, "}");
	return text;
}

const char *placement_statuses(const int *status, long count)
{
	static char buffers[2][1024];
	static int turn;
	char *text = buffers[turn++ % 2];
	size_t len = 0;
	long i;

	text[0] = '\0';
	for (i = 0; i < count && len < sizeof(buffers[0]); i++) {
		const char *name = strerrorname_np(-status[i]);

		if (status[i] < 0 && name)
			len += snprintf(text + len, sizeof(buffers[0]) - len,
					"%s-%s", i ? " " : "", name);
		else
			len += snprintf(text + len, sizeof(buffers[0]) - len,
					"%s%d", i ? " " : "", status[i]);
	}
	return text;
}

void placement_print(const char *what, const struct placement *expected,
		     const struct placement *seen)
{
	char want[512], have[512];

	printf("# @placement {\"what\": \"%s\", \"expected\": %s, \"seen\": %s}\n",
	       what, placement_text(expected, want, sizeof(want)),
	       placement_text(seen, have, sizeof(have)));
}
