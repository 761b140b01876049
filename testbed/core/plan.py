"""Plans: what a run builds, boots and tests, as strict YAML."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from testbed.core.deterministic_argv import MAX_SEED
from testbed.core.strict_yaml import StrictModel, parse_yaml
from testbed.errors import PlanError

DEFAULT_SOURCE: Final = "debian:6.12"

Mode = Literal["normal", "deterministic"]
EachTest = Literal["everywhere", "once"]
SourcePath = Annotated[str, Field(pattern=r"^\w[\w-]*(/\w[\w.-]*)*\.c$")]


class Plan(StrictModel):
    """What to run.

    ``series`` are stacked in their order on the base; without any there is no comparison.
    ``tests`` are paths under guest-tests/; ``select`` is a pytest ``-k`` expression,
    ``marks`` one of its ``-m``, such as ``quick``.
    ``parallel`` bounds the tests that run at once, of all cells; 0 for what the host has room for.
    ``each_test`` runs on every topology that can host it, or once, on the first that can.
    With ``vmcore`` the memory of a guest that crashes or hangs is kept.
    In ``mode: deterministic`` each case has a boot of its own, the same each time, bit for bit;
    ``seed`` then chooses how its threads are interleaved, 0 being undisturbed.
    With ``compare: false`` the series are part of the one kernel that is tested.
    ``gcov`` are sources of the kernel, such as ``mm/migrate.c``: which of their lines ran is told.
    """

    about: str = ""
    source: str = DEFAULT_SOURCE
    kconfig: tuple[str, ...] = Field(min_length=1)
    series: tuple[str, ...] = ()
    topologies: tuple[str, ...] = Field(min_length=1)
    tests: tuple[str, ...] = Field(min_length=1)
    select: str = ""
    marks: str = ""
    each_test: EachTest = "everywhere"
    parallel: int = Field(default=0, ge=0, le=64)
    vmcore: bool = False
    mode: Mode = "normal"
    seed: int = Field(default=0, ge=0, le=MAX_SEED)
    compare: bool = True
    gcov: tuple[SourcePath, ...] = ()

    @model_validator(mode="after")
    def _check_seed(self) -> Self:
        if self.seed and self.mode != "deterministic":
            raise ValueError("seed: only `mode: deterministic` has one")
        if self.gcov and self.mode == "deterministic":
            raise ValueError("gcov: `mode: deterministic` asks nothing of a guest")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """The names that a plan may use."""

    kconfigs: tuple[str, ...]
    series: tuple[str, ...]
    topologies: tuple[str, ...]
    tests: tuple[str, ...]


_KINDS: Final = {
    "kconfig": "kconfig fragment",
    "series": "series",
    "topologies": "topology",
    "tests": "path under guest-tests",
}


def parse_plan(text: str, *, filename: str) -> Plan:
    """Read a plan; raises :class:`PlanError` with one line that says what is wrong."""
    return parse_yaml(text, Plan, filename=filename)


def check_names(plan: Plan, catalog: Catalog, *, filename: str) -> None:
    """Raise :class:`PlanError` for the first name in ``plan`` that ``catalog`` does not have."""
    allowed = {
        "kconfig": catalog.kconfigs,
        "series": catalog.series,
        "topologies": catalog.topologies,
        "tests": catalog.tests,
    }
    for key, names in allowed.items():
        check_each(getattr(plan, key), names, key=key, filename=filename)


def check_each(names: Iterable[str], allowed: tuple[str, ...], *, key: str, filename: str) -> None:
    """Raise :class:`PlanError` for the first of ``names`` that is not ``allowed``."""
    for index, name in enumerate(names):
        if name not in allowed:
            near = difflib.get_close_matches(name, allowed, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            listing = ", ".join(allowed) or "none"
            raise PlanError(
                f"{filename}: key '{key}[{index}]': {name!r} is no {_KINDS.get(key, key)}"
                f"{hint}; allowed: {listing}"
            )
