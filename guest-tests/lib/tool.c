// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "syscalls.h"
#include "tool.h"

void tool_fail(const char *what)
{
	fprintf(stderr, "%s: %s: %m\n", program_invocation_short_name, what);
	exit(2);
}

void tool_options(int argc, char **argv, long least, long most, long *count,
		  int *node)
{
	static const struct option names[] = {
		{ "pages", required_argument, NULL, 'p' },
		{ "bind", required_argument, NULL, 'b' },
		{ },
	};
	int option;

	*count = 0;
	*node = -1;
	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (option == 'p')
			*count = strtol(optarg, NULL, 10);
		else if (option == 'b')
			*node = strtol(optarg, NULL, 10);
		else
			exit(2);
	}
	if (*count < least || *count > most || *node < 0 ||
	    *node >= MAX_NODES) {
		fprintf(stderr,
			"usage: %s --pages N --bind NODE, N from %ld to %ld\n",
			program_invocation_short_name, least, most);
		exit(2);
	}
}

FILE *tool_output(void)
{
	FILE *out = fdopen(dup(STDOUT_FILENO), "w");

	if (!out || !freopen("/dev/null", "w", stdout))
		tool_fail("stdout");
	return out;
}

void tool_serve(FILE *out, long pages, void (*answer)(const char *request))
{
	char line[64];

	fprintf(out, "{\"ready\": true, \"pages\": %ld}\n", pages);
	fflush(out);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\r\n")] = '\0';
		answer(line);
		fflush(out);
	}
}
