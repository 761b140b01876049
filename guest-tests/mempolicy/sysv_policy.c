// SPDX-License-Identifier: GPL-2.0-only
/*
 * The policy of a SysV segment: of the segment, not of an attachment. It
 * governs what any process allocates in it, and stays until IPC_RMID, with
 * nobody attached (shm_set_policy() and shm_get_policy() in ipc/shm.c).
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, SYSVIPC]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   scope: file
 *   contract: {12: ["sysv_policy.*"]}
 *   promises: {shared-mapping-policy: ["sysv_policy.*"]}
 *   covers:
 *     - {cases: "sysv_policy.move", interface: [mbind-move-strict,
 *        mbind-move-all], backing: [sysv-shm], condition: [quiet]}
 */
#include "harness.h"

#include <sys/ipc.h>
#include <sys/shm.h>

#include "chores.h"
#include "holder.h"
#include "nodes.h"
#include "policy.h"

#define COUNT		16
#define HALF		(COUNT / 2)
#define BYTES		(COUNT * PAGE_BYTES)

#define MOVE		MPOL_MF_MOVE
#define MOVE_ALL	MPOL_MF_MOVE_ALL
#define STRICT		MPOL_MF_STRICT

FIXTURE(sysv_policy)
{
	struct placed t;
	int id;
};

/* A segment of COUNT pages, attached in place of the pages; none is there. */
FIXTURE_SETUP(sysv_policy)
{
	struct pages *p = &self->t.pages;

	self->id = -1;
	ASSERT_CLEAN(placed_start(&self->t, COUNT, 0, MAP_SHARED));
	self->id = shmget(IPC_PRIVATE, BYTES, IPC_CREAT | 0600);
	ASSERT_LE(0, self->id);
	ASSERT_EQ(p->addr, shmat(self->id, p->addr, SHM_REMAP));
	ASSERT_EQ(0, nodes_run_on(self->t.a));
}

FIXTURE_TEARDOWN_PARENT(sysv_policy)
{
	shmctl(self->id, IPC_RMID, NULL);
}

static long bind(struct pages *p, long first, long count, int node, int flags)
{
	return policy_bind(p, first, count, MPOL_BIND, NODE(node), flags);
}

/* Set by one, faulted by the other, in part of the segment. */
TEST_F(sysv_policy, another_process)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;
	struct holder holder;

	ASSERT_EQ(0, holder_start(&holder, p, chore_nothing));
	EXPECT_EQ(0, bind(p, 0, 4, t->b, 0));
	p->pid = holder.peer.pid;
	EXPECT_CLEAN(policy_check(p, 0, MPOL_BIND, NODE(t->b)));
	ASSERT_EQ(0, holder_call(&holder, chore_fault_half));
	pages_want(p, 0, 4, t->b);
	pages_want(p, 4, 4, t->a);
	EXPECT_CLEAN(pages_snapshot(p));
	EXPECT_EQ(0, holder_end(&holder));
	p->pid = 0;
	policy_fault(p, HALF, HALF);
	pages_want(p, HALF, HALF, t->a);
	for (int i = 0; i < HALF; i++)
		pages_read(p, i);
	EXPECT_CLEAN(pages_snapshot(p));
	EXPECT_CLEAN(pages_verify(p, "allocated by two processes"));
}

/* Detached by all and attached again, elsewhere. */
TEST_F(sysv_policy, outlives_attachments)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages, later;
	struct shmid_ds ds;
	void *addr;

	ASSERT_EQ(0, bind(p, 4, 8, t->b, 0));
	ASSERT_EQ(0, munmap(p->addr, BYTES));
	ASSERT_EQ(0, shmctl(self->id, IPC_STAT, &ds));
	ASSERT_EQ(0, ds.shm_nattch);
	addr = shmat(self->id, NULL, 0);
	ASSERT_NE((void *)-1, addr);
	ASSERT_EQ(0, pages_over(&later, addr, COUNT));
	EXPECT_CLEAN(policy_check_amid(&later, 4, 8, t->b));
	policy_fault(&later, 0, COUNT);
	pages_want_all(&later, t->a);
	pages_want(&later, 4, 8, t->b);
	EXPECT_CLEAN(pages_snapshot(&later));
	EXPECT_CLEAN(pages_verify(&later, "attached again"));
}

/* MOVE leaves what two processes have attached; MOVE_ALL takes it for both. */
TEST_F(sysv_policy, move)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;
	struct holder holder;

	pages_want_all(p, t->a);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_EQ(0, holder_start(&holder, p, chore_look));
	ASSERT_CLEAN(placed_look(t));
	EXPECT_EQ(0, bind(p, 0, COUNT, t->b, MOVE | STRICT));
	EXPECT_CLEAN(placed_verify(t, 0, "attached twice, after MOVE"));
	EXPECT_EQ(0, bind(p, 0, HALF, t->b, MOVE_ALL | STRICT));
	pages_want(p, 0, HALF, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "attached twice, after MOVE_ALL"));
	EXPECT_CLEAN(pages_shared_with(p, holder.peer.pid));
	EXPECT_EQ(0, holder_bad(&holder));
	EXPECT_EQ(0, holder_end(&holder));

	ASSERT_CLEAN(placed_look(t));
	EXPECT_EQ(0, bind(p, 0, COUNT, t->b, MOVE | STRICT));
	pages_want_all(p, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "attached once, after MOVE"));
}

/* Segments are apart: the next one starts without. */
TEST_F(sysv_policy, of_the_segment_alone)
{
	struct placed *t = &self->t;
	struct pages next;
	void *addr;
	int id;

	ASSERT_EQ(0, bind(&t->pages, 0, COUNT, t->b, 0));
	id = shmget(IPC_PRIVATE, BYTES, IPC_CREAT | 0600);
	ASSERT_LE(0, id);
	addr = shmat(id, NULL, 0);
	/* It goes with its last attachment. */
	ASSERT_EQ(0, shmctl(id, IPC_RMID, NULL));
	ASSERT_NE((void *)-1, addr);
	ASSERT_EQ(0, pages_over(&next, addr, COUNT));
	EXPECT_CLEAN(policy_check(&next, 0, MPOL_DEFAULT, 0));
	policy_fault(&next, 0, COUNT);
	pages_want_all(&next, t->a);
	EXPECT_CLEAN(pages_snapshot(&next));
}

TEST_HARNESS_MAIN
