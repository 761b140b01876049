// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is asked for by type comes by type. The event kmem:mm_page_alloc says of
 * each page that this process has the kernel allocate by which flags it was
 * asked for, which type the mode made of them, and which frame it is.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [EVENT_TRACING, PROC_PAGE_MONITOR, DEBUG_FS]
 *   features: [page-mobility]
 *   timeout_s: 60
 *   quick: ["types.each_flag"]
 */
#include "harness.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mixture.h"
#include "mobility.h"
#include "pagemap.h"
#include "pagetypes.h"
#include "ramfs.h"
#include "scene.h"
#include "syscalls.h"
#include "trace.h"

#define EVENT		"mm_page_alloc"
#define SEED		7
/* 32 MiB, in which there are 128 pages in pipes. */
#define USERS		8192
#define BLOCK_PAGES	512
/* Of a guest: 64 GiB at most. */
#define MAX_BLOCKS	32768

/* What an allocation says by its flags that it is for. */
struct event {
	unsigned long pfn;
	int order;
	int type;	/* the kernel's, as the allocator uses it */
	enum pagetype flags;
};

/* What a mode is to make of flags. */
static int type_of(enum mobility mode, enum pagetype flags)
{
	if (mode == MOBILITY_OFF ||
	    (mode == MOBILITY_LITE && flags == RECLAIMABLE))
		return UNMOVABLE;
	return flags;
}

/* By the names of show_gfp_flags(), include/trace/events/mmflags.h, 6.12. */
static enum pagetype type_of_flags(const char *flags)
{
	if (strstr(flags, "MOVABLE") || strstr(flags, "TRANSHUGE"))
		return MOVABLE;
	return strstr(flags, "RECLAIMABLE") ? RECLAIMABLE : UNMOVABLE;
}

/*
 * The next event from *@text on; pages that were not to be had are left out,
 * they have no frame. Whether there is one; -1 in e->order if unreadable.
 */
static bool next_event(const char **text, struct event *e)
{
	char flags[256];

	*text = trace_next(*text, EVENT);
	if (!*text)
		return false;
	e->order = -1;
	if (sscanf(*text,
		   "page=%*s pfn=0x%lx order=%d migratetype=%d gfp_flags=%255s",
		   &e->pfn, &e->order, &e->type, flags) == 4)
		e->flags = type_of_flags(flags);
	return true;
}

FIXTURE(types)
{
	int a;
	int b;
	enum mobility mode;
	struct trace trace;
	struct mixture mixture;
	char *text;
};

FIXTURE_SETUP(types)
{
	char filter[64];
	int bad;

	FIND_TWO_NODES(self, return);
	self->mode = mobility_asked(&bad);
	ASSERT_EQ(0, ramfs_begin());
	ASSERT_EQ(0, trace_begin(&self->trace));
	/* Some 30 bytes an event; those of one run must all be there. */
	ASSERT_EQ(0, trace_write(&self->trace, "buffer_size_kb", "8192"));
	snprintf(filter, sizeof(filter), "common_pid == %d", getpid());
	ASSERT_EQ(0, trace_event(&self->trace, "kmem/" EVENT, filter));
	ASSERT_EQ(0, mixture_begin(&self->mixture, self->b, USERS, MIXTURE_DENSE,
				   SEED));
	ASSERT_EQ(0, trace_write(&self->trace, "tracing_on", "0"));
	self->text = trace_text(&self->trace);
	ASSERT_NE(NULL, self->text);
}

FIXTURE_TEARDOWN(types)
{
	free(self->text);
	EXPECT_EQ(0, mixture_drop_users(&self->mixture));
	EXPECT_EQ(0, mixture_drop_files(&self->mixture));
	EXPECT_EQ(0, mixture_end(&self->mixture));
	EXPECT_EQ(0, trace_end(&self->trace));
}

/* All three kinds were asked for, as often as there are pages of them. */
TEST_F(types, each_flag)
{
	long asked[PAGETYPES] = { 0 }, other[PAGETYPES] = { 0 };
	const char *at = self->text;
	struct event e;

	while (next_event(&at, &e)) {
		ASSERT_LE(0, e.order);
		asked[e.flags]++;
		other[e.flags] += e.type != type_of(self->mode, e.flags);
	}
	EXPECT_EQ(0, other[UNMOVABLE]);
	EXPECT_EQ(0, other[MOVABLE]);
	EXPECT_EQ(0, other[RECLAIMABLE]);
	EXPECT_LE(USERS, asked[MOVABLE]);
	EXPECT_LE(USERS / MIXTURE_DENSE, asked[UNMOVABLE]);
	/* Some 2048 files, of 0.8 KiB each with their dentries, by 32 KiB. */
	EXPECT_LE(32, asked[RECLAIMABLE]);
}

/* The frames are those that the pages have: what the trace says holds. */
TEST_F(types, frames_are_those_of_the_pages)
{
	static uint64_t entries[USERS];
	const char *at = self->text;
	long i, found = 0, count = 0;
	struct event e;

	ASSERT_EQ(0, pagemap_read(0, self->mixture.user, USERS, entries));
	/* The user's pages came one after the other: so do their events. */
	for (i = 0; next_event(&at, &e); count++)
		if (i < USERS && e.order == 0 &&
		    e.pfn == pagemap_pfn(entries[i])) {
			i++;
			found++;
		}
	EXPECT_EQ(USERS, found);
	EXPECT_LT(USERS, count);
}

/* Of each pageblock, which kinds lie in it: a bit each. */
static void note_blocks(const char *text, unsigned char *kinds)
{
	struct event e;

	memset(kinds, 0, MAX_BLOCKS);
	while (next_event(&text, &e))
		if (e.order >= 0 && e.pfn / BLOCK_PAGES < MAX_BLOCKS)
			kinds[e.pfn / BLOCK_PAGES] |= 1 << e.flags;
}

static long count_mixed(const unsigned char *kinds, unsigned char which)
{
	long i, count = 0;

	for (i = 0; i < MAX_BLOCKS; i++)
		count += (kinds[i] & which) == which;
	return count;
}

/*
 * On a node with room in plenty, pages that are told apart share no pageblock,
 * and pages that are not, which were allocated in turn, share them.
 */
TEST_F(types, kinds_lie_apart)
{
	static unsigned char kinds[MAX_BLOCKS];
	long movable, reclaimable;

	note_blocks(self->text, kinds);
	movable = count_mixed(kinds, 1 << MOVABLE | 1 << UNMOVABLE);
	reclaimable = count_mixed(kinds, 1 << RECLAIMABLE | 1 << UNMOVABLE);
	if (self->mode == MOBILITY_OFF) {
		EXPECT_LE(USERS / BLOCK_PAGES, movable);
	} else {
		EXPECT_EQ(0, movable);
	}
	if (self->mode == MOBILITY_FULL) {
		EXPECT_EQ(0, reclaimable);
	} else {
		EXPECT_LT(0, reclaimable);
	}
}

TEST_HARNESS_MAIN
