/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Allocations of pages that fail when a test says so, for the calling task
 * alone: fail_page_alloc (Documentation/fault-injection/fault-injection.rst).
 */
#ifndef TESTBED_FAIL_ALLOC_H
#define TESTBED_FAIL_ALLOC_H

/*
 * Every allocation is meant, however its caller may wait; nothing fails yet,
 * and nothing is said of it on the console. 0 or -errno.
 */
int fail_alloc_begin(void);

/*
 * Fail the caller's allocations of 2^@order pages and more, once @granted
 * pages have been allocated, until fail_alloc_no_more(). 0 or -errno.
 */
int fail_alloc_after(long granted, int order);

/* Let the caller have pages again. 0 or -errno. */
int fail_alloc_no_more(void);

/* Put the knobs back. 0 or -errno. */
int fail_alloc_end(void);

#endif /* TESTBED_FAIL_ALLOC_H */
