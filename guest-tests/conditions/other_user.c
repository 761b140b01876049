// SPDX-License-Identifier: GPL-2.0-only
/*
 * migrate_pages(2) of another user's process by one that may, with all that can
 * be wrong about the nodes: the answers are those that a child of the same user
 * has, and a caller without the right is told so, or which argument is bad,
 * whichever comes first: kernel_migrate_pages() in mm/mempolicy.c reads the
 * masks, then asks ptrace, then looks at the nodes (6.1 and 6.12).
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, MULTIUSER, CPUSETS]
 *   timeout_s: 100   # over that of the longest case
 *   cases:
 *     other_user.node_without_memory: {memoryless: 1}
 *   contract:
 *     4: [other_user.outside_its_cpuset]
 *     16: [other_user.target_full, other_user.node_without_memory]
 *   promises: {other-process: [other_user.moves]}
 *   covers:
 *     - {cases: other_user.moves, interface: migrate_pages-other-user,
 *        backing: [anon-private, text], condition: quiet}
 *     - {cases: other_user.bad_arguments, interface: migrate_pages-other-user,
 *        backing: anon-private,
 *        condition: [bad-node, bad-address, bad-mask-size]}
 *     - {cases: other_user.bad_arguments_and_no_right,
 *        interface: migrate_pages-other-user, backing: anon-private,
 *        condition: no-capability}
 *     - {cases: other_user.node_without_memory,
 *        interface: migrate_pages-other-user, backing: anon-private,
 *        condition: target-memoryless}
 *     - {cases: other_user.outside_its_cpuset,
 *        interface: migrate_pages-other-user, backing: anon-private,
 *        condition: target-outside-cpuset}
 *     - {cases: other_user.target_full,
 *        interface: migrate_pages-other-user, backing: anon-private,
 *        condition: target-full}
 */
#include "harness.h"

#include "chores.h"
#include "cpuset.h"
#include "creds.h"
#include "full_scene.h"
#include "nodes.h"
#include "pages.h"
#include "scene.h"
#include "subject_steps.h"

#define COUNT		16

FIXTURE(other_user)
{
	int a;
	int b;
	struct cpuset_root root;
	struct subject subject;
};

FIXTURE_SETUP(other_user)
{
	struct pages *p = &self->subject.pages;

	FIND_TWO_NODES(self, return);
	ASSERT_EQ(0, pages_map(p, COUNT, MAP_PRIVATE));
	pages_want_all(p, self->a);
}

FIXTURE_TEARDOWN(other_user)
{
	EXPECT_EQ(0, cpuset_end(&self->root));
}

#define PTRACE_ALONE	CAP(SYS_PTRACE)
#define PTRACE_AND_NICE	(CAP(SYS_PTRACE) | CAP(SYS_NICE))

/* A call as it is made, of a user who is not the target's. */
struct request {
	unsigned long caps;
	unsigned long bits;
	const unsigned long *from;
	const unsigned long *to;
};

/* What that user is answered; positive numbers as they are. */
static long ask(pid_t target, const struct request *r)
{
	struct peer peer;
	pid_t pid = peer_fork(&peer);
	long result = -ECHILD;

	if (pid == 0) {
		if (!creds_become(USER_B, r->caps, true))
			result = kernel_result(syscall(SYS_migrate_pages,
						       target, r->bits,
						       r->from, r->to));
		peer_send(&peer, result);
		_exit(0);
	}
	if (pid < 0 || peer_receive(&peer, &result))
		return -ECHILD;
	return peer_end(&peer) ? -ECHILD : result;
}

static long ask_sets(pid_t target, unsigned long caps, unsigned long from,
		     unsigned long to)
{
	const struct request r = {
		.caps = caps,
		.bits = MAXNODE,
		.from = &from,
		.to = &to,
	};

	return ask(target, &r);
}

TEST_F(other_user, moves)
{
	struct pages *p = &self->subject.pages;

	START(chore_populate_as_user);
	EXPECT_EQ(0, ask_sets(p->pid, PTRACE_AND_NICE, NODE(self->a),
			      NODE(self->b)));
	pages_want_all(p, self->b);
	VERIFY(0, "by another user");
	EXPECT_EQ(0, subject_is_on(NODE(self->a)));
	END();
}

/* The same calls with @caps, and what they are all answered, or each. */
static const char *bad_calls(struct subject *s, int a, int b,
			     unsigned long caps, long nodes_error)
{
	const unsigned long here = NODE(a), there = NODE(b), none = 0;
	const unsigned long beyond = NODE(nodes_first_without_memory());
	const unsigned long *const bad = (unsigned long *)8;
	const struct {
		struct request r;
		long answer;
	} calls[] = {
		{ { caps, MAXNODE, &here, bad }, -EFAULT },
		{ { caps, MAXNODE, bad, &there }, -EFAULT },
		{ { caps, 1UL << 20, &here, &there }, -EINVAL },
		{ { caps, MAXNODE, &here, &none }, nodes_error },
		{ { caps, MAXNODE, &here, &beyond }, nodes_error },
	};
	static struct problems problems;
	unsigned int i;
	long answer;

	problems_clear(&problems);
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		answer = ask(s->pages.pid, &calls[i].r);
		if (answer != calls[i].answer)
			problems_add(&problems, "call %u: wanted %ld, is %ld",
				     i, calls[i].answer, answer);
	}
	return problems_text(&problems);
}

TEST_F(other_user, bad_arguments)
{
	START(chore_populate_as_user);
	EXPECT_CLEAN(bad_calls(&self->subject, self->a, self->b,
			       PTRACE_AND_NICE, -EINVAL));
	UNMOVED("bad arguments by another user");
	END();
}

/* EPERM comes before what is wrong with the nodes, not before the masks. */
TEST_F(other_user, bad_arguments_and_no_right)
{
	START(chore_populate_as_user);
	EXPECT_CLEAN(bad_calls(&self->subject, self->a, self->b,
			       CAP(SYS_NICE), -EPERM));
	UNMOVED("bad arguments by one who has no right");
	END();
}

TEST_F(other_user, node_without_memory)
{
	const int bare = nodes_first_without_memory();
	struct pages *p = &self->subject.pages;

	ASSERT_LE(0, bare);
	START(chore_populate_as_user);
	EXPECT_EQ(-EINVAL, ask_sets(p->pid, PTRACE_AND_NICE, NODE(self->a),
				    NODE(bare)));
	UNMOVED("by another user to a node without memory");

	/* Beside one that has some it counts for nothing. */
	EXPECT_EQ(0, ask_sets(p->pid, PTRACE_AND_NICE, NODE(self->a),
			      NODE(bare) | NODE(self->b)));
	pages_want_all(p, self->b);
	VERIFY(0, "to the other node");
	END();
}

/* CAP_SYS_PTRACE opens the process, not its cpuset. */
TEST_F(other_user, outside_its_cpuset)
{
	struct pages *p = &self->subject.pages;

	START(chore_populate_as_user);
	ASSERT_EQ(0, cpuset_begin(&self->root));
	ASSERT_EQ(0, cpuset_create("x"));
	ASSERT_EQ(0, cpuset_set_mems("x", NODE(self->a)));
	ASSERT_EQ(0, cpuset_attach("x", p->pid));
	LOOK();
	EXPECT_EQ(-EPERM, ask_sets(p->pid, PTRACE_ALONE, NODE(self->a),
				   NODE(self->b)));
	UNMOVED("by another user, outside the cpuset");
	EXPECT_EQ(0, ask_sets(p->pid, PTRACE_AND_NICE, NODE(self->a),
			      NODE(self->b)));
	pages_want_all(p, self->b);
	VERIFY(0, "the same by a right");
	END();
}

TEST_F_TIMEOUT(other_user, target_full, 90)
{
	struct pages *p = &self->subject.pages;
	struct full_scene scene;
	long moved;

	ASSERT_CLEAN(full_scene_begin(&scene));
	ASSERT_CLEAN(full_scene_child(&scene, &self->subject,
				      chore_populate_as_user));
	ASSERT_CLEAN(full_scene_fill(&scene));
	LOOK();
	EXPECT_EQ(-ENOMEM, ask_sets(p->pid, PTRACE_AND_NICE, NODE(self->a),
				    NODE(self->b)));
	moved = full_scene_want_as_found(&scene, p);
	EXPECT_LT(0, moved);
	EXPECT_GT(FULL_PAGES, moved);
	VERIFY(1, "node b is full");

	ASSERT_EQ(0, full_give_back(&scene.full));
	LOOK();
	EXPECT_EQ(0, ask_sets(p->pid, PTRACE_AND_NICE, NODE(self->a),
			      NODE(self->b)));
	pages_want_all(p, self->b);
	VERIFY(0, "node b has room");
	END();
	EXPECT_CLEAN(full_scene_end(&scene));
}

TEST_HARNESS_MAIN
