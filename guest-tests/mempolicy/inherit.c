// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whose a policy is: that of the task belongs to one thread and goes along
 * with clone, fork and exec (copy_process() in kernel/fork.c); that of a range
 * belongs to the address space, goes along with fork and ends with exec.
 * numa_maps shows a thread's own policy for what has none; its pages are seen
 * by a move_pages(2) query.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, PROC_PAGE_MONITOR]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   scope: file
 *   contract: {7: ["inherit.*"]}
 *   covers:
 *     - {cases: "inherit.*", interface: [set_mempolicy], backing:
 *        [anon-private], condition: [quiet]}
 */
#include "harness.h"

#include <pthread.h>
#include <sys/wait.h>

#include "chores.h"
#include "holder.h"
#include "nodes.h"
#include "placement.h"
#include "policy.h"
#include "proc.h"

#define COUNT		12
#define PART		(COUNT / 3)

FIXTURE(inherit)
{
	struct placed t;
};

/* COUNT untouched pages; the thread runs on a, the policies say b. */
FIXTURE_SETUP(inherit)
{
	ASSERT_CLEAN(placed_start(&self->t, COUNT, 0, MAP_PRIVATE));
	ASSERT_EQ(0, nodes_run_on(self->t.a));
}

FIXTURE_TEARDOWN(inherit)
{
}

static const char *task_policy(void)
{
	unsigned long nodes = 0;
	int mode = -1;

	if (numa_get_mempolicy(&mode, &nodes, NULL, 0))
		return "get_mempolicy failed";
	return policy_text(mode, nodes);
}

/* What numa_maps of @pid, or of a thread, shows for pages without policy. */
static const char *shown_of(pid_t pid, const struct pages *p)
{
	static char text[64];

	return placement_policy(pid, p->addr, text, sizeof(text));
}

/* In the child or thread: fault a third of the pages. */

static void fault_part(struct pages *p, int part, int node)
{
	policy_fault(p, part * PART, PART);
	pages_want(p, part * PART, PART, node);
}

static long fault_first(struct pages *p)
{
	policy_fault(p, 0, PART);
	return 0;
}

static long drop_and_fault_second(struct pages *p)
{
	long error = numa_set_mempolicy(MPOL_DEFAULT, 0);

	policy_fault(p, PART, PART);
	return error;
}

/* A child starts with the parent's policy, and from then on has its own. */
TEST_F(inherit, fork)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;
	struct holder holder;

	ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(t->b)));
	ASSERT_EQ(0, holder_start(&holder, p, chore_nothing));
	p->pid = holder.peer.pid;
	EXPECT_STREQ(policy_text(MPOL_BIND, NODE(t->b)), shown_of(p->pid, p));
	EXPECT_EQ(0, holder_call(&holder, fault_first));
	EXPECT_EQ(0, holder_call(&holder, drop_and_fault_second));
	EXPECT_STREQ("default", shown_of(p->pid, p));
	pages_want(p, 0, PART, t->b);
	pages_want(p, PART, PART, t->a);
	EXPECT_CLEAN(pages_verify(p, "the child's pages"));
	/* What it dropped is its own affair. */
	EXPECT_STREQ(policy_text(MPOL_BIND, NODE(t->b)), task_policy());
	EXPECT_EQ(0, holder_end(&holder));

	p->pid = 0;
	pages_want_all(p, UNTOUCHED);
	fault_part(p, 2, t->b);
	ASSERT_CLEAN(pages_snapshot(p));
}

/* The policy of a range, too; dropped by the child it stays the parent's. */
static long drop_range(struct pages *p)
{
	return policy_bind(p, 0, p->count, MPOL_DEFAULT, 0, 0);
}

TEST_F(inherit, fork_and_ranges)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;
	struct holder holder;

	ASSERT_EQ(0, policy_bind(p, 0, COUNT, MPOL_BIND, NODE(t->b), 0));
	ASSERT_EQ(0, holder_start(&holder, p, chore_nothing));
	p->pid = holder.peer.pid;
	EXPECT_CLEAN(policy_check(p, 0, MPOL_BIND, NODE(t->b)));
	EXPECT_EQ(0, holder_call(&holder, fault_first));
	EXPECT_EQ(0, holder_call(&holder, drop_range));
	EXPECT_CLEAN(policy_check(p, 0, MPOL_DEFAULT, 0));
	EXPECT_EQ(0, holder_call(&holder, drop_and_fault_second));
	pages_want(p, 0, PART, t->b);
	pages_want(p, PART, PART, t->a);
	EXPECT_CLEAN(pages_verify(p, "the child's pages"));
	EXPECT_EQ(0, holder_end(&holder));

	p->pid = 0;
	EXPECT_CLEAN(policy_check(p, 0, MPOL_BIND, NODE(t->b)));
	pages_want_all(p, UNTOUCHED);
	fault_part(p, 2, t->b);
	ASSERT_CLEAN(pages_snapshot(p));
}

#define LINES	16384

/* Run cat on its own numa_maps. The length of what it wrote, or -1. */
static long numa_maps_after_exec(char *text)
{
	size_t len = 0;
	ssize_t got;
	int fds[2], status;
	pid_t pid;

	if (pipe(fds))
		return -1;
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		execlp("cat", "cat", "/proc/self/numa_maps", NULL);
		_exit(127);
	}
	close(fds[1]);
	while ((got = read(fds[0], text + len, LINES - 1 - len)) > 0)
		len += got;
	close(fds[0]);
	text[len] = '\0';
	if (waitpid(pid, &status, 0) != pid || status)
		return -1;
	return len;
}

/* Anonymous pages of all lines, by node; lines whose policy is not @want. */
static int tell_lines(char *text, const char *want, struct placement *seen)
{
	char *line, *save, *word, *word_save;
	int node, pages, others = 0;

	memset(seen, 0, sizeof(*seen));
	for (line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		bool file = strstr(line, "file=");

		strtok_r(line, " ", &word_save);
		word = strtok_r(NULL, " ", &word_save);
		if (!word || strcmp(word, want))
			others++;
		while (!file && (word = strtok_r(NULL, " ", &word_save)))
			if (sscanf(word, "N%d=%d", &node, &pages) == 2)
				seen->on[node] += pages;
	}
	return others;
}

/*
 * Another program: the task's policy is there from its first page on, that of
 * a range went with the old address space. The stack's pages below the
 * arguments, the heap and so on are new ones.
 */
TEST_F(inherit, exec)
{
	struct placed *t = &self->t;
	struct placement seen;
	char text[LINES];
	int node;

	ASSERT_EQ(0, policy_bind(&t->pages, 0, COUNT, MPOL_INTERLEAVE,
				 NODE(t->a), 0));
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(t->b)));
	ASSERT_LT(0, numa_maps_after_exec(text));
	EXPECT_EQ(NULL, strstr(text, "interleave"));
	EXPECT_EQ(0, tell_lines(text, policy_text(MPOL_BIND, NODE(t->b)),
				&seen));
	EXPECT_LT(0, seen.on[t->b]);
	for (node = 0; node < MAX_NODES; node++)
		EXPECT_TRUE(node == t->b || seen.on[node] == 0);

	/* Without one all is as ever. */
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_DEFAULT, 0));
	ASSERT_LT(0, numa_maps_after_exec(text));
	EXPECT_EQ(0, tell_lines(text, "default", &seen));
	EXPECT_EQ(0, seen.on[t->b]);
	EXPECT_LT(0, seen.on[t->a]);
}

struct thread {
	struct placed *t;
	char started_with[64];
	char ended_with[64];
	char shown[64];		/* of the thread, while its own was set */
	char shown_main[64];	/* of the main thread meanwhile */
};

static void note(char *to, const char *text)
{
	snprintf(to, sizeof(((struct thread *)0)->shown), "%s", text);
}

static void *run_thread(void *arg)
{
	struct thread *thread = arg;
	struct placed *t = thread->t;

	note(thread->started_with, task_policy());
	fault_part(&t->pages, 0, t->b);
	if (numa_set_mempolicy(MPOL_PREFERRED, NODE(t->a)))
		return NULL;
	note(thread->ended_with, task_policy());
	note(thread->shown, shown_of(gettid(), &t->pages));
	note(thread->shown_main, shown_of(getpid(), &t->pages));
	fault_part(&t->pages, 1, t->a);
	return thread;
}

/* A thread starts with its creator's, and changes nobody's but its own. */
TEST_F(inherit, thread)
{
	struct thread thread = { .t = &self->t };
	struct placed *t = &self->t;
	pthread_t id;
	void *result;

	ASSERT_EQ(0, numa_set_mempolicy(MPOL_BIND, NODE(t->b)));
	ASSERT_EQ(0, pthread_create(&id, NULL, run_thread, &thread));
	ASSERT_EQ(0, pthread_join(id, &result));
	ASSERT_EQ(&thread, result);
	EXPECT_STREQ(policy_text(MPOL_BIND, NODE(t->b)), thread.started_with);
	EXPECT_STREQ(policy_text(MPOL_PREFERRED, NODE(t->a)),
		     thread.ended_with);
	EXPECT_STREQ(policy_text(MPOL_PREFERRED, NODE(t->a)), thread.shown);
	EXPECT_STREQ(policy_text(MPOL_BIND, NODE(t->b)), thread.shown_main);

	EXPECT_STREQ(policy_text(MPOL_BIND, NODE(t->b)), task_policy());
	fault_part(&t->pages, 2, t->b);
	EXPECT_CLEAN(pages_snapshot(&t->pages));
}

static void *bind_in_thread(void *arg)
{
	struct placed *t = arg;

	/* Its own policy would say a. */
	if (numa_set_mempolicy(MPOL_BIND, NODE(t->a)) ||
	    policy_bind(&t->pages, 0, COUNT, MPOL_BIND, NODE(t->b), 0))
		return NULL;
	fault_part(&t->pages, 0, t->b);
	return t;
}

/* The policy of a range is every thread's. */
TEST_F(inherit, thread_and_ranges)
{
	struct placed *t = &self->t;
	pthread_t id;
	void *result;

	ASSERT_EQ(0, pthread_create(&id, NULL, bind_in_thread, t));
	ASSERT_EQ(0, pthread_join(id, &result));
	ASSERT_EQ(t, result);
	EXPECT_CLEAN(policy_check(&t->pages, 0, MPOL_BIND, NODE(t->b)));
	EXPECT_STREQ("default", task_policy());
	fault_part(&t->pages, 1, t->b);
	fault_part(&t->pages, 2, t->b);
	EXPECT_CLEAN(pages_snapshot(&t->pages));
}

/* The range's before the task's before none; each falls back to the next. */
TEST_F(inherit, precedence)
{
	struct placed *t = &self->t;
	struct pages *p = &t->pages;

	fault_part(p, 0, t->a);
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_PREFERRED, NODE(t->b)));
	fault_part(p, 1, t->b);
	ASSERT_EQ(0, policy_bind(p, 0, COUNT, MPOL_BIND, NODE(t->a), 0));
	fault_part(p, 2, t->a);
	ASSERT_CLEAN(pages_snapshot(p));
	/* MPOL_LOCAL of a range is a policy, MPOL_DEFAULT is none. */
	ASSERT_EQ(0, madvise(p->addr, COUNT * PAGE_BYTES, MADV_DONTNEED));
	ASSERT_EQ(0, policy_bind(p, 0, COUNT, MPOL_LOCAL, 0, 0));
	fault_part(p, 0, t->a);
	ASSERT_EQ(0, policy_bind(p, 0, COUNT, MPOL_DEFAULT, 0, 0));
	fault_part(p, 1, t->b);
	ASSERT_EQ(0, numa_set_mempolicy(MPOL_DEFAULT, 0));
	fault_part(p, 2, t->a);
	ASSERT_CLEAN(pages_snapshot(p));
}

TEST_HARNESS_MAIN
