// SPDX-License-Identifier: GPL-2.0-only
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include "full.h"
#include "node_stat.h"
#include "proc.h"
#include "syscalls.h"

#define STEP	(1L << 20)

struct knob {
	const char *path;
	const char *value;
};

/*
 * On a full node kcompactd migrates too, and would be counted: alone (it is
 * proactive) or woken by kswapd for a boosted watermark. The last write lowers
 * the watermarks, so that most of what is left can be taken, and takes back
 * boosts (__setup_per_zone_wmarks() in mm/page_alloc.c, 6.12).
 */
static const struct knob calm[FULL_KNOBS] = {
	{ "/proc/sys/vm/compaction_proactiveness", "0" },
	{ "/proc/sys/vm/watermark_boost_factor", "0" },
	{ "/proc/sys/vm/min_free_kbytes", "1024" },
};

long full_oom_kills(void)
{
	return system_stat("oom_kill");
}

static int take_step(int node)
{
	char *addr = mmap(NULL, STEP, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (addr == MAP_FAILED || madvise(addr, STEP, MADV_NOHUGEPAGE) ||
	    numa_mbind(addr, STEP, MPOL_BIND, NODE(node), 0))
		return -1;
	return mlock(addr, STEP);
}

static int run_on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

/*
 * On each CPU in turn: what lies free in the list of one CPU is for it alone
 * (12 MiB, seen on 6.1, where a list that is too long gets shorter only when
 * its CPU frees pages; 6.12 has decay_pcp_high(), mm/page_alloc.c).
 */
static int take(int node, long leave)
{
	const int cpus = get_nprocs();
	cpu_set_t was;
	int cpu = 0;
	long left;

	if (sched_getaffinity(0, sizeof(was), &was))
		return -1;
	while ((left = node_free(node)) * (long)PAGE_BYTES > leave)
		if (run_on_cpu(cpu++ % cpus) || take_step(node))
			return -1;
	return left < 0 ? -1 : sched_setaffinity(0, sizeof(was), &was);
}

/* The other process: take what it is told to, hold it until it is let go. */
static void hold(struct peer *parent)
{
	long node, leave;

	while (!peer_receive(parent, &node) && !peer_receive(parent, &leave))
		peer_send(parent, take(node, leave));
	_exit(0);
}

int full_begin(struct full *f)
{
	struct peer peer;	/* on the stack: a fixture may be shared */
	int i, error = 0;
	pid_t pid;
	long bytes;

	memset(f, 0, sizeof(*f));
	for (i = 0; i < FULL_KNOBS && !error; i++) {
		bytes = proc_read(calm[i].path, f->was[i], sizeof(f->was[i]));
		error = bytes < 0 ? (int)bytes :
				    proc_write(calm[i].path, calm[i].value);
	}
	pid = error ? -1 : peer_fork(&peer);
	if (pid == 0)
		hold(&peer);
	f->peer = peer;
	return pid < 0 ? -1 : 0;
}

int full_take(struct full *f, int node, long leave)
{
	long result;

	if (peer_send(&f->peer, node) || peer_send(&f->peer, leave) ||
	    peer_receive(&f->peer, &result))
		return -1;
	return result;
}

int full_give_back(struct full *f)
{
	/*
	 * It is not told to end: who was forked since holds its channel open.
	 * A process that has been waited for has given back its memory.
	 */
	if (kill(f->peer.pid, SIGKILL))
		return -1;
	return peer_end(&f->peer) == 128 + SIGKILL ? 0 : -1;
}

int full_end(struct full *f)
{
	int i, error = 0;

	for (i = 0; i < FULL_KNOBS; i++)
		error |= proc_write(calm[i].path, f->was[i]);
	return error;
}
