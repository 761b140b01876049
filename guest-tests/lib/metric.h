/* SPDX-License-Identifier: GPL-2.0-only */
/* Measured numbers for the host, and the clock to measure with. */
#ifndef TESTBED_METRIC_H
#define TESTBED_METRIC_H

/* Microseconds of CLOCK_MONOTONIC. */
double metric_now_us(void);

void metric_print(const char *name, double value, const char *unit);

#endif /* TESTBED_METRIC_H */
