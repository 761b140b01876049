// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <time.h>

#include "metric.h"

double metric_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

void metric_print(const char *name, double value, const char *unit)
{
	printf("# @metric {\"name\": \"%s\", \"value\": %.6g, \"unit\": \"%s\"}\n",
	       name, value, unit);
}
