/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * By what the kernel groups pages: the modes of page_mobility=, which the
 * series page-mobility adds.
 */
#ifndef TESTBED_MOBILITY_H
#define TESTBED_MOBILITY_H

enum mobility { MOBILITY_OFF, MOBILITY_LITE, MOBILITY_FULL, MOBILITIES };

extern const char *const mobility_names[MOBILITIES];

/* What vm.page_mobility says; -1 if that is none of the modes. */
int mobility_now(void);

/*
 * What the kernel's command line asks for: the last page_mobility= that is
 * one of the modes, full without any. In @bad, how many are none of them.
 */
enum mobility mobility_asked(int *bad);

#endif /* TESTBED_MOBILITY_H */
