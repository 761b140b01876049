// SPDX-License-Identifier: GPL-2.0-only
/*
 * migratepages(8) of numactl, as a user runs it: sets of nodes as text, and
 * the answer in its exit status and in what it says. It knows of three ends:
 * 0 for all that migrate_pages(2) takes, also where pages stayed, which it does
 * not tell; 1 with the call's error; 1 with its usage, or the set that libnuma
 * does not take, before any call.
 *
 * The process is a child that stands still: everything in it (stack, heap,
 * text) is counted frame by frame before and after.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, MULTIUSER]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     migratepages.pairs: {nodes: 3}
 *     migratepages.three_to_one: {nodes: 3}
 *   quick: [migratepages.one_to_one]
 *   contract:
 *     1: [migratepages.pairs, migratepages.three_to_one]
 *     2: [migratepages.pairs, migratepages.set_to_itself]
 *     15: [migratepages.pinned_pages]
 *   promises:
 *     addresses-kept: [migratepages.one_to_one]
 *     relative-placement: [migratepages.pairs]
 *     other-process: [migratepages.one_to_one]
 *   covers:
 *     - {cases: [migratepages.one_to_one, "migratepages.all*",
 *                migratepages.pairs, migratepages.three_to_one,
 *                migratepages.set_to_itself],
 *        interface: migratepages-tool, backing: anon-private,
 *        condition: quiet}
 *     - {cases: migratepages.one_to_one, interface: migratepages-tool,
 *        backing: text, condition: quiet}
 *     - {cases: migratepages.pinned_pages, interface: migratepages-tool,
 *        backing: vmspliced, condition: quiet}
 *     - {cases: migratepages.as_a_user, interface: migratepages-tool,
 *        backing: [anon-private, text], condition: no-capability}
 *     - {cases: migratepages.no_set_of_nodes, interface: migratepages-tool,
 *        backing: anon-private, condition: bad-node}
 */
#include "harness.h"

#include "chores.h"
#include "creds.h"
#include "migratepages.h"
#include "nodes.h"
#include "pages.h"
#include "scene.h"
#include "subject_steps.h"

/* A multiple of 2 and 3, dealt out over that many nodes in turn. */
#define COUNT		24

FIXTURE(migratepages)
{
	int a;
	int b;
	int c;
	struct subject subject;
	struct program tool;
};

/* COUNT pages for a child; START() begins the case. */
FIXTURE_SETUP(migratepages)
{
	FIND_TWO_NODES(self, return);
	self->c = THIRD_NODE();
	ASSERT_EQ(0, pages_map(&self->subject.pages, COUNT, MAP_PRIVATE));
}

/* Mappings and peers end with the test's process. */
FIXTURE_TEARDOWN(migratepages)
{
}

static int run_sets(struct program *tool, pid_t pid, unsigned long from,
		    unsigned long to)
{
	return migratepages_run(tool, pid, nodes_text(from), nodes_text(to));
}

TEST_F(migratepages, one_to_one)
{
	struct pages *p = &self->subject.pages;

	pages_want_dealt(p, NODE(self->a) | NODE(self->b));
	START(pages_populate);
	ASSERT_EQ(0, run_sets(&self->tool, p->pid, NODE(self->a),
			      NODE(self->b)));
	EXPECT_SILENT();
	pages_want_moved(p, self->a, self->b);
	VERIFY(0, "migratepages from a to b");
	/* Run by root it moves all, text that others map too. */
	EXPECT_EQ(0, subject_is_on(NODE(self->a)));

	LOOK();
	ASSERT_EQ(0, run_sets(&self->tool, p->pid, NODE(self->b),
			      NODE(self->a)));
	EXPECT_SILENT();
	pages_want_all(p, self->a);
	VERIFY(0, "migratepages from b to a");
	EXPECT_EQ(0, subject_is_on(NODE(self->b)));
	END();
}

/* "all" are the nodes that the caller may use. */
TEST_F(migratepages, all_to_one)
{
	struct pages *p = &self->subject.pages;
	const char *to = nodes_text(NODE(self->b));

	pages_want_dealt(p, NODE(self->a) | NODE(self->b));
	START(pages_populate);
	ASSERT_EQ(0, migratepages_run(&self->tool, p->pid, "all", to));
	EXPECT_SILENT();
	pages_want_all(p, self->b);
	VERIFY(0, "migratepages from all nodes to b");
	EXPECT_EQ(0, subject_is_on(~NODE(self->b)));
	END();
}

/*
 * "!N" are all but N. libnuma 2.0.16 inverts as many bits as there are nodes
 * with memory, so where their numbers have a gap it leaves out the last.
 */
TEST_F(migratepages, all_but_one_to_it)
{
	const int highest = nodes_count(nodes_with_memory()) - 1;
	struct pages *p = &self->subject.pages;
	char others[16];

	snprintf(others, sizeof(others), "!%d", self->a);
	pages_want_dealt(p, NODE(self->a) | NODE(self->b));
	START(pages_populate);
	ASSERT_EQ(0, migratepages_run(&self->tool, p->pid, others,
				      nodes_text(NODE(self->a))));
	EXPECT_SILENT();
	if (self->b <= highest)
		pages_want_all(p, self->a);
	VERIFY(0, "migratepages from all nodes but a to a");
	EXPECT_EQ(self->b <= highest ? 0 : subject_was_on(~NODE(self->a)),
		  subject_is_on(~NODE(self->a)));
	END();
}

TEST_F(migratepages, set_to_itself)
{
	const unsigned long both = NODE(self->a) | NODE(self->b);
	struct pages *p = &self->subject.pages;

	pages_want_dealt(p, both);
	START(pages_populate);
	ASSERT_EQ(0, run_sets(&self->tool, p->pid, both, both));
	EXPECT_SILENT();
	UNMOVED("migratepages from a set to itself");
	END();
}

/* What its man page promises of sets of nodes: pairs, in order. */
TEST_F(migratepages, pairs)
{
	struct pages *p = &self->subject.pages;

	if (self->c < 0)
		SKIP(return, "needs 3 nodes with memory");
	pages_want_dealt(p, NODE(self->a) | NODE(self->b));
	START(pages_populate);
	ASSERT_EQ(0, run_sets(&self->tool, p->pid,
			      NODE(self->a) | NODE(self->b),
			      NODE(self->b) | NODE(self->c)));
	EXPECT_SILENT();
	pages_want_moved(p, self->b, self->c);
	pages_want_moved(p, self->a, self->b);
	VERIFY(0, "migratepages from {a,b} to {b,c}");
	EXPECT_EQ(0, subject_is_on(NODE(self->a)));
	END();
}

TEST_F(migratepages, three_to_one)
{
	const unsigned long all = NODE(self->a) | NODE(self->b) | NODE(self->c);
	struct pages *p = &self->subject.pages;

	if (self->c < 0)
		SKIP(return, "needs 3 nodes with memory");
	pages_want_dealt(p, all);
	START(pages_populate);
	ASSERT_EQ(0, run_sets(&self->tool, p->pid, all, NODE(self->b)));
	EXPECT_SILENT();
	pages_want_all(p, self->b);
	VERIFY(0, "migratepages from {a,b,c} to {b}");
	EXPECT_EQ(0, subject_is_on(all & ~NODE(self->b)));
	END();
}

/* Two pages stay; the count of them is nothing that it tells. */
TEST_F(migratepages, pinned_pages)
{
	struct pages *p = &self->subject.pages;

	pages_want_all(p, self->a);
	START(chore_populate_and_pin);
	ASSERT_EQ(0, run_sets(&self->tool, p->pid, NODE(self->a),
			      NODE(self->b)));
	EXPECT_SILENT();
	pages_want_all(p, self->b);
	pages_want(p, 6, 2, self->a);
	VERIFY(2, "migratepages of pinned pages");
	EXPECT_EQ(2, subject_is_on(NODE(self->a)));
	END();
}

static int become_user(void)
{
	return creds_become(USER_A, 0, true);
}

/* Without CAP_SYS_NICE what others map too stays, as its man page says. */
TEST_F(migratepages, as_a_user)
{
	struct pages *p = &self->subject.pages, common;

	ASSERT_CLEAN(scene_pages(&common, COUNT, MAP_PRIVATE, self->a));
	pages_want_all(p, self->a);
	START(chore_populate_as_user);
	ASSERT_CLEAN(pages_snapshot(&common));

	self->tool.become = become_user;
	ASSERT_EQ(0, run_sets(&self->tool, p->pid, NODE(self->a),
			      NODE(self->b)));
	EXPECT_SILENT();
	pages_want_all(p, self->b);
	VERIFY(0, "migratepages by the user of the process");
	EXPECT_LE(COUNT, subject_is_on(NODE(self->a)));
	EXPECT_CLEAN(pages_verify(&common, "mapped twice, by a user"));
	EXPECT_CLEAN(pages_shared_with(&common, p->pid));
	END();
}

/* Neither as the first nor as the second set. */
TEST_F(migratepages, no_set_of_nodes)
{
	static const char *const wrong[] = {
		"63", "1024", "99999999999", "x", "0-", "0,x", "0-63", "!x",
	};
	const char *here = nodes_text(NODE(self->a));
	struct pages *p = &self->subject.pages;
	char text[32];
	unsigned int i;

	pages_want_all(p, self->a);
	START(pages_populate);
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		snprintf(text, sizeof(text), "<%s> is invalid", wrong[i]);
		ASSERT_EQ(0, migratepages_run(&self->tool, p->pid, here,
					      wrong[i]));
		EXPECT_SAYS(text);
		ASSERT_EQ(0, migratepages_run(&self->tool, p->pid, wrong[i],
					      here));
		EXPECT_SAYS(text);
	}
	UNMOVED("migratepages of what is no set of nodes");
	END();
}

TEST_F(migratepages, usage)
{
	const char *here = nodes_text(NODE(self->a));
	const char *there = nodes_text(NODE(self->b));
	struct pages *p = &self->subject.pages;

	pages_want_all(p, self->a);
	START(pages_populate);
	ASSERT_EQ(0, program_run(&self->tool, MIGRATEPAGES, NULL));
	EXPECT_SAYS("usage: migratepages pid from-nodes to-nodes");
	ASSERT_EQ(0, program_run(&self->tool, MIGRATEPAGES, "1", here, NULL));
	EXPECT_SAYS("usage: migratepages pid from-nodes to-nodes");
	ASSERT_EQ(0, program_run(&self->tool, MIGRATEPAGES, "me", here, there,
				 NULL));
	EXPECT_SAYS("usage: migratepages pid from-nodes to-nodes");
	UNMOVED("migratepages without its arguments");
	END();
}

TEST_HARNESS_MAIN
