"""The counters of gcov, of a program that the real compiler instrumented."""

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from testbed.core.gcov import FileReach
from testbed.errors import InfraError
from testbed.host.gcov import Counters, keep_notes, measure_reach, merge
from testbed.host.port import PortResult
from testbed.host.proc import find_tool

SOURCE = """
static int choose(int count)
{
	if (count > 1)
		return 1;
	return 0;
}

int main(int count)
{
	return choose(count);
}
"""
PATH = "mm/migrate.c"
GCC = find_tool("gcc")


@dataclass
class Guest:
    """Answers for a guest's port: the program has run there with a number of arguments."""

    counts: bytes
    commands: list[str] = field(default_factory=list)

    def run(self, command: str, *, timeout_s: float, limit_bytes: int) -> PortResult:
        self.commands.append(f"{command} {timeout_s} {limit_bytes}")
        return PortResult(output=self.counts, status=0 if self.counts else 1)


@dataclass
class Build:
    """A program and where it was compiled."""

    src: Path
    out: Path

    def run(self, *arguments: str) -> Guest:
        """Run the program from counters at zero; return a guest that has them."""
        counts = self.out / "mm/migrate.gcda"
        counts.unlink(missing_ok=True)
        subprocess.run([str(self.out / "program"), *arguments], check=False)
        return Guest(counts.read_bytes())


@pytest.fixture
def build(tmp_path: Path) -> Build:
    one = Build(src=tmp_path / "src", out=tmp_path / "out")
    for folder in (one.src, one.out):
        (folder / "mm").mkdir(parents=True)
    (one.src / PATH).write_text(SOURCE)
    (one.out / "mm/other.gcno").write_bytes(b"of no source")
    compile_it = [str(GCC), "--coverage", "-c", f"{one.src}/{PATH}", "-o", "mm/migrate.o"]
    subprocess.run(compile_it, cwd=one.out, check=True)
    subprocess.run(
        [str(GCC), "--coverage", "mm/migrate.o", "-o", "program"], cwd=one.out, check=True
    )
    return one


def measure(build: Build, counters: Path, folder: Path) -> FileReach:
    notes = folder / "notes"
    keep_notes(build.out, build.src, notes)
    (reach,) = measure_reach(counters, notes, paths=(PATH,), reasons=())
    return reach


def unreached(reach: FileReach) -> list[str]:
    return [line.text for one in reach.functions for line in one.unreached]


def test_the_counters_of_guests_are_added_up(build: Build, tmp_path: Path) -> None:
    counters = Counters(folder=tmp_path / "gw0", paths=(PATH,))
    counters.add(build.run())  # type: ignore[arg-type]  # a guest's port, as far as it is asked
    first = measure(build, counters.folder, tmp_path)
    assert [one.name for one in first.functions] == ["choose", "main"]
    assert unreached(first) == ["return 1;"]
    assert first.branches == (1, 2)

    counters.add(build.run("an argument"))  # type: ignore[arg-type]  # as above
    assert unreached(measure(build, counters.folder, tmp_path)) == []


def test_the_counters_of_workers_are_merged(build: Build, tmp_path: Path) -> None:
    folders = [tmp_path / "gw0", tmp_path / "gw1"]
    for folder, arguments in zip(folders, ((), ("an argument",)), strict=True):
        Counters(folder=folder, paths=(PATH,)).add(build.run(*arguments))  # type: ignore[arg-type]  # as above
    merge(folders, tmp_path / "total")
    assert unreached(measure(build, tmp_path / "total", tmp_path)) == []
    assert unreached(measure(build, folders[0], tmp_path)) == ["return 1;"]


def test_a_kernel_that_counts_nothing_is_told(tmp_path: Path) -> None:
    guest = Guest(b"")
    with pytest.raises(InfraError, match=r"counts nothing for mm/migrate\.c"):
        Counters(folder=tmp_path / "gw0", paths=(PATH,)).add(guest)  # type: ignore[arg-type]  # as above
    assert "-path '*/mm/migrate.gcda'" in guest.commands[0]


def test_counters_of_another_build_are_refused(build: Build, tmp_path: Path) -> None:
    counters = Counters(folder=tmp_path / "gw0", paths=(PATH,))
    counters.add(build.run())  # type: ignore[arg-type]  # as above
    (build.src / PATH).write_text(SOURCE.replace("count > 1", "count > 2 && count < 9"))
    other = tmp_path / "other"
    shutil.copytree(build.out, other)
    compile_it = [str(GCC), "--coverage", "-c", f"{build.src}/{PATH}", "-o", "mm/migrate.o"]
    subprocess.run(compile_it, cwd=other, check=True)
    with pytest.raises(InfraError, match="another build"):
        measure(Build(src=build.src, out=other), counters.folder, tmp_path)
