// SPDX-License-Identifier: GPL-2.0-only
/*
 * pinhold: pages that are pinned for long when the host says so, for tests
 * that plug and unplug the memory under them.
 *
 *	pinhold --pages N --bind NODE
 *
 * It maps N pages of private memory, fills them on that node and prints
 *
 *	{"ready": true, "pages": 64}
 *
 * From then on it answers each line of its input with a line of JSON:
 *
 *	pin	{"error": 0}	as a fixed buffer of io_uring: FOLL_LONGTERM
 *	unpin	{"error": 0}
 *	move N	{"result": 0}	of move_pages(2), all pages to node N
 *	blocks	{"blocks": {"32": 64}}	by memory block of sysfs
 *	nodes	{"nodes": {"1": 64}}
 *	check	{"bad": 0}	pages that lost their content
 *
 * The end of the input ends it, with status 0; 2 when it could not begin.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "pagemap.h"
#include "pages.h"
#include "placement.h"
#include "tool.h"
#include "uring.h"

/* MIN_MEMORY_BLOCK_SIZE, arch/x86/mm/init_64.c, 6.12; larger only with 64 GiB. */
#define BLOCK_PAGES	((128UL << 20) / PAGE_BYTES)
#define MAX_BLOCKS	1024
#define MAX_PAGES	4096

static struct pages pages;
static struct uring uring;

static void begin(int argc, char **argv)
{
	long count;
	int node;

	tool_options(argc, argv, 1, MAX_PAGES, &count, &node);
	if (pages_map(&pages, count, MAP_PRIVATE))
		tool_fail("mmap");
	pages_want_all(&pages, node);
	if (pages_populate(&pages))
		tool_fail("set_mempolicy");
	if (uring_open(&uring))
		tool_fail("io_uring");
}

static void print_move(int node)
{
	int nodes[pages.count], status[pages.count];
	void *addrs[pages.count];
	long i;

	for (i = 0; i < pages.count; i++) {
		addrs[i] = pages_at(&pages, i);
		nodes[i] = node;
	}
	printf("{\"result\": %ld}\n",
	       numa_move_pages(0, pages.count, addrs, nodes, status,
			       MPOL_MF_MOVE));
}

static void print_blocks(void)
{
	static long blocks[MAX_BLOCKS];
	uint64_t entries[pages.count];
	const char *comma = "";
	unsigned long block;
	long i;

	memset(blocks, 0, sizeof(blocks));
	if (pagemap_read(0, pages.addr, pages.count, entries))
		tool_fail("pagemap");
	for (i = 0; i < pages.count; i++) {
		block = pagemap_pfn(entries[i]) / BLOCK_PAGES;
		if (block < MAX_BLOCKS)
			blocks[block]++;
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

static void print_nodes(void)
{
	struct placement seen = {0};
	int status[pages.count];
	char text[512];
	long i;

	if (placement_query(0, pages.addr, pages.count, status))
		tool_fail("move_pages");
	for (i = 0; i < pages.count; i++)
		placement_add(&seen, status[i]);
	printf("{\"nodes\": %s}\n", placement_text(&seen, text, sizeof(text)));
}

static void answer(const char *request)
{
	int node;

	if (!strcmp(request, "pin"))
		printf("{\"error\": %d}\n",
		       uring_register(&uring, pages.addr,
				      pages.count * PAGE_BYTES));
	else if (!strcmp(request, "unpin"))
		printf("{\"error\": %d}\n", uring_unregister(&uring));
	else if (sscanf(request, "move %d", &node) == 1)
		print_move(node);
	else if (!strcmp(request, "blocks"))
		print_blocks();
	else if (!strcmp(request, "nodes"))
		print_nodes();
	else if (!strcmp(request, "check"))
		printf("{\"bad\": %ld}\n", pages_bad(&pages));
	else
		puts("{\"error\": \"unknown request\"}");
}

int main(int argc, char **argv)
{
	begin(argc, argv);
	tool_serve(stdout, pages.count, answer);
	return 0;
}
