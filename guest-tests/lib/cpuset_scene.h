/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What every case about cpusets begins with: two groups, "x" and "y", the nodes
 * that there are, and a child with pages that is to be put into the groups.
 */
#ifndef TESTBED_CPUSET_SCENE_H
#define TESTBED_CPUSET_SCENE_H

#include "cpuset.h"
#include "placement.h"
#include "subject.h"

#define SCENE_NODES	8

#ifndef MPOL_WEIGHTED_INTERLEAVE
#define MPOL_WEIGHTED_INTERLEAVE	6	/* since 6.9 */
#endif

struct cpuset_scene {
	int node[SCENE_NODES];	/* with memory, ascending; -1 past the last */
	unsigned long all;	/* the same as a set */
	struct cpuset_root root;
	struct subject subject;
};

/* A fixture with a variant for each hierarchy that there is. */
#define CPUSET_VARIANTS(fixture)					\
	FIXTURE_VARIANT(fixture) {					\
		enum cpuset_kind kind;					\
	};								\
	FIXTURE_VARIANT_ADD(fixture, v1) {				\
		.kind = CPUSET_V1,					\
	};								\
	FIXTURE_VARIANT_ADD(fixture, v2) {				\
		.kind = CPUSET_V2,					\
	}

/* As a fixture is; for SKIP() in a setup, which has to come before anything. */
int cpuset_scene_nodes(struct cpuset_scene *scene);

/*
 * Mount, make the groups, map @pages untouched pages for the child. "" or what
 * went wrong; then nothing is left behind.
 */
const char *cpuset_scene_begin(struct cpuset_scene *scene,
			       enum cpuset_kind kind, long pages);

/* Undo it, in the parent of a test. 0 or -errno. */
int cpuset_scene_end(struct cpuset_scene *scene);

/*
 * Give group "x" the nodes, start the child with @prepare done and put it into
 * the group, and look at it. "" or what went wrong.
 */
const char *cpuset_scene_start(struct cpuset_scene *scene, unsigned long nodes,
			       holder_fn prepare);

/*
 * "" if since the last look all is as wanted, and the child is on @nodes with
 * all it has.
 */
const char *cpuset_scene_verify(struct cpuset_scene *scene, unsigned long nodes,
				const char *what);

/* The nodes at @places: NODE(0) for the first that there is, and so on. */
unsigned long cpuset_scene_set(const struct cpuset_scene *scene,
			       unsigned long places);

/* "bind=static:1", as numa_maps has it (mpol_to_str(), mm/mempolicy.c). */
const char *cpuset_policy_text(int mode, int flags, unsigned long nodes);

/* "" if @seen are the nodes @wanted, else both as text. */
const char *cpuset_same(unsigned long wanted, unsigned long seen);

#endif /* TESTBED_CPUSET_SCENE_H */
