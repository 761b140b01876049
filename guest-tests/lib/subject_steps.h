/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Steps of a case about a subject (subject.h): macros, so that what fails is
 * told with the line of the case.
 */
#ifndef TESTBED_SUBJECT_STEPS_H
#define TESTBED_SUBJECT_STEPS_H

#include "subject.h"

/* Where the fixture has it; to be defined before where it is elsewhere. */
#ifndef SUBJECT
#define SUBJECT		(&self->subject)
#endif

#define START(prepare) do {						\
	ASSERT_EQ(0, subject_start(SUBJECT, prepare));			\
	LOOK();								\
} while (0)

#define LOOK() \
	ASSERT_CLEAN(subject_look(SUBJECT))

#define VERIFY(failed, what) \
	EXPECT_CLEAN(subject_verify(SUBJECT, failed, what))

/* Nothing of it has moved, its text included. */
#define UNMOVED(what) do {						\
	VERIFY(0, what);						\
	EXPECT_EQ(0, subject_moved());					\
} while (0)

/* What @fn returned, called in the child. */
#define CALL(fn) \
	holder_call(&SUBJECT->holder, fn)

#define END() \
	EXPECT_EQ(0, holder_end(&SUBJECT->holder))

#endif /* TESTBED_SUBJECT_STEPS_H */
