// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/userfaultfd.h>

#include "syscalls.h"
#include "uffd.h"

#define DEADLINE_MS	10000

int uffd_watch_writes(void *addr, size_t bytes)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_PAGEFAULT_FLAG_WP,
	};
	struct uffdio_register range = {
		.range = { .start = (uintptr_t)addr, .len = bytes },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK), error;

	if (fd < 0)
		return -errno;
	if (!ioctl(fd, UFFDIO_API, &api) &&
	    !ioctl(fd, UFFDIO_REGISTER, &range))
		return fd;
	error = -errno;
	close(fd);
	return error;
}

int uffd_protect(int fd, void *addr, size_t bytes, bool on)
{
	struct uffdio_writeprotect request = {
		.range = { .start = (uintptr_t)addr, .len = bytes },
		.mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	return ioctl(fd, UFFDIO_WRITEPROTECT, &request) ? -errno : 0;
}

struct writer {
	volatile char *byte;
	int done;
};

static void *write_byte(void *data)
{
	struct writer *writer = data;

	*writer->byte = *writer->byte;
	eventfd_write(writer->done, 1);
	return NULL;
}

/* Take the one event there is; whether it is a write to the page of @addr. */
static int take_event(int fd, void *addr, size_t bytes)
{
	uintptr_t page = (uintptr_t)addr & -bytes;
	struct uffd_msg message;

	if (read(fd, &message, sizeof(message)) != sizeof(message))
		return -EIO;
	if (message.event != UFFD_EVENT_PAGEFAULT ||
	    (message.arg.pagefault.address & -bytes) != page ||
	    !(message.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP))
		return -EPROTO;
	return uffd_protect(fd, (void *)page, bytes, false) ? : 1;
}

int uffd_write_in(int fd, void *addr, size_t bytes)
{
	struct writer writer = { addr, eventfd(0, EFD_CLOEXEC) };
	struct pollfd wait[] = {
		{ .fd = writer.done, .events = POLLIN },
		{ .fd = fd, .events = POLLIN },
	};
	int told = 0, events = 0;
	pthread_t thread;

	if (writer.done < 0 ||
	    pthread_create(&thread, NULL, write_byte, &writer))
		return -errno;
	for (;;) {
		/* A thread that is stuck ends with the test's process. */
		if (poll(wait, 2, DEADLINE_MS) <= 0)
			return -ETIMEDOUT;
		if (wait[1].revents) {
			told = take_event(fd, addr, bytes);
			if (told < 0 || ++events > 1)
				return told < 0 ? told : -EALREADY;
		}
		if (wait[0].revents)
			break;
	}
	pthread_join(thread, NULL);
	close(writer.done);
	return told;
}

int uffd_write(int fd, void *addr)
{
	return uffd_write_in(fd, addr, PAGE_BYTES);
}
