// SPDX-License-Identifier: GPL-2.0-only
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include "placement.h"
#include "ramfs.h"
#include "syscalls.h"

int ramfs_begin(void)
{
	if (unshare(CLONE_NEWNS) ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -1;
	return mount("ramfs", "/tmp", "ramfs", 0, NULL);
}

/* What is written; there before the policy, of which it is to take no turn. */
static char page[4096];

static const char *write_pages(int fd, long count, int *turn)
{
	long i;

	for (i = 0; i < count; i++) {
		if (numa_get_mempolicy(&turn[i], NULL, NULL, MPOL_F_NODE))
			return "cannot ask whose turn it is";
		if (pwrite(fd, page, sizeof(page), i * sizeof(page)) !=
		    sizeof(page))
			return "cannot write a page";
	}
	return "";
}

const char *ramfs_write_in_turn(int mode, unsigned long nodes, long count,
				int *turn, int *status)
{
	int fd = open("/tmp/in-turn", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
		      0600);
	const char *problem;
	void *addr;

	memset(page, 0, sizeof(page));
	memset(turn, 0, count * sizeof(*turn));
	/* One page first, so that the file has its tree. */
	if (fd < 0 || pwrite(fd, page, 1, count * sizeof(page)) != 1)
		return "cannot make a file";
	if (numa_set_mempolicy(mode, nodes))
		return "cannot set the policy";
	problem = write_pages(fd, count, turn);
	numa_set_mempolicy(MPOL_DEFAULT, 0);
	addr = mmap(NULL, count * PAGE_BYTES, PROT_READ,
		    MAP_SHARED | MAP_POPULATE, fd, 0);
	if (!*problem && (addr == MAP_FAILED ||
			  placement_query(0, addr, count, status)))
		problem = "cannot ask where the pages are";
	close(fd);
	return problem;
}
