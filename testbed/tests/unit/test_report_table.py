import re
import time
from io import StringIO

import pytest
from rich.console import Console, RenderableType

from testbed.core.record import Role, RunRecord
from testbed.core.result import Metric, NodeCount, Verdict
from testbed.core.text import shorten_middle
from testbed.report.table import render_details, render_summary
from testbed.report.text import (
    clean_text,
    clip_lines,
    clip_text,
    describe_counts,
    format_number,
    format_seconds,
    join_line,
    tail_lines,
)
from testbed.report.view import list_known, list_metrics, shared_folder
from testbed.tests.unit.records import (
    HOSTILE,
    TEST_IDS,
    TOPOLOGIES,
    boot_failure_run,
    build_failure_run,
    clean_run,
    hostile_run,
    known_run,
    make_cell,
    make_placement,
    make_run,
    make_test,
    reached_run,
    single_kernel_run,
    stepped_run,
    wrong_node_run,
)

RUNS = {
    "wrong node": wrong_node_run(),
    "clean": clean_run(),
    "one kernel": single_kernel_run(),
    "no boot": boot_failure_run(),
    "no build": build_failure_run(),
    "hostile": hostile_run(),
    "no cells": make_run([]),
    "patch by patch": stepped_run(),
    "known": known_run(),
    "what ran": reached_run(),
}
every_run = pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)


def print_plain(renderable: RenderableType, *, width: int = 100) -> str:
    file = StringIO()
    Console(file=file, width=width).print(renderable)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def rows_of(text: str, start: str) -> list[list[str]]:
    """Return the cells of the table's rows that begin so."""
    rows = (line.strip() for line in text.splitlines() if line.startswith(f" {start}"))
    return [re.split(r"\s{2,}", row) for row in rows]


@every_run
@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_a_summary_fits_the_width(run: RunRecord, width: int) -> None:
    lines = print_plain(render_summary(run), width=width).splitlines()
    assert max(len(line) for line in lines) <= width


def test_a_regression_is_listed_with_both_verdicts() -> None:
    text = print_plain(render_summary(wrong_node_run()))
    assert ["test in guest-tests/", "topology", "base", "patched", "change"] in rows_of(
        text, "test"
    )
    rows = rows_of(text, "mempolicy")
    assert rows == [
        ["mempolicy/mbind.c::global.move_all_shared", "numa2", "passed", "crashed", "regressed"],
        ["mempolicy/mbind.c::global.move_private", "numa2", "passed", "failed", "regressed"],
        [
            "mempolicy/mbind.c::global.move_all_shared",
            "numa3-memoryless",
            "passed",
            "crashed",
            "regressed",
        ],
        [
            "mempolicy/mbind.c::global.move_private",
            "numa3-memoryless",
            "passed",
            "failed",
            "regressed",
        ],
    ]


def test_long_ids_lose_their_middle() -> None:
    rows = rows_of(print_plain(render_summary(wrong_node_run())), "migrate/")
    shortened = [row[0] for row in rows if row[-1] == "still failing"]
    assert shortened == ["migrate/migrat…es_already_in_the_target_set"] * 2
    wide = print_plain(render_summary(wrong_node_run()), width=200)
    assert TEST_IDS[5].removeprefix("guest-tests/") in wide


def test_what_still_passes_is_one_line() -> None:
    lines = print_plain(render_summary(wrong_node_run())).splitlines()
    assert " 12 tests still passing" in lines
    assert " 2 tests still skipped" in lines
    assert not any("keeps_offsets" in line for line in lines)


def test_a_regression_shows_expected_and_seen_placement_side_by_side() -> None:
    text = print_plain(render_details(wrong_node_run()))
    block = text[
        text.index("regressed on numa2\n guest-tests/mempolicy/mbind.c::global.move_private") :
    ]
    lines = block.splitlines()
    assert lines[:7] == [
        "regressed on numa2",
        " guest-tests/mempolicy/mbind.c::global.move_private",
        "   passed on base, failed on patched",
        "     # guest-tests/mempolicy/mbind.c:97: Expected node_of_every_page(map, 16) == 1",
        "     # move_private: Test terminated by assertion",
        "   private anon after mbind(MOVE)",
        "     expected node 1: 16 pages / seen node 0: 16 pages",
    ]
    assert "the other mapping" not in text


def test_a_crash_shows_its_title_and_trace() -> None:
    text = print_plain(render_details(wrong_node_run()))
    assert "   BUG: kernel NULL pointer dereference in migrate_folio_unmap\n" in text
    assert "     in migrate_folio_unmap < migrate_pages_batch < migrate_pages" in text


def test_the_details_hold_what_got_worse_and_nothing_else() -> None:
    text = print_plain(render_details(wrong_node_run()))
    assert "gone on numa2\n guest-tests/migrate/move_pages.c::global.status_per_page" in text
    assert "QEMU ended with status 1: no space left on device" in text
    assert "still failing" not in text
    assert "fixed" not in text
    assert text in print_plain(render_summary(wrong_node_run()))


@pytest.mark.parametrize(
    ("run", "last"),
    [
        (
            wrong_node_run(),
            (
                "Regressed: 4 regressed, 2 gone, 2 lost, 2 still failing, 2 fixed, 2 new, "
                "2 still skipped, 12 still passing in 1 min 36 s; exit 1"
            ),
        ),
        (clean_run(), "Nothing regressed: 26 still passing in 1 min 36 s; exit 0"),
        (single_kernel_run(), "Failed: 12 passed, 1 failed in 1 min 36 s; exit 1"),
        (
            build_failure_run(),
            (
                "A kernel did not build or boot: 26 regressed in 1 min 36 s; exit 3: "
                "the patched kernel did not build, which the base kernel does: a regression "
                "(mm/migrate.c:1187:9: error: implicit declaration of function 'folio_mvoe')"
            ),
        ),
        (
            make_run([]),
            (
                "No verdict: 0 tests in 1 min 36 s; exit 69: "
                "no test ran: none was selected or collected"
            ),
        ),
    ],
    ids=["regressed", "clean", "single", "no build", "none"],
)
def test_the_last_line_counts(run: RunRecord, last: str) -> None:
    assert print_plain(render_summary(run), width=300).splitlines()[-1] == last


def test_a_clean_run_has_no_table_and_no_details() -> None:
    text = print_plain(render_summary(clean_run()))
    assert text.splitlines() == [
        " 26 tests still passing",
        "",
        "Nothing regressed: 26 still passing in 1 min 36 s; exit 0",
    ]
    assert not print_plain(render_details(clean_run())).strip()


def test_a_kernel_alone_has_one_column_of_verdicts() -> None:
    text = print_plain(render_summary(single_kernel_run()))
    assert rows_of(text, "mbind") == [["mbind.c::global.move_private", "numa2", "failed"]]
    assert " 12 tests passed" in text.splitlines()
    assert "expected node 1: 16 pages / seen node 0: 16 pages" in text


def test_a_kernel_that_does_not_boot_is_one_row_and_one_block() -> None:
    text = print_plain(render_summary(boot_failure_run()))
    rows = rows_of(text, "all 13 tests")
    assert rows == [["all 13 tests", "numa3-memoryless", "boot failed", "regressed"]]
    assert text.count("Kernel panic - not syncing: node 1 has no zonelist\n") == 1
    assert "console: cells/patched numa3-memoryless/console.log" in text
    assert "move_private" not in text


def test_a_boot_failure_of_one_test_is_a_test_among_others() -> None:
    tests = [make_test("a.c::x", Verdict.BOOT_FAILED), make_test("a.c::y")]
    base = make_cell([make_test("a.c::x"), make_test("a.c::y")])
    run = make_run([base, make_cell(tests, role=Role.PATCHED)])
    text = print_plain(render_summary(run))
    assert rows_of(text, "a.c")[0] == ["a.c::x", "numa2", "passed", "boot failed", "regressed"]
    assert " 1 test still passing" in text.splitlines()


def test_a_run_with_many_wrong_placements_shows_some_and_counts_the_rest() -> None:
    placements = [make_placement(0, what=f"map {n}") for n in range(40)]
    run = make_run([make_cell([make_test(verdict=Verdict.FAILED, placements=placements)])])
    text = print_plain(render_details(run))
    assert text.count("expected node 1") == 6
    assert "and 34 more mappings elsewhere" in text


@pytest.mark.parametrize("color_system", [None, "truecolor"])
def test_a_guest_cannot_send_escapes_or_markup(color_system: str | None) -> None:
    file = StringIO()
    is_colour = color_system is not None
    console = Console(
        file=file,
        width=100,
        force_terminal=is_colour,
        color_system="truecolor" if is_colour else None,
    )
    console.print(render_summary(hostile_run()))
    text = file.getvalue()
    assert "[bold red]not markup[/bold red]" in text.replace("\n", " ").replace("  ", " ")
    own = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert not set(own) & set("\x1b\x00\x07\x7f\x9b\u202e\ud800\ufffe")
    assert ("\x1b[" in text) is is_colour
    text.encode()


def test_a_long_message_is_cut() -> None:
    text = print_plain(render_details(hostile_run(long_message_chars=100_000)))
    assert len(text) < 12_000
    assert "98,800 characters left out" in text


def test_colour_is_for_terminals() -> None:
    file = StringIO()
    Console(file=file, width=100, force_terminal=True, color_system="standard").print(
        render_summary(wrong_node_run())
    )
    assert "\x1b[1;31mregressed" in file.getvalue()
    assert "\x1b" not in print_plain(render_summary(wrong_node_run()))


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[38;2;1;2;3mrgb\x1b[m", "rgb"),
        ("\x9b2Jclear", "clear"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link", "link"),
        ("\x1b]0;open\nnext line", "0;open\nnext line"),
        ("\x1bPq#0\x1b\\sixel", "sixel"),
        ("\x1b(Bcharset\x1bc", "charset"),
        ("a\x1b", "a\ufffd"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("tab\tkept", "tab\tkept"),
        ("\x00\x08\x7f", "\ufffd\ufffd\ufffd"),
        ("\ud800", "\ufffd"),
        ("\u202eabc\u2066", "\ufffdabc\ufffd"),
        ("ä 🐧 日本", "ä 🐧 日本"),
    ],
)
def test_text_is_cleaned(text: str, cleaned: str) -> None:
    assert clean_text(text) == cleaned


@pytest.mark.parametrize("start", ["\x1b]", "\x1b[", "\x9d", "\x1b", "\x1b[0;", "\r"])
def test_cleaning_takes_linear_time(start: str) -> None:
    began = time.process_time()
    clean_text(start * 200_000)
    # 0.1 s where it is linear, a minute where it is not; CPU time, so a busy host changes nothing.
    assert time.process_time() - began < 5.0


def test_cleaned_text_is_clean() -> None:
    assert clean_text(clean_text(HOSTILE)) == clean_text(HOSTILE)


@pytest.mark.parametrize(
    ("text", "width", "shortened"),
    [
        ("abc", 3, "abc"),
        ("abcdefghij", 7, "ab…ghij"),
        ("abcdef", 2, "…f"),
        ("abcdef", 1, "…"),
        ("abcdef", 0, ""),
    ],
)
def test_the_middle_is_what_goes(text: str, width: int, shortened: str) -> None:
    assert shorten_middle(text, width=width) == shortened


def test_text_is_clipped_to_its_ends() -> None:
    assert clip_text("short", 10) == "short"
    clipped = clip_text("a" * 500 + "b" * 500, 30)
    assert clipped == f"{'a' * 20}\n… 970 characters left out …\n{'b' * 10}"


def test_lines_are_clipped_to_the_first_or_the_last() -> None:
    assert clip_lines("1\n2\n3\n4", 2) == "1\n2\n… 2 more lines"
    assert clip_lines("1\n2", 2) == "1\n2"
    assert tail_lines("1\n2\n3\n\n", 2) == "2\n3"


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ([(1, 16)], "node 1: 16 pages"),
        ([(1, 1), (0, 3)], "node 0: 3 pages, node 1: 1 page"),
        ([(-1, 2), (0, 1024)], "node 0: 1,024 pages, not present: 2 pages"),
        ([(0, 0)], "no pages"),
        ([], "no pages"),
    ],
)
def test_counts_are_described(counts: list[tuple[int, int]], words: str) -> None:
    assert describe_counts(NodeCount(node=n, pages=p) for n, p in counts) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.75, "0.75 s"),
        (31.5, "31.5 s"),
        (241.3, "4 min 01 s"),
        (59.97, "60.0 s"),
        (float("nan"), "unknown"),
    ],
)
def test_seconds_are_readable(seconds: float, words: str) -> None:
    assert format_seconds(seconds) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (12.5, "12.5"),
        (1804.0, "1,804"),
        (1203.5, "1,204"),
        (0.00012345, "0.0001234"),
        (3.0, "3"),
        (float("inf"), "not a number"),
    ],
)
def test_numbers_are_readable(value: float, words: str) -> None:
    assert format_number(value) == words


@pytest.mark.parametrize(
    ("ids", "folder"),
    [
        (["g/a/x.c::t", "g/b/y.c::t"], "g/"),
        (["g/a/x.c::t"], "g/a/"),
        (["x.c::t", "g/y.c::t"], ""),
        (["g/ab/x.c::t", "g/a/x.c::t"], "g/"),
        ([], ""),
    ],
)
def test_the_shared_folder_is_found(ids: list[str], folder: str) -> None:
    assert shared_folder(ids) == folder


def test_metrics_are_paired_and_sorted_by_movement() -> None:
    def cell(role: Role, *values: float) -> list[Metric]:
        return [Metric(name="m", value=v, unit="s") for v in values]

    base = [make_test("steady", metrics=cell(Role.BASE, 1.0, 4.0))]
    patched = [make_test("steady", metrics=cell(Role.PATCHED, 1.0, 8.0, 3.0))]
    rows = list_metrics(make_run([make_cell(base), make_cell(patched, role=Role.PATCHED)]))
    assert [(r.base, r.patched, r.ratio) for r in rows] == [
        (4.0, 8.0, 2.0),
        (1.0, 1.0, 1.0),
        (None, 3.0, None),
    ]


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_metric_without_a_ratio_has_none(value: float) -> None:
    base = [make_test(metrics=[Metric(name="m", value=value, unit="s")])]
    patched = [make_test(metrics=[Metric(name="m", value=1.0, unit="s")])]
    (row,) = list_metrics(make_run([make_cell(base), make_cell(patched, role=Role.PATCHED)]))
    assert row.ratio is None


def test_many_regressions_do_not_push_the_table_off_the_screen() -> None:
    names = [f"migrate/x.c::x.case_{number}" for number in range(30)]
    cells = [
        make_cell([make_test(name, verdict) for name in names], role=role)
        for role, verdict in ((Role.BASE, Verdict.PASSED), (Role.PATCHED, Verdict.FAILED))
    ]
    text = print_plain(render_summary(make_run(cells)))
    assert len(rows_of(text, "x.c")) == len(names)
    assert text.count("passed on base, failed on patched") == 8
    assert "the report has the details of 22 more tests" in text


def test_each_patch_has_a_row_that_says_what_it_did() -> None:
    shown = print_plain(render_summary(stepped_run()))
    rows = dict(
        zip("12345", (rows_of(shown, f"{number}  ")[0][1:] for number in "12345"), strict=True)
    )
    assert rows["1"] == ["mm/migrate: part 1", "nothing"]
    assert rows["2"][0] == "mm/migrate: part 2"
    assert rows["2"][1].startswith("made to fail: global.move_private (numa2, numa3-memoryless)")
    assert rows["3"][1].startswith("mended: global.move_private (numa2, numa3-memoryless)")
    assert rows["4"][1].startswith("did not build: mm/migrate.c:2436:24: error")
    assert rows["5"][1].startswith("perhaps made to fail: global.move_shared_is_skipped")
    assert "exit 3: after patch 4 (mm/migrate: part 4) the kernel did not build" in join_line(shown)


def test_known_failures_are_counted_and_told_with_what_is_known() -> None:
    text = print_plain(render_summary(known_run()))
    lines = [line.strip() for line in text.splitlines()]
    at = lines.index("1 test known to fail:")
    assert lines[at - 2 :] == [
        "4 tests still passing",
        "2 tests known",
        "1 test known to fail:",
        f"{TEST_IDS[7]}: the status of the zero page is another",
        "(5d4af6195c87)",
        "1 test passed, though known to fail:",
        f"{TEST_IDS[9]}: long mended (6.2)",
        "",
        "Nothing regressed: 2 known, 4 still passing in 1 min 36 s; exit 0",
    ]


def test_a_kernel_alone_tells_its_known_failures() -> None:
    issues = [make_test(str(n), Verdict.KNOWN, known=f"why {n}") for n in range(15)]
    text = print_plain(render_summary(make_run([make_cell([make_test("a"), *issues])])))
    assert "15 tests known to fail:" in text
    assert "11: why 11" in text
    assert "12: why 12" not in text
    assert "… and 3 more" in text
    assert "Passed: 1 passed, 15 known" in text


def test_an_issue_is_there_where_any_topology_shows_it() -> None:
    cells = [
        make_cell([make_test("a", known="why")], topology=TOPOLOGIES[0]),
        make_cell([make_test("a", Verdict.KNOWN, known="why")], topology=TOPOLOGIES[1]),
    ]
    (issue,) = list_known(make_run(cells))
    assert issue.topologies == (TOPOLOGIES[1],)


def test_what_ran_is_a_line_a_source() -> None:
    said = print_plain(render_summary(reached_run()))
    assert rows_of(said, "mm/migrate.c")[0][-3:] == ["18 of 20 (90.0 %)", "3 of 4 (75.0 %)", "1"]
