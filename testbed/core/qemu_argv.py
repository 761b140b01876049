"""QEMU's command line, from values alone (QEMU 7.2, qemu-system-x86_64(1))."""

from dataclasses import dataclass
from typing import Final

from testbed.core.numa_argv import build_numa_argv
from testbed.core.topology import Topology

QEMU: Final = "qemu-system-x86_64"
GUEST_ADDRESS: Final = "10.0.2.15"  # what slirp would lease; the guest takes it without DHCP

# oops=panic: a guest never goes on after an oops, so that no later "ok" of it is believed.
# numa_balancing, transparent_hugepage: the kernel moves pages only when a test asks it to.
BASE_CMDLINE: Final = (
    "console=ttyS0",
    "earlyprintk=serial,ttyS0",
    "ignore_loglevel",
    "oops=panic",
    "panic=-1",
    "numa_balancing=disable",
    "transparent_hugepage=madvise",
    "log_buf_len=1M",
    "printk.time=1",  # a line with a time stamp is the kernel's, one without is user space's
)

# TCG has no cost model by which a newer CPU would run faster: take the plainest that has RDRAND,
# which saves the guest the wait for entropy.
_CPU: Final = {"tcg": "qemu64,+rdrand", "kvm": "host"}
_ACCEL: Final = {"tcg": "tcg,thread=multi", "kvm": "kvm"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """All that QEMU's command line depends on; file descriptors are inherited sockets."""

    topology: Topology
    kernel: str
    initrd: str
    accel: str
    console_fd: int
    qmp_fd: int
    cmdline: tuple[str, ...] = ()


def build_argv(machine: Machine) -> tuple[str, ...]:
    """Return QEMU's argv for ``machine``.

    The console and QMP are inherited socket pairs, so that neither needs a path or a port. The
    guest's network ends in QEMU (``restrict=on``) except for SSH, forwarded from a loopback port
    that the kernel picks (port 0; ``info usernet`` tells which).
    """
    topology = machine.topology
    return (
        QEMU,
        *("-accel", _ACCEL[machine.accel]),
        *("-machine", "q35,usb=off"),
        *("-cpu", _CPU[machine.accel]),
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
        *build_numa_argv(topology),
        *("-chardev", f"socket,id=console,fd={machine.console_fd}", "-serial", "chardev:console"),
        *("-chardev", f"socket,id=qmp,fd={machine.qmp_fd}", "-mon", "chardev=qmp,mode=control"),
        *("-netdev", "user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:0-:22"),
        *("-device", "virtio-net-pci,netdev=net0,romfile="),
        *("-object", "rng-random,id=rng0,filename=/dev/urandom"),
        *("-device", "virtio-rng-pci,rng=rng0"),
        *("-kernel", machine.kernel, "-initrd", machine.initrd),
        *("-append", " ".join((*BASE_CMDLINE, *topology.cmdline, *machine.cmdline))),
    )
