// SPDX-License-Identifier: GPL-2.0-only
#include <stdint.h>
#include <sys/mman.h>

#include "thp.h"

char *thp_map(void)
{
	char *outer = mmap(NULL, 3 * THP_BYTES, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uintptr_t inner = ((uintptr_t)outer + 2 * THP_BYTES - 1) &
			  ~(THP_BYTES - 1);
	char *addr;

	if (outer == MAP_FAILED)
		return MAP_FAILED;
	addr = mmap((void *)inner, THP_BYTES, PROT_READ | PROT_WRITE,
		    MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (addr != MAP_FAILED && madvise(addr, THP_BYTES, MADV_HUGEPAGE))
		return MAP_FAILED;
	return addr;
}
