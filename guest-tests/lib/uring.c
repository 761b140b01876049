// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/io_uring.h>

#include "syscalls.h"
#include "uring.h"

#define ENTRIES	4

static int map_rings(struct uring *u, const struct io_uring_params *params)
{
	size_t sq = params->sq_off.array + ENTRIES * sizeof(unsigned int);
	size_t cq = params->cq_off.cqes +
		    params->cq_entries * sizeof(struct io_uring_cqe);
	char *ring;

	/* One mapping has both rings (IORING_FEAT_SINGLE_MMAP, 5.4). */
	u->ring_bytes = sq > cq ? sq : cq;
	ring = mmap(NULL, u->ring_bytes, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_POPULATE, u->fd, IORING_OFF_SQ_RING);
	u->sqes = mmap(NULL, ENTRIES * sizeof(*u->sqes), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_POPULATE, u->fd, IORING_OFF_SQES);
	if (ring == MAP_FAILED || u->sqes == MAP_FAILED)
		return -errno;
	u->ring = ring;
	u->sq_tail = (void *)(ring + params->sq_off.tail);
	u->sq_mask = (void *)(ring + params->sq_off.ring_mask);
	u->sq_array = (void *)(ring + params->sq_off.array);
	u->cq_head = (void *)(ring + params->cq_off.head);
	u->cq_tail = (void *)(ring + params->cq_off.tail);
	u->cq_mask = (void *)(ring + params->cq_off.ring_mask);
	u->cqes = (void *)(ring + params->cq_off.cqes);
	return 0;
}

int uring_open(struct uring *u)
{
	struct io_uring_params params;
	int error;

	memset(&params, 0, sizeof(params));
	u->fd = syscall(SYS_io_uring_setup, ENTRIES, &params);
	if (u->fd < 0)
		return -errno;
	error = map_rings(u, &params);
	if (error)
		close(u->fd);
	return error;
}

void uring_close(struct uring *u)
{
	/* Mappings of it would keep it. */
	munmap(u->ring, u->ring_bytes);
	munmap(u->sqes, ENTRIES * sizeof(*u->sqes));
	close(u->fd);
}

int uring_register(struct uring *u, void *addr, size_t bytes)
{
	struct iovec range = { .iov_base = addr, .iov_len = bytes };

	return kernel_result(syscall(SYS_io_uring_register, u->fd,
				     IORING_REGISTER_BUFFERS, &range, 1));
}

int uring_unregister(struct uring *u)
{
	return kernel_result(syscall(SYS_io_uring_register, u->fd,
				     IORING_UNREGISTER_BUFFERS, NULL, 0));
}

static int submit(struct uring *u, int opcode, int fd, void *addr, size_t bytes)
{
	unsigned int tail = *u->sq_tail, index = tail & *u->sq_mask;
	struct io_uring_sqe *sqe = &u->sqes[index];
	long result;

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = opcode;
	sqe->fd = fd;
	sqe->addr = (unsigned long)addr;
	sqe->len = bytes;
	u->sq_array[index] = index;
	__atomic_store_n(u->sq_tail, tail + 1, __ATOMIC_RELEASE);
	result = kernel_result(syscall(SYS_io_uring_enter, u->fd, 1, 0, 0,
				       NULL, 0));
	if (result < 0)
		return result;
	return result == 1 ? 0 : -EIO;
}

int uring_read_fixed(struct uring *u, int fd, void *addr, size_t bytes)
{
	return submit(u, IORING_OP_READ_FIXED, fd, addr, bytes);
}

int uring_write_fixed(struct uring *u, int fd, void *addr, size_t bytes)
{
	return submit(u, IORING_OP_WRITE_FIXED, fd, addr, bytes);
}

int uring_is_pending(const struct uring *u)
{
	return *u->cq_head == __atomic_load_n(u->cq_tail, __ATOMIC_ACQUIRE);
}

long uring_wait(struct uring *u)
{
	unsigned int head = *u->cq_head;
	long result;

	while (uring_is_pending(u)) {
		result = kernel_result(syscall(SYS_io_uring_enter, u->fd, 0, 1,
					       IORING_ENTER_GETEVENTS, NULL,
					       0));
		if (result < 0 && result != -EINTR)
			return result;
	}
	result = u->cqes[head & *u->cq_mask].res;
	__atomic_store_n(u->cq_head, head + 1, __ATOMIC_RELEASE);
	return result;
}
