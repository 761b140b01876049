/* SPDX-License-Identifier: GPL-2.0-only */
/* When to give up. */
#ifndef TESTBED_DEADLINE_H
#define TESTBED_DEADLINE_H

/*
 * How many times as long as on a plain kernel all may take on this one, as with
 * KASAN: the host says so (testbed/core/slowness.py).
 */
unsigned int deadline_slowness(void);

/* The time of metric_now_us() at which @us are over, as many as it may take. */
double deadline_after_us(double us);

#endif /* TESTBED_DEADLINE_H */
