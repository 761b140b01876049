import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from testbed.core.record import Role, RunRecord
from testbed.core.result import LogFile, Metric, NodeCount, Placement, Verdict
from testbed.report.html import render_report
from testbed.tests.unit.records import (
    NULL_DEREFERENCE,
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

VOID = frozenset({"meta", "input", "br"})


class Page(HTMLParser):
    """A report that was read again: its elements, and the text of each by path."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.errors: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.errors.append(f"</{tag}> closes something else at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1], " ".join(data.split())))

    def attributes(self, name: str) -> list[str]:
        return [attrs[name] or "" for _, attrs in self.elements if name in attrs]

    def count(self, tag: str, *classes: str) -> int:
        return sum(
            element == tag and set(classes) <= set((attrs.get("class") or "").split())
            for element, attrs in self.elements
        )

    @property
    def text(self) -> str:
        return " ".join(text for tag, text in self.texts if tag != "style")


def no_log(path: str) -> str:
    raise FileNotFoundError(path)


def render(run: RunRecord, *, read_log: Callable[[str], str] = no_log) -> str:
    return render_report(run, read_log=read_log)


@every_run
def test_the_page_is_well_formed_and_self_contained(run: RunRecord) -> None:
    text = render(run, read_log=lambda path: f"a line of {path}\n")
    page = Page(text)
    assert page.errors == []
    assert page.open == []
    assert text.startswith("<!doctype html>")
    assert {tag for tag, _ in page.elements} & {
        "script",
        "link",
        "img",
        "iframe",
        "object",
    } == set()
    assert page.attributes("src") == []
    assert not re.search(r"@import|url\(", text)
    assert all(href.startswith(("./", "#")) for href in page.attributes("href"))
    assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)


@every_run
def test_each_link_inside_the_page_has_its_target(run: RunRecord) -> None:
    page = Page(render(run))
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    assert {h[1:] for h in page.attributes("href") if h.startswith("#")} <= set(ids)


@every_run
def test_the_page_forbids_scripts_and_fetches(run: RunRecord) -> None:
    policies = [
        attrs.get("content")
        for _, attrs in Page(render(run)).elements
        if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies == [
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    ]


@every_run
def test_the_headline_tells_code_and_reason(run: RunRecord) -> None:
    page = Page(render(run))
    assert ("span", f"exit {run.exit_code}") in page.texts
    assert ("p", run.exit_reason) in page.texts


@pytest.mark.parametrize(
    ("run", "headline", "tone"),
    [
        (wrong_node_run(), "Regressed", "bad"),
        (clean_run(), "Nothing regressed", "good"),
        (single_kernel_run(), "Failed", "bad"),
        (boot_failure_run(), "A kernel did not build or boot", "bad"),
        (make_run([]), "No verdict", "warn"),
        (replace(clean_run(), exit_code=42), "Ended with exit code 42", "bad"),
    ],
    ids=["regressed", "clean", "single", "no boot", "none", "other"],
)
def test_the_headline_is_the_verdict(run: RunRecord, headline: str, tone: str) -> None:
    page = Page(render(run))
    assert ("h1", headline) in page.texts
    assert page.count("header", "hero", tone) == 1


def test_the_page_follows_the_readers_colour_scheme() -> None:
    text = render(clean_run())
    assert "prefers-color-scheme: dark" in text
    assert "color-scheme: light dark" in text
    assert 'name="viewport"' in text


def test_host_and_kernels_are_told() -> None:
    run = wrong_node_run()
    text = Page(render(run)).text
    for fact in (
        run.host.system,
        run.host.accel_reason,
        run.host.qemu_version,
        run.host.compiler,
        "24,576 MiB",
        "debian:6.12.117-1",
        "selfcheck/wrong-node",
        "6.12.117-testbed-wrong-node",
        "from the cache, built in 4 min 01 s at the time",
        "8.4 s, 3 files compiled",
    ):
        assert fact in text
    assert "9b1f0c33d7a0" in text
    assert "9b1f0c33d7a0f" not in text


def test_a_deterministic_run_tells_its_seed() -> None:
    run = clean_run()
    assert "<dt>Mode</dt>" not in render(run)
    seeded = render(replace(run, mode="deterministic", seed=7))
    assert "<dt>Mode</dt><dd>deterministic, seed 7</dd>" in seeded


def test_the_matrix_has_a_column_a_cell_and_a_row_a_test() -> None:
    run = wrong_node_run()
    text = render(run)
    page = Page(
        text[text.index('<table class="grid matrix">') : text.index('<section id="metrics"')]
    )
    tests = {test.id for cell in run.cells for test in cell.tests}
    rows = [attrs for tag, attrs in page.elements if tag == "th" and attrs.get("scope") == "row"]
    assert len(rows) == len(tests)
    shown = page.count("a", "cell") + page.count("span", "cell")
    assert shown == len(tests) * len(run.cells)
    assert page.count("a", "cell", "bad") == 2 * 2 + 2 * 2 + 2
    assert [t for tag, t in page.texts if tag == "th" and t in {"base", "patched"}] == [
        "base",
        "patched",
    ] * 2


def test_each_finding_has_a_card_and_the_grave_ones_are_open() -> None:
    run = wrong_node_run()
    page = Page(render(run))
    cards = [
        attrs
        for tag, attrs in page.elements
        if tag == "details" and "finding" in (attrs.get("class") or "")
    ]
    assert len(cards) == 4 + 2 + 2 + 2 + 2
    assert sum("open" in attrs for attrs in cards) == 4 + 2 + 2
    assert page.text.count("relative.three_nodes.keeps_offsets") == 1


def test_a_wrong_placement_is_charted_per_node_with_all_sides() -> None:
    text = render(wrong_node_run())
    start = text.index("private anon after mbind(MOVE)")
    figure = text[start : text.index("</figure>", start)]
    page = Page(f"<table>{figure[figure.index('<thead>') : figure.index('</table>')]}</table>")
    assert [t for tag, t in page.texts if tag == "th"] == [
        "pages",
        "expected",
        "seen on base",
        "seen on patched",
        "node 0",
        "node 1",
    ]
    assert [t for tag, t in page.texts if tag == "span"] == ["0", "0", "16", "16", "16", "0"]
    widths = [re.findall(r"[\d.]+", style)[0] for style in page.attributes("style")]
    assert widths == ["0.0", "0.0", "100.0", "100.0", "100.0", "0.0"]
    assert page.count("div", "lane", "bad", "off") == 2
    assert "expected node 1: 16 pages / seen node 0: 16 pages" in figure
    assert "1 other mapping as expected." in text


def test_pages_that_are_not_present_have_their_own_row() -> None:
    text = render(wrong_node_run())
    assert "node 0: 3 pages, node 1: 29 pages, node 2: 14 pages, not present: 2 pages" in text
    assert '<th scope="row">not present</th>' in text


def test_checks_of_the_same_name_are_paired_in_order() -> None:
    base = [make_placement(1, what="loop"), make_placement(1, what="loop")]
    patched = [make_placement(1, what="loop"), make_placement(0, what="loop")]
    run = make_run(
        [
            make_cell([make_test(placements=base)]),
            make_cell([make_test(verdict=Verdict.FAILED, placements=patched)], role=Role.PATCHED),
        ]
    )
    page = Page(render(run))
    assert page.count("figure", "chart") == 1
    assert "1 other mapping as expected." in page.text


def test_a_placement_of_nothing_can_be_charted() -> None:
    nothing = Placement(what="empty", expected=(NodeCount(node=0, pages=4),), seen=())
    run = make_run([make_cell([make_test(verdict=Verdict.FAILED, placements=[nothing])])])
    assert "expected node 0: 4 pages / seen no pages" in render(run)


def test_a_crash_shows_title_frames_and_excerpt() -> None:
    page = Page(render(wrong_node_run()))
    assert ("p", NULL_DEREFERENCE.title) in page.texts
    frames = [text for tag, text in page.texts if tag == "li"]
    start = frames.index("migrate_folio_unmap")
    assert tuple(frames[start : start + 5]) == NULL_DEREFERENCE.frames
    assert "Oops: Oops: 0000 [#1] PREEMPT SMP" in page.text


def test_a_kernel_that_is_down_is_one_card_for_all_its_tests() -> None:
    page = Page(render(boot_failure_run()))
    assert page.count("details", "finding") == 0
    assert page.count("article", "finding", "bad") == 1
    assert "The patched kernel did not boot" in page.text
    assert "13 tests could not run" in page.text
    assert ("p", "Kernel panic - not syncing: node 1 has no zonelist") in page.texts


def test_a_kernel_that_does_not_compile_shows_error_and_build_log() -> None:
    page = Page(render(build_failure_run(), read_log=lambda path: f"end of {path}"))
    assert "mm/migrate.c:1187:9: error" in page.text
    assert ("pre", "end of kernels/patched/build.log") in page.texts


def test_metrics_are_compared_by_ratio() -> None:
    text = Page(render(wrong_node_run())).text
    assert "12.5 us/page 13.1 us/page +4.8 % ×1.048" in text  # noqa: RUF001 - the times sign
    assert "1,804 us 1,204 us -33.3 % ×0.667" in text  # noqa: RUF001 - the times sign
    assert text.index("rebind") < text.index("mbind_move global.move_private")


def test_a_kernel_alone_has_metrics_without_a_ratio() -> None:
    metric = Metric(name="move", value=3.5, unit="us")
    page = Page(render(make_run([make_cell([make_test(metrics=[metric])])])))
    assert "3.5 us" in page.text
    assert "ratio" not in page.text


def test_log_links_are_relative_and_quoted() -> None:
    hostile = [
        LogFile(kind="a", path="javascript:alert(1)"),
        LogFile(kind="b", path="//elsewhere/x"),
        LogFile(kind="c", path='a b/ä"<é>#?.log'),
        LogFile(kind="d", path="not utf-8 \udcff"),
    ]
    cell = replace(make_cell([make_test()]), logs=tuple(hostile))
    page = Page(render(make_run([cell])))
    assert page.text.count("b, outside the run's folder") == 1
    hrefs = page.attributes("href")
    assert not any("elsewhere" in href for href in hrefs)
    for href in (
        "./javascript%3Aalert%281%29",
        "./a%20b/%C3%A4%22%3C%C3%A9%3E%23%3F.log",
        "./not%20utf-8%20%3F",
    ):
        assert href in hrefs


def test_the_end_of_a_log_is_shown_clean() -> None:
    log = "".join(f"line {n}\x1b[31m!\x1b[0m\x00\r\n" for n in range(1000))
    page = Page(render(single_kernel_run(), read_log=lambda _: log))
    tails = [text for tag, text in page.texts if tag == "pre" and "line 999" in text]
    assert len(tails) == 2
    assert "line 940!\ufffd" in tails[0]
    assert "line 939!" not in tails[0]


def test_a_log_that_cannot_be_read_is_linked_only() -> None:
    page = Page(render(single_kernel_run(), read_log=no_log))
    assert "End of the" not in page.text
    assert any(href.endswith(".console") for href in page.attributes("href"))


def test_the_page_stays_small_with_many_failures_and_long_logs() -> None:
    failed = [make_test(f"a.c::t{n}", Verdict.FAILED, message="m" * 100_000) for n in range(100)]
    text = render(make_run([make_cell(failed)]), read_log=lambda _: "x" * 1_000_000)
    assert len(text) < 3_000_000
    assert text.count("End of the") == 60


def test_hostile_text_stays_text() -> None:
    text = render(hostile_run(), read_log=lambda _: "</pre><script>alert(2)</script>\ud800\x1b[2J")
    assert "<script" not in text.lower()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "&lt;script&gt;alert(2)&lt;/script&gt;" in text
    assert "{{ 7 * 7 }}" in text
    assert not set(text) & set("\x1b\x00\x07\x7f\x9b\u202e\ud800\ufffe")
    text.encode()


def test_a_long_message_is_cut_in_its_middle() -> None:
    text = render(hostile_run(long_message_chars=100_000))
    assert "94,000 characters left out" in text
    assert len(text) < 100_000


def test_the_legend_explains_every_kind_and_verdict() -> None:
    text = Page(render(clean_run())).text
    legend = text[text.index("Changes, base to patched") :]
    for word in ("regressed", "new failing", "gone", "still failing", "timed out", "build failed"):
        assert word in legend


def test_the_same_record_gives_the_same_page() -> None:
    assert render(wrong_node_run()) == render(wrong_node_run())


def test_known_issues_have_a_section_of_their_own() -> None:
    page = render(known_run())
    section = page.partition('<section id="known">')[2].partition("</section>")[0]
    assert "the status of the zero page is another (5d4af6195c87)" in section
    assert "passed wherever it ran: the issue may be gone" in section
    assert '<section id="known">' not in render(clean_run())


def test_what_ran_is_told_by_function_with_the_lines_that_did_not() -> None:
    page = Page(render(reached_run()))
    for words in ("mm/migrate.c", "18 of 20", "90.0 %", "3 of 4", "move_to_new_folio()"):
        assert words in page.text
    assert "61 goto <out>; Memory never runs out here." in page.text
    assert "64 BUG(); open" in page.text
    assert "What ran of the kernel" not in Page(render(clean_run())).text
