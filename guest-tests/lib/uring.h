/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * As much of io_uring(7) as pins pages: one fixed buffer, which is pinned with
 * FOLL_LONGTERM from its registration to its end (io_sqe_buffer_register() in
 * io_uring/rsrc.c, 6.12), and reads and writes by way of it, one at a time.
 */
#ifndef TESTBED_URING_H
#define TESTBED_URING_H

#include <stddef.h>

struct io_uring_sqe;
struct io_uring_cqe;

struct uring {
	int fd;
	unsigned int *sq_tail;
	unsigned int *sq_mask;
	unsigned int *sq_array;
	unsigned int *cq_head;
	unsigned int *cq_tail;
	unsigned int *cq_mask;
	struct io_uring_cqe *cqes;
	void *ring;
	size_t ring_bytes;
	struct io_uring_sqe *sqes;
};

/* 0 or -errno: EPERM or ENOSYS where there is no io_uring. */
int uring_open(struct uring *u);

/* The kernel ends what is left of it, the buffer too, some time after that. */
void uring_close(struct uring *u);

/* Make the range the fixed buffer, pinned until it is given back. 0, -errno. */
int uring_register(struct uring *u, void *addr, size_t bytes);
int uring_unregister(struct uring *u);

/* Begin to read into, to write from the fixed buffer. 0 or -errno. */
int uring_read_fixed(struct uring *u, int fd, void *addr, size_t bytes);
int uring_write_fixed(struct uring *u, int fd, void *addr, size_t bytes);

/* Whether what was begun has not ended yet. */
int uring_is_pending(const struct uring *u);

/* Wait for it: bytes or -errno. */
long uring_wait(struct uring *u);

#endif /* TESTBED_URING_H */
