/* SPDX-License-Identifier: GPL-2.0-only */
/* Who a process is: whether it may touch another depends on it. */
#ifndef TESTBED_CREDS_H
#define TESTBED_CREDS_H

#include <stdbool.h>
#include <sys/types.h>

#include <linux/capability.h>

/* Any two users that are not root; groups have the same numbers. */
#define USER_A		1001
#define USER_B		1002

#define CAP(name)	(1UL << CAP_##name)

/*
 * Become @user, for good: real, effective and saved ids of user and group, no
 * other groups, and of the capabilities those of @caps only, permitted and in
 * effect. 0 or -1.
 *
 * The kernel takes such a process for one that hides something; @dumpable says
 * whether it is to be open to its own user again (PR_SET_DUMPABLE).
 */
int creds_become(uid_t user, unsigned long caps, bool dumpable);

/* Somebody to become, as the variants of a case say it. */
struct role {
	uid_t user;
	unsigned long caps;
	bool hidden;		/* not open to its own user: not dumpable */
};

int creds_take(const struct role *role);

/*
 * Be @user without any capability, for others to see, until creds_return(): the
 * saved ids stay those of root. 0 or -1.
 */
int creds_lend(uid_t user);
int creds_return(void);

/*
 * What @fn answers to @argument in a process of its own that has become @user
 * with @caps: what it gives up is never to be had again. -ECHILD if there was
 * none.
 */
long creds_ask(uid_t user, unsigned long caps, long (*fn)(const void *argument),
	       const void *argument);

#endif /* TESTBED_CREDS_H */
