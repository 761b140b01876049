// SPDX-License-Identifier: GPL-2.0-only
/*
 * refresh SECONDS.NANOSECONDS HEX
 *
 * Makes a guest that was restored from a saved state a guest of its own: sets
 * the clock to the host's, and stirs 32 bytes of the host's entropy into the
 * random number generator, which then makes itself a new key. Without that,
 * all guests of one state would draw the same numbers.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#define SEED_BYTES 32

static void set_clock(const char *text)
{
	struct timespec now;
	long seconds, nanoseconds;

	if (sscanf(text, "%ld.%9ld", &seconds, &nanoseconds) != 2)
		errx(2, "no time: %s", text);
	now.tv_sec = seconds;
	now.tv_nsec = nanoseconds;
	if (clock_settime(CLOCK_REALTIME, &now))
		err(1, "clock_settime");
}

static void stir(const char *hex)
{
	struct {
		struct rand_pool_info info;
		unsigned char seed[SEED_BYTES];
	} pool = {
		.info = {
			.entropy_count = SEED_BYTES * 8,
			.buf_size = SEED_BYTES,
		},
	};
	int random_fd, i;

	if (strlen(hex) != 2 * SEED_BYTES)
		errx(2, "the seed is not %d bytes in hex", SEED_BYTES);
	for (i = 0; i < SEED_BYTES; i++)
		if (sscanf(hex + 2 * i, "%2hhx", &pool.seed[i]) != 1)
			errx(2, "the seed is not hex");
	random_fd = open("/dev/urandom", O_WRONLY);
	if (random_fd < 0)
		err(1, "/dev/urandom");
	if (ioctl(random_fd, RNDADDENTROPY, &pool))
		err(1, "RNDADDENTROPY");
	if (ioctl(random_fd, RNDRESEEDCRNG))
		err(1, "RNDRESEEDCRNG");
}

int main(int argc, char **argv)
{
	if (argc != 3)
		errx(2, "usage: refresh SECONDS.NANOSECONDS HEX");
	set_clock(argv[1]);
	stir(argv[2]);
	return 0;
}
