// SPDX-License-Identifier: GPL-2.0-only
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "creds.h"
#include "deadline.h"
#include "load.h"
#include "metric.h"
#include "writer.h"

#define DEADLINE_US	10e6

/* Of the child, in memory that it shares with the test. */
struct forks {
	long done;
	long wrong;
	bool stop;
	enum load_kind kind;
	uid_t user;
};

static struct forks *forks;
static struct writers writers;
static pthread_t forker;

static void *fork_on(void *arg)
{
	struct pages *p = arg;
	int status;
	pid_t pid;

	while (!__atomic_load_n(&forks->stop, __ATOMIC_ACQUIRE)) {
		pid = fork();
		if (pid == 0)
			_exit(pages_bad(p) ? 1 : 0);
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
			forks->wrong++;
		__atomic_add_fetch(&forks->done, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* The functions that are called in the child. */

static long begin(struct pages *p)
{
	long error = pages_populate(p) ? :
		     creds_become(forks->user, ~0UL >> 23, true);

	if (error)
		return error;
	if (forks->kind == LOAD_FORKS)
		return pthread_create(&forker, NULL, fork_on, p);
	if (writers_prepare(&writers, p->addr, p->count))
		return -1;
	/* The writers' content replaces what the library looks for. */
	pages_want_all(p, UNTOUCHED);
	return writers_start(&writers);
}

static long content(struct pages *p)
{
	return forks->kind == LOAD_FORKS ? pages_bad(p) :
					   *writers_verify(&writers) != '\0';
}

static long end(struct pages *p)
{
	if (forks->kind == LOAD_FORKS) {
		__atomic_store_n(&forks->stop, true, __ATOMIC_RELEASE);
		pthread_join(forker, NULL);
	} else {
		writers_stop(&writers);
	}
	return content(p);
}

long load_begin(struct load *l, enum load_kind kind, uid_t user)
{
	long error;

	forks = mmap(NULL, sizeof(*forks), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (forks == MAP_FAILED || writers_share(&writers))
		return -1;
	l->kind = kind;
	forks->kind = kind;
	forks->user = user;
	error = holder_start(&l->holder, &l->pages, begin);
	l->pages.pid = l->holder.peer.pid;
	return error;
}

int load_await(const struct load *l)
{
	double deadline = deadline_after_us(DEADLINE_US);
	long done;

	if (l->kind == LOAD_WRITERS)
		return writers_await_pass(&writers);
	done = __atomic_load_n(&forks->done, __ATOMIC_ACQUIRE);
	while (__atomic_load_n(&forks->done, __ATOMIC_ACQUIRE) < done + 2) {
		if (metric_now_us() > deadline)
			return -1;
		poll(NULL, 0, 1);
	}
	return 0;
}

const char *load_end(struct load *l)
{
	long bad = holder_call(&l->holder, end);

	if (forks->wrong)
		return "a child of the child found pages without their content";
	if (l->kind == LOAD_WRITERS && writers.shared->bad)
		return "a writer found another word than it had written";
	return bad ? "pages lost their content" : "";
}

const char *load_content(struct load *l)
{
	return holder_call(&l->holder, content) ? "pages lost their content" :
						  "";
}
