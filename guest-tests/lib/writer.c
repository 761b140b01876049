// SPDX-License-Identifier: GPL-2.0-only
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "deadline.h"
#include "metric.h"
#include "problems.h"
#include "race.h"
#include "syscalls.h"
#include "writer.h"

/* A constant, unlike PAGE_BYTES, which is a call: this is in inner loops. */
#define WORDS		512L
#define PASS_DEADLINE_US	10e6

/* Beyond so many pages a pass is to stay short, so it takes fewer words. */
#define MANY_PAGES	64
#define STEP_FEW	3
#define STEP_MANY	29

struct writer {
	struct writers *w;
	int index;
};

/* The numbers of the page and of the word, and the pass. */
static uint64_t content(long page, long word, long pass)
{
	return (uint64_t)(page * WORDS + word) << 32 | (uint32_t)pass;
}

static uint64_t *page_words(const struct writers *w, long page)
{
	return (uint64_t *)(w->addr + page * PAGE_BYTES);
}

static long first_word(int index)
{
	return 1 + index;
}

/* Relaxed atomics: each word has one owner, but the access is to be made. */
static uint64_t load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void store(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static void report_bad(struct writers_shared *s, long page, long word,
		       uint64_t seen)
{
	if (__atomic_fetch_add(&s->bad, 1, __ATOMIC_SEQ_CST))
		return;
	s->bad_page = page;
	s->bad_word = word;
	s->bad_content = seen;
}

int writers_share(struct writers *w)
{
	void *shared = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (shared == MAP_FAILED)
		return -1;
	w->shared = shared;
	return 0;
}

int writers_prepare(struct writers *w, void *addr, long count)
{
	long page, word;
	int i;

	if (WORDS * sizeof(uint64_t) != PAGE_BYTES)
		return -1;
	w->addr = addr;
	w->count = count;
	w->step = WRITERS * (count > MANY_PAGES ? STEP_MANY : STEP_FEW);
	if (!w->shared && writers_share(w))
		return -1;
	for (page = 0; page < count; page++) {
		*page_words(w, page) = 0;
		for (i = 0; i < WRITERS; i++)
			for (word = first_word(i); word < WORDS;
			     word += w->step)
				page_words(w, page)[word] =
					content(page, word, 0);
	}
	return 0;
}

/* Verify what pass @pass - 1 left in one page, and write what @pass has. */
static void work_on(struct writers *w, int index, long page, long pass)
{
	uint64_t *words = page_words(w, page), seen;
	long word;

	for (word = first_word(index); word < WORDS; word += w->step) {
		seen = load(&words[word]);
		if (seen != content(page, word, pass - 1))
			report_bad(w->shared, page, word, seen);
		store(&words[word], content(page, word, pass));
	}
	__atomic_fetch_add(words, 1, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&w->shared->ticks[index], 1, __ATOMIC_RELAXED);
}

static void *write_on(void *argument)
{
	struct writer me = *(struct writer *)argument;
	struct writers_shared *s = me.w->shared;
	long page, pass;

	free(argument);
	race_stay_on(me.index ? race_last_cpu() : race_first_cpu());
	for (pass = 1; !__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE); pass++) {
		for (page = 0; page < me.w->count; page++)
			work_on(me.w, me.index, page, pass);
		__atomic_store_n(&s->passes[me.index], pass, __ATOMIC_RELEASE);
	}
	return NULL;
}

int writers_start(struct writers *w)
{
	struct writer *writer;
	int i;

	for (i = 0; i < WRITERS; i++) {
		writer = malloc(sizeof(*writer));
		if (!writer)
			return -1;
		writer->w = w;
		writer->index = i;
		if (pthread_create(&w->threads[i], NULL, write_on, writer))
			return -1;
	}
	return writers_await_pass(w);
}

static long passes_of(const struct writers *w, int index)
{
	return __atomic_load_n(&w->shared->passes[index], __ATOMIC_ACQUIRE);
}

int writers_await_pass(const struct writers *w)
{
	double deadline = deadline_after_us(PASS_DEADLINE_US);
	long was[WRITERS];
	int i;

	for (i = 0; i < WRITERS; i++)
		was[i] = passes_of(w, i);
	for (i = 0; i < WRITERS; i++) {
		while (passes_of(w, i) == was[i]) {
			if (metric_now_us() > deadline)
				return -1;
			sched_yield();
		}
	}
	return 0;
}

long writers_ticks(const struct writers *w)
{
	long ticks = 0;
	int i;

	for (i = 0; i < WRITERS; i++)
		ticks += __atomic_load_n(&w->shared->ticks[i],
					 __ATOMIC_RELAXED);
	return ticks;
}

void writers_stop(struct writers *w)
{
	int i;

	__atomic_store_n(&w->shared->stop, 1, __ATOMIC_RELEASE);
	for (i = 0; i < WRITERS; i++)
		pthread_join(w->threads[i], NULL);
}

static void check_page(const struct writers *w, long page, long sum)
{
	uint64_t *words = page_words(w, page), want;
	long word;
	int i;

	if (*words != (uint64_t)sum)
		report_bad(w->shared, page, 0, *words);
	for (i = 0; i < WRITERS; i++) {
		for (word = first_word(i); word < WORDS; word += w->step) {
			want = content(page, word, passes_of(w, i));
			if (words[word] != want)
				report_bad(w->shared, page, word, words[word]);
		}
	}
}

const char *writers_verify(const struct writers *w)
{
	static struct problems p;
	const struct writers_shared *s = w->shared;
	long page, sum = 0;
	int i;

	for (i = 0; i < WRITERS; i++)
		sum += passes_of(w, i);
	for (page = 0; page < w->count; page++)
		check_page(w, page, sum);
	problems_clear(&p);
	if (s->bad)
		problems_add(&p,
			     "%ld bad words in %ld passes; first: page %ld word %ld is %#lx",
			     s->bad, sum, s->bad_page, s->bad_word,
			     s->bad_content);
	return problems_text(&p);
}
