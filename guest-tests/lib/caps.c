// SPDX-License-Identifier: GPL-2.0-only
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

#include "caps.h"

int caps_set_sys_nice(bool on)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data))
		return -1;
	if (on)
		data[0].effective |= 1U << CAP_SYS_NICE;
	else
		data[0].effective &= ~(1U << CAP_SYS_NICE);
	return syscall(SYS_capset, &header, data);
}
