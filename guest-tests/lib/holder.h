/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A process that holds pages for a test and looks after their content itself,
 * so that a wrong mapping on its side cannot hide behind the parent's.
 */
#ifndef TESTBED_HOLDER_H
#define TESTBED_HOLDER_H

#include "pages.h"
#include "peer.h"

/* Something to do with the pages in the holder; its result is passed back. */
typedef long (*holder_fn)(struct pages *pages);

struct holder {
	struct peer peer;
};

/*
 * Fork a holder of @pages (its own copy of what is wanted of them). It calls
 * @prepare and then waits, touching nothing. What @prepare returned, or -1.
 */
long holder_start(struct holder *h, struct pages *pages, holder_fn prepare);

/* The same without @prepare, and without a look at the pages. 0 or -1. */
long holder_start_blind(struct holder *h, struct pages *pages);

/* Have it call @fn: the two share all addresses. -1 if it died. */
long holder_call(struct holder *h, holder_fn fn);

/* Ask it how many pages lost their content; -1 if it died. */
long holder_bad(struct holder *h);

/* End it: its exit status, 0 if all went well. */
int holder_end(struct holder *h);

#endif /* TESTBED_HOLDER_H */
