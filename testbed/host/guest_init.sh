#!/bin/sh
# PID 1 of the guest: mount, bring up the network, say so, carry out the host's commands.
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm /tmp /run
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp

# What a kernel was built without is left out: the tests that need it say so themselves.
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
mount -t cgroup2 cgroup2 /sys/fs/cgroup 2>/dev/null

# Pages move only when a test asks for it; swap-in brings one page, not its neighbours.
set_knob() { [ -e "$1" ] && echo "$2" > "$1"; }
set_knob /proc/sys/kernel/numa_balancing 0
set_knob /proc/sys/vm/page-cluster 0
set_knob /proc/sys/vm/compaction_proactiveness 0
set_knob /sys/kernel/mm/ksm/run 0
# khugepaged cannot be stopped while THPs may be had: it sleeps for 49 days, and fills no hole.
khugepaged=/sys/kernel/mm/transparent_hugepage/khugepaged
set_knob $khugepaged/defrag 0
set_knob $khugepaged/max_ptes_none 0
set_knob $khugepaged/scan_sleep_millisecs 4294967295
set_knob /sys/devices/system/memory/auto_online_blocks offline

# Drivers of the guest's devices, of a kernel that has them as modules.
for module in /modules/*.ko; do
	[ -e "$module" ] && insmod "$module"
done

for disk in /dev/vd?; do
	[ -e "$disk" ] && swapon "$disk"
done

ip link set lo up
if [ -e /sys/class/net/eth0 ]; then
	ip addr add 10.0.2.15/24 dev eth0
	ip link set eth0 up
fi

# The host's commands come over a virtio-serial port: a root shell reads them, and is begun again
# where a test ends it. It is spared by the OOM killer; what it starts is not. The SSH server is
# started by a command of the host, with keys that only that guest gets.
for port in /sys/class/virtio-ports/*; do
	[ "$(cat "$port/name")" = testbed ] && exec 3<>"/dev/${port##*/}"
done
if ! (true >&3) 2>/dev/null; then
	echo "testbed: no command port: the kernel needs CONFIG_VIRTIO_CONSOLE and CONFIG_VIRTIO_PCI" \
		> /dev/console
	poweroff -f
fi
echo -1000 > /proc/self/oom_score_adj

# Commands that came with the initramfs are all that this guest is for.
if [ -e /run-at-boot ]; then
	echo "testbed: the commands begin" > /dev/kmsg
	echo "testbed: the commands begin" >&3
	(echo 0 > /proc/self/oom_score_adj; exec sh /run-at-boot) </dev/null >&3 2>&1
	printf '\ntestbed: the commands ended with status %d\n' $? >&3
	poweroff -f
fi
echo "testbed: the guest is ready" >&3
while :; do sh <&3 >&3 2>&1; done
