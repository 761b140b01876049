// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>

#include "deadline.h"
#include "metric.h"

unsigned int deadline_slowness(void)
{
	const char *slowness = getenv("TESTBED_SLOWNESS");

	return slowness ? (unsigned int)atoi(slowness) : 1;
}

double deadline_after_us(double us)
{
	return metric_now_us() + us * deadline_slowness();
}
