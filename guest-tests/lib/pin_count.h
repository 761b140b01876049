/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pins that the kernel has taken and given back since boot: nr_foll_pin_* in
 * /proc/vmstat (mm/gup.c), for references by FOLL_PIN, not by FOLL_GET.
 */
#ifndef TESTBED_PIN_COUNT_H
#define TESTBED_PIN_COUNT_H

struct pin_count {
	long acquired;
	long released;
};

/* 0 or -1. */
int pin_count_read(struct pin_count *count);

/* How many more are held now than at @before: LONG_MIN if not readable. */
long pin_count_held(const struct pin_count *before);

#endif /* TESTBED_PIN_COUNT_H */
