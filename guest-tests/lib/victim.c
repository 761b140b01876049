// SPDX-License-Identifier: GPL-2.0-only
#include <signal.h>
#include <unistd.h>

#include "victim.h"

static struct holder victim;

long victim_start(struct pages *p, holder_fn prepare)
{
	return holder_start(&victim, p, prepare);
}

pid_t victim_pid(void)
{
	return victim.peer.pid;
}

const char *victim_kill(void)
{
	kill(victim.peer.pid, SIGKILL);
	return holder_end(&victim) == 128 + SIGKILL ? "" :
	       "the child did not die of the signal";
}

static long run_true(struct pages *p)
{
	(void)p;
	execl("/bin/busybox", "true", (char *)NULL);
	_exit(99);
}

const char *victim_exec(void)
{
	/* No answer comes: the pipes are closed by the execve(2). */
	return holder_call(&victim, run_true) == -1 && !holder_end(&victim) ?
	       "" : "the program did not end well";
}

static void act(struct contest *c, const char *problem)
{
	if (*problem)
		c->wrong = problem;
	c->acted++;
}

void victim_killed(void *contest, int round)
{
	(void)round;
	act(contest, victim_kill());
}

void victim_executes(void *contest, int round)
{
	(void)round;
	act(contest, victim_exec());
}

const char *victim_end(struct contest *c)
{
	if (holder_bad(&victim))
		return "the last child finds pages that lost their content";
	if (holder_end(&victim))
		return "the last child did not end well";
	if (pages_bad(&c->pages))
		return "the parent's own pages lost their content";
	return pages_verify(&c->pages, "the parent's own");
}
