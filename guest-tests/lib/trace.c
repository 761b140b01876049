// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proc.h"
#include "trace.h"

#define TRACEFS		"/sys/kernel/tracing"

int trace_write(const struct trace *t, const char *file, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", t->dir, file);
	return proc_write(path, text);
}

int trace_begin(struct trace *t)
{
	if (access(TRACEFS "/instances", F_OK) &&
	    mount("tracefs", TRACEFS, "tracefs", 0, NULL))
		return -errno;
	snprintf(t->dir, sizeof(t->dir), TRACEFS "/instances/testbed-%d",
		 getpid());
	if (mkdir(t->dir, 0700))
		return -errno;
	/* One clock for all CPUs, so that events of two have an order. */
	return trace_write(t, "trace_clock", "global");
}

int trace_event(const struct trace *t, const char *event, const char *filter)
{
	char file[128];
	int error = 0;

	if (filter) {
		snprintf(file, sizeof(file), "events/%s/filter", event);
		error = trace_write(t, file, filter);
	}
	if (error)
		return error;
	snprintf(file, sizeof(file), "events/%s/enable", event);
	return trace_write(t, file, "1");
}

int trace_clear(const struct trace *t)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/trace", t->dir);
	/* It is the truncation that clears it: tracing_open(), 6.12. */
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	return fd < 0 ? -errno : close(fd);
}

char *trace_text(const struct trace *t)
{
	char path[256], *text = NULL;
	size_t bytes = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/trace", t->dir);
	file = fopen(path, "re");
	if (!file)
		return NULL;
	/* The text has no NUL: all of it is one "line". */
	if (getdelim(&text, &bytes, '\0', file) < 0) {
		free(text);
		text = NULL;
	}
	fclose(file);
	return text;
}

const char *trace_next(const char *from, const char *event)
{
	char mark[64];
	const char *found;

	snprintf(mark, sizeof(mark), " %s: ", event);
	found = strstr(from, mark);
	return found ? found + strlen(mark) : NULL;
}

int trace_end(const struct trace *t)
{
	return rmdir(t->dir) ? -errno : 0;
}
