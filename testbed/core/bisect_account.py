"""The account of a bisection: what it was asked for, and every step, a JSON line each.

It is written step by step, so that a bisection that was killed loses one step at most.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Final

from pydantic import TypeAdapter, ValidationError

from testbed.core.bisection import Answer, Rules
from testbed.core.judge import Outcome
from testbed.errors import UserError

_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """What is asked: by which ``symptom`` and ``rules``, of which ``parts``, on which ``base``.

    ``parts`` are the ids of the patches; or the bad commit, the good one, and paths.
    """

    base: str
    parts: tuple[str, ...]
    symptom: str
    rules: Rules = field(default_factory=Rules)
    version: int = _VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One kernel, and what a batch of runs on it said.

    ``index`` is how many patches it has, less those ``without`` names by their numbers; in a
    bisection of commits it is -1 and ``commit`` says which it is. ``kernel`` is its key, empty
    where it does not build; ``build_seconds`` is of this step alone, ``is_cached`` says that
    nothing was built. ``reason`` is one line on one of the runs, ``message`` what the test said
    where it failed. ``is_unbooted`` says that the kernel did not come up.

    Of a series: the culprit is then one of ``first`` to ``last``, at the confidence asked for, and
    the likeliest patch has ``probability``. Of commits: that is how certain ``outcome`` is, and
    ``first`` and ``last`` are 0.
    """

    index: int = -1
    without: tuple[int, ...] = ()
    commit: str = ""
    kernel: str
    is_cached: bool
    build_seconds: float
    outcome: Outcome
    failures: int = 0
    passes: int = 0
    lost: int = 0
    reason: str
    message: str = ""
    is_unbooted: bool = False
    first: int = 0
    last: int = 0
    probability: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """All that is kept of a bisection."""

    inquiry: Inquiry
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bisected:
    """What came of a bisection; of commits, ``commits`` are what the patches are of a series.

    These are the first bad commit, or all that may be it, the newest first. ``symptom`` is what
    was judged by at the end: the boot, where the bad end did not even boot.
    """

    answer: Answer
    steps: tuple[Step, ...]
    symptom: str
    commits: tuple[str, ...] = ()


_INQUIRY: Final = TypeAdapter(Inquiry)
_STEP: Final = TypeAdapter(Step)


def dump_inquiry(inquiry: Inquiry) -> str:
    """Return the first line of an account."""
    return _INQUIRY.dump_json(inquiry).decode() + "\n"


def dump_step(step: Step) -> str:
    """Return the line of a step."""
    return _STEP.dump_json(step).decode() + "\n"


def load_account(text: str, *, filename: str) -> Account:
    """Read an account; a last line that was cut short is left out.

    Raises :class:`UserError` for any other line that is not what it should be.
    """
    lines = text.split("\n")
    del lines[-1]  # empty, or a line whose end was never written
    if not lines:
        raise UserError(f"{filename}: empty: start the bisection anew")
    try:
        inquiry = _INQUIRY.validate_json(lines[0], strict=True)
        steps = tuple(_STEP.validate_json(line, strict=True) for line in lines[1:])
    except ValidationError as err:
        where = ".".join(map(str, err.errors()[0]["loc"]))
        raise UserError(
            f"{filename}: not the account of a bisection ({where or 'no JSON'}): start it anew"
        ) from err
    if inquiry.version != _VERSION:
        raise UserError(f"{filename}: written by another version: start the bisection anew")
    return Account(inquiry=inquiry, steps=steps)


def check_inquiry(before: Inquiry, now: Inquiry) -> None:
    """Raise :class:`UserError` unless what was seen ``before`` answers what is asked ``now``."""
    changed = [
        one.name for one in fields(Inquiry) if getattr(before, one.name) != getattr(now, one.name)
    ]
    if changed:
        raise UserError(
            f"what was bisected has changed since ({', '.join(changed)}): start the bisection anew"
        )


def count_builds(steps: Iterable[Step]) -> tuple[int, int]:
    """Return how many kernels were looked at, the base left out, and how many built for it."""
    kernels: dict[tuple[int, tuple[int, ...], str], bool] = {}
    for step in steps:
        if step.index != 0:
            name = (step.index, step.without, step.commit)
            kernels[name] = kernels.get(name, False) or not step.is_cached
    return len(kernels), sum(kernels.values())


def count_runs(steps: Iterable[Step]) -> int:
    """Return how many runs counted."""
    return sum(step.failures + step.passes for step in steps)
