// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "idle.h"

#define BITMAP		"/sys/kernel/mm/page_idle/bitmap"

/* The bitmap is read and written by words of eight bytes, a bit a frame. */
static off_t word_of(uint64_t pfn)
{
	return pfn / 64 * sizeof(uint64_t);
}

int idle_mark(uint64_t pfn)
{
	int fd = open(BITMAP, O_WRONLY | O_CLOEXEC), error = 0;
	uint64_t word = 1UL << pfn % 64;

	if (fd < 0)
		return -errno;
	if (pwrite(fd, &word, sizeof(word), word_of(pfn)) != sizeof(word))
		error = -errno;
	close(fd);
	return error;
}

int idle_is(uint64_t pfn)
{
	int fd = open(BITMAP, O_RDONLY | O_CLOEXEC), answer;
	uint64_t word;

	if (fd < 0)
		return -errno;
	if (pread(fd, &word, sizeof(word), word_of(pfn)) == sizeof(word))
		answer = word >> pfn % 64 & 1;
	else
		answer = -EIO;
	close(fd);
	return answer;
}
