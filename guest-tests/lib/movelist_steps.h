/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Steps of a case about a call on a list (movelist.h) of its own pages, as
 * macros. The fixture has the pages, the list and the counters before.
 */
#ifndef TESTBED_MOVELIST_STEPS_H
#define TESTBED_MOVELIST_STEPS_H

#include "counters.h"
#include "movelist.h"

#define EXPECT_CALL(result, flags) \
	EXPECT_EQ(result, movelist_call(&self->list, 0, flags))

/* Looks after what a call did, and begins anew from there. */
#define VERIFY(moved, failed, what) do {				\
	EXPECT_CLEAN(movelist_check(&self->list));			\
	EXPECT_CLEAN(pages_verify(&self->pages, what));			\
	EXPECT_CLEAN(counters_verify(&self->before, moved, failed));	\
	ASSERT_CLEAN(pages_snapshot(&self->pages));			\
	ASSERT_EQ(0, counters_read(&self->before));			\
	movelist_clear(&self->list);					\
} while (0)

#endif /* TESTBED_MOVELIST_STEPS_H */
