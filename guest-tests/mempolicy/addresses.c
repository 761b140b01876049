// SPDX-License-Identifier: GPL-2.0-only
/*
 * A page that moves keeps its virtual address, and all that hangs on it: the
 * layout of the address space, pointers from page to page, and futexes, whose
 * waiters the kernel finds by address or by file and offset
 * (get_futex_key() in kernel/futex/core.c), so that a thread that sleeps on a
 * word of a page is woken through the page's new frame. By every interface
 * that moves pages.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, CPUSETS, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   scope: file
 *   quick:
 *     - addresses.mbind_move.layout
 *   promises: {addresses-kept: ["addresses.*"]}
 *   covers:
 *     - {cases: "addresses.mbind_move.*", interface: [mbind-move], backing:
 *        [anon-private], condition: [quiet]}
 *     - {cases: "addresses.mbind_move_all.*", interface: [mbind-move-all],
 *        backing: [anon-private, anon-shared], condition: [quiet]}
 *     - {cases: "addresses.move_pages.*", interface: [move_pages-set], backing:
 *        [anon-private, anon-shared], condition: [quiet]}
 *     - {cases: "addresses.migrate_pages.*", interface: [migrate_pages-self],
 *        backing: [anon-private, anon-shared], condition: [quiet]}
 *     - {cases: "addresses.cpuset.*", interface: [cpuset-v2-mems], backing:
 *        [anon-private, anon-shared], condition: [quiet]}
 */
#include "harness.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>

#include "cpuset.h"
#include "deadline.h"
#include "holder.h"
#include "metric.h"
#include "nodes.h"
#include "policy.h"
#include "proc.h"
#include "vmas.h"

#define COUNT		16
#define BYTES		(COUNT * PAGE_BYTES)

FIXTURE(addresses)
{
	struct placed t;
	struct cpuset_root root;
};

/* Take all pages of the caller from node a to node b. 0 or -errno. */
typedef long (*mover)(struct placed *t);

FIXTURE_VARIANT(addresses)
{
	mover move;
	bool whole;		/* all of the process, not only the pages */
};

static long by_mbind_move(struct placed *t)
{
	return policy_bind(&t->pages, 0, COUNT, MPOL_BIND, NODE(t->b),
			   MPOL_MF_MOVE | MPOL_MF_STRICT);
}

/* The middle only, so that VMAs are split; then the ends. */
static long by_mbind_move_all(struct placed *t)
{
	const int flags = MPOL_MF_MOVE_ALL | MPOL_MF_STRICT;

	return policy_bind(&t->pages, 4, 8, MPOL_BIND, NODE(t->b), flags) ? :
	       policy_bind(&t->pages, 0, 4, MPOL_PREFERRED, NODE(t->b),
			   flags) ? :
	       policy_bind(&t->pages, 12, 4, MPOL_PREFERRED, NODE(t->b),
			   flags);
}

static long by_move_pages(struct placed *t)
{
	void *addrs[COUNT];
	int i, nodes[COUNT], status[COUNT];

	for (i = 0; i < COUNT; i++) {
		addrs[i] = pages_at(&t->pages, i);
		nodes[i] = t->b;
	}
	return numa_move_pages(0, COUNT, addrs, nodes, status,
			       MPOL_MF_MOVE_ALL);
}

static long by_migrate_pages(struct placed *t)
{
	return numa_migrate_pages(0, NODE(t->a), NODE(t->b));
}

static long by_cpuset(struct placed *t)
{
	return cpuset_set_mems("x", NODE(t->b));
}

FIXTURE_VARIANT_ADD(addresses, mbind_move) { .move = by_mbind_move };
FIXTURE_VARIANT_ADD(addresses, mbind_move_all) { .move = by_mbind_move_all };
FIXTURE_VARIANT_ADD(addresses, move_pages) { .move = by_move_pages };

FIXTURE_VARIANT_ADD(addresses, migrate_pages)
{
	.move = by_migrate_pages,
	.whole = true,
};

FIXTURE_VARIANT_ADD(addresses, cpuset) { .move = by_cpuset, .whole = true };

/* COUNT pages on node a; for cpusets the process is in a group on a. */
FIXTURE_SETUP(addresses)
{
	int error = 0;

	ASSERT_CLEAN(placed_start(&self->t, COUNT, COUNT, MAP_PRIVATE));
	if (variant->move != by_cpuset)
		return;
	ASSERT_TRUE(cpuset_is_available());
	ASSERT_EQ(0, cpuset_begin(&self->root));
	error = cpuset_create("x") ? :
		cpuset_set_mems("x", NODE(self->t.a)) ? :
		cpuset_attach("x", getpid());
	/* A setup that failed is not torn down. */
	if (error)
		cpuset_end(&self->root);
	ASSERT_EQ(0, error);
}

FIXTURE_TEARDOWN_PARENT(addresses)
{
	if (variant->move == by_cpuset)
		EXPECT_EQ(0, cpuset_end(&self->root));
}

#define MOVE_AND_VERIFY(what) do {					\
	ASSERT_CLEAN(placed_look(&self->t));				\
	EXPECT_EQ(0, variant->move(&self->t));				\
	pages_want_all(&self->t.pages, self->t.b);			\
	EXPECT_CLEAN(pages_verify(&self->t.pages, what));		\
	if (!variant->whole)						\
		EXPECT_CLEAN(counters_verify(&self->t.before, COUNT, 0)); \
} while (0)

/* The whole address space is laid out as before, but for split VMAs. */
TEST_F(addresses, layout)
{
	static char before[32768], after[32768];

	ASSERT_LT(0, vmas_text(0, before, sizeof(before)));
	ASSERT_LT(0, vmas_text(0, before, sizeof(before)));
	MOVE_AND_VERIFY("the layout");
	ASSERT_LT(0, vmas_text(0, after, sizeof(after)));
	EXPECT_STREQ(before, after);
}

/* A chain of pointers from page to page, crosswise, and one from outside. */
struct link {
	struct link *next;
	long number;
};

static struct link *make_chain(const struct pages *p)
{
	struct link *link = NULL, *next = NULL;
	long i;

	/* 5 has no divisor in common with COUNT: each page comes once. */
	for (i = COUNT - 1; i >= 0; i--) {
		link = pages_at(p, i * 5 % COUNT);
		link->next = next;
		link->number = i;
		next = link;
	}
	return link;
}

static long walk_chain(const struct link *link)
{
	long number = 0;

	while (link && link->number == number) {
		number++;
		link = link->next;
	}
	return link ? -1 : number;
}

TEST_F(addresses, pointers)
{
	struct pages *p = &self->t.pages;
	struct link *first = make_chain(p);

	/* The links take the place of the pattern. */
	p->pid = getpid();
	ASSERT_EQ(COUNT, walk_chain(first));
	MOVE_AND_VERIFY("a chain of pointers");
	EXPECT_EQ(COUNT, walk_chain(first));
}

/* Wait until thread @tid sleeps in futex(2). 0 or -1. */
static int wait_until_in_futex(pid_t pid, pid_t tid)
{
	double end = deadline_after_us(20e6);
	char path[64], text[256];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", pid, tid);
	while (metric_now_us() < end) {
		if (proc_read(path, text, sizeof(text)) < 0)
			return -1;
		/* "running", or the number of the call that it sleeps in. */
		if (atoi(text) == SYS_futex)
			return 0;
		sched_yield();
	}
	return -1;
}

static long futex(uint32_t *word, int operation, uint32_t value)
{
	return kernel_result(syscall(SYS_futex, word, operation, value, NULL,
				     NULL, 0));
}

struct waiter {
	uint32_t *word;
	int operation;
	pid_t tid;		/* 0 until it runs */
	long result;		/* of the wait */
	uint32_t seen;		/* in the word when it was woken */
};

static void *wait_on_futex(void *arg)
{
	struct waiter *waiter = arg;

	__atomic_store_n(&waiter->tid, gettid(), __ATOMIC_RELEASE);
	do {
		waiter->result = futex(waiter->word, waiter->operation, 1);
	} while (waiter->result == -EINTR);
	waiter->seen = *waiter->word;
	return NULL;
}

/* Start a thread that waits; 0 when it sleeps. */
static int start_waiter(struct waiter *waiter, pthread_t *id)
{
	if (pthread_create(id, NULL, wait_on_futex, waiter))
		return -1;
	while (!__atomic_load_n(&waiter->tid, __ATOMIC_ACQUIRE))
		sched_yield();
	return wait_until_in_futex(getpid(), waiter->tid);
}

/* A thread sleeps on a word of a page; the page moves; the thread is woken. */
TEST_F(addresses, futex_private)
{
	struct pages *p = &self->t.pages;
	struct waiter waiter = {
		.word = pages_at(p, 7) + 128,
		.operation = FUTEX_WAIT_PRIVATE,
	};
	pthread_t id;

	p->pid = getpid();
	*waiter.word = 1;
	ASSERT_EQ(0, start_waiter(&waiter, &id));
	MOVE_AND_VERIFY("a futex with a waiter");
	*waiter.word = 2;
	EXPECT_EQ(1, futex(waiter.word, FUTEX_WAKE_PRIVATE, 8));
	ASSERT_EQ(0, pthread_join(id, NULL));
	EXPECT_EQ(0, waiter.result);
	EXPECT_EQ(2, waiter.seen);
	/* Nobody is left, nor was anybody twice in the queue. */
	EXPECT_EQ(0, futex(waiter.word, FUTEX_WAKE_PRIVATE, 8));
}

/* Called in a holder: sleep on the word until it is woken. */
static long wait_shared(struct pages *p)
{
	uint32_t *word = pages_at(p, 7) + 128;
	long result;

	do {
		result = futex(word, FUTEX_WAIT, 1);
	} while (result == -EINTR);
	return result ? result : *word;
}

static long touch_all(struct pages *p)
{
	long i;

	for (i = 0; i < p->count; i++)
		pages_read(p, i);
	return 0;
}

/*
 * Shared memory, the waiter another process. MOVE leaves such pages, and the
 * waiter is found all the same.
 */
TEST_F(addresses, futex_shared)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;
	struct holder holder;
	uint32_t *word;
	long result;

	ASSERT_CLEAN(placed_start(t, COUNT, COUNT, MAP_SHARED));
	word = pages_at(p, 7) + 128;
	*word = 1;
	pages_want_all(p, UNTOUCHED);
	ASSERT_EQ(0, holder_start(&holder, p, touch_all));
	p->pid = getpid();
	pages_want_all(p, t->a);
	ASSERT_EQ(0, peer_send(&holder.peer, (long)wait_shared));
	ASSERT_EQ(0, wait_until_in_futex(holder.peer.pid,
					 holder.peer.pid));
	if (variant->move == by_mbind_move) {
		ASSERT_CLEAN(placed_look(t));
		EXPECT_EQ(0, variant->move(t));
		EXPECT_CLEAN(placed_verify(t, 0, "shared, after MOVE"));
	} else {
		MOVE_AND_VERIFY("a shared futex with a waiter");
	}
	EXPECT_CLEAN(pages_shared_with(p, holder.peer.pid));
	*word = 2;
	EXPECT_EQ(1, futex(word, FUTEX_WAKE, 8));
	EXPECT_EQ(0, peer_receive(&holder.peer, &result));
	EXPECT_EQ(2, result);
	EXPECT_EQ(0, holder_end(&holder));
}

struct contender {
	pthread_mutex_t *mutex;
	long *protected;
	pid_t tid;
	int error;
};

static void *contend(void *arg)
{
	struct contender *contender = arg;

	__atomic_store_n(&contender->tid, gettid(), __ATOMIC_RELEASE);
	contender->error = pthread_mutex_lock(contender->mutex);
	*contender->protected *= 10;
	contender->error |= pthread_mutex_unlock(contender->mutex);
	return NULL;
}

/* A mutex that is held, and waited for, while its page moves. */
TEST_F(addresses, mutex)
{
	struct pages *p = &self->t.pages;
	struct contender contender = {
		.mutex = pages_at(p, 3) + 64,
		.protected = pages_at(p, 11),
	};
	pthread_t id;

	p->pid = getpid();
	ASSERT_EQ(0, pthread_mutex_init(contender.mutex, NULL));
	*contender.protected = 1;
	ASSERT_EQ(0, pthread_mutex_lock(contender.mutex));
	ASSERT_EQ(0, pthread_create(&id, NULL, contend, &contender));
	while (!__atomic_load_n(&contender.tid, __ATOMIC_ACQUIRE))
		sched_yield();
	ASSERT_EQ(0, wait_until_in_futex(getpid(), contender.tid));
	MOVE_AND_VERIFY("a mutex with a holder and a waiter");
	*contender.protected += 1;
	ASSERT_EQ(0, pthread_mutex_unlock(contender.mutex));
	ASSERT_EQ(0, pthread_join(id, NULL));
	EXPECT_EQ(0, contender.error);
	EXPECT_EQ(20, *contender.protected);
	EXPECT_EQ(0, pthread_mutex_trylock(contender.mutex));
}

TEST_HARNESS_MAIN
