// SPDX-License-Identifier: GPL-2.0-only
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "pin.h"
#include "syscalls.h"

int pin_pages(struct pin *pin, void *addr, long count)
{
	struct iovec range = {
		.iov_base = addr,
		.iov_len = count * PAGE_BYTES,
	};

	if (pipe2(pin->pipe, O_CLOEXEC))
		return -1;
	if (vmsplice(pin->pipe[1], &range, 1, SPLICE_F_NONBLOCK) ==
	    (ssize_t)range.iov_len)
		return 0;
	pin_release(pin);
	return -1;
}

void pin_release(struct pin *pin)
{
	close(pin->pipe[0]);
	close(pin->pipe[1]);
}
