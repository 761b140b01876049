"""From events to results: nothing that was planned is ever forgotten."""

import pytest

from testbed.core.assemble import collect_results, fail_unhosted, find_unhosted
from testbed.core.events import (
    BootFailed,
    Broken,
    Collected,
    Event,
    Finished,
    NotApplicable,
    Started,
    dump_event,
    read_events,
)
from testbed.core.result import Crash, Metric, TestResult, Verdict

CRASH = Crash(title="Kernel panic: no", kind="panic", frames=("panic",), excerpt="text")
PASSED = TestResult(
    id="a", verdict=Verdict.PASSED, seconds=1.5, metrics=(Metric(name="m", value=2.0, unit="us"),)
)


def test_a_planned_test_that_did_not_end_is_lost() -> None:
    results = collect_results([Collected(ids=("a", "b")), Started(id="a"), Finished(result=PASSED)])
    assert [(r.id, r.verdict) for r in results] == [("a", Verdict.PASSED), ("b", Verdict.LOST)]
    assert "ended before it" in results[1].message


def test_without_a_boot_every_test_is_boot_failed() -> None:
    results = collect_results([Collected(ids=("a", "b")), BootFailed(crash=CRASH)])
    assert {r.verdict for r in results} == {Verdict.BOOT_FAILED}
    assert results[0].message == "Kernel panic: no"


def test_a_broken_cell_says_why_its_tests_are_lost() -> None:
    (result,) = collect_results([Collected(ids=("a",)), Broken(reason="no QEMU")])
    assert (result.verdict, result.message) == (Verdict.LOST, "no QEMU")


def test_a_test_that_no_topology_can_host_is_a_failure() -> None:
    small = Collected(ids=("a",), not_applicable=(NotApplicable(id="b", reason="needs 5 nodes"),))
    large = Collected(ids=("a", "b"))
    assert find_unhosted([[small], [large]]) == ()
    (entry,) = find_unhosted([[small], [small]])
    result = fail_unhosted(entry)
    assert result.verdict is Verdict.FAILED
    assert "needs 5 nodes" in result.message


@pytest.mark.parametrize(
    "event",
    [
        Collected(ids=("a",), not_applicable=(NotApplicable(id="b", reason="r"),)),
        BootFailed(crash=CRASH),
        Finished(result=PASSED),
        Started(id="x"),
        Broken(reason="\x00\x1b[31m</script>"),
    ],
)
def test_events_survive_the_file(event: Event) -> None:
    line = dump_event(event)
    assert line.count("\n") == 1
    assert read_events([line]) == (event,)


def test_only_the_last_line_may_be_cut_short() -> None:
    whole = dump_event(Started(id="x"))
    assert read_events([whole, whole[:10]]) == (Started(id="x"),)
    with pytest.raises(ValueError, match="Invalid JSON"):
        read_events([whole[:10], whole])
