"""Patch series: what they are for, and their patches in the order in which they apply.

A series of the project's own is a folder in quilt's form: a file ``series`` that lists the
patches, the patches as ``git format-patch`` writes them, and ``series.yaml`` that says what it is
for. Where else one may come from is :mod:`testbed.host.series_spec`'s business.
"""

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from testbed.core.header_problems import find_header_problems
from testbed.core.patch import (
    FileChange,
    Hunk,
    Mismatch,
    Patch,
    find_hunk,
    find_mismatch,
    parse_patch,
)
from testbed.core.patch_kconfig import find_added_options
from testbed.core.strict_yaml import StrictModel, parse_yaml
from testbed.errors import SeriesError

__all__ = [
    "FileChange",
    "Hunk",
    "Mismatch",
    "Patch",
    "Series",
    "SeriesMeta",
    "find_header_problems",
    "find_hunk",
    "find_mismatch",
    "format_own_options",
    "leave_out",
    "list_features",
    "list_patches",
    "parse_patch",
    "parse_series_file",
    "parse_series_meta",
    "take_patches",
]


class SeriesMeta(StrictModel):
    """``series.yaml``: what a series is for and what it brings.

    ``base`` are the kernel releases that it is made for, ``kconfig`` fragments that it needs,
    ``options`` kernel options that it adds itself (``X=y``), for the patched kernel alone.
    ``provides`` are features that guest tests may ask for, ``topologies`` machines besides the
    plan's. ``tests`` are its own tests, ``guards`` those that it must not regress, both as paths
    under guest-tests/.
    """

    title: str
    why: str
    base: tuple[str, ...]
    kconfig: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    topologies: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    guards: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Patches in the order in which they apply.

    ``title`` is the cover letter's or series.yaml's, ``base_commit`` the full id of the commit
    that the author made it on; each is empty where nobody says. ``notes`` tell how the patches
    were found where that was not plain, a line each: which of several versions was taken.
    """

    name: str
    patches: tuple[Patch, ...]
    meta: SeriesMeta
    title: str = ""
    base_commit: str = ""
    notes: tuple[str, ...] = ()


def parse_series_meta(text: str, *, filename: str) -> SeriesMeta:
    """Read a series.yaml; raises :class:`PlanError` with one line that says what is wrong."""
    return parse_yaml(text, SeriesMeta, filename=filename)


def parse_series_file(text: str, *, filename: str) -> tuple[str, ...]:
    """Return the patches that a quilt ``series`` file lists, as paths relative to it."""
    names: list[str] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        name, *options = raw.split("#", 1)[0].split() or [""]
        if not name:
            continue
        where = f"{filename}:{number}"
        if options not in ([], ["-p1"]):
            raise SeriesError(f"{where}: {' '.join(options)!r}: patches are applied with -p1 only")
        if name in names:
            raise SeriesError(f"{where}: {name} is listed twice")
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise SeriesError(f"{where}: {name} is outside the series' folder")
        names.append(name)
    if not names:
        raise SeriesError(f"{filename}: lists no patch")
    return tuple(names)


def list_patches(stack: Sequence[Series]) -> tuple[Patch, ...]:
    """Return the patches of all series of a ``stack``, in their order."""
    return tuple(patch for series in stack for patch in series.patches)


def leave_out(stack: Sequence[Series], numbers: Collection[int]) -> tuple[Series, ...]:
    """Return the ``stack`` less the patches of these numbers, from 1, and the series left empty."""
    number = itertools.count(1)
    kept = (
        replace(series, patches=tuple(p for p in series.patches if next(number) not in numbers))
        for series in stack
    )
    return tuple(series for series in kept if series.patches)


def take_patches(stack: Sequence[Series], count: int) -> tuple[Series, ...]:
    """Return the ``stack`` with its first ``count`` patches alone, less the series left empty.

    ``count`` is from 0 to the number of all its patches. Options that a later patch adds are not
    asked for.
    """
    patches = list_patches(stack)
    if not 0 <= count <= len(patches):
        raise ValueError(f"{count} of {len(patches)} patches")
    to_come = {name for patch in patches[count:] for name in find_added_options(patch)}
    taken: list[Series] = []
    for series in stack:
        kept = series.patches[:count]
        count -= len(kept)
        if kept:
            taken.append(replace(series, patches=kept, meta=_less_options(series.meta, to_come)))
    return tuple(taken)


def list_features(part: Sequence[Series], stack: Sequence[Series]) -> tuple[str, ...]:
    """Return what the series of ``stack`` provide that are whole in ``part`` of it."""
    patches = set(list_patches(part))
    whole = [series for series in stack if patches.issuperset(series.patches)]
    return tuple(name for series in whole for name in series.meta.provides)


def format_own_options(stack: Sequence[Series]) -> str:
    """Return a kconfig fragment of the options that the series of a ``stack`` add themselves."""
    options = dict.fromkeys(option for series in stack for option in series.meta.options)
    return "".join(f"CONFIG_{option.removeprefix('CONFIG_')}\n" for option in options)


def _less_options(meta: SeriesMeta, names: Collection[str]) -> SeriesMeta:
    kept = (o for o in meta.options if o.removeprefix("CONFIG_").split("=")[0] not in names)
    return meta.model_copy(update={"options": tuple(kept)})
