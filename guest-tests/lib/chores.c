// SPDX-License-Identifier: GPL-2.0-only
#include <sys/mman.h>

#include "chores.h"
#include "creds.h"
#include "pattern.h"
#include "pin.h"
#include "policy.h"
#include "syscalls.h"

long chore_nothing(struct pages *p)
{
	(void)p;
	return 0;
}

long chore_fault_half(struct pages *p)
{
	policy_fault(p, 0, p->count / 2);
	return 0;
}

long chore_look(struct pages *p)
{
	return pages_bad(p);
}

long chore_share_odd(struct pages *p)
{
	long i, bad = pages_bad(p);

	/* Unmapped last: a fault on shared memory maps its neighbours too. */
	for (i = 0; i < p->count; i += 2) {
		pages_want(p, i, 1, UNTOUCHED);
		bad |= madvise(pages_at(p, i), PAGE_BYTES, MADV_DONTNEED);
	}
	return bad;
}

long chore_populate_anew(struct pages *p)
{
	return madvise(p->addr, p->count * PAGE_BYTES, MADV_DONTNEED) ? :
	       pages_populate(p);
}

long chore_populate_and_pin(struct pages *p)
{
	static struct pin pin;

	return pages_populate(p) ? : pin_pages(&pin, pages_at(p, 6), 2);
}

long chore_populate_as_user(struct pages *p)
{
	return pages_populate(p) ? : creds_become(USER_A, 0, true);
}

long chore_populate_and_bind(struct pages *p)
{
	return pages_populate(p) ? :
	       numa_mbind(p->addr, p->count * PAGE_BYTES, MPOL_BIND,
			  NODE(p->want[0]), 0);
}

long chore_touch_other_half(struct pages *p)
{
	long i;

	for (i = p->count / 2; i < p->count; i++) {
		pattern_fill(pages_at(p, i), p->seed, i);
		/* Looked after is what is wanted on a node, whichever. */
		pages_want(p, i, 1, 0);
	}
	return 0;
}
