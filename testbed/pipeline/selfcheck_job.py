"""A self test of the suites with real kernels and real guests, from its request to its report."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, Protocol

from testbed.core.eviction import describe
from testbed.core.mutant import Mutant, read_mutant
from testbed.core.request import RunRequest
from testbed.core.selfcheck import (
    MutantResult,
    SelfcheckReport,
    compute_score,
    decide_exit,
    dump_report,
    dump_result,
    load_results,
)
from testbed.core.series import Series
from testbed.errors import InfraError, UserError
from testbed.host import catalog
from testbed.host.eviction import bound, read_keep
from testbed.host.run_dir import RunDir
from testbed.host.series_dir import is_series_folder
from testbed.host.series_spec import load_series_spec
from testbed.host.store import Store
from testbed.pipeline.kernels import Ground, resolve_request
from testbed.pipeline.observer import Observer
from testbed.pipeline.run import RunInterruptedError
from testbed.pipeline.selfcheck import try_mutant
from testbed.pipeline.selfcheck_bench import Bench, MutantRuns, open_bench

ACCOUNT_FILE: Final = "selfcheck.jsonl"
REPORT_FILE: Final = "selfcheck.json"
TABLE_FILE: Final = "selfcheck.txt"
_LATEST: Final = "latest"
_PATCH: Final = ".patch"


class OnMutant(Protocol):
    """Is told each mutant, its number from 1, and how many there are."""

    def __call__(self, result: MutantResult, *, number: int, total: int) -> None:
        """Take a mutant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfcheckRequest:
    """What to check: the tests of ``run`` by the mutants in a folder.

    ``only`` are globs over their names. With ``all_tests`` no mutant is left at its first kill.
    With ``resume``, the folder of a self test that was cut short, what was found out there counts
    where it rests on the same.
    """

    run: RunRequest
    mutants: Path
    only: tuple[str, ...] = ()
    all_tests: bool = False
    resume: Path | None = None


def load_mutants(folder: Path, *, only: Sequence[str] = ()) -> tuple[Mutant, ...]:
    """Read the mutants in ``folder``: each patch is one, and each folder that is a series.

    Those that are called equivalent come last: each takes all tests.

    Raises :class:`UserError` where there is none, or none that one of ``only`` fits.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; --mutants is one of *.patch files")
    paths = [one for one in sorted(folder.iterdir()) if _is_mutant(one)]
    named = {path.name.removesuffix(_PATCH): path for path in paths}
    if not named:
        raise UserError(f"{folder}: holds no mutant: neither a *.patch file nor a series' folder")
    for glob in only:
        if not any(fnmatchcase(name, glob) for name in named):
            raise UserError(f"--mutant {glob}: none is called so; there are: {', '.join(named)}")
    mutants = (
        read_mutant(load_series_spec(str(path)), name=name)
        for name, path in named.items()
        if not only or any(fnmatchcase(name, glob) for glob in only)
    )
    return tuple(sorted(mutants, key=lambda one: bool(one.equivalent)))


def find_account(runs_dir: Path, name: str) -> Path:
    """Return the folder of a self test: ``latest``, a folder, or an id below ``runs_dir``."""
    if name == _LATEST:
        started = sorted(path.parent for path in runs_dir.glob(f"*/{ACCOUNT_FILE}"))
        own = [path for path in started if not path.is_symlink()]
        if not own:
            raise UserError(f"no selfcheck to resume: none under {runs_dir} has a {ACCOUNT_FILE}")
        return own[-1]
    for path in (Path(name).absolute(), runs_dir / name):
        if (path / ACCOUNT_FILE).is_file():
            return path
    raise UserError(
        f"{name!r} is no selfcheck to resume: there is no {ACCOUNT_FILE} in "
        f"{Path(name).absolute()} nor in {runs_dir / name}"
    )


def selfcheck(
    request: SelfcheckRequest,
    *,
    runs_dir: Path,
    store: Store,
    observer: Observer,
    on_mutant: OnMutant,
    render: Callable[[SelfcheckReport], str],
) -> tuple[SelfcheckReport, Path]:
    """Try the tests on every mutant; return the report and the folder that holds it.

    Each mutant is kept in the folder before it is told; ``render`` makes the table there. Raises
    :class:`testbed.errors.TestbedError`, and :class:`RunInterruptedError` for Ctrl-C.
    """
    keep_bytes = read_keep()
    mutants = load_mutants(request.mutants, only=request.only)
    stack, ground = resolve_request(request.run, say=observer.say)
    if stack:
        raise UserError("a selfcheck puts nothing but its mutants on the base: leave series out")
    for name in request.run.plan.topologies:
        catalog.load_topology(name)  # before the base is built
    run_dir = _open_folder(request, runs_dir)
    with run_dir.hold():
        try:
            report = _carry_out(request, mutants, ground, run_dir, store, observer, on_mutant)
        except KeyboardInterrupt as err:
            command = _tell_resume_command(request, run_dir)
            raise RunInterruptedError(run_dir.path, command=command) from err
        run_dir.write(TABLE_FILE, render(report))
        run_dir.write(REPORT_FILE, dump_report(report))
    if keep_bytes is not None:
        observer.say(describe(bound(store, keep_bytes), now_ns=time.time_ns())[-1])
    return report, run_dir.path


def _is_mutant(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    return path.suffix == _PATCH if path.is_file() else is_series_folder(path)


def _open_folder(request: SelfcheckRequest, runs_dir: Path) -> RunDir:
    if request.resume is not None:
        return RunDir(request.resume.absolute())
    run_dir = RunDir.create(runs_dir, started=datetime.now(UTC), name="selfcheck")
    run_dir.write(ACCOUNT_FILE, "")
    return run_dir


def _tell_resume_command(request: SelfcheckRequest, run_dir: RunDir) -> tuple[str, ...]:
    resumed = () if request.resume else ("--resume", str(run_dir.path))
    return (*request.run.command, *resumed)


def _carry_out(
    request: SelfcheckRequest,
    mutants: Sequence[Mutant],
    ground: Ground,
    run_dir: RunDir,
    store: Store,
    observer: Observer,
    on_mutant: OnMutant,
) -> SelfcheckReport:
    began = time.monotonic()
    path = run_dir.path / ACCOUNT_FILE
    earlier = load_results(catalog.read_text(path), filename=str(path))
    benches = {
        names: open_bench(
            request.run,
            ground,
            stack=stack,
            run_dir=run_dir,
            store=store,
            observer=observer,
            all_tests=request.all_tests,
        )
        for names, stack in _load_stacks(mutants).items()
    }
    known = {(one.name, one.digest): one for one in earlier}
    wanted = [(one, benches[one.builds_on].digest_mutant(one)) for one in mutants]
    kept = [known[key] for one, digest in wanted if (key := (one.name, digest)) in known]
    if earlier:
        observer.say(f"resuming {run_dir.path.name}: {len(kept)} of {len(mutants)} are known")
    run_dir.write(ACCOUNT_FILE, "".join(map(dump_result, kept)))  # what does not count goes
    results = []
    for number, (mutant, digest) in enumerate(wanted, start=1):
        result = known.get((mutant.name, digest)) or _try(
            benches[mutant.builds_on], mutant, digest, path
        )
        on_mutant(result, number=number, total=len(wanted))
        results.append(result)
    return SelfcheckReport(
        id=run_dir.path.name,
        command=request.run.command,
        source=_name_source(request.run, ground),
        topologies=_unique(name for one in benches.values() for name in one.topologies),
        base_tests=sum(len(one.terms.places) for one in benches.values()),
        left_out=_unique(line for one in benches.values() for line in one.left_out),
        mutants=tuple(results),
        seconds=round(time.monotonic() - began, 1),
        resumed=len(kept),
        exit_code=decide_exit(results),
        score=compute_score(results),
    )


def _load_stacks(mutants: Iterable[Mutant]) -> dict[tuple[str, ...], tuple[Series, ...]]:
    """Read the series that ``mutants`` are faults of, by their names; raises as a run does."""
    stacks = {}
    for names in dict.fromkeys(mutant.builds_on for mutant in mutants):
        stacks[names] = tuple(load_series_spec(name) for name in names)
        for series in stacks[names]:
            catalog.check_wishes(series)
    return stacks


def _unique(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(lines))


def _try(bench: Bench, mutant: Mutant, digest: str, path: Path) -> MutantResult:
    """Try a mutant, and add it to the account in ``path``."""
    result = try_mutant(
        mutant,
        bench.terms,
        digest=digest,
        build=bench.build,
        run=MutantRuns(bench=bench, mutant=mutant),
    )
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(dump_result(result))
    except OSError as err:
        raise InfraError(f"{path}: cannot be written: {err.strerror}") from err
    return result


def _name_source(request: RunRequest, ground: Ground) -> str:
    source = str(ground.tree) if ground.tree else request.plan.source
    return f"{source} at {ground.commit}" if ground.commit else source
