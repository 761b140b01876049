// SPDX-License-Identifier: GPL-2.0-only
/*
 * tmpfs and its mount option mpol= (mpol_parse_str() in mm/mempolicy.c,
 * mpol_shared_policy_init()): the policy that each new file of the mount
 * starts with. A file keeps the one it was made with when the mount gets
 * another; mbind(2) on a mapping comes before both.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR, TMPFS]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   scope: file
 *   cases:
 *     tmpfs_mpol.none_of_its_nodes_allowed: {kconfig: [CPUSETS]}
 *   contract: {12: ["tmpfs_mpol.*"], 17: [tmpfs_mpol.none_of_its_nodes_allowed]}
 *   promises: {shared-mapping-policy: ["tmpfs_mpol.*"]}
 */
#include "harness.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "cpuset.h"
#include "kernel.h"
#include "nodes.h"
#include "placement.h"
#include "policy.h"
#include "proc.h"

#define COUNT		12
#define BYTES		(COUNT * PAGE_BYTES)
#define DIR		"/tmp/tmpfs-mpol"

FIXTURE(tmpfs_mpol)
{
	struct placed t;
	struct cpuset_root cpusets;
	char a[8];		/* the nodes, as text */
	char b[8];
};

/* In a mount namespace of its own; the thread runs on a. */
FIXTURE_SETUP(tmpfs_mpol)
{
	struct placed *t = &self->t;

	ASSERT_CLEAN(placed_start(t, COUNT, 0, MAP_SHARED));
	ASSERT_TRUE(mkdir(DIR, 0700) == 0 || errno == EEXIST);
	ASSERT_EQ(0, unshare(CLONE_NEWNS));
	ASSERT_EQ(0, mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
	ASSERT_EQ(0, nodes_run_on(t->a));
	snprintf(self->a, sizeof(self->a), "%d", t->a);
	snprintf(self->b, sizeof(self->b), "%d", t->b);
}

/* The mounts go with the namespace; their place is everyone's. */
FIXTURE_TEARDOWN_PARENT(tmpfs_mpol)
{
	rmdir(DIR);
	EXPECT_EQ(0, cpuset_end(&self->cpusets));
}

/* Mount with mpol=@policy, or remount with it. 0 or -errno. */
static long mount_with(const char *policy, unsigned long flags)
{
	char options[128];

	snprintf(options, sizeof(options), "mpol=%s", policy);
	return kernel_result(mount("tmpfs", DIR, "tmpfs", flags, options));
}

/* The policy in the options of the latest mount, or "" if none is there. */
static const char *mounted_with(void)
{
	static char text[8192];
	char *at, *last = NULL;

	if (proc_read("/proc/self/mounts", text, sizeof(text)) < 0)
		return "unreadable";
	for (at = text; (at = strstr(at, " " DIR " tmpfs ")); at++)
		last = at;
	if (!last)
		return "not mounted";
	last[strcspn(last, "\n")] = '\0';
	at = strstr(last, ",mpol=");
	if (!at)
		return "";
	at += strlen(",mpol=");
	/* Up to the dump and pass numbers at the end of the line. */
	at[strcspn(at, " ")] = '\0';
	return at;
}

/* A file mapped in place of the pages, half of it written. Its inode or -1. */
static long map_file(struct pages *p, const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct stat stat;
	char page[4096];
	int i;

	if (fd < 0 || ftruncate(fd, BYTES) || fstat(fd, &stat))
		return -1;
	memset(page, 1, sizeof(page));
	for (i = 0; i < COUNT; i += 2)
		if (pwrite(fd, page, PAGE_BYTES, i * PAGE_BYTES) !=
		    (ssize_t)PAGE_BYTES)
			return -1;
	if (mmap(p->addr, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		 fd, 0) != p->addr)
		return -1;
	close(fd);
	policy_fault(p, 0, COUNT);
	pages_want_all(p, UNTOUCHED);
	return stat.st_ino;
}

#define NEW_FILE()							\
	({								\
		long _inode = map_file(&self->t.pages, DIR "/file");	\
									\
		ASSERT_LE(0, _inode);					\
		_inode;							\
	})

/* The pages of a new file of a mount with @policy are all on @node. */
#define EXPECT_FILE_ON(policy, shown, node) do {			\
	TH_LOG("mpol=%s", policy);					\
	ASSERT_EQ(0, mount_with(policy, 0));				\
	EXPECT_STREQ(shown, mounted_with());				\
	NEW_FILE();							\
	pages_want_all(&self->t.pages, node);				\
	EXPECT_CLEAN(pages_snapshot(&self->t.pages));			\
	EXPECT_CLEAN(pages_verify(&self->t.pages, policy));		\
	ASSERT_EQ(0, umount2(DIR, MNT_DETACH));				\
} while (0)

TEST_F(tmpfs_mpol, none)
{
	struct placed *t = &self->t;

	ASSERT_EQ(0, kernel_result(mount("tmpfs", DIR, "tmpfs", 0, NULL)));
	EXPECT_STREQ("", mounted_with());
	NEW_FILE();
	pages_want_all(&t->pages, t->a);
	EXPECT_CLEAN(pages_snapshot(&t->pages));
	EXPECT_CLEAN(policy_check(&t->pages, 0, MPOL_DEFAULT, 0));
	ASSERT_EQ(0, umount2(DIR, MNT_DETACH));

	/* Then it is the task's that counts; "default" is as good as nothing. */
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(t->b)));
	EXPECT_FILE_ON("default", "", t->b);
}

TEST_F(tmpfs_mpol, one_node)
{
	struct placed *t = &self->t;
	char bind[32], fixed[32], prefer[32], relative[32], shown[32];

	snprintf(bind, sizeof(bind), "bind:%s", self->b);
	snprintf(fixed, sizeof(fixed), "bind=static:%s", self->b);
	snprintf(prefer, sizeof(prefer), "prefer:%s", self->b);
	EXPECT_FILE_ON(bind, bind, t->b);
	EXPECT_FILE_ON(fixed, fixed, t->b);
	EXPECT_FILE_ON(prefer, prefer, t->b);
	/* The second of the nodes that there are; shown as it was given. */
	snprintf(relative, sizeof(relative), "bind=relative:1");
	snprintf(shown, sizeof(shown), "bind=relative:1");
	if (t->b == 1)
		EXPECT_FILE_ON(relative, shown, t->b);
	/* Before the task's. */
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(t->a)));
	EXPECT_FILE_ON(bind, bind, t->b);
}

TEST_F(tmpfs_mpol, local)
{
	struct placed *t = &self->t;

	ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(t->b)));
	EXPECT_FILE_ON("local", "local", t->a);
	/* Nothing to prefer is local, too. */
	EXPECT_FILE_ON("prefer", "local", t->a);
	ASSERT_EQ(0, nodes_run_on(t->b));
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(t->a)));
	EXPECT_FILE_ON("local", "local", t->b);
}

static void want_interleaved(struct pages *p, unsigned long set, long inode)
{
	long i;

	for (i = 0; i < COUNT; i++)
		pages_want(p, i, 1, policy_interleaved(set, inode + i));
}

/* Over the nodes given, over all that have memory if none is. */
TEST_F(tmpfs_mpol, interleave)
{
	unsigned long set = NODE(self->t.a) | NODE(self->t.b);
	struct pages *p = &self->t.pages;
	char option[64];

	snprintf(option, sizeof(option), "interleave:%s", nodes_text(set));
	ASSERT_EQ(0, mount_with(option, 0));
	EXPECT_STREQ(option, mounted_with());
	want_interleaved(p, set, NEW_FILE());
	EXPECT_CLEAN(pages_snapshot(p));
	EXPECT_CLEAN(policy_check(p, 0, MPOL_INTERLEAVE, set));
	ASSERT_EQ(0, umount2(DIR, MNT_DETACH));

	set = nodes_with_memory();
	snprintf(option, sizeof(option), "interleave:%s", nodes_text(set));
	ASSERT_EQ(0, mount_with("interleave", 0));
	EXPECT_STREQ(option, mounted_with());
	want_interleaved(p, set, NEW_FILE());
	EXPECT_CLEAN(pages_snapshot(p));
}

/* A new option is for new files: those that are there keep theirs. */
TEST_F(tmpfs_mpol, remount)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;
	char bind_a[32], bind_b[32];

	snprintf(bind_a, sizeof(bind_a), "bind:%s", self->a);
	snprintf(bind_b, sizeof(bind_b), "bind:%s", self->b);
	ASSERT_EQ(0, mount_with(bind_b, 0));
	NEW_FILE();
	pages_want_all(p, t->b);
	ASSERT_CLEAN(pages_snapshot(p));

	EXPECT_EQ(0, mount_with(bind_a, MS_REMOUNT));
	EXPECT_STREQ(bind_a, mounted_with());
	/* The old file, with new pages: still b. */
	ASSERT_EQ(0, truncate(DIR "/file", 0));
	NEW_FILE();
	pages_want_all(p, t->b);
	EXPECT_CLEAN(pages_snapshot(p));
	EXPECT_CLEAN(policy_check(p, 0, MPOL_BIND, NODE(t->b)));
	/* A new file of the same name. */
	ASSERT_EQ(0, unlink(DIR "/file"));
	NEW_FILE();
	pages_want_all(p, t->a);
	EXPECT_CLEAN(pages_snapshot(p));
	EXPECT_CLEAN(policy_check(p, 0, MPOL_BIND, NODE(t->a)));

	/* A remount about something else changes no policy. */
	EXPECT_EQ(0, kernel_result(mount("tmpfs", DIR, "tmpfs", MS_REMOUNT,
					 "size=8m")));
	EXPECT_STREQ(bind_a, mounted_with());
	/* Nor does one that is refused. */
	EXPECT_EQ(-EINVAL, mount_with("bind", MS_REMOUNT));
	EXPECT_STREQ(bind_a, mounted_with());
}

/* mbind(2) on the file comes before the mount's; what was there moves. */
TEST_F(tmpfs_mpol, mbind)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;
	char option[32];

	snprintf(option, sizeof(option), "bind:%s", self->b);
	ASSERT_EQ(0, mount_with(option, 0));
	NEW_FILE();
	pages_want_all(p, t->b);
	ASSERT_CLEAN(placed_look(t));
	EXPECT_EQ(0, policy_bind(p, 2, 6, MPOL_BIND, NODE(t->a),
				 MPOL_MF_MOVE | MPOL_MF_STRICT));
	pages_want(p, 2, 6, t->a);
	EXPECT_CLEAN(placed_verify(t, 0, "a part of the file moved"));
	/* On either side the file's own policy is still there. */
	EXPECT_CLEAN(policy_check(p, 0, MPOL_BIND, NODE(t->b)));
	EXPECT_CLEAN(policy_check(p, 2, MPOL_BIND, NODE(t->a)));
	EXPECT_CLEAN(policy_check(p, 8, MPOL_BIND, NODE(t->b)));
	ASSERT_EQ(0, madvise(p->addr, BYTES, MADV_REMOVE));
	policy_fault(p, 0, COUNT);
	EXPECT_CLEAN(pages_snapshot(p));
}

/*
 * Of a file whose maker may use none of the nodes nothing is left of the policy
 * (mpol_shared_policy_init()); with one of them, that one is.
 */
TEST_F(tmpfs_mpol, none_of_its_nodes_allowed)
{
	const unsigned long a = NODE(self->t.a), b = NODE(self->t.b);
	struct pages *p = &self->t.pages;
	char option[32];

	snprintf(option, sizeof(option), "bind:%s", self->b);
	ASSERT_EQ(0, mount_with(option, 0));
	ASSERT_EQ(0, cpuset_begin(&self->cpusets));
	ASSERT_EQ(0, cpuset_create("x"));
	ASSERT_EQ(0, cpuset_set_mems("x", a));
	ASSERT_EQ(0, cpuset_attach("x", getpid()));
	NEW_FILE();
	pages_want_all(p, self->t.a);
	EXPECT_CLEAN(pages_snapshot(p));
	EXPECT_CLEAN(policy_check(p, 0, MPOL_DEFAULT, 0));

	ASSERT_EQ(0, cpuset_set_mems("x", a | b));
	ASSERT_EQ(0, unlink(DIR "/file"));
	NEW_FILE();
	pages_want_all(p, self->t.b);
	EXPECT_CLEAN(pages_snapshot(p));
	EXPECT_CLEAN(policy_check(p, 0, MPOL_BIND, b));
}

TEST_F(tmpfs_mpol, refused)
{
	static const char *const bad[] = {
		"bind", "bind:", "local:0", "default:0", "prefer:0-1",
		"bind=static", "bind=fixed:0", "bind=static=relative:0",
		"bind:x", "bind:1000", "between:0", "",
		"local=static", "prefer=static",
	};
	int none = nodes_first_without_memory();
	char option[32];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		TH_LOG("mpol=%s", bad[i]);
		EXPECT_EQ(-EINVAL, mount_with(bad[i], 0));
	}
	/* Unlike mbind(2), not even beside a node that has memory. */
	ASSERT_LE(0, none);
	snprintf(option, sizeof(option), "bind:%s,%d", self->b, none);
	EXPECT_EQ(-EINVAL, mount_with(option, 0));
	EXPECT_STREQ("not mounted", mounted_with());
	EXPECT_CLEAN(placed_verify(&self->t, 0, "mounts refused"));
}

TEST_HARNESS_MAIN
