"""Facts of the host that are read from procfs."""

from pathlib import Path
from typing import Final

_MEMINFO: Final = Path("/proc/meminfo")
_KIB_PER_MIB: Final = 1024


def read_total_mib() -> int:
    """Return the memory of this machine in MiB."""
    return _read_mib("MemTotal")


def read_available_mib() -> int:
    """Return what new programs can have without swapping, in MiB: the page cache counts."""
    return _read_mib("MemAvailable")


def _read_mib(field: str) -> int:
    for line in _MEMINFO.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) // _KIB_PER_MIB
    raise ValueError(f"{_MEMINFO} has no {field}")
