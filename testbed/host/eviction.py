"""The cache within bounds: what was used least lately goes, what a run uses stays.

Facts, locks and the tickets of guests are small and are never evicted. What ccache keeps goes last,
by its own rules: with it, a kernel that is built again takes a fraction of the time.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from testbed.core.eviction import (
    Bounded,
    Entry,
    Footprint,
    add_up,
    choose,
    format_size,
    parse_size,
)
from testbed.errors import CommandError, UserError
from testbed.host import proc
from testbed.host.footprint import measure
from testbed.host.store import CCACHE, KINDS, NO_ENTRIES, Store, sweep

KEEP_VARIABLE: Final = "TESTBED_CACHE_KEEP"

_TRIMS: Final = 4
_KIB: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class _Survey:
    """What is in a cache; ``fixed`` is all that is no entry, without what ccache keeps."""

    entries: tuple[Entry, ...]
    fixed: Footprint
    ccache: Footprint

    @property
    def size_bytes(self) -> int:
        return add_up([*(entry.footprint for entry in self.entries), self.fixed, self.ccache])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    evicted: tuple[Entry, ...]
    spared: tuple[Entry, ...]
    notes: tuple[str, ...]
    left_bytes: int


def read_keep() -> int | None:
    """Return the bytes that ``$TESTBED_CACHE_KEEP`` allows the cache; None where it is not set.

    Raises :class:`UserError` where it is no size.
    """
    text = os.environ.get(KEEP_VARIABLE)
    if not text:
        return None
    try:
        return parse_size(text)
    except UserError as err:
        raise UserError(f"{KEEP_VARIABLE}: {err}") from err


def bound(store: Store, keep_bytes: int) -> Bounded:
    """Evict from the cache until it takes at most ``keep_bytes``.

    What a run uses stays, of this process too, and whatever was used since this began to look. One
    such call works at a time; another waits. Raises :class:`testbed.errors.InfraError` where the
    cache cannot be written.
    """
    with store.lock("cache", "bound"), store.blamed():
        for kind in KINDS:
            sweep(store.root / kind)
        before = left = _survey(store)
        outcome = _evict(
            before,
            keep_bytes,
            lambda entry: store.evict(entry.kind, entry.key, used_ns=entry.used_ns),
        )
        if outcome.evicted:
            left = _survey(store)
        notes = [*_list_unread(before), *outcome.notes]
        over_bytes = left.size_bytes - keep_bytes
        if over_bytes > 0 and (store.root / CCACHE).is_dir():
            notes.append(_trim_ccache(store.root / CCACHE, over_bytes=over_bytes))
            left = _survey(store)
    return Bounded(
        keep_bytes=keep_bytes,
        before_bytes=before.size_bytes,
        left_bytes=left.size_bytes,
        evicted=outcome.evicted,
        spared=outcome.spared,
        notes=tuple(notes),
    )


def preview(store: Store, keep_bytes: int) -> Bounded:
    """Return what :func:`bound` would do now; nothing is removed."""
    with store.lock("cache", "bound"), store.blamed():
        found = _survey(store)
        outcome = _evict(found, keep_bytes, lambda entry: not store.is_used(entry.kind, entry.key))
    trimmed_bytes = min(max(outcome.left_bytes - keep_bytes, 0), add_up([found.ccache]))
    notes = [*_list_unread(found), *outcome.notes]
    if trimmed_bytes:
        notes.append(f"ccache would give up {format_size(trimmed_bytes)}")
    return Bounded(
        keep_bytes=keep_bytes,
        before_bytes=found.size_bytes,
        left_bytes=outcome.left_bytes - trimmed_bytes,
        evicted=outcome.evicted,
        spared=outcome.spared,
        notes=tuple(notes),
        is_preview=True,
    )


def _evict(survey: _Survey, keep_bytes: int, remove: Callable[[Entry], bool]) -> _Outcome:
    """Offer entries to ``remove`` until the rest fits; it returns False for what a run uses."""
    left = list(survey.entries)
    fixed = [survey.fixed, survey.ccache]
    evicted: list[Entry] = []
    notes: list[str] = []
    while (choice := choose(left, fixed=fixed, keep_bytes=keep_bytes)).evicted:
        entry = choice.evicted[0]
        left.remove(entry)
        try:
            is_gone = remove(entry)
        except PermissionError as err:
            notes.append(f"{entry.name} cannot be removed: {err.strerror}")
            fixed.append(entry.footprint)
            continue
        if is_gone:
            evicted.append(entry)
        else:
            left.append(replace(entry, is_spared=True))
    return _Outcome(
        evicted=tuple(evicted),
        spared=tuple(entry for entry in left if entry.is_spared),
        notes=tuple(notes),
        left_bytes=choice.left_bytes,
    )


def _survey(store: Store) -> _Survey:
    """Look at the cache: entries one by one, and together whatever else lies there."""
    entries = [
        Entry(kind=kind, key=key, used_ns=used_ns, footprint=measure(store.root / kind / key))
        for kind in KINDS
        if kind not in NO_ENTRIES
        for used_ns, key in store.list_keys(kind)
    ]
    ccache = store.root / CCACHE
    known = {ccache, *(store.root / entry.kind / entry.key for entry in entries)}
    return _Survey(
        entries=tuple(entries),
        fixed=measure(store.root, without=known),
        ccache=measure(ccache),
    )


def _list_unread(survey: _Survey) -> list[str]:
    return [
        f"{entry.name} cannot be read: not all of it is counted"
        for entry in survey.entries
        if not entry.footprint.is_whole
    ]


def _trim_ccache(folder: Path, *, over_bytes: int) -> str:
    """Let ccache remove ``over_bytes`` of what it keeps, or all; the setting of its size stays."""
    if shutil.which("ccache") is None:
        return f"{folder} is not trimmed: ccache is not installed"
    before_bytes = add_up([measure(folder)])
    goal_bytes = before_bytes - over_bytes
    try:
        _run_ccache(folder, goal_bytes)
    except CommandError as err:
        return f"{folder} is not trimmed: {err}"
    return f"ccache gave up {format_size(max(0, before_bytes - add_up([measure(folder)])))}"


def _run_ccache(folder: Path, goal_bytes: int) -> None:
    """Make ccache clean up, again with a lower limit where that was not enough.

    Its limit is one for each of its folders and leaves out what the folders themselves take.
    """
    limit_kib = goal_bytes // _KIB
    for _ in range(_TRIMS):
        # 0 would mean no limit (ccache(1), 4.7, max_size).
        what = "--cleanup" if limit_kib > 0 else "--clear"
        env = {"CCACHE_DIR": str(folder), "CCACHE_MAXSIZE": f"{max(limit_kib, 1)}Ki"}
        proc.run(["ccache", what], env=env)
        over_bytes = add_up([measure(folder)]) - goal_bytes
        if over_bytes <= 0 or limit_kib <= 0:
            return
        limit_kib = (limit_kib - over_bytes // _KIB) * 7 // 8
