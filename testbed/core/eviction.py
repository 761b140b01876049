"""What leaves the cache so that the rest fits: the entries that were used least lately.

Sizes are what the disk has, in bytes. A file with several names is there once, and goes with the
last of its names.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from testbed.core.text import clean
from testbed.errors import UserError

_UNITS: Final = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE: Final = re.compile(
    r"(?P<number>[0-9]{1,12}(?:\.[0-9]{1,3})?)(?P<unit>[KMGT])", re.IGNORECASE
)
_AGES: Final = ((86400, "d"), (3600, "h"), (60, "min"))
_NS: Final = 1_000_000_000
_KEY_CHARS: Final = 40

FileId = tuple[int, int]
"""A device and an inode on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """What a folder takes: ``own_bytes``, and ``linked`` files, which have names elsewhere too.

    Where it is not ``is_whole``, a part of it may not be read and is not counted.
    """

    own_bytes: int = 0
    linked: tuple[tuple[FileId, int], ...] = ()
    is_whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry of the cache, last used at ``used_ns`` (nanoseconds since 1970).

    ``is_spared`` says that it stays whatever it takes: a run uses it, or it cannot be removed.
    """

    kind: str
    key: str
    used_ns: int
    footprint: Footprint
    is_spared: bool = False

    @property
    def name(self) -> str:
        """Kind and key, fit for a terminal."""
        key = clean(self.key).replace("\n", " ")
        return f"{self.kind}/{key if len(key) <= _KEY_CHARS else f'{key[:_KEY_CHARS]}…'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The entries to remove, the first one first, and what the cache takes without them."""

    evicted: tuple[Entry, ...]
    left_bytes: int


def parse_size(text: str) -> int:
    """Return the bytes of ``20G``: a number and K, M, G or T, powers of 1024; ``0`` is nothing.

    Raises :class:`UserError` for anything else: a number alone may be meant in any unit.
    """
    if text == "0":
        return 0
    match = _SIZE.fullmatch(text)
    if match is None:
        raise UserError(
            f"{clean(text)!r} is no size: write a number and K, M, G or T (powers of 1024), as in "
            "20G or 1.5G"
        )
    return int(Decimal(match["number"]) * _UNITS[match["unit"].upper()])


def add_up(footprints: Iterable[Footprint]) -> int:
    """Return what ``footprints`` take together, in bytes."""
    own_bytes = 0
    linked: dict[FileId, int] = {}
    for one in footprints:
        own_bytes += one.own_bytes
        linked.update(one.linked)
    return own_bytes + sum(linked.values())


def choose(entries: Sequence[Entry], *, fixed: Sequence[Footprint], keep_bytes: int) -> Choice:
    """Return which of ``entries`` must go until all, with what is ``fixed``, is ``keep_bytes``.

    Those that were used least lately go first. Where all that may go is not enough, it is chosen
    whole, and ``left_bytes`` is more than ``keep_bytes``.
    """
    footprints = [*(entry.footprint for entry in entries), *fixed]
    names = Counter(file for one in footprints for file, _ in one.linked)
    left_bytes = add_up(footprints)
    evicted = []
    for entry in sort_by_use(entries):
        if left_bytes <= keep_bytes:
            break
        if entry.is_spared:
            continue
        evicted.append(entry)
        left_bytes -= entry.footprint.own_bytes
        for file, size_bytes in entry.footprint.linked:
            names[file] -= 1
            if not names[file]:
                left_bytes -= size_bytes
    return Choice(evicted=tuple(evicted), left_bytes=left_bytes)


def sort_by_use(entries: Iterable[Entry]) -> list[Entry]:
    """Return ``entries``, the one that was used least lately first."""
    return sorted(entries, key=lambda entry: (entry.used_ns, entry.kind, entry.key))


def format_size(size_bytes: int) -> str:
    """Return ``1.6 GiB``."""
    for unit in ("T", "G", "M"):
        if size_bytes >= _UNITS[unit]:
            return f"{size_bytes / _UNITS[unit]:.1f} {unit}iB"
    return f"{-(-size_bytes // 1024)} KiB"


def format_age(used_ns: int, *, now_ns: int) -> str:
    """Return how long ago something was used: ``3 d ago``."""
    seconds = max(0, now_ns - used_ns) // _NS
    for unit_s, unit in _AGES:
        if seconds >= unit_s:
            return f"{seconds // unit_s} {unit} ago"
    return "just now"


def format_entries(entries: Iterable[Entry], *, now_ns: int) -> tuple[str, ...]:
    """Return a line for each of ``entries``: its size, its last use, its name."""
    return tuple(
        f"{format_size(add_up([entry.footprint])):>10}  "
        f"{format_age(entry.used_ns, now_ns=now_ns):>10}  {entry.name}"
        for entry in entries
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounded:
    """A cache that was brought to at most ``keep_bytes``, or as near as it can be.

    ``evicted`` are the entries that went, ``spared`` those that stand in the way and stay;
    ``notes`` say what else there is to know. A preview tells what would be, and removed nothing.
    """

    keep_bytes: int
    before_bytes: int
    left_bytes: int
    evicted: tuple[Entry, ...]
    spared: tuple[Entry, ...] = ()
    notes: tuple[str, ...] = ()
    is_preview: bool = False


def describe(bounded: Bounded, *, now_ns: int) -> tuple[str, ...]:
    """Return what to tell the user: a line for each entry that goes, then what is left and why."""
    goes, holds = ("would go", "would hold") if bounded.is_preview else ("removed", "holds")
    lines = [f"{line}  {goes}" for line in format_entries(bounded.evicted, now_ns=now_ns)]
    if bounded.spared:
        lines.append(f"in use: {', '.join(entry.name for entry in sort_by_use(bounded.spared))}")
    lines += bounded.notes
    left = f"{format_size(bounded.left_bytes)} of {format_size(bounded.before_bytes)}"
    lines.append(f"the cache {holds} {left}")
    if bounded.left_bytes > bounded.keep_bytes:
        why = "is in use or never evicted" if bounded.spared else "is never evicted, or unfinished"
        lines[-1] += f", more than {format_size(bounded.keep_bytes)}: what is left {why}"
    return tuple(lines)
