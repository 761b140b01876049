"""One crash report while it is being read: its traces, its excerpt, and the crash it comes to."""

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from testbed.core.crash_patterns import (
    AFTERMATH,
    FATAL_KINDS,
    INIT_DIED,
    MACHINERY,
    NOISE,
    PRIMITIVES,
    SKIPPED_BY_KIND,
    SYMBOL,
    Pattern,
)
from testbed.core.result import Crash

MAX_EXCERPT_LINES: Final = 200
MAX_EXCERPT_BYTES: Final = 16 * 1024
MAX_FRAMES: Final = 64
MAX_LINE_CHARS: Final = 240
_MAX_TITLE_CHARS: Final = 120
_MAX_SECTIONS: Final = 16
_REPORT_LINES: Final = 400  # no report is longer, but for the tasks that an OOM lists
_AWAITING_LINES: Final = 100  # as many may come between a headline and its trace
# After the trace the memory checkers tell who allocated, who freed, and what is near.
_TRAILING_LINES: Final = dict.fromkeys(("kasan", "kfence", "kmsan", "kcsan", "page_poison"), 60)
_FEW_TRAILING_LINES: Final = 5
_LAST_LINE: Final = re.compile(r"---\[ end |={20,}$|Kernel Offset: |Rebooting in ")
_CPU: Final = re.compile(r"(?:CPU: |NMI backtrace for cpu )(?P<cpu>\d+)")
_RIP: Final = re.compile(rf"RIP: 0010:{SYMBOL}")
_FRAME: Final = re.compile(rf"\s+(?:\[<[0-9a-f]+>\] )?(?P<guess>\? )?{SYMBOL}/0x[0-9a-f]+")
# KFENCE, KMSAN and KCSAN print their traces without the usual headline.
_TRACE_START: Final = re.compile(
    r"Call Trace:|.* \(in kfence-#\d+\):$|Invalid \w+ at 0x\S+:$|BUG: KMSAN: "
    r"|.* to 0x[0-9a-f]+ of \d+ bytes by "
)
# A hex dump: of an object (mm/slub.c), of a page (mm/page_poison.c). A page's is 256 lines.
_DUMP: Final = re.compile(r"(?:(?:Object|Redzone|Padding|Bytes b4)\s+)?[0-9a-f]{16}: [0-9a-f]{2} ")
# Anything may be printed amid a trace; these lines only ever stand behind one.
_TRACE_END: Final = re.compile(
    r" </TASK>|---\[ end |Modules linked in:|$"
    r"|(?:.* by task \d+.*|Uninit was .*|Local variable .*):$"
)
# Reports that begin like this end with a line of _LAST_LINE; others just end.
_ENDING_KINDS: Final = frozenset({"kasan", "kfence", "kmsan", "kcsan", "oops", "panic", "warning"})
_ENDING_START: Final = re.compile(r"kernel BUG at |.*\[#\d+\]|UBSAN: |WARNING: CPU: ")
_ACCESS: Final = re.compile(r"(?P<access>Read|Write) (?:of size \d+ )?at addr ")
_STALLED_CPU: Final = re.compile(
    r"rcu:\s+(?P<cpu>\d+)-\S+: \(|.* stalls on CPUs/tasks: \{ *(?P<expedited>\d+)-"
)


@dataclass(slots=True)
class _Section:
    """One CPU's or task's part of a report."""

    cpu: str | None
    frames: list[str] = field(default_factory=list)
    guesses: list[str] = field(default_factory=list)
    is_in_trace: bool = False
    is_closed: bool = False

    @property
    def trace(self) -> list[str]:
        """The frames; after a jump to where no code is, what the stack made the kernel guess."""
        return self.frames or self.guesses


class _Excerpt:
    """The first and the last lines of a report, within the bounds."""

    def __init__(self) -> None:
        self._head: list[str] = []
        self._tail: deque[str] = deque(maxlen=MAX_EXCERPT_LINES // 2 - 1)
        self._dropped = 0

    def add(self, line: str) -> None:
        if len(self._head) < MAX_EXCERPT_LINES // 2:
            self._head.append(line)
            return
        self._dropped += len(self._tail) == self._tail.maxlen
        self._tail.append(line)

    def __str__(self) -> str:
        head, head_left = _fit(self._head, MAX_EXCERPT_BYTES // 2 - MAX_LINE_CHARS)
        tail, tail_left = _fit(reversed(self._tail), MAX_EXCERPT_BYTES // 2)
        dropped = self._dropped + head_left + tail_left
        middle = [f"... {dropped} lines left out"] if dropped else []
        return "\n".join([*head, *middle, *reversed(tail)])


def _fit(lines: Iterable[str], limit_bytes: int) -> tuple[list[str], int]:
    """Return the first of ``lines`` that fit, and how many do not."""
    fitting, left = list[str](), 0
    for line in lines:
        limit_bytes -= len(line.encode()) + 1
        if limit_bytes >= 0:
            fitting.append(line)
        else:
            left += 1
    return fitting, left


@dataclass(slots=True)
class CrashReport:
    """A report that is being read."""

    pattern: Pattern | None
    groups: dict[str, str]
    excerpt: _Excerpt = field(default_factory=_Excerpt)
    sections: list[_Section] = field(default_factory=list)
    access: str = ""
    stalled_cpu: str | None = None
    lines: int = 0
    trailing: int = 0
    is_quiet: bool = False
    has_end: bool = False

    @property
    def is_tentative(self) -> bool:
        """Whether a later line must say what this is: the OOM killer's trace comes first."""
        return self.pattern is None

    @property
    def kind(self) -> str:
        """The kind of crash; empty while the report is tentative."""
        return self.pattern.kind if self.pattern else ""

    def confirm(self, pattern: Pattern, groups: dict[str, str]) -> None:
        """Say what a tentative report is."""
        self.pattern, self.groups = pattern, groups
        self.resume()

    @property
    def awaits_trace(self) -> bool:
        """Whether further headlines still belong to this report."""
        if self.pattern is None:
            return False
        has_trace = any(section.is_in_trace for section in self.sections)
        return self.pattern.has_trace and not has_trace and self.lines <= _AWAITING_LINES

    @property
    def is_over(self) -> bool:
        """Whether whatever comes now has nothing to do with this report."""
        return self.pattern is not None and self.lines > _REPORT_LINES

    @property
    def is_complete(self) -> bool:
        """Whether all that makes the title and the frames has been read, as far as one can tell."""
        if self.pattern is None or self.is_quiet or not self.pattern.has_trace:
            return True
        if self.has_end or self.kind in _ENDING_KINDS:
            return False
        closed = [section for section in self.sections if section.is_closed and section.frames]
        if self.stalled_cpu is not None:
            return any(section.cpu == self.stalled_cpu for section in closed)
        return any(section.cpu is not None or self.kind != "rcu_stall" for section in closed)

    def is_followed_by(self, panic: str) -> bool:
        """Whether the panic of this text is but the end of this report."""
        is_of_init = self.kind in FATAL_KINDS and INIT_DIED.match(panic) is not None
        return AFTERMATH.match(panic) is not None or is_of_init

    def resume(self) -> None:
        """Take up lines again that belong to this report."""
        self.is_quiet, self.trailing = False, 0

    def add(self, text: str, line: str) -> None:
        """Take a line that begins no report."""
        self.lines += _DUMP.match(text) is None
        self._note(text)
        if not self.access and (match := _ACCESS.match(text)):
            self.access = f" {match['access']}"
        self._add_to_section(text)
        if self.is_quiet:
            return
        self.excerpt.add(line)
        self.trailing += bool(self.sections) and self.sections[-1].is_closed
        is_last = _LAST_LINE.match(text) is not None
        self.is_quiet = is_last or self.trailing > self._trailing_limit

    @property
    def _trailing_limit(self) -> int:
        if self.pattern is None:
            return MAX_EXCERPT_LINES  # the state of memory stands between OOM trace and OOM kill
        return _TRAILING_LINES.get(self.kind, _FEW_TRAILING_LINES)

    def read_headline(self, text: str) -> None:
        """Take the line that began this report."""
        self._note(text)
        self._add_to_section(text)

    def _note(self, text: str) -> None:
        """Keep how the report will end, and the first CPU that an RCU stall names."""
        self.has_end = self.has_end or _ENDING_START.match(text) is not None
        if self.stalled_cpu is None and (match := _STALLED_CPU.match(text)):
            self.stalled_cpu = match["cpu"] or match["expedited"]

    def _add_to_section(self, text: str) -> None:
        if cpu := _CPU.match(text):
            if len(self.sections) < _MAX_SECTIONS:
                self.sections.append(_Section(cpu=cpu["cpu"]))
            self.resume()
            return
        section = self._current_section(text)
        if section is None:
            return
        if _TRACE_START.match(text):
            section.is_in_trace = True
        elif match := _RIP.match(text):
            _add_frame(section.frames, match["function"])
        elif not section.is_in_trace:
            return
        elif match := _FRAME.match(text):
            _add_frame(section.guesses if match["guess"] else section.frames, match["function"])
        elif _TRACE_END.match(text):
            section.is_closed = True

    def _current_section(self, text: str) -> _Section | None:
        if not self.sections and _TRACE_START.match(text):
            self.sections.append(_Section(cpu=None))
        if not self.sections or self.sections[-1].is_closed:
            return None
        return self.sections[-1]

    @property
    def crash(self) -> Crash:
        """The crash as far as it has been read."""
        if self.pattern is None:
            raise ValueError("an OOM report is a crash only once something was killed")
        frames = self._frames
        title = self.pattern.title.format(**{**self.groups, "access": self.access})
        function = self._find_culprit(frames) if self.pattern.names_function else None
        return Crash(
            title=_normalise(title) + (f" in {function}" if function else ""),
            kind=self.pattern.kind,
            frames=frames,
            excerpt=str(self.excerpt),
        )

    @property
    def _frames(self) -> tuple[str, ...]:
        """The trace that matters, without the reporting's own frames at its inner end."""
        told = [section for section in self.sections if section.trace]
        stalled = [s for s in told if s.cpu is not None and s.cpu == self.stalled_cpu]
        running = [s for s in told if s.cpu is not None] if self.kind == "rcu_stall" else []
        chosen = next(iter([*stalled, *running, *told]), None)
        if chosen is None:
            return ()
        frames = chosen.trace
        inner = next((i for i, f in enumerate(frames) if not MACHINERY.fullmatch(f)), len(frames))
        return tuple(frames[inner:])

    def _find_culprit(self, frames: tuple[str, ...]) -> str | None:
        named = _strip_suffix(self.groups.get("function") or "")
        skipped = (PRIMITIVES, MACHINERY, *SKIPPED_BY_KIND.get(self.kind, ()))
        candidates = [name for name in (named, *frames) if name]
        telling = (c for c in candidates if not any(s.fullmatch(c) for s in skipped))
        return next(chain(telling, candidates), None)


def _add_frame(frames: list[str], symbol: str) -> None:
    name = _strip_suffix(symbol)
    is_twin = bool(frames) and frames[-1] == name  # RIP, then the same frame
    if len(frames) < MAX_FRAMES and not is_twin:
        frames.append(name)


def _strip_suffix(symbol: str) -> str:
    """Drop what the compiler added: ``.isra.0``, ``.constprop.0``, ``.part.0``, ``.cold``."""
    return symbol.split(".", 1)[0]


def _normalise(title: str) -> str:
    for regex, replacement in NOISE:
        title = regex.sub(replacement, title)
    return title.strip()[:_MAX_TITLE_CHARS]
