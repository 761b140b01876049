// SPDX-License-Identifier: GPL-2.0-only
#include "commons.h"
#include "scene.h"

/* For the child, which is forked and sees what was set before. */
static const struct role *role_of_child;

static long populate_in_role(struct pages *p)
{
	return pages_populate(p) ? :
	       role_of_child ? creds_take(role_of_child) : 0;
}

const char *commons_start(struct commons *c, long count,
			  const struct role *role)
{
	struct pages *p = &c->subject.pages;
	const char *problem;

	problem = scene_pages(&c->common, count, MAP_PRIVATE, c->a);
	if (*problem)
		return problem;
	if (pages_map(p, count, MAP_PRIVATE))
		return "cannot map pages for the child";
	pages_want_all(p, c->a);
	role_of_child = role;
	if (subject_start(&c->subject, populate_in_role))
		return "cannot start the child";
	problem = pages_shared_with(&c->common, p->pid);
	/* They are no longer its own since the fork: pagemap says so. */
	if (!*problem)
		problem = pages_snapshot(&c->common);
	return *problem ? problem : subject_look(&c->subject);
}

const char *commons_verify(struct commons *c, int own, int common,
			   const char *what)
{
	const char *problem;

	pages_want_all(&c->subject.pages, own);
	pages_want_all(&c->common, common);
	problem = subject_verify(&c->subject, 0, what);
	if (!*problem)
		problem = pages_verify(&c->common, what);
	return *problem ? problem :
	       pages_shared_with(&c->common, c->subject.pages.pid);
}
