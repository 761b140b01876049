// SPDX-License-Identifier: GPL-2.0-only
/*
 * jitter SEED PROGRAM [ARGUMENT...]
 *
 * Runs PROGRAM, and until it ends disturbs it: on each CPU a real-time thread
 * sleeps and spins for pseudo-random short times, so that whatever runs there
 * is preempted at points that depend on SEED. Under QEMU's instruction counter
 * its virtual CPUs take turns too at each of these timers. The same SEED gives
 * the same points. The exit status is PROGRAM's, 128 and more for a signal.
 *
 * All memory that the threads use is touched and locked before PROGRAM starts:
 * page counters that it compares are not disturbed.
 */
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The mean period is 400 us, of which a tenth is spent spinning. */
#define SLEEP_MIN_NS 20000
#define SLEEP_RANGE_NS 680000
#define SPIN_RANGE_NS 80000
#define STACK_BYTES 65536

struct disturber {
	pthread_t thread;
	uint64_t state;
	int cpu;
};

static pthread_barrier_t started;

/* splitmix64 (Steele, Lea, Flood: Fast splittable PRNGs, 2014): spreads near seeds. */
static uint64_t spread(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

/* xorshift64 (Marsaglia: Xorshift RNGs, 2003), the triple 13, 7, 17. */
static uint64_t draw(uint64_t *state, uint64_t range)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (*state >> 16) % range;
}

static int64_t read_clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void *disturb(void *argument)
{
	struct disturber *self = argument;

	pthread_barrier_wait(&started);
	for (;;) {
		struct timespec pause = {
			.tv_nsec = SLEEP_MIN_NS + draw(&self->state, SLEEP_RANGE_NS),
		};
		int64_t until;

		nanosleep(&pause, NULL);
		until = read_clock_ns() + draw(&self->state, SPIN_RANGE_NS);
		while (read_clock_ns() < until)
			;
	}
	return NULL;
}

static void start(struct disturber *self)
{
	struct sched_param priority = { .sched_priority = 1 };
	pthread_attr_t attributes;
	cpu_set_t cpus;
	int error;

	CPU_ZERO(&cpus);
	CPU_SET(self->cpu, &cpus);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	pthread_attr_setaffinity_np(&attributes, sizeof(cpus), &cpus);
	pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&attributes, SCHED_FIFO);
	pthread_attr_setschedparam(&attributes, &priority);
	error = pthread_create(&self->thread, &attributes, disturb, self);
	if (error) {
		errno = error;
		err(125, "a thread on CPU %d", self->cpu);
	}
	pthread_attr_destroy(&attributes);
}

static int run(char **argv)
{
	pid_t child;
	int status;

	child = fork();
	if (child < 0)
		err(125, "fork");
	if (child == 0) {
		execvp(argv[0], argv);
		err(127, "%s", argv[0]);
	}
	pthread_barrier_wait(&started);
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			err(125, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	struct disturber *disturbers;
	int cpu, count = 0;
	cpu_set_t cpus;
	uint64_t seed;
	char *end;

	if (argc < 3)
		errx(125, "usage: jitter SEED PROGRAM [ARGUMENT...]");
	errno = 0;
	seed = strtoull(argv[1], &end, 10);
	if (errno || *end || end == argv[1])
		errx(125, "no seed: %s", argv[1]);
	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		err(125, "sched_getaffinity");
	disturbers = calloc(CPU_COUNT(&cpus), sizeof(*disturbers));
	if (!disturbers)
		err(125, "calloc");
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		err(125, "mlockall");
	pthread_barrier_init(&started, NULL, CPU_COUNT(&cpus) + 1);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &cpus))
			continue;
		disturbers[count].cpu = cpu;
		disturbers[count].state = spread(seed + spread(cpu)) | 1;
		start(&disturbers[count++]);
	}
	/* The threads die with the process. */
	return run(argv + 2);
}
