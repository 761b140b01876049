"""Whether a C case failed by what it checks, and in no other way."""

import re
from typing import Final

from testbed.core.ktap import KtapRun
from testbed.core.ktap_line import EXPECTATION, Outcome

_KSFT_FAIL: Final = 1  # exit status, tools/testing/selftests/kselftest.h, 6.12
# What kselftest_harness.h (6.12) says of a case that did not end by itself. One that was
# "terminated by assertion" did: that is an ASSERT that failed.
_CUT_SHORT: Final = re.compile(
    r"(?:# )?\S+: Test (?:terminated (?:by timeout|unexpectedly)|ended in|exited normally)"
)


def is_plain_failure(run: KtapRun, name: str, *, exit_status: int) -> bool:
    """Whether the case ``name`` came to its end, and all that speaks against it is what it checked.

    That is, expectations that failed and pages that were elsewhere. A case that hangs, is killed or
    talks nonsense has failed in a way that nobody can have foreseen.
    """
    case = next((case for case in run.cases if case.name == name), None)
    if case is None or exit_status not in (0, _KSFT_FAIL) or run.problems or len(run.cases) != 1:
        return False
    is_checked = any(EXPECTATION.match(line) for line in case.diagnostics)
    is_misplaced = any(not placement.is_as_expected for placement in case.placements)
    is_cut_short = any(_CUT_SHORT.match(line) for line in case.diagnostics)
    return case.outcome is Outcome.FAIL and (is_checked or is_misplaced) and not is_cut_short
