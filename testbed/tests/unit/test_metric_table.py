"""The table of what tests measured, from the events of their runs."""

from pathlib import Path

from click.testing import CliRunner

from ci.metric_table import main
from testbed.core.events import Finished, Noted, dump_event
from testbed.core.result import Metric, TestResult, Verdict


def finished(value: float, verdict: Verdict = Verdict.PASSED, *, unit: str = "us/page") -> str:
    metric = Metric(name="move", value=value, unit=unit)
    return dump_event(
        Finished(result=TestResult(id="t", verdict=verdict, seconds=1.0, metrics=(metric,)))
    )


def write(path: Path, *lines: str) -> str:
    path.write_text("".join(lines), encoding="utf-8")
    return str(path)


def test_the_runs_of_all_files_are_one_row_a_metric_and_unit(tmp_path: Path) -> None:
    one = write(tmp_path / "one", finished(30.25), dump_event(Noted(line="n")), finished(9))
    two = write(tmp_path / "two", finished(12.5), finished(12288, unit="pages"))
    done = CliRunner().invoke(main, [one, two])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines() == [
        "| metric | unit | median | least | most | values |",
        "|---|---|---:|---:|---:|---:|",
        "| move | us/page | 12.5 | 9 | 30.2 | 3 |",
        "| move | pages | 12288 | 12288 | 12288 | 1 |",
    ]


def test_what_a_failed_test_measured_does_not_count(tmp_path: Path) -> None:
    events = write(tmp_path / "events", finished(1, Verdict.FAILED), finished(2), finished(4))
    assert "| 3 | 2 | 4 | 2 |" in CliRunner().invoke(main, [events]).output


def test_a_run_without_numbers_is_an_error(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, [write(tmp_path / "events", finished(1, Verdict.FAILED))])
    assert done.exit_code == 1
    assert "has measured anything" in done.output


def test_a_file_of_something_else_is_an_error_with_its_name(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, [write(tmp_path / "junit.xml", "<a>\n", "</a>\n")])
    assert done.exit_code == 1
    assert "junit.xml is no events.jsonl" in done.output
