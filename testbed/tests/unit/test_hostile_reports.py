"""Nasty text from a guest's output to the record, junit.xml, the page and the terminal."""

import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from testbed.core.junit import merge_junit
from testbed.core.ktap import judge_case, parse_ktap
from testbed.core.record import Role, RunRecord, dump_record, load_record
from testbed.core.result import Crash, LogFile, TestResult, Verdict
from testbed.core.text import clean, make_file_name, split_lines
from testbed.report.html import render_report
from testbed.report.table import render_details, render_summary
from testbed.tests.unit.nasty import INVALID_UTF8, NASTY
from testbed.tests.unit.records import MBIND, clean_run, make_cell, make_run

OUR_ELEMENTS = frozenset(
    [
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "div",
        "p",
        "b",
        "h1",
        "h2",
        "h3",
        "h4",
        "span",
        "ul",
        "li",
        "ol",
        "nav",
        "a",
        "main",
        "section",
        "article",
        "strong",
        "details",
        "summary",
        "pre",
        "dl",
        "dt",
        "dd",
        "code",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "label",
        "input",
        "small",
        "footer",
        "figure",
        "figcaption",
        "br",
    ]
)
OUR_ATTRIBUTES = frozenset(
    [
        "class",
        "style",
        "id",
        "href",
        "title",
        "lang",
        "charset",
        "name",
        "content",
        "http-equiv",
        "aria-label",
        "aria-hidden",
        "colspan",
        "scope",
        "type",
        "open",
    ]
)
HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u200e\u200f\u2066-\u2069\u061c\ud800-\udfff]"
)
every_nasty = pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)


class Elements(HTMLParser):
    """The elements and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def values(self, name: str) -> list[str]:
        return [value or "" for key, value in self.attributes if key == name]


def transcript_of(text: str) -> bytes:
    """Return what a program prints that has ``text`` in each place where text may be."""
    named = json.dumps(text[:200])
    lines = [
        "TAP version 13",
        "1..1",
        "#  RUN           global.x ...",
        f"# a.c:1:x:Expected {text} (1) == 2 (2)",
        f'# @metric {{"name": {named}, "value": 1, "unit": {named}}}',
        f'# @placement {{"what": {named}, "expected": {{"0": 1}}, "seen": {{"1": 1}}}}',
        f"not ok 1 global.x # {text}",
        text,
    ]
    return "\n".join(lines).encode(errors="replace")


def run_with(text: str) -> RunRecord:
    """Return a run in which a guest brought ``text`` wherever it has a say, and beyond."""
    return make_run_of(text, transcript_of(text))


def make_run_of(text: str, output: bytes) -> RunRecord:
    run = parse_ktap(split_lines(output))
    verdict, message = judge_case(run, "global.x", exit_status=1)
    assert verdict is Verdict.FAILED
    told = clean(text)
    crash = Crash(title=told, kind="oops", frames=(told,), excerpt=told)
    results = [
        TestResult(
            id=test_id,
            verdict=verdict,
            seconds=0.1,
            message=message,
            metrics=tuple(metric for case in run.cases for metric in case.metrics),
            placements=tuple(seen for case in run.cases for seen in case.placements),
            crash=crash if verdict is Verdict.CRASHED else None,
            logs=(LogFile(kind="ktap", path=f"{make_file_name(test_id)}.ktap"),),
        )
        for test_id, verdict in (
            (f"{MBIND}::global.x", Verdict.FAILED),
            (f"{MBIND}::{told}", Verdict.CRASHED),
            (f"{told}[{told}]", Verdict.FAILED),
        )
    ]
    passed = [replace(result, verdict=Verdict.PASSED, crash=None) for result in results]
    return make_run([make_cell(passed), make_cell(results, role=Role.PATCHED)])


@every_nasty
def test_a_record_can_be_written_and_read_back(text: str) -> None:
    run = run_with(text)
    assert load_record(dump_record(run)) == run


@every_nasty
def test_junit_is_xml_and_says_the_same(text: str) -> None:
    run = run_with(text)
    xml = merge_junit([(cell, None) for cell in run.cells])
    suites = ET.fromstring(xml)  # noqa: S314 - the XML is this test's own
    assert not HARMFUL.search(xml)
    cases = suites.findall(".//testcase")
    assert len(cases) == sum(len(cell.tests) for cell in run.cells)
    said = [failure.text or "" for failure in suites.findall(".//failure")]
    messages = [test.message for cell in run.cells[1:] for test in cell.tests]
    assert len(said) == len(messages)
    for found, message in zip(said, messages, strict=True):
        assert message in found or len(message) > 1000
    assert merge_junit([(cell, xml) for cell in run.cells]).count("<testcase") >= len(cases)


@every_nasty
def test_the_page_has_no_element_but_its_own(text: str) -> None:
    page = render_report(run_with(text), read_log=lambda _: text)
    elements = Elements(page)
    assert set(elements.tags) <= OUR_ELEMENTS
    assert {name for name, _ in elements.attributes} <= OUR_ATTRIBUTES
    assert elements.tags.count("style") == elements.tags.count("title") == 1
    own_styles = re.compile(r"(?:width: [\d.]+%|flex-grow: \d+)")
    assert all(own_styles.fullmatch(style) for style in elements.values("style"))
    assert not HARMFUL.search(page)
    assert len(page) < 2_000_000
    assert page.encode()


def test_the_style_of_the_page_is_the_same_whatever_a_guest_says() -> None:
    def style_of(run: RunRecord) -> str:
        page = render_report(run, read_log=lambda _: "")
        return page[page.index("<style>") : page.index("</style>")]

    own = style_of(clean_run())
    assert all(style_of(run_with(text)) == own for text in NASTY.values())


@every_nasty
def test_links_stay_in_the_folder_of_the_run(text: str) -> None:
    asked: list[str] = []

    def read_log(path: str) -> str:
        asked.append(path)
        return ""

    run = run_with("x")
    logs = (LogFile(kind="log", path=text), LogFile(kind="log", path=f"a/../../{text}"))
    cells = [
        replace(cell, logs=logs, tests=tuple(replace(test, logs=logs) for test in cell.tests))
        for cell in run.cells
    ]
    page = render_report(make_run(cells), read_log=read_log)
    links = [link for link in Elements(page).values("href") if not link.startswith("#")]
    for link in links:
        assert re.fullmatch(r"\./[A-Za-z0-9_.~/%-]+", link)
        path = unquote(link).removeprefix("./")
        assert not path.startswith("/")
        assert ".." not in path.split("/")
    for path in asked:
        assert not path.startswith("/")
        assert ".." not in path.split("/")
        assert "\0" not in path


@every_nasty
def test_the_terminal_gets_nothing_but_text(text: str) -> None:
    run = run_with(text)
    sink = io.StringIO()
    console = Console(file=sink, width=100, force_terminal=True, color_system="standard")
    console.print(render_summary(run))
    console.print(render_details(run))
    printed = sink.getvalue()
    shown = re.sub(r"\x1b\[[0-9;]*m", "", printed)  # rich's own colours
    assert not HARMFUL.search(shown)
    assert len(printed) < 100_000
    plain = io.StringIO()
    Console(file=plain, width=100, color_system=None).print(render_summary(run))
    assert not HARMFUL.search(plain.getvalue())


def test_bytes_that_are_no_text_pass_all_the_way() -> None:
    output = transcript_of("x").replace(b"(1) ==", INVALID_UTF8) + INVALID_UTF8
    run = make_run_of("\ufffd", output)
    assert load_record(dump_record(run)) == run
    assert "\ufffd" in render_report(run, read_log=lambda _: "")
    ET.fromstring(merge_junit([(cell, None) for cell in run.cells]))  # noqa: S314 - this test's own
