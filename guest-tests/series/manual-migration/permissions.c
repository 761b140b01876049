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
#include "commons.h"
#include "creds.h"
#include "migrate_file.h"
#include "pages.h"
#include "scene.h"

#define COUNT		16

/* What the caller is told of both sorts of pages. */
struct answer {
	struct migrate_told own;
	struct migrate_told common;
};

FIXTURE(permissions)
{
	struct commons commons;
	struct answer *answer;	/* in memory that the caller shares */
};

FIXTURE_VARIANT(permissions)
{
	struct role target;
	struct role caller;
	enum reach reach;	/* NOTHING: EACCES */
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

/* The target, with pages of its own and some in common with the test. */
FIXTURE_SETUP(permissions)
{
	FIND_TWO_NODES(&self->commons, return);
	self->answer = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	ASSERT_NE(MAP_FAILED, self->answer);
	ASSERT_CLEAN(commons_start(&self->commons, COUNT, &variant->target));
}

/* Mappings and peers end with the test's process. */
FIXTURE_TEARDOWN(permissions)
{
}

/* In the caller: what it came to with both sorts of pages. */
static long ask(const void *fixture)
{
	const FIXTURE_DATA(permissions) *f = fixture;
	const struct commons *c = &f->commons;
	const char *map = migrate_map_one(c->a, c->b);
	int fd = migrate_file_open(c->subject.pages.pid);
	long result;

	if (fd < 0)
		return fd;
	result = migrate_file_ask_range(fd, &c->subject.pages, 0, COUNT, map);
	if (!result && migrate_file_read(fd, &f->answer->own))
		result = -EBADMSG;
	if (!result)
		result = migrate_file_ask_range(fd, &c->common, 0, COUNT, map);
	if (!result && migrate_file_read(fd, &f->answer->common))
		result = -EBADMSG;
	close(fd);
	return result;
}

TEST_F(permissions, ranges)
{
	const bool own = variant->reach != NOTHING;
	const bool common = variant->reach == ALL_OF_IT;
	const struct role *caller = &variant->caller;
	struct answer *told = self->answer;
	struct commons *c = &self->commons;

	EXPECT_EQ(own ? 0 : -EACCES,
		  creds_ask(caller->user, caller->caps, ask, self));
	EXPECT_EQ(own ? COUNT : 0, told->own.moved);
	EXPECT_EQ(0, told->own.shared + told->own.failed);
	EXPECT_EQ(common ? COUNT : 0, told->common.moved);
	EXPECT_EQ(own && !common ? COUNT : 0, told->common.shared);
	EXPECT_EQ(0, told->common.failed);

	EXPECT_CLEAN(commons_verify(c, own ? c->b : c->a, common ? c->b : c->a,
				    "as the caller"));
	EXPECT_EQ((own ? COUNT : 0) + (common ? COUNT : 0), subject_moved());
	EXPECT_EQ(0, holder_end(&c->subject.holder));
}

/*
 * CAP_SYS_NICE of who opened the file, and of who writes to it: both are
 * needed for pages that others map, too.
 */
FIXTURE(capability)
{
	struct commons commons;
};

FIXTURE_SETUP(capability)
{
	FIND_TWO_NODES(&self->commons, return);
	ASSERT_CLEAN(commons_start(&self->commons, COUNT, NULL));
}

FIXTURE_TEARDOWN(capability)
{
}

/* Open it and write to it, with the capability or not; what it told. */
static const char *open_and_write(const struct commons *c, bool opener,
				  bool writer)
{
	const char *told = "not opened";
	int fd = -1;

	if (!caps_set_sys_nice(opener))
		fd = migrate_file_open(c->subject.pages.pid);
	if (fd < 0 || caps_set_sys_nice(writer))
		return told;
	told = "not written";
	if (!migrate_file_ask_range(fd, &c->common, 0, COUNT,
				    migrate_map_one(c->a, c->b)))
		told = migrate_file_told(fd);
	close(fd);
	return caps_set_sys_nice(true) ? "not raised" : told;
}

TEST_F(capability, both)
{
	struct commons *c = &self->commons;

	EXPECT_STREQ(migrate_file_text(COUNT, 0, 0),
		     open_and_write(c, true, true));
	EXPECT_CLEAN(commons_verify(c, c->a, c->b, "both have it"));
	EXPECT_EQ(0, holder_end(&c->subject.holder));
}

TEST_F(capability, none)
{
	struct commons *c = &self->commons;

	EXPECT_STREQ(migrate_file_text(0, 0, COUNT),
		     open_and_write(c, false, false));
	EXPECT_CLEAN(commons_verify(c, c->a, c->a, "none has it"));
	EXPECT_EQ(0, holder_end(&c->subject.holder));
}

/* A program with privilege that is made to write to a file it did not open. */
TEST_F(capability, writer_only)
{
	struct commons *c = &self->commons;

	EXPECT_STREQ(migrate_file_text(0, 0, COUNT),
		     open_and_write(c, false, true));
	EXPECT_CLEAN(commons_verify(c, c->a, c->a, "the writer has it"));
	EXPECT_EQ(0, holder_end(&c->subject.holder));
}

/* One that hands a file on, or that has given up its privilege. */
TEST_F(capability, opener_only)
{
	struct commons *c = &self->commons;

	EXPECT_STREQ(migrate_file_text(0, 0, COUNT),
		     open_and_write(c, true, false));
	EXPECT_CLEAN(commons_verify(c, c->a, c->a, "the opener has it"));
	EXPECT_EQ(0, holder_end(&c->subject.holder));
}

TEST_HARNESS_MAIN
