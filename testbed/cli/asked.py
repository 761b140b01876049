"""From options to a request: which kernels, out of which plan."""

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from testbed.cli.options import (
    QUICK_PLAN,
    Commit,
    Fragments,
    Git,
    PlanFile,
    Series,
    Source,
    Tree,
)
from testbed.core.plan import Mode, Plan
from testbed.core.request import RunRequest
from testbed.errors import UserError
from testbed.host import catalog
from testbed.host.project import data_dir


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options that say which kernels a command is about."""

    plan: Path | None = None
    series: tuple[str, ...] = ()
    git: str | None = None
    source: str | None = None
    tree: Path | None = None
    commit: str | None = None
    fragments: tuple[str, ...] = ()

    @property
    def is_anything(self) -> bool:
        """Whether any of them was given."""
        return self != Asked()


def takes_kernels(command: Callable[..., int]) -> Callable[..., int]:
    """Give ``command`` the options of :class:`Asked`; they reach it as one argument, ``asked``."""

    @functools.wraps(command)
    def wrapper(
        *,
        plan: Path | None,
        series: tuple[str, ...],
        git: str | None,
        source: str | None,
        tree: Path | None,
        commit: str | None,
        fragments: tuple[str, ...],
        **others: object,
    ) -> int:
        asked = Asked(
            plan=plan,
            series=series,
            git=git,
            source=source,
            tree=tree,
            commit=commit,
            fragments=fragments,
        )
        return command(asked=asked, **others)

    for option in (Commit, Git, Tree, Source, Fragments, Series, PlanFile):
        wrapper = option(wrapper)
    return wrapper


def make_request(asked: Asked, *, has_default_series: bool = True, **given: object) -> RunRequest:
    """Return the request; ``given`` are fields of the plan, of which the false ones are not set.

    Without ``has_default_series`` the plan's series do not count. Raises :class:`UserError`.
    """
    if (asked.git or asked.commit) and asked.tree is None:
        raise UserError("--git and --commit are about a tree of yours: add --tree DIR")
    if asked.git and asked.commit:
        raise UserError("--git RANGE has its own base: leave --commit out")
    path = asked.plan or data_dir() / QUICK_PLAN
    plan = catalog.load_plan(path)
    if asked.fragments:
        catalog.load_fragments(asked.fragments)  # refuses names that are not known
        kconfig = tuple(dict.fromkeys((*plan.kconfig, *asked.fragments)))
        plan = plan.model_copy(update={"kconfig": kconfig})
    if asked.git or not has_default_series:
        plan = plan.model_copy(update={"series": ()})
    return RunRequest(
        plan=override(plan, series=asked.series, source=asked.source, **given),
        plan_name=path.stem,
        command=_tell_command(),
        workdir=str(Path.cwd()),
        tree=str(asked.tree) if asked.tree else None,
        commit=asked.commit,
        git=asked.git,
    )


def override(plan: Plan, **given: object) -> Plan:
    """Return ``plan`` with what the command line gave; what it left out stays the plan's."""
    return plan.model_copy(update={key: value for key, value in given.items() if value})


def choose_mode(plan: Plan, *, mode: Mode | None, seed: int | None) -> Plan:
    """Apply --mode and --seed; a seed asks for deterministic mode."""
    if mode == "normal" and seed is not None:
        raise UserError("--seed goes with --mode deterministic")
    chosen = "deterministic" if seed is not None else mode or plan.mode
    kept = plan.seed if chosen == "deterministic" else 0
    return plan.model_copy(update={"mode": chosen, "seed": kept if seed is None else seed})


def _tell_command() -> tuple[str, ...]:
    """Return the command as it was given; bytes that are no UTF-8 cannot be kept in JSON."""
    return tuple(word.encode(errors="replace").decode() for word in ("testbed", *sys.argv[1:]))
