// SPDX-License-Identifier: GPL-2.0-only
/*
 * migrate_pages(2) of a process that has memory of each kind and is another
 * user's. CAP_SYS_PTRACE opens it to the caller; with CAP_SYS_NICE, too, pages
 * that others map go, and without it they stay, which is no failure
 * (kernel_migrate_pages() and migrate_folio_add() in mm/mempolicy.c of 6.12).
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, TRANSPARENT_HUGEPAGE,
 *     HUGETLBFS, KSM, SWAP, USERFAULTFD, IO_URING, EXT4_FS, BLK_DEV_RAM, SYSVIPC,
 *     MULTIUSER]
 *   scope: file   # each case puts back all that it changes
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     "other_user_backing.swapped_out.*": {swap_mib: 64}
 *     "other_user_backing.swap_cache.*": {swap_mib: 64}
 *   contract:
 *     3: ["other_user_backing.*"]
 *     11: ["other_user_backing.swap*"]
 *     12: ["other_user_backing.*"]
 *   promises:
 *     other-process: ["other_user_backing.*"]
 *   covers:
 *     - {cases: "other_user_backing.anon_private.*",
 *        interface: migrate_pages-other-user, backing: anon-private,
 *        condition: quiet}
 *     - {cases: "other_user_backing.anon_shared.*",
 *        interface: migrate_pages-other-user, backing: anon-shared,
 *        condition: quiet}
 *     - {cases: "other_user_backing.mlocked.*",
 *        interface: migrate_pages-other-user, backing: mlocked,
 *        condition: quiet}
 *     - {cases: "other_user_backing.zero_page.*",
 *        interface: migrate_pages-other-user, backing: zero-page,
 *        condition: quiet}
 *     - {cases: "other_user_backing.thp.*",
 *        interface: migrate_pages-other-user, backing: thp, condition: quiet}
 *     - {cases: "other_user_backing.thp_partly_mapped.*",
 *        interface: migrate_pages-other-user, backing: thp-partly-mapped,
 *        condition: quiet}
 *     - {cases: "other_user_backing.large_folio.*",
 *        interface: migrate_pages-other-user, backing: large-folio,
 *        condition: quiet}
 *     - {cases: "other_user_backing.hugetlb_private.*",
 *        interface: migrate_pages-other-user, backing: hugetlb-private,
 *        condition: quiet}
 *     - {cases: "other_user_backing.hugetlb_shared.*",
 *        interface: migrate_pages-other-user, backing: hugetlb-shared,
 *        condition: quiet}
 *     - {cases: "other_user_backing.file_clean.*",
 *        interface: migrate_pages-other-user, backing: file-clean,
 *        condition: quiet}
 *     - {cases: "other_user_backing.file_dirty.*",
 *        interface: migrate_pages-other-user, backing: file-dirty,
 *        condition: quiet}
 *     - {cases: "other_user_backing.file_cow.*",
 *        interface: migrate_pages-other-user, backing: file-cow,
 *        condition: quiet}
 *     - {cases: "other_user_backing.file_shared.*",
 *        interface: migrate_pages-other-user, backing: file-shared,
 *        condition: quiet}
 *     - {cases: "other_user_backing.file_shared_by_two.*",
 *        interface: migrate_pages-other-user, backing: file-shared,
 *        condition: quiet}
 *     - {cases: "other_user_backing.text.*",
 *        interface: migrate_pages-other-user, backing: text, condition: quiet}
 *     - {cases: "other_user_backing.shmem.*",
 *        interface: migrate_pages-other-user, backing: shmem, condition: quiet}
 *     - {cases: "other_user_backing.sysv_shm.*",
 *        interface: migrate_pages-other-user, backing: sysv-shm,
 *        condition: quiet}
 *     - {cases: "other_user_backing.memfd_sealed.*",
 *        interface: migrate_pages-other-user, backing: memfd-sealed,
 *        condition: quiet}
 *     - {cases: "other_user_backing.swapped_out.*",
 *        interface: migrate_pages-other-user, backing: swapped-out,
 *        condition: quiet}
 *     - {cases: "other_user_backing.swap_cache.*",
 *        interface: migrate_pages-other-user, backing: swap-cache,
 *        condition: quiet}
 *     - {cases: "other_user_backing.ksm.*",
 *        interface: migrate_pages-other-user, backing: ksm, condition: quiet}
 *     - {cases: "other_user_backing.vmspliced.*",
 *        interface: migrate_pages-other-user, backing: vmspliced,
 *        condition: quiet}
 *     - {cases: "other_user_backing.io_uring_registered.*",
 *        interface: migrate_pages-other-user, backing: io_uring-registered,
 *        condition: quiet}
 *     - {cases: "other_user_backing.uffd_registered.*",
 *        interface: migrate_pages-other-user, backing: uffd-registered,
 *        condition: quiet}
 */
#include "harness.h"

#include "backing_child.h"
#include "backings.h"
#include "creds.h"
#include "scene.h"
#include "syscalls.h"

FIXTURE(other_user_backing)
{
	int a;
	int b;
	struct area_child child;
};

FIXTURE_VARIANT(other_user_backing)
{
	const struct backing *backing;
};

BACKINGS(other_user_backing);

/* Called in the child. */

static long become_user(struct pages *p)
{
	(void)p;
	return creds_lend(USER_A);
}

/* What a kind shows at its end takes more than a user may. */
static long become_root(struct pages *p)
{
	(void)p;
	return creds_return();
}

/* A process of user A with an area on node a. */
FIXTURE_SETUP(other_user_backing)
{
	struct area_child *c = &self->child;

	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, area_child_map(c, variant->backing, self->a));
	ASSERT_EQ(0, area_child_start(c));
	ASSERT_EQ(0, holder_call(&c->subject.holder, become_user));
	ASSERT_CLEAN(area_child_look(c));
}

FIXTURE_TEARDOWN(other_user_backing)
{
	area_release(&self->child.area);
}

struct request {
	pid_t target;
	int from;
	int to;
};

static long migrate(const void *argument)
{
	const struct request *r = argument;

	return numa_migrate_pages(r->target, NODE(r->from), NODE(r->to));
}

#define MOVES(caps, flags, what) do {					\
	struct area_child *c = &self->child;				\
	const struct request r = {					\
		.target = c->subject.pages.pid,				\
		.from = self->a,					\
		.to = self->b,						\
	};								\
									\
	EXPECT_EQ(area_child_left(c, self->b, flags),			\
		  creds_ask(USER_B, caps, migrate, &r));		\
	EXPECT_CLEAN(area_child_verify_moved(c, self->b, flags, what));	\
	ASSERT_EQ(0, holder_call(&c->subject.holder, become_root));	\
	EXPECT_EQ(0, area_child_finish(c));				\
} while (0)

TEST_F(other_user_backing, moves)
{
	MOVES(CAP(SYS_PTRACE) | CAP(SYS_NICE), MPOL_MF_MOVE_ALL,
	      "by another user who may move all");
}

TEST_F(other_user_backing, without_sys_nice)
{
	MOVES(CAP(SYS_PTRACE), MPOL_MF_MOVE, "by another user");
}

TEST_HARNESS_MAIN
