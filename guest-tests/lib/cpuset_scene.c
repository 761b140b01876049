// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "cpuset_scene.h"
#include "nodes.h"
#include "placement.h"

static char problem[256];

int cpuset_scene_nodes(struct cpuset_scene *scene)
{
	int i;

	scene->all = nodes_with_memory();
	for (i = 0; i < SCENE_NODES; i++)
		scene->node[i] = nodes_nth(scene->all, i);
	return nodes_count(scene->all);
}

const char *cpuset_scene_begin(struct cpuset_scene *scene,
			       enum cpuset_kind kind, long pages)
{
	int error;

	cpuset_scene_nodes(scene);
	if (pages_map(&scene->subject.pages, pages, MAP_PRIVATE))
		return "cannot map the pages";
	error = cpuset_begin_as(&scene->root, kind);
	if (error) {
		snprintf(problem, sizeof(problem), "cpusets: %s",
			 strerror(-error));
		return problem;
	}
	error = cpuset_create("x") ? : cpuset_create("y");
	if (!error)
		return "";
	/* A setup that failed is not torn down. */
	cpuset_end(&scene->root);
	snprintf(problem, sizeof(problem), "the groups: %s", strerror(-error));
	return problem;
}

int cpuset_scene_end(struct cpuset_scene *scene)
{
	return cpuset_end(&scene->root);
}

const char *cpuset_scene_start(struct cpuset_scene *scene, unsigned long nodes,
			       holder_fn prepare)
{
	int error = cpuset_set_mems("x", nodes);
	long result;

	if (error) {
		snprintf(problem, sizeof(problem), "mems of x: %s",
			 strerror(-error));
		return problem;
	}
	result = subject_start(&scene->subject, prepare);
	if (result) {
		snprintf(problem, sizeof(problem), "the child: %ld", result);
		return problem;
	}
	error = cpuset_attach("x", scene->subject.pages.pid);
	if (error) {
		snprintf(problem, sizeof(problem), "into x: %s",
			 strerror(-error));
		return problem;
	}
	return subject_look(&scene->subject);
}

const char *cpuset_scene_verify(struct cpuset_scene *scene, unsigned long nodes,
				const char *what)
{
	const char *text = subject_verify(&scene->subject, 0, what);
	long astray = subject_is_on(~nodes);

	if (*text || !astray)
		return text;
	snprintf(problem, sizeof(problem),
		 "%s: %ld frames of the child are not on nodes %s", what,
		 astray, nodes_text(nodes));
	return problem;
}

unsigned long cpuset_scene_set(const struct cpuset_scene *scene,
			       unsigned long places)
{
	unsigned long set = 0;
	int i;

	for (i = 0; i < SCENE_NODES; i++)
		if (places & NODE(i) && scene->node[i] >= 0)
			set |= NODE(scene->node[i]);
	return set;
}

const char *cpuset_same(unsigned long wanted, unsigned long seen)
{
	if (wanted == seen)
		return "";
	snprintf(problem, sizeof(problem), "wanted nodes %s, are %s",
		 nodes_text(wanted), nodes_text(seen));
	return problem;
}

const char *cpuset_policy_text(int mode, int flags, unsigned long nodes)
{
	static const char *const names[] = {
		[MPOL_PREFERRED] = "prefer",
		[MPOL_BIND] = "bind",
		[MPOL_INTERLEAVE] = "interleave",
		[MPOL_PREFERRED_MANY] = "prefer (many)",
		[MPOL_WEIGHTED_INTERLEAVE] = "weighted interleave",
	};
	static char text[64];

	snprintf(text, sizeof(text), "%s%s%s:%s", names[mode],
		 flags & MPOL_F_STATIC_NODES ? "=static" : "",
		 flags & MPOL_F_RELATIVE_NODES ? "=relative" : "",
		 nodes_text(nodes));
	return text;
}
