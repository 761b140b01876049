"""What the stages of a check work with: the kernels of a series' states, and the report so far."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from testbed.core.check import Finding, FindingKind, PatchCheck, VariantCheck
from testbed.core.compiler_warnings import CompilerMessage
from testbed.core.series import Patch, Series, list_patches, take_patches
from testbed.core.text import clean
from testbed.host.builder import Builder, BuildRequest
from testbed.host.kbuild import X86_64
from testbed.host.objects import ObjectOutcome, ObjectRequest

W1: Final = ("W=1",)
"""What maintainers ask for: kbuild's first level of further warnings."""
MAX_INCLUDERS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Another configuration: (name, text) ``fragments`` on top of the plan's, and make's ARCH."""

    name: str
    fragments: tuple[tuple[str, str], ...]
    arch: str = X86_64


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A stack of series on a source; the state ``count`` is the source with so many patches.

    ``request`` is the base's. ``make_builder`` gives a builder whose progress has a label. Of the
    files that include a touched header ``max_includers`` are compiled at most.
    """

    stack: tuple[Series, ...]
    request: BuildRequest
    variants: tuple[Variant, ...]
    make_builder: Callable[[str], Builder]
    say: Callable[[str], None]
    max_includers: int = MAX_INCLUDERS

    @cached_property
    def patches(self) -> tuple[Patch, ...]:
        """All patches, in their order."""
        return list_patches(self.stack)

    def request_at(self, count: int) -> BuildRequest:
        """Return the request of the kernel with the first ``count`` patches.

        It asks for the options that the series add, as far as they are there by then.
        """
        return replace(self.request, series=take_patches(self.stack, count))

    def compile(
        self,
        count: int,
        targets: Sequence[str],
        *,
        flags: Sequence[str] = W1,
        variant: Variant | None = None,
        checker: str = "",
    ) -> ObjectOutcome:
        """Compile objects of a state, in the plan's configuration or in a variant."""
        request = self.request_at(count)
        where = f"objects after patch {count}" if count else "objects of the base"
        if variant is not None:
            request = replace(request, fragments=(*request.fragments, *variant.fragments))
            where = f"{where}, {variant.name}"
        return self.make_builder(where).compile(
            ObjectRequest(
                build=request,
                targets=tuple(targets),
                flags=tuple(flags),
                arch=variant.arch if variant else X86_64,
                checker=checker,
            )
        )


@dataclass(kw_only=True)
class Draft:
    """A report that is being written; the number of a patch counts from 1."""

    rows: list[PatchCheck]
    variants: list[VariantCheck] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def begin(cls, patches: Sequence[Patch]) -> "Draft":
        """Return a draft in which nothing has been looked at."""
        return cls(
            rows=[
                PatchCheck(number=number, filename=patch.filename, subject=patch.subject)
                for number, patch in enumerate(patches, start=1)
            ]
        )

    def row(self, number: int) -> PatchCheck:
        """Return what is known of a patch."""
        return self.rows[number - 1]

    def put(self, row: PatchCheck) -> None:
        """Put ``row`` in the place of what was known of its patch."""
        self.rows[row.number - 1] = row

    def note(self, line: str) -> None:
        """Add a line about what was looked at; each is told once."""
        if line not in self.notes:
            self.notes.append(line)

    def find(
        self,
        kind: FindingKind,
        title: str,
        *,
        number: int | None = None,
        detail: str = "",
        is_blocking: bool = True,
    ) -> None:
        """Add a finding, of one patch if its ``number`` is known."""
        self.findings.append(
            Finding(
                kind=kind,
                title=clean(title),
                detail=clean(detail),
                patch_number=number,
                patch=self.row(number).subject if number else "",
                is_blocking=is_blocking,
            )
        )


def attribute(message: CompilerMessage, patches: Sequence[Patch]) -> int | None:
    """Return the number of the one patch that touches the file of ``message``, if it is one."""
    numbers = [n for n, patch in enumerate(patches, start=1) if message.file in patch.touched]
    return numbers[0] if len(numbers) == 1 else None
