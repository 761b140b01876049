/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What migspeed(8) says: of its memory what numa_maps had of it before and after
 * it moved, and a rate.
 */
#ifndef TESTBED_MIGSPEED_H
#define TESTBED_MIGSPEED_H

#include "placement.h"
#include "program.h"

#define MIGSPEED	"/usr/bin/migspeed"

struct migspeed_report {
	unsigned long addr;
	char policy[32];
	struct placement seen;
};

/*
 * The VMA that is bound in line @index of those that tell of one: 0 for that
 * before, 1 for that after. 0 or -1.
 */
int migspeed_read_report(const struct program *tool, int index,
			 struct migspeed_report *r);

/* "" if both are right, of @moved of @pages that went from @a to @b. */
const char *migspeed_check_reports(const struct program *tool, int a, int b,
				   long pages, long moved);

/* "" if it ended well and told of so many @pages, at some rate. */
const char *migspeed_check_rate(const struct program *tool, long pages);

#endif /* TESTBED_MIGSPEED_H */
