"""QEMU's command line for a guest whose every run is the same, bit for bit (QEMU 7.2).

Time is the count of the guest's instructions (``-icount``), and its CPUs take turns in one thread.
Nothing may then reach the guest at a moment that the host decides, nor with a value of the host's:

- no network, no entropy of the host's, no clock of the host's;
- no socket behind a device: it may be full, and its reader is the host's scheduler's;
- no ``ioeventfd``: without KVM too it hands the guest's kicks to QEMU's main loop, which takes them
  some time later (memory_region_dispatch_write() in softmmu/memory.c); two runs differed by that;
- no disk: its requests end when a thread of QEMU's is done with them.
"""

from dataclasses import dataclass
from typing import Final

from testbed.core.numa_argv import build_numa_argv, machine_options
from testbed.core.qemu_argv import BASE_CMDLINE, PORT_NAME, QEMU
from testbed.core.topology import Topology

MAX_SEED: Final = (1 << 63) - 1

# 4 ns an instruction: about the speed of TCG on the machine of the README's table, so that what
# waits for time to pass (the boot does, for a second) costs a quarter of the instructions that 1 ns
# would make it.
_NS_SHIFT: Final = 2

# The seed of -seed comes to the guest by the boot protocol (SETUP_RNG_SEED). The TSCs are one
# counter: without the word Linux trusts none of qemu64's with several CPUs (unsynchronized_tsc()
# in arch/x86/kernel/tsc.c, 6.12), and would take all time from the HPET.
DETERMINISTIC_CMDLINE: Final = ("nokaslr", "random.trust_cpu=off", "tsc=reliable")

# QEMU takes the descriptors as sets, of which the numbers are free.
_CONSOLE_SET: Final = 1
_PORT_SET: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class DeterministicMachine:
    """All that QEMU's command line depends on; file descriptors are inherited.

    ``console_fd`` and ``port_fd`` are regular files, open for writing only. ``gdb_fd`` is a
    listening socket for a debugger, for which the guest then waits, or None.
    """

    topology: Topology
    kernel: str
    initrd: str
    seed: int
    console_fd: int
    port_fd: int
    qmp_fd: int
    gdb_fd: int | None = None
    cmdline: tuple[str, ...] = ()


def find_obstacle(topology: Topology) -> str:
    """Return why runs on ``topology`` cannot be the same each time; empty where they can."""
    if topology.swap_mib:
        return (
            f"topology {topology.name} has swap disks, and when a disk is done with a request is "
            "the host's to decide: take a topology without swap_mib"
        )
    return ""


def build_deterministic_argv(machine: DeterministicMachine) -> tuple[str, ...]:
    """Return QEMU's argv for ``machine``, whose topology has no obstacle (:func:`find_obstacle`).

    The monitor is for the end of a guest that hangs; it does not touch one that runs.
    """
    topology = machine.topology
    cmdline = (*BASE_CMDLINE, *DETERMINISTIC_CMDLINE, *topology.cmdline, *machine.cmdline)
    return (
        QEMU,
        *("-accel", "tcg,thread=single"),
        *("-icount", f"shift={_NS_SHIFT},sleep=off"),
        *("-rtc", "base=2024-01-01T00:00:00,clock=vm"),
        *("-seed", str(machine.seed)),
        *("-machine", ",".join((topology.machine, "usb=off", *machine_options(topology)))),
        *("-cpu", "qemu64,-rdrand,-rdseed"),
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
        *build_numa_argv(topology),
        *_file_chardev("console", fd=machine.console_fd, number=_CONSOLE_SET),
        *("-serial", "chardev:console"),
        *_file_chardev("port", fd=machine.port_fd, number=_PORT_SET),
        *("-device", "virtio-serial-pci,ioeventfd=off"),
        *("-device", f"virtserialport,chardev=port,name={PORT_NAME}"),
        *("-chardev", f"socket,id=qmp,fd={machine.qmp_fd}", "-mon", "chardev=qmp,mode=control"),
        *_gdb(machine.gdb_fd),
        *("-kernel", machine.kernel, "-initrd", machine.initrd),
        *("-append", " ".join(cmdline)),
    )


def _file_chardev(name: str, *, fd: int, number: int) -> tuple[str, ...]:
    """Return a chardev that writes to a file, which takes every byte at once."""
    return (
        *("-add-fd", f"fd={fd},set={number}"),
        *("-chardev", f"file,id={name},path=/dev/fdset/{number}"),
    )


def _gdb(fd: int | None) -> tuple[str, ...]:
    if fd is None:
        return ()
    chardev = f"socket,id=gdb,fd={fd},server=on,wait=off"
    return ("-chardev", chardev, "-gdb", "chardev:gdb", "-S")
