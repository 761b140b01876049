/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a case about a full node begins with: two nodes, more pages on the first
 * than the second is going to have room for, and no swap, which would make
 * some.
 */
#ifndef TESTBED_FULL_SCENE_H
#define TESTBED_FULL_SCENE_H

#include "full.h"
#include "holder.h"
#include "pages.h"
#include "subject.h"
#include "swap.h"

/*
 * 48 MiB against 16 MiB and what the lists of the CPUs hold besides. Of what is
 * free a hundredth of the node may be kept for atomic allocations, where they
 * once failed (reserve_highatomic_pageblock() in mm/page_alloc.c, 6.12), and
 * who must not reclaim keeps off the low watermark: of 8 MiB nothing was left
 * now and then.
 */
#define FULL_PAGES	12288L
#define FULL_LEAVE	(16L << 20)

struct full_scene {
	int a;
	int b;			/* the node that gets full */
	struct full full;
	struct swap_areas swap;
	long kills;		/* of the OOM killer, before */
};

/*
 * Two nodes, a's CPU, no swap, and the filler: before the pages of a case are
 * there. "" or what went wrong.
 */
const char *full_scene_begin(struct full_scene *scene);

/* "" if nobody was killed and all is put back. */
const char *full_scene_end(struct full_scene *scene);

/* Leave node b room for FULL_LEAVE; "" or not. */
const char *full_scene_fill(struct full_scene *scene);

/*
 * Put the swap that was stopped back in use now, not at the end: by then node b
 * is full of what cannot go there. 0, or -errno: -ENODEV if there was none.
 */
int full_scene_resume_swap(struct full_scene *scene);

/* FULL_PAGES of the caller on node a, populated and looked at. "" or not. */
const char *full_scene_own(const struct full_scene *scene, struct pages *p);

/* The same of a child, with @prepare to populate them. "" or not. */
const char *full_scene_child(const struct full_scene *scene, struct subject *s,
			     holder_fn prepare);

/* Where pages are that were to go to node b, but for those still on a. */
struct full_found {
	long copied;		/* on b */
	long out;		/* of memory */
};

/*
 * Want each page where the kernel says it is, which is to be node a, node b or
 * out of memory. All else that pages_verify() looks at stays as strict. 0, or
 * -1 if the kernel does not say.
 */
int full_scene_find(const struct full_scene *scene, struct pages *p,
		    struct full_found *found);

/* The same where none is to be out: how many are on b, or -1. */
long full_scene_want_as_found(const struct full_scene *scene, struct pages *p);

#endif /* TESTBED_FULL_SCENE_H */
