// SPDX-License-Identifier: GPL-2.0-only
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/userfaultfd.h>

#include "pin_held.h"
#include "syscalls.h"

#define DEADLINE_MS	10000

static int register_missing(struct pin_held *held)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = {
			.start = (unsigned long)held->missing,
			.len = PAGE_BYTES,
		},
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	held->uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (held->uffd < 0)
		return -1;
	if (ioctl(held->uffd, UFFDIO_API, &api) ||
	    ioctl(held->uffd, UFFDIO_REGISTER, &range)) {
		close(held->uffd);
		return -1;
	}
	return 0;
}

static void *run(void *argument)
{
	struct pin_held *held = argument;

	held->result = held->call(held->arg);
	return NULL;
}

int pin_held_begin(struct pin_held *held, pin_held_fn call, void *arg,
		   void *missing)
{
	struct pollfd fault = { .events = POLLIN };
	struct uffd_msg message;

	held->missing = missing;
	held->call = call;
	held->arg = arg;
	if (register_missing(held))
		return -1;
	if (pthread_create(&held->thread, NULL, run, held))
		return -1;
	fault.fd = held->uffd;
	if (poll(&fault, 1, DEADLINE_MS) != 1 ||
	    read(held->uffd, &message, sizeof(message)) != sizeof(message))
		return -1;
	return message.event == UFFD_EVENT_PAGEFAULT ? 0 : -1;
}

long pin_held_finish(struct pin_held *held, const void *content)
{
	struct uffdio_copy copy = {
		.dst = (unsigned long)held->missing,
		.src = (unsigned long)content,
		.len = PAGE_BYTES,
	};

	if (ioctl(held->uffd, UFFDIO_COPY, &copy))
		return -errno;
	pthread_join(held->thread, NULL);
	close(held->uffd);
	return held->result;
}
