// SPDX-License-Identifier: GPL-2.0-only
/*
 * The numbered steps of Documentation/mm/page_migration.rst, as they happen:
 * by tracepoints, by the frames before and after, and by a thread that touches
 * a page while it is between two frames.
 *
 * What can be seen of a page that moves, in this order: the call begins; a
 * frame is allocated on the target; the page's entries become migration
 * entries (step 4); entries for the new frame take their place (step 16); the
 * old frame is free again; the call ends with its count. What cannot be seen
 * from outside are locks and reference counts (steps 1, 3, 5 to 11): that they
 * hold is what the cases of concurrency and of pinned pages show.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, EVENT_TRACING, STACKTRACE]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   quick:
 *     - steps.one_page_in_their_order
 *   promises: {steps-in-order: ["steps.*"]}
 *   covers:
 *     - {cases: "steps.*", interface: [move_pages-set], backing:
 *        [anon-private], condition: [quiet]}
 */
#include "harness.h"

#include <pthread.h>
#include <sched.h>

#include "counters.h"
#include "pagemap.h"
#include "pages.h"
#include "pattern.h"
#include "pin.h"
#include "placement.h"
#include "scene.h"
#include "trace.h"

#define COUNT		16
#define BATCH		512	/* NR_MAX_BATCHED_MIGRATION, mm/migrate.c */
#define ROUNDS		200

FIXTURE(steps)
{
	int a;
	int b;
	struct pages pages;
	struct counters before;
	struct trace trace;
};

static const char *const events[] = {
	"migrate/mm_migrate_pages_start",
	"migrate/mm_migrate_pages",
	"migrate/set_migration_pte",
	"migrate/remove_migration_pte",
	"kmem/mm_page_alloc",
	"kmem/mm_page_free",
};

FIXTURE_SETUP(steps)
{
	char filter[64];
	unsigned int i;

	FIND_TWO_NODES(self, return);
	ASSERT_CLEAN(scene_pages(&self->pages, COUNT, MAP_PRIVATE, self->a));
	ASSERT_EQ(0, trace_begin(&self->trace));
	snprintf(filter, sizeof(filter), "common_pid == %d", getpid());
	for (i = 0; i < ARRAY_SIZE(events); i++)
		ASSERT_EQ(0, trace_event(&self->trace, events[i], filter));
	ASSERT_EQ(0, counters_read(&self->before));
	ASSERT_EQ(0, trace_clear(&self->trace));
}

FIXTURE_TEARDOWN(steps)
{
	EXPECT_EQ(0, trace_end(&self->trace));
}

/* Ask for @count pages from @first on to go to @node; the call's result. */
static long move(const struct pages *p, long first, long count, int node)
{
	void *addrs[BATCH];
	int nodes[BATCH], status[BATCH];
	long i;

	for (i = 0; i < count; i++) {
		addrs[i] = pages_at(p, first + i);
		nodes[i] = node;
	}
	return numa_move_pages(0, count, addrs, nodes, status, MPOL_MF_MOVE);
}

/* The text behind the first event @event after @from that says @said. */
static const char *find_event(const char *from, const char *event,
			      const char *said)
{
	const char *at = from, *end, *hit;

	while (at && (at = trace_next(at, event))) {
		end = strchrnul(at, '\n');
		hit = strstr(at, said);
		if (hit && hit < end)
			return at;
	}
	return NULL;
}

static uint64_t frame_of(const struct page_state *state)
{
	return pagemap_pfn(state->pagemap);
}

/* The frame in the entry that an event of migration gives. */
static uint64_t frame_in(const char *said)
{
	unsigned long addr, entry;

	if (!said || sscanf(said, "addr=%lx, pte=%lx", &addr, &entry) != 2)
		return 0;
	return (entry & ((1UL << 52) - 1)) / PAGE_BYTES;
}

TEST_F(steps, one_page_in_their_order)
{
	struct pages *p = &self->pages;
	char old_frame[48], new_frame[48], addr[48];
	const char *at;
	char *text;

	EXPECT_EQ(0, move(p, 3, 1, self->b));
	text = trace_text(&self->trace);
	ASSERT_NE(NULL, text);
	pages_want(p, 3, 1, self->b);
	EXPECT_CLEAN(pages_verify(p, "page 3 moved"));
	EXPECT_CLEAN(counters_verify(&self->before, 1, 0));
	ASSERT_NE(frame_of(&p->was[3]), frame_of(&p->now[3]));
	snprintf(old_frame, sizeof(old_frame), "pfn=0x%lx order=0",
		 (unsigned long)frame_of(&p->was[3]));
	snprintf(new_frame, sizeof(new_frame), "pfn=0x%lx order=0",
		 (unsigned long)frame_of(&p->now[3]));
	snprintf(addr, sizeof(addr), "addr=%lx,",
		 (unsigned long)pages_at(p, 3));

	at = find_event(text, "mm_migrate_pages_start",
			"reason=syscall_or_cpuset");
	EXPECT_NE(NULL, at) TH_LOG("no start in\n%s", text);
	at = find_event(at, "mm_page_alloc", new_frame);
	EXPECT_NE(NULL, at) TH_LOG("no %s in\n%s", new_frame, text);
	at = find_event(at, "set_migration_pte", addr);
	EXPECT_NE(NULL, at) TH_LOG("no entry for %s in\n%s", addr, text);
	at = find_event(at, "remove_migration_pte", addr);
	EXPECT_EQ(frame_of(&p->now[3]), frame_in(at));
	at = find_event(at, "mm_page_free", old_frame);
	EXPECT_NE(NULL, at) TH_LOG("%s is not freed in\n%s", old_frame, text);
	at = find_event(at, "mm_migrate_pages", "nr_succeeded=1 nr_failed=0");
	EXPECT_NE(NULL, at) TH_LOG("no end in\n%s", text);
	free(text);
}

/* How often @event speaks of page @index. */
static int count_events(const char *text, const char *event, const void *page)
{
	char addr[48];
	int count = 0;

	snprintf(addr, sizeof(addr), "addr=%lx,", (unsigned long)page);
	while ((text = find_event(text, event, addr)))
		count++;
	return count;
}

TEST_F(steps, each_page_has_one_pair_of_entries)
{
	struct pages *p = &self->pages;
	char *text;
	int i;

	EXPECT_EQ(0, move(p, 0, COUNT, self->b));
	text = trace_text(&self->trace);
	ASSERT_NE(NULL, text);
	pages_want_all(p, self->b);
	EXPECT_CLEAN(pages_verify(p, "all pages moved"));
	EXPECT_CLEAN(counters_verify(&self->before, COUNT, 0));
	for (i = 0; i < COUNT; i++) {
		EXPECT_EQ(1, count_events(text, "set_migration_pte",
					  pages_at(p, i)));
		EXPECT_EQ(1, count_events(text, "remove_migration_pte",
					  pages_at(p, i)));
	}
	free(text);
}

/*
 * A page with one reference too many is backed out (step 6): each entry is
 * taken back, the last one to the old frame, and what was allocated for it on
 * the target is free again.
 */
TEST_F(steps, a_pinned_page_is_backed_out)
{
	struct pages *p = &self->pages;
	const char *at, *last = NULL;
	struct pin pin;
	char *text;
	int sets;

	ASSERT_EQ(0, pin_pages(&pin, pages_at(p, 3), 1));
	ASSERT_EQ(0, trace_clear(&self->trace));
	EXPECT_EQ(1, move(p, 3, 1, self->b));
	text = trace_text(&self->trace);
	ASSERT_NE(NULL, text);
	EXPECT_CLEAN(pages_verify(p, "page 3 pinned"));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 1));

	sets = count_events(text, "set_migration_pte", pages_at(p, 3));
	EXPECT_LE(1, sets);
	EXPECT_EQ(sets, count_events(text, "remove_migration_pte",
				     pages_at(p, 3)));
	for (at = text; (at = trace_next(at, "remove_migration_pte"));)
		last = at;
	EXPECT_EQ(frame_of(&p->was[3]), frame_in(last));
	at = find_event(text, "mm_migrate_pages", "nr_succeeded=0 nr_failed=1");
	EXPECT_NE(NULL, at) TH_LOG("no end in\n%s", text);
	free(text);
	pin_release(&pin);
}

/* Every frame that was allocated for a page that is backed out is freed. */
TEST_F(steps, the_frames_of_a_failed_move_are_freed)
{
	struct pages *p = &self->pages;
	unsigned long pfn;
	const char *at;
	char said[48], *text;
	int targets = 0;
	struct pin pin;

	ASSERT_EQ(0, pin_pages(&pin, pages_at(p, 3), 1));
	ASSERT_EQ(0, trace_clear(&self->trace));
	EXPECT_EQ(1, move(p, 3, 1, self->b));
	text = trace_text(&self->trace);
	ASSERT_NE(NULL, text);
	for (at = find_event(text, "mm_page_alloc", "__GFP_THISNODE"); at;
	     at = find_event(at, "mm_page_alloc", "__GFP_THISNODE")) {
		at = strstr(at, "pfn=0x");
		ASSERT_NE(NULL, at);
		pfn = strtoul(at + strlen("pfn="), NULL, 16);
		snprintf(said, sizeof(said), "pfn=0x%lx order=0", pfn);
		EXPECT_NE(NULL, find_event(at, "mm_page_free", said))
			TH_LOG("%s is not freed in\n%s", said, text);
		targets++;
	}
	EXPECT_LE(1, targets);
	EXPECT_CLEAN(pages_verify(p, "page 3 pinned"));
	EXPECT_CLEAN(counters_verify(&self->before, 0, 1));
	free(text);
	pin_release(&pin);
}

/* A thread that reads a page again and again, and says when it is wrong. */
struct toucher {
	struct pages *pages;
	pid_t tid;		/* 0 as long as it has not begun */
	long reads;
	long wrong;
	int stop;
};

static void *touch(void *arg)
{
	struct toucher *t = arg;
	const uint64_t *word = pages_at(t->pages, 0);
	const uint64_t right = pattern_word(t->pages->seed, 0, 0);

	__atomic_store_n(&t->tid, gettid(), __ATOMIC_RELEASE);
	while (!__atomic_load_n(&t->stop, __ATOMIC_RELAXED)) {
		if (__atomic_load_n(word, __ATOMIC_RELAXED) != right)
			t->wrong++;
		__atomic_add_fetch(&t->reads, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static int run_on(pthread_t thread, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return pthread_setaffinity_np(thread, sizeof(set), &set);
}

/*
 * Step 4: "all user space processes that attempt to access the page will now
 * wait". Page 0 is the first of a batch to be unmapped, and the last of it is
 * unmapped before the first one is copied: that is when the other CPU's thread
 * runs into its migration entry. That it slept there is told by the stack that
 * it was switched out with.
 */
TEST_F(steps, a_thread_that_touches_the_page_waits)
{
	struct pages many;
	struct toucher t = { .pages = &many };
	char trigger[64], *text;
	pthread_t thread;
	int round, seen = 0, node = self->a;
	long moves;

	ASSERT_EQ(0, pages_map(&many, BATCH, MAP_PRIVATE));
	pages_want_all(&many, self->a);
	ASSERT_EQ(0, pages_populate(&many));
	ASSERT_CLEAN(pages_snapshot(&many));
	ASSERT_EQ(0, run_on(pthread_self(), 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, touch, &t));
	ASSERT_EQ(0, run_on(thread, 1));
	while (!__atomic_load_n(&t.reads, __ATOMIC_RELAXED))
		sched_yield();
	snprintf(trigger, sizeof(trigger), "stacktrace if prev_pid == %d",
		 t.tid);
	ASSERT_EQ(0, trace_write(&self->trace,
				 "events/sched/sched_switch/trigger", trigger));

	for (round = 0; round < ROUNDS && !seen; round++) {
		node = node == self->a ? self->b : self->a;
		ASSERT_EQ(0, trace_clear(&self->trace));
		ASSERT_EQ(0, move(&many, 0, BATCH, node));
		text = trace_text(&self->trace);
		ASSERT_NE(NULL, text);
		seen = strstr(text, "migration_entry_wait") != NULL;
		free(text);
	}
	TH_LOG("waited in round %d; %ld reads", round, t.reads);
	EXPECT_TRUE(seen);
	__atomic_store_n(&t.stop, 1, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, t.wrong);
	/* Not back where they came from: every frame is to be another one. */
	moves = (long)round * BATCH;
	if (node == self->a) {
		ASSERT_EQ(0, move(&many, 0, BATCH, self->b));
		moves += BATCH;
	}
	pages_want_all(&many, self->b);
	EXPECT_CLEAN(pages_verify(&many, "moved under a reader"));
	EXPECT_CLEAN(counters_verify(&self->before, moves, 0));
}

TEST_HARNESS_MAIN
