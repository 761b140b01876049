"""What a guest test needs of a machine and of a kernel, as the test itself declares it.

A C test says so in its top comment, in YAML from a line ``testbed:`` on; a Python test by the
marker ``needs``. See CONTRIBUTING.md for the keys. The same block has what the cases of a C test
declare besides: see :mod:`testbed.core.declared`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Final

from pydantic import Field, ValidationError
from pydantic.functional_validators import AfterValidator

from testbed.core.declared import Declared, DeclaredKeys, check_globs, declare_case
from testbed.core.kernel_range import is_in_range
from testbed.core.strict_yaml import StrictModel, describe_invalid, parse_yaml
from testbed.core.text import shorten_middle
from testbed.errors import PlanError

_SHOWN_CASES_CHARS: Final = 300
_EXAMPLE: Final = "testbed:, then indented keys such as nodes: 2"

# White space and comments: all that may stand before the code.
_TOP_COMMENT: Final = re.compile(r"\s+|//[^\n]*|/\*(?P<body>.*?)\*/", re.DOTALL)
_HEADING: Final = re.compile(r"^[ \t]*\*?[ \t]*testbed:", re.MULTILINE)
_LINE_START: Final = re.compile(r"^[ ]*\*", re.MULTILINE)


def _check_option(name: str) -> str:
    if name.startswith("CONFIG_"):
        raise ValueError(f"options are named without CONFIG_: {name.removeprefix('CONFIG_')}")
    return name


_SINCE: Final = " since "
Option = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_]+( since \d+\.\d+)?$"), AfterValidator(_check_option)
]
Feature = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
CaseGlob = Annotated[str, Field(pattern=r"^[\w*?]+(\.[\w*?]+){1,2}$")]
Nodes = Annotated[int, Field(ge=1, le=64)]
EmptyNodes = Annotated[int, Field(ge=0, le=64)]
DimmSlots = Annotated[int, Field(ge=0, le=256)]
VirtioMems = Annotated[int, Field(ge=0, le=16)]
SwapMib = Annotated[int, Field(ge=0)]
Tiers = Annotated[int, Field(ge=1, le=64)]
Seconds = Annotated[float, Field(gt=0, le=3600)]


class Scope(StrEnum):
    """Who has a guest: each test its own, or the tests of a file one, until one of them fails.

    Where tests run side by side, each worker has a guest for the file.
    """

    TEST = "test"
    FILE = "file"


class Start(StrEnum):
    """How a guest comes to be: restored from the state after a boot, or booted for the test."""

    RESTORED = "restored"
    COLD = "cold"


class Needs(StrictModel):
    """The needs of one test.

    ``nodes`` have memory at boot, ``memoryless`` a CPU and no memory, ``empty_nodes`` neither;
    ``dimm_slots`` are empty; ``virtio_mem`` counts devices; ``swap_mib`` is the space on swap
    disks; ``tiers`` are memory tiers, those that an HMAT makes. ``kconfig`` are options without
    ``CONFIG_``; of ``X since 6.12`` older kernels are not asked.
    ``features`` are what a patch series provides; ``timeout_s`` is seconds a case. ``scope`` and
    ``start`` say which guest it gets.
    """

    nodes: Nodes = 1
    memoryless: EmptyNodes = 0
    empty_nodes: EmptyNodes = 0
    dimm_slots: DimmSlots = 0
    virtio_mem: VirtioMems = 0
    swap_mib: SwapMib = 0
    tiers: Tiers = 1
    kconfig: tuple[Option, ...] = ()
    features: tuple[Feature, ...] = ()
    timeout_s: Seconds = 60.0
    scope: Scope = Field(default=Scope.TEST, strict=False)
    start: Start = Field(default=Start.RESTORED, strict=False)


class _CaseNeeds(StrictModel):
    """What some cases need besides: lists are added to the file's, numbers replace them."""

    nodes: Nodes | None = None
    memoryless: EmptyNodes | None = None
    empty_nodes: EmptyNodes | None = None
    dimm_slots: DimmSlots | None = None
    virtio_mem: VirtioMems | None = None
    swap_mib: SwapMib | None = None
    tiers: Tiers | None = None
    kconfig: tuple[Option, ...] = ()
    features: tuple[Feature, ...] = ()
    timeout_s: Seconds | None = None
    scope: Scope | None = Field(default=None, strict=False)
    start: Start | None = Field(default=None, strict=False)


class _Block(DeclaredKeys, Needs):
    cases: dict[CaseGlob, _CaseNeeds] = Field(default_factory=dict)


class _Document(StrictModel):
    testbed: _Block


def list_options(needs: Needs, *, release: str) -> tuple[str, ...]:
    """Return the names of the options that a kernel of ``release`` is to have.

    One whose release is not known is to have all.
    """
    asked = (option.partition(_SINCE) for option in needs.kconfig)
    return tuple(
        name for name, _, since in asked if not since or not is_in_range(release, f"<{since}")
    )


def allow_time(needs: Needs, *, slowness: int) -> Needs:
    """Return ``needs`` with the time of a case on a kernel that is so many times slower."""
    return needs.model_copy(update={"timeout_s": needs.timeout_s * slowness})


@dataclass(frozen=True, slots=True, kw_only=True)
class FileNeeds:
    """The needs of a C test file; ``own`` are those of cases that say something themselves.

    A name in ``own`` may hold ``*`` and ``?``; where several mean a case, the last has the last
    word. ``declared`` is what the file says of its cases besides.
    """

    filename: str
    common: Needs
    own: tuple[tuple[str, _CaseNeeds], ...] = ()
    declared: DeclaredKeys = field(default_factory=DeclaredKeys)

    def for_case(self, name: str) -> Needs:
        """Return the needs of the case ``name``, written as for the harness's option ``-r``."""
        needs = self.common
        for glob, more in self.own:
            if fnmatchcase(name, glob):
                needs = _merge(needs, more)
        return needs

    def declare(self, name: str) -> Declared:
        """Return what is declared of the case ``name``."""
        return declare_case(self.declared, name)

    def check_cases(self, names: Iterable[str]) -> None:
        """Raise :class:`PlanError` where a case is spoken of that is not among ``names``."""
        known = tuple(names)
        for glob, _ in self.own:
            if not any(fnmatchcase(name, glob) for name in known):
                shown = shorten_middle(", ".join(known), width=_SHOWN_CASES_CHARS)
                raise PlanError(
                    f"{self.filename}: key 'testbed.cases': {glob!r} is no case of this file; "
                    f"its cases: {shown or 'none'}"
                )
        check_globs(self.declared, known, filename=self.filename)


def parse_needs(source: str, *, filename: str) -> FileNeeds:
    """Read what the C test ``source`` declares in its top comment.

    Raises :class:`PlanError` with one line that names the file, the key, the value and what is
    allowed; line numbers are those of ``source``.
    """
    text = _find_block(source, filename)
    block = parse_yaml(text, _Document, filename=filename).testbed
    common = Needs(**{key: getattr(block, key) for key in Needs.model_fields})
    own = tuple(block.cases.items())
    return FileNeeds(filename=filename, common=common, own=own, declared=block)


def parse_marker_needs(keywords: Mapping[str, object], *, filename: str) -> Needs:
    """Read the keywords of a Python test's marker ``needs``; raises :class:`PlanError`."""
    frozen = {key: tuple(v) if isinstance(v, list) else v for key, v in keywords.items()}
    try:
        return Needs.model_validate(frozen)
    except ValidationError as err:
        described = describe_invalid(err.errors()[0], Needs)
        raise PlanError(f"{filename}: marker 'needs': {described}") from err


def _find_block(source: str, filename: str) -> str:
    """Return the YAML of the top comment, each line of it where it is in ``source``."""
    position = 0
    while match := _TOP_COMMENT.match(source, position):
        position = match.end()
        headings = list(_HEADING.finditer(match["body"] or ""))
        if len(headings) > 1:
            raise PlanError(f"{filename}: two lines 'testbed:' in the top comment: keep one")
        if headings:
            start = match.start("body") + headings[0].start()
            yaml = _LINE_START.sub(lambda m: " " * len(m[0]), source[start : match.end("body")])
            return "\n" * source.count("\n", 0, start) + yaml.rstrip()
    raise PlanError(
        f"{filename}: the top comment has no line 'testbed:' that says what the test needs "
        f"({_EXAMPLE})"
    )


def _merge(common: Needs, case: _CaseNeeds) -> Needs:
    numbers = case.model_dump(exclude={"kconfig", "features"}, exclude_none=True)
    lists = {
        "kconfig": tuple(dict.fromkeys(common.kconfig + case.kconfig)),
        "features": tuple(dict.fromkeys(common.features + case.features)),
    }
    return common.model_copy(update={**numbers, **lists})
