/* SPDX-License-Identifier: GPL-2.0-only */
/* CAP_SYS_NICE: what lets a caller move pages that others map too. */
#ifndef TESTBED_CAPS_H
#define TESTBED_CAPS_H

#include <stdbool.h>

/*
 * Raise or lower it in the effective set of the calling thread; it stays
 * permitted, so it can be raised again. 0 or -1.
 */
int caps_set_sys_nice(bool on);

#endif /* TESTBED_CAPS_H */
