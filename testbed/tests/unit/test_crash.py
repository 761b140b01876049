"""Crashes are found on real consoles, and only crashes."""

import json
from pathlib import Path

import pytest

from testbed.core.crash import MAX_CRASHES, CrashScanner, scan_crashes
from testbed.core.crash_patterns import PATTERNS
from testbed.core.crash_report import MAX_EXCERPT_BYTES, MAX_EXCERPT_LINES, MAX_FRAMES
from testbed.core.text import split_lines

GOLDEN = Path(__file__).parent.parent / "golden" / "crash"
CONSOLES = sorted(GOLDEN.glob("*.log"))
TRACE = (" <TASK>", " foo+0x1/0x2", " bar+0x1/0x2", " </TASK>")


def stamp(*texts: str, at_s: float = 1.0) -> list[str]:
    return [f"[{at_s + i / 1000:12.6f}] {text}" for i, text in enumerate(texts)]


def titles(lines: list[str]) -> list[str]:
    return [crash.title for crash in scan_crashes(lines)]


@pytest.mark.parametrize("console", CONSOLES, ids=lambda path: path.stem)
def test_golden_console(console: Path) -> None:
    found = [
        {"title": crash.title, "kind": crash.kind, "frames": list(crash.frames)}
        for crash in scan_crashes(split_lines(console.read_bytes()))
    ]
    assert found == json.loads(console.with_suffix(".json").read_text())


@pytest.mark.parametrize("console", CONSOLES, ids=lambda path: path.stem)
def test_crash_is_known_the_same_whether_read_at_once_or_as_it_comes(console: Path) -> None:
    lines = split_lines(console.read_bytes())
    scanner = CrashScanner()
    counts = []
    for line in lines:
        scanner.feed(line + "\r\n")
        counts.append(len(scanner.crashes))
    assert counts == sorted(counts)  # a crash that was reported is never taken back
    assert scanner.finish() == scan_crashes(lines)
    assert scanner.finish() == scanner.crashes


@pytest.mark.parametrize("console", CONSOLES, ids=lambda path: path.stem)
def test_crash_begins_where_its_first_line_is_cut_off_from_the_rest(console: Path) -> None:
    lines = split_lines(console.read_bytes())
    for end in range(0, len(lines), 7):
        for crash in scan_crashes(lines[:end]):
            assert crash.title
            assert crash.excerpt


def test_there_are_many_golden_consoles_and_each_says_what_is_expected() -> None:
    captured = [path for path in CONSOLES if not path.stem.startswith("synthetic-")]
    assert len(captured) >= 60
    assert {path.stem for path in CONSOLES} == {path.stem for path in GOLDEN.glob("*.json")}


def test_every_pattern_but_the_rare_ones_is_shown_by_a_golden_console() -> None:
    seen = {kind for path in GOLDEN.glob("*.json") for kind in _kinds(path)}
    assert {pattern.kind for pattern in PATTERNS} <= seen


def _kinds(path: Path) -> list[str]:
    return [crash["kind"] for crash in json.loads(path.read_text())]


@pytest.mark.parametrize("console", CONSOLES, ids=lambda path: path.stem)
def test_title_holds_nothing_that_differs_between_runs(console: Path) -> None:
    lines = split_lines(console.read_bytes())
    other = [
        line.replace("ffff8880", "ffff9990")
        .replace("PID: 42", "PID: 137")
        .replace("[trig:4", "[trig:9")
        for line in lines
    ]
    assert titles(list(lines)) == titles(other)


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("BUG: Bad page map in process trig  pte:1234 pmd:5678", "BUG: bad page map in foo"),
        ("BUG: Bad page cache in process trig  pfn:02d93", "BUG: bad page cache in foo"),
        ("BUG: spinlock bad magic on CPU#3, trig/42", "BUG: spinlock bad magic in foo"),
        (
            "BUG: using smp_processor_id() in preemptible [00000000] code: trig/42",
            "BUG: using smp_processor_id() in preemptible code in foo",
        ),
        (
            "BUG: unable to handle kernel paging request at ffff",
            "BUG: unable to handle kernel paging request in foo",
        ),
        (
            "BUG: unable to handle kernel NULL pointer dereference at 8",
            "BUG: unable to handle kernel NULL pointer dereference in foo",
        ),
        ("[ BUG: Invalid wait context ]", "BUG: invalid wait context in foo"),
        ("WARNING: possible recursive locking detected", "possible deadlock in foo"),
        ("WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected", "possible deadlock in foo"),
        ("WARNING: bad unlock balance detected!", "WARNING: bad unlock balance in foo"),
        ("WARNING: trig/42 still has locks held!", "WARNING: still has locks held in foo"),
        (
            "INFO: trying to register non-static key.",
            "INFO: trying to register non-static key in foo",
        ),
        (
            "INFO: task k/0:1:7 blocked in I/O wait for more than 122 seconds.",
            "INFO: task hung in foo",
        ),
        (
            "WARNING: mm/page_alloc.c:4832 at alloc_it+0x58/0x19d, CPU#0: trig/42",
            "WARNING in alloc_it",
        ),
        (
            "unchecked MSR access error: RDMSR from 0x10 at rIP: 0xf (x+0x1/0x2)",
            "unchecked MSR access error in foo",
        ),
        ("Oops: stack segment: 0000 [#1] SMP", "Oops: stack segment in foo"),
        ("Oops: Oops: 0002 [#1] SMP", "Oops in foo"),
        ("PANIC: early exception 0x0e IP 10:ffffffff81 error 0 cr2 0x8", "early exception 0x0e"),
        ("int3: 0000 [#1] PREEMPT SMP", "Oops in foo"),
        ("PANIC: double fault, error_code: 0x0", "double fault in foo"),
        (
            "BUG: something new on CPU#3 at 0xffff888003361980 in trig[42]",
            "BUG: something new on CPU at ADDR in trig",
        ),
    ],
)
def test_first_line_gives_the_title(line: str, title: str) -> None:
    assert titles(stamp(line, "Call Trace:", *TRACE)) == [title]


@pytest.mark.parametrize(
    "line",
    [
        "WARNING: a user space program",
        "BUG: a user space program",
        "Kernel panic - not syncing: quoted",
        "INFO: task x:1 blocked for more than 120 seconds.",
        "[ BUG: Invalid wait context ]",
    ],
)
def test_line_without_a_stamp_is_user_space_once_stamps_were_seen(line: str) -> None:
    assert titles([*stamp("Linux version 6.12"), line, *TRACE]) == []


@pytest.mark.parametrize(
    "line", ["WARNING: low disk space", "BUG: of the test", "INFO: all is well"]
)
def test_kernel_booted_without_stamps_is_read_but_not_all_is_believed(line: str) -> None:
    warning = "WARNING: CPU: 0 PID: 1 at mm/x.c:1 foo+0x1/0x2"
    assert titles([line, "---", line]) == []
    assert titles([line, warning, "Call Trace:", *TRACE]) == ["WARNING in foo"]


def test_user_output_without_a_newline_does_not_hide_a_crash() -> None:
    first, *rest = stamp("kernel BUG at mm/x.c:1!", "Call Trace:", *TRACE)
    (crash,) = scan_crashes([f"progress {'.' * 5000}{first}", *rest])
    assert crash.title == "kernel BUG in foo"
    assert crash.excerpt.splitlines() == [first, *rest]


def test_colours_and_levels_and_callers_do_not_hide_a_crash() -> None:
    line = "\x1b[1m<2>[    1.000000][ T1234] kernel BUG at mm/x.c:1!\x1b[0m"
    assert titles([line, *stamp("Call Trace:", *TRACE)]) == ["kernel BUG in foo"]


def test_unreliable_frames_suffixes_and_machinery_are_dropped() -> None:
    (crash,) = scan_crashes(
        stamp(
            "kernel BUG at mm/x.c:1!",
            "Call Trace:",
            " <TASK>",
            " dump_stack_lvl+0x1/0x2",
            " ? wrong+0x1/0x2",
            " right.isra.0+0x1/0x2",
            " far.constprop.0.cold+0x1/0x2",
            " panic+0x1/0x2",
            " </TASK>",
            " late+0x1/0x2",
        )
    )
    assert crash.frames == ("right", "far", "panic")
    assert crash.title == "kernel BUG in right"


@pytest.mark.parametrize(
    "panic",
    [
        "Fatal exception",
        "Fatal exception in interrupt",
        "Attempted to kill init! exitcode=0x0000000b",
    ],
)
def test_panic_that_follows_an_oops_is_part_of_it(panic: str) -> None:
    oops = stamp(
        "BUG: kernel NULL pointer dereference, address: 0000000000000008", "Call Trace:", *TRACE
    )
    end = stamp(
        "---[ end trace 0000000000000000 ]---", f"Kernel panic - not syncing: {panic}", at_s=2
    )
    (crash,) = scan_crashes([*oops, *end])
    assert crash.title == "BUG: unable to handle kernel NULL pointer dereference in foo"
    assert crash.excerpt.endswith(panic)


def test_panic_that_has_nothing_to_do_with_an_earlier_warning_is_a_crash_of_its_own() -> None:
    warning = stamp("WARNING: CPU: 0 PID: 1 at mm/x.c:1 foo+0x1/0x2", "Call Trace:", *TRACE)
    panic = stamp("Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100", at_s=2)
    assert titles([*warning, *panic]) == [
        "WARNING in foo",
        "Kernel panic: Attempted to kill init! exitcode=0x00000100",
    ]


def test_nothing_after_a_panic_is_another_crash() -> None:
    scanner = CrashScanner()
    assert not scanner.has_panicked
    for line in stamp("Kernel panic - not syncing: sysrq triggered crash", "Call Trace:", *TRACE):
        scanner.feed(line)
    assert scanner.has_panicked
    for line in stamp("WARNING: CPU: 0 PID: 1 at mm/x.c:1 foo+0x1/0x2", at_s=2):
        scanner.feed(line)
    assert [crash.title for crash in scanner.finish()] == ["Kernel panic: sysrq triggered crash"]


def test_warning_after_a_warning_is_a_second_crash() -> None:
    warning = ["WARNING: CPU: 0 PID: 1 at mm/x.c:1 foo+0x1/0x2", "Call Trace:", *TRACE]
    assert titles(stamp(*warning, *warning)) == ["WARNING in foo", "WARNING in foo"]


def test_lockup_that_is_reported_again_is_one_crash() -> None:
    lockup = ["watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [x:1]", "Call Trace:", *TRACE]
    assert titles(stamp(*lockup * 5)) == ["BUG: soft lockup in foo"]


def test_open_report_is_known_before_it_ends() -> None:
    scanner = CrashScanner()
    scanner.feed(stamp("kernel BUG at mm/x.c:1!")[0])
    assert [crash.title for crash in scanner.crashes] == ["kernel BUG"]
    for line in stamp("Call Trace:", *TRACE):
        scanner.feed(line)
    assert [crash.title for crash in scanner.crashes] == ["kernel BUG in foo"]


def test_oom_kill_is_a_crash_with_the_trace_before_it_and_a_cgroup_limit_is_none() -> None:
    start = [
        "trig invoked oom-killer: gfp_mask=0x140dca(X), order=0, oom_score_adj=0",
        "Call Trace:",
        *TRACE,
    ]
    kill = "ut of memory: Killed process 42 (trig) total-vm:1kB"
    (crash,) = scan_crashes(stamp(*start, "Mem-Info:", f"O{kill}"))
    assert (crash.title, crash.frames) == ("Out of memory: Killed process (trig)", ("foo", "bar"))
    assert "Mem-Info:" in crash.excerpt
    assert titles(stamp(f"O{kill}")) == ["Out of memory: Killed process (trig)"]
    assert titles(stamp(*start, f"Memory cgroup o{kill}")) == []
    assert titles(stamp(*start, "nothing was killed")) == []


def test_excerpt_holds_the_report_without_user_output_in_between() -> None:
    first, *rest = stamp("kernel BUG at mm/x.c:1!", "Call Trace:", *TRACE)
    lead_in = stamp("------------[ cut here ]------------", at_s=0.5)
    (crash,) = scan_crashes([*lead_in, first, "some test's output", *rest])
    assert crash.excerpt.splitlines() == [*lead_in, first, *rest]


@pytest.mark.parametrize("width", [10, 200, 5000])
def test_excerpt_is_bounded_and_keeps_both_ends(width: int) -> None:
    noise = [f"line {i} " + "é" * width for i in range(3000)]
    lines = stamp("BUG: Bad page state in process x  pfn:1", *noise[:350])
    (crash,) = scan_crashes([*lines, *stamp(*noise[:40], "last words", at_s=9)])
    assert len(crash.excerpt.encode()) <= MAX_EXCERPT_BYTES
    assert len(crash.excerpt.splitlines()) <= MAX_EXCERPT_LINES
    assert "Bad page state" in crash.excerpt
    assert "last words" in crash.excerpt
    assert "lines left out" in crash.excerpt


def test_number_of_crashes_is_bounded() -> None:
    warning = ["WARNING: CPU: 0 PID: 1 at mm/x.c:1 foo+0x1/0x2", "Call Trace:", *TRACE]
    assert len(scan_crashes(stamp(*warning * (2 * MAX_CRASHES)))) == MAX_CRASHES


@pytest.mark.parametrize(
    "junk", ["\ud800\udcff", "\x00" * 50, "a" * 1_000_000, "[    1.000000] " + "BUG" * 99999, ""]
)
def test_junk_is_survived(junk: str) -> None:
    after = stamp("kernel BUG at mm/x.c:1!", "Call Trace:", *TRACE, at_s=2)
    assert titles([junk, *after, junk])[-1:] == ["kernel BUG in foo"]


def frames_of(*texts: str) -> tuple[str, ...]:
    (crash,) = scan_crashes(stamp(*texts))
    return crash.frames


def section(cpu: int, function: str) -> tuple[str, ...]:
    head = (
        f"CPU: {cpu} UID: 0 PID: 7 Comm: x Not tainted 6.12.117 #1",
        f"RIP: 0010:{function}+0x1/0x2",
    )
    return (*head, "Call Trace:", " <TASK>", f" {function}+0x1/0x2", " caller+0x1/0x2", " </TASK>")


@pytest.mark.parametrize(
    "headlines",
    [
        ("rcu: INFO: rcu_sched self-detected stall on CPU", "rcu: \t1-...!: (728 ticks this GP)"),
        (
            "rcu: INFO: rcu_sched detected stalls on CPUs/tasks:",
            "rcu: \t1-...0: (2 ticks this GP)",
            "rcu: \t2-...0: (2 ticks this GP)",
        ),
        (
            "rcu: INFO: rcu_sched detected expedited stalls on CPUs/tasks: { 1-...D 2-...D }",
            "rcu: blocking rcu_node structures (internal RCU debug):",
        ),
    ],
)
def test_stall_is_where_the_stalled_cpu_is(headlines: tuple[str, ...]) -> None:
    sections = [*section(0, "bystander"), *section(2, "later"), *section(1, "culprit")]
    assert frames_of(*headlines, *sections) == ("culprit", "caller")
    unnamed = [headlines[0].split("{")[0]]
    assert frames_of(*unnamed, "Call Trace:", *TRACE, *sections) == ("bystander", "caller")


def test_excerpt_follows_the_sections_of_a_report_and_not_what_comes_after_it() -> None:
    stall = stamp("rcu: INFO: rcu_sched self-detected stall on CPU", *section(0, "foo"))
    noise = stamp(*[f"noise {i}" for i in range(20)], at_s=2)
    (crash,) = scan_crashes([*stall, *noise, *stamp(*section(1, "bar"), at_s=3), *noise])
    assert "bar+0x1" in crash.excerpt
    assert crash.excerpt.count("noise") < 20
    oops = stamp("kernel BUG at mm/x.c:1!", "Call Trace:", *TRACE, "---[ end trace 0 ]---")
    (crash,) = scan_crashes([*oops, *noise])
    assert crash.excerpt.splitlines() == oops


def test_excerpt_says_how_many_lines_it_leaves_out() -> None:
    lines = stamp("BUG: Bad page state in process x  pfn:1", *[f"{i}" for i in range(299)])
    (crash,) = scan_crashes(lines)
    shown = crash.excerpt.splitlines()
    assert f"... {300 - (len(shown) - 1)} lines left out" in shown
    assert shown[-1] == lines[-1]
    long = stamp("BUG: Bad page state in process x  pfn:1", *["x" * 200] * 149)
    (crash,) = scan_crashes(long)
    shown = crash.excerpt.splitlines()
    assert f"... {150 - (len(shown) - 1)} lines left out" in shown


def test_oom_that_lists_many_tasks_keeps_its_last_words() -> None:
    start = ["trig invoked oom-killer: order=0", "Call Trace:", *TRACE, *["[  42]  0  trig"] * 1000]
    (crash,) = scan_crashes(stamp(*start, "Out of memory: Killed process 42 (trig) total-vm:1kB"))
    assert "Killed process 42" in crash.excerpt
    assert crash.frames == ("foo", "bar")


def test_panic_that_follows_no_oom_does_not_take_its_trace() -> None:
    start = ["trig invoked oom-killer: order=0", "Call Trace:", *TRACE]
    (crash,) = scan_crashes(stamp(*start, "Kernel panic - not syncing: NMI: Not continuing"))
    assert (crash.title, crash.frames) == ("Kernel panic: NMI: Not continuing", ())


def test_panic_of_another_cause_after_an_oops_is_a_crash_of_its_own() -> None:
    oops = stamp("kernel BUG at mm/x.c:1!", "Call Trace:", *TRACE, "---[ end trace 0 ]---")
    assert titles([*oops, *stamp("Kernel panic - not syncing: Fatal machine check")]) == [
        "kernel BUG in foo",
        "Kernel panic: Fatal machine check",
    ]


def test_recursion_is_bounded_and_told_once_a_frame() -> None:
    endless = [f" f{i // 2}+0x1/0x2" for i in range(1000)]
    frames = frames_of("kernel BUG at mm/x.c:1!", "RIP: 0010:f0+0x1/0x2", "Call Trace:", *endless)
    assert len(frames) <= MAX_FRAMES
    assert frames[:3] == ("f0", "f1", "f2")


def test_first_access_counts() -> None:
    lines = [
        "BUG: KASAN: slab-out-of-bounds in foo+0x1/0x2",
        "Write of size 8 at addr ffff by task x/1",
    ]
    assert titles(stamp(*lines, "Read of size 8 at addr ffff by task x/1", *TRACE)) == [
        "KASAN: slab-out-of-bounds Write in foo"
    ]


def test_headline_far_behind_another_without_a_trace_is_a_second_crash() -> None:
    noise = ["noise"] * 150
    lines = ["BUG: Bad page state in process x  pfn:1", *noise, "kernel BUG at mm/x.c:1!"]
    assert titles(stamp(*lines)) == ["BUG: bad page state", "kernel BUG"]
    assert titles(stamp(lines[0], lines[-1])) == ["BUG: bad page state"]


def test_report_is_over_some_time() -> None:
    oops = stamp("kernel BUG at mm/x.c:1!", "Call Trace:", *TRACE, *["noise"] * 500)
    panic = stamp("Kernel panic - not syncing: Fatal exception", at_s=3)
    assert titles([*oops, *panic]) == ["kernel BUG in foo", "Kernel panic: Fatal exception"]


def test_lead_in_without_a_report_is_forgotten() -> None:
    lines = stamp("------------[ cut here ]------------", *["noise"] * 100)
    (crash,) = scan_crashes([*lines, *stamp("kernel BUG at mm/x.c:1!", at_s=3)])
    assert len(crash.excerpt.splitlines()) == 1


REPORTS = {
    "warning": ("WARNING: CPU: 0 PID: 1 at mm/x.c:1 foo+0x1/0x2", "---[ end trace 0 ]---"),
    "kernel-bug": ("kernel BUG at mm/x.c:1!", "---[ end trace 0 ]---"),
    "oops": ("Oops: divide error: 0000 [#1] SMP", "---[ end trace 0 ]---"),
    "panic": ("Kernel panic - not syncing: no", "Kernel Offset: disabled"),
    "kasan": ("BUG: KASAN: double-free in foo+0x1/0x2", "=" * 66),
    "lockdep": ("WARNING: inconsistent lock state", " </TASK>"),
    "lockup": ("watchdog: BUG: soft lockup - CPU#0 stuck for 5s! [trig:46]", " </TASK>"),
    "bad-page": ("BUG: Bad page state in process x  pfn:1", " </TASK>"),
}


@pytest.mark.parametrize(("first", "last"), REPORTS.values(), ids=REPORTS.keys())
def test_one_can_wait_for_the_end_of_a_report(first: str, last: str) -> None:
    scanner = CrashScanner()
    assert not scanner.is_reporting
    body = [first, *section(0, "foo"), *([last] if "TASK" not in last else [])]
    for line in stamp(*body[:-1]):
        scanner.feed(line)
        assert scanner.is_reporting
    scanner.feed(stamp(body[-1], at_s=2)[0])
    assert not scanner.is_reporting
    (crash,) = scanner.crashes
    assert crash.frames == ("foo", "caller")


def test_one_need_not_wait_for_what_has_no_more_lines() -> None:
    scanner = CrashScanner()
    scanner.feed(stamp("BUG: non-zero pgtables_bytes on freeing mm: 4096")[0])
    assert len(scanner.crashes) == 1
    assert not scanner.is_reporting
    scanner.feed(stamp("x invoked oom-killer: order=0")[0])
    assert not scanner.is_reporting


def test_another_hung_task_is_told_of_once_its_title_is_known() -> None:
    hung = "INFO: task x:1 blocked for more than 3 seconds."
    scanner = CrashScanner()
    for line in stamp(hung, "Call Trace:", *TRACE, hung, "Call Trace:"):
        scanner.feed(line)
    assert [crash.title for crash in scanner.crashes] == ["INFO: task hung in foo"]
    for line in stamp(" other+0x1/0x2", " </TASK>"):
        scanner.feed(line)
    assert [crash.title for crash in scanner.finish()] == [
        "INFO: task hung in foo",
        "INFO: task hung in other",
    ]


def test_number_of_crashes_is_bounded_while_they_come_too() -> None:
    scanner = CrashScanner()
    for line in stamp(*["WARNING: CPU: 0 PID: 1 at mm/x.c:1 foo+0x1/0x2", *section(0, "foo")] * 60):
        scanner.feed(line)
        assert len(scanner.crashes) <= MAX_CRASHES


def test_second_warning_is_told_of_as_it_comes() -> None:
    scanner = CrashScanner()
    for line in stamp(*["WARNING: CPU: 0 PID: 1 at mm/x.c:1 foo+0x1/0x2", *section(0, "foo")] * 2):
        scanner.feed(line)
    assert len(scanner.crashes) == 2


def test_oom_in_the_midst_of_another_report_is_a_crash_of_its_own() -> None:
    warning = ["WARNING: CPU: 0 PID: 1 at mm/x.c:1 foo+0x1/0x2", *section(0, "foo")]
    for line, title in {
        "Out of memory: Killed process 42 (trig) x": "Out of memory: Killed process (trig)",
        "Kernel panic - not syncing: Out of memory: no": "Kernel panic: Out of memory: no",
    }.items():
        assert titles(stamp(*warning, line)) == ["WARNING in foo", title]


@pytest.mark.parametrize("named", [("rcu: \t1-...!: (728 ticks this GP)",), ()])
def test_stall_is_reported_once_the_stalled_cpu_is(named: tuple[str, ...]) -> None:
    scanner = CrashScanner()
    kthread = ("task:rcu_sched       state:R  running task", "Call Trace:", *TRACE)
    bystander = section(0, "bystander") if named else ()
    first = ("rcu: INFO: rcu_sched self-detected stall on CPU", *named, *kthread, *bystander)
    for line in stamp(*first, *section(1, "culprit")[:-1]):
        scanner.feed(line)
        assert scanner.is_reporting
    scanner.feed(stamp(" </TASK>")[0])
    assert not scanner.is_reporting
    assert scanner.crashes[0].title == "INFO: rcu detected stall in culprit"
