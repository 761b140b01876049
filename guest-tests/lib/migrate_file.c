// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "migrate_file.h"
#include "nodes.h"
#include "proc.h"
#include "syscalls.h"

#define BUFFERS		4
#define BUFFER_BYTES	256
#define MAPS_BYTES	65536

/* Maps and results do not take each other's. */
struct ring {
	char buffer[BUFFERS][BUFFER_BYTES];
	int last;
};

static struct ring maps, results;

static char *next_buffer(struct ring *ring)
{
	ring->last = (ring->last + 1) % BUFFERS;
	return ring->buffer[ring->last];
}

int migrate_file_open(pid_t pid)
{
	char path[64];
	int fd;

	proc_path(path, sizeof(path), pid, "migrate");
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

long migrate_file_ask(int fd, const char *request)
{
	const ssize_t bytes = strlen(request);
	ssize_t taken = write(fd, request, bytes);

	if (taken < 0)
		return -errno;
	return taken == bytes ? 0 : -EMSGSIZE;
}

long migrate_file_ask_span(int fd, const void *start, const void *end,
			   const char *map)
{
	char request[BUFFER_BYTES];

	snprintf(request, sizeof(request), "%lx-%lx %s\n",
		 (unsigned long)start, (unsigned long)end, map);
	return migrate_file_ask(fd, request);
}

long migrate_file_ask_range(int fd, const struct pages *p, long first,
			    long count, const char *map)
{
	return migrate_file_ask_span(fd, pages_at(p, first),
				     pages_at(p, first + count), map);
}

long migrate_file_ask_all(int fd, const char *map)
{
	char request[BUFFER_BYTES];

	snprintf(request, sizeof(request), "0-0 %s\n", map);
	return migrate_file_ask(fd, request);
}

const char *migrate_file_told(int fd)
{
	char *text = next_buffer(&results);
	size_t length = 0;
	ssize_t more;

	do {
		more = read(fd, text + length, BUFFER_BYTES - 1 - length);
		if (more < 0)
			return strerrorname_np(errno);
		length += more;
	} while (more && length < BUFFER_BYTES - 1);
	text[length] = '\0';
	return text;
}

const char *migrate_file_text(long moved, long failed, long shared)
{
	char *text = next_buffer(&results);

	snprintf(text, BUFFER_BYTES, "moved: %ld\nfailed: %ld\nshared: %ld\n",
		 moved, failed, shared);
	return text;
}

int migrate_file_read(int fd, struct migrate_told *told)
{
	const char *text = migrate_file_told(fd);

	if (sscanf(text, "moved: %ld\nfailed: %ld\nshared: %ld\n",
		   &told->moved, &told->failed, &told->shared) != 3)
		return -1;
	/* Nothing else, before, between or behind. */
	return strcmp(text, migrate_file_text(told->moved, told->failed,
					      told->shared)) ? -1 : 0;
}

const char *migrate_file_ask_maps(int fd, pid_t pid, const char *map,
				  struct migrate_told *sum)
{
	static char text[MAPS_BYTES];
	struct migrate_told told;
	char path[64], request[BUFFER_BYTES], *line;
	int length;

	memset(sum, 0, sizeof(*sum));
	proc_path(path, sizeof(path), pid, "maps");
	if (proc_read(path, text, sizeof(text)) <= 0)
		return "cannot read maps";
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		length = strcspn(line, " ");
		snprintf(request, sizeof(request), "%.*s %s", length, line,
			 map);
		if (migrate_file_ask(fd, request))
			return "a line of maps is refused";
		if (migrate_file_read(fd, &told))
			return "nothing is told of a line of maps";
		sum->moved += told.moved;
		sum->failed += told.failed;
		sum->shared += told.shared;
	}
	return "";
}

const char *migrate_map_one(int from, int to)
{
	char *text = next_buffer(&maps);

	snprintf(text, BUFFER_BYTES, "%d:%d", from, to);
	return text;
}

const char *migrate_map_two(int from, int to, int from2, int to2)
{
	char *text = next_buffer(&maps);

	snprintf(text, BUFFER_BYTES, "%d:%d,%d:%d", from, to, from2, to2);
	return text;
}

const char *migrate_map_sets(unsigned long from, unsigned long to)
{
	char *text = next_buffer(&maps);

	snprintf(text, BUFFER_BYTES, "sets:%s:%s", nodes_text(from),
		 nodes_text(to));
	return text;
}
