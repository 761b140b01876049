"""Mutants: kernels with one fault of a known kind, and what their patches say about it.

A mutant is a patch, or a series of them. Trailers in the message of any of its patches tell more::

    Contract: 3, 12              the items of the contract that it breaks
    Seen-in: *thp*, mempolicy/*  globs over the ids of tests that are tried first
    Equivalent: why              no test can tell it from the base, and this is the proof
    Builds-on: swap-migration    series that it is a fault of: their tests are to see it

(``Seen-by:`` would be taken by checkpatch.pl for somebody's signature.)
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, TypeVar

from testbed.core.series import Patch, Series
from testbed.core.text import clean
from testbed.errors import SeriesError

_TRAILER: Final = re.compile(
    r"(?P<key>Contract|Seen-in|Equivalent|Builds-on):(?P<value>.*)", re.IGNORECASE
)
# What git writes behind a hunk's ranges: the line that its function begins with.
_HUNK: Final = re.compile(r"^@@ -\S+ \+\S+ @@ .*?(?P<name>\w+)(?:\(.*)?$", re.MULTILINE)
_MARK: Final = "MUTANT: "
_T = TypeVar("_T", int, str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A mutant; ``files`` and ``functions`` are what its patches change.

    ``digest`` changes with its patches and what they say. ``equivalent`` is the proof, empty where
    it is to be killed. ``series`` is what is built, on top of the series that it ``builds_on``, by
    their names.
    """

    name: str
    subject: str
    digest: str
    series: Series
    files: tuple[str, ...]
    functions: tuple[str, ...]
    contract: tuple[int, ...] = ()
    seen_in: tuple[str, ...] = ()
    equivalent: str = ""
    builds_on: tuple[str, ...] = ()


def read_mutant(series: Series, *, name: str) -> Mutant:
    """Return the mutant that ``series`` makes.

    Raises :class:`SeriesError` for a trailer that is not what it should be.
    """
    patches = series.patches
    trailers = [one for patch in patches for one in _find_trailers(patch)]
    return Mutant(
        name=name,
        subject=(series.title or patches[0].subject).rpartition(_MARK)[2],
        digest=_digest(patches),
        series=series,
        files=_unique(path for patch in patches for path in patch.touched),
        functions=_unique(
            match["name"] for patch in patches for match in _HUNK.finditer(patch.text)
        ),
        contract=_unique(
            _read_item(word, name)
            for key, text in trailers
            if key == "contract"
            for word in _split(text)
        ),
        seen_in=_unique(
            word for key, text in trailers if key == "seen-in" for word in _split(text)
        ),
        equivalent=" ".join(text for key, text in trailers if key == "equivalent"),
        builds_on=_unique(
            word for key, text in trailers if key == "builds-on" for word in _split(text)
        ),
    )


def list_words(mutant: Mutant) -> frozenset[str]:
    """Return the words that a test of what ``mutant`` breaks may have in its name."""
    stems = {PurePosixPath(path).stem for path in mutant.files}
    names = (mutant.name, *stems, *mutant.functions)
    words = {word for name in names for word in split_words(name)}
    return frozenset(words | {other for stem in stems for other in _TOPICS.get(stem, ())})


def split_words(name: str) -> tuple[str, ...]:
    """Return the words of a name that tell something: ``move_pages.many``: ``move``, ``many``."""
    words = re.findall(r"[a-z]+", name.lower())
    return tuple(word for word in words if len(word) > 1 and word not in _TELL_NOTHING)


_TOPICS: Final = {
    "huge_memory": ("thp",),
    "swap_state": ("swap", "swapped"),
    "mempolicy": ("mbind", "policy", "interleave"),
    "hugetlb": ("hugetlb",),
    "rmap": ("state", "shared", "fork"),
    "cpuset-v1": ("cpuset",),
}
_TELL_NOTHING: Final = frozenset(
    {"and", "any", "by", "cs", "do", "for", "from", "get", "has", "in", "into", "is", "it"}
    | {"lost", "mm", "not", "of", "on", "one", "or", "page", "pages", "set", "static", "struct"}
    | {"test", "the", "to", "with", "without"}
)


def _find_trailers(patch: Patch) -> Iterator[tuple[str, str]]:
    """Yield the trailers of a patch, each with the lines that go on with it."""
    lines = patch.header.splitlines()
    for number, line in enumerate(lines):
        if match := _TRAILER.fullmatch(line):
            more = _take_indented(lines[number + 1 :])
            yield match["key"].lower(), clean(" ".join([match["value"].strip(), *more])).strip()


def _take_indented(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if not line.startswith((" ", "\t")) or not line.strip():
            return
        yield line.strip()


def _read_item(word: str, name: str) -> int:
    if not word.isdecimal():
        raise SeriesError(f"{name}: Contract: {word!r} is no number of an item")
    return int(word)


def _split(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (word.strip() for word in text.split(","))))


def _unique(values: Iterable[_T]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(values))


def _digest(patches: Sequence[Patch]) -> str:
    text = "\0".join(patch.text for patch in patches)
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]
