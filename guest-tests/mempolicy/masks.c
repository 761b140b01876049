// SPDX-License-Identifier: GPL-2.0-only
/*
 * The node mask, its length and the mode with its flags, as mbind(2) and
 * set_mempolicy(2) take them: get_nodes(), sanitize_mpol_flags() and
 * mpol_new() in mm/mempolicy.c are common to both, and so are these cases.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   scope: file
 *   contract: {7: ["masks.*"]}
 *   known:
 *     - {cases: ["masks.*.long_mask_ends_in_a_word"], kernels: ">=6.1", why:
 *        "get_nodes() looks at all bits of the last word of a mask that is
 *        longer than MAX_NUMNODES, those past maxnode too, and fails with
 *        EINVAL, against mbind(2)", commit:
 *        known-issues/long-node-mask-ends-in-a-word.md; seen on 6.1 and 6.12}
 *   covers:
 *     - {cases: "masks.mbind.*", interface: [mbind-move], backing:
 *        [anon-private], condition: [bad-mask-size, bad-node, bad-address]}
 *     - {cases: "masks.set_mempolicy.*", interface: [set_mempolicy], backing:
 *        [anon-private], condition: [bad-mask-size, bad-node, bad-address]}
 */
#include "harness.h"

#include "kernel.h"
#include "nodes.h"
#include "policy.h"

#define COUNT		8

/* The largest mask that get_nodes() takes: the bits of one page. */
#define MAX_BITS	(8 * PAGE_BYTES)
#define BITS_PER_WORD	64

#define STATIC		MPOL_F_STATIC_NODES
#define RELATIVE	MPOL_F_RELATIVE_NODES
#define BALANCING	MPOL_F_NUMA_BALANCING

FIXTURE(masks)
{
	struct placed t;
	char *mask;		/* a page, with nothing mapped behind it */
};

FIXTURE_VARIANT(masks)
{
	bool task;
};

FIXTURE_VARIANT_ADD(masks, mbind)
{
	.task = false,
};

FIXTURE_VARIANT_ADD(masks, set_mempolicy)
{
	.task = true,
};

FIXTURE_SETUP(masks)
{
	ASSERT_CLEAN(placed_start(&self->t, COUNT, COUNT, MAP_PRIVATE));
	self->mask = mmap(NULL, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->mask);
	ASSERT_EQ(0, munmap(self->mask + PAGE_BYTES, PAGE_BYTES));
}

/* Nothing of this moves a page, whatever is asked for. */
FIXTURE_TEARDOWN(masks)
{
	EXPECT_CLEAN(placed_verify(&self->t, 0, "after calls about masks"));
}

/* The call with a mask at @mask; no flags, so that no page is concerned. */
static long call(struct placed *t, bool task, int mode, const void *mask,
		 unsigned long maxnode)
{
	if (task)
		return kernel_result(syscall(SYS_set_mempolicy, mode, mask,
					     maxnode));
	return kernel_result(syscall(SYS_mbind, t->pages.addr,
				     COUNT * PAGE_BYTES, mode, mask, maxnode,
				     0));
}

static const char *told(struct placed *t, bool task)
{
	unsigned long nodes = 0;
	int mode = -1;

	if (!task)
		return pages_policy(&t->pages, 0);
	if (numa_get_mempolicy(&mode, &nodes, NULL, 0))
		return "get_mempolicy failed";
	return policy_text(mode, nodes);
}

#define CALL(mode, mask, maxnode) \
	call(&self->t, variant->task, mode, mask, maxnode)
#define CALL_NODES(mode, set) ({					\
	unsigned long _set = (set);					\
									\
	CALL(mode, &_set, MAXNODE);					\
})
#define TOLD() \
	told(&self->t, variant->task)
#define DROP() \
	ASSERT_EQ(0, CALL(MPOL_DEFAULT, NULL, 0))

/* Each mode without nodes; NULL and an empty mask are the same. */
TEST_F(masks, empty)
{
	static const int refused[] = { MPOL_BIND, MPOL_INTERLEAVE,
				       MPOL_PREFERRED_MANY,
				       MPOL_BIND | STATIC,
				       MPOL_PREFERRED | STATIC,
				       MPOL_PREFERRED | RELATIVE };
	static const int taken[] = { MPOL_DEFAULT, MPOL_LOCAL, MPOL_PREFERRED };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(refused); i++) {
		TH_LOG("mode %#x", refused[i]);
		EXPECT_EQ(-EINVAL, CALL_NODES(refused[i], 0));
		EXPECT_EQ(-EINVAL, CALL(refused[i], NULL, 0));
		EXPECT_EQ(-EINVAL, CALL(refused[i], NULL, MAXNODE));
		EXPECT_STREQ("default", TOLD());
	}
	for (i = 0; i < ARRAY_SIZE(taken); i++) {
		const char *want = taken[i] == MPOL_DEFAULT ? "default" :
							      "local";

		TH_LOG("mode %#x", taken[i]);
		EXPECT_EQ(0, CALL_NODES(taken[i], 0));
		EXPECT_STREQ(want, TOLD());
		DROP();
		EXPECT_EQ(0, CALL(taken[i], NULL, MAXNODE));
		EXPECT_STREQ(want, TOLD());
		DROP();
	}
}

/* Nodes for modes that take none. */
TEST_F(masks, not_wanted)
{
	EXPECT_EQ(-EINVAL, CALL_NODES(MPOL_DEFAULT, NODE(self->t.a)));
	EXPECT_EQ(-EINVAL, CALL_NODES(MPOL_LOCAL, NODE(self->t.a)));
	EXPECT_STREQ("default", TOLD());
}

/* What a mode makes of each flag: EINVAL, or the flag is told again. */
static long wanted(int mode, int flags)
{
	if (flags & STATIC && flags & RELATIVE)
		return -EINVAL;
	if (flags & BALANCING && mode != MPOL_BIND &&
	    /*
	     * "mm/numa_balancing: allow migrate on protnone reference with
	     * MPOL_PREFERRED_MANY policy", 6.10
	     */
	    (mode != MPOL_PREFERRED_MANY || kernel_before(6, 10)))
		return -EINVAL;
	if (mode == MPOL_LOCAL && flags)
		return -EINVAL;
	return 0;
}

TEST_F(masks, flags_by_mode)
{
	static const int modes[] = { MPOL_PREFERRED, MPOL_BIND, MPOL_INTERLEAVE,
				     MPOL_LOCAL, MPOL_PREFERRED_MANY };
	unsigned long asked;
	unsigned int i;
	int bits, flags;
	long want;

	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		asked = modes[i] == MPOL_LOCAL ? 0 : NODE(self->t.b);
		for (bits = 0; bits < 8; bits++) {
			flags = (bits & 1 ? STATIC : 0) |
				(bits & 2 ? RELATIVE : 0) |
				(bits & 4 ? BALANCING : 0);
			TH_LOG("mode %d, flags %#x", modes[i], flags);
			want = wanted(modes[i], flags);
			EXPECT_EQ(want, CALL_NODES(modes[i] | flags, asked));
			EXPECT_STREQ(want ? "default" :
				     policy_text(modes[i] | flags, asked),
				     TOLD());
			DROP();
		}
	}
}

/* MPOL_DEFAULT swallows the flags about nodes, but not the one that is none. */
TEST_F(masks, flags_and_default)
{
	ASSERT_EQ(0, CALL_NODES(MPOL_BIND, NODE(self->t.b)));
	EXPECT_EQ(-EINVAL, CALL_NODES(MPOL_DEFAULT | BALANCING, 0));
	EXPECT_EQ(-EINVAL, CALL_NODES(MPOL_DEFAULT | STATIC | RELATIVE, 0));
	EXPECT_STREQ(policy_text(MPOL_BIND, NODE(self->t.b)), TOLD());
	EXPECT_EQ(0, CALL_NODES(MPOL_DEFAULT | STATIC, 0));
	EXPECT_STREQ("default", TOLD());
}

TEST_F(masks, unknown_mode)
{
	unsigned long b = NODE(self->t.b);

	EXPECT_EQ(-EINVAL, CALL_NODES(MODE_UNKNOWN, b));
	EXPECT_EQ(-EINVAL, CALL_NODES(MODE_UNKNOWN, 0));
	EXPECT_EQ(-EINVAL, CALL_NODES(-1, b));
	EXPECT_EQ(-EINVAL, CALL_NODES(MPOL_BIND | 1 << 12, b));
	EXPECT_EQ(-EINVAL, CALL_NODES(MPOL_BIND | 1 << 16, b));
	EXPECT_STREQ("default", TOLD());
}

/*
 * The kernel takes one off maxnode: of maxnode n it reads n - 1 bits, and what
 * the others say is of no account.
 */
TEST_F(masks, length)
{
	unsigned long all = NODE(self->t.a) | NODE(self->t.b) | ~0UL << 62;
	int b = self->t.b;

	/* Bits 0 to b - 1: a alone. */
	EXPECT_EQ(0, CALL(MPOL_BIND, &all, b + 1));
	EXPECT_STREQ(policy_text(MPOL_BIND, NODE(self->t.a)), TOLD());
	/* One more: b too. */
	EXPECT_EQ(0, CALL(MPOL_BIND, &all, b + 2));
	EXPECT_STREQ(policy_text(MPOL_BIND, NODE(self->t.a) | NODE(b)), TOLD());
	DROP();
	/* None. */
	EXPECT_EQ(-EINVAL, CALL(MPOL_BIND, &all, 1));
	EXPECT_EQ(0, CALL(MPOL_PREFERRED, &all, 1));
	EXPECT_STREQ("local", TOLD());
	DROP();
	/* None less one is too many. */
	EXPECT_EQ(-EINVAL, CALL(MPOL_BIND, &all, 0));
	EXPECT_EQ(-EINVAL, CALL(MPOL_PREFERRED, &all, 0));
	EXPECT_STREQ("default", TOLD());
}

/* Longer than the kernel's own masks: zeroes are all right, up to a page. */
TEST_F(masks, long_mask)
{
	unsigned long *words = (unsigned long *)self->mask;
	long last = MAX_BITS / BITS_PER_WORD - 1;

	words[0] = NODE(self->t.b);
	EXPECT_EQ(0, CALL(MPOL_BIND, words, MAX_BITS + 1));
	EXPECT_STREQ(policy_text(MPOL_BIND, NODE(self->t.b)), TOLD());
	DROP();
	EXPECT_EQ(-EINVAL, CALL(MPOL_BIND, words, MAX_BITS + 2));
	EXPECT_EQ(-EINVAL, CALL(MPOL_BIND, words, -1UL));
	EXPECT_STREQ("default", TOLD());

	/* A node that can't be, in the last word, and just out of reach. */
	words[last] = 1UL << (BITS_PER_WORD - 1);
	EXPECT_EQ(-EINVAL, CALL(MPOL_BIND, words, MAX_BITS + 1));
	words[last] = 1;
	EXPECT_EQ(-EINVAL, CALL(MPOL_BIND, words, MAX_BITS));
	EXPECT_EQ(0, CALL(MPOL_BIND, words, last * BITS_PER_WORD + 1));
	EXPECT_STREQ(policy_text(MPOL_BIND, NODE(self->t.b)), TOLD());
}

/*
 * "The kernel will use bits only up to maxnode", mbind(2) says, here of a mask
 * that is longer than the kernel's own and ends within a word.
 */
TEST_F(masks, long_mask_ends_in_a_word)
{
	unsigned long *words = (unsigned long *)self->mask;
	long last = MAX_BITS / BITS_PER_WORD - 1;

	words[0] = NODE(self->t.b);
	words[last] = 1UL << (BITS_PER_WORD - 1);
	EXPECT_EQ(0, CALL(MPOL_BIND, words, MAX_BITS));
	EXPECT_STREQ(policy_text(MPOL_BIND, NODE(self->t.b)), TOLD());
}

TEST_F(masks, bad_pointer)
{
	char *end = self->mask + PAGE_BYTES;
	unsigned long *word = (unsigned long *)end - 1;

	EXPECT_EQ(-EFAULT, CALL(MPOL_BIND, end, MAXNODE));
	EXPECT_EQ(-EFAULT, CALL(MPOL_BIND, (void *)-8UL, MAXNODE));
	/* Even where the mode takes no nodes. */
	EXPECT_EQ(-EFAULT, CALL(MPOL_DEFAULT, end, MAXNODE));
	EXPECT_EQ(-EFAULT, CALL(MPOL_LOCAL, end, MAXNODE));
	/* A bad mode or length is found before. */
	EXPECT_EQ(-EINVAL, CALL(MODE_UNKNOWN, end, MAXNODE));
	EXPECT_EQ(-EINVAL, CALL(MPOL_BIND, end, MAX_BITS + 2));
	/* The first word there, the second not. */
	*word = NODE(self->t.b);
	EXPECT_EQ(-EFAULT, CALL(MPOL_BIND, word, 2 * BITS_PER_WORD + 1));
	EXPECT_STREQ("default", TOLD());
	EXPECT_EQ(0, CALL(MPOL_BIND, word, MAXNODE));
	EXPECT_STREQ(policy_text(MPOL_BIND, NODE(self->t.b)), TOLD());
	/* No bits, no reading. */
	EXPECT_EQ(0, CALL(MPOL_PREFERRED, end, 1));
	EXPECT_STREQ("local", TOLD());
}

/*
 * Nodes without memory are left out; alone they are none. MPOL_PREFERRED takes
 * the first of those that are left.
 */
TEST_F(masks, without_memory)
{
	static const int modes[] = { MPOL_BIND, MPOL_INTERLEAVE, MPOL_PREFERRED,
				     MPOL_PREFERRED_MANY };
	int none = nodes_first_without_memory();
	unsigned long b = NODE(self->t.b), wide = b | NODE(none);
	unsigned int i;

	ASSERT_LE(0, none);
	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		TH_LOG("mode %d", modes[i]);
		EXPECT_EQ(-EINVAL, CALL_NODES(modes[i], NODE(none)));
		EXPECT_EQ(-EINVAL, CALL_NODES(modes[i] | STATIC, NODE(none)));
		EXPECT_STREQ("default", TOLD());
		EXPECT_EQ(0, CALL_NODES(modes[i], wide));
		EXPECT_STREQ(policy_text(modes[i], b), TOLD());
		/* With a flag, what was asked for is kept. */
		EXPECT_EQ(0, CALL_NODES(modes[i] | STATIC, wide));
		EXPECT_STREQ(policy_text(modes[i] | STATIC, wide), TOLD());
		/* Relative to what there is, it is some node with memory. */
		EXPECT_EQ(0, CALL_NODES(modes[i] | RELATIVE, NODE(none)));
		EXPECT_STREQ(policy_text(modes[i] | RELATIVE, NODE(none)),
			     TOLD());
		DROP();
	}
}

TEST_HARNESS_MAIN
