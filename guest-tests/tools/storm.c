// SPDX-License-Identifier: GPL-2.0-only
/*
 * storm: every way to move pages that this kernel has, by turns and without a
 * pause, over memory of its own and over that of the processes of stress-ng.
 *
 *	storm --pages N
 *
 * A kind that the kernel lacks is never done. Between two rounds each line of
 * its input is answered with a line of JSON: how often each kind was carried
 * out, how often refused, and the first thing that must not be:
 *
 *	{"rounds": 9, "done": {"bind": 9, ...}, "refused": {...}, "wrong": ""}
 *
 * What calls on its own memory may answer is known, whoever else moves pages.
 * Others may be gone in mid-call, or be another program: there only what is
 * carried out is counted. Its own pages are verified after each round.
 *
 * The end of the input ends it, with status 0; 2 when it could not begin.
 */
#include <ctype.h>
#include <dirent.h>
#include <getopt.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "evict.h"
#include "migrate_file.h"
#include "movelist.h"
#include "node_stat.h"
#include "nodes.h"
#include "pages.h"
#include "proc.h"
#include "thp.h"
#include "tool.h"

#define MAX_PAGES	16384
/* A round that begins with new pages: evicted huge pages come back small. */
#define RENEWAL		8
/* How many of the others are tried until one is moved. */
#define ATTEMPTS	8

static struct pages pages, huge;
static struct movelist list;
static struct problems wrong;
static int home, target;	/* of this round */
static pid_t other;		/* likewise */

static long bind(void)
{
	long result = evict_bind(&pages, 0, pages.count, target,
				 MPOL_MF_MOVE);

	return result ? : evict_bind(&huge, 0, huge.count, target,
				     MPOL_MF_MOVE);
}

static long bind_evict(void)
{
	long result = evict_bind(&pages, 0, pages.count, home,
				 MPOL_MF_MOVE | MPOL_MF_EVICT);

	return result ? : evict_bind(&huge, 0, huge.count, home,
				     MPOL_MF_MOVE | MPOL_MF_EVICT);
}

static long bind_fallback(void)
{
	long result = evict_bind(&pages, 0, pages.count, target,
				 MPOL_MF_MOVE | MPOL_MF_FALLBACK);

	return result ? : evict_bind(&huge, 0, huge.count, target,
				     MPOL_MF_MOVE | MPOL_MF_FALLBACK);
}

static long move(void)
{
	movelist_send(&list, 0, list.count, home);
	movelist_clear(&list);
	return movelist_call(&list, 0, MPOL_MF_MOVE);
}

/* Ask where each page is: the kernel holds it for a moment. */
static long look_up(void)
{
	long i, result = 0;
	int node;

	for (i = 0; i < pages.count && !result; i++)
		result = numa_get_mempolicy(&node, NULL, pages_at(&pages, i),
					    MPOL_F_NODE | MPOL_F_ADDR);
	return result;
}

static long migrate(void)
{
	return numa_migrate_pages(0, NODE(home), NODE(target));
}

static long migrate_other(void)
{
	return numa_migrate_pages(other, NODE(home), NODE(target));
}

static long set_mode(void)
{
	return evict_set_mode(random() % (MIGRATE_MODE_FALLBACK + 1));
}

/* A map of the two nodes: one way, both ways, or as sets. */
static const char *any_map(void)
{
	switch (random() % 3) {
	case 0:
		return migrate_map_one(home, target);
	case 1:
		return migrate_map_two(home, target, target, home);
	default:
		return migrate_map_sets(NODE(home), NODE(target));
	}
}

/* Close @fd; what was asked by it must be told. */
static long close_told(int fd, long result)
{
	struct migrate_told told;

	if (!result && migrate_file_read(fd, &told))
		result = -EIO;
	close(fd);
	return result;
}

static long file_range(void)
{
	int fd = migrate_file_open(0);

	if (fd < 0)
		return fd;
	return close_told(fd, migrate_file_ask_range(fd, &pages, 0,
						     pages.count, any_map()));
}

static long file_all(void)
{
	int fd = migrate_file_open(0);

	return fd < 0 ? fd : close_told(fd, migrate_file_ask_all(fd,
								 any_map()));
}

static long file_other(void)
{
	int fd = migrate_file_open(other);

	return fd < 0 ? fd : close_told(fd, migrate_file_ask_all(fd,
								 any_map()));
}

/* Line by line of what the other's maps were: much of it has gone since. */
static long file_other_maps(void)
{
	struct migrate_told sum;
	int fd = migrate_file_open(other);
	const char *problem;

	if (fd < 0)
		return fd;
	problem = migrate_file_ask_maps(fd, other, any_map(), &sum);
	close(fd);
	return *problem ? -ESRCH : 0;
}

static bool always(void)
{
	return true;
}

static bool has_swap_migration(void)
{
	return system_stat("pgmigrate_swapped") >= 0;
}

static bool has_migrate_file(void)
{
	return !access("/proc/self/migrate", F_OK);
}

static struct kind {
	const char *name;
	bool (*is_there)(void);
	long (*act)(void);
	bool of_other;
	long done;
	long refused;
} kinds[] = {
	{ .name = "bind", always, bind },
	{ .name = "migrate_other", always, migrate_other, .of_other = true },
	{ .name = "bind_evict", has_swap_migration, bind_evict },
	{ .name = "file_other", has_migrate_file, file_other,
	  .of_other = true },
	{ .name = "move", always, move },
	{ .name = "look_up", always, look_up },
	{ .name = "set_mode", has_swap_migration, set_mode },
	{ .name = "migrate", always, migrate },
	{ .name = "file_range", has_migrate_file, file_range },
	{ .name = "file_other_maps", has_migrate_file, file_other_maps,
	  .of_other = true },
	{ .name = "bind_fallback", has_swap_migration, bind_fallback },
	{ .name = "file_all", has_migrate_file, file_all },
};

#define KINDS	(sizeof(kinds) / sizeof(*kinds))

static bool is_stressor(const char *pid)
{
	char path[300], name[32];

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	return proc_read(path, name, sizeof(name)) > 0 &&
	       !strncmp(name, "stress-ng", strlen("stress-ng"));
}

/* Any of the processes of stress-ng, each as likely; 0 if there is none. */
static pid_t find_other(void)
{
	struct dirent *entry;
	DIR *proc = opendir("/proc");
	long seen = 0;
	pid_t found = 0;

	if (!proc)
		tool_fail("/proc");
	while ((entry = readdir(proc))) {
		if (!isdigit(entry->d_name[0]) || !is_stressor(entry->d_name))
			continue;
		if (random() % ++seen == 0)
			found = strtol(entry->d_name, NULL, 10);
	}
	closedir(proc);
	return found;
}

/* Most live for a moment, and have no memory any more when they are asked. */
static long act_on_other(const struct kind *kind)
{
	long result = -ESRCH;
	int i;

	for (i = 0; i < ATTEMPTS && result < 0; i++) {
		other = find_other();
		if (other)
			result = kind->act();
	}
	return result;
}

static void carry_out(struct kind *kind)
{
	long result;

	if (!kind->is_there())
		return;
	result = kind->of_other ? act_on_other(kind) : kind->act();
	kind->done += result >= 0;
	kind->refused += result < 0;
	if (result < 0 && result != -ENOMEM && !kind->of_other)
		problems_add(&wrong, "%s: %s; ", kind->name,
			     strerrorname_np(-result));
}

static void fill(struct pages *p)
{
	if (madvise(p->addr, p->count * PAGE_BYTES, MADV_DONTNEED))
		tool_fail("madvise");
	pages_want_all(p, home);
	if (pages_populate(p))
		tool_fail("cannot fill the pages");
}

/* Leave no policy behind: a node alone may be full in the next round. */
static void unbind(struct pages *p)
{
	if (numa_mbind(p->addr, p->count * PAGE_BYTES, MPOL_DEFAULT, 0, 0))
		tool_fail("mbind");
}

static void verify(const struct pages *p, const char *what)
{
	long bad = pages_bad(p);

	if (bad)
		problems_add(&wrong, "%ld %s lost their content; ", bad, what);
}

static void go_round(long number)
{
	const unsigned long nodes = nodes_with_memory();
	const int first = random() % nodes_count(nodes);
	size_t i;

	home = nodes_nth(nodes, first);
	target = nodes_nth(nodes, (first + 1) % nodes_count(nodes));
	if (number % RENEWAL == 0) {
		fill(&pages);
		fill(&huge);
	}
	for (i = 0; i < KINDS; i++)
		carry_out(&kinds[i]);
	verify(&pages, "pages");
	verify(&huge, "huge pages");
	unbind(&pages);
	unbind(&huge);
}

static void begin(int argc, char **argv)
{
	static const struct option names[] = {
		{ "pages", required_argument, NULL, 'p' },
		{ },
	};
	char *area;
	long count = 0;
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1)
		count = option == 'p' ? strtol(optarg, NULL, 10) : 0;
	if (count < 1 || count > MAX_PAGES) {
		fputs("usage: storm --pages N\n", stderr);
		exit(2);
	}
	if (nodes_count(nodes_with_memory()) < 2) {
		fputs("storm: needs two nodes with memory\n", stderr);
		exit(2);
	}
	area = thp_map();
	if (area == MAP_FAILED || pages_map(&pages, count, MAP_PRIVATE) ||
	    pages_over(&huge, area, THP_PAGES) ||
	    movelist_make(&list, &pages, count, 0))
		tool_fail("mmap");
}

static void print_counts(const char *what, bool refused)
{
	size_t i;

	printf("\"%s\": {", what);
	for (i = 0; i < KINDS; i++)
		printf("%s\"%s\": %ld", i ? ", " : "", kinds[i].name,
		       refused ? kinds[i].refused : kinds[i].done);
	printf("}, ");
}

static void answer(long rounds)
{
	printf("{\"rounds\": %ld, ", rounds);
	print_counts("done", false);
	print_counts("refused", true);
	printf("\"wrong\": \"%s\"}\n", problems_text(&wrong));
}

static bool is_asked(void)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };

	return poll(&input, 1, 0) > 0;
}

int main(int argc, char **argv)
{
	char line[64];
	long rounds;

	setvbuf(stdout, NULL, _IOLBF, 0);
	/* What poll(2) does not see must not wait in a buffer. */
	setvbuf(stdin, NULL, _IONBF, 0);
	begin(argc, argv);
	puts("{\"ready\": true}");
	for (rounds = 0;; rounds++) {
		go_round(rounds);
		if (!is_asked())
			continue;
		if (!fgets(line, sizeof(line), stdin))
			return 0;
		answer(rounds + 1);
	}
}
