"""Runs a plan again and again on its base kernel, and counts the alarms: each of them is false.

stress-ng runs beside it, unless it is told not to. What is found goes to an account, a line a run,
so that a hundred runs may be had in many parts; the folder of a run without an alarm is removed.
"""

import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.table import Table

from testbed.core.record import RunRecord, load_record
from testbed.core.result import Verdict
from testbed.errors import TestbedError
from testbed.host import proc
from testbed.host.project import data_dir
from testbed.report.text import count, show_line

_PLAN: Final = "ci/plans/suite.yaml"
_LOAD: Final = ("--cpu", "2", "--vm", "1", "--vm-bytes", "512M", "--io", "1", "--fork", "1")
_NO_ALARM: Final = frozenset({Verdict.PASSED, Verdict.KNOWN})
_ENDED: Final = (0, 1)  # `testbed run`: nothing regressed, or something did


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A test that did not pass on a kernel on which it shall."""

    topology: str
    test: str
    verdict: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One run of the plan; ``load`` are stress-ng's options, ``tests`` how many there were."""

    run: str
    seconds: float
    kernel: str
    load: tuple[str, ...]
    tests: int
    alarms: tuple[Alarm, ...]


_ROUND: Final = TypeAdapter(Round)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--runs", default=1, show_default=True, type=click.IntRange(min=0))
@click.option("--plan", default=_PLAN, show_default=True, help="The plan that is run.")
@click.option("--select", "-k", help="Only tests that match, as pytest -k does.")
@click.option("--load/--no-load", default=True, show_default=True, help="stress-ng beside it.")
@click.option(
    "--account",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("runs/soak.jsonl"),
    show_default=True,
    help="Where each run is noted; the table is of all that are.",
)
def main(*, runs: int, plan: str, select: str | None, load: bool, account: Path) -> None:
    """Run the suite so many times and say which tests gave an alarm on the base kernel."""
    account.parent.mkdir(parents=True, exist_ok=True)
    options = _LOAD if load else ()
    command = ["--plan", str(data_dir() / plan), "--no-series"]
    command += ["-k", select] if select else []
    try:
        with _busy(options) if options else nullcontext():
            for _ in range(runs):
                one = _run_once(command, load=options, folder=account.parent / "soak")
                with account.open("a", encoding="utf-8") as file:
                    file.write(_ROUND.dump_json(one).decode() + "\n")
                click.echo(_describe(one), err=True)
    except TestbedError as err:
        raise click.ClickException(str(err)) from err
    rounds = _read(account)
    if not rounds:
        raise click.ClickException(f"{account} has no runs yet: --runs 1 makes one")
    if any(one.alarms for one in rounds):
        Console(width=None if sys.stdout.isatty() else 100).print(_render(rounds))
    click.echo(_summarise(rounds))
    click.echo(f"account: {account}")
    sys.exit(1 if any(one.alarms for one in rounds) else 0)


@contextmanager
def _busy(options: Sequence[str]) -> Iterator[None]:
    """Keep the machine busy."""
    stress = proc.start(["stress-ng", *options])
    try:
        yield
        if stress.poll() is not None:
            raise click.ClickException(f"stress-ng ended by itself: {stress.returncode}")
    finally:
        proc.end(stress)


def _run_once(arguments: Sequence[str], *, load: tuple[str, ...], folder: Path) -> Round:
    """Run the plan; the run's folder stays where there was an alarm."""
    began = time.monotonic()
    argv = [sys.executable, "-m", "testbed", "run", *arguments, "--runs-dir", str(folder)]
    done = proc.run(argv, check=False)
    if done.returncode not in _ENDED:
        raise click.ClickException(f"`testbed run` ended with {done.returncode}:\n{done.output}")
    run = (folder / "latest").resolve()
    record = load_record((run / "record.json").read_bytes())
    one = Round(
        run=record.id,
        seconds=round(time.monotonic() - began, 1),
        kernel=record.cells[0].kernel.key,
        load=load,
        tests=sum(len(cell.tests) for cell in record.cells),
        alarms=tuple(_find_alarms(record)),
    )
    if not one.alarms:
        shutil.rmtree(run)
    return one


def _find_alarms(record: RunRecord) -> Iterator[Alarm]:
    for cell in record.cells:
        for test in cell.tests:
            if test.verdict not in _NO_ALARM:
                yield Alarm(
                    topology=cell.topology,
                    test=test.id,
                    verdict=str(test.verdict),
                    message=next(iter(test.message.splitlines()), ""),
                )


def _read(account: Path) -> tuple[Round, ...]:
    """Read the account; a line that a kill cut short is no run."""
    lines = account.read_text(encoding="utf-8").split("\n")[:-1] if account.exists() else []
    try:
        return tuple(_ROUND.validate_json(line) for line in lines)
    except ValidationError as err:
        raise click.ClickException(f"{account}: not the account of a soak: {err}") from err


def _describe(one: Round) -> str:
    told = "".join(f"\n  {alarm.topology}: {alarm.test}: {alarm.verdict}" for alarm in one.alarms)
    alarms = count(len(one.alarms), "alarm")
    return f"{one.run}: {one.tests} tests in {one.seconds:.0f} s, {alarms}{told}"


def _render(rounds: Sequence[Round]) -> Table:
    """Return a row for each test that gave an alarm."""
    counts = Counter((alarm.topology, alarm.test) for one in rounds for alarm in one.alarms)
    table = Table("test", "on", "alarms")
    for (topology, test), number in counts.most_common():
        table.add_row(show_line(test, width=70), topology, str(number))
    return table


def _summarise(rounds: Sequence[Round]) -> str:
    tests = sum(one.tests for one in rounds)
    bad = sum(1 for one in rounds if one.alarms)
    alarms = sum(len(one.alarms) for one in rounds)
    loaded = sum(1 for one in rounds if one.load)
    return (
        f"{count(len(rounds), 'run')} ({loaded} under load), {count(tests, 'test')}: "
        f"{count(alarms, 'false alarm')}, in {count(bad, 'run')}"
    )


if __name__ == "__main__":
    main()
