// SPDX-License-Identifier: GPL-2.0-only
/*
 * writeback: pages that are moved while they are being written, for tests that
 * have the host hold up the disk.
 *
 *	writeback --pages N --bind NODE --file PATH
 *	writeback --pages N --bind NODE --swap
 *
 * It maps N pages of that file, shared, or of private memory, fills them on
 * that node and prints
 *
 *	{"ready": true, "pages": 16}
 *
 * From then on it answers each line of its input with a line of JSON:
 *
 *	write	{"result": 0}	give all pages new content
 *	start	{"result": 0}	begin to write them: sync_file_range(2), or
 *			MADV_PAGEOUT and a read of each; wait for nothing
 *	flags	{"writeback": 16, "dirty": 0, "swapcache": 0}	of the frames
 *			that the last snapshot found
 *	snapshot	{"problem": ""}	on the node where they are wanted
 *	begin CALL X	{"result": 0}	in a thread: move_pages, mbind or
 *			migrate_pages, to node X
 *	state	{"state": "D"}	of that thread, as in /proc/<pid>/stat; "Z"
 *			when it has ended
 *	end	{"result": 0, "moved": 16}	wait for it; the statuses that
 *			are X, where the call has such
 *	verify	{"problem": ""}	all that pages.h looks at, on X
 *	drop	{"result": 0}	write what is dirty, and have none in memory
 *	bad	{"bad": 0}	pages with other content than written last
 *
 * The end of the input ends it, with status 0; 2 when it could not begin.
 */
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/kernel-page-flags.h>

#include "movelist.h"
#include "pagemap.h"
#include "pages.h"
#include "pattern.h"
#include "proc.h"
#include "relocate.h"
#include "swap.h"
#include "syscalls.h"
#include "tool.h"

#define MAX_PAGES	1024

struct call {
	char name[16];
	int node;
	long result;
	pid_t tid;
	bool ended;
	pthread_t thread;
};

static struct pages pages;
static struct movelist list;
static struct call call;
static int file = -1;
static int home;
static FILE *out;	/* for answers alone: the library prints, too */

static _Noreturn void refuse(void)
{
	fputs("usage: writeback --pages N --bind NODE (--file PATH | --swap)\n",
	      stderr);
	exit(2);
}

static void map_file(const char *path, long count)
{
	void *addr;

	file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (file < 0 || ftruncate(file, count * PAGE_BYTES))
		tool_fail(path);
	addr = mmap(NULL, count * PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_SHARED, file, 0);
	if (addr == MAP_FAILED || pages_over(&pages, addr, count))
		tool_fail("mmap");
}

/*
 * A write ends on the CPU that began it, and its interrupt holds the page for
 * a moment after it has woken who waits (folio_end_writeback(), mm/filemap.c,
 * 6.12). On another CPU a move could meet that in all its tries, if the host
 * stops the CPU of the interrupt there.
 */
static void stay_on_this_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		tool_fail("sched_setaffinity");
}

static void fill_all(long count)
{
	pages_want_all(&pages, home);
	if (pages_populate(&pages) || (file >= 0 && fsync(file)))
		tool_fail("the pages cannot be filled");
	if (movelist_make(&list, &pages, count, home))
		tool_fail("mmap");
}

static void begin(int argc, char **argv)
{
	static const struct option names[] = {
		{ "pages", required_argument, NULL, 'p' },
		{ "bind", required_argument, NULL, 'b' },
		{ "file", required_argument, NULL, 'f' },
		{ "swap", no_argument, NULL, 's' },
		{ },
	};
	const char *path = NULL;
	bool swap = false;
	long count = 0;
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (option == 'p')
			count = strtol(optarg, NULL, 10);
		else if (option == 'b')
			home = strtol(optarg, NULL, 10);
		else if (option == 'f')
			path = optarg;
		else if (option == 's')
			swap = true;
		else
			refuse();
	}
	if (count < 1 || count > MAX_PAGES || swap == !!path || home < 0 ||
	    home >= MAX_NODES)
		refuse();
	stay_on_this_cpu();
	if (path)
		map_file(path, count);
	else if (pages_map(&pages, count, MAP_PRIVATE))
		tool_fail("mmap");
	fill_all(count);
}

static void print_result(long result)
{
	fprintf(out, "{\"result\": %ld}\n", result);
}

static void print_problem(const char *problem)
{
	fputs("{\"problem\": \"", out);
	for (; *problem; problem++)
		if (*problem >= ' ' && *problem != '"' && *problem != '\\')
			putc(*problem, out);
	fputs("\"}\n", out);
}

static void write_anew(void)
{
	long i;

	pages.seed++;
	for (i = 0; i < pages.count; i++)
		pattern_fill(pages_at(&pages, i), pages.seed, i);
	print_result(0);
}

static long start_writing(void)
{
	long i, error;

	if (file >= 0)
		return sync_file_range(file, 0, 0, SYNC_FILE_RANGE_WRITE);
	/* What is in a CPU's batch is not reclaimed. */
	error = relocate_drain() ? :
		madvise(pages.addr, pages.count * PAGE_BYTES, MADV_PAGEOUT);
	/* Out of the page table, and back in from the swap cache. */
	for (i = 0; i < pages.count && !error; i++) {
		error = !swap_entry(&pages, i);
		pages_read(&pages, i);
	}
	return error;
}

/* Of frames, not of addresses: a call may hold mmap_lock, before 6.7. */
static long frames_with(int flag)
{
	long i, with = 0;
	uint64_t flags;

	for (i = 0; i < pages.count; i++)
		if (!kpageflags_read(pagemap_pfn(pages.was[i].pagemap), &flags))
			with += flags >> flag & 1;
	return with;
}

static void print_flags(void)
{
	fprintf(out, "{\"writeback\": %ld, \"dirty\": %ld, \"swapcache\": %ld}\n",
		frames_with(KPF_WRITEBACK), frames_with(KPF_DIRTY),
		frames_with(KPF_SWAPCACHE));
}

static void *run(void *unused)
{
	call.tid = gettid();
	if (!strcmp(call.name, "move_pages"))
		call.result = movelist_call(&list, 0, MPOL_MF_MOVE);
	else if (!strcmp(call.name, "mbind"))
		call.result = numa_mbind(pages.addr, pages.count * PAGE_BYTES,
					 MPOL_BIND, NODE(call.node),
					 MPOL_MF_MOVE | MPOL_MF_STRICT);
	else
		call.result = numa_migrate_pages(0, NODE(home),
						 NODE(call.node));
	__atomic_store_n(&call.ended, true, __ATOMIC_RELEASE);
	return unused;
}

static void begin_call(void)
{
	call.ended = false;
	call.tid = 0;
	movelist_send(&list, 0, pages.count, call.node);
	movelist_clear(&list);
	pages_want_all(&pages, call.node);
	print_result(pthread_create(&call.thread, NULL, run, NULL));
}

/* "123 (writeback) D ...": the name has no parenthesis. */
static void print_state(void)
{
	char path[64], text[256], *at;
	char state = '?';

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", call.tid);
	if (__atomic_load_n(&call.ended, __ATOMIC_ACQUIRE))
		state = 'Z';
	else if (proc_read(path, text, sizeof(text)) > 0) {
		at = strchr(text, ')');
		state = at && at[1] ? at[2] : '?';
	}
	fprintf(out, "{\"state\": \"%c\"}\n", state);
}

static void end_call(void)
{
	long i, moved = 0;

	pthread_join(call.thread, NULL);
	for (i = 0; i < list.count; i++)
		moved += list.status[i] == call.node;
	fprintf(out, "{\"result\": %ld, \"moved\": %ld}\n", call.result, moved);
}

static long drop(void)
{
	size_t bytes = pages.count * PAGE_BYTES;
	const char *problem;

	if (file < 0) {
		problem = swap_out_wholly(&pages, 0, pages.count);
		return *problem ? -1 : 0;
	}
	if (fsync(file) || madvise(pages.addr, bytes, MADV_DONTNEED) ||
	    posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED))
		return -1;
	return proc_write("/proc/sys/vm/drop_caches", "1");
}

static void print_bad(void)
{
	/* After a drop they are wanted nowhere, and none would count. */
	pages_want_all(&pages, call.node);
	fprintf(out, "{\"bad\": %ld}\n", pages_bad(&pages));
}

static void answer(const char *request)
{
	if (!strcmp(request, "write"))
		write_anew();
	else if (!strcmp(request, "start"))
		print_result(start_writing());
	else if (!strcmp(request, "flags"))
		print_flags();
	else if (!strcmp(request, "snapshot"))
		print_problem(pages_snapshot(&pages));
	else if (sscanf(request, "begin %15s %d", call.name, &call.node) == 2)
		begin_call();
	else if (!strcmp(request, "state"))
		print_state();
	else if (!strcmp(request, "end"))
		end_call();
	else if (!strcmp(request, "verify"))
		print_problem(pages_verify(&pages, "after it was written"));
	else if (!strcmp(request, "drop"))
		print_result(drop());
	else if (!strcmp(request, "bad"))
		print_bad();
	else
		fputs("{\"error\": \"unknown request\"}\n", out);
}

int main(int argc, char **argv)
{
	out = tool_output();
	begin(argc, argv);
	tool_serve(out, pages.count, answer);
	return 0;
}
