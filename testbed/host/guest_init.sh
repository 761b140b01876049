#!/bin/sh
# PID 1 of the guest: mount, bring up the network, start the SSH server, say so, wait.
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
set_knob /sys/kernel/mm/transparent_hugepage/khugepaged/defrag 0
set_knob /sys/devices/system/memory/auto_online_blocks offline

ip link set lo up
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up

/usr/sbin/dropbear -s -r /etc/dropbear/host_key -p 22
echo "testbed: guest ready" > /dev/console

# Reap what is left to PID 1 for as long as the guest lives.
while :; do sleep 86400 & wait $!; done
