/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What most cases begin with: two nodes that have memory, a and b, and pages
 * that are on a. The macros are for FIXTURE_SETUP() and its like.
 */
#ifndef TESTBED_SCENE_H
#define TESTBED_SCENE_H

#include <sys/mman.h>

#include "backing.h"
#include "nodes.h"
#include "pages.h"

/*
 * Find @scene->a and @scene->b, or skip the test by @statement, as SKIP() does.
 */
#define FIND_TWO_NODES(scene, statement) do {				\
	const unsigned long _found = nodes_with_memory();		\
									\
	if (nodes_count(_found) < 2)					\
		SKIP(statement, "needs 2 nodes with memory, has %s",	\
		     nodes_text(_found));				\
	(scene)->a = nodes_nth(_found, 0);				\
	(scene)->b = nodes_nth(_found, 1);				\
} while (0)

/* The third, -1 if there is none. */
#define THIRD_NODE()	nodes_nth(nodes_with_memory(), 2)

/* A fixture with a variant for private memory and one for shared memory. */
#define SHARING_VARIANTS(fixture)					\
	FIXTURE_VARIANT(fixture) {					\
		int sharing;						\
	};								\
	FIXTURE_VARIANT_ADD(fixture, private) {				\
		.sharing = MAP_PRIVATE,					\
	};								\
	FIXTURE_VARIANT_ADD(fixture, shared) {				\
		.sharing = MAP_SHARED,					\
	}

/*
 * Map @count pages, MAP_PRIVATE or MAP_SHARED, fill them on @node and note what
 * is. "" or what went wrong.
 */
const char *scene_pages(struct pages *p, long count, int sharing, int node);

/* The same of an area of that kind of memory, @p over it. */
const char *scene_area(struct area *area, const struct backing *backing,
		       struct pages *p, int node);

/* The same of one that area_map() made. */
const char *scene_fill_area(struct area *area);

#endif /* TESTBED_SCENE_H */
