// SPDX-License-Identifier: GPL-2.0-only
#include <grp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "creds.h"

static int keep_only(unsigned long caps)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
		[0] = {
			.effective = caps,
			.permitted = caps,
		},
		[1] = {
			.effective = caps >> 32,
			.permitted = caps >> 32,
		},
	};

	return syscall(SYS_capset, &header, data);
}

int creds_become(uid_t user, unsigned long caps, bool dumpable)
{
	if (prctl(PR_SET_KEEPCAPS, 1) || setgroups(0, NULL) ||
	    setresgid(user, user, user) || setresuid(user, user, user) ||
	    keep_only(caps))
		return -1;
	return prctl(PR_SET_DUMPABLE, dumpable);
}
