/* SPDX-License-Identifier: GPL-2.0-only */
/* /proc/<pid>/smaps: what a mapping holds, as the page tables have it. */
#ifndef TESTBED_SMAPS_H
#define TESTBED_SMAPS_H

#include <sys/types.h>

/*
 * KiB under @name ("Referenced", "AnonHugePages") of the VMA of process @pid
 * (0: the caller) that @addr is in; -1 if there is none.
 */
long smaps_kib(pid_t pid, const void *addr, const char *name);

#endif /* TESTBED_SMAPS_H */
