/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's test harness, from the tree under test. It is not clean under
 * -Wextra (unused parameters), so it is taken as a system header, however the
 * include path names it.
 */
#ifndef TESTBED_HARNESS_H
#define TESTBED_HARNESS_H

#pragma GCC system_header

#include <unistd.h>

#include "deadline.h"

/* The harness ends a case after so many seconds, or more on a slow kernel. */
static inline unsigned int alarm_on_slow_kernel(unsigned int seconds)
{
	return alarm(seconds * deadline_slowness());
}

#define alarm(seconds)		alarm_on_slow_kernel(seconds)
#include "kselftest_harness.h"
#undef alarm

/* A check of the library returns "" where it found nothing wrong. */
#define ASSERT_CLEAN(check)	ASSERT_STREQ("", check)
#define EXPECT_CLEAN(check)	EXPECT_STREQ("", check)

#endif /* TESTBED_HARNESS_H */
