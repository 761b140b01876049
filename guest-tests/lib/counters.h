/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Conservation: what migration must give back, and what it says it did.
 *
 * The counts of vmstat are the whole machine's. Deltas are exact where nothing
 * else migrates: one test at a time, and no NUMA balancing, khugepaged or KSM.
 */
#ifndef TESTBED_COUNTERS_H
#define TESTBED_COUNTERS_H

#include "placement.h"
#include "problems.h"

struct counters {
	long success;		/* pgmigrate_success */
	long fail;		/* pgmigrate_fail */
	long thp_success;
	long thp_fail;
	long thp_split;
	long balanced;		/* numa_pages_migrated, 0 without NUMA balancing */
	struct placement isolated_anon;
	struct placement isolated_file;
	long isolated_blocks;	/* pageblocks of type MIGRATE_ISOLATE */
};

/* 0, or -1 if a file of /proc or /sys cannot be read. */
int counters_read(struct counters *c);

/* What the counts of migration should have grown by. */
struct counters_want {
	long moved;		/* base pages, those of huge pages too */
	long failed;
	long thps_moved;
	long thps_failed;
	long thps_split;
};

/*
 * "" if since @before the counts grew by exactly what @want says, nothing
 * stayed isolated and no pageblock stayed MIGRATE_ISOLATE; else what differs.
 */
const char *counters_verify_all(const struct counters *before,
				const struct counters_want *want);

/*
 * "" if since @before exactly @moved pages were counted as moved and @failed
 * as failed, none of them a THP, nothing stayed isolated and no pageblock
 * stayed MIGRATE_ISOLATE; else what differs.
 */
const char *counters_verify(const struct counters *before, long moved,
			    long failed);

#endif /* TESTBED_COUNTERS_H */
