// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/<pid>/migrate of patches/manual-migration: who may move the pages of
 * whom, and which of them. To open the file takes
 *
 *  - its mode, 0600 of the process's user, or of root's if it is hidden
 *    (pid_revalidate() in fs/proc/base.c of 6.12), and
 *  - PTRACE_MODE_READ_FSCREDS (__ptrace_may_access() in kernel/ptrace.c).
 *
 * Both say EACCES. CAP_SYS_NICE opens no file; it adds what others map, too.
 *
 * The caller is a process of its own, which gives up what the case says; the
 * test stays root and looks.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, MULTIUSER]
 *   features: [manual-migration]
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   quick:
 *     - permissions.same_user.ranges
 *     - permissions.other_user.ranges
 *     - capability.both
 */
#include "harness.h"

#include <sys/mman.h>

#include "caps.h"
#include "creds.h"
#include "migrate_file.h"
#include "pages.h"
#include "scene.h"
#include "subject.h"

#define COUNT		16

enum reach {
	NOTHING,	/* EACCES */
	OWN,		/* what the target alone maps */
	ALL_OF_IT,	/* and what it has in common with others */
};

struct role {
	uid_t user;
	unsigned long caps;
	bool hidden;
};

struct scene {
	int a;
	int b;
	/* Of the target alone, and in common with the test. */
	struct subject subject;
	struct pages common;
};

/* What the caller has to say, in memory that the test shares. */
struct answer {
	long result;
	struct migrate_told own;
	struct migrate_told common;
};

FIXTURE(permissions)
{
	struct scene scene;
	struct answer *answer;
};

FIXTURE_VARIANT(permissions)
{
	struct role target;
	struct role caller;
	enum reach reach;
};

FIXTURE_VARIANT_ADD(permissions, same_user)
{
	.target = { .user = USER_A },
	.caller = { .user = USER_A },
	.reach = OWN,
};

FIXTURE_VARIANT_ADD(permissions, same_user_with_nice)
{
	.target = { .user = USER_A },
	.caller = { .user = USER_A, .caps = CAP(SYS_NICE) },
	.reach = ALL_OF_IT,
};

FIXTURE_VARIANT_ADD(permissions, other_user)
{
	.target = { .user = USER_A },
	.caller = { .user = USER_B },
	.reach = NOTHING,
};

FIXTURE_VARIANT_ADD(permissions, nice_is_no_key)
{
	.target = { .user = USER_A },
	.caller = { .user = USER_B, .caps = CAP(SYS_NICE) },
	.reach = NOTHING,
};

/* The mode of the file is in the way still, ... */
FIXTURE_VARIANT_ADD(permissions, other_user_with_ptrace)
{
	.target = { .user = USER_A },
	.caller = { .user = USER_B, .caps = CAP(SYS_PTRACE) },
	.reach = NOTHING,
};

/* ... or the process is, ... */
FIXTURE_VARIANT_ADD(permissions, other_user_past_the_mode)
{
	.target = { .user = USER_A },
	.caller = { .user = USER_B,
		    .caps = CAP(DAC_OVERRIDE) | CAP(SYS_NICE) },
	.reach = NOTHING,
};

/* ... unless there is a key to both. */
FIXTURE_VARIANT_ADD(permissions, other_user_with_both)
{
	.target = { .user = USER_A },
	.caller = { .user = USER_B,
		    .caps = CAP(DAC_OVERRIDE) | CAP(SYS_PTRACE) },
	.reach = OWN,
};

FIXTURE_VARIANT_ADD(permissions, of_root)
{
	.target = { .user = 0 },
	.caller = { .user = USER_A },
	.reach = NOTHING,
};

FIXTURE_VARIANT_ADD(permissions, root_without_capabilities)
{
	.target = { .user = USER_A },
	.caller = { .user = 0 },
	.reach = NOTHING,
};

FIXTURE_VARIANT_ADD(permissions, root)
{
	.target = { .user = USER_A },
	.caller = { .user = 0,
		    .caps = CAP(DAC_OVERRIDE) | CAP(SYS_PTRACE) |
			    CAP(SYS_NICE) },
	.reach = ALL_OF_IT,
};

FIXTURE_VARIANT_ADD(permissions, hidden_from_its_user)
{
	.target = { .user = USER_A, .hidden = true },
	.caller = { .user = USER_A, .caps = CAP(SYS_NICE) },
	.reach = NOTHING,
};

FIXTURE_VARIANT_ADD(permissions, more_capable_target)
{
	.target = { .user = USER_A, .caps = CAP(CHOWN) },
	.caller = { .user = USER_A },
	.reach = NOTHING,
};

FIXTURE_VARIANT_ADD(permissions, as_capable_target)
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
FIXTURE_SETUP(permissions)
{
	struct scene *s = &self->scene;
	struct pages *p = &s->subject.pages;

	FIND_TWO_NODES(s, return);
	target_role = &variant->target;
	self->answer = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	ASSERT_NE(MAP_FAILED, self->answer);
	ASSERT_CLEAN(scene_pages(&s->common, COUNT, MAP_PRIVATE, s->a));
	ASSERT_EQ(0, pages_map(p, COUNT, MAP_PRIVATE));
	pages_want_all(p, s->a);
	ASSERT_EQ(0, subject_start(&s->subject, populate_as_target));
	ASSERT_CLEAN(pages_shared_with(&s->common, p->pid));
	/* They are no longer its own since the fork: pagemap says so. */
	ASSERT_CLEAN(pages_snapshot(&s->common));
	ASSERT_CLEAN(subject_look(&s->subject));
}

/* Mappings and peers end with the test's process. */
FIXTURE_TEARDOWN(permissions)
{
}

/* In the caller: what it came to with both sorts of pages. */
static long ask(const struct scene *s, struct answer *answer)
{
	const char *map = migrate_map_one(s->a, s->b);
	int fd = migrate_file_open(s->subject.pages.pid);
	long result;

	if (fd < 0)
		return fd;
	result = migrate_file_ask_range(fd, &s->subject.pages, 0, COUNT, map);
	if (!result && migrate_file_read(fd, &answer->own))
		result = -EBADMSG;
	if (!result)
		result = migrate_file_ask_range(fd, &s->common, 0, COUNT, map);
	if (!result && migrate_file_read(fd, &answer->common))
		result = -EBADMSG;
	close(fd);
	return result;
}

/* Another process for it: what it gives up is never to be had again. */
static int call(const struct scene *s, const struct role *caller,
		struct answer *answer)
{
	struct peer peer;
	long nothing = 0;

	if (peer_fork(&peer) == 0) {
		if (creds_become(caller->user, caller->caps, true))
			_exit(1);
		answer->result = ask(s, answer);
		_exit(0);
	}
	/* Fails as soon as the other side is gone. */
	if (peer_receive(&peer, &nothing) == 0)
		return -1;
	return peer_end(&peer);
}

TEST_F(permissions, ranges)
{
	const bool own = variant->reach != NOTHING;
	const bool common = variant->reach == ALL_OF_IT;
	struct answer *told = self->answer;
	struct scene *s = &self->scene;

	ASSERT_EQ(0, call(s, &variant->caller, told));
	EXPECT_EQ(own ? 0 : -EACCES, told->result);
	EXPECT_EQ(own ? COUNT : 0, told->own.moved);
	EXPECT_EQ(0, told->own.shared + told->own.failed);
	EXPECT_EQ(common ? COUNT : 0, told->common.moved);
	EXPECT_EQ(own && !common ? COUNT : 0, told->common.shared);
	EXPECT_EQ(0, told->common.failed);

	pages_want_all(&s->subject.pages, own ? s->b : s->a);
	pages_want_all(&s->common, common ? s->b : s->a);
	EXPECT_CLEAN(subject_verify(&s->subject, 0, "as the caller"));
	EXPECT_CLEAN(pages_verify(&s->common, "in common"));
	EXPECT_CLEAN(pages_shared_with(&s->common, s->subject.pages.pid));
	EXPECT_EQ((own ? COUNT : 0) + (common ? COUNT : 0), subject_moved());
	EXPECT_EQ(0, holder_end(&s->subject.holder));
}

/*
 * CAP_SYS_NICE of who opened the file, and of who writes to it: both are
 * needed for pages that others map, too.
 */
FIXTURE(capability)
{
	struct scene scene;
	int fd;
};


FIXTURE_SETUP(capability)
{
	struct scene *s = &self->scene;
	struct pages *p = &s->subject.pages;

	FIND_TWO_NODES(s, return);
	ASSERT_CLEAN(scene_pages(&s->common, COUNT, MAP_PRIVATE, s->a));
	ASSERT_EQ(0, pages_map(p, COUNT, MAP_PRIVATE));
	pages_want_all(p, s->a);
	ASSERT_EQ(0, subject_start(&s->subject, pages_populate));
	ASSERT_CLEAN(pages_shared_with(&s->common, p->pid));
	/* They are no longer its own since the fork: pagemap says so. */
	ASSERT_CLEAN(pages_snapshot(&s->common));
	ASSERT_CLEAN(subject_look(&s->subject));
}

FIXTURE_TEARDOWN(capability)
{
}

/* Open it and write to it, with the capability or not; what it told. */
static const char *open_and_write(const struct scene *s, bool opener,
				  bool writer)
{
	const char *told = "not opened";
	int fd = -1;

	if (!caps_set_sys_nice(opener))
		fd = migrate_file_open(s->subject.pages.pid);
	if (fd < 0 || caps_set_sys_nice(writer))
		return told;
	told = "not written";
	if (!migrate_file_ask_range(fd, &s->common, 0, COUNT,
				    migrate_map_one(s->a, s->b)))
		told = migrate_file_told(fd);
	close(fd);
	return caps_set_sys_nice(true) ? "not raised" : told;
}

static const char *verify_common(struct scene *s, int node, const char *what)
{
	const char *problem;

	pages_want_all(&s->common, node);
	problem = subject_verify(&s->subject, 0, what);
	return *problem ? problem : pages_verify(&s->common, what);
}

TEST_F(capability, both)
{
	struct scene *s = &self->scene;

	EXPECT_STREQ(migrate_file_text(COUNT, 0, 0),
		     open_and_write(s, true, true));
	EXPECT_CLEAN(verify_common(s, s->b, "both have it"));
	EXPECT_EQ(0, holder_end(&s->subject.holder));
}

TEST_F(capability, none)
{
	struct scene *s = &self->scene;

	EXPECT_STREQ(migrate_file_text(0, 0, COUNT),
		     open_and_write(s, false, false));
	EXPECT_CLEAN(verify_common(s, s->a, "none has it"));
	EXPECT_EQ(0, holder_end(&s->subject.holder));
}

/* A program with privilege that is made to write to a file it did not open. */
TEST_F(capability, writer_only)
{
	struct scene *s = &self->scene;

	EXPECT_STREQ(migrate_file_text(0, 0, COUNT),
		     open_and_write(s, false, true));
	EXPECT_CLEAN(verify_common(s, s->a, "the writer has it"));
	EXPECT_EQ(0, holder_end(&s->subject.holder));
}

/* One that hands a file on, or that has given up its privilege. */
TEST_F(capability, opener_only)
{
	struct scene *s = &self->scene;

	EXPECT_STREQ(migrate_file_text(0, 0, COUNT),
		     open_and_write(s, true, false));
	EXPECT_CLEAN(verify_common(s, s->a, "the opener has it"));
	EXPECT_EQ(0, holder_end(&s->subject.holder));
}

TEST_HARNESS_MAIN
