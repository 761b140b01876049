// SPDX-License-Identifier: GPL-2.0-only
#include "process.h"
#include "subject.h"

static struct process was, now;

long subject_start(struct subject *s, holder_fn prepare)
{
	long error = holder_start(&s->holder, &s->pages, prepare);

	s->pages.pid = s->holder.peer.pid;
	return error;
}

const char *subject_look(struct subject *s)
{
	const char *problem = pages_snapshot(&s->pages);

	if (*problem)
		return problem;
	if (process_read(&was, s->pages.pid) || counters_read(&s->before))
		return "cannot read the state of the child";
	return "";
}

const char *subject_verify(struct subject *s, long failed, const char *what)
{
	const char *problem = pages_verify(&s->pages, what);
	struct counters_want want = s->thps;

	if (process_read(&now, s->pages.pid))
		return "cannot read the state of the child";
	want.moved += subject_moved();
	want.failed += failed;
	if (!*problem)
		problem = counters_verify_all(&s->before, &want);
	if (!*problem && holder_bad(&s->holder))
		problem = "the child finds pages that lost their content";
	return problem;
}

long subject_moved(void)
{
	return process_frames_moved(&was, &now);
}

long subject_was_on(unsigned long nodes)
{
	return process_frames_on(&was, nodes);
}

long subject_is_on(unsigned long nodes)
{
	return process_frames_on(&now, nodes);
}
