/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A system call that is stopped half-way, with the pages pinned that it works
 * on, for as long as a test likes.
 *
 * It runs in a thread of its own on memory of which one page is missing and
 * registered with userfaultfd(2). The kernel takes its references one page
 * after the other (__get_user_pages() in mm/gup.c, 6.12) and, once it faults
 * on the missing page, waits there, without mmap_lock but with the references
 * to the pages before. No device has to be slow for that.
 */
#ifndef TESTBED_PIN_HELD_H
#define TESTBED_PIN_HELD_H

#include <pthread.h>

/* The call; its result or -errno. */
typedef long (*pin_held_fn)(void *arg);

struct pin_held {
	int uffd;
	void *missing;
	pin_held_fn call;
	void *arg;
	long result;
	pthread_t thread;
};

/*
 * Call @call(@arg) in a thread, which comes upon @missing, a page of private
 * anonymous memory that was never touched; return when it waits there. 0 or
 * -1: it did not come there within 10 s.
 */
int pin_held_begin(struct pin_held *held, pin_held_fn call, void *arg,
		   void *missing);

/* Give it the page, with this content, and let it finish: its result. */
long pin_held_finish(struct pin_held *held, const void *content);

#endif /* TESTBED_PIN_HELD_H */
