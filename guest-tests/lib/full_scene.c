// SPDX-License-Identifier: GPL-2.0-only
#include <sys/mman.h>

#include "full_scene.h"
#include "nodes.h"
#include "placement.h"

const char *full_scene_begin(struct full_scene *scene)
{
	unsigned long nodes = nodes_with_memory();

	scene->a = nodes_nth(nodes, 0);
	scene->b = nodes_nth(nodes, 1);
	if (scene->b < 0)
		return "needs 2 nodes with memory";
	scene->kills = full_oom_kills();
	if (scene->kills < 0)
		return "vmstat tells no kills";
	/* Away from the node that gets full: there every page is searched. */
	if (nodes_run_on(scene->a))
		return "cannot run on node a";
	if (swap_stop(&scene->swap))
		return "cannot stop swap";
	return full_begin(&scene->full) ? "cannot start the filler" : "";
}

const char *full_scene_end(struct full_scene *scene)
{
	bool killed = scene->kills != full_oom_kills();

	if (full_end(&scene->full))
		return "cannot put the knobs back";
	if (swap_resume(&scene->swap))
		return "cannot put swap back";
	return killed ? "somebody was killed for want of memory" : "";
}

const char *full_scene_fill(struct full_scene *scene)
{
	return full_take(&scene->full, scene->b, FULL_LEAVE) ?
		       "cannot fill the node" : "";
}

int full_scene_resume_swap(struct full_scene *scene)
{
	const struct swap_areas swap = scene->swap;

	scene->swap.count = 0;
	return swap.count ? swap_resume(&swap) : -ENODEV;
}

const char *full_scene_own(const struct full_scene *scene, struct pages *p)
{
	if (pages_map(p, FULL_PAGES, MAP_PRIVATE))
		return "cannot map";
	pages_want_all(p, scene->a);
	if (pages_populate(p))
		return "cannot populate";
	return pages_snapshot(p);
}

const char *full_scene_child(const struct full_scene *scene, struct subject *s,
			     holder_fn prepare)
{
	if (pages_map(&s->pages, FULL_PAGES, MAP_PRIVATE))
		return "cannot map";
	pages_want_all(&s->pages, scene->a);
	return subject_start(s, prepare) ? "cannot start the child" : "";
}

int full_scene_find(const struct full_scene *scene, struct pages *p,
		    struct full_found *found)
{
	int status[p->count];
	long i;

	*found = (struct full_found) { 0 };
	if (placement_query(p->pid, p->addr, p->count, status))
		return -1;
	for (i = 0; i < p->count; i++) {
		found->copied += status[i] == scene->b;
		found->out += status[i] < 0;
		pages_want(p, i, 1, status[i] == scene->b ? scene->b :
				    status[i] < 0 ? UNTOUCHED : scene->a);
	}
	return 0;
}

long full_scene_want_as_found(const struct full_scene *scene, struct pages *p)
{
	struct full_found found;

	return full_scene_find(scene, p, &found) || found.out ? -1 :
	       found.copied;
}
