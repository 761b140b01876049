// SPDX-License-Identifier: GPL-2.0-only
#include <string.h>

#include "mobility.h"
#include "proc.h"

#define PARAMETER	"page_mobility"

const char *const mobility_names[MOBILITIES] = {
	[MOBILITY_OFF] = "off",
	[MOBILITY_LITE] = "lite",
	[MOBILITY_FULL] = "full",
};

static int find_mode(const char *name)
{
	int mode;

	for (mode = 0; mode < MOBILITIES; mode++)
		if (!strcmp(name, mobility_names[mode]))
			return mode;
	return -1;
}

int mobility_now(void)
{
	char text[32];

	if (proc_read("/proc/sys/vm/" PARAMETER, text, sizeof(text)) < 0)
		return -1;
	text[strcspn(text, "\n")] = '\0';
	return find_mode(text);
}

enum mobility mobility_asked(int *bad)
{
	char text[4096], *word, *save;
	int mode, asked = MOBILITY_FULL;
	size_t len = strlen(PARAMETER);

	*bad = 0;
	if (proc_read("/proc/cmdline", text, sizeof(text)) < 0)
		return asked;
	for (word = strtok_r(text, " \n", &save); word;
	     word = strtok_r(NULL, " \n", &save)) {
		if (strncmp(word, PARAMETER, len) || !strchr("=", word[len]))
			continue;
		mode = word[len] ? find_mode(word + len + 1) : -1;
		if (mode < 0)
			(*bad)++;
		else
			asked = mode;
	}
	return asked;
}
