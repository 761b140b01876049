"""What a report shows of a run that tested every patch: what each patch did."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from testbed.core.exit_code import did_boot, did_build
from testbed.core.record import CellRecord, Culprit, PatchRecord, Role, RunRecord
from testbed.report.text import clean_text, count, join_line
from testbed.report.view import split_id

_NAMED_TESTS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """A patch, and the kernel that ends with it.

    ``trouble`` is why there are no verdicts on it; ``blamed`` tests that it made fail, for certain
    or, where patches before it could not be tested, ``perhaps``; ``mended`` those good again.
    """

    patch: PatchRecord
    trouble: str
    blamed: tuple[Culprit, ...]
    perhaps: tuple[Culprit, ...]
    mended: tuple[Culprit, ...]

    @property
    def tone(self) -> str:
        """How bad it is: ``bad``, ``warn``, ``good`` or ``calm``."""
        if self.trouble or self.blamed:
            return "bad"
        return "warn" if self.perhaps else "good" if self.mended else "calm"


def list_steps(record: RunRecord) -> tuple[StepRow, ...]:
    """Return a row for each patch; none where not every patch was tested."""
    if not record.steps:
        return ()
    final = [cell for cell in record.cells if cell.kernel.role is Role.PATCHED]
    troubles = {
        step.patch: _find_trouble(step.kernel.failure, step.cells)
        for step in record.steps
        if not step.without
    }
    failure = next((cell.kernel.failure for cell in final if not did_build(cell)), "")
    troubles[record.patches[-1]] = _find_trouble(failure, final)
    return tuple(
        StepRow(
            patch=patch,
            trouble=troubles.get(patch, ""),
            blamed=tuple(c for c in record.culprits if c.suspects == (patch,)),
            perhaps=tuple(
                c for c in record.culprits if len(c.suspects) > 1 and patch in c.suspects
            ),
            mended=tuple(c for c in record.culprits if c.mended_by == patch),
        )
        for patch in record.patches
    )


def describe_step(row: StepRow) -> str:
    """Return what a patch did in a few words."""
    told = [
        join_line(clean_text(row.trouble)),
        *(
            f"{label}: {_name_tests(culprits)}"
            for label, culprits in (
                ("made to fail", row.blamed),
                ("perhaps made to fail", row.perhaps),
                ("mended", row.mended),
            )
            if culprits
        ),
    ]
    return "; ".join(filter(None, told)) or "nothing"


def _name_tests(culprits: Sequence[Culprit]) -> str:
    topologies: dict[str, list[str]] = {}
    for one in culprits:
        topologies.setdefault(split_id(one.test)[1], []).append(one.topology)
    names = [clean_text(f"{test} ({', '.join(where)})") for test, where in topologies.items()]
    more = len(names) - _NAMED_TESTS
    shown = ", ".join(names[:_NAMED_TESTS])
    return f"{shown} and {count(more, 'more test')}" if more > 0 else shown


def _find_trouble(failure: str, cells: Sequence[CellRecord]) -> str:
    if failure:
        return f"did not build: {failure}"
    down = [cell for cell in cells if not did_boot(cell)]
    titles = (f": {cell.boot_crash.title}" if cell.boot_crash else "" for cell in down)
    return "; ".join(
        f"did not boot on {cell.topology}{title}" for cell, title in zip(down, titles, strict=True)
    )
