/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a check found wrong, as text: the library stays free of the test
 * harness, and ASSERT_CLEAN() and EXPECT_CLEAN() of harness.h print the text.
 */
#ifndef TESTBED_PROBLEMS_H
#define TESTBED_PROBLEMS_H

struct problems {
	int len;
	char text[1024];	/* "" as long as there are none */
};

void problems_clear(struct problems *p);

/* Add one; what no longer fits is cut off. */
void problems_add(struct problems *p, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* All that was added, in the caller's @p; "" if nothing was. */
const char *problems_text(const struct problems *p);

#endif /* TESTBED_PROBLEMS_H */
