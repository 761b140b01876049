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
