"""What one test on one cell came to: its verdict and what it measured."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a test ended. FAILED and below are the kernel's fault; LOST is the host's.

    KNOWN is a failure that the test declares for the kernels of some versions.
    """

    PASSED = "passed"
    SKIPPED = "skipped"
    KNOWN = "known"
    FAILED = "failed"
    CRASHED = "crashed"
    TIMED_OUT = "timed_out"
    BOOT_FAILED = "boot_failed"
    BUILD_FAILED = "build_failed"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One measured number, for instance ``Metric(name="move", value=12.5, unit="us/page")``."""

    name: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCount:
    """How many pages lie on a node; ``node`` is -1 for pages that are not present."""

    node: int
    pages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a test expected the pages of one mapping, and where they were seen."""

    what: str
    expected: tuple[NodeCount, ...]
    seen: tuple[NodeCount, ...]

    @property
    def is_as_expected(self) -> bool:
        """Whether every node holds as many pages as was expected of it."""
        return {(c.node, c.pages) for c in self.expected if c.pages} == {
            (c.node, c.pages) for c in self.seen if c.pages
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """A splat found on a console.

    ``title`` is normalised (no addresses, PIDs or offsets), so that the same crash has the same
    title on two runs; ``kind`` is a short class such as ``panic``, ``oops``, ``warning``,
    ``lockup``; ``frames`` are the functions of the call trace, innermost first; ``excerpt`` is the
    console text that it was read from.
    """

    title: str
    kind: str
    frames: tuple[str, ...]
    excerpt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    """A file of the run directory; ``path`` is relative to it."""

    kind: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """The end of one test; ``seconds`` is wall time on the host.

    ``known`` says why the test is declared to fail on this kernel, if it is: it then ended as
    KNOWN, or it passed, and the declaration may be out of date.
    """

    __test__ = False  # pytest would take the class name for a test's

    id: str
    verdict: Verdict
    seconds: float
    message: str = ""
    metrics: tuple[Metric, ...] = ()
    placements: tuple[Placement, ...] = ()
    crash: Crash | None = None
    logs: tuple[LogFile, ...] = ()
    known: str = ""
