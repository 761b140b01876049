/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A child that is busy with its pages while they are moved: two writers, which
 * verify what they wrote, or forks one after the other, whose children verify
 * what they inherit. It still does what holder_call() asks.
 *
 * One at a time.
 */
#ifndef TESTBED_LOAD_H
#define TESTBED_LOAD_H

#include <sys/types.h>

#include "holder.h"
#include "pages.h"

enum load_kind {
	LOAD_WRITERS,
	LOAD_FORKS,
};

struct load {
	struct pages pages;
	struct holder holder;
	enum load_kind kind;
};

/*
 * Start it over l->pages, which are mapped and wanted somewhere, as @user, who
 * keeps all capabilities. 0 or not.
 */
long load_begin(struct load *l, enum load_kind kind, uid_t user);

/* Wait until the load has gone over all pages once more. 0, or -1 in time. */
int load_await(const struct load *l);

/* End the load, not the child. "" or what it found wrong. */
const char *load_end(struct load *l);

/* After that: "" if all that it left in its pages is there still. */
const char *load_content(struct load *l);

#endif /* TESTBED_LOAD_H */
