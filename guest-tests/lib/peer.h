/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Another process of a test, and a channel of numbers in each direction: a
 * send on one side wakes the receive on the other, so no test ever sleeps.
 * The peer dies with the test (PR_SET_PDEATHSIG); a receive from a process
 * that died fails, so no test ever hangs on one.
 */
#ifndef TESTBED_PEER_H
#define TESTBED_PEER_H

#include <sys/types.h>

struct peer {
	pid_t pid;	/* the other side's */
	int in;
	int out;
};

/*
 * Like fork(2): 0 in the child, whose @peer is then its parent. @peer is not
 * to be in memory that the two share.
 */
pid_t peer_fork(struct peer *peer);

/* 0 or -1. */
int peer_send(struct peer *peer, long value);
int peer_receive(struct peer *peer, long *value);

/* Close the channel and wait: the exit status, or 128 + the signal's number. */
int peer_end(struct peer *peer);

#endif /* TESTBED_PEER_H */
