#include <sys/mman.h>
#include <sys/wait.h>
#include <signal.h>
#include "kselftest_harness.h"

TEST(passes)
{
	printf("# @metric {\"name\": \"move\", \"value\": 12.5, \"unit\": \"us/page\"}\n");
	printf("# @placement {\"what\": \"private anon after mbind(MOVE)\", \"expected\": {\"1\": 16}, \"seen\": {\"1\": 16}}\n");
	ASSERT_EQ(1, 1);
}

TEST(misplaced)
{
	printf("# @placement {\"what\": \"private anon after mbind(MOVE)\", \"expected\": {\"1\": 16}, \"seen\": {\"0\": 15, \"-1\": 1}}\n");
}

TEST(expects)
{
	int moved = 3;

	EXPECT_EQ(16, moved) {
		TH_LOG("the pages are still on node 0");
	}
	EXPECT_STREQ("node 1", "node 0");
}

TEST(asserts)
{
	void *p = MAP_FAILED;

	ASSERT_NE(MAP_FAILED, p);
}

TEST(skips)
{
	SKIP(return, "needs 3 nodes # has 2");
}

TEST(skips_after_failure)
{
	EXPECT_EQ(0, 1);
	SKIP(return, "gave up");
}

TEST(child_expects)
{
	pid_t pid = fork();

	if (pid == 0) {
		EXPECT_EQ(0, 1);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

TEST(segfaults)
{
	raise(SIGSEGV);
}

TEST(exits_early)
{
	_exit(3);
}

TEST(chatty)
{
	printf("plain output\n");
	printf("ok\n");
	printf("not a result line\n");
	fprintf(stderr, "warning: \033[1mbold\033[0m\n");
}

FIXTURE(pages) {
	int n;
};

FIXTURE_VARIANT(pages) {
	int count;
};

FIXTURE_VARIANT_ADD(pages, small) {
	.count = 1,
};

FIXTURE_VARIANT_ADD(pages, huge) {
	.count = 512,
};

FIXTURE_SETUP(pages)
{
	self->n = variant->count;
}

FIXTURE_TEARDOWN(pages)
{
}

TEST_F(pages, count)
{
	EXPECT_GT(100, self->n);
}

#ifdef XFAIL_ADD
XFAIL_ADD(pages, huge, count);
#endif

TEST_F_TIMEOUT(pages, hangs, 1)
{
	pause();
}

TEST_HARNESS_MAIN
