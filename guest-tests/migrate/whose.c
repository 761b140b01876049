// SPDX-License-Identifier: GPL-2.0-only
/*
 * migrate_pages(2) and move_pages(2) on the memory of another process: who may,
 * and what. Both ask ptrace_may_access(PTRACE_MODE_READ_REALCREDS) of the
 * target (kernel_migrate_pages() in mm/mempolicy.c, find_mm_struct() in
 * mm/migrate.c, __ptrace_may_access() in kernel/ptrace.c; 6.1 and 6.12):
 *
 *  - the caller's real ids are all ids of the target, or it has CAP_SYS_PTRACE;
 *  - the target is dumpable, or the caller has CAP_SYS_PTRACE;
 *  - the target has no capability that the caller lacks, or the caller has
 *    CAP_SYS_PTRACE;
 *  - CAP_SYS_NICE opens no process. It only adds what others map too:
 *    MPOL_MF_MOVE_ALL, which migrate_pages(2) then does of itself.
 *
 * The caller is a process of its own, which gives up what the case says; the
 * test stays root and looks.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, MULTIUSER]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   quick:
 *     - whose.same_user.migrate_pages
 *   contract: {4: ["whose.nice_is_no_key.*"]}
 *   promises: {other-process: ["whose.*"]}
 *   covers:
 *     - {cases: "whose.*.migrate_pages",
 *        interface: [migrate_pages-other-user], backing: [anon-private],
 *        condition: [quiet, no-capability]}
 *     - {cases: "whose.*.move_pages", interface: [move_pages-set],
 *        backing: [anon-private], condition: [no-capability]}
 */
#include "harness.h"

#include "commons.h"
#include "creds.h"
#include "pages.h"
#include "scene.h"

#define COUNT		16
/* What no kernel writes: an entry that still holds it was not written. */
#define UNWRITTEN	-12345

FIXTURE(whose)
{
	struct commons commons;
};

FIXTURE_VARIANT(whose)
{
	struct role target;
	struct role caller;
	enum reach reach;	/* NOTHING: EPERM */
};

FIXTURE_VARIANT_ADD(whose, same_user)
{
	.target = { .user = USER_A },
	.caller = { .user = USER_A },
	.reach = OWN,
};

FIXTURE_VARIANT_ADD(whose, other_user)
{
	.target = { .user = USER_A },
	.caller = { .user = USER_B },
	.reach = NOTHING,
};

FIXTURE_VARIANT_ADD(whose, of_root)
{
	.target = { .user = 0 },
	.caller = { .user = USER_A },
	.reach = NOTHING,
};

/* Root is no name to be let in by. */
FIXTURE_VARIANT_ADD(whose, root_without_capabilities)
{
	.target = { .user = USER_A },
	.caller = { .user = 0 },
	.reach = NOTHING,
};

FIXTURE_VARIANT_ADD(whose, root)
{
	.target = { .user = USER_A },
	.caller = { .user = 0, .caps = CAP(SYS_PTRACE) | CAP(SYS_NICE) },
	.reach = ALL_OF_IT,
};

FIXTURE_VARIANT_ADD(whose, ptrace)
{
	.target = { .user = USER_A },
	.caller = { .user = USER_B, .caps = CAP(SYS_PTRACE) },
	.reach = OWN,
};

FIXTURE_VARIANT_ADD(whose, nice_is_no_key)
{
	.target = { .user = USER_A },
	.caller = { .user = USER_B, .caps = CAP(SYS_NICE) },
	.reach = NOTHING,
};

FIXTURE_VARIANT_ADD(whose, same_user_with_nice)
{
	.target = { .user = USER_A },
	.caller = { .user = USER_A, .caps = CAP(SYS_NICE) },
	.reach = ALL_OF_IT,
};

FIXTURE_VARIANT_ADD(whose, hidden_from_its_user)
{
	.target = { .user = USER_A, .hidden = true },
	.caller = { .user = USER_A, .caps = CAP(SYS_NICE) },
	.reach = NOTHING,
};

FIXTURE_VARIANT_ADD(whose, hidden_from_ptrace)
{
	.target = { .user = USER_A, .hidden = true },
	.caller = { .user = USER_B, .caps = CAP(SYS_PTRACE) },
	.reach = OWN,
};

FIXTURE_VARIANT_ADD(whose, more_capable_target)
{
	.target = { .user = USER_A, .caps = CAP(CHOWN) },
	.caller = { .user = USER_A },
	.reach = NOTHING,
};

FIXTURE_VARIANT_ADD(whose, as_capable_target)
{
	.target = { .user = USER_A, .caps = CAP(CHOWN) },
	.caller = { .user = USER_A, .caps = CAP(CHOWN) },
	.reach = OWN,
};

/* The target, with pages of its own and some in common with the test. */
FIXTURE_SETUP(whose)
{
	FIND_TWO_NODES(&self->commons, return);
	ASSERT_CLEAN(commons_start(&self->commons, COUNT, &variant->target));
}

/* Mappings and peers end with the test's process. */
FIXTURE_TEARDOWN(whose)
{
}

/* In the caller, with all its memory where it is in the test. */
static long migrate(const void *commons)
{
	const struct commons *c = commons;

	return numa_migrate_pages(c->subject.pages.pid, NODE(c->a),
				  NODE(c->b));
}

/* The arguments and the answer of move_pages(2), shared with the caller. */
struct request {
	int flags;
	void *addrs[2 * COUNT];
	int nodes[2 * COUNT];
	int status[2 * COUNT];
};

static struct request *request;

static long move(const void *commons)
{
	const struct commons *c = commons;

	return numa_move_pages(c->subject.pages.pid, 2 * COUNT,
			       request->addrs, request->nodes, request->status,
			       request->flags);
}

static long query(const void *commons)
{
	const struct commons *c = commons;

	return numa_move_pages(c->subject.pages.pid, 2 * COUNT,
			       request->addrs, NULL, request->status, 0);
}

static int make_request(const struct commons *c)
{
	int i;

	request = mmap(NULL, sizeof(*request), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (request == MAP_FAILED)
		return -1;
	for (i = 0; i < 2 * COUNT; i++) {
		request->addrs[i] = i % 2 ? pages_at(&c->common, i / 2) :
					    pages_at(&c->subject.pages,
						     i / 2);
		request->nodes[i] = c->b;
		request->status[i] = UNWRITTEN;
	}
	return 0;
}

/* The statuses to be: @own for pages of its own, @common for the others. */
static const char *statuses(int own, int common)
{
	int i, want[2 * COUNT];

	for (i = 0; i < 2 * COUNT; i++)
		want[i] = i % 2 ? common : own;
	return placement_statuses(want, 2 * COUNT);
}

#define UNTOLD() \
	statuses(UNWRITTEN, UNWRITTEN)

#define STATUSES() \
	placement_statuses(request->status, 2 * COUNT)

TEST_F(whose, migrate_pages)
{
	const bool own = variant->reach != NOTHING;
	const bool common = variant->reach == ALL_OF_IT;
	const struct role *caller = &variant->caller;
	struct commons *c = &self->commons;

	EXPECT_EQ(own ? 0 : -EPERM,
		  creds_ask(caller->user, caller->caps, migrate, c));
	EXPECT_CLEAN(commons_verify(c, own ? c->b : c->a, common ? c->b : c->a,
				    "migrate_pages by the caller"));
	if (!own)
		EXPECT_EQ(0, subject_moved());
	if (common)
		EXPECT_EQ(0, subject_is_on(NODE(c->a)));
	EXPECT_EQ(0, holder_end(&c->subject.holder));
}

/* Have move_pages(2) called; "" if it said what it should, else what not. */
static const char *check_move(const struct commons *c,
			      const struct role *caller, int flags, bool may,
			      const char *statuses)
{
	static struct problems problems;
	long result;
	int i;

	problems_clear(&problems);
	for (i = 0; i < 2 * COUNT; i++)
		request->status[i] = UNWRITTEN;
	request->flags = flags;
	result = creds_ask(caller->user, caller->caps, flags ? move : query, c);
	if (result != (may ? 0 : -EPERM))
		problems_add(&problems, "it returned %ld", result);
	if (strcmp(statuses, STATUSES()))
		problems_add(&problems, "statuses: %s", STATUSES());
	return problems_text(&problems);
}

/*
 * To see where pages are needs the same access as to move them. MOVE_ALL is
 * refused without CAP_SYS_NICE, whoever's the target is.
 */
TEST_F(whose, move_pages)
{
	const bool may = variant->reach != NOTHING;
	const bool may_all = variant->reach == ALL_OF_IT;
	struct commons *c = &self->commons;
	const int own = may ? c->b : c->a;

	ASSERT_EQ(0, make_request(c));
	EXPECT_CLEAN(check_move(c, &variant->caller, 0, may,
				may ? statuses(c->a, c->a)  : UNTOLD()));
	EXPECT_CLEAN(commons_verify(c, c->a, c->a, "query by the caller"));
	EXPECT_EQ(0, subject_moved());

	EXPECT_CLEAN(check_move(c, &variant->caller, MPOL_MF_MOVE, may,
				may ? statuses(c->b, -EACCES)  : UNTOLD()));
	EXPECT_CLEAN(commons_verify(c, own, c->a, "MOVE by the caller"));
	EXPECT_EQ(may ? COUNT : 0, subject_moved());

	ASSERT_CLEAN(subject_look(&c->subject));
	EXPECT_CLEAN(check_move(c, &variant->caller, MPOL_MF_MOVE_ALL, may_all,
				may_all ? statuses(c->b, c->b)  : UNTOLD()));
	EXPECT_CLEAN(commons_verify(c, own, may_all ? c->b : c->a,
				    "MOVE_ALL by the caller"));
	EXPECT_EQ(may_all ? COUNT : 0, subject_moved());
	EXPECT_EQ(0, holder_end(&c->subject.holder));
}

TEST_HARNESS_MAIN
