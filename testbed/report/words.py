"""The words and tones in which reports tell verdicts and changes."""

from collections.abc import Mapping
from typing import Final

from testbed.core.record import ChangeKind, RunRecord
from testbed.core.result import Verdict

KIND_MEANINGS: Final[Mapping[ChangeKind, str]] = {
    ChangeKind.REGRESSED: "passed on the base, fails on the patched kernel; or fails worse",
    ChangeKind.NEW_FAILING: "did not run on the base, fails on the patched kernel",
    ChangeKind.GONE: "ran on the base, is skipped or missing on the patched kernel",
    ChangeKind.LOST: "the host failed on one side, so nothing can be said of the kernel",
    ChangeKind.STILL_FAILING: "failed on the base already, and fails in no worse way",
    ChangeKind.FIXED: "failed on the base, passes on the patched kernel",
    ChangeKind.NEW: "did not run on the base, passes on the patched kernel",
    ChangeKind.KNOWN: "fails as is declared of this kernel, and did no better on the base",
    ChangeKind.STILL_SKIPPED: "ran on neither",
    ChangeKind.STILL_PASSING: "passes on both",
}

VERDICT_MEANINGS: Final[Mapping[Verdict, str]] = {
    Verdict.PASSED: "every assertion held",
    Verdict.SKIPPED: "the test said that it cannot run here",
    Verdict.KNOWN: "an assertion did not hold, for a reason that is declared for this kernel",
    Verdict.FAILED: "an assertion did not hold",
    Verdict.CRASHED: "the kernel printed a splat: an oops, a panic, a warning, a lockup",
    Verdict.TIMED_OUT: "the test did not end in its time",
    Verdict.BOOT_FAILED: "the kernel did not come up",
    Verdict.BUILD_FAILED: "the kernel did not compile",
    Verdict.LOST: "the host failed, not the kernel",
}

_HEADLINES: Final[Mapping[int, str]] = {
    0: "Nothing regressed",
    1: "Regressed",
    2: "The request could not be carried out",
    3: "A kernel did not build or boot",
    69: "No verdict",
    70: "A bug in the testbed",
}
_SINGLE_HEADLINES: Final[Mapping[int, str]] = {0: "Passed", 1: "Failed"}
_TONES: Final[Mapping[ChangeKind | Verdict | None, str]] = {
    ChangeKind.REGRESSED: "bad",
    ChangeKind.NEW_FAILING: "bad",
    ChangeKind.GONE: "bad",
    ChangeKind.LOST: "warn",
    ChangeKind.STILL_FAILING: "warn",
    ChangeKind.FIXED: "good",
    ChangeKind.NEW: "info",
    ChangeKind.KNOWN: "warn",
    Verdict.PASSED: "good",
    Verdict.KNOWN: "warn",
    Verdict.FAILED: "bad",
    Verdict.CRASHED: "bad",
    Verdict.TIMED_OUT: "bad",
    Verdict.BOOT_FAILED: "bad",
    Verdict.BUILD_FAILED: "bad",
    Verdict.LOST: "warn",
}


def headline(record: RunRecord) -> str:
    """Return the verdict of the run in a few words."""
    special = {} if record.comparison else _SINGLE_HEADLINES
    return special.get(record.exit_code) or _HEADLINES.get(
        record.exit_code, f"Ended with exit code {record.exit_code}"
    )


def label_kind(kind: ChangeKind) -> str:
    """Return ``still failing`` for STILL_FAILING."""
    return kind.value.replace("_", " ")


def label_verdict(verdict: Verdict | None) -> str:
    """Return ``timed out`` for TIMED_OUT, ``not run`` for a test that was not there."""
    return verdict.value.replace("_", " ") if verdict else "not run"


def tone_of(what: ChangeKind | Verdict | None) -> str:
    """Return how bad a change or verdict is: ``bad``, ``warn``, ``good``, ``info``, ``calm``."""
    return _TONES.get(what, "calm")
