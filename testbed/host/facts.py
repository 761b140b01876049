"""Facts of the host that are read from procfs and sysfs."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

_PROC: Final = Path("/proc")
_CGROUPS: Final = Path("/sys/fs/cgroup")
_KIB_PER_MIB: Final = 1024
_BYTES_PER_MIB: Final = 1024 * 1024


def read_total_mib() -> int:
    """Return the memory of this machine in MiB."""
    return _read_mib("MemTotal")


def read_available_mib() -> int:
    """Return what new programs can have without swapping, in MiB: the page cache counts."""
    return _read_mib("MemAvailable")


def count_cores() -> int:
    """Return the CPUs that this process may run on."""
    return len(os.sched_getaffinity(0))


def read_boot_id() -> str:
    """Return what tells this boot of this host from any other: a UUID (random(4))."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def read_memory_limit_mib(proc: Path = _PROC, cgroups: Path = _CGROUPS) -> int | None:
    """Return the least memory limit of this process's cgroups in MiB, None without one.

    In a container /proc/meminfo is the host's, and the limit is what the OOM killer goes by
    (cgroup-v2.rst, memory.max; cgroup-v1/memory.rst, memory.limit_in_bytes, 6.12).
    """
    limits = [
        int(text) // _BYTES_PER_MIB
        for path in _limit_files(proc, cgroups)
        if path.is_file() and (text := path.read_text().strip()).isdigit()
    ]
    return min(limits, default=None)


def _limit_files(proc: Path, cgroups: Path) -> Iterator[Path]:
    """Yield where limits may be: that of the process's own cgroup and those of all above it."""
    for line in (proc / "self/cgroup").read_text().splitlines():
        _, controllers, group = line.split(":", 2)
        if not controllers:
            top, name = cgroups, "memory.max"
        elif "memory" in controllers.split(","):
            top, name = cgroups / "memory", "memory.limit_in_bytes"
        else:
            continue
        inner = PurePosixPath(group.lstrip("/"))
        for folder in (inner, *inner.parents):
            yield top / folder / name


def _read_mib(field: str) -> int:
    meminfo = _PROC / "meminfo"
    for line in meminfo.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) // _KIB_PER_MIB
    raise ValueError(f"{meminfo} has no {field}")
