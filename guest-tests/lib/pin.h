/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pages with a reference that migration cannot account for, so that it has to
 * leave them: a pipe that vmsplice(2) put them into.
 */
#ifndef TESTBED_PIN_H
#define TESTBED_PIN_H

struct pin {
	int pipe[2];
};

/* 0 or -1. As many pages at a time as a pipe has slots: 16. */
int pin_pages(struct pin *pin, void *addr, long count);

void pin_release(struct pin *pin);

#endif /* TESTBED_PIN_H */
