// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <string.h>

#include "cpuset_child.h"
#include "nodes.h"
#include "syscalls.h"

static char problem[256];

/* "" for 0; a failure of the child's, which is none of errno's, as a number. */
static const char *explain(const char *what, long error)
{
	if (!error)
		return "";
	snprintf(problem, sizeof(problem), "%s: %ld (%s)", what, error,
		 error < 0 ? strerror(-error) : "not all is well");
	return problem;
}

const char *cpuset_child_begin(struct cpuset_child *c, enum cpuset_kind kind,
			       const struct backing *backing)
{
	unsigned long nodes = nodes_with_memory();
	const char *text;
	long error;

	c->a = nodes_nth(nodes, 0);
	c->b = nodes_nth(nodes, 1);
	if (area_child_map(&c->child, backing, c->a))
		return "cannot map the area";
	error = cpuset_begin_as(&c->root, kind);
	if (error) {
		area_release(&c->child.area);
		return explain("cpusets", error);
	}
	error = cpuset_create("x") ? : cpuset_set_mems("x", NODE(c->a)) ? :
		area_child_start(&c->child) ? :
		cpuset_attach("x", c->child.subject.pages.pid);
	text = error ? explain("the child in x", error) :
	       area_child_look(&c->child);
	/* A setup that failed is not torn down. */
	if (*text)
		cpuset_child_end(c);
	return text;
}

int cpuset_child_end(struct cpuset_child *c)
{
	area_release(&c->child.area);
	return cpuset_end(&c->root);
}

/* All that the child has is on node b, and it can tell so itself. */
static const char *verify_and_finish(struct cpuset_child *c, const char *what)
{
	const char *text = area_child_verify(&c->child, c->b, what);

	return *text ? text : explain("what the child finds at its end",
				      area_child_finish(&c->child));
}

const char *cpuset_child_change_mems(struct cpuset_child *c)
{
	int error = cpuset_set_mems("x", NODE(c->b));

	return error ? explain("mems of x", error) :
	       verify_and_finish(c, "cpuset.mems from a to b");
}

const char *cpuset_child_attach(struct cpuset_child *c)
{
	int error = cpuset_create("y") ? : cpuset_set_mems("y", NODE(c->b)) ? :
		    cpuset_attach("y", c->child.subject.pages.pid);

	return error ? explain("into y", error) :
	       verify_and_finish(c, "from x (a) to y (b)");
}
