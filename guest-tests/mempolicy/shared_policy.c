// SPDX-License-Identifier: GPL-2.0-only
/*
 * The policy of shared memory belongs to the memory, not to a mapping of it:
 * what was set through one governs what is allocated through any other, in any
 * process, or by write(2), and outlives all mappings. It is kept as ranges of
 * the file, which calls split and cut (shared_policy_replace() in
 * mm/mempolicy.c, shmem_get_policy() in mm/shmem.c).
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, MEMFD_CREATE, TMPFS]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   scope: file
 *   quick:
 *     - shared_policy.another_process
 *   contract: {12: ["shared_policy.*"]}
 *   promises: {shared-mapping-policy: ["shared_policy.*"]}
 *   covers:
 *     - {cases: ["shared_policy.move_*"], interface: [mbind-move,
 *        mbind-move-all], backing: [shmem], condition: [quiet]}
 *   known:
 *     - {cases: ["shared_policy.set_again"], kernels: ">=6.1", why:
 *        "mbind_range() takes a VMA that had the policy for done, though
 *        another mapping has changed that of the memory since: mbind(2) returns
 *        0 and sets nothing", commit: known-issues/shared-policy-set-again.md;
 *        seen on 6.1 and 6.12}
 *     - {cases: ["shared_policy.default_by_another"], kernels: ">=6.1", why:
 *        "mbind_range() takes a VMA without a policy for done: MPOL_DEFAULT
 *        through a mapping that set none leaves the memory its policy",
 *        commit: known-issues/shared-policy-default-by-another.md; seen on 6.1
 *        and 6.12}
 *     - {cases: ["shared_policy.beside_a_merge"], kernels: ">=6.1", why:
 *        "mbind_range() installs the policy in all of a VMA that merged, also
 *        where another mapping has changed that of the memory", commit:
 *        known-issues/shared-policy-beside-a-merge.md; seen on 6.1 and 6.12}
 */
#include "harness.h"

#include <sys/stat.h>

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

FIXTURE(shared_policy)
{
	struct placed t;
	struct pages other;	/* a second mapping of the same */
	int fd;
	long inode;
};

/* A memfd of COUNT pages, none there yet, mapped twice; the thread is on a. */
FIXTURE_SETUP(shared_policy)
{
	struct pages *p = &self->t.pages;
	struct stat stat;
	void *addr;

	self->fd = memfd_create("shared-policy", MFD_CLOEXEC);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, ftruncate(self->fd, BYTES));
	ASSERT_EQ(0, fstat(self->fd, &stat));
	self->inode = stat.st_ino;
	ASSERT_CLEAN(placed_start(&self->t, COUNT, 0, MAP_SHARED));
	ASSERT_EQ(p->addr, mmap(p->addr, BYTES, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_FIXED, self->fd, 0));
	addr = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd,
		    0);
	ASSERT_NE(MAP_FAILED, addr);
	ASSERT_EQ(0, pages_over(&self->other, addr, COUNT));
	self->other.seed = p->seed;
	ASSERT_EQ(0, nodes_run_on(self->t.a));
}

FIXTURE_TEARDOWN(shared_policy)
{
}

static long bind(const struct pages *p, long first, long count, int node,
		 int flags)
{
	return policy_bind(p, first, count, MPOL_BIND, NODE(node), flags);
}

/* In part of the range, through the other mapping: seen at either. */
TEST_F(shared_policy, another_mapping)
{
	struct placed *t = &self->t;
	struct pages *other = &self->other;

	EXPECT_EQ(0, bind(&t->pages, 4, 8, t->b, 0));
	EXPECT_CLEAN(policy_check_amid(other, 4, 8, t->b));
	policy_fault(other, 0, COUNT);
	pages_want_all(other, t->a);
	pages_want(other, 4, 8, t->b);
	EXPECT_CLEAN(pages_snapshot(other));
	EXPECT_CLEAN(pages_verify(other, "faulted at the other mapping"));
}

/* A process that was there before, and looks by itself. */
TEST_F(shared_policy, another_process)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;
	struct holder holder;

	ASSERT_EQ(0, holder_start(&holder, p, chore_nothing));
	EXPECT_EQ(0, bind(p, 0, COUNT, t->b, 0));
	p->pid = holder.peer.pid;
	EXPECT_CLEAN(policy_check(p, 0, MPOL_BIND, NODE(t->b)));
	EXPECT_EQ(0, holder_call(&holder, chore_fault_half));
	pages_want(p, 0, HALF, t->b);
	EXPECT_CLEAN(pages_snapshot(p));

	/* Here they are not mapped yet; they are the same when they are. */
	p->pid = 0;
	policy_fault(p, HALF, HALF);
	for (int i = 0; i < HALF; i++)
		pages_read(p, i);
	pages_want_all(p, t->b);
	EXPECT_CLEAN(pages_snapshot(p));
	EXPECT_CLEAN(pages_verify(p, "allocated by two processes"));
	EXPECT_EQ(0, holder_end(&holder));
}

/* Unmapped by all: it is remembered, for write(2) and for later mappings. */
TEST_F(shared_policy, outlives_mappings)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;
	char page[4096] = "";
	int i;

	ASSERT_EQ(0, bind(p, 0, COUNT, t->b, 0));
	ASSERT_EQ(0, munmap(p->addr, BYTES));
	ASSERT_EQ(0, munmap(self->other.addr, BYTES));
	for (i = 0; i < HALF; i++)
		ASSERT_EQ(PAGE_BYTES, pwrite(self->fd, page, PAGE_BYTES,
					     i * PAGE_BYTES));
	ASSERT_EQ(p->addr, mmap(p->addr, BYTES, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_FIXED, self->fd, 0));
	EXPECT_CLEAN(policy_check(p, 0, MPOL_BIND, NODE(t->b)));
	for (i = 0; i < COUNT; i++)
		policy_fault(p, i, 1);
	pages_want_all(p, t->b);
	EXPECT_CLEAN(pages_snapshot(p));
	EXPECT_CLEAN(pages_verify(p, "written and faulted"));

	/* Emptied, it is still the same memory. */
	ASSERT_EQ(0, ftruncate(self->fd, 0));
	ASSERT_EQ(0, ftruncate(self->fd, BYTES));
	policy_fault(p, 0, COUNT);
	EXPECT_CLEAN(pages_snapshot(p));
}

/* By the offset in the file, wherever a mapping of it begins. */
TEST_F(shared_policy, by_offset)
{
	struct placed *t = &self->t;
	struct pages part;
	void *addr = mmap(NULL, 6 * PAGE_BYTES, PROT_READ | PROT_WRITE,
			  MAP_SHARED, self->fd, 5 * PAGE_BYTES);

	ASSERT_NE(MAP_FAILED, addr);
	ASSERT_EQ(0, pages_over(&part, addr, 6));
	/* Pages 7 and 8 of the file. */
	EXPECT_EQ(0, bind(&part, 2, 2, t->b, 0));
	EXPECT_STREQ("default", pages_policy(&t->pages, 6));
	EXPECT_STREQ(policy_text(MPOL_BIND, NODE(t->b)),
		     pages_policy(&t->pages, 7));
	EXPECT_STREQ(policy_text(MPOL_BIND, NODE(t->b)),
		     pages_policy(&t->pages, 8));
	EXPECT_STREQ("default", pages_policy(&t->pages, 9));
	policy_fault(&t->pages, 0, COUNT);
	pages_want_all(&t->pages, t->a);
	pages_want(&t->pages, 7, 2, t->b);
	EXPECT_CLEAN(pages_snapshot(&t->pages));
}

/* What is held of each page in many_ranges. */
struct model {
	int mode;
	unsigned long nodes;
};

static struct model draw(const struct placed *t, unsigned int random)
{
	const struct model all[] = {
		{ MPOL_BIND, NODE(t->a) },
		{ MPOL_BIND, NODE(t->b) },
		{ MPOL_PREFERRED, NODE(t->b) },
		{ MPOL_INTERLEAVE, NODE(t->a) | NODE(t->b) },
		{ MPOL_LOCAL, 0 },
		{ MPOL_DEFAULT, 0 },
	};

	return all[random % ARRAY_SIZE(all)];
}

/*
 * Through a mapping made for it, which knows of no policy before. It is to
 * have one to take away, or MPOL_DEFAULT would do nothing: see
 * default_by_another.
 */
static long set_by_a_mapping(int fd, long first, long count, struct model want)
{
	size_t bytes = count * PAGE_BYTES;
	void *addr = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd,
			  first * PAGE_BYTES);
	long error = 0;

	if (addr == MAP_FAILED)
		return -errno;
	if (want.mode == MPOL_DEFAULT)
		error = numa_mbind(addr, bytes, MPOL_LOCAL, 0, 0);
	if (!error)
		error = numa_mbind(addr, bytes, want.mode, want.nodes, 0);
	munmap(addr, bytes);
	return error;
}

static int node_by(const struct placed *t, struct model want, long index)
{
	switch (want.mode) {
	case MPOL_DEFAULT:
	case MPOL_LOCAL:
		return t->a;	/* where the thread runs */
	case MPOL_INTERLEAVE:
		return policy_interleaved(want.nodes, index);
	default:
		return policy_interleaved(want.nodes, 0);
	}
}

#define ROUNDS	150

/* Ranges at random, cut, split and covered: each page has its latest policy. */
TEST_F(shared_policy, many_ranges)
{
	struct model model[COUNT] = {0}, want;
	struct pages *p = &self->t.pages;
	unsigned int random = 1;
	long round, first, count, i;

	for (round = 0; round < ROUNDS; round++) {
		random = random * 1103515245 + 12345;
		first = (random >> 8) % COUNT;
		count = 1 + (random >> 16) % (COUNT - first);
		want = draw(&self->t, random >> 24);
		ASSERT_EQ(0, set_by_a_mapping(self->fd, first, count, want));
		for (i = first; i < first + count; i++)
			model[i] = want;
		for (i = 0; i < COUNT; i++)
			ASSERT_STREQ(policy_text(model[i].mode, model[i].nodes),
				     pages_policy(p, i))
				TH_LOG("round %ld, page %ld", round, i);
	}
	policy_fault(p, 0, COUNT);
	for (i = 0; i < COUNT; i++)
		pages_want(p, i, 1, node_by(&self->t, model[i],
					    self->inode + i));
	EXPECT_CLEAN(pages_snapshot(p));
}

/* MOVE through one mapping: the other, and another process, see them moved. */
TEST_F(shared_policy, move_all_seen_by_all)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages, *other = &self->other;
	struct holder holder;

	pages_want_all(p, t->a);
	ASSERT_EQ(0, pages_populate(p));
	pages_want_all(other, t->a);
	ASSERT_EQ(0, pages_bad(other));
	ASSERT_EQ(0, holder_start(&holder, p, chore_look));
	ASSERT_CLEAN(placed_look(t));
	ASSERT_CLEAN(pages_snapshot(other));
	EXPECT_EQ(0, bind(p, 4, 8, t->b, MOVE_ALL | STRICT));
	pages_want(p, 4, 8, t->b);
	pages_want(other, 4, 8, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "where MOVE_ALL was called"));
	EXPECT_CLEAN(pages_verify(other, "at the other mapping"));
	EXPECT_CLEAN(pages_shared_with(p, holder.peer.pid));
	EXPECT_EQ(0, holder_bad(&holder));
	EXPECT_EQ(0, holder_end(&holder));
}

/*
 * MOVE goes by what is mapped where it is called: pages that are mapped
 * elsewhere only are not seen, though they have the policy from now on.
 */
TEST_F(shared_policy, move_where_mapped)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages, *other = &self->other;

	pages_want_all(p, t->a);
	ASSERT_EQ(0, pages_populate(p));
	ASSERT_CLEAN(placed_look(t));
	EXPECT_EQ(0, bind(other, 0, COUNT, t->b, MOVE_ALL | STRICT));
	EXPECT_CLEAN(placed_verify(t, 0, "MOVE_ALL where nothing is mapped"));
	EXPECT_CLEAN(policy_check(p, 0, MPOL_BIND, NODE(t->b)));
	EXPECT_EQ(0, bind(p, 0, COUNT, t->b, MOVE | STRICT));
	pages_want_all(p, t->b);
	EXPECT_CLEAN(placed_verify(t, 0, "MOVE where they are mapped"));
	EXPECT_EQ(0, pages_bad(other));
}

/* Set here, changed there, set here again: the last call counts. */
TEST_F(shared_policy, set_again)
{
	struct placed *t = &self->t;

	ASSERT_EQ(0, bind(&t->pages, 0, COUNT, t->b, 0));
	ASSERT_EQ(0, bind(&self->other, 0, COUNT, t->a, 0));
	EXPECT_CLEAN(policy_check(&t->pages, 0, MPOL_BIND, NODE(t->a)));
	EXPECT_EQ(0, bind(&t->pages, 0, COUNT, t->b, 0));
	EXPECT_CLEAN(policy_check(&t->pages, 0, MPOL_BIND, NODE(t->b)));
}

/* Taken away by a mapping that did not set it. */
TEST_F(shared_policy, default_by_another)
{
	struct placed *t = &self->t;

	ASSERT_EQ(0, bind(&t->pages, 0, COUNT, t->b, 0));
	EXPECT_EQ(0, policy_bind(&self->other, 0, COUNT, MPOL_DEFAULT, 0, 0));
	EXPECT_CLEAN(policy_check(&t->pages, 0, MPOL_DEFAULT, 0));
}

/* By the one that did, it is. */
TEST_F(shared_policy, default_by_the_same)
{
	struct placed *t = &self->t;

	ASSERT_EQ(0, bind(&t->pages, 0, COUNT, t->b, 0));
	EXPECT_EQ(0, policy_bind(&t->pages, 0, COUNT, MPOL_DEFAULT, 0, 0));
	EXPECT_CLEAN(policy_check(&self->other, 0, MPOL_DEFAULT, 0));
	policy_fault(&self->other, 0, COUNT);
	pages_want_all(&self->other, t->a);
	EXPECT_CLEAN(pages_snapshot(&self->other));
}

/* A call for the second half is none for the first. */
TEST_F(shared_policy, beside_a_merge)
{
	struct placed *t = &self->t;

	ASSERT_EQ(0, bind(&t->pages, 0, HALF, t->b, 0));
	ASSERT_EQ(0, bind(&self->other, 0, HALF, t->a, 0));
	EXPECT_EQ(0, bind(&t->pages, HALF, HALF, t->b, 0));
	EXPECT_STREQ(policy_text(MPOL_BIND, NODE(t->b)),
		     pages_policy(&self->other, HALF));
	EXPECT_STREQ(policy_text(MPOL_BIND, NODE(t->a)),
		     pages_policy(&self->other, 0));
}

TEST_HARNESS_MAIN
