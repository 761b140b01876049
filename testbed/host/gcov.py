"""The kernel's gcov counters: the notes of a build, the counts of a guest, what gcov makes of them.

A kernel with CONFIG_GCOV_KERNEL shows the counters of every object that was compiled for it below
/sys/kernel/debug/gcov, in the form that gcov reads (Documentation/dev-tools/gcov.rst, 6.12). The
notes, which gcov needs besides, are made by the compiler and kept with the kernel.
"""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from testbed.core.gcov import FileReach, Reason, read_gcov
from testbed.errors import InfraError
from testbed.host import proc
from testbed.host.port import Port
from testbed.host.store import write_atomically

NOTES_DIR: Final = "gcov"
COUNTERS_DIR: Final = "gcov"
_COUNTERS: Final = "/sys/kernel/debug/gcov"
_LIMIT_BYTES: Final = 1 << 22
_TIMEOUT_S: Final = 60
_SHOWN_CHARS: Final = 300


def keep_notes(out: Path, src: Path, folder: Path) -> None:
    """Copy the notes of all instrumented objects in ``out``, and their sources, to ``folder``."""
    for notes in out.rglob("*.gcno"):
        name = notes.relative_to(out)
        source = src / name.with_suffix(".c")
        if not source.is_file():
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(notes, folder / name)
        shutil.copyfile(source, folder / name.with_suffix(".c"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """The sums of the counters of the guests of one process, for the sources ``paths``."""

    folder: Path
    paths: tuple[str, ...]

    def add(self, port: Port) -> None:
        """Add what the guest behind ``port`` has counted since it booted.

        Raises what :meth:`testbed.host.port.Port.run` raises, and :class:`InfraError` where gcov
        cannot read it.
        """
        with tempfile.TemporaryDirectory(prefix="testbed-gcov-") as name:
            fresh = Path(name) / "fresh"
            for path in self.paths:
                target = (fresh / path).with_suffix(".gcda")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(_read_counters(port, path))
            merge([fresh], self.folder)


def _read_counters(port: Port, path: str) -> bytes:
    wanted = Path(path).with_suffix(".gcda")
    command = f"cat $(find {_COUNTERS} -path '*/{wanted}')"
    done = port.run(command, timeout_s=_TIMEOUT_S, limit_bytes=_LIMIT_BYTES)
    if done.status or not done.output:
        raise InfraError(f"the kernel counts nothing for {path}: it was built without gcov for it")
    return done.output


def merge(folders: Sequence[Path], total: Path) -> None:
    """Add the counters in ``folders`` to those in ``total``, which may not be there yet."""
    tool = str(proc.find_tool("gcov-tool"))
    for folder in folders:
        if not total.is_dir():
            shutil.copytree(folder, total)
            continue
        with tempfile.TemporaryDirectory(prefix="testbed-gcov-") as name:
            merged = Path(name) / "merged"
            proc.run([tool, "merge", "-o", str(merged), str(total), str(folder)])
            for path in merged.rglob("*.gcda"):
                write_atomically(total / path.relative_to(merged), path.read_bytes())


def measure_reach(
    counters: Path, notes: Path, *, paths: Sequence[str], reasons: Sequence[Reason]
) -> tuple[FileReach, ...]:
    """Return how much of each of ``paths`` ran, by the counters and the notes in two folders."""
    return tuple(_measure_file(counters, notes, path=path, reasons=reasons) for path in paths)


def _measure_file(
    counters: Path, notes: Path, *, path: str, reasons: Sequence[Reason]
) -> FileReach:
    source = notes / path
    with tempfile.TemporaryDirectory(prefix="testbed-gcov-") as name:
        for folder, suffix in ((notes, ".gcno"), (counters, ".gcda")):
            shutil.copyfile((folder / path).with_suffix(suffix), Path(name) / f"object{suffix}")
        argv = ["--json-format", "--stdout", "--branch-probabilities", "object.gcda"]
        gcov = str(proc.find_tool("gcov"))
        done = proc.run([gcov, *argv], cwd=Path(name), check=False)
    # Its warnings are on lines of their own, and the answer on one.
    answer = next((line for line in done.output.splitlines() if line.startswith("{")), "")
    if done.returncode or not answer:
        raise InfraError(
            f"the counters of {path} are of another build than the notes in {notes}, says gcov: "
            f"{done.output.strip()[:_SHOWN_CHARS]}"
        )
    return read_gcov(
        answer,
        path=path,
        source=source.read_text(encoding="utf-8", errors="replace").splitlines(),
        reasons=reasons,
    )
