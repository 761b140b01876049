// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cpusets that change, or are changed, while the process does not stand still:
 * two writers verify what they wrote, or forks follow each other, whose children
 * verify what they inherit, and are members of the group too. No write fails for
 * it, and a page is on the one node or on the other; once the load has ended,
 * one more change takes all that the process has, exactly counted.
 *
 * testbed:
 *   nodes: 2
 *   kconfig: [NUMA, MIGRATION, CPUSETS, PROC_PAGE_MONITOR, MULTIUSER]
 *   features: []
 *   timeout_s: 60   # over the harness's own 30 s, so that its message is first
 *   cases:
 *     "cpuset_under_load.v1*.*": {kconfig: [CPUSETS_V1 since 6.12]}
 *   contract:
 *     13: ["cpuset_under_load.*.writers"]
 *     14: ["cpuset_under_load.*.forks"]
 *     17: ["cpuset_under_load.*"]
 *   promises: {cpuset-takes-pages: ["cpuset_under_load.*"]}
 *   covers:
 *     - {cases: "cpuset_under_load.v1_mems.*", interface: cpuset-v1-mems,
 *        backing: anon-private, condition: [writer, fork-storm]}
 *     - {cases: "cpuset_under_load.v1_attach.*", interface: cpuset-v1-attach,
 *        backing: anon-private, condition: [writer, fork-storm]}
 *     - {cases: "cpuset_under_load.v2_mems.*", interface: cpuset-v2-mems,
 *        backing: anon-private, condition: [writer, fork-storm]}
 *     - {cases: "cpuset_under_load.v2_attach.*", interface: cpuset-v2-attach,
 *        backing: anon-private, condition: [writer, fork-storm]}
 */
#include "harness.h"

#include "cpuset_scene.h"
#include "creds.h"
#include "load.h"

#define COUNT		32
#define ROUNDS		10

FIXTURE(cpuset_under_load)
{
	int round;
	long moved;
	struct load load;
	struct cpuset_scene scene;
};

FIXTURE_VARIANT(cpuset_under_load)
{
	enum cpuset_kind kind;
	bool attach;	/* to "y" and back, whose mems are b; else "x" changes */
};

FIXTURE_VARIANT_ADD(cpuset_under_load, v1_mems)
{
	.kind = CPUSET_V1,
};

FIXTURE_VARIANT_ADD(cpuset_under_load, v1_attach)
{
	.kind = CPUSET_V1,
	.attach = true,
};

FIXTURE_VARIANT_ADD(cpuset_under_load, v2_mems)
{
	.kind = CPUSET_V2,
};

FIXTURE_VARIANT_ADD(cpuset_under_load, v2_attach)
{
	.kind = CPUSET_V2,
	.attach = true,
};

FIXTURE_SETUP(cpuset_under_load)
{
	if (cpuset_scene_nodes(&self->scene) < 2)
		SKIP(return, "needs 2 nodes with memory");
	ASSERT_CLEAN(cpuset_scene_begin(&self->scene, variant->kind, COUNT));
}

/* In the parent, so that it is done however the test ended. */
FIXTURE_TEARDOWN_PARENT(cpuset_under_load)
{
	EXPECT_EQ(0, cpuset_scene_end(&self->scene));
}

/* The child under load, with its pages on a, in "x". */
static const char *begin(struct cpuset_scene *scene, struct load *load,
			 enum load_kind kind)
{
	if (cpuset_set_mems("x", NODE(scene->node[0])) ||
	    cpuset_set_mems("y", NODE(scene->node[1])))
		return "cannot set mems";
	pages_want_all(&scene->subject.pages, scene->node[0]);
	load->pages = scene->subject.pages;
	if (load_begin(load, kind, USER_A))
		return "cannot start the load";
	scene->subject.pages = load->pages;
	scene->subject.holder = load->holder;
	return cpuset_attach("x", load->pages.pid) ? "cannot attach" : "";
}

/* Round 0 sends it to b, round 1 back to a. */
static int target(const struct cpuset_scene *scene, int round)
{
	return scene->node[(round + 1) % 2];
}

static const char *group(int round)
{
	return round % 2 ? "x" : "y";
}

/*
 * Want each page where it is now, which is to be @node or the other of the two.
 * How many are on @node; -1 if one is on neither.
 */
static long want_as_found(const struct cpuset_scene *scene, struct pages *p,
			  int node)
{
	int status[COUNT];
	long i, count = 0;

	if (placement_query(p->pid, p->addr, COUNT, status))
		return -1;
	for (i = 0; i < COUNT; i++) {
		pages_want(p, i, 1, status[i]);
		count += status[i] == node;
		if (status[i] != scene->node[0] && status[i] != scene->node[1])
			return -1;
	}
	return count;
}

/* The rounds, while there is load. */
#define UNDER(kind) do {						\
	struct pages *_p = &self->scene.subject.pages;			\
	long _on;							\
	int _to;							\
									\
	ASSERT_CLEAN(begin(&self->scene, &self->load, kind));		\
	for (; self->round < ROUNDS; self->round++) {			\
		ASSERT_EQ(0, load_await(&self->load));			\
		_to = target(&self->scene, self->round);		\
		EXPECT_EQ(0, variant->attach ?				\
				     cpuset_attach(group(self->round),	\
						   _p->pid) :		\
				     cpuset_set_mems("x", NODE(_to)));	\
		_on = want_as_found(&self->scene, _p, _to);		\
		EXPECT_LE(0, _on);					\
		self->moved += _on;					\
	}								\
	ASSERT_EQ(0, load_await(&self->load));				\
	EXPECT_CLEAN(load_end(&self->load));				\
	TH_LOG("%ld of %d pages went with a change", self->moved,	\
	       COUNT * ROUNDS);						\
} while (0)

/* The child alone is in @name, or nobody is: its forks were where it was. */
static const char *members(const char *name, pid_t pid)
{
	static char wrong[128];
	char want[16] = "", text[64] = "";

	if (pid)
		snprintf(want, sizeof(want), "%d", pid);
	if (cpuset_read(name, "cgroup.procs", text, sizeof(text)) < 0)
		return "cannot read cgroup.procs";
	if (!strcmp(want, text))
		return "";
	snprintf(wrong, sizeof(wrong), "in %s are \"%s\", not \"%s\"", name,
		 text, want);
	return wrong;
}

/*
 * All the child has to a: text that it ran under load lies wherever the page
 * cache had it, and an attach takes what is on the old group's nodes alone.
 */
static int gather(struct cpuset_scene *scene)
{
	pages_want_all(&scene->subject.pages, scene->node[0]);
	return cpuset_set_mems("x", scene->all) ? :
	       cpuset_set_mems("x", NODE(scene->node[0]));
}

/* With nobody else about it is all as it should be, exactly. */
#define THEN_QUIET() do {						\
	struct pages *_p = &self->scene.subject.pages;			\
	const pid_t _pid = _p->pid;					\
	const int _to = target(&self->scene, ROUNDS);			\
									\
	EXPECT_CLEAN(members("x", _pid));				\
	EXPECT_CLEAN(members("y", 0));					\
	ASSERT_LE(0, want_as_found(&self->scene, _p, _to));		\
	if (variant->attach) {						\
		ASSERT_EQ(0, gather(&self->scene));			\
		ASSERT_CLEAN(subject_look(&self->scene.subject));	\
		EXPECT_EQ(0, cpuset_attach("y", _pid));			\
	} else {							\
		ASSERT_CLEAN(subject_look(&self->scene.subject));	\
		EXPECT_EQ(0, cpuset_set_mems("x", self->scene.all));	\
		EXPECT_EQ(0, cpuset_set_mems("x", NODE(_to)));		\
	}								\
	pages_want_all(_p, _to);					\
	EXPECT_CLEAN(cpuset_scene_verify(&self->scene, NODE(_to),	\
					 "once the load has ended"));	\
	EXPECT_LT(0, subject_moved());					\
	EXPECT_CLEAN(load_content(&self->load));			\
	EXPECT_EQ(0, holder_end(&self->load.holder));			\
} while (0)

TEST_F(cpuset_under_load, writers)
{
	UNDER(LOAD_WRITERS);
	EXPECT_LE(COUNT * ROUNDS / 2, self->moved);
	THEN_QUIET();
}

TEST_F(cpuset_under_load, forks)
{
	UNDER(LOAD_FORKS);
	EXPECT_LT(0, self->moved);
	THEN_QUIET();
}

TEST_HARNESS_MAIN
