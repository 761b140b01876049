"""The pytest processes of a run, with a script in pytest's place."""

import os
import selectors
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.core.assemble import collect_results
from testbed.core.events import Begun, Collected, Event, Finished, Started, dump_event
from testbed.core.result import TestResult, Verdict
from testbed.errors import InfraError, UserError
from testbed.host import cells, proc
from testbed.host.cells import CellJob, CellOutcome, build_pytest_argv, run_cells
from testbed.host.guest_image import GuestImage

HEAD = """\
import os
import signal
import subprocess
import sys
from pathlib import Path

from testbed.core.events import Collected, Finished, Started, dump_event
from testbed.core.result import TestResult, Verdict

signal.alarm(30)  # a test that would hang fails instead
folder, wake, finished = Path(sys.argv[1]), *sys.argv[2:]


def emit(event, knock=True):
    fd = os.open(folder / "events.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, dump_event(event).encode())
    os.close(fd)
    if knock:
        fd = os.open(wake, os.O_WRONLY | os.O_NONBLOCK)
        os.write(fd, b"!")
        os.close(fd)


def passed(name):
    return Finished(result=TestResult(id=name, verdict=Verdict.PASSED, seconds=0.1))


"""

Runner = Callable[..., CellOutcome]


def passed(name: str, verdict: Verdict = Verdict.PASSED) -> Finished:
    return Finished(result=TestResult(id=name, verdict=verdict, seconds=0.1))


def make_job(folder: Path, *, workers: int = 1, finished: tuple[str, ...] = ()) -> CellJob:
    return CellJob(
        name="base-two",
        folder=folder / "cell",
        kernel=Path("bzImage"),
        kernel_config=None,
        image=GuestImage(key="k", folder=Path("image")),
        topology="two-nodes",
        accel="tcg",
        features=(),
        tests=("migrate",),
        select="",
        workers=workers,
        finished=finished,
    )


@pytest.fixture
def run_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """Return a function that runs one cell whose pytest is a script."""

    def run(body: str, on_event: Callable[[str, Event], None] = lambda *_: None) -> CellOutcome:
        script = tmp_path / "script.py"
        script.write_text(HEAD + body)

        def build(job: CellJob, *, wake: Path | None = None) -> tuple[str, ...]:
            argv = build_pytest_argv(job, wake=wake)
            listed = argv[argv.index("--finished") + 1] if "--finished" in argv else os.devnull
            return (sys.executable, str(script), str(job.folder), str(wake), listed)

        monkeypatch.setattr(cells, "build_pytest_argv", build)
        (outcome,) = run_cells([make_job(tmp_path)], parallel=1, on_event=on_event)
        return outcome

    return run


def leave(folder: Path, *events: Event, torn: str = "") -> Path:
    """Write what an earlier part of the run left in the cell's folder."""
    path = folder / "cell/events.jsonl"
    path.parent.mkdir()
    path.write_text("".join(map(dump_event, events)) + torn)
    return path


def without_begun(events: tuple[Event, ...]) -> list[Event]:
    return [event for event in events if not isinstance(event, Begun)]


def test_an_event_is_told_while_pytest_runs(run_script: Runner, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    opened = os.open(gate, os.O_RDWR)

    def answer(_cell: str, event: Event) -> None:
        if isinstance(event, Started):
            os.write(opened, b"go on")

    outcome = run_script(
        "emit(Collected(ids=('a',)))\n"
        "emit(Started(id='a'))\n"
        f"open({str(gate)!r}, 'rb').read(5)\n"
        "emit(passed('a'))\n",
        answer,
    )
    os.close(opened)
    assert without_begun(outcome.events) == [Collected(ids=("a",)), Started(id="a"), passed("a")]
    assert not list(outcome.job.folder.glob("*.wake"))


def test_what_came_without_a_wake_up_is_read_at_the_end(run_script: Runner) -> None:
    told: list[Event] = []
    outcome = run_script(
        "emit(Collected(ids=('a',)), knock=False)\nemit(passed('a'), knock=False)\n",
        lambda _cell, event: told.append(event),
    )
    assert told[1:] == [Collected(ids=("a",)), passed("a")]
    assert outcome.events == tuple(told)


def test_more_wake_ups_than_the_fifo_holds_harm_nobody(run_script: Runner) -> None:
    outcome = run_script(
        "emit(Collected(ids=('a',)))\n"
        "fd = os.open(wake, os.O_WRONLY | os.O_NONBLOCK)\n"
        "for _ in range(100):\n"
        "    try:\n"
        "        os.write(fd, b'!' * 4096)\n"
        "    except BlockingIOError:\n"
        "        pass\n"
        "emit(passed('a'), knock=False)\n"
    )
    assert outcome.events[-1] == passed("a")


def test_a_resumed_cell_runs_the_rest_alone(run_script: Runner, tmp_path: Path) -> None:
    both = Collected(ids=("a", "b"))
    path = leave(
        tmp_path, Begun(at_s=1000), both, passed("a"), Started(id="b"), torn='{"result":{"id"'
    )
    os.utime(path, (1060, 1060))
    told: list[Event] = []
    outcome = run_script(
        "assert Path(finished).read_text() == 'a\\n'\n"
        "emit(Collected(ids=('a', 'b')))\n"
        "emit(Started(id='b'))\n"
        "emit(passed('b'))\n",
        lambda _cell, event: told.append(event),
    )
    again = [both, Started(id="b"), passed("b")]
    assert without_begun(outcome.events) == [both, passed("a"), Started(id="b"), *again]
    assert told == list(outcome.events)
    assert [result.verdict for result in collect_results(outcome.events)] == [Verdict.PASSED] * 2
    assert outcome.job.finished == ("a",)
    assert 60 <= outcome.seconds < 120  # the pause since 1970 does not count


def test_a_cell_that_is_complete_starts_no_pytest(run_script: Runner, tmp_path: Path) -> None:
    events = (Begun(at_s=1000), Collected(ids=("a",)), passed("a", Verdict.FAILED))
    path = leave(tmp_path, *events)
    os.utime(path, (1060, 1060))
    outcome = run_script("raise AssertionError('not to be started')")
    assert outcome.events == events
    assert outcome.seconds == 60
    assert not (outcome.job.folder / "pytest.log").exists()


def test_a_test_that_was_lost_is_run_again(run_script: Runner, tmp_path: Path) -> None:
    leave(tmp_path, Collected(ids=("a", "b")), passed("a", Verdict.LOST), passed("b"))
    outcome = run_script(
        "assert Path(finished).read_text() == 'b\\n'\n"
        "emit(Collected(ids=('a', 'b')))\n"
        "emit(passed('a'))\n"
    )
    assert [result.verdict for result in collect_results(outcome.events)] == [Verdict.PASSED] * 2


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("print('no such option'); sys.exit(4)", UserError),
        ("emit(Collected(ids=('a',))); print('no such option'); sys.exit(2)", UserError),
        ("print('no such option'); sys.exit(3)", InfraError),
    ],
)
@pytest.mark.parametrize("is_resumed", [False, True])
def test_tests_that_cannot_be_collected_are_told_with_pytests_words(
    body: str, kind: type[Exception], *, is_resumed: bool, run_script: Runner, tmp_path: Path
) -> None:
    if is_resumed:
        leave(tmp_path, Collected(ids=("a", "b")), passed("b"))
    with pytest.raises(kind, match=r"the tests of base-two could not be collected[^\0]*such opt"):
        run_script(body)


def test_a_worker_that_outlives_pytest_is_ended(run_script: Runner, tmp_path: Path) -> None:
    outcome = run_script(
        "worker = subprocess.Popen(['sleep', '60'])\n"
        "(folder / 'pid').write_text(str(worker.pid))\n"
        "emit(Collected(ids=('a',)))\n"
    )
    assert_ends(int((outcome.job.folder / "pid").read_text()))


def test_ctrl_c_ends_pytest_and_leaves_what_it_had_told(run_script: Runner, tmp_path: Path) -> None:
    def interrupt(_cell: str, event: Event) -> None:
        if isinstance(event, Finished):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_script(
            "emit(Collected(ids=('a', 'b')))\n"
            "(folder / 'pid').write_text(str(os.getpid()))\n"
            "emit(passed('a'))\n"
            "signal.pause()\n",
            interrupt,
        )
    assert_ends(int((tmp_path / "cell/pid").read_text()))
    assert dump_event(passed("a")) in (tmp_path / "cell/events.jsonl").read_text()


def test_one_worker_needs_no_xdist_and_nothing_is_left_out(tmp_path: Path) -> None:
    argv = build_pytest_argv(make_job(tmp_path))
    assert {"--tx", "--dist", "--finished", "--events-wake"}.isdisjoint(argv)


def test_what_is_selected_is_said_as_pytest_takes_it(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    assert {"-k", "-m"}.isdisjoint(build_pytest_argv(job)[3:])
    argv = build_pytest_argv(replace(job, select="mbind or text", marks="quick and not slow"))
    assert argv[argv.index("-k") + 1] == "mbind or text"
    assert argv[argv.index("-m", 3) + 1] == "quick and not slow"


def test_workers_share_the_tests_and_die_with_pytest(tmp_path: Path) -> None:
    argv = build_pytest_argv(make_job(tmp_path, workers=2))
    first = argv.index("--dist")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text(
        "import ctypes, os, pytest, signal\n"
        "@pytest.mark.parametrize('number', range(4))\n"
        "def test_death_signal(number):\n"
        "    signal_number = ctypes.c_int(0)\n"
        "    assert ctypes.CDLL(None).prctl(2, ctypes.byref(signal_number)) == 0\n"
        "    assert signal_number.value == signal.SIGKILL\n"
        "    assert os.environ['PYTEST_XDIST_WORKER_COUNT'] == '2'\n"
    )
    done = proc.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *argv[first : first + 4]],
        cwd=tmp_path,
        check=False,
        timeout_s=60,
    )
    assert done.returncode == 0, done.output
    assert "4 passed" in done.output


def assert_ends(pid: int) -> None:
    """Fail if ``pid`` lives on for 10 s."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        ended = selector.select(timeout=10)
    os.close(fd)
    assert ended, f"process {pid} lives on"
