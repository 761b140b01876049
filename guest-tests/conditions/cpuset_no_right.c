// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who may have a cpuset move pages: whoever may write to its files. CAP_SYS_NICE
 * is no substitute for that, and with it nothing else is asked: a user to whom
 * cpuset.mems was delegated moves the pages of any process in the group, shared
 * ones too, which mbind(2) and migrate_pages(2) would refuse (6.1 and 6.12).
 *
 * To attach a process takes more:
 *  - v1: the writer has the process's user id, or is root, else EACCES
 *    (__cgroup1_procs_write(), kernel/cgroup/cgroup-v1.c);
 *  - v2: the writer may write to cgroup.procs of the nearest common ancestor as
 *    well, else EACCES; the source and whose process it is are not asked
 *    (cgroup_procs_write_permission(), kernel/cgroup/cgroup.c);
 *  - both: the process has no capability that the writer has not, unless the
 *    writer has CAP_SYS_NICE, else EPERM (cpuset_can_attach(),
 *    kernel/cgroup/cpuset.c, and cap_safe_nice(), security/commoncap.c).
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, CPUSETS, PROC_PAGE_MONITOR, MULTIUSER]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     "cpuset_no_right.v1.*": {kconfig: [CPUSETS_V1 since 6.12]}
 *   contract: {17: ["cpuset_no_right.*"]}
 *   promises: {other-process: ["cpuset_no_right.*"]}
 *   covers:
 *     - {cases: "cpuset_no_right.v1.mems", interface: cpuset-v1-mems,
 *        backing: anon-private, condition: no-capability}
 *     - {cases: "cpuset_no_right.v1.attach*", interface: cpuset-v1-attach,
 *        backing: anon-private, condition: no-capability}
 *     - {cases: "cpuset_no_right.v2.mems", interface: cpuset-v2-mems,
 *        backing: anon-private, condition: no-capability}
 *     - {cases: "cpuset_no_right.v2.attach*", interface: cpuset-v2-attach,
 *        backing: anon-private, condition: no-capability}
 */
#include "harness.h"

#include "cpuset_scene.h"
#include "creds.h"
#include "kernel.h"
#include "nodes.h"

#define COUNT		24

FIXTURE(cpuset_no_right)
{
	unsigned long a;
	unsigned long b;
	struct cpuset_scene scene;
};

CPUSET_VARIANTS(cpuset_no_right);

FIXTURE_SETUP(cpuset_no_right)
{
	if (cpuset_scene_nodes(&self->scene) < 2)
		SKIP(return, "needs 2 nodes with memory");
	self->a = NODE(self->scene.node[0]);
	self->b = NODE(self->scene.node[1]);
	ASSERT_CLEAN(cpuset_scene_begin(&self->scene, variant->kind, COUNT));
}

FIXTURE_TEARDOWN_PARENT(cpuset_no_right)
{
	EXPECT_EQ(0, cpuset_scene_end(&self->scene));
}

/* Called in the child, which is user B's. */

static long populate_as_user_b(struct pages *p)
{
	return pages_populate(p) ? : creds_become(USER_B, 0, true);
}

static long populate_with_a_capability(struct pages *p)
{
	return pages_populate(p) ? : creds_become(USER_B, CAP(CHOWN), true);
}

/* The child with its pages on a, in "x"; "y" has b. */
#define START(prepare) do {						\
	pages_want_all(&self->scene.subject.pages, self->scene.node[0]); \
	ASSERT_EQ(0, cpuset_set_mems("y", self->b));			\
	ASSERT_CLEAN(cpuset_scene_start(&self->scene, self->a, prepare)); \
} while (0)

#define LOOK() \
	ASSERT_CLEAN(subject_look(&self->scene.subject))

#define VERIFY_STAYED(nodes, what) do {					\
	EXPECT_CLEAN(cpuset_scene_verify(&self->scene, nodes, what));	\
	EXPECT_EQ(0, subject_moved());					\
} while (0)

/* All the child has went to the one node of @nodes. */
#define VERIFY_MOVED(nodes, what) do {					\
	pages_want_all(&self->scene.subject.pages, nodes_nth(nodes, 0)); \
	EXPECT_CLEAN(cpuset_scene_verify(&self->scene, nodes, what));	\
	EXPECT_LE(COUNT, subject_moved());				\
} while (0)

#define END() \
	EXPECT_EQ(0, holder_end(&self->scene.subject.holder))

/* What a @user with @caps alone is answered. */
static long write_as(uid_t user, unsigned long caps, const char *name,
		     const char *file, const char *text)
{
	struct peer peer;
	pid_t pid = peer_fork(&peer);
	long result = -ECHILD;

	if (pid == 0) {
		if (!creds_become(user, caps, true))
			result = cpuset_write(name, file, text);
		peer_send(&peer, result);
		_exit(0);
	}
	if (pid < 0 || peer_receive(&peer, &result))
		return -ECHILD;
	return peer_end(&peer) ? -ECHILD : result;
}

static long set_mems_as(uid_t user, unsigned long caps, unsigned long nodes)
{
	return write_as(user, caps, "x", "cpuset.mems", nodes_text(nodes));
}

static long attach_as(uid_t user, unsigned long caps, const char *name,
		      pid_t pid)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", pid);
	return write_as(user, caps, name, "cgroup.procs", text);
}

TEST_F(cpuset_no_right, mems)
{
	const unsigned long a = self->a, b = self->b;

	START(populate_as_user_b);
	/* Another user, the user of the process, one who may move any page. */
	EXPECT_EQ(-EACCES, set_mems_as(USER_A, 0, b));
	EXPECT_EQ(-EACCES, set_mems_as(USER_B, 0, b));
	EXPECT_EQ(-EACCES, set_mems_as(USER_A, CAP(SYS_NICE), b));
	EXPECT_CLEAN(cpuset_same(a, cpuset_mems("x")));
	VERIFY_STAYED(a, "mems by one who may not write them");

	/* The right to any file, and to nothing else. */
	EXPECT_EQ(0, set_mems_as(USER_A, CAP(DAC_OVERRIDE), b));
	EXPECT_CLEAN(cpuset_same(b, cpuset_effective_mems("x")));
	VERIFY_MOVED(b, "mems by one who may write to any file");

	LOOK();
	ASSERT_EQ(0, cpuset_give("x", "cpuset.mems", USER_A));
	EXPECT_EQ(-EACCES, set_mems_as(USER_B, 0, a));
	VERIFY_STAYED(b, "mems by the user of the process");
	EXPECT_EQ(0, set_mems_as(USER_A, 0, a));
	VERIFY_MOVED(a, "mems by whom they were delegated to");
	END();
}

/* The files that take an attach to "y" by @user, on v2 or v1. */
static int delegate_y(enum cpuset_kind kind, uid_t user)
{
	int error = cpuset_give("y", "cgroup.procs", user);

	if (error || kind != CPUSET_V2)
		return error;
	return cpuset_give(".", "cgroup.procs", user);
}

TEST_F(cpuset_no_right, attach)
{
	const bool v2 = variant->kind == CPUSET_V2;
	const unsigned long a = self->a, b = self->b;
	pid_t pid;

	START(populate_as_user_b);
	pid = self->scene.subject.pages.pid;
	EXPECT_EQ(-EACCES, attach_as(USER_A, 0, "y", pid));
	EXPECT_EQ(-EACCES, attach_as(USER_B, 0, "y", pid));
	EXPECT_EQ(-EACCES, attach_as(USER_A, CAP(SYS_NICE), "y", pid));
	/* The folder that it is in is not the one that it goes to. */
	ASSERT_EQ(0, cpuset_give("x", "cgroup.procs", USER_B));
	EXPECT_EQ(-EACCES, attach_as(USER_B, 0, "y", pid));
	VERIFY_STAYED(a, "attached by one who may not");

	ASSERT_EQ(0, cpuset_give("x", "cgroup.procs", 0));
	ASSERT_EQ(0, cpuset_give("y", "cgroup.procs", USER_B));
	if (v2) {
		EXPECT_EQ(-EACCES, attach_as(USER_B, 0, "y", pid));
		VERIFY_STAYED(a, "out of a group that others govern");
		ASSERT_EQ(0, delegate_y(variant->kind, USER_B));
	}
	EXPECT_EQ(0, attach_as(USER_B, 0, "y", pid));
	VERIFY_MOVED(b, "from x (a) to y (b) by its own user");
	END();
}

/* User A, who has all rights to the files, and a process of user B. */
TEST_F(cpuset_no_right, attach_of_another_user)
{
	const bool v2 = variant->kind == CPUSET_V2;
	pid_t pid;

	START(populate_as_user_b);
	pid = self->scene.subject.pages.pid;
	ASSERT_EQ(0, delegate_y(variant->kind, USER_A));
	EXPECT_EQ(v2 ? 0 : -EACCES, attach_as(USER_A, 0, "y", pid));
	if (v2)
		VERIFY_MOVED(self->b, "by another user");
	else
		VERIFY_STAYED(self->a, "by another user");
	END();
}

/* Of one's own, but with a capability that the writer has not. */
TEST_F(cpuset_no_right, attach_of_a_stronger_process)
{
	pid_t pid;

	START(populate_with_a_capability);
	pid = self->scene.subject.pages.pid;
	ASSERT_EQ(0, delegate_y(variant->kind, USER_B));
	EXPECT_EQ(-EPERM, attach_as(USER_B, 0, "y", pid));
	VERIFY_STAYED(self->a, "it has a capability, the writer none");
	EXPECT_EQ(0, attach_as(USER_B, CAP(CHOWN), "y", pid));
	VERIFY_MOVED(self->b, "the writer has it too");

	ASSERT_EQ(0, cpuset_give("x", "cgroup.procs", USER_B));
	LOOK();
	EXPECT_EQ(-EPERM, attach_as(USER_B, CAP(DAC_OVERRIDE), "x", pid));
	VERIFY_STAYED(self->b, "the writer has another one");
	EXPECT_EQ(0, attach_as(USER_B, CAP(SYS_NICE), "x", pid));
	VERIFY_MOVED(self->a, "the writer has CAP_SYS_NICE");
	END();
}

/*
 * Where neither mems nor CPUs differ v2 does not ask for that, since 6.6:
 * 0a67b847e1f0 ("cpuset: Allow setscheduler regardless of manipulated task").
 */
TEST_F(cpuset_no_right, attach_of_a_stronger_process_where_nothing_differs)
{
	const bool asks = variant->kind != CPUSET_V2 || kernel_before(6, 6);
	pid_t pid;

	START(populate_with_a_capability);
	pid = self->scene.subject.pages.pid;
	ASSERT_EQ(0, cpuset_set_mems("y", self->a));
	ASSERT_EQ(0, delegate_y(variant->kind, USER_B));
	EXPECT_EQ(asks ? -EPERM : 0, attach_as(USER_B, 0, "y", pid));
	VERIFY_STAYED(self->a, "from x (a) to y (a)");
	END();
}

TEST_HARNESS_MAIN
