// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mode: what page_mobility= asks for is what vm.page_mobility says and what
 * the kernel's log says, a value that is no mode is refused and told, and the
 * file can only be read. What the mode does is for the other files here.
 *
 * testbed:
 *   kconfig: [PROC_SYSCTL, PRINTK]
 *   features: [page-mobility]
 *   timeout_s: 30
 *   quick: ["*"]
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mobility.h"
#include "proc.h"

#define SYSCTL		"/proc/sys/vm/page_mobility"

/* "Built N zonelists, mobility grouping full.  Total pages: M" */
#define GROUPING	"mobility grouping "
#define MALFORMED	"Malformed early option 'page_mobility'"

/* Go through the kernel's log since boot: each read is one record. */
static int open_log(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		lseek(fd, 0, SEEK_DATA);
	return fd;
}

static bool next_record(int fd, char *record, size_t bytes)
{
	ssize_t len;

	do {
		len = read(fd, record, bytes - 1);
	} while (len < 0 && errno == EPIPE);	/* it was overwritten */
	if (len <= 0)
		return false;
	record[len] = '\0';
	return true;
}

static int count_in_log(const char *text)
{
	char record[8192];
	int count = 0, fd = open_log();

	while (fd >= 0 && next_record(fd, record, sizeof(record)))
		count += !!strstr(record, text);
	close(fd);
	return count;
}

/* The first mode that the log tells, which is that of the boot. */
static const char *mode_in_log(void)
{
	static char name[16];
	char record[8192], *found;
	int fd = open_log();

	name[0] = '\0';
	while (fd >= 0 && !name[0] && next_record(fd, record, sizeof(record))) {
		found = strstr(record, GROUPING);
		if (found)
			sscanf(found + strlen(GROUPING), "%15[a-z]", name);
	}
	close(fd);
	return name;
}

TEST(is_what_was_asked_for)
{
	enum mobility asked;
	char text[32];
	int bad;

	asked = mobility_asked(&bad);
	ASSERT_LT(0, proc_read(SYSCTL, text, sizeof(text)));
	EXPECT_EQ('\n', text[strlen(text) - 1]);
	text[strlen(text) - 1] = '\0';
	EXPECT_STREQ(mobility_names[asked], text);
	EXPECT_STREQ(mobility_names[asked], mode_in_log());
}

/* One line for each, and none for those that are taken. */
TEST(no_mode_is_refused)
{
	int bad;

	mobility_asked(&bad);
	EXPECT_EQ(bad, count_in_log(MALFORMED));
}

/* As root: proc_sys_permission() looks at the mode of the file alone. */
TEST(can_only_be_read)
{
	const int now = mobility_now();
	struct stat st;

	ASSERT_EQ(0, getuid());
	ASSERT_EQ(0, stat(SYSCTL, &st));
	EXPECT_EQ(0444, st.st_mode & 07777);
	EXPECT_EQ(-EACCES, proc_write(SYSCTL, "off\n"));
	EXPECT_EQ(-1, open(SYSCTL, O_RDWR | O_CLOEXEC));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, truncate(SYSCTL, 0));
	EXPECT_EQ(-1, chmod(SYSCTL, 0644));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(now, mobility_now());
}

/* In pieces of one byte, and past its end. */
TEST(can_be_read_in_pieces)
{
	char whole[32], pieces[32] = "";
	size_t len = 0;
	int fd;

	ASSERT_LT(0, proc_read(SYSCTL, whole, sizeof(whole)));
	fd = open(SYSCTL, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	while (len < sizeof(pieces) - 1 && read(fd, pieces + len, 1) == 1)
		len++;
	EXPECT_STREQ(whole, pieces);
	EXPECT_EQ(0, pread(fd, pieces, sizeof(pieces), sizeof(whole)));
	close(fd);
}

TEST_HARNESS_MAIN
