/* SPDX-License-Identifier: GPL-2.0-only */
/* migratepages(8) of numactl. */
#ifndef TESTBED_MIGRATEPAGES_H
#define TESTBED_MIGRATEPAGES_H

#include <sys/types.h>

#include "program.h"

#define MIGRATEPAGES	"/usr/bin/migratepages"

/* Run it with the arguments that it wants. 0 or -1. */
int migratepages_run(struct program *tool, pid_t pid, const char *from,
		     const char *to);

/* Of a fixture's self->tool: it ended well, and is silent then. */
#define EXPECT_SILENT() do {						\
	EXPECT_EQ(0, self->tool.status);				\
	EXPECT_STREQ("", self->tool.said);				\
} while (0)

/* It ended with an error, and said why. */
#define EXPECT_SAYS(text) do {						\
	EXPECT_EQ(1, self->tool.status);				\
	EXPECT_NE(NULL, strstr(self->tool.said, text))			\
		TH_LOG("it says: %s", self->tool.said);			\
} while (0)

#endif /* TESTBED_MIGRATEPAGES_H */
