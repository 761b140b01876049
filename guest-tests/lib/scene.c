// SPDX-License-Identifier: GPL-2.0-only
#include "scene.h"

const char *scene_pages(struct pages *p, long count, int sharing, int node)
{
	if (pages_map(p, count, sharing))
		return "cannot map pages";
	pages_want_all(p, node);
	if (pages_populate(p))
		return "cannot populate the pages";
	return pages_snapshot(p);
}

const char *scene_fill_area(struct area *area)
{
	const char *problem;

	if (area_fill(area))
		return "cannot fill the area";
	problem = pages_snapshot(area->pages);
	return *problem ? problem : area->backing->check(area);
}

const char *scene_area(struct area *area, const struct backing *backing,
		       struct pages *p, int node)
{
	if (area_map(area, backing, p, node))
		return "cannot map the area";
	return scene_fill_area(area);
}
