// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <string.h>

#include "migspeed.h"
#include "problems.h"

static struct problems problems;

int migspeed_read_report(const struct program *tool, int index,
			 struct migspeed_report *r)
{
	const char *line = tool->said, *end;
	long pages;
	int node;

	memset(r, 0, sizeof(*r));
	for (; line; line = end ? end + 1 : NULL) {
		end = strchr(line, '\n');
		if (sscanf(line, "%lx %31s", &r->addr, r->policy) == 2 &&
		    !strncmp(r->policy, "bind:", 5) && !index--)
			break;
	}
	if (!line)
		return -1;
	while ((line = strstr(line, " N")) && (!end || line < end)) {
		if (sscanf(line, " N%d=%ld", &node, &pages) == 2)
			r->seen.on[node] = pages;
		line += 2;
	}
	return 0;
}

/* "" if report @index is of a range bound to @bound, with its pages as wanted. */
static const char *check_report(const struct program *tool, int index,
				int bound, const struct placement *want)
{
	char policy[32], text[256], other[256];
	struct migspeed_report r;

	problems_clear(&problems);
	snprintf(policy, sizeof(policy), "bind:%d", bound);
	if (migspeed_read_report(tool, index, &r)) {
		problems_add(&problems, "no line %d of numa_maps in: %s", index,
			     tool->said);
		return problems_text(&problems);
	}
	placement_print(index ? "migspeed, after" : "migspeed, before", want,
			&r.seen);
	if (strcmp(policy, r.policy))
		problems_add(&problems, "wanted %s, is %s", policy, r.policy);
	if (!placement_equal(want, &r.seen))
		problems_add(&problems, "wanted %s, is %s",
			     placement_text(want, text, sizeof(text)),
			     placement_text(&r.seen, other, sizeof(other)));
	return problems_text(&problems);
}

const char *migspeed_check_reports(const struct program *tool, int a, int b,
				   long pages, long moved)
{
	struct placement want = {0};
	const char *problem;

	want.on[a] = pages;
	problem = check_report(tool, 0, a, &want);
	if (*problem)
		return problem;
	want.on[a] = pages - moved;
	want.on[b] += moved;
	return check_report(tool, 1, b, &want);
}

/* The mebibytes and the rate in its last line, as far as it is one. */
static int read_rate(const struct program *tool, double *mib, double *rate)
{
	const char *line = strstr(tool->said, " Mbyte migrated in ");

	while (line && line > tool->said && line[-1] != '\n')
		line--;
	if (!line ||
	    sscanf(line, "%lf Mbyte migrated in %*f secs. %lf Mbytes/second\n",
		   mib, rate) != 2)
		return -1;
	return 0;
}

const char *migspeed_check_rate(const struct program *tool, long pages)
{
	/* 4 KiB each; it prints one place behind the point. */
	const double wanted = pages / 256.0, slack = 0.06;
	double mib, rate;

	problems_clear(&problems);
	if (tool->status || read_rate(tool, &mib, &rate))
		problems_add(&problems, "it ends with %d and says: %s",
			     tool->status, tool->said);
	else if (mib <= wanted - slack || mib >= wanted + slack || rate <= 0)
		problems_add(&problems, "wanted %.1f MiB, is %.1f at %.1f MB/s",
			     wanted, mib, rate);
	return problems_text(&problems);
}
