/* SPDX-License-Identifier: GPL-2.0-only */
/* All kinds of memory that there are of backing.h. */
#ifndef TESTBED_BACKINGS_H
#define TESTBED_BACKINGS_H

#include "backing.h"

#define KPF(name)	(1UL << KPF_##name)

extern const struct backing backing_anon_private;
extern const struct backing backing_anon_shared;
extern const struct backing backing_mlocked;
extern const struct backing backing_zero_page;
extern const struct backing backing_thp;
extern const struct backing backing_thp_partly_mapped;
extern const struct backing backing_large_folio;
extern const struct backing backing_hugetlb_private;
extern const struct backing backing_hugetlb_shared;
extern const struct backing backing_file_clean;
extern const struct backing backing_file_dirty;
extern const struct backing backing_file_cow;
extern const struct backing backing_file_shared;
extern const struct backing backing_file_shared_by_two;
extern const struct backing backing_text;
extern const struct backing backing_shmem;
extern const struct backing backing_sysv_shm;
extern const struct backing backing_memfd_sealed;
extern const struct backing backing_swapped_out;
extern const struct backing backing_swap_cache;
extern const struct backing backing_ksm;
extern const struct backing backing_vmspliced;
extern const struct backing backing_io_uring_registered;
extern const struct backing backing_uffd_registered;

/* A fixture with a variant for each of them, whose member is the kind. */
#define BACKING(fixture, variant)					\
	FIXTURE_VARIANT_ADD(fixture, variant) {				\
		.backing = &backing_##variant,				\
	}

#define BACKINGS(fixture)						\
	BACKING(fixture, anon_private);					\
	BACKING(fixture, anon_shared);					\
	BACKING(fixture, mlocked);					\
	BACKING(fixture, zero_page);					\
	BACKING(fixture, thp);						\
	BACKING(fixture, thp_partly_mapped);				\
	BACKING(fixture, large_folio);					\
	BACKING(fixture, hugetlb_private);				\
	BACKING(fixture, hugetlb_shared);				\
	BACKING(fixture, file_clean);					\
	BACKING(fixture, file_dirty);					\
	BACKING(fixture, file_cow);					\
	BACKING(fixture, file_shared);					\
	BACKING(fixture, file_shared_by_two);				\
	BACKING(fixture, text);						\
	BACKING(fixture, shmem);					\
	BACKING(fixture, sysv_shm);					\
	BACKING(fixture, memfd_sealed);					\
	BACKING(fixture, swapped_out);					\
	BACKING(fixture, swap_cache);					\
	BACKING(fixture, ksm);						\
	BACKING(fixture, vmspliced);					\
	BACKING(fixture, io_uring_registered);				\
	BACKING(fixture, uffd_registered)

#endif /* TESTBED_BACKINGS_H */
