// SPDX-License-Identifier: GPL-2.0-only
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>

#include "deadline.h"
#include "metric.h"
#include "race.h"

#define RUN_DEADLINE_US		15e6
#define SETTLE_DEADLINE_US	1e6
/* Of the wait that is drawn: what took longer was no race but a hiccup. */
#define MAX_WAIT_US		5000.0

struct party {
	race_fn act;
	double started_us;
	double ended_us;
	double took_us;
	uint64_t random;
};

struct runner {
	struct race *race;
	struct party mover;
	struct party rival;
	pthread_barrier_t start;
	pthread_barrier_t end;
	bool stop;		/* written while the rival is at the barrier */
};

static int allowed_cpu(bool last)
{
	cpu_set_t set;
	int cpu, found = -1;

	if (sched_getaffinity(0, sizeof(set), &set))
		return -1;
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &set))
			continue;
		found = cpu;
		if (!last)
			break;
	}
	return found;
}

int race_first_cpu(void)
{
	return allowed_cpu(false);
}

int race_last_cpu(void)
{
	return allowed_cpu(true);
}

int race_stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

/* xorshift64: any draw will do, but the same ones in every run. */
static double draw(struct party *p, double below)
{
	p->random ^= p->random << 13;
	p->random ^= p->random >> 7;
	p->random ^= p->random << 17;
	return below * (p->random % 1024) / 1024;
}

static void act(struct runner *r, struct party *me, double wait_us, int round)
{
	double until = metric_now_us() + wait_us;

	while (metric_now_us() < until)
		;
	me->started_us = metric_now_us();
	me->act(r->race->arg, round);
	me->ended_us = metric_now_us();
	me->took_us = me->ended_us - me->started_us;
	if (me->took_us > MAX_WAIT_US)
		me->took_us = MAX_WAIT_US;
}

static void *run_rival(void *argument)
{
	struct runner *r = argument;
	double wait_us;
	int round;

	/* What a thread may use it has from the one that created it. */
	race_stay_on(race_last_cpu());
	for (round = 0;; round++) {
		/* Before the start, since the mover changes it after that. */
		wait_us = draw(&r->rival, r->mover.took_us);
		pthread_barrier_wait(&r->start);
		if (r->stop)
			return NULL;
		act(r, &r->rival, wait_us, round);
		pthread_barrier_wait(&r->end);
	}
}

static void run_round(struct runner *r, int round)
{
	double wait_us = draw(&r->mover, r->rival.took_us);

	pthread_barrier_wait(&r->start);
	act(r, &r->mover, wait_us, round);
	pthread_barrier_wait(&r->end);
	if (r->mover.started_us < r->rival.ended_us &&
	    r->rival.started_us < r->mover.ended_us)
		r->race->overlaps++;
	r->race->done++;
}

static void run_rounds(struct runner *r)
{
	double deadline = deadline_after_us(RUN_DEADLINE_US);
	struct race *race = r->race;
	const char *problem;
	int round;

	for (round = 0; round < race->rounds; round++) {
		if (metric_now_us() > deadline)
			break;
		run_round(r, round);
		problem = race->judge ? race->judge(race->arg, round) : "";
		if (!*problem)
			continue;
		problems_add(&race->problems, "round %d: %s", round, problem);
		return;
	}
	if (race->done * 10 < race->rounds)
		problems_add(&race->problems, "only %d of %d rounds in time",
			     race->done, race->rounds);
	if (!race->overlaps)
		problems_add(&race->problems, "the two never met in %d rounds",
			     race->done);
}

const char *race_run(struct race *race)
{
	struct runner r = {
		.race = race,
		.mover = { .act = race->mover, .random = 0x2545f4914f6cdd1d },
		.rival = { .act = race->rival, .random = 0x9e3779b97f4a7c15 },
	};
	pthread_t rival;
	cpu_set_t mine;

	race->done = 0;
	race->overlaps = 0;
	problems_clear(&race->problems);
	pthread_barrier_init(&r.start, NULL, 2);
	pthread_barrier_init(&r.end, NULL, 2);
	sched_getaffinity(0, sizeof(mine), &mine);
	if (pthread_create(&rival, NULL, run_rival, &r)) {
		problems_add(&race->problems, "cannot start the rival");
		return problems_text(&race->problems);
	}
	race_stay_on(race_first_cpu());
	run_rounds(&r);
	r.stop = true;
	pthread_barrier_wait(&r.start);
	pthread_join(rival, NULL);
	sched_setaffinity(0, sizeof(mine), &mine);
	return problems_text(&race->problems);
}

const char *race_settled(const struct counters *before)
{
	double deadline = deadline_after_us(SETTLE_DEADLINE_US);
	struct counters now;

	do {
		if (counters_read(&now))
			return "cannot read the counters";
		if (placement_equal(&before->isolated_anon,
				    &now.isolated_anon) &&
		    placement_equal(&before->isolated_file,
				    &now.isolated_file) &&
		    before->isolated_blocks == now.isolated_blocks)
			return "";
	} while (metric_now_us() < deadline);
	/* To say which, with the deltas as they are. */
	return counters_verify(before, now.success - before->success,
			       now.fail - before->fail);
}
