// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <linux/kernel-page-flags.h>

#include "idle.h"
#include "pagemap.h"

#define BITMAP		"/sys/kernel/mm/page_idle/bitmap"

/*
 * The bitmap is read and written by words of eight bytes, a bit a frame. A last
 * word that memory does not fill is worked on as any other, but counts for
 * nothing: the answer is 0 bytes (known-issues/page-idle-last-word.md).
 */
static off_t word_of(uint64_t pfn)
{
	return pfn / 64 * sizeof(uint64_t);
}

int idle_mark(uint64_t pfn)
{
	int fd = open(BITMAP, O_WRONLY | O_CLOEXEC), error = 0;
	uint64_t word = 1UL << pfn % 64;
	ssize_t bytes;

	if (fd < 0)
		return -errno;
	bytes = pwrite(fd, &word, sizeof(word), word_of(pfn));
	if (bytes != sizeof(word) && bytes != 0)
		error = bytes < 0 ? -errno : -EIO;
	close(fd);
	return error;
}

int idle_is(uint64_t pfn)
{
	int fd = open(BITMAP, O_RDONLY | O_CLOEXEC), answer;
	uint64_t word, flags;
	ssize_t bytes;

	if (fd < 0)
		return -errno;
	bytes = pread(fd, &word, sizeof(word), word_of(pfn));
	if (bytes == sizeof(word))
		answer = word >> pfn % 64 & 1;
	else if (bytes == 0 && kpageflags_read(pfn, &flags) == 0)
		answer = flags >> KPF_IDLE & 1;
	else
		answer = -EIO;
	close(fd);
	return answer;
}
