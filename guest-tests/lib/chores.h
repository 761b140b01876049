/* SPDX-License-Identifier: GPL-2.0-only */
/* What the children of many cases do with their pages, as a holder_fn. */
#ifndef TESTBED_CHORES_H
#define TESTBED_CHORES_H

#include "pages.h"

/* Nothing: it is there, and has them mapped. */
long chore_nothing(struct pages *p);

/* Fill the first half of them, wherever the policies have it. */
long chore_fault_half(struct pages *p);

/* Map them, by reading all that are wanted somewhere: how many are bad. */
long chore_look(struct pages *p);

/* Have the odd ones in common with the parent, and the even ones not. */
long chore_share_odd(struct pages *p);

/* Throw them away, and have pages of its own where they are wanted. */
long chore_populate_anew(struct pages *p);

/* Populate them, and pin pages 6 and 7 for as long as the child lives. */
long chore_populate_and_pin(struct pages *p);

/* Populate them, and become USER_A, who is open to others of that user. */
long chore_populate_as_user(struct pages *p);

/* Populate them, and bind all of the range to the node of the first. */
long chore_populate_and_bind(struct pages *p);

/* Fill the second half of them, wherever it comes, and look after it too. */
long chore_touch_other_half(struct pages *p);

#endif /* TESTBED_CHORES_H */
