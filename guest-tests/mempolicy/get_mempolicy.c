// SPDX-License-Identifier: GPL-2.0-only
/*
 * get_mempolicy(2) in all its forms (do_get_mempolicy() in mm/mempolicy.c of
 * 6.12). What it says is compared with what was set, and with what another
 * interface shows: numa_maps, which tells the task's policy of each VMA that
 * has none, a move_pages(2) query, Mems_allowed of /proc/self/status.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   scope: file
 *   contract: {7: ["get_mempolicy.*"]}
 */
#include "harness.h"

#include "nodes.h"
#include "placement.h"
#include "policy.h"
#include "proc.h"
#include "relocate.h"

#define COUNT		16

#define ADDR		MPOL_F_ADDR
#define NODE_OF		MPOL_F_NODE
#define ALLOWED		MPOL_F_MEMS_ALLOWED

/* What the kernel writes nowhere. */
#define UNWRITTEN	0x7777

FIXTURE(get_mempolicy)
{
	struct placed t;
	int mode;
	unsigned long nodes;
};

/* COUNT pages, a and b in turn; the last is untouched. */
FIXTURE_SETUP(get_mempolicy)
{
	struct placed *t = &self->t;

	ASSERT_CLEAN(placed_start(t, COUNT, 0, MAP_PRIVATE));
	pages_want_dealt(&t->pages, NODE(t->a) | NODE(t->b));
	pages_want(&t->pages, COUNT - 1, 1, UNTOUCHED);
	ASSERT_EQ(0, pages_populate(&t->pages));
	ASSERT_CLEAN(placed_look(t));
	self->mode = UNWRITTEN;
	self->nodes = UNWRITTEN;
}

/* To ask moves nothing. */
FIXTURE_TEARDOWN(get_mempolicy)
{
	EXPECT_CLEAN(placed_verify(&self->t, 0, "after get_mempolicy"));
}

#define GET(addr, flags) \
	numa_get_mempolicy(&self->mode, &self->nodes, addr, flags)
#define TOLD() \
	policy_text(self->mode, self->nodes)

TEST_F(get_mempolicy, nothing_set)
{
	EXPECT_EQ(0, GET(NULL, 0));
	EXPECT_STREQ("default", TOLD());
	EXPECT_EQ(0, self->nodes);
	self->nodes = UNWRITTEN;
	EXPECT_EQ(0, GET(self->t.pages.addr, ADDR));
	EXPECT_STREQ("default", TOLD());
	EXPECT_EQ(0, self->nodes);
}

struct example {
	int mode;
	unsigned long nodes;
};

/* One of each mode; nodes as numa_maps would write them. */
static int examples(const struct placed *t, struct example *list)
{
	unsigned long a = NODE(t->a), b = NODE(t->b);
	const struct example all[] = {
		{ MPOL_BIND, b },
		{ MPOL_BIND, a | b },
		{ MPOL_BIND | MPOL_F_STATIC_NODES, a | b },
		{ MPOL_PREFERRED, b },
		{ MPOL_INTERLEAVE, a | b },
		{ MPOL_INTERLEAVE | MPOL_F_STATIC_NODES, b },
		{ MPOL_LOCAL, 0 },
		{ MPOL_PREFERRED_MANY, a | b },
		{ MPOL_DEFAULT, 0 },
	};

	memcpy(list, all, sizeof(all));
	return ARRAY_SIZE(all);
}

#define EXAMPLES	16

/* Mode, flags and nodes: of the task, then of a range under such a task. */
TEST_F(get_mempolicy, mode_and_nodes)
{
	struct example list[EXAMPLES];
	struct placed *t = &self->t;
	char shown[64];
	int i, count = examples(t, list);

	for (i = 0; i < count; i++) {
		const char *want = policy_text(list[i].mode, list[i].nodes);

		TH_LOG("the task's policy: %s", want);
		ASSERT_EQ(0, numa_set_mempolicy(list[i].mode, list[i].nodes));
		EXPECT_EQ(0, GET(NULL, 0));
		EXPECT_STREQ(want, TOLD());
		EXPECT_EQ(list[i].nodes, self->nodes);
		EXPECT_STREQ(want, placement_policy(0, t->pages.addr, shown,
						    sizeof(shown)));
		/* The task's is not the range's. */
		EXPECT_EQ(0, GET(t->pages.addr, ADDR));
		EXPECT_STREQ("default", TOLD());
	}
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_INTERLEAVE, NODE(t->a)));
	for (i = 0; i < count; i++) {
		TH_LOG("the range's policy: mode %d", list[i].mode);
		ASSERT_EQ(0, policy_bind(&t->pages, 4, 8, list[i].mode,
					 list[i].nodes, 0));
		if (list[i].mode != MPOL_DEFAULT)
			EXPECT_CLEAN(policy_check(&t->pages, 4, list[i].mode,
						  list[i].nodes));
		EXPECT_STREQ("default", pages_policy(&t->pages, 3));
		EXPECT_STREQ("default", pages_policy(&t->pages, 12));
		EXPECT_EQ(0, GET(NULL, 0));
		EXPECT_STREQ(policy_text(MPOL_INTERLEAVE, NODE(t->a)), TOLD());
	}
	EXPECT_STREQ("default", pages_policy(&t->pages, 4));
}

/* Each result may be left out. */
TEST_F(get_mempolicy, half_an_answer)
{
	unsigned long nodes = UNWRITTEN;
	int mode = UNWRITTEN;

	ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(self->t.b)));
	EXPECT_EQ(0, numa_get_mempolicy(&mode, NULL, NULL, 0));
	EXPECT_EQ(MPOL_BIND, mode);
	EXPECT_EQ(0, numa_get_mempolicy(NULL, &nodes, NULL, 0));
	EXPECT_EQ(NODE(self->t.b), nodes);
	EXPECT_EQ(0, numa_get_mempolicy(NULL, NULL, NULL, 0));
	/* Without a mask its length is of no account. */
	EXPECT_EQ(0, kernel_result(syscall(SYS_get_mempolicy, &mode, NULL, 0,
					   NULL, 0)));
}

/* The node of a page, wherever the policy would have it. */
TEST_F(get_mempolicy, node_of_a_page)
{
	struct pages *p = &self->t.pages;
	int i, status[COUNT];

	ASSERT_EQ(0, policy_bind(p, 0, COUNT, MPOL_BIND, NODE(self->t.b), 0));
	ASSERT_EQ(0, placement_query(0, p->addr, COUNT - 1, status));
	for (i = 0; i < COUNT - 1; i++) {
		EXPECT_EQ(0, GET(pages_at(p, i) + i, ADDR | NODE_OF));
		EXPECT_EQ(status[i], self->mode);
		EXPECT_EQ(p->want[i], self->mode);
		/* The mask is still the policy's. */
		EXPECT_EQ(NODE(self->t.b), self->nodes);
	}
}

/* The reference that lookup_node() takes to look is given back. */
TEST_F(get_mempolicy, page_is_not_held)
{
	struct placed *t = &self->t;
	int i;

	for (i = 0; i < COUNT - 1; i++)
		ASSERT_EQ(0, GET(pages_at(&t->pages, i), ADDR | NODE_OF));
	EXPECT_CLEAN(relocate_to(&t->pages, t->b, "asked about, then sent"));
	ASSERT_CLEAN(placed_look(t));
}

/* A page that is not there is faulted in, to where the policy has it. */
TEST_F(get_mempolicy, node_of_an_untouched_page)
{
	struct pages *p = &self->t.pages;
	struct pages shared;

	ASSERT_EQ(0, pages_map(&shared, 2, MAP_SHARED));
	ASSERT_EQ(0, policy_bind(&shared, 0, 2, MPOL_BIND, NODE(self->t.b), 0));
	ASSERT_CLEAN(pages_snapshot(&shared));
	EXPECT_EQ(0, GET(pages_at(&shared, 1), ADDR | NODE_OF));
	EXPECT_EQ(self->t.b, self->mode);
	/* Zeroes and no pattern, so only where it is can be looked at. */
	shared.pid = getpid();
	pages_want(&shared, 1, 1, self->t.b);
	EXPECT_CLEAN(pages_verify(&shared, "faulted in by the question"));

	/* Private memory is read, so that is the zero page, on some node. */
	EXPECT_EQ(0, GET(pages_at(p, COUNT - 1), ADDR | NODE_OF));
	EXPECT_TRUE(nodes_with_memory() & NODE(self->mode));
	ASSERT_EQ(0, madvise(pages_at(p, COUNT - 1), PAGE_BYTES,
			     MADV_DONTNEED));
}

/* The first of an interleave; nothing else has a next node. */
TEST_F(get_mempolicy, next_node)
{
	struct placed *t = &self->t;

	EXPECT_EQ(-EINVAL, GET(NULL, NODE_OF));
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_INTERLEAVE,
					NODE(t->a) | NODE(t->b)));
	EXPECT_EQ(0, GET(NULL, NODE_OF));
	EXPECT_EQ(t->a, self->mode);
	EXPECT_EQ(NODE(t->a) | NODE(t->b), self->nodes);
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_INTERLEAVE, NODE(t->b)));
	EXPECT_EQ(0, GET(NULL, NODE_OF));
	EXPECT_EQ(t->b, self->mode);

	self->mode = UNWRITTEN;
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(t->b)));
	EXPECT_EQ(-EINVAL, GET(NULL, NODE_OF));
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_PREFERRED, NODE(t->b)));
	EXPECT_EQ(-EINVAL, GET(NULL, NODE_OF));
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_LOCAL, 0));
	EXPECT_EQ(-EINVAL, GET(NULL, NODE_OF));
	EXPECT_EQ(UNWRITTEN, self->mode);
}

TEST_F(get_mempolicy, mems_allowed)
{
	char status[4096], *line;

	ASSERT_LT(0, proc_read("/proc/self/status", status, sizeof(status)));
	line = strstr(status, "Mems_allowed_list:\t");
	ASSERT_NE(NULL, line);
	/* Whatever the policy. */
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(self->t.b)));
	EXPECT_EQ(0, GET(NULL, ALLOWED));
	EXPECT_EQ(0, self->mode);
	line += strlen("Mems_allowed_list:\t");
	EXPECT_EQ(nodes_parse(line), self->nodes);
	/* An address says nothing here, but does no harm. */
	EXPECT_EQ(0, GET(self->t.pages.addr, ALLOWED));
	EXPECT_EQ(-EINVAL, GET(NULL, ALLOWED | NODE_OF));
	EXPECT_EQ(-EINVAL, GET(self->t.pages.addr, ALLOWED | ADDR));
	EXPECT_EQ(-EINVAL, GET(self->t.pages.addr, ALLOWED | ADDR | NODE_OF));
}

/* With a flag for its nodes a policy keeps what was asked for. */
TEST_F(get_mempolicy, nodes_as_asked)
{
	int none = nodes_first_without_memory();
	struct placed *t = &self->t;
	unsigned long wide = NODE(t->b) | NODE(none);

	ASSERT_LE(0, none);
	ASSERT_EQ(0, policy_bind(&t->pages, 0, COUNT,
				 MPOL_BIND | MPOL_F_STATIC_NODES, wide, 0));
	EXPECT_CLEAN(policy_check_asked(&t->pages, 0,
					MPOL_BIND | MPOL_F_STATIC_NODES, wide,
					NODE(t->b)));
	/* Bit 1: the second of the nodes that there are. */
	ASSERT_EQ(0, policy_bind(&t->pages, 0, COUNT,
				 MPOL_INTERLEAVE | MPOL_F_RELATIVE_NODES,
				 NODE(1), 0));
	EXPECT_CLEAN(policy_check_asked(&t->pages, 0, MPOL_INTERLEAVE |
					MPOL_F_RELATIVE_NODES, NODE(1),
					NODE(t->b)));
	/* Without one it is cut down to what there is. */
	ASSERT_EQ(0, policy_bind(&t->pages, 0, COUNT, MPOL_BIND, wide, 0));
	EXPECT_CLEAN(policy_check(&t->pages, 0, MPOL_BIND, NODE(t->b)));
}

TEST_F(get_mempolicy, errors)
{
	struct pages *p = &self->t.pages;
	char *hole = pages_at(p, 6);
	int mode = UNWRITTEN;

	ASSERT_EQ(0, munmap(hole, PAGE_BYTES));
	pages_want(p, 6, 1, UNMAPPED);
	EXPECT_EQ(-EFAULT, GET(hole, ADDR));
	EXPECT_EQ(-EFAULT, GET(hole, ADDR | NODE_OF));
	EXPECT_EQ(-EFAULT, GET(NULL, ADDR));
	/* An address without the flag, flags that are none. */
	EXPECT_EQ(-EINVAL, GET(p->addr, 0));
	EXPECT_EQ(-EINVAL, GET(p->addr, NODE_OF));
	EXPECT_EQ(-EINVAL, GET(p->addr, ADDR | 1 << 3));
	EXPECT_EQ(-EINVAL, GET(NULL, 1UL << 40));
	EXPECT_EQ(UNWRITTEN, self->mode);
	EXPECT_EQ(UNWRITTEN, self->nodes);

	/* Results with nowhere to go. */
	EXPECT_EQ(-EFAULT, numa_get_mempolicy((int *)hole, NULL, NULL, 0));
	EXPECT_EQ(-EFAULT, numa_get_mempolicy(&mode, (unsigned long *)hole,
					      NULL, 0));
	/* Inaccessible, so that no page is faulted in to know its node. */
	ASSERT_EQ(0, mprotect(pages_at(p, 8), PAGE_BYTES, PROT_NONE));
	EXPECT_EQ(-EFAULT, GET(pages_at(p, 8), ADDR | NODE_OF));
	EXPECT_EQ(0, GET(pages_at(p, 8), ADDR));
	ASSERT_EQ(0, mprotect(pages_at(p, 8), PAGE_BYTES,
			      PROT_READ | PROT_WRITE));
}

/*
 * maxnode: not less than the kernel has nodes. What the mask has room for
 * beyond them is cleared, up to a page of it (copy_nodes_to_user()).
 */
TEST_F(get_mempolicy, length)
{
	unsigned long words[4096 / sizeof(long)];
	int mode = UNWRITTEN;
	unsigned int i;

	memset(words, 0xff, sizeof(words));
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(self->t.b)));
#define LENGTH(maxnode) \
	kernel_result(syscall(SYS_get_mempolicy, &mode, words, maxnode, NULL, 0))
	EXPECT_EQ(-EINVAL, LENGTH(0UL));
	EXPECT_EQ(-EINVAL, LENGTH(1UL));
	EXPECT_EQ(-EINVAL, LENGTH(8 * PAGE_BYTES + 2));
	EXPECT_EQ(~0UL, words[0]);

	EXPECT_EQ(0, LENGTH((unsigned long)MAXNODE));
	EXPECT_EQ(NODE(self->t.b), words[0]);
	EXPECT_EQ(~0UL, words[1]);
	EXPECT_EQ(0, LENGTH(2 * 64 + 1UL));
	EXPECT_EQ(NODE(self->t.b), words[0]);
	EXPECT_EQ(0, words[1]);
	EXPECT_EQ(~0UL, words[2]);
	EXPECT_EQ(0, LENGTH(8 * PAGE_BYTES + 1));
	EXPECT_EQ(NODE(self->t.b), words[0]);
	for (i = 1; i < ARRAY_SIZE(words); i++)
		ASSERT_EQ(0, words[i]);
#undef LENGTH
}

TEST_HARNESS_MAIN
