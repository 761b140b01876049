// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counters.h"
#include "nodes.h"
#include "proc.h"

/* What no counter holds. */
#define MISSING	LONG_MIN

/* It is there only with CONFIG_NUMA_BALANCING; it is 0 otherwise. */
#define BALANCED "numa_pages_migrated"

struct field {
	const char *name;
	long *value;
};

/* Lines "name value", all of one moment; each field is to be there but BALANCED. */
static int read_fields(const char *path, const struct field *fields)
{
	char text[16384], *line, *save, name[64];
	const struct field *field;
	long value;

	if (proc_read(path, text, sizeof(text)) < 0)
		return -1;
	for (field = fields; field->name; field++)
		*field->value = strcmp(field->name, BALANCED) ? MISSING : 0;
	for (line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (sscanf(line, "%63s %ld", name, &value) != 2)
			continue;
		for (field = fields; field->name; field++)
			if (!strcmp(name, field->name))
				*field->value = value;
	}
	for (field = fields; field->name; field++) {
		if (*field->value == MISSING) {
			errno = ENODATA;
			return -1;
		}
	}
	return 0;
}

static int read_isolated(struct counters *c)
{
	unsigned long nodes = nodes_with_memory();
	char path[80];
	int i, node;

	for (i = 0; (node = nodes_nth(nodes, i)) >= 0; i++) {
		struct field fields[] = {
			{ "nr_isolated_anon", &c->isolated_anon.on[node] },
			{ "nr_isolated_file", &c->isolated_file.on[node] },
			{ NULL, NULL },
		};

		snprintf(path, sizeof(path),
			 "/sys/devices/system/node/node%d/vmstat", node);
		if (read_fields(path, fields))
			return -1;
	}
	return i ? 0 : -1;
}

/*
 * The column "Isolate" of the tables "Number of blocks type", one table and
 * header per node; without CONFIG_MEMORY_ISOLATION there is no such column.
 */
static int read_isolated_blocks(long *blocks)
{
	char *line = NULL, *word, *save;
	int column = -1, i;
	size_t room = 0;
	FILE *file = fopen("/proc/pagetypeinfo", "re");

	if (!file)
		return -1;
	*blocks = 0;
	while (getline(&line, &room, file) > 0) {
		if (!strncmp(line, "Number of blocks type", 21)) {
			column = -1;
			word = strtok_r(line + 21, "\n ", &save);
			for (i = 0; word; i++) {
				if (!strcmp(word, "Isolate"))
					column = i;
				word = strtok_r(NULL, "\n ", &save);
			}
			continue;
		}
		/* "Node 0, zone      DMA            1 ..." */
		if (column < 0 || strncmp(line, "Node ", 5) ||
		    strstr(line, "type"))
			continue;
		word = strtok_r(line, "\n ", &save);
		for (i = -4; word && i < column; i++)
			word = strtok_r(NULL, "\n ", &save);
		if (word)
			*blocks += strtol(word, NULL, 10);
	}
	free(line);
	fclose(file);
	return 0;
}

int counters_read(struct counters *c)
{
	const struct field fields[] = {
		{ "pgmigrate_success", &c->success },
		{ "pgmigrate_fail", &c->fail },
		{ "thp_migration_success", &c->thp_success },
		{ "thp_migration_fail", &c->thp_fail },
		{ "thp_migration_split", &c->thp_split },
		{ BALANCED, &c->balanced },
		{ NULL, NULL },
	};

	memset(c, 0, sizeof(*c));
	/* Counts linger per CPU until this folds them (mm/vmstat.c). */
	if (proc_write("/proc/sys/vm/stat_refresh", "1"))
		return -1;
	if (read_fields("/proc/vmstat", fields) || read_isolated(c))
		return -1;
	return read_isolated_blocks(&c->isolated_blocks);
}

static void check_delta(struct problems *p, const char *name, long was,
			long now, long expected)
{
	if (now - was != expected)
		problems_add(p, "%s: wanted %+ld, is %+ld", name, expected,
			     now - was);
}

static void check_isolated(struct problems *p, const char *name,
			   const struct placement *was,
			   const struct placement *now)
{
	char before[256], after[256];

	if (!placement_equal(was, now))
		problems_add(p, "%s: was %s, is %s", name,
			     placement_text(was, before, sizeof(before)),
			     placement_text(now, after, sizeof(after)));
}

const char *counters_verify_all(const struct counters *before,
				const struct counters_want *want)
{
	static struct problems p;
	struct counters now;

	problems_clear(&p);
	if (counters_read(&now)) {
		problems_add(&p, "reading the counters: %m");
		return problems_text(&p);
	}
	/*
	 * Hint PTEs outlive NUMA balancing: a fault on one moves a page of
	 * whatever process it belongs to, and counts it here too.
	 */
	check_delta(&p, "pgmigrate_success", before->success, now.success,
		    want->moved + now.balanced - before->balanced);
	check_delta(&p, "pgmigrate_fail", before->fail, now.fail,
		    want->failed);
	check_delta(&p, "thp_migration_success", before->thp_success,
		    now.thp_success, want->thps_moved);
	check_delta(&p, "thp_migration_fail", before->thp_fail, now.thp_fail,
		    want->thps_failed);
	check_delta(&p, "thp_migration_split", before->thp_split,
		    now.thp_split, want->thps_split);
	check_isolated(&p, "nr_isolated_anon", &before->isolated_anon,
		       &now.isolated_anon);
	check_isolated(&p, "nr_isolated_file", &before->isolated_file,
		       &now.isolated_file);
	if (now.isolated_blocks != before->isolated_blocks)
		problems_add(&p, "MIGRATE_ISOLATE pageblocks: was %ld, is %ld",
			     before->isolated_blocks, now.isolated_blocks);
	return problems_text(&p);
}

const char *counters_verify(const struct counters *before, long moved,
			    long failed)
{
	const struct counters_want want = { .moved = moved, .failed = failed };

	return counters_verify_all(before, &want);
}
