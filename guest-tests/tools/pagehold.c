// SPDX-License-Identifier: GPL-2.0-only
/*
 * pagehold: a workload that keeps pages in use and watches over their content,
 * for tests that plug and unplug memory from the host.
 *
 *	pagehold --mib N [--bind NODE | --prefer NODE] [--shared] [--writer]
 *
 * It maps N MiB of anonymous memory under that policy, private or shared,
 * fills every page and prints one line of JSON:
 *
 *	{"ready": true, "pages": 256, "nodes": {"2": 256}}
 *
 * From then on it answers each line of its input with a line of JSON:
 *
 *	where	{"nodes": {"0": 16, "2": 240}}		-1: not present
 *	check	{"ok": true, "bad": 0, "passes": 3}	reads every page
 *	blocks	{"blocks": {"32": 256}}		by memory block of sysfs
 *	quit	ends it with status 0, as the end of the input does
 *
 * With --writer a thread verifies and rewrites page after page meanwhile;
 * "bad" counts what either found, "passes" how often all pages were verified.
 * The status is 1 when a page was ever bad, 2 when it could not begin.
 */
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "pagemap.h"
#include "pattern.h"
#include "placement.h"

#define CHUNK	512

/* MIN_MEMORY_BLOCK_SIZE, arch/x86/mm/init_64.c, 6.12; larger only with 64 GiB. */
#define BLOCK_PAGES	((128UL << 20) / PAGE_BYTES)
#define MAX_BLOCKS	4096

struct options {
	long mib;
	int mode;
	int node;
	int sharing;
	bool writer;
};

struct held {
	char *addr;
	long count;
	uint32_t *generation;	/* of each page: the seed of its content */
	pthread_mutex_t lock;	/* of a page and its generation */
	atomic_long bad;
	atomic_long passes;
	atomic_bool stop;
};

static struct held held = { .lock = PTHREAD_MUTEX_INITIALIZER };

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "pagehold: %s: %m\n", what);
	exit(2);
}

static _Noreturn void usage(void)
{
	fputs("usage: pagehold --mib N [--bind NODE | --prefer NODE] [--shared] [--writer]\n",
	      stderr);
	exit(2);
}

static long number(const char *text, long max)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (end == text || *end || value < 0 || value > max)
		usage();
	return value;
}

static void parse(int argc, char **argv, struct options *o)
{
	static const struct option names[] = {
		{ "mib", required_argument, NULL, 'm' },
		{ "bind", required_argument, NULL, 'b' },
		{ "prefer", required_argument, NULL, 'p' },
		{ "shared", no_argument, NULL, 's' },
		{ "writer", no_argument, NULL, 'w' },
		{ },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (option) {
		case 'm':
			o->mib = number(optarg, 1L << 30);
			break;
		case 'b':
		case 'p':
			if (o->mode != MPOL_DEFAULT)
				usage();
			o->mode = option == 'b' ? MPOL_BIND : MPOL_PREFERRED;
			o->node = number(optarg, MAX_NODES - 1);
			break;
		case 's':
			o->sharing = MAP_SHARED;
			break;
		case 'w':
			o->writer = true;
			break;
		default:
			usage();
		}
	}
	if (!o->mib || optind != argc)
		usage();
}

static char *page(long i)
{
	return held.addr + i * PAGE_BYTES;
}

static void map_and_fill(const struct options *o)
{
	size_t bytes = o->mib << 20;
	long i, error;

	held.count = bytes / PAGE_BYTES;
	held.generation = calloc(held.count, sizeof(*held.generation));
	held.addr = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			 o->sharing | MAP_ANONYMOUS, -1, 0);
	if (!held.generation || held.addr == MAP_FAILED)
		fail("mmap");
	/* The policy stays: it is what a hot-remove has to cope with. */
	error = o->mode == MPOL_DEFAULT ? 0 :
		numa_mbind(held.addr, bytes, o->mode, NODE(o->node), 0);
	if (error) {
		errno = -error;
		fail("mbind");
	}
	for (i = 0; i < held.count; i++)
		pattern_fill(page(i), 0, i);
}

/* Verify all pages, and with @rewrite give each a new content. */
static void pass(bool rewrite)
{
	uint32_t *generation;
	long i;

	for (i = 0; i < held.count && !held.stop; i++) {
		pthread_mutex_lock(&held.lock);
		generation = &held.generation[i];
		if (pattern_check(page(i), *generation, i) >= 0) {
			held.bad++;
			/* Once told it is not to be told for ever. */
			pattern_fill(page(i), *generation, i);
		}
		if (rewrite)
			pattern_fill(page(i), ++*generation, i);
		pthread_mutex_unlock(&held.lock);
	}
	if (!held.stop)
		held.passes++;
}

static void *write_on(void *unused)
{
	while (!held.stop)
		pass(true);
	return unused;
}

static void print_nodes(const char *before)
{
	struct placement seen = {0};
	int status[CHUNK];
	long i, k, count, error;
	char text[512];

	for (i = 0; i < held.count; i += count) {
		count = held.count - i < CHUNK ? held.count - i : CHUNK;
		error = placement_query(0, page(i), count, status);
		if (error) {
			errno = -error;
			fail("move_pages");
		}
		for (k = 0; k < count; k++)
			placement_add(&seen, status[k]);
	}
	printf("{%s\"nodes\": %s}\n", before,
	       placement_text(&seen, text, sizeof(text)));
}

static void print_blocks(void)
{
	static long blocks[MAX_BLOCKS];
	uint64_t entries[CHUNK], pfn;
	const char *comma = "";
	long i, k, count;

	memset(blocks, 0, sizeof(blocks));
	for (i = 0; i < held.count; i += count) {
		count = held.count - i < CHUNK ? held.count - i : CHUNK;
		if (pagemap_read(0, page(i), count, entries))
			fail("pagemap");
		for (k = 0; k < count; k++) {
			pfn = pagemap_pfn(entries[k]);
			if (pfn && pfn / BLOCK_PAGES < MAX_BLOCKS)
				blocks[pfn / BLOCK_PAGES]++;
		}
	}
	fputs("{\"blocks\": {", stdout);
	for (i = 0; i < MAX_BLOCKS; i++) {
		if (!blocks[i])
			continue;
		printf("%s\"%ld\": %ld", comma, i, blocks[i]);
		comma = ", ";
	}
	puts("}}");
}

static void print_check(void)
{
	pass(false);
	printf("{\"ok\": %s, \"bad\": %ld, \"passes\": %ld}\n",
	       held.bad ? "false" : "true", held.bad, held.passes);
}

/* Whether to go on. */
static bool answer(const char *request)
{
	if (!strcmp(request, "quit"))
		return false;
	if (!strcmp(request, "where"))
		print_nodes("");
	else if (!strcmp(request, "check"))
		print_check();
	else if (!strcmp(request, "blocks"))
		print_blocks();
	else
		puts("{\"error\": \"unknown request: where, check, blocks, quit\"}");
	return true;
}

int main(int argc, char **argv)
{
	struct options options = { .sharing = MAP_PRIVATE };
	char line[64], ready[64];
	pthread_t writer;

	setvbuf(stdout, NULL, _IOLBF, 0);
	parse(argc, argv, &options);
	map_and_fill(&options);
	if (options.writer) {
		errno = pthread_create(&writer, NULL, write_on, NULL);
		if (errno)
			fail("pthread_create");
	}
	snprintf(ready, sizeof(ready), "\"ready\": true, \"pages\": %ld, ",
		 held.count);
	print_nodes(ready);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\r\n")] = '\0';
		if (!answer(line))
			break;
	}
	held.stop = true;
	if (options.writer)
		pthread_join(writer, NULL);
	return held.bad ? 1 : 0;
}
