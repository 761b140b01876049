// SPDX-License-Identifier: GPL-2.0-only
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proc.h"
#include "syscalls.h"
#include "vmas.h"

struct vma {
	uintptr_t start;
	uintptr_t end;
	unsigned long offset;
	char perms[8];
	char file[256];		/* device, inode and name */
};

static bool parse(const char *line, struct vma *vma)
{
	vma->file[0] = '\0';
	return sscanf(line, "%lx-%lx %7s %lx %255[^\n]", &vma->start, &vma->end,
		      vma->perms, &vma->offset, vma->file) >= 4;
}

static FILE *open_maps(pid_t pid)
{
	char path[64];

	proc_path(path, sizeof(path), pid, "maps");
	return fopen(path, "re");
}

const char *vmas_layout(const struct pages *p)
{
	static char buffers[2][256];
	static int turn;
	char *text = buffers[turn++ % 2], *line = NULL;
	uintptr_t at = (uintptr_t)p->addr, end = at + p->count * PAGE_BYTES;
	size_t room = 0, len = 0;
	struct vma vma;
	FILE *file = open_maps(p->pid);

	if (!file)
		return "cannot open maps";
	text[0] = '\0';
	while (getline(&line, &room, file) > 0) {
		if (!parse(line, &vma) || vma.end <= at || vma.start >= end)
			continue;
		if (vma.start > at)
			len += snprintf(text + len, sizeof(buffers[0]) - len,
					"%s-", len ? " " : "");
		if (vma.start > at)
			at = vma.start;
		if (vma.end > end)
			vma.end = end;
		len += snprintf(text + len, sizeof(buffers[0]) - len, "%s%lu",
				len ? " " : "", (vma.end - at) / PAGE_BYTES);
		at = vma.end;
	}
	if (at < end)
		snprintf(text + len, sizeof(buffers[0]) - len, "%s-",
			 len ? " " : "");
	free(line);
	fclose(file);
	return text;
}

/* Whether @next goes on where @vma ends, in the file too if it has one. */
static bool continues(const struct vma *vma, const struct vma *next)
{
	bool anonymous = !strncmp(next->file, "00:00 0 ", 8);

	return vma->end == next->start && !strcmp(vma->perms, next->perms) &&
	       !strcmp(vma->file, next->file) &&
	       (anonymous || vma->offset + vma->end - vma->start ==
			     next->offset);
}

static size_t add(char *text, size_t len, size_t bytes, const struct vma *vma)
{
	if (len >= bytes)
		return len;
	return len + snprintf(text + len, bytes - len, "%lx-%lx %s %lx %s\n",
			      vma->start, vma->end, vma->perms, vma->offset,
			      vma->file);
}

long vmas_text(pid_t pid, char *text, size_t bytes)
{
	struct vma vma = {0}, next;
	char *line = NULL;
	size_t room = 0, len = 0;
	FILE *file = open_maps(pid);

	if (!file)
		return -1;
	while (getline(&line, &room, file) > 0) {
		if (!parse(line, &next))
			continue;
		if (vma.end && continues(&vma, &next)) {
			vma.end = next.end;
			continue;
		}
		if (vma.end)
			len = add(text, len, bytes, &vma);
		vma = next;
	}
	len = add(text, len, bytes, &vma);
	free(line);
	fclose(file);
	return len < bytes ? (long)len : -1;
}
