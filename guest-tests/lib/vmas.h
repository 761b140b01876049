/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The mappings of a process: /proc/<pid>/maps (fs/proc/task_mmu.c). One line is
 * one VMA, so splits and merges are seen in it.
 */
#ifndef TESTBED_VMAS_H
#define TESTBED_VMAS_H

#include <sys/types.h>

#include "pages.h"

/*
 * "4 8 4": how many of @p's pages each VMA has of those that the range runs
 * over; "-" where none has any. In one of a few static buffers.
 */
const char *vmas_layout(const struct pages *p);

/*
 * All of it as text, but that VMAs that differ in nothing and follow on each
 * other are one: the address space as the process sees it, whatever policies
 * split it. The length or -1.
 */
long vmas_text(pid_t pid, char *text, size_t bytes);

#endif /* TESTBED_VMAS_H */
