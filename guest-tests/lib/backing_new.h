/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where new pages of a kind of memory come from: for what moves none, but
 * decides where the next one is allocated.
 */
#ifndef TESTBED_BACKING_NEW_H
#define TESTBED_BACKING_NEW_H

#include "backing.h"

/*
 * Have the policies that are set now decide where the area's pages come to be:
 * fill it, which is to lead to @node. "" if it does, two ways, and it is what
 * it claims to be.
 */
const char *area_fill_by_policy(struct area *area, int node, const char *what);

/*
 * area_finish(), and "" if the pages that this made are on @node: copies that
 * writing makes, what comes back from the disk, what userfaultfd fills in.
 */
const char *area_finish_by_policy(struct area *area, int node);

/*
 * mbind(2) without flags, and set_mempolicy_home_node(2): all that is mapped of
 * it, the twin and what is still missing too. 0 or -errno.
 */
long area_bind_range(const struct area *area, int mode, unsigned long nodes);
long area_give_home(const struct area *area, int node);

#endif /* TESTBED_BACKING_NEW_H */
