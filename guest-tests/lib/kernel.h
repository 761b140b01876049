/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which kernel this is, where what a call answers was changed on purpose: a
 * case then says what it wants of either, and names the change.
 */
#ifndef TESTBED_KERNEL_H
#define TESTBED_KERNEL_H

#include <stdbool.h>

/* Whether the release that runs is older than @major.@minor. */
bool kernel_before(int major, int minor);

/*
 * Whether it has a checker such as KASAN or lockdep: that costs time, and some
 * memory with each page and each object.
 */
bool kernel_is_checked(void);

#endif /* TESTBED_KERNEL_H */
