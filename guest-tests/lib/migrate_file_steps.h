/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Steps of a case about /proc/<pid>/migrate (migrate_file.h), whose fixture has
 * the nodes a and b and the open file fd: macros, so that what fails is told
 * with the line of the case.
 */
#ifndef TESTBED_MIGRATE_FILE_STEPS_H
#define TESTBED_MIGRATE_FILE_STEPS_H

#include "migrate_file.h"

/* The maps that most cases ask for. */
#define A_TO_B		migrate_map_one(self->a, self->b)
#define B_TO_A		migrate_map_one(self->b, self->a)
#define EXCHANGED	migrate_map_two(self->a, self->b, self->b, self->a)

#define OPEN(pid) do {							\
	self->fd = migrate_file_open(pid);				\
	ASSERT_LE(0, self->fd);						\
} while (0)

/* In the teardown of cases that open it themselves: -1 if they have not. */
#define CLOSE_IF_OPEN() do {						\
	if (self->fd >= 0)						\
		EXPECT_EQ(0, close(self->fd));				\
} while (0)

/*
 * Of a case with a subject, by subject_steps.h: start it with its pages dealt
 * out over @nodes, and open its file.
 */
#define BEGIN_ON(nodes, prepare) do {					\
	pages_want_dealt(&SUBJECT->pages, nodes);			\
	START(prepare);							\
	OPEN(SUBJECT->pages.pid);					\
} while (0)

/* What is to be read now; and that there is nothing. */
#define TOLD(moved, failed, shared) \
	EXPECT_STREQ(migrate_file_text(moved, failed, shared),		\
		     migrate_file_told(self->fd))

#define TOLD_NOTHING() \
	EXPECT_STREQ("", migrate_file_told(self->fd))

/* That is no request: nothing is begun, and nothing is told. */
#define REFUSED(error, ...) do {					\
	char _request[256];						\
									\
	snprintf(_request, sizeof(_request), __VA_ARGS__);		\
	EXPECT_EQ(error, migrate_file_ask(self->fd, _request))		\
		TH_LOG("'%s'", _request);				\
	TOLD_NOTHING();							\
} while (0)

#define NO_REQUEST(...) \
	REFUSED(-EINVAL, __VA_ARGS__)

/* Want what was on either node at the snapshot on the other. */
#define WANT_EXCHANGED(p) do {						\
	pages_want_moved(p, self->a, self->b);				\
	pages_want_moved(p, self->b, self->a);				\
} while (0)

#endif /* TESTBED_MIGRATE_FILE_STEPS_H */
