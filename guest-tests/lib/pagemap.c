// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "pagemap.h"
#include "proc.h"
#include "syscalls.h"

static int read_entries(const char *path, uint64_t first, long count,
			uint64_t *entries)
{
	size_t bytes = count * sizeof(*entries);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return -1;
	got = pread(fd, entries, bytes, first * sizeof(*entries));
	close(fd);
	if (got == (ssize_t)bytes)
		return 0;
	if (got >= 0)
		errno = EIO;
	return -1;
}

int pagemap_read(pid_t pid, const void *addr, long count, uint64_t *entries)
{
	char path[64];

	proc_path(path, sizeof(path), pid, "pagemap");
	return read_entries(path, (uintptr_t)addr / PAGE_BYTES, count, entries);
}

long pagemap_count(pid_t pid, const void *addr, long count, uint64_t mask,
		   uint64_t value)
{
	uint64_t entries[count];
	long i, found = 0;

	if (pagemap_read(pid, addr, count, entries))
		return -1;
	for (i = 0; i < count; i++)
		found += (entries[i] & mask) == value;
	return found;
}

uint64_t pagemap_pfn(uint64_t entry)
{
	return entry & PM_PRESENT ? entry & PM_PFN_MASK : 0;
}

uint64_t pagemap_frame(pid_t pid, const void *addr)
{
	uint64_t entry;

	return pagemap_read(pid, addr, 1, &entry) ? 0 : pagemap_pfn(entry);
}

int kpageflags_read(uint64_t pfn, uint64_t *flags)
{
	return read_entries("/proc/kpageflags", pfn, 1, flags);
}

int pagemap_clear_soft_dirty(void)
{
	return proc_write("/proc/self/clear_refs", "4");
}
