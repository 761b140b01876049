// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "creds.h"
#include "peer.h"

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

int creds_take(const struct role *role)
{
	return creds_become(role->user, role->caps, !role->hidden);
}

int creds_lend(uid_t user)
{
	return setresgid(user, user, 0) || setresuid(user, user, 0) ? -1 :
	       prctl(PR_SET_DUMPABLE, true);
}

int creds_return(void)
{
	return setresuid(0, 0, 0) || setresgid(0, 0, 0) ? -1 :
	       prctl(PR_SET_DUMPABLE, true);
}

long creds_ask(uid_t user, unsigned long caps, long (*fn)(const void *argument),
	       const void *argument)
{
	long result = -ECHILD;
	struct peer peer;
	pid_t pid = peer_fork(&peer);

	if (pid == 0) {
		if (!creds_become(user, caps, true))
			result = fn(argument);
		peer_send(&peer, result);
		_exit(0);
	}
	if (pid < 0 || peer_receive(&peer, &result))
		return -ECHILD;
	return peer_end(&peer) ? -ECHILD : result;
}
