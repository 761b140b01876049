"""Crashes on a console: lines in, titled crashes out.

A line is the kernel's if it carries a time stamp (``[   12.345678] ``: printk.time=1, see
Documentation/admin-guide/kernel-parameters.txt, 6.12). As long as no line had one, every line may
be the kernel's: it may have been booted without. From the first stamp on, lines without one are
user space's, which may print "WARNING: " as it likes.
"""

import re
from collections.abc import Iterable
from typing import Final

from testbed.core.crash_patterns import (
    HINT,
    OOM_KILL,
    OOM_PANIC,
    OOM_START,
    PANIC,
    PATTERNS,
    REPEATING_KINDS,
    Pattern,
)
from testbed.core.crash_report import MAX_LINE_CHARS, CrashReport
from testbed.core.result import Crash
from testbed.core.text import clean

MAX_CRASHES: Final = 50
_MAX_SCANNED_CHARS: Final = 16 * 1024
_MAX_LEAD_IN: Final = 16
_STAMP: Final = re.compile(r"\[ *\d+\.\d{6}\](?:\[ *[TC]\d+\])? ?")
_LEVEL: Final = re.compile(r"<\d+>")
_CUT_HERE: Final = re.compile(
    r"-+\[ cut here \]-+$|={20,}$|page: ?refcount:|page:[0-9a-f]+ refcount"
)
_PANIC_PATTERN: Final = Pattern(
    regex=PANIC, kind="panic", title="Kernel panic: {what}", names_function=False
)
_OOM_PATTERN: Final = Pattern(
    regex=OOM_KILL,
    kind="oom",
    title="Out of memory: Killed process ({victim})",
    names_function=False,
)


def scan_crashes(lines: Iterable[str]) -> tuple[Crash, ...]:
    """Return the crashes on a whole console, oldest first."""
    scanner = CrashScanner()
    for line in lines:
        scanner.feed(line)
    return scanner.finish()


class CrashScanner:
    """Finds crashes while a console is being read; its memory is bounded.

    Feed it every line, from the start of the console. A report of several parts (an oops and the
    panic that follows it) is one crash with the title of its first; a lockup or a stall that the
    kernel reports again and again is one too.
    """

    def __init__(self) -> None:
        self._done: list[Crash] = []
        self._open: CrashReport | None = None
        self._lead_in: list[str] = []
        self._has_stamps = False
        self._has_panicked = False

    @property
    def crashes(self) -> tuple[Crash, ...]:
        """All crashes so far; the last one may still be being printed, its title may yet change."""
        report = self._open
        if report is None or report.is_tentative:
            return tuple(self._done)
        current = report.crash
        if current.kind in REPEATING_KINDS and any(c.kind == current.kind for c in self._done):
            return tuple(self._done)  # perhaps the same again: its title is not known yet
        return (*self._done, current)[:MAX_CRASHES]

    @property
    def is_reporting(self) -> bool:
        """Whether the last crash is still being printed, as far as its text tells."""
        return self._open is not None and not self._open.is_complete

    @property
    def has_panicked(self) -> bool:
        """Whether the kernel has panicked: nothing more will come of this guest."""
        return self._has_panicked

    def feed(self, line: str) -> None:
        """Take the next line of the console, with or without its end."""
        line = clean(line[:_MAX_SCANNED_CHARS]).rstrip()
        stamp = _STAMP.search(line)  # not at the start where user space left a line unfinished
        self._has_stamps = self._has_stamps or stamp is not None
        if self._has_stamps and stamp is None:
            return
        line = line[stamp.start() if stamp else 0 :][:MAX_LINE_CHARS]
        text = line[stamp.end() - stamp.start() :] if stamp else _LEVEL.sub("", line, count=1)
        if not (HINT.search(text) and self._start(text, line, has_stamp=stamp is not None)):
            self._continue(text, line)

    def finish(self) -> tuple[Crash, ...]:
        """End the report that is open, for the console has ended; return all crashes."""
        self._close()
        return tuple(self._done)

    def _start(self, text: str, line: str, *, has_stamp: bool) -> bool:
        """Begin a report if ``text`` is the first line of one."""
        if self._has_panicked:
            return False  # whatever breaks now, breaks because of the panic
        if match := PANIC.match(text):
            return self._start_panic(match, line)
        if OOM_START.match(text):
            return self._open_report(None, {}, line)
        if match := OOM_KILL.match(text):
            return self._confirm_oom(match, line)
        if self._open and self._open.awaits_trace:
            return False  # at most the next headline of one report: "Oops:" after "BUG:"
        return self._start_other(text, line, has_stamp=has_stamp)

    def _start_other(self, text: str, line: str, *, has_stamp: bool) -> bool:
        for pattern in PATTERNS:
            if has_stamp or not pattern.needs_stamp:
                match = pattern.regex.match(text)
                if match:
                    return self._open_report(pattern, match.groupdict(), line, text=text)
        return False

    def _start_panic(self, match: re.Match[str], line: str) -> bool:
        self._has_panicked = True
        report = self._open
        if report and report.is_tentative and OOM_PANIC.match(match["what"]):
            report.confirm(_PANIC_PATTERN, match.groupdict())
            return False
        if report and report.is_followed_by(match["what"]):
            report.resume()
            return False
        return self._open_report(_PANIC_PATTERN, match.groupdict(), line)

    def _confirm_oom(self, match: re.Match[str], line: str) -> bool:
        report = self._open if self._open and self._open.is_tentative else None
        if match["memcg"] != "O":
            self._open = None if report else self._open
            return False
        if report is None:
            return self._open_report(_OOM_PATTERN, match.groupdict(), line)
        report.confirm(_OOM_PATTERN, match.groupdict())
        return False

    def _open_report(
        self, pattern: Pattern | None, groups: dict[str, str], line: str, *, text: str = ""
    ) -> bool:
        """Open a report; without a pattern it is none before a later line says so."""
        self._close()
        self._open = CrashReport(pattern=pattern, groups=groups)
        for early in self._lead_in:
            self._open.excerpt.add(early)
        self._lead_in = []
        self._open.excerpt.add(line)
        self._open.read_headline(text)
        return True

    def _continue(self, text: str, line: str) -> None:
        if self._lead_in or _CUT_HERE.match(text):
            self._lead_in = [*self._lead_in, line] if len(self._lead_in) < _MAX_LEAD_IN else []
        if self._open:
            self._open.add(text, line)
            if self._open.is_over:
                self._close()

    def _close(self) -> None:
        report, self._open = self._open, None
        if report and not report.is_tentative and self._is_new(report.crash):
            self._done.append(report.crash)

    def _is_new(self, crash: Crash) -> bool:
        is_repeated = crash.kind in REPEATING_KINDS and any(
            crash.title == other.title for other in self._done
        )
        return not is_repeated and len(self._done) < MAX_CRASHES
