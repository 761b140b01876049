/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A child with pages of its own, and pages that it has in common with the test:
 * who may move the one need not be who may move the other. All of them are on
 * node a at first.
 *
 * One at a time.
 */
#ifndef TESTBED_COMMONS_H
#define TESTBED_COMMONS_H

#include "creds.h"
#include "pages.h"
#include "subject.h"

/* What somebody may move, and what is left alone when he asks for it. */
enum reach {
	NOTHING,
	OWN,		/* what the child alone maps */
	ALL_OF_IT,	/* and what it has in common with others */
};

struct commons {
	int a;
	int b;
	struct subject subject;	/* the child, and the pages of its own */
	struct pages common;
};

/*
 * Populate @count pages of each sort and start the child, which becomes @role,
 * or stays what it is for NULL; a and b are known by then. "" or what went
 * wrong.
 */
const char *commons_start(struct commons *c, long count,
			  const struct role *role);

/*
 * "" if since the start the pages of its own went to node @own and those in
 * common to node @common, where both still map the same; and all that
 * subject_verify() and pages_verify() look at.
 */
const char *commons_verify(struct commons *c, int own, int common,
			   const char *what);

#endif /* TESTBED_COMMONS_H */
