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

#include "creds.h"
#include "pages.h"
#include "scene.h"
#include "subject.h"

#define COUNT		16
/* What no kernel writes: an entry that still holds it was not written. */
#define UNWRITTEN	-12345

enum reach {
	NOTHING,	/* EPERM */
	OWN,		/* what the target alone maps */
	ALL_OF_IT,	/* and what it has in common with others */
};

struct role {
	uid_t user;
	unsigned long caps;
	bool hidden;
};

/* What the test has at hand. */
struct scene {
	int a;
	int b;
	/* Of the target alone, and in common with the test. */
	struct subject subject;
	struct pages common;
};

FIXTURE(whose)
{
	struct scene scene;
};

FIXTURE_VARIANT(whose)
{
	struct role target;
	struct role caller;
	enum reach reach;
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

/* For the holder, which is forked and sees what was set before. */
static const struct role *target_role;

static long populate_as_target(struct pages *p)
{
	long error = pages_populate(p);

	return error ? : creds_become(target_role->user, target_role->caps,
				      !target_role->hidden);
}

/* The target, with pages of its own and some in common with the test. */
FIXTURE_SETUP(whose)
{
	struct scene *s = &self->scene;
	struct pages *p = &s->subject.pages;

	FIND_TWO_NODES(s, return);
	target_role = &variant->target;
	ASSERT_EQ(0, pages_map(&s->common, COUNT, MAP_PRIVATE));
	pages_want_all(&s->common, s->a);
	ASSERT_EQ(0, pages_populate(&s->common));
	ASSERT_EQ(0, pages_map(p, COUNT, MAP_PRIVATE));
	pages_want_all(p, s->a);
	ASSERT_EQ(0, subject_start(&s->subject, populate_as_target));
	ASSERT_CLEAN(pages_shared_with(&s->common, p->pid));
	ASSERT_CLEAN(pages_snapshot(&s->common));
	ASSERT_CLEAN(subject_look(&s->subject));
}

/* Mappings and peers end with the test's process. */
FIXTURE_TEARDOWN(whose)
{
}

/* "" if both sorts of pages are on @own and on @common, else what is not so. */
static const char *verify(struct scene *s, int own, int common,
			  const char *what)
{
	struct pages *p = &s->subject.pages;
	const char *problem;

	pages_want_all(p, own);
	pages_want_all(&s->common, common);
	problem = subject_verify(&s->subject, 0, what);
	if (!*problem)
		problem = pages_verify(&s->common, what);
	if (!*problem)
		problem = pages_shared_with(&s->common, p->pid);
	return problem;
}

/* In the caller, with all its memory where it is in the test. */
static long migrate(struct scene *s)
{
	return numa_migrate_pages(s->subject.pages.pid, NODE(s->a),
				  NODE(s->b));
}

/* The arguments and the answer of move_pages(2), shared with the caller. */
struct request {
	int flags;
	void *addrs[2 * COUNT];
	int nodes[2 * COUNT];
	int status[2 * COUNT];
	long result;
};

static struct request *request;

static long move(struct scene *s)
{
	return numa_move_pages(s->subject.pages.pid, 2 * COUNT,
			       request->addrs, request->nodes, request->status,
			       request->flags);
}

static long query(struct scene *s)
{
	return numa_move_pages(s->subject.pages.pid, 2 * COUNT,
			       request->addrs, NULL, request->status, 0);
}

/*
 * Have @fn called by the caller of the case. Another process for it: what it
 * gives up is never to be had again. 0, what it answered in request->result.
 */
static int call(struct scene *s, const struct role *caller,
		long (*fn)(struct scene *s))
{
	struct peer peer;
	long result = 0;

	if (peer_fork(&peer) == 0) {
		if (creds_become(caller->user, caller->caps, true))
			_exit(1);
		request->result = fn(s);
		_exit(0);
	}
	/* Fails as soon as the other side is gone. */
	if (peer_receive(&peer, &result) == 0)
		return -1;
	return peer_end(&peer);
}

static int make_request(struct scene *s)
{
	int i;

	request = mmap(NULL, sizeof(*request), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (request == MAP_FAILED)
		return -1;
	for (i = 0; i < 2 * COUNT; i++) {
		request->addrs[i] = i % 2 ? pages_at(&s->common, i / 2) :
					    pages_at(&s->subject.pages,
						     i / 2);
		request->nodes[i] = s->b;
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
	struct scene *s = &self->scene;

	ASSERT_EQ(0, make_request(s));
	/* The request is memory of the test's, not of the target's. */
	ASSERT_EQ(0, call(s, &variant->caller, migrate));
	EXPECT_EQ(own ? 0 : -EPERM, request->result);
	EXPECT_CLEAN(verify(s, own ? s->b : s->a,
			    common ? s->b : s->a,
			    "migrate_pages by the caller"));
	if (!own)
		EXPECT_EQ(0, subject_moved());
	if (common)
		EXPECT_EQ(0, subject_is_on(NODE(s->a)));
	EXPECT_EQ(0, holder_end(&s->subject.holder));
}

/* Have move_pages(2) called; "" if it said what it should, else what not. */
static const char *check_move(struct scene *s, const struct role *caller,
			      int flags, bool may, const char *statuses)
{
	static struct problems problems;
	int i;

	problems_clear(&problems);
	for (i = 0; i < 2 * COUNT; i++)
		request->status[i] = UNWRITTEN;
	request->flags = flags;
	if (call(s, caller, flags ? move : query))
		problems_add(&problems, "the caller: %m");
	if (request->result != (may ? 0 : -EPERM))
		problems_add(&problems, "it returned %ld", request->result);
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
	struct scene *s = &self->scene;
	const int own = may ? s->b : s->a;

	ASSERT_EQ(0, make_request(s));
	EXPECT_CLEAN(check_move(s, &variant->caller, 0, may,
				may ? statuses(s->a, s->a)  : UNTOLD()));
	EXPECT_CLEAN(verify(s, s->a, s->a, "query by the caller"));
	EXPECT_EQ(0, subject_moved());

	EXPECT_CLEAN(check_move(s, &variant->caller, MPOL_MF_MOVE, may,
				may ? statuses(s->b, -EACCES)  : UNTOLD()));
	EXPECT_CLEAN(verify(s, own, s->a, "MOVE by the caller"));
	EXPECT_EQ(may ? COUNT : 0, subject_moved());

	ASSERT_CLEAN(subject_look(&s->subject));
	EXPECT_CLEAN(check_move(s, &variant->caller, MPOL_MF_MOVE_ALL, may_all,
				may_all ? statuses(s->b, s->b)  : UNTOLD()));
	EXPECT_CLEAN(verify(s, own, may_all ? s->b : s->a,
			    "MOVE_ALL by the caller"));
	EXPECT_EQ(may_all ? COUNT : 0, subject_moved());
	EXPECT_EQ(0, holder_end(&s->subject.holder));
}

TEST_HARNESS_MAIN
