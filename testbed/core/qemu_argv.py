"""QEMU's command line, from values alone (QEMU 7.2, qemu-system-x86_64(1))."""

from dataclasses import dataclass
from typing import Final

from testbed.core.numa_argv import build_numa_argv, machine_options
from testbed.core.topology import Topology

QEMU: Final = "qemu-system-x86_64"
GUEST_ADDRESS: Final = "10.0.2.15"  # what slirp would lease; the guest takes it without DHCP
PORT_NAME: Final = "testbed"  # of the virtio-serial port; the guest looks for it by this name

# oops=panic: a guest never goes on after an oops, so that no later "ok" of it is believed.
# unknown_nmi_panic: an NMI that QEMU injects makes a hung kernel say where it is.
# numa_balancing, transparent_hugepage: the kernel moves pages only when a test asks it to.
BASE_CMDLINE: Final = (
    "console=ttyS0",
    "earlyprintk=serial,ttyS0",
    "ignore_loglevel",
    "oops=panic",
    "unknown_nmi_panic",
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
    """All that QEMU's command line depends on; file descriptors are inherited.

    ``state_fd`` is a saved state to run on from, None for a boot, which takes ``initrd``; for a
    restored guest that is empty. ``swap_fds`` are the images of the topology's swap disks.
    """

    topology: Topology
    kernel: str
    initrd: str
    accel: str
    console_fd: int
    qmp_fd: int
    port_fd: int
    state_fd: int | None = None
    swap_fds: tuple[int, ...] = ()
    cmdline: tuple[str, ...] = ()


def build_argv(machine: Machine) -> tuple[str, ...]:
    """Return QEMU's argv for ``machine``.

    The console, QMP and the command port are inherited socket pairs, so that none needs a path or
    a TCP port. The guest's network ends in QEMU (``restrict=on``) except for SSH, forwarded from a
    loopback port that the kernel picks (port 0; ``info usernet`` tells which).
    """
    topology = machine.topology
    return (
        QEMU,
        *("-accel", _ACCEL[machine.accel]),
        *("-machine", ",".join((topology.machine, "usb=off", *machine_options(topology)))),
        *("-cpu", _CPU[machine.accel]),
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
        *build_numa_argv(topology),
        *("-chardev", f"socket,id=console,fd={machine.console_fd}", "-serial", "chardev:console"),
        *("-chardev", f"socket,id=qmp,fd={machine.qmp_fd}", "-mon", "chardev=qmp,mode=control"),
        *("-device", "virtio-serial-pci", "-chardev", f"socket,id=port,fd={machine.port_fd}"),
        *("-device", f"virtserialport,chardev=port,name={PORT_NAME}"),
        *("-netdev", "user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:0-:22"),
        *("-device", "virtio-net-pci,netdev=net0,romfile="),
        *("-object", "rng-random,id=rng0,filename=/dev/urandom"),
        *("-device", "virtio-rng-pci,rng=rng0"),
        *_swap_disks(machine.swap_fds),
        *("-kernel", machine.kernel),
        *(("-initrd", machine.initrd) if machine.initrd else ()),
        *("-append", " ".join((*BASE_CMDLINE, *topology.cmdline, *machine.cmdline))),
        *(("-incoming", f"fd:{machine.state_fd}") if machine.state_fd is not None else ()),
    )


def _swap_disks(fds: tuple[int, ...]) -> tuple[str, ...]:
    """Return a disk for each file, which is a set of one so that QEMU opens no path."""
    argv: list[str] = []
    for number, fd in enumerate(fds):
        drive = f"file=/dev/fdset/{number},if=none,id=swap{number},format=raw,auto-read-only=off"
        argv += ["-add-fd", f"fd={fd},set={number}", "-drive", drive]
        argv += ["-device", f"virtio-blk-pci,drive=swap{number},serial=swap{number}"]
    return tuple(argv)
