// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each mode of a memory policy, as the policy of a range and as that of the
 * task: where new pages fall, where MPOL_MF_MOVE takes those that exist, and
 * what get_mempolicy(2) and numa_maps tell of it (mpol_new(),
 * policy_nodemask() and alloc_migration_target_by_mpol() in mm/mempolicy.c of
 * 6.12; new_page() before 6.7).
 *
 * Every variant is made such that node b is the answer and that nothing but
 * the policy says so: the pages begin on a, and the thread runs on a wherever
 * its own node is of no account.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   scope: file
 *   quick:
 *     - modes.bind_relative.move
 *   contract: {7: ["modes.*"]}
 *   covers:
 *     - {cases: "modes.*.move", interface: [mbind-move-strict], backing:
 *        [anon-private], condition: [quiet]}
 *     - {cases: "modes.*.move_shared", interface: [mbind-move-strict], backing:
 *        [anon-shared], condition: [quiet]}
 *     - {cases: "modes.*.task", interface: [set_mempolicy, mbind-move],
 *        backing: [anon-private], condition: [quiet]}
 */
#include "harness.h"

#include "nodes.h"
#include "placement.h"
#include "policy.h"

#define COUNT		16
#define PRESENT		8	/* the others are untouched at first */

#define MOVE		MPOL_MF_MOVE
#define STRICT		MPOL_MF_STRICT

FIXTURE(modes)
{
	struct placed t;
	unsigned long asked;	/* the node mask of the calls */
	unsigned long governs;	/* the nodes that numa_maps is to show */
};

enum asked { NONE, B, SECOND };

FIXTURE_VARIANT(modes)
{
	int mode;
	int reads_as;		/* the mode that the kernel makes of it */
	enum asked asked;
	bool on_b;		/* run there: the policy is about where */
};

FIXTURE_VARIANT_ADD(modes, bind)
{
	.mode = MPOL_BIND,
	.reads_as = MPOL_BIND,
	.asked = B,
};

FIXTURE_VARIANT_ADD(modes, bind_static)
{
	.mode = MPOL_BIND | MPOL_F_STATIC_NODES,
	.reads_as = MPOL_BIND | MPOL_F_STATIC_NODES,
	.asked = B,
};

/* The second of the nodes that there are, whatever its number. */
FIXTURE_VARIANT_ADD(modes, bind_relative)
{
	.mode = MPOL_BIND | MPOL_F_RELATIVE_NODES,
	.reads_as = MPOL_BIND | MPOL_F_RELATIVE_NODES,
	.asked = SECOND,
};

FIXTURE_VARIANT_ADD(modes, bind_balancing)
{
	.mode = MPOL_BIND | MPOL_F_NUMA_BALANCING,
	.reads_as = MPOL_BIND | MPOL_F_NUMA_BALANCING,
	.asked = B,
};

/* Two flags, which numa_maps tells one after the other. */
FIXTURE_VARIANT_ADD(modes, bind_static_balancing)
{
	.mode = MPOL_BIND | MPOL_F_STATIC_NODES | MPOL_F_NUMA_BALANCING,
	.reads_as = MPOL_BIND | MPOL_F_STATIC_NODES | MPOL_F_NUMA_BALANCING,
	.asked = B,
};

FIXTURE_VARIANT_ADD(modes, prefer)
{
	.mode = MPOL_PREFERRED,
	.reads_as = MPOL_PREFERRED,
	.asked = B,
};

FIXTURE_VARIANT_ADD(modes, prefer_static)
{
	.mode = MPOL_PREFERRED | MPOL_F_STATIC_NODES,
	.reads_as = MPOL_PREFERRED | MPOL_F_STATIC_NODES,
	.asked = B,
};

FIXTURE_VARIANT_ADD(modes, prefer_relative)
{
	.mode = MPOL_PREFERRED | MPOL_F_RELATIVE_NODES,
	.reads_as = MPOL_PREFERRED | MPOL_F_RELATIVE_NODES,
	.asked = SECOND,
};

/* Without nodes it is another word for MPOL_LOCAL. */
FIXTURE_VARIANT_ADD(modes, prefer_none)
{
	.mode = MPOL_PREFERRED,
	.reads_as = MPOL_LOCAL,
	.asked = NONE,
	.on_b = true,
};

FIXTURE_VARIANT_ADD(modes, prefer_many)
{
	.mode = MPOL_PREFERRED_MANY,
	.reads_as = MPOL_PREFERRED_MANY,
	.asked = B,
};

FIXTURE_VARIANT_ADD(modes, interleave_one)
{
	.mode = MPOL_INTERLEAVE,
	.reads_as = MPOL_INTERLEAVE,
	.asked = B,
};

FIXTURE_VARIANT_ADD(modes, local)
{
	.mode = MPOL_LOCAL,
	.reads_as = MPOL_LOCAL,
	.asked = NONE,
	.on_b = true,
};

FIXTURE_VARIANT_ADD(modes, default)
{
	.mode = MPOL_DEFAULT,
	.reads_as = MPOL_DEFAULT,
	.asked = NONE,
	.on_b = true,
};

/* PRESENT pages on node a. */
FIXTURE_SETUP(modes)
{
	ASSERT_CLEAN(placed_start(&self->t, COUNT, PRESENT, MAP_PRIVATE));
	ASSERT_EQ(0, nodes_run_on(variant->on_b ? self->t.b : self->t.a));
	if (variant->asked != NONE)
		self->governs = NODE(self->t.b);
	self->asked = variant->asked == SECOND ? NODE(1) : self->governs;
}

FIXTURE_TEARDOWN(modes)
{
}

static long set_range(struct placed *t, int mode, unsigned long nodes,
		      int flags)
{
	return policy_bind(&t->pages, 0, COUNT, mode, nodes, flags);
}

/* What the two interfaces tell of the range. */
#define EXPECT_TOLD()							\
	EXPECT_CLEAN(policy_check_asked(&self->t.pages, 0,		\
					variant->reads_as, self->asked,	\
					self->governs))

/* New pages only: those that exist stay where they are. */
TEST_F(modes, fault)
{
	struct placed *t = &self->t;

	EXPECT_EQ(0, set_range(t, variant->mode, self->asked, 0));
	policy_fault(&t->pages, PRESENT, COUNT - PRESENT);
	pages_want(&t->pages, PRESENT, COUNT - PRESENT, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "faults under the policy"));
	EXPECT_TOLD();
}

TEST_F(modes, move)
{
	struct placed *t = &self->t;

	EXPECT_EQ(0, set_range(t, variant->mode, self->asked, MOVE | STRICT));
	pages_want(&t->pages, 0, PRESENT, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "after MOVE"));
	EXPECT_TOLD();

	ASSERT_CLEAN(placed_look(t));
	policy_fault(&t->pages, PRESENT, COUNT - PRESENT);
	pages_want(&t->pages, PRESENT, COUNT - PRESENT, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "faults after MOVE"));
}

TEST_F(modes, move_shared)
{
	struct placed *t = &self->t;

	ASSERT_CLEAN(placed_start(t, COUNT, PRESENT, MAP_SHARED));
	EXPECT_EQ(0, set_range(t, variant->mode, self->asked, MOVE | STRICT));
	pages_want(&t->pages, 0, PRESENT, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "shared memory, after MOVE"));
	EXPECT_TOLD();

	ASSERT_CLEAN(placed_look(t));
	policy_fault(&t->pages, PRESENT, COUNT - PRESENT);
	pages_want(&t->pages, PRESENT, COUNT - PRESENT, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "shared memory, faults after MOVE"));
}

/*
 * The policy of the task governs what has none of its own, and is what
 * MPOL_DEFAULT with MOVE goes by.
 */
TEST_F(modes, task)
{
	struct placed *t = &self->t;
	unsigned long nodes = 0;
	char text[64];
	int mode = -1;

	EXPECT_EQ(0, numa_set_mempolicy(variant->mode, self->asked));
	EXPECT_EQ(0, numa_get_mempolicy(&mode, &nodes, NULL, 0));
	EXPECT_STREQ(policy_text(variant->reads_as, self->asked),
		     policy_text(mode, nodes));
	EXPECT_STREQ(policy_text(variant->reads_as, self->governs),
		     placement_policy(0, t->pages.addr, text, sizeof(text)));
	/* It is not the range's own. */
	EXPECT_STREQ("default", pages_policy(&t->pages, 0));
	policy_fault(&t->pages, PRESENT, COUNT - PRESENT);
	pages_want(&t->pages, PRESENT, COUNT - PRESENT, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "faults under the task's policy"));

	ASSERT_CLEAN(placed_look(t));
	EXPECT_EQ(0, policy_bind(&t->pages, 0, PRESENT, MPOL_DEFAULT, 0, MOVE));
	pages_want(&t->pages, 0, PRESENT, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "MPOL_DEFAULT with MOVE"));
}

/* Three policies, the most particular first: of the range, the task, none. */
TEST_F(modes, over_the_task)
{
	struct placed *t = &self->t;

	ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(t->a)));
	EXPECT_EQ(0, set_range(t, variant->mode, self->asked, MOVE));
	/* MPOL_DEFAULT is none: the task's, which says a. */
	policy_fault(&t->pages, PRESENT, COUNT - PRESENT);
	if (variant->mode == MPOL_DEFAULT) {
		long i;

		/* No node is the right one, so all move, to new frames on a. */
		for (i = 0; i < PRESENT; i++)
			pages_forget_frame(&t->pages, i);
		pages_want(&t->pages, PRESENT, COUNT - PRESENT, t->a);
		EXPECT_CLEAN(pages_verify(&t->pages, "none over the task's"));
		EXPECT_CLEAN(counters_verify(&t->before, PRESENT, 0));
	} else {
		pages_want_all(&t->pages, t->b);
		EXPECT_CLEAN(placed_verify(t, 0, "a policy over the task's"));
	}
}

TEST_HARNESS_MAIN
