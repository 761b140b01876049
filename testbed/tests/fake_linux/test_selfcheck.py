"""A self test from end to end: toy kernels that are built, and a script in the guests' place."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from testbed.core.events import Event
from testbed.core.plan import Plan
from testbed.core.request import RunRequest
from testbed.core.selfcheck import MutantResult, SelfcheckReport, Status
from testbed.errors import UserError
from testbed.host import cells
from testbed.host.accel import Accel
from testbed.host.builder import BuildFailure, Kernel
from testbed.host.cells import CellJob
from testbed.host.guest_image import GuestImage
from testbed.pipeline import selfcheck_bench
from testbed.pipeline.kernels import Wanted
from testbed.pipeline.run import RunInterruptedError
from testbed.pipeline.selfcheck_job import SelfcheckRequest, selfcheck
from testbed.tests.fake_linux.rig import TREE, Rig, edit, mail

# Each test fails on a kernel whose image has its word; `spoilt` fails on every one, `shy` on the
# first run of each kernel.
SCRIPT: Final = """\
import os
import sys
from pathlib import Path

from testbed.core.events import Collected, Finished, dump_event
from testbed.core.result import TestResult, Verdict

kernel, events, wake, finished, asked = sys.argv[1:]
image = Path(kernel).read_bytes()
done = Path(finished).read_text().splitlines()
tests = {"node.right": b"WRONG-NODE", "node.shy": b"SHY", "status.told": b"WRONG-STATUS"}
ids = ("boot", *(f"migrate/{name.partition('.')[0]}.c::{name}" for name in (*tests, "spoilt.x")))


def emit(event):
    for path, text in ((events, dump_event(event)), (wake, "!")):
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK)
        os.write(fd, text.encode())
        os.close(fd)


def judge(name):
    case = name.rpartition("::")[2]
    if case == "spoilt.x":
        return Verdict.FAILED
    if case == "node.shy" and f"{kernel} {name}" in seen:
        return Verdict.PASSED
    return Verdict.FAILED if tests.get(case, b"NEVER") in image else Verdict.PASSED


seen = Path(asked).read_text().splitlines() if Path(asked).exists() else []
emit(Collected(ids=ids))
if done:  # a test that nobody asked for says nothing
    emit(Finished(result=TestResult(id="migrate/x.c::x.y", verdict=Verdict.FAILED, seconds=0.1)))
for name in ids:
    if name not in done:
        verdict = judge(name)
        with open(asked, "a") as file:
            file.write(f"{kernel} {name}\\n")
        emit(Finished(result=TestResult(id=name, verdict=verdict, seconds=0.1, message="why")))
"""

RETURN: Final = "\treturn nid;"
KILLED: Final = '\tstatic const char *volatile word = "WRONG-NODE";\n\n\treturn word ? nid : 0;'


class Watcher:
    """An observer that keeps what is said, and ends the self test at a mutant of its choice."""

    def __init__(self, end_at: str = "") -> None:
        self.lines: list[str] = []
        self.told: list[MutantResult] = []
        self._end_at = end_at

    def say(self, line: str) -> None:
        self.lines.append(line)

    def building(self, what: str, compiled: int, line: str) -> None:
        """Say nothing: the rig keeps what is compiled."""

    def cell_event(self, cell: str, event: Event) -> None:
        """Say nothing: only the base's are told."""

    def tell(self, result: MutantResult, *, number: int, total: int) -> None:
        assert 1 <= number <= total
        self.told.append(result)
        if result.name == self._end_at:
            raise KeyboardInterrupt


@dataclass
class Bench:
    """A host whose guests are a script; ``mutants`` is the folder of the mutants."""

    rig: Rig
    folder: Path
    image: str = "i1"
    built: list[tuple[str, ...]] = field(default_factory=list)
    jobs: list[CellJob] = field(default_factory=list)

    @property
    def mutants(self) -> Path:
        return self.folder / "mutants"

    def set_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.mutants.mkdir()
        (self.folder / "script.py").write_text(SCRIPT)
        (self.folder / "nothing").write_text("")
        for name, stand_in in (
            ("read_qemu_version", lambda: "7.2"),
            ("build_kernel", self._build),
            ("choose_harness", lambda *_, **__: self.folder),
            ("build_guest_image", lambda *_, **__: GuestImage(key=self.image, folder=self.folder)),
            ("choose_accel", lambda *_, **__: Accel(name="tcg", reason="the test says so")),
        ):
            monkeypatch.setattr(selfcheck_bench, name, stand_in)
        monkeypatch.setattr(cells, "build_pytest_argv", self._build_argv)

    def add(self, name: str, word: str, *, trailers: str = "", code: str = "") -> None:
        """Add a mutant whose kernels have ``word`` in their image."""
        code = code or f'\tstatic const char *volatile word = "{word}";\n\n\treturn word ? nid : 0;'
        text = mail(f"mm: MUTANT: {name}", edit("mm/mempolicy.c", RETURN, code))
        (self.mutants / f"{name}.patch").write_text(text.replace("Why.\n", f"Why.\n\n{trailers}"))

    def run(
        self, watcher: Watcher | None = None, *, resume: Path | None = None, all_tests: bool = False
    ) -> tuple[SelfcheckReport, Path]:
        watcher = watcher or Watcher()
        request = RunRequest(
            plan=Plan(kconfig=("base",), topologies=("two-nodes",), tests=("migrate",)),
            plan_name="selfcheck",
            command=("testbed", "selfcheck"),
            workdir=str(self.folder),
        )
        return selfcheck(
            SelfcheckRequest(run=request, mutants=self.mutants, resume=resume, all_tests=all_tests),
            runs_dir=self.folder / "runs",
            store=self.rig.store,
            observer=watcher,
            on_mutant=watcher.tell,
            render=lambda report: f"{len(report.mutants)} mutants\n",
        )

    @property
    def asked(self) -> list[str]:
        """The tests that were run, without the boot, in their order."""
        path = self.folder / "asked"
        lines = path.read_text().splitlines() if path.exists() else []
        return [name for line in lines if (name := line.split()[1]) != "boot"]

    def _build(self, _: Plan, wanted: Wanted, **__: object) -> Kernel | BuildFailure:
        self.built.append(tuple(one.name for one in wanted.series))
        return self.rig.try_build(*wanted.series)

    def _build_argv(self, job: CellJob, *, wake: Path | None = None) -> tuple[str, ...]:
        self.jobs.append(job)
        finished = job.folder / "finished.txt" if job.finished else self.folder / "nothing"
        paths = (job.kernel, job.folder / "events.jsonl", wake, finished, self.folder / "asked")
        return (sys.executable, *map(str, (self.folder / "script.py", *paths)))


@pytest.fixture
def bench(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(rig, tmp_path)
    bench.set_up(monkeypatch)
    return bench


def by_name(report: SelfcheckReport) -> dict[str, MutantResult]:
    return {one.name: one for one in report.mutants}


def test_each_mutant_comes_to_what_it_is(bench: Bench) -> None:
    bench.add("wrong-node", "WRONG-NODE", trailers="Contract: 3\nSeen-in: migrate/node*\n")
    bench.add("unseen", "NOTHING-LOOKS-AT-IT")
    bench.add("shy", "SHY")
    bench.add("same", "SAME", trailers="Equivalent: the word is never read\n")
    bench.add("not-same", "WRONG-STATUS", trailers="Equivalent: wrong\n")
    bench.add("unbuilt", "", code="\treturn nothing;")
    (bench.mutants / "misfit.patch").write_text(
        mail("mm: misfit", edit("mm/mempolicy.c", RETURN, "\treturn 1;").replace("nid;", "nit;"))
    )

    report, folder = bench.run()

    found = by_name(report)
    assert {name: one.status for name, one in found.items()} == {
        "wrong-node": Status.KILLED,
        "unseen": Status.SURVIVED,
        "shy": Status.SURVIVED,
        "same": Status.EQUIVALENT,
        "not-same": Status.NOT_EQUIVALENT,
        "unbuilt": Status.DOES_NOT_BUILD,
        "misfit": Status.DOES_NOT_APPLY,
    }
    (kill,) = found["wrong-node"].kills
    assert (kill.test, kill.topology) == ("migrate/node.c::node.right", "two-nodes")
    assert found["shy"].unconfirmed == ("migrate/node.c::node.shy",)
    assert found["unseen"].tests == found["unseen"].planned == report.base_tests == 4
    assert report.left_out == ("migrate/spoilt.c::spoilt.x on two-nodes: failed",)
    assert (report.exit_code, report.score) == (3, 0.3333)
    assert (folder / "selfcheck.txt").read_text() == "7 mutants\n"


def test_only_what_passes_on_the_base_is_run_and_nothing_after_a_kill(bench: Bench) -> None:
    bench.add("wrong-node", "WRONG-NODE", trailers="Seen-in: *node.right\n")
    bench.run()
    base, mutant = bench.asked[:4], bench.asked[4:]
    assert base[-1] == "migrate/spoilt.c::spoilt.x"
    assert mutant == ["migrate/node.c::node.right"] * 2  # and it is confirmed


def test_all_tests_that_kill_are_named_if_asked_for(bench: Bench) -> None:
    bench.add("both", "WRONG-NODE WRONG-STATUS")
    (result,) = bench.run(all_tests=True)[0].mutants
    assert [kill.test.rpartition("::")[2] for kill in result.kills] == ["node.right", "status.told"]


def cut_short(bench: Bench, *, end_at: str) -> Path:
    with pytest.raises(RunInterruptedError) as caught:
        bench.run(Watcher(end_at))
    folder = caught.value.folder
    assert caught.value.command == ("testbed", "selfcheck", "--resume", str(folder))
    assert not (folder / "selfcheck.json").exists()
    bench.built.clear()
    (bench.folder / "asked").unlink()
    return folder


def test_what_was_cut_short_goes_on_where_it_was(bench: Bench) -> None:
    bench.add("a", "WRONG-NODE")
    bench.add("b", "WRONG-STATUS")
    folder = cut_short(bench, end_at="a")
    with (folder / "selfcheck.jsonl").open("a") as file:
        file.write('{"name": "b", "sub')  # what a kill leaves
    watcher = Watcher()

    report, again = bench.run(watcher, resume=folder)

    assert again == folder
    assert [(one.name, one.status) for one in report.mutants] == [
        ("a", Status.KILLED),
        ("b", Status.KILLED),
    ]
    assert bench.built == [(), ("b",)]
    assert report.resumed == 1
    assert f"resuming {folder.name}: 1 of 2 are known" in watcher.lines
    assert "migrate/spoilt.c::spoilt.x" not in bench.asked  # the base is known, too
    assert len((folder / "selfcheck.jsonl").read_text().splitlines()) == 2


def _edit_mutant(bench: Bench) -> None:
    bench.add("a", "WRONG-STATUS")


def _change_image(bench: Bench) -> None:
    bench.image = "i2"


@pytest.mark.parametrize(
    ("change", "built"),
    [(_edit_mutant, [(), ("a",), ("b",)]), (_change_image, [(), ("a",), ("b",)])],
)
def test_what_rests_on_something_else_is_done_anew(
    bench: Bench, change: Callable[[Bench], None], built: list[tuple[str, ...]]
) -> None:
    bench.add("a", "WRONG-NODE")
    bench.add("b", "WRONG-STATUS")
    folder = cut_short(bench, end_at="a")
    change(bench)
    report, _ = bench.run(resume=folder)
    assert bench.built == built
    assert report.resumed == 0
    assert by_name(report)["a"].status is Status.KILLED


def test_a_fault_of_a_series_is_tried_on_the_tests_of_the_series(bench: Bench) -> None:
    series = bench.folder / "own"
    series.mkdir()
    own = "\treturn nid + 0;"
    text = mail("mm: own", edit("mm/mempolicy.c", RETURN, own))
    (series / "0001-own.patch").write_text(text)
    (series / "series").write_text("0001-own.patch\n")
    (series / "series.yaml").write_text(
        "title: own\nwhy: own\nbase: ['6.12']\nprovides: [own]\n"
        "topologies: [swap]\ntests: [migrate/move_pages.c]\n"
    )
    bench.add("plain", "WRONG-NODE")
    patched = bench.folder / "mm/mempolicy.c"
    patched.parent.mkdir()
    patched.write_text((TREE / "mm/mempolicy.c").read_text().replace(RETURN, own))
    on_own = edit("mm/mempolicy.c", own, KILLED, tree=bench.folder)
    text = mail("mm: MUTANT: of own", on_own).replace("Why.\n", f"Why.\n\nBuilds-on: {series}\n")
    (bench.mutants / "of-own.patch").write_text(text)
    watcher = Watcher()

    report, _ = bench.run(watcher)

    of_own, plain = report.mutants
    assert (of_own.status, plain.status) == (Status.KILLED, Status.KILLED)
    assert [one.topology for one in (*of_own.kills, *plain.kills)] == ["swap", "two-nodes"]
    assert sorted(bench.built) == [(), ("own",), ("own", "of-own"), ("plain",)]
    assert set(report.topologies) == {"two-nodes", "swap"}
    assert report.base_tests == 8
    assert "migrate/spoilt.c::spoilt.x on swap: failed with own" in report.left_out
    assert next(job.tests for job in bench.jobs if job.topology == "swap") == (
        "migrate/move_pages.c",
    )
    assert {job.features for job in bench.jobs if job.topology == "swap"} == {("own",)}


def test_a_base_on_which_nothing_passes_checks_nothing(bench: Bench) -> None:
    bench.add("a", "WRONG-NODE")
    script = bench.folder / "script.py"
    script.write_text(SCRIPT.replace("verdict = judge(name)", "verdict = Verdict.FAILED"))
    with pytest.raises(UserError, match="no test of the plan passes on the base"):
        bench.run()
