"""Which accelerator guests run under, found out by booting one.

/dev/kvm can be there, open and make a machine, and still no guest ever boots in it (nested
virtualisation that only pretends). So the answer comes from a guest, and is kept for the host.
"""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from testbed.core.topology import Node, Topology
from testbed.errors import InfraError
from testbed.host import proc
from testbed.host.admission import Admission, open_admission
from testbed.host.boot import BootFailure, boot
from testbed.host.guest_image import GuestImage
from testbed.host.qemu import BootRequest
from testbed.host.store import Store

_KVM: Final = Path("/dev/kvm")
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_GROUP_ACCESS: Final = stat.S_IRGRP | stat.S_IWGRP
_PROBE_TIMEOUT_S: Final = 8.0  # KVM boots this guest in well under 2 s
_PROBE_TOPOLOGY: Final = Topology(
    name="kvm-probe", nodes=(Node(cpus=1, memory_mib=256),), boot_timeout_s=_PROBE_TIMEOUT_S
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accel:
    """An accelerator of QEMU, ``kvm`` or ``tcg``, and why it was taken."""

    name: str
    reason: str


def read_qemu_version() -> str:
    """Return the first line of QEMU's ``--version``; raises :class:`InfraError` without QEMU."""
    return proc.run(["qemu-system-x86_64", "--version"]).output.splitlines()[0]


def find_known_accel(store: Store) -> Accel | None:
    """Return the accelerator that was found for this host before, without booting anything."""
    if not os.access(_KVM, os.R_OK | os.W_OK):
        return Accel(name="tcg", reason="/dev/kvm is not there or not ours to open")
    fact = store.read_fact(_fact_name())
    return Accel(name=fact["name"], reason=fact["reason"]) if fact else None


def choose_accel(
    store: Store, kernel: Path, image: GuestImage, *, log_dir: Path, say: Callable[[str], None]
) -> Accel:
    """Return the accelerator for this host, booting ``kernel`` under KVM once to find out."""
    known = find_known_accel(store)
    if known is not None:
        return known
    say(f"accelerator: trying /dev/kvm with a guest, {_PROBE_TIMEOUT_S:g} s at most")
    accel = _probe(kernel, image, log_dir, open_admission(store.root, say=say))
    store.write_fact(_fact_name(), {"name": accel.name, "reason": accel.reason})
    return accel


def _probe(kernel: Path, image: GuestImage, log_dir: Path, admission: Admission) -> Accel:
    request = BootRequest(
        kernel=kernel,
        initrd=image.initrd,
        topology=_PROBE_TOPOLOGY,
        accel="kvm",
        log_dir=log_dir,
        log_name="kvm-probe",
        admission=admission,
    )
    try:
        outcome = boot(request)
    except InfraError as err:
        said = f"/dev/kvm is there, but {str(err).splitlines()[0]}"
        return Accel(name="tcg", reason=f"{said}{_hint_at_access()}")
    if isinstance(outcome, BootFailure):
        return Accel(
            name="tcg",
            reason=f"/dev/kvm opens, but no guest boots with it in {_PROBE_TIMEOUT_S:g} s",
        )
    outcome.close()
    return Accel(name="kvm", reason=f"a guest booted with it in {outcome.boot_seconds:.1f} s")


def _hint_at_access() -> str:
    """Return the way in where only root may open /dev/kvm, for QEMU does not run as root."""
    if os.geteuid() == 0 and _KVM.stat().st_mode & _GROUP_ACCESS != _GROUP_ACCESS:
        return "; QEMU runs as nobody: `chmod 660 /dev/kvm` lets it in by its group"
    return ""


def _fact_name() -> str:
    """Return a name that changes when the host is booted again or gets another QEMU."""
    boot_id = _BOOT_ID.read_text().strip()
    version = "".join(c if c.isalnum() or c in ".-" else "_" for c in read_qemu_version())
    return f"accel-{boot_id}-{version}"
