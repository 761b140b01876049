// SPDX-License-Identifier: GPL-2.0-only
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mixture.h"
#include "pattern.h"
#include "syscalls.h"

/* Slots of a pipe: the most that one may have by default. */
#define SLOTS		256
#define MAX_PAGE	4096
#define GROUP_FILES	16

/* splitmix64: the same numbers for the same seed. */
static uint64_t draw(uint64_t seed, uint64_t number)
{
	uint64_t z = seed + (number + 1) * 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static void file_name(char *name, size_t bytes, long number)
{
	snprintf(name, bytes, "/tmp/mixture-%ld", number);
}

static int make_file(struct mixture *m)
{
	char name[64];
	int fd;

	file_name(name, sizeof(name), m->files);
	fd = open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	m->files++;
	return close(fd);
}

/* A full page each, or the next would go into the same: pipe_write(). */
static int fill_slot(struct mixture *m)
{
	int *pipe = m->pipes[m->piped / SLOTS];
	static char page[MAX_PAGE];

	pattern_fill(page, m->seed, m->piped);
	if (write(pipe[1], page, PAGE_BYTES) != (ssize_t)PAGE_BYTES)
		return -1;
	m->piped++;
	return 0;
}

/* A group: the user's pages, and what comes after some of them. */
static int allocate_group(struct mixture *m, long first)
{
	const long piped = draw(m->seed, first) % m->group;
	const long pages_a_file = m->group / GROUP_FILES;
	long i;

	for (i = 0; i < m->group; i++) {
		m->user[(first + i) * PAGE_BYTES] = 1;
		if (i == piped && fill_slot(m))
			return -1;
		if (draw(~m->seed, first + i) % pages_a_file == 0 &&
		    make_file(m))
			return -1;
	}
	return 0;
}

static int allocate(struct mixture *m)
{
	long first;

	for (first = 0; first < m->users; first += m->group)
		if (allocate_group(m, first))
			return -1;
	return 0;
}

/* Pipes with room for @pages, all of them empty. 0 or -1. */
static int open_pipes(struct mixture *m, long pages)
{
	long i, count = (pages + SLOTS - 1) / SLOTS;

	m->pipes = calloc(count, sizeof(*m->pipes));
	if (!m->pipes)
		return -1;
	for (i = 0; i < count; i++)
		if (pipe2(m->pipes[i], O_CLOEXEC) ||
		    fcntl(m->pipes[i][1], F_SETPIPE_SZ,
			  SLOTS * PAGE_BYTES) < 0)
			return -1;
	return 0;
}

int mixture_begin(struct mixture *m, int node, long users, long group,
		  uint64_t seed)
{
	int error;

	memset(m, 0, sizeof(*m));
	m->seed = seed;
	m->users = users;
	m->group = group;
	m->user = mmap(NULL, users * PAGE_BYTES, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (users % group || m->user == MAP_FAILED ||
	    madvise(m->user, users * PAGE_BYTES, MADV_NOHUGEPAGE) ||
	    open_pipes(m, users / group) || numa_set_mempolicy(MPOL_BIND, NODE(node)))
		return -1;
	error = allocate(m);
	return numa_set_mempolicy(MPOL_DEFAULT, 0) ? -1 : error;
}

int mixture_pipe(struct mixture *m, int node, long count, uint64_t seed)
{
	int error = 0;

	memset(m, 0, sizeof(*m));
	m->seed = seed;
	if (open_pipes(m, count) || numa_set_mempolicy(MPOL_BIND, NODE(node)))
		return -1;
	while (m->piped < count && !error)
		error = fill_slot(m);
	return numa_set_mempolicy(MPOL_DEFAULT, 0) ? -1 : error;
}

int mixture_drop_users(struct mixture *m)
{
	return munmap(m->user, m->users * PAGE_BYTES);
}

int mixture_drop_files(struct mixture *m)
{
	char name[64];

	while (m->files) {
		file_name(name, sizeof(name), --m->files);
		if (unlink(name))
			return -1;
	}
	return 0;
}

long mixture_end(struct mixture *m)
{
	static char page[MAX_PAGE];
	long i, bad = 0;

	for (i = 0; i < m->piped; i++) {
		if (read(m->pipes[i / SLOTS][0], page, PAGE_BYTES) !=
		    (ssize_t)PAGE_BYTES)
			return -1;
		bad += pattern_check(page, m->seed, i) >= 0;
	}
	for (i = 0; i < m->piped; i += SLOTS)
		if (close(m->pipes[i / SLOTS][0]) ||
		    close(m->pipes[i / SLOTS][1]))
			return -1;
	free(m->pipes);
	return bad;
}
