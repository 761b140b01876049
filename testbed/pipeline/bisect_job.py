"""A bisection with real kernels and real guests, from its request to its answer."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from testbed.core.bisect_account import (
    Bisected,
    Inquiry,
    Step,
    check_inquiry,
    dump_inquiry,
    dump_step,
    load_account,
)
from testbed.core.bisection import Rules
from testbed.core.judge import JudgeSpec
from testbed.core.plan import Plan
from testbed.core.request import RunRequest
from testbed.core.series import Series, list_patches
from testbed.core.wishes import add_wishes
from testbed.errors import InfraError, UserError
from testbed.host import catalog
from testbed.host.builder import BuildFailure, Kernel
from testbed.host.commit_tree import describe_commit, resolve_commit
from testbed.host.git_bisect import GitBisect
from testbed.host.run_dir import RunDir
from testbed.host.store import Store
from testbed.pipeline.bisect import bisect_commits, bisect_series
from testbed.pipeline.bisect_apart import tell_apart
from testbed.pipeline.kernels import (
    Ground,
    build_kernel,
    name_patches,
    resolve_request,
    want_kernel,
)
from testbed.pipeline.observer import Observer
from testbed.pipeline.trials import Trials

ACCOUNT_FILE: Final = "bisect.jsonl"


class OnStep(Protocol):
    """Is told each step; ``total`` is how many patches there are, 0 for commits."""

    def __call__(self, step: Step, *, total: int) -> None:
        """Take a step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BisectRequest:
    """What to bisect: the series of ``run``, or the commits of its tree from ``good`` to ``bad``.

    ``topology`` is the machine to judge on. With ``resume``, the folder of a bisection of the same
    that was cut short, its steps count as seen.
    """

    run: RunRequest
    spec: JudgeSpec
    rules: Rules
    topology: str
    good: str | None = None
    bad: str | None = None
    paths: tuple[str, ...] = ()
    resume: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BisectEnd:
    """What came of it: of a series its ``stack``, of commits a line for each that matters."""

    bisected: Bisected
    folder: Path
    stack: tuple[Series, ...] = ()
    described: tuple[tuple[str, str], ...] = ()


def bisect(
    request: BisectRequest, *, runs_dir: Path, store: Store, observer: Observer, on_step: OnStep
) -> BisectEnd:
    """Carry out ``request``; ``on_step`` gets each step, and how many patches there are.

    Every step is kept in the folder before it is told. Raises
    :class:`testbed.errors.TestbedError`.
    """
    is_of_commits = request.good is not None or request.bad is not None
    carry_out = _bisect_commits if is_of_commits else _bisect_series
    return carry_out(request, runs_dir=runs_dir, store=store, observer=observer, on_step=on_step)


def _bisect_series(
    request: BisectRequest, *, runs_dir: Path, store: Store, observer: Observer, on_step: OnStep
) -> BisectEnd:
    stack, ground = resolve_request(request.run, say=observer.say)
    names = name_patches(stack)
    if not names:
        raise UserError("nothing to bisect: give --series or --git, or --good and --bad commits")
    plan = add_wishes(request.run.plan, [series.meta for series in stack])
    ids = tuple(patch.patch_id for patch in list_patches(stack))
    inquiry = _inquire(request, base=f"{plan.source} {ground.tree} {ground.commit}", parts=ids)

    provided: dict[str, tuple[str, ...]] = {}

    def build(count: int, without: tuple[int, ...] = (), /) -> Kernel | BuildFailure:
        wanted = want_kernel(stack, count, without=without)
        outcome = build_kernel(plan, wanted, ground=ground, store=store, observer=observer)
        provided[outcome.key] = wanted.features
        return outcome

    with _open_account(request, inquiry, runs_dir=runs_dir) as account:
        run = _prepare_trials(request, plan, account, store, observer, provided).run
        keep = partial(account.keep, then=partial(on_step, total=len(names)))
        bisected = bisect_series(
            len(names),
            request.spec,
            build=build,
            run=run,
            keep=keep,
            rules=request.rules,
            steps=account.steps,
        )
        bisected = tell_apart(
            bisected, request.spec, build=build, run=run, keep=keep, rules=request.rules
        )
        return BisectEnd(bisected=bisected, folder=account.folder, stack=stack)


def _bisect_commits(
    request: BisectRequest, *, runs_dir: Path, store: Store, observer: Observer, on_step: OnStep
) -> BisectEnd:
    if request.run.tree is None or request.good is None:
        raise UserError(
            "bisecting commits needs --tree DIR and --good REV; --bad is HEAD if not said"
        )
    tree, plan = Path(request.run.tree), request.run.plan
    bad, good = (resolve_commit(tree, rev) for rev in (request.bad or "HEAD", request.good))
    inquiry = _inquire(request, base=good, parts=(bad, good, *request.paths))

    def build(commit: str, /) -> Kernel | BuildFailure:
        return build_kernel(
            plan,
            want_kernel((), 0),
            ground=Ground(tree=tree, commit=commit),
            store=store,
            observer=observer,
        )

    with (
        _open_account(request, inquiry, runs_dir=runs_dir) as account,
        tempfile.TemporaryDirectory(prefix="testbed-bisect-") as folder,
    ):
        git = GitBisect(tree, bad=bad, good=good, folder=Path(folder), paths=request.paths)
        bisected = bisect_commits(
            git,
            request.spec,
            build=build,
            run=_prepare_trials(request, plan, account, store, observer).run,
            keep=partial(account.keep, then=partial(on_step, total=0)),
            rules=request.rules,
            steps=account.steps,
        )
        named = dict.fromkeys((*bisected.commits, *(step.commit for step in bisected.steps)))
        described = tuple((commit, describe_commit(tree, commit)) for commit in named)
        return BisectEnd(bisected=bisected, folder=account.folder, described=described)


def _inquire(request: BisectRequest, *, base: str, parts: tuple[str, ...]) -> Inquiry:
    symptom = f"{request.spec.title} on {request.topology}"
    return Inquiry(base=base, parts=parts, symptom=symptom, rules=request.rules)


def _prepare_trials(
    request: BisectRequest,
    plan: Plan,
    account: "_OpenAccount",
    store: Store,
    observer: Observer,
    provided: Mapping[str, tuple[str, ...]] | None = None,
) -> Trials:
    return Trials(
        plan=plan,
        spec=request.spec,
        topology=request.topology,
        folder=account.folder,
        store=store,
        observer=observer,
        provided=provided or {},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _OpenAccount:
    """The folder of a bisection, held against others, with the steps that are known already."""

    folder: Path
    steps: tuple[Step, ...]

    def keep(self, step: Step, /, *, then: Callable[[Step], None]) -> None:
        """Add a step to the account, and tell it."""
        path = self.folder / ACCOUNT_FILE
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(dump_step(step))
        except OSError as err:
            raise InfraError(f"{path}: cannot be written: {err.strerror}") from err
        then(step)


@contextmanager
def _open_account(
    request: BisectRequest, inquiry: Inquiry, *, runs_dir: Path
) -> Iterator[_OpenAccount]:
    """Begin an account, or take up the one of ``request.resume`` if it is of the same."""
    if request.resume is None:
        run_dir = RunDir.create(runs_dir, started=datetime.now(UTC), name="bisect")
        run_dir.write(ACCOUNT_FILE, dump_inquiry(inquiry))
    else:
        run_dir = RunDir(request.resume.absolute())
    with run_dir.hold():
        path = run_dir.path / ACCOUNT_FILE
        account = load_account(catalog.read_text(path), filename=str(path))
        check_inquiry(account.inquiry, inquiry)
        # The line that a kill cut short goes.
        run_dir.write(
            ACCOUNT_FILE, dump_inquiry(account.inquiry) + "".join(map(dump_step, account.steps))
        )
        yield _OpenAccount(folder=run_dir.path, steps=account.steps)
