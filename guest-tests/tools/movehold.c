// SPDX-License-Identifier: GPL-2.0-only
/*
 * movehold: pages that are sent to and fro when the host says so, by a call
 * that can be stopped half-way, for tests that take a node's memory away
 * meanwhile.
 *
 *	movehold --pages N --bind NODE
 *
 * It maps N pages of private memory, fills them on that node and prints
 *
 *	{"ready": true, "pages": 2048}
 *
 * From then on it answers each line of its input with a line of JSON. Places
 * are lists of [node or -errno, pages in a row]; null is what was not written.
 *
 *	move F N X	{"result": 0, "status": [[3, 2048]]}	move_pages(2) of
 *			N pages from F on to node X
 *	bind X		{"result": 0}	mbind(2), BIND, MOVE and STRICT, of all
 *	unbind		{"result": 0}
 *	migrate A X	{"result": 0}	migrate_pages(2) of itself
 *	hold X B	{"result": 0}	begin to move all to X, but for page
 *			FIRST, which is to go to B; stop at entry STOP
 *	go		as move: let that call end
 *	pin I, unpin	{"result": 0}	hold page I by a pipe
 *	where		{"where": [[0, 2048]]}
 *	verify N	{"problem": ""}	all that pages.h looks at, where they
 *			are now; the first N may have any frame
 *
 * The end of the input ends it, with status 0; 2 when it could not begin.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "movelist.h"
#include "pages.h"
#include "pin.h"
#include "pin_held.h"
#include "placement.h"
#include "tool.h"

#define MAX_PAGES	4096
/* Of a call that is held: what goes elsewhere, so that all before it move. */
#define FIRST		256
/* The entries of the array of nodes that fit into a page. */
#define STOP		((long)(PAGE_BYTES / sizeof(int)))

static struct pages pages;
static struct pin pin;
static struct pin_held held;
static struct movelist list;
static int *nodes;	/* of the call that is held; all but a page of it */
static FILE *out;	/* for answers alone: the library prints, too */

static void *map_private(size_t bytes)
{
	void *addr = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (addr == MAP_FAILED)
		tool_fail("mmap");
	/* A huge page of hugepages=always would leave none missing. */
	madvise(addr, bytes, MADV_NOHUGEPAGE);
	return addr;
}

static void begin(int argc, char **argv)
{
	long count;
	int node;

	tool_options(argc, argv, STOP + 1, MAX_PAGES, &count, &node);
	if (pages_map(&pages, count, MAP_PRIVATE))
		tool_fail("mmap");
	pages_want_all(&pages, node);
	if (pages_populate(&pages) || *pages_snapshot(&pages))
		tool_fail("cannot fill the pages there");
	if (movelist_make(&list, &pages, count, node))
		tool_fail("mmap");
}

/* ": [[3, 256], [1, 1], [null, 7]]" */
static void print_runs(const int *values, long count)
{
	const char *comma = "";
	long i, first;

	fprintf(out, ": [");
	for (i = 0; i < count; i++) {
		first = i;
		while (i + 1 < count && values[i + 1] == values[first])
			i++;
		if (values[first] == UNWRITTEN)
			fprintf(out, "%s[null, %ld]", comma, i + 1 - first);
		else
			fprintf(out, "%s[%d, %ld]", comma, values[first],
			       i + 1 - first);
		comma = ", ";
	}
	fprintf(out, "]");
}

static void print_result(long result)
{
	fprintf(out, "{\"result\": %ld}\n", result);
}

static void print_call(long result, long first, long count)
{
	fprintf(out, "{\"result\": %ld, \"status\"", result);
	print_runs(list.status + first, count);
	fputs("}\n", out);
}

static void move(long first, long count, int node)
{
	movelist_clear(&list);
	movelist_send(&list, first, count, node);
	print_call(numa_move_pages(0, count, list.addrs + first,
				   list.nodes + first, list.status + first,
				   MPOL_MF_MOVE), first, count);
}

static long call_held(void *unused)
{
	(void)unused;
	return numa_move_pages(0, pages.count, list.addrs, nodes, list.status,
			       MPOL_MF_MOVE);
}

static void hold(int node, int other)
{
	long i;

	movelist_clear(&list);
	nodes = map_private(pages.count * sizeof(*nodes));
	for (i = 0; i < STOP; i++)
		nodes[i] = i == FIRST ? other : node;
	for (i = 0; i < pages.count; i++)
		list.nodes[i] = node;
	print_result(pin_held_begin(&held, call_held, NULL, nodes + STOP));
}

static void go_on(void)
{
	int rest[STOP];
	long i;

	for (i = 0; i < STOP; i++)
		rest[i] = list.nodes[0];
	print_call(pin_held_finish(&held, rest), 0, pages.count);
}

static void unpin(void)
{
	pin_release(&pin);
	print_result(0);
}

static void print_where(void)
{
	int status[pages.count];

	if (placement_query(0, pages.addr, pages.count, status))
		tool_fail("move_pages");
	fprintf(out, "{\"where\"");
	print_runs(status, pages.count);
	fputs("}\n", out);
}

/* What pages.h holds true of each, where the kernel says that they are. */
static void verify(long first)
{
	int status[pages.count];
	const char *problem;
	long i;

	if (placement_query(0, pages.addr, pages.count, status))
		tool_fail("move_pages");
	for (i = 0; i < pages.count; i++)
		pages_want(&pages, i, 1, status[i]);
	for (i = 0; i < first && i < pages.count; i++)
		pages_forget_frame(&pages, i);
	problem = pages_verify(&pages, "as found");
	fprintf(out, "{\"problem\": \"");
	for (; *problem; problem++)
		if (*problem >= ' ' && *problem != '"' && *problem != '\\')
			putc(*problem, out);
	fputs("\"}\n", out);
	pages_snapshot(&pages);
}

static void answer(const char *request)
{
	long first, count;
	int node, other;

	if (sscanf(request, "move %ld %ld %d", &first, &count, &node) == 3)
		move(first, count, node);
	else if (sscanf(request, "bind %d", &node) == 1)
		print_result(numa_mbind(pages.addr, pages.count * PAGE_BYTES,
					MPOL_BIND, NODE(node),
					MPOL_MF_MOVE | MPOL_MF_STRICT));
	else if (!strcmp(request, "unbind"))
		print_result(numa_mbind(pages.addr, pages.count * PAGE_BYTES,
					MPOL_DEFAULT, 0, 0));
	else if (sscanf(request, "migrate %d %d", &other, &node) == 2)
		print_result(numa_migrate_pages(0, NODE(other), NODE(node)));
	else if (sscanf(request, "hold %d %d", &node, &other) == 2)
		hold(node, other);
	else if (!strcmp(request, "go"))
		go_on();
	else if (sscanf(request, "pin %ld", &first) == 1)
		print_result(pin_pages(&pin, pages_at(&pages, first), 1));
	else if (!strcmp(request, "unpin"))
		unpin();
	else if (!strcmp(request, "where"))
		print_where();
	else if (sscanf(request, "verify %ld", &first) == 1)
		verify(first);
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
