/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pageblocks and free pages by the mobility of what is in them: what
 * /proc/pagetypeinfo says.
 */
#ifndef TESTBED_PAGETYPES_H
#define TESTBED_PAGETYPES_H

/* enum migratetype: the types that can fall back to each other. */
enum pagetype { UNMOVABLE, MOVABLE, RECLAIMABLE, PAGETYPES };

struct pagetypes {
	long block_pages;		/* pages of a pageblock */
	long blocks[PAGETYPES];		/* pageblocks of each type */
	long others;			/* of any other type */
	long isolated;			/* of these, of type Isolate */
	long free[PAGETYPES];		/* free pages on the lists of each */
	long free_huge;			/* free areas of a pageblock at least */
};

/* "Unmovable" and so on, as the kernel writes it. */
extern const char *const pagetype_names[PAGETYPES];

/* The sums over the zones of @node, or (-1) over all. 0 or -1. */
int pagetypes_read(struct pagetypes *t, int node);

/* All pageblocks. */
long pagetypes_blocks(const struct pagetypes *t);

/*
 * "" if in no zone more free pages are on the lists of a type than its
 * pageblocks of that type have room for; else where.
 */
const char *pagetypes_astray(void);

/*
 * Wait until no free page of @node, which has no CPU of its own, is in the list
 * of a CPU. 0 or -1.
 */
int pagetypes_settle(int node);

#endif /* TESTBED_PAGETYPES_H */
