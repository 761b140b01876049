// SPDX-License-Identifier: GPL-2.0-only
/* Memory of tmpfs: a file of it, a segment of System V, a memfd with seals. */
#include <fcntl.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#include <linux/kernel-page-flags.h>

#include "backings.h"
#include "pattern.h"
#include "syscalls.h"

/* In area->saved: the number of the segment. */
#define SEGMENT		0

#define SEALS		(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | \
			 F_SEAL_SEAL)

static int map_fd(struct area *area, int fd)
{
	if (fd < 0 || ftruncate(fd, area->backing->count * PAGE_BYTES))
		return -1;
	return area_map_fd(area, fd, PROT_READ | PROT_WRITE, MAP_SHARED,
			   PAGE_BYTES);
}

static long fill(struct area *area)
{
	return pages_populate(area->pages);
}

static const char *is_shmem(struct area *area)
{
	return area_has_flags(area, KPF(SWAPBACKED) | KPF(UPTODATE),
			      KPF(ANON) | KPF(THP) | KPF(SWAPCACHE));
}

static int map_shmem(struct area *area)
{
	return map_fd(area, open("/dev/shm", O_RDWR | O_TMPFILE | O_CLOEXEC,
				 0600));
}

/* The file has what the mapping has, old or newly written. */
static const char *read_file(struct area *area)
{
	struct pages *p = area->pages;
	char page[PAGE_BYTES];
	long i;

	for (i = 0; i < p->count; i++) {
		if (pread(area->fd, page, PAGE_BYTES, i * PAGE_BYTES) !=
		    (ssize_t)PAGE_BYTES)
			return "cannot read the file";
		if (pattern_check(page, p->seed, i) >= 0)
			return "the file has other content than its mapping";
	}
	return "";
}

static const char *read_and_write(struct area *area)
{
	const char *problem = read_file(area);

	if (!*problem)
		problem = area_write(area);
	return *problem ? problem : read_file(area);
}

const struct backing backing_shmem = {
	.name = "shmem",
	.count = 16,
	.folio = 1,
	.map = map_shmem,
	.fill = fill,
	.check = is_shmem,
	.finish = read_and_write,
};

static int map_sealed(struct area *area)
{
	int fd = memfd_create("sealed", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	return map_fd(area, fd) || fcntl(fd, F_ADD_SEALS, SEALS) ? -1 : 0;
}

static const char *is_sealed(struct area *area)
{
	if (fcntl(area->fd, F_GET_SEALS) != SEALS)
		return "other seals than those that were set";
	return is_shmem(area);
}

/* By size and by write(2) it is closed; its old mapping is not. */
static const char *try_seals(struct area *area)
{
	size_t bytes = area->backing->count * PAGE_BYTES;

	if (!ftruncate(area->fd, bytes / 2) || !ftruncate(area->fd, 2 * bytes))
		return "its size can be changed";
	if (pwrite(area->fd, "x", 1, 0) == 1)
		return "it can be written to";
	return read_and_write(area);
}

const struct backing backing_memfd_sealed = {
	.name = "memfd-sealed",
	.count = 16,
	.folio = 1,
	.map = map_sealed,
	.fill = fill,
	.check = is_sealed,
	.finish = try_seals,
};

static int map_segment(struct area *area)
{
	size_t bytes = area->backing->count * PAGE_BYTES;
	void *at = area_reserve(bytes, PAGE_BYTES);
	int id = shmget(IPC_PRIVATE, bytes, 0600);

	if (at == MAP_FAILED || id < 0)
		return -1;
	at = shmat(id, at, SHM_REMAP);
	/* It stays as long as somebody is attached, and then it is gone. */
	if (shmctl(id, IPC_RMID, NULL) || at == (void *)-1)
		return -1;
	area->saved[SEGMENT] = id;
	return pages_over(area->pages, at, area->backing->count);
}

static const char *attach_again(struct area *area)
{
	struct pages *p = area->pages;
	const char *problem = area_write(area);
	void *at = shmat(area->saved[SEGMENT], NULL, SHM_RDONLY);
	int differ;

	if (at == (void *)-1)
		return "cannot attach to it once more";
	differ = memcmp(at, p->addr, p->count * PAGE_BYTES);
	shmdt(at);
	return differ ? "who attaches now sees other content" : problem;
}

const struct backing backing_sysv_shm = {
	.name = "sysv-shm",
	.count = 16,
	.folio = 1,
	.map = map_segment,
	.fill = fill,
	.check = is_shmem,
	.finish = attach_again,
};
