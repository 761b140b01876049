// SPDX-License-Identifier: GPL-2.0-only
/*
 * moveloop: pages that go to and fro between two nodes without a pause, for
 * tests that take the one away meanwhile.
 *
 *	moveloop --pages N --home NODE --target NODE
 *
 * Each round sends all pages to the target and back by move_pages(2), and
 * looks at what was said and at what is there. Between two rounds each line of
 * its input is answered with a line of JSON:
 *
 *	{"rounds": 9, "moved": 3, "refused": 5, "parted": 1, "wrong": ""}
 *
 * "moved" are rounds in which the target took all, "refused" those in which it
 * took none, "parted" those in which it took some; "wrong" is the first thing
 * that must not be. The end of the input ends it, with status 0; 2 when it
 * could not begin.
 */
#include <getopt.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "movelist.h"
#include "pagemap.h"
#include "pages.h"
#include "syscalls.h"
#include "tool.h"

#define MAX_PAGES	16384

static struct pages pages;
static struct movelist list;
static struct problems wrong;
static uint64_t *frames;	/* of all pages at the last look, and room */
static long rounds, moved, refused, parted;
static int home = -1, target = -1;

static void begin(int argc, char **argv)
{
	static const struct option names[] = {
		{ "pages", required_argument, NULL, 'p' },
		{ "home", required_argument, NULL, 'h' },
		{ "target", required_argument, NULL, 't' },
		{ },
	};
	long count = 0;
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (option == 'p')
			count = strtol(optarg, NULL, 10);
		else if (option == 'h')
			home = strtol(optarg, NULL, 10);
		else if (option == 't')
			target = strtol(optarg, NULL, 10);
		else
			exit(2);
	}
	if (count < 1 || count > MAX_PAGES || home < 0 || target < 0) {
		fputs("usage: moveloop --pages N --home NODE --target NODE\n",
		      stderr);
		exit(2);
	}
	if (pages_map(&pages, count, MAP_PRIVATE))
		tool_fail("mmap");
	pages_want_all(&pages, home);
	frames = calloc(2 * count, sizeof(*frames));
	if (!frames || pages_populate(&pages) ||
	    movelist_make(&list, &pages, count, home))
		tool_fail("the pages");
}

static long move_to(int node)
{
	movelist_send(&list, 0, list.count, node);
	movelist_clear(&list);
	return movelist_call(&list, 0, MPOL_MF_MOVE);
}

/* Statuses that are neither that node, unwritten, nor an error of one page. */
static long count_untrue(int node)
{
	long i, untrue = 0;

	for (i = 0; i < list.count; i++)
		untrue += list.status[i] != node &&
			  list.status[i] != UNWRITTEN &&
			  list.status[i] != -EBUSY &&
			  list.status[i] != -ENOENT;
	return untrue;
}

static long count_unwritten(void)
{
	long i, unwritten = 0;

	for (i = 0; i < list.count; i++)
		unwritten += list.status[i] == UNWRITTEN;
	return unwritten;
}

/* Pages in another frame than at the last look; each is looked at anew. */
static long count_replaced(void)
{
	long i, replaced = 0;
	uint64_t pfn;

	if (pagemap_read(0, pages.addr, pages.count, frames + pages.count))
		tool_fail("pagemap");
	for (i = 0; i < pages.count; i++) {
		pfn = pagemap_pfn(frames[pages.count + i]);
		replaced += pfn != frames[i];
		frames[i] = pfn;
	}
	return replaced;
}

/*
 * The target may be gone, or have no page to give; or it was gone when the call
 * asked for the mems of its cpuset, and is back (find_mm_struct() and
 * do_pages_move() in mm/migrate.c, 6.12). Else it takes all.
 */
static void judge(long result)
{
	long replaced = count_replaced(), bad = pages_bad(&pages);

	if (result < 0 && result != -ENOMEM && result != -ENODEV &&
	    result != -EACCES)
		problems_add(&wrong, "result %ld; ", result);
	if (result == 0 && count_unwritten())
		problems_add(&wrong, "no status, and no error; ");
	if (count_untrue(target))
		problems_add(&wrong, "%ld statuses; ", count_untrue(target));
	if (bad)
		problems_add(&wrong, "%ld pages lost their content; ", bad);
	moved += result == 0;
	refused += result != 0 && replaced == 0;
	parted += result != 0 && replaced > 0;
}

/* The way back is always open, but for a page that offlining has isolated. */
static void go_home(void)
{
	long result = move_to(home), bad = pages_bad(&pages);

	if (result < 0)
		problems_add(&wrong, "home: %ld; ", result);
	if (count_untrue(home))
		problems_add(&wrong, "home: %ld statuses; ",
			     count_untrue(home));
	if (bad)
		problems_add(&wrong, "home: %ld lost their content; ", bad);
	count_replaced();
}

static bool is_asked(void)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };

	return poll(&input, 1, 0) > 0;
}

int main(int argc, char **argv)
{
	char line[64];

	setvbuf(stdout, NULL, _IOLBF, 0);
	/* What poll(2) does not see must not wait in a buffer. */
	setvbuf(stdin, NULL, _IONBF, 0);
	begin(argc, argv);
	puts("{\"ready\": true}");
	for (;;) {
		go_home();
		judge(move_to(target));
		rounds++;
		if (!is_asked())
			continue;
		if (!fgets(line, sizeof(line), stdin))
			return 0;
		printf("{\"rounds\": %ld, \"moved\": %ld, \"refused\": %ld, \"parted\": %ld, \"wrong\": \"%s\"}\n",
		       rounds, moved, refused, parted, problems_text(&wrong));
	}
}
