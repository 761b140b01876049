from collections.abc import Iterable

import pytest

from testbed.core.compare import compare_cells
from testbed.core.exit_code import decide_exit, did_boot, did_build
from testbed.core.record import Role, RunRecord
from testbed.core.result import Verdict
from testbed.tests.unit.records import (
    BOOT_PANIC,
    MEMORYLESS,
    SIDES,
    TWO_NODES,
    boot_failure_run,
    build_failure_run,
    clean_run,
    make_cell,
    make_test,
    single_kernel_run,
)


def decide(base: Iterable[str], patched: Iterable[str]) -> tuple[int, str]:
    """Decide about one cell on each side with tests of these verdicts, in order."""
    sides = [
        [make_cell([make_test(str(n), Verdict(v)) for n, v in enumerate(verdicts)], role=role)]
        for role, verdicts in ((Role.BASE, base), (Role.PATCHED, patched))
    ]
    return decide_exit([*sides[0], *sides[1]], compare_cells(*sides))


def decide_single(*verdicts: str) -> tuple[int, str]:
    """Decide about one kernel alone."""
    cell = make_cell([make_test(str(n), Verdict(v)) for n, v in enumerate(verdicts)])
    return decide_exit([cell], ())


@pytest.mark.parametrize(
    ("base", "patched", "code", "reason"),
    [
        (["passed"], ["passed"], 0, "nothing regressed: 1 still passing"),
        (["passed"], ["failed"], 1, "1 test regressed"),
        (["passed"] * 2, ["failed", "crashed"], 1, "2 tests regressed"),
        (["skipped"], ["failed"], 1, "1 test new and failing"),
        (["passed", "passed"], ["passed"], 1, "1 test no longer run"),
        (["passed", "passed"], ["passed", "skipped"], 1, "1 test no longer run"),
        (
            ["passed", "skipped", "failed", "failed"],
            ["failed", "failed", "skipped", "passed"],
            1,
            "1 test regressed, 1 test new and failing, 1 test no longer run, 1 fixed",
        ),
        (["failed"], ["crashed"], 1, "1 test regressed"),
        (["passed", "passed"], ["failed", "lost"], 1, "1 test regressed, 1 lost"),
        (
            ["passed", "passed"],
            ["passed", "lost"],
            69,
            "1 of 4 test runs lost to the host: run again",
        ),
        (
            ["lost", "failed"],
            ["passed", "failed"],
            69,
            "1 of 4 test runs lost to the host: run again",
        ),
        (["skipped"], ["skipped"], 69, "no test ran: all 2 were skipped"),
        ([], [], 69, "no test ran: none was selected or collected"),
        (
            ["passed", "failed", "failed", "failed"],
            ["passed", "passed", "failed", "failed"],
            0,
            "nothing regressed: 1 still passing, 1 fixed, 2 still failing",
        ),
        (
            ["skipped", "skipped"],
            ["passed", "skipped"],
            0,
            "nothing regressed: 1 new, 1 skipped",
        ),
    ],
)
def test_a_comparison_decides(base: list[str], patched: list[str], code: int, reason: str) -> None:
    assert decide(base, patched) == (code, reason)


@pytest.mark.parametrize(
    ("verdicts", "code", "reason"),
    [
        (["passed"], 0, "1 test passed"),
        (["passed", "passed", "skipped"], 0, "2 tests passed, 1 skipped"),
        (["passed", "failed"], 1, "1 test failed"),
        (["crashed", "timed_out"], 1, "2 tests failed"),
        (["failed", "lost"], 1, "1 test failed, 1 lost"),
        (["passed", "lost"], 69, "1 of 2 test runs lost to the host: run again"),
        (["lost"], 69, "1 of 1 test run lost to the host: run again"),
        (["skipped", "skipped"], 69, "no test ran: all 2 were skipped"),
        ([], 69, "no test ran: none was selected or collected"),
        (["boot_failed", "passed"], 1, "1 test failed"),
    ],
)
def test_a_kernel_alone_is_judged_by_its_failures(
    verdicts: list[str], code: int, reason: str
) -> None:
    assert decide_single(*verdicts) == (code, reason)


def test_no_cell_at_all_is_no_success() -> None:
    assert decide_exit([], ())[0] == 69


@pytest.mark.parametrize(
    "verdict", sorted(set(Verdict) - {Verdict.PASSED, Verdict.SKIPPED, Verdict.KNOWN})
)
def test_no_bad_verdict_of_a_kernel_alone_is_a_success(verdict: Verdict) -> None:
    assert decide_single("passed", verdict)[0] != 0


def test_a_known_failure_fails_no_run_and_is_told() -> None:
    assert decide_single("passed", "known", "skipped") == (0, "1 test passed, 1 known, 1 skipped")
    assert decide_single("known") == (0, "0 tests passed, 1 known")
    base, patched = (
        make_cell([make_test("a", Verdict.KNOWN), make_test("b")], role=role)
        for role in (Role.BASE, Role.PATCHED)
    )
    changes = compare_cells([base], [patched])
    assert decide_exit([base, patched], changes) == (
        0,
        "nothing regressed: 1 still passing, 1 known",
    )


def test_a_declared_failure_that_the_base_does_not_have_is_a_regression() -> None:
    base = make_cell([make_test("a")])
    patched = make_cell([make_test("a", Verdict.KNOWN)], role=Role.PATCHED)
    code, reason = decide_exit([base, patched], compare_cells([base], [patched]))
    assert (code, reason) == (1, "1 test regressed")


def test_a_boot_failure_that_the_base_does_not_have_is_named_a_regression() -> None:
    run = boot_failure_run()
    assert (run.exit_code, run.exit_reason) == (
        3,
        (
            "the patched kernel did not boot on numa3-memoryless, which the base kernel does: "
            "a regression (Kernel panic - not syncing: node 1 has no zonelist)"
        ),
    )


def test_a_boot_failure_of_both_kernels_is_no_regression() -> None:
    cells = [make_cell(role=role, boot_crash=BOOT_PANIC) for role in SIDES]
    code, reason = decide_exit(cells, ())
    assert code == 3
    assert "the base kernel did not boot on numa2" in reason
    assert "the patched kernel did not boot on numa2" in reason
    assert "regression" not in reason


def test_a_boot_failure_of_the_base_alone_is_no_regression() -> None:
    cells = [make_cell(boot_crash=BOOT_PANIC), make_cell([make_test()], role=Role.PATCHED)]
    code, reason = decide_exit(cells, compare_cells(cells[:1], cells[1:]))
    assert code == 3
    assert "regression" not in reason


def test_the_base_booting_on_another_topology_makes_no_regression() -> None:
    cells = [
        make_cell([make_test()], topology=MEMORYLESS),
        make_cell([make_test()], topology=TWO_NODES, role=Role.PATCHED, boot_crash=BOOT_PANIC),
    ]
    code, reason = decide_exit(cells, ())
    assert code == 3
    assert "regression" not in reason


def test_a_kernel_all_of_whose_tests_found_no_boot_did_not_boot() -> None:
    cell = make_cell([make_test(str(n), Verdict.BOOT_FAILED) for n in range(3)])
    assert not did_boot(cell)
    assert did_build(cell)
    assert decide_exit([cell], ()) == (3, "the base kernel did not boot on numa2")


def test_a_kernel_that_did_not_build_is_told_once_with_its_error() -> None:
    run = build_failure_run()
    assert run.exit_code == 3
    assert run.exit_reason.count("did not build") == 1
    assert "mm/migrate.c:1187:9: error" in run.exit_reason
    assert "a regression" in run.exit_reason


def test_a_build_failure_shows_in_a_verdict_or_in_the_kernel() -> None:
    assert not did_build(make_cell(failure="error"))
    assert not did_build(make_cell([make_test(verdict=Verdict.BUILD_FAILED)]))
    assert not did_boot(make_cell(failure="error"))


def test_a_regression_elsewhere_is_told_beside_a_boot_failure() -> None:
    unbooted = make_cell(
        [make_test("a", Verdict.BOOT_FAILED)],
        topology=MEMORYLESS,
        role=Role.PATCHED,
        boot_crash=BOOT_PANIC,
    )
    cells = [
        make_cell([make_test("a")], topology=TWO_NODES),
        make_cell([make_test("a")], topology=MEMORYLESS),
        make_cell([make_test("a", Verdict.FAILED)], topology=TWO_NODES, role=Role.PATCHED),
        unbooted,
    ]
    code, reason = decide_exit(cells, compare_cells(cells[:2], cells[2:]))
    assert code == 3
    assert reason.endswith("; besides, 1 test regressed")


@pytest.mark.parametrize("run", [clean_run(), single_kernel_run(), boot_failure_run()])
def test_the_reason_is_one_line(run: RunRecord) -> None:
    assert run.exit_reason
    assert run.exit_reason.isprintable()


def test_what_a_compiler_printed_cannot_break_the_line() -> None:
    cell = make_cell(failure="error:\n\x1b[31m" + "x" * 1000)
    code, reason = decide_exit([cell], ())
    assert code == 3
    assert reason.isprintable()
    assert len(reason) < 250
