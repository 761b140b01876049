/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A child that ends, or becomes another program, while it is moved: another one
 * in each round of a race (race.h), with pages of its own.
 *
 * One at a time.
 */
#ifndef TESTBED_VICTIM_H
#define TESTBED_VICTIM_H

#include "holder.h"
#include "race_pages.h"

/* Start the next one, with @prepare to populate its pages. 0 or not. */
long victim_start(struct pages *p, holder_fn prepare);

pid_t victim_pid(void);

/* Kill it, and wait for it. "" if it died of that. */
const char *victim_kill(void);

/*
 * Have it become a program that does nothing, and wait for that. "" if it ended
 * well: its text was at the child's addresses.
 */
const char *victim_exec(void);

/* Both as what the rival does in a contest. */
void victim_killed(void *contest, int round);
void victim_executes(void *contest, int round);

/*
 * When the race is over the last one still lives. "" if its pages are whole, it
 * ends well, and so are those of the contest, which are the parent's own.
 */
const char *victim_end(struct contest *c);

#endif /* TESTBED_VICTIM_H */
