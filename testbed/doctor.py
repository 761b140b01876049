"""What is missing on this host, and the command that installs it."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from testbed.errors import InfraError
from testbed.host.accel import find_known_accel
from testbed.host.project import data_dir
from testbed.host.store import Store

_PACKAGE_LIST: Final = "ci/debian-packages.txt"
_SBIN: Final = ("/usr/sbin", "/sbin")
_WANTED_DISK_GIB: Final = 6  # sources 1.7, their linked copy 0, two builds 1, ccache 1, reserve


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at; ``package`` is the Debian package that would mend it."""

    what: str
    is_fine: bool
    detail: str
    package: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """All that was looked at."""

    checks: tuple[Check, ...]

    @property
    def missing_packages(self) -> tuple[str, ...]:
        """The Debian packages to install."""
        return tuple(check.package for check in self.checks if check.package and not check.is_fine)

    @property
    def exit_code(self) -> int:
        """0 when the testbed can work here."""
        return 0 if all(check.is_fine for check in self.checks) else InfraError.exit_code


def examine(cache: Path) -> Examination:
    """Look at the packages, the cache folder, the disk and the accelerator."""
    text = (data_dir() / _PACKAGE_LIST).read_text(encoding="utf-8")
    return Examination(
        checks=(
            *(_check_package(*entry) for entry in parse_package_list(text)),
            _check_cache(cache),
            _check_disk(cache),
            _check_accel(cache),
        )
    )


def parse_package_list(text: str) -> tuple[tuple[str, str], ...]:
    """Return (package, what shows that it is there) of each line; ``-`` shows nothing."""
    lines = (line.split("#", 1)[0].split() for line in text.splitlines())
    return tuple((words[0], words[1]) for words in lines if words)


def render(examination: Examination) -> RenderableType:
    """Return the findings as a table, with the command to run below it."""
    table = Table(box=None, pad_edge=False)
    for column in ("", "what", "found"):
        table.add_column(column)
    for check in examination.checks:
        mark = Text("ok", "green") if check.is_fine else Text("missing", "red")
        table.add_row(mark, Text(check.what), Text(check.detail))
    if not examination.missing_packages:
        last = "all is there" if examination.exit_code == 0 else "mend what is marked above"
        return Group(table, Text(last))
    command = "apt-get install --no-install-recommends " + " ".join(examination.missing_packages)
    return Group(table, Text(f"as root, run: {command}"))


def _check_package(package: str, witness: str) -> Check:
    if witness == "-":
        return Check(what=package, is_fine=True, detail="part of this Python")
    if witness.startswith("/"):
        found = witness if Path(witness).exists() else None
    else:
        found = shutil.which(witness, path=os.pathsep.join((os.environ.get("PATH", ""), *_SBIN)))
    return Check(
        what=package, is_fine=found is not None, detail=found or f"no {witness}", package=package
    )


def _check_cache(cache: Path) -> Check:
    try:
        Store(cache, say=_ignore).write_fact("doctor", {})
    except InfraError as err:
        return Check(what="cache", is_fine=False, detail=str(err))
    return Check(what="cache", is_fine=True, detail=str(cache))


def _check_disk(cache: Path) -> Check:
    existing = next(path for path in (cache, *cache.parents) if path.exists())
    free_gib = shutil.disk_usage(existing).free / 2**30
    return Check(
        what="disk",
        is_fine=free_gib >= _WANTED_DISK_GIB,
        detail=f"{free_gib:.0f} GiB free at {existing}, {_WANTED_DISK_GIB} wanted",
    )


def _check_accel(cache: Path) -> Check:
    try:
        known = find_known_accel(Store(cache, say=_ignore))
    except InfraError as err:
        return Check(what="accelerator", is_fine=False, detail=str(err).splitlines()[0])
    if known is None:
        detail = "/dev/kvm is there; the first run boots a guest to see whether it works"
        return Check(what="accelerator", is_fine=True, detail=detail)
    return Check(what="accelerator", is_fine=True, detail=f"{known.name}: {known.reason}")


def _ignore(_line: str) -> None:
    """Take a line that nobody is to see."""
