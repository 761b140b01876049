// SPDX-License-Identifier: GPL-2.0-only
/*
 * process_madvise(2) on another process: who may. It takes two rights, and
 * tells by the error which one is missing:
 *
 *  - EACCES without PTRACE_MODE_READ of the target (mm_access() in
 *    kernel/fork.c; its man page says EPERM);
 *  - EPERM without CAP_SYS_NICE, also for a process of one's own user.
 *
 * Upon itself a process needs neither since "mm/madvise: process_madvise() drop
 * capability check if same mm" (6.13, and 6.12.y), before that CAP_SYS_NICE.
 *
 * What a user may page out of a file is what he may write to, and what he has
 * copied of it; the latter since "mm/madvise: fix madvise_pageout for private
 * file mappings" (6.3).
 *
 * testbed:
 *   nodes: 2
 *   swap_mib: 64
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, SWAP, MULTIUSER, TMPFS,
 *     ADVISE_SYSCALLS]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   covers:
 *     - {cases: "advice_whose.*", interface: process_madvise,
 *        backing: anon-private, condition: no-capability}
 *     - {cases: "advice_file.*", interface: pageout,
 *        backing: [shmem, file-cow], condition: no-capability}
 */
#include "harness.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "advised.h"
#include "creds.h"
#include "kernel.h"
#include "nodes.h"
#include "pagemap.h"
#include "pages.h"
#include "pattern.h"

#define COUNT		16

FIXTURE(advice_whose)
{
	struct advised advised;
	struct counters before;
};

FIXTURE_VARIANT(advice_whose)
{
	struct role target;
	struct role caller;
	long refused;	/* -errno, or 0 if it may */
};

FIXTURE_VARIANT_ADD(advice_whose, same_user)
{
	.target = { .user = USER_A },
	.caller = { .user = USER_A },
	.refused = -EPERM,
};

FIXTURE_VARIANT_ADD(advice_whose, same_user_with_nice)
{
	.target = { .user = USER_A },
	.caller = { .user = USER_A, .caps = CAP(SYS_NICE) },
	.refused = 0,
};

FIXTURE_VARIANT_ADD(advice_whose, other_user)
{
	.target = { .user = USER_A },
	.caller = { .user = USER_B },
	.refused = -EACCES,
};

FIXTURE_VARIANT_ADD(advice_whose, other_user_with_nice)
{
	.target = { .user = USER_A },
	.caller = { .user = USER_B, .caps = CAP(SYS_NICE) },
	.refused = -EACCES,
};

FIXTURE_VARIANT_ADD(advice_whose, other_user_with_ptrace)
{
	.target = { .user = USER_A },
	.caller = { .user = USER_B, .caps = CAP(SYS_PTRACE) },
	.refused = -EPERM,
};

FIXTURE_VARIANT_ADD(advice_whose, other_user_with_both)
{
	.target = { .user = USER_A },
	.caller = { .user = USER_B, .caps = CAP(SYS_PTRACE) | CAP(SYS_NICE) },
	.refused = 0,
};

FIXTURE_VARIANT_ADD(advice_whose, of_root)
{
	.target = { .user = 0, .caps = CAP(CHOWN) },
	.caller = { .user = USER_A, .caps = CAP(SYS_NICE) },
	.refused = -EACCES,
};

/* For the child, which is forked and sees what was set before. */
static const struct role *target_role;

/* Called in the child. */
static long become_target(struct pages *p)
{
	(void)p;
	return creds_take(target_role);
}

static struct pages *start(struct advised *a, int node)
{
	struct pages *p = &a->subject.pages;

	if (pages_map(p, COUNT, MAP_PRIVATE))
		return NULL;
	pages_want_all(p, node);
	a->from_outside = true;
	return advised_start(a) ||
	       holder_call(&a->subject.holder, become_target) ? NULL : p;
}

FIXTURE_SETUP(advice_whose)
{
	int a = nodes_nth(nodes_with_memory(), 0);

	if (nodes_count(nodes_with_memory()) < 2)
		SKIP(return, "needs 2 nodes with memory");
	ASSERT_EQ(0, nodes_run_on(a));
	target_role = &variant->target;
	ASSERT_NE(NULL, start(&self->advised, a));
	ASSERT_CLEAN(subject_look(&self->advised.subject));
}

/* Mappings and peers end with the test's process. */
FIXTURE_TEARDOWN(advice_whose)
{
}

/* Advice upon all of @pages, in process @pid: 0 is whoever asks. */
struct request {
	pid_t pid;
	const struct pages *pages;
	int advice;
};

/* Called in the process that asks. */
static long ask(const void *request)
{
	const struct request *r = request;
	struct iovec range = {
		.iov_base = r->pages->addr,
		.iov_len = r->pages->count * PAGE_BYTES,
	};

	return advise_ranges(r->pid ? : getpid(), &range, 1, r->advice);
}

/* What a process of that role is answered. */
static long ask_as(const struct role *role, const struct pages *p, int advice)
{
	const struct request request = {
		.pid = p->pid,
		.pages = p,
		.advice = advice,
	};

	return creds_ask(role->user, role->caps, ask, &request);
}

#define BYTES		((long)(COUNT * PAGE_BYTES))

TEST_F(advice_whose, cold)
{
	struct subject *s = &self->advised.subject;
	long result = ask_as(&variant->caller, &s->pages, MADV_COLD);

	EXPECT_EQ(variant->refused ? : BYTES, result);
	EXPECT_CLEAN(subject_verify(s, 0, "MADV_COLD by another process"));
	EXPECT_EQ(0, subject_moved());
	EXPECT_EQ(0, holder_end(&s->holder));
}

TEST_F(advice_whose, pageout)
{
	struct subject *s = &self->advised.subject;
	struct pages *p = &s->pages;
	long result = ask_as(&variant->caller, p, MADV_PAGEOUT);

	EXPECT_EQ(variant->refused ? : BYTES, result);
	if (variant->refused) {
		EXPECT_CLEAN(subject_verify(s, 0, "MADV_PAGEOUT refused"));
		EXPECT_EQ(0, subject_moved());
	} else {
		pages_want_all(p, UNTOUCHED);
		EXPECT_CLEAN(pages_verify(p, "MADV_PAGEOUT by another"));
		EXPECT_CLEAN(counters_verify(&s->before, 0, 0));
	}
	EXPECT_EQ(0, advised_read(&self->advised, 0, COUNT));
	EXPECT_EQ(0, holder_end(&s->holder));
}

FIXTURE(advice_own)
{
	struct pages pages;
	struct counters before;
};

FIXTURE_SETUP(advice_own)
{
	struct pages *p = &self->pages;

	ASSERT_EQ(0, pages_map(p, COUNT, MAP_PRIVATE));
	pages_want_all(p, nodes_nth(nodes_with_memory(), 0));
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_CLEAN(pages_snapshot(p));
	ASSERT_EQ(0, counters_read(&self->before));
}

FIXTURE_TEARDOWN(advice_own)
{
}

/* A process that asks about itself, without any capability. */
TEST_F(advice_own, without_capabilities)
{
	const struct role nobody = { .user = USER_A };

	EXPECT_EQ(kernel_before(6, 12) ? -EPERM : BYTES,
		  ask_as(&nobody, &self->pages, MADV_COLD));
	EXPECT_CLEAN(pages_verify(&self->pages, "advice upon a copy of it"));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 0));
}

FIXTURE(advice_file)
{
	int a;
	struct advised advised;
	struct pages *pages;
};

/* Pages of a tmpfs file of root's that nobody else may write to. */
FIXTURE_SETUP(advice_file)
{
	self->a = nodes_nth(nodes_with_memory(), 0);
	ASSERT_EQ(0, nodes_run_on(self->a));
	self->pages = &self->advised.subject.pages;
}

#define FILE_PATH	"/tmp/advice_file"

FIXTURE_TEARDOWN(advice_file)
{
	unlink(FILE_PATH);
}

/* Map it where there is room for it, as @prot and @flags say. 0 or -1. */
static int map_file(struct pages *p, int prot, int flags)
{
	int fd = open(FILE_PATH, (prot & PROT_WRITE && flags & MAP_SHARED ?
				  O_RDWR : O_RDONLY) | O_CLOEXEC);
	void *at;

	if (fd < 0)
		return -1;
	at = mmap(p->addr, COUNT * PAGE_BYTES, prot, flags | MAP_FIXED, fd, 0);
	close(fd);
	return at == p->addr ? 0 : -1;
}

static int make_file(struct pages *p, int node)
{
	int fd = open(FILE_PATH, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);
	int error = fd < 0 || ftruncate(fd, COUNT * PAGE_BYTES);

	close(fd);
	if (error || pages_map(p, COUNT, MAP_PRIVATE) ||
	    map_file(p, PROT_READ | PROT_WRITE, MAP_SHARED))
		return -1;
	pages_want_all(p, node);
	return pages_populate(p);
}

/* Called in the child. */

static long hold_file(struct pages *p)
{
	return map_file(p, PROT_READ, MAP_SHARED) || pages_bad(p) ? -1 :
	       creds_become(USER_A, 0, true);
}

static long hold_copies(struct pages *p)
{
	long i;

	if (map_file(p, PROT_READ | PROT_WRITE, MAP_PRIVATE))
		return -1;
	for (i = 0; i < COUNT; i++)
		pattern_fill(pages_at(p, i), p->seed, i);
	return creds_become(USER_A, 0, true);
}

/* Start the child with @prepare; only it maps the pages then. */
static const char *start_over_file(struct advised *a, int node,
				   holder_fn prepare)
{
	struct pages *p = &a->subject.pages;

	if (make_file(p, node) || advised_start(a) ||
	    holder_call(&a->subject.holder, prepare) ||
	    mmap(p->addr, COUNT * PAGE_BYTES, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		return "cannot begin";
	return subject_look(&a->subject);
}

TEST_F(advice_file, page_cache_of_another_s_file)
{
	struct subject *s = &self->advised.subject;

	ASSERT_CLEAN(start_over_file(&self->advised, self->a, hold_file));
	EXPECT_EQ(0, advise(&self->advised, 0, COUNT, MADV_PAGEOUT));
	EXPECT_CLEAN(subject_verify(s, 0, "a user's MADV_PAGEOUT"));
	EXPECT_EQ(0, subject_moved());

	/* It is the adviser's right that counts, not the mapping's owner's. */
	self->advised.from_outside = true;
	EXPECT_EQ(0, advise(&self->advised, 0, COUNT, MADV_PAGEOUT));
	pages_want_all(self->pages, UNTOUCHED);
	EXPECT_CLEAN(pages_verify(self->pages, "root's MADV_PAGEOUT"));
	EXPECT_EQ(0, advised_read(&self->advised, 0, COUNT));
	EXPECT_CLEAN(counters_verify(&s->before, 0, 0));
	EXPECT_EQ(0, holder_end(&s->holder));
}

TEST_F(advice_file, copies_of_another_s_file)
{
	struct subject *s = &self->advised.subject;
	bool stay = kernel_before(6, 3);

	ASSERT_CLEAN(start_over_file(&self->advised, self->a, hold_copies));
	EXPECT_EQ(0, advise(&self->advised, 0, COUNT, MADV_PAGEOUT));
	if (!stay)
		pages_want_all(self->pages, UNTOUCHED);
	EXPECT_CLEAN(pages_verify(self->pages, "a user's MADV_PAGEOUT"));
	EXPECT_EQ(0, advised_read(&self->advised, 0, COUNT));
	EXPECT_CLEAN(counters_verify(&s->before, 0, 0));
	EXPECT_EQ(0, holder_end(&s->holder));
}

TEST_HARNESS_MAIN
