"""One measured claim, and the table of them."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

_COLUMNS = ("what", "median", "min", "max", "compared with", "median", "ratio", "target", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One claim; samples and reference are in ``unit``.

    ``limit`` bounds the median of the samples, ``ratio_limit`` the ratio of the two medians; a row
    with neither is measured for its own sake. With ``is_floor`` the bounds are from below.
    """

    name: str
    what: str
    samples: tuple[float, ...]
    versus: str = ""
    reference: tuple[float, ...] = ()
    unit: str = "s"
    limit: float | None = None
    ratio_limit: float | None = None
    is_floor: bool = False

    @property
    def median(self) -> float:
        """The median of the samples."""
        return statistics.median(self.samples)

    @property
    def ratio(self) -> float | None:
        """How many times the reference the claim took, median by median."""
        return self.median / statistics.median(self.reference) if self.reference else None

    @property
    def is_met(self) -> bool | None:
        """Whether every target is met; None where there is none."""
        pairs = [(self.median, self.limit), (self.ratio, self.ratio_limit)]
        held = [
            value >= bound if self.is_floor else value <= bound
            for value, bound in pairs
            if value is not None and bound is not None
        ]
        return all(held) if held else None

    @property
    def target(self) -> str:
        """The targets in words."""
        parts = []
        if self.limit is not None:
            parts.append(f"{self.limit:g} {self.unit}")
        if self.ratio_limit is not None:
            parts.append(f"ratio {self.ratio_limit:g}")
        return ", ".join(parts)


def render(rows: Sequence[Row]) -> Table:
    """Return the table of ``rows``."""
    table = Table(box=None, pad_edge=False)
    for column in _COLUMNS:
        table.add_column(column)
    for row in rows:
        values = (row.median, min(row.samples), max(row.samples))
        table.add_row(
            row.what,
            *(f"{value:.3g} {row.unit}" for value in values),
            row.versus,
            f"{statistics.median(row.reference):.3g} {row.unit}" if row.reference else "",
            f"{row.ratio:.3f}" if row.ratio is not None else "",
            row.target,
            {True: "met", False: "not met", None: ""}[row.is_met],
        )
    return table
