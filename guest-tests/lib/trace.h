/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel's tracepoints say, in an instance of our own, so that nobody
 * else's tracing is disturbed (Documentation/trace/ftrace.rst).
 */
#ifndef TESTBED_TRACE_H
#define TESTBED_TRACE_H

#include <stddef.h>

struct trace {
	char dir[96];
};

/* Make the instance; nothing is traced yet. 0 or -errno. */
int trace_begin(struct trace *t);

/* Write to a file of it, such as "tracing_on". 0 or -errno. */
int trace_write(const struct trace *t, const char *file, const char *text);

/*
 * Trace an event, such as "migrate/mm_migrate_pages", where @filter holds;
 * NULL for always. 0 or -errno.
 */
int trace_event(const struct trace *t, const char *event, const char *filter);

/* Forget what was traced so far. 0 or -errno. */
int trace_clear(const struct trace *t);

/* All that was traced, in order of time; to be freed. NULL if unreadable. */
char *trace_text(const struct trace *t);

/*
 * Go through the lines of @text: the next one of an event that is called
 * @event, from @from on; what stands behind "event: ". NULL past the last.
 */
const char *trace_next(const char *from, const char *event);

/* Remove the instance. 0 or -errno. */
int trace_end(const struct trace *t);

#endif /* TESTBED_TRACE_H */
