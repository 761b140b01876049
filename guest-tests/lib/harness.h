/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's test harness, from the tree under test. It is not clean under
 * -Wextra (unused parameters), so it is taken as a system header, however the
 * include path names it.
 */
#ifndef TESTBED_HARNESS_H
#define TESTBED_HARNESS_H

#pragma GCC system_header

#include "kselftest_harness.h"

/* A check of the library returns "" where it found nothing wrong. */
#define ASSERT_CLEAN(check)	ASSERT_STREQ("", check)
#define EXPECT_CLEAN(check)	EXPECT_STREQ("", check)

#endif /* TESTBED_HARNESS_H */
