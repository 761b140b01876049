"""What a guest test declares about itself besides its needs.

Whether it is quick, which items of the contract, which promises and which cells of the coverage
matrix it asserts, and on which kernels it is known to fail. A C test says so for its cases by globs
over their names, in the block that says its needs; a Python test by markers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product
from typing import Annotated, Final

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.functional_validators import AfterValidator, BeforeValidator

from testbed.core.kernel_range import check_range, is_in_range
from testbed.core.strict_yaml import Model, StrictModel, describe_invalid
from testbed.core.text import shorten_middle
from testbed.errors import PlanError

_SHOWN_CASES_CHARS: Final = 300
_MAX_LINE_CHARS: Final = 300


def _wrap(value: object) -> object:
    """Let one name stand for a list of it."""
    return (value,) if isinstance(value, str) else value


def _check_line(text: str) -> str:
    if "\n" in text or text != text.strip():
        raise ValueError("one line, without blanks around it")
    return text


Glob = Annotated[str, Field(pattern=r"^[\w.*?]+$")]
Globs = Annotated[tuple[Glob, ...], BeforeValidator(_wrap), Field(min_length=1)]
Item = Annotated[int, Field(ge=1, le=99)]
Items = Annotated[tuple[Item, ...], Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(-[a-z0-9_]+)*$")]
Names = Annotated[tuple[Name, ...], BeforeValidator(_wrap), Field(min_length=1)]
Line = Annotated[str, Field(min_length=1, max_length=_MAX_LINE_CHARS), AfterValidator(_check_line)]
Range = Annotated[str, AfterValidator(check_range)]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class CoverageCell:
    """A cell of the coverage matrix."""

    interface: str
    backing: str
    condition: str


class Known(StrictModel):
    """An issue of the kernels in the range ``kernels``, for which a test fails there.

    ``why`` is a sentence; ``commit`` is the commit or the version that made or mended it.
    """

    kernels: Range
    why: Line
    commit: Line

    def __str__(self) -> str:
        return f"{self.why} ({self.commit})"


class _Product(StrictModel):
    interface: Names
    backing: Names
    condition: Names

    @property
    def cells(self) -> frozenset[CoverageCell]:
        lists = product(self.interface, self.backing, self.condition)
        return frozenset(CoverageCell(interface=i, backing=b, condition=c) for i, b, c in lists)


class _Covers(_Product):
    cases: Globs


class _KnownCases(Known):
    cases: Globs


class DeclaredKeys(StrictModel):
    """The keys of a C test's block that say of its cases what they are."""

    quick: Globs = ()
    contract: dict[Item, Globs] = Field(default_factory=dict)
    promises: dict[Name, Globs] = Field(default_factory=dict)
    covers: tuple[_Covers, ...] = ()
    known: tuple[_KnownCases, ...] = ()

    def list_globs(self) -> tuple[tuple[str, str], ...]:
        """Return (key, glob) for every glob, the key as an error names it."""
        groups: list[tuple[str, Sequence[str]]] = [("quick", self.quick)]
        groups += [(f"contract.{item}", globs) for item, globs in self.contract.items()]
        groups += [(f"promises.{name}", globs) for name, globs in self.promises.items()]
        groups += [(f"covers[{n}].cases", entry.cases) for n, entry in enumerate(self.covers)]
        groups += [(f"known[{n}].cases", entry.cases) for n, entry in enumerate(self.known)]
        return tuple((f"{key}[{n}]", glob) for key, globs in groups for n, glob in enumerate(globs))


class _CoversMarker(StrictModel):
    """The keywords of the marker ``covers``; the three axes go together."""

    interface: Names | None = None
    backing: Names | None = None
    condition: Names | None = None
    contract: Items = ()
    promises: Names = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What one test declares."""

    is_quick: bool = False
    contract: tuple[int, ...] = ()
    promises: tuple[str, ...] = ()
    cells: frozenset[CoverageCell] = frozenset()
    known: tuple[Known, ...] = ()

    def find_known(self, release: str) -> Known | None:
        """Return the issue for which the test fails on the kernel ``release``, if it is known."""
        return next((one for one in self.known if is_in_range(release, one.kernels)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredTest:
    """A test by its id, and what it declares."""

    id: str
    declared: Declared


_TESTS: Final = TypeAdapter(tuple[DeclaredTest, ...])


def dump_tests(tests: Iterable[DeclaredTest]) -> str:
    """Return JSON for :func:`load_tests`."""
    return _TESTS.dump_json(tuple(tests)).decode() + "\n"


def load_tests(text: str) -> tuple[DeclaredTest, ...]:
    """Read what :func:`dump_tests` wrote; raises :class:`ValueError` where it is something else."""
    return _TESTS.validate_json(text)


def declare_case(keys: DeclaredKeys, name: str) -> Declared:
    """Return what ``keys`` say of the case ``name``, written as for the harness's option ``-r``."""
    covers = [entry.cells for entry in keys.covers if _fits(name, entry.cases)]
    return Declared(
        is_quick=_fits(name, keys.quick),
        contract=tuple(sorted(n for n, globs in keys.contract.items() if _fits(name, globs))),
        promises=tuple(p for p, globs in keys.promises.items() if _fits(name, globs)),
        cells=frozenset[CoverageCell]().union(*covers),
        known=tuple(
            Known(kernels=entry.kernels, why=entry.why, commit=entry.commit)
            for entry in keys.known
            if _fits(name, entry.cases)
        ),
    )


def check_globs(keys: DeclaredKeys, names: Iterable[str], *, filename: str) -> None:
    """Raise :class:`PlanError` where a glob fits none of the cases ``names``."""
    cases = tuple(names)
    for key, glob in keys.list_globs():
        if not any(fnmatchcase(name, glob) for name in cases):
            shown = shorten_middle(", ".join(cases), width=_SHOWN_CASES_CHARS)
            raise PlanError(
                f"{filename}: key 'testbed.{key}': {glob!r} fits no case of this file; "
                f"its cases: {shown or 'none'}"
            )


def parse_markers(
    covers: Iterable[Mapping[str, object]],
    known: Iterable[Mapping[str, object]],
    *,
    is_quick: bool,
    filename: str,
) -> Declared:
    """Read the keywords of a Python test's markers ``covers`` and ``known``.

    What several markers say is added up. Raises :class:`PlanError`.
    """
    contract: set[int] = set()
    promises: list[str] = []
    cells: set[CoverageCell] = set()
    for keywords in covers:
        marker = _read_marker("covers", _CoversMarker, keywords, filename=filename)
        contract.update(marker.contract)
        promises += marker.promises
        cells |= _list_cells(marker, filename=filename)
    return Declared(
        is_quick=is_quick,
        contract=tuple(sorted(contract)),
        promises=tuple(dict.fromkeys(promises)),
        cells=frozenset(cells),
        known=tuple(_read_marker("known", Known, one, filename=filename) for one in known),
    )


def _list_cells(marker: _CoversMarker, *, filename: str) -> frozenset[CoverageCell]:
    axes = {"interface": marker.interface, "backing": marker.backing, "condition": marker.condition}
    missing = [axis for axis, names in axes.items() if names is None]
    if len(missing) == len(axes):
        return frozenset()
    if missing:
        raise PlanError(f"{filename}: marker 'covers': key {missing[0]!r} is missing")
    return _Product.model_validate(axes).cells


def _read_marker(
    name: str, model: type[Model], keywords: Mapping[str, object], *, filename: str
) -> Model:
    frozen = {key: tuple(v) if isinstance(v, list) else v for key, v in keywords.items()}
    try:
        return model.model_validate(frozen)
    except ValidationError as err:
        described = describe_invalid(err.errors()[0], model)
        raise PlanError(f"{filename}: marker {name!r}: {described}") from err


def _fits(name: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)
