// SPDX-License-Identifier: GPL-2.0-only
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deadline.h"
#include "metric.h"
#include "pagetypes.h"
#include "problems.h"
#include "proc.h"

#define MAX_ZONES	64
#define SETTLE_US	20e6

/* What is said of a zone, in two tables that may be far from each other. */
struct zone {
	int node;
	char name[16];
	struct pagetypes types;
};

const char *const pagetype_names[PAGETYPES] = {
	[UNMOVABLE] = "Unmovable",
	[MOVABLE] = "Movable",
	[RECLAIMABLE] = "Reclaimable",
};

static int find_type(const char *name)
{
	int type;

	for (type = 0; type < PAGETYPES; type++)
		if (!strcmp(name, pagetype_names[type]))
			break;
	return type;
}

static struct zone *find_zone(struct zone *zones, int *count, int node,
			      const char *name)
{
	int i;

	for (i = 0; i < *count; i++)
		if (zones[i].node == node && !strcmp(zones[i].name, name))
			return &zones[i];
	if (*count == MAX_ZONES)
		return NULL;
	zones[*count].node = node;
	snprintf(zones[*count].name, sizeof(zones[*count].name), "%s", name);
	return &zones[(*count)++];
}

/* The counts of free areas by order; what is too many to count is ">100000". */
static void read_areas(struct pagetypes *t, int type, char *text, int order)
{
	char *save, *word = strtok_r(text, " \n", &save);
	long areas;
	int i;

	for (i = 0; word; i++, word = strtok_r(NULL, " \n", &save)) {
		areas = atol(word + (*word == '>'));
		if (type < PAGETYPES)
			t->free[type] += areas << i;
		if (i >= order)
			t->free_huge += areas << (i - order);
	}
}

/* The names of the columns, of which "Isolate" is the last if it is there. */
static void read_blocks(struct pagetypes *t, char *text, bool isolation)
{
	char *save, *word = strtok_r(text, " \n", &save), *next;
	int type = 0;

	for (; word; word = next, type++) {
		next = strtok_r(NULL, " \n", &save);
		if (type < PAGETYPES)
			t->blocks[type] += atol(word);
		else
			t->others += atol(word);
		if (!next && isolation)
			t->isolated += atol(word);
	}
}

/* How many zones, or -1. */
static int read_zones(struct zone *zones)
{
	int count = 0, order = -1, node, at;
	char *line = NULL, name[16], type[16];
	bool blocks = false, isolation = false;
	size_t room = 0;
	struct zone *zone;
	FILE *file = fopen("/proc/pagetypeinfo", "re");

	memset(zones, 0, MAX_ZONES * sizeof(*zones));
	while (file && count >= 0 && getline(&line, &room, file) > 0) {
		at = 0;
		if (sscanf(line, "Page block order: %d", &order) == 1)
			continue;
		if (!strncmp(line, "Free pages count", 16))
			blocks = false;
		if (!strncmp(line, "Number of blocks type", 21)) {
			blocks = true;
			isolation = strstr(line, "Isolate");
		}
		if (sscanf(line, "Node %d, zone %15[^, ]%n", &node, name,
			   &at) != 2)
			continue;
		zone = find_zone(zones, &count, node, name);
		if (!zone || order < 0) {
			count = -1;
			break;
		}
		zone->types.block_pages = 1L << order;
		if (blocks)
			read_blocks(&zone->types, line + at, isolation);
		else if (sscanf(line + at, ", type %15s%n", type, &node) == 1)
			read_areas(&zone->types, find_type(type),
				   line + at + node, order);
	}
	free(line);
	if (file)
		fclose(file);
	return file && count ? count : -1;
}

int pagetypes_read(struct pagetypes *t, int node)
{
	struct zone zones[MAX_ZONES];
	int i, type, count = read_zones(zones);

	memset(t, 0, sizeof(*t));
	for (i = 0; i < count; i++) {
		if (node >= 0 && zones[i].node != node)
			continue;
		t->block_pages = zones[i].types.block_pages;
		t->others += zones[i].types.others;
		t->isolated += zones[i].types.isolated;
		t->free_huge += zones[i].types.free_huge;
		for (type = 0; type < PAGETYPES; type++) {
			t->blocks[type] += zones[i].types.blocks[type];
			t->free[type] += zones[i].types.free[type];
		}
	}
	return t->block_pages ? 0 : -1;
}

long pagetypes_blocks(const struct pagetypes *t)
{
	return t->blocks[UNMOVABLE] + t->blocks[MOVABLE] +
	       t->blocks[RECLAIMABLE] + t->others;
}

const char *pagetypes_astray(void)
{
	struct zone zones[MAX_ZONES];
	int i, type, count = read_zones(zones);
	static struct problems p;
	struct pagetypes *t;

	problems_clear(&p);
	if (count < 0)
		problems_add(&p, "/proc/pagetypeinfo is not as documented");
	for (i = 0; i < count; i++) {
		t = &zones[i].types;
		for (type = 0; type < PAGETYPES; type++)
			if (t->free[type] > t->blocks[type] * t->block_pages)
				problems_add(&p, "node %d, zone %s: %ld free pages are %s, in %ld pageblocks",
					     zones[i].node, zones[i].name,
					     t->free[type],
					     pagetype_names[type],
					     t->blocks[type]);
	}
	return problems_text(&p);
}

/* The free pages of @node in lists of CPUs; -1 if unreadable. */
static long count_in_lists(int node)
{
	char *line = NULL;
	long sum = 0, pages;
	int current = -1;
	size_t room = 0;
	FILE *file = fopen("/proc/zoneinfo", "re");

	if (!file)
		return -1;
	while (getline(&line, &room, file) > 0)
		if (sscanf(line, "Node %d, zone", &current) != 1 &&
		    current == node &&
		    sscanf(line, " count: %ld", &pages) == 1)
			sum += pages;
	free(line);
	fclose(file);
	return sum;
}

/*
 * A CPU gives back a part of what it has in its list of another node, not of
 * its own, when its counts have been folded four times since it last used the
 * list (refresh_cpu_vm_stats() in mm/vmstat.c, 6.12).
 */
int pagetypes_settle(int node)
{
	const double deadline = deadline_after_us(SETTLE_US);
	long pages;

	while ((pages = count_in_lists(node)) > 0 &&
	       metric_now_us() < deadline)
		if (proc_write("/proc/sys/vm/stat_refresh", "1"))
			return -1;
	return pages ? -1 : 0;
}
