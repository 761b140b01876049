"""What a guest test says about itself, read for the words in it alone.

Needs are checked where tests are collected (:mod:`testbed.core.needs`). Here only a guess is wanted
of which tests look at a thing, so that what cannot be read says nothing.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

import yaml

from testbed.core.mutant import split_words

_TOP_COMMENT: Final = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_BLOCK: Final = re.compile(
    r"^[ \t]*\*[ \t]*testbed:[ \t]*\n(?P<yaml>(?:[ \t]*\*[ \t]{2,}.*\n)+)", re.MULTILINE
)
_LINE_START: Final = re.compile(r"^[ \t]*\*", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """What the cases of a test file look at: (glob over cases, items, words) for each entry."""

    contract: tuple[tuple[str, int], ...] = ()
    covers: tuple[tuple[str, frozenset[str]], ...] = ()

    def list_items(self, case: str) -> frozenset[int]:
        """Return the items of the contract that ``case`` asserts."""
        return frozenset(item for glob, item in self.contract if fnmatchcase(case, glob))

    def list_words(self, case: str) -> frozenset[str]:
        """Return the words of what ``case`` covers."""
        found = (words for glob, words in self.covers if fnmatchcase(case, glob))
        return frozenset().union(*found)


def read_hints(source: str) -> Hints:
    """Read ``contract`` and ``covers`` of the block of a C test; nothing where there are none."""
    top = _TOP_COMMENT.match(source)
    block = _BLOCK.search(top[0]) if top else None
    try:
        document = yaml.safe_load(_LINE_START.sub("", block["yaml"])) if block else None
    except yaml.YAMLError:
        document = None
    if not isinstance(document, dict):
        return Hints()
    return Hints(
        contract=tuple(_read_contract(document.get("contract"))),
        covers=tuple(_read_covers(document.get("covers"))),
    )


def _read_contract(value: Any) -> list[tuple[str, int]]:  # noqa: ANN401 - whatever YAML holds
    entries = value.items() if isinstance(value, Mapping) else ()
    return [(glob, key) for key, globs in entries if isinstance(key, int) for glob in _list(globs)]


def _read_covers(value: Any) -> list[tuple[str, frozenset[str]]]:  # noqa: ANN401 - as above
    found = []
    for entry in value if isinstance(value, Sequence) else ():
        if isinstance(entry, Mapping):
            axes = (name for key, names in entry.items() if key != "cases" for name in _list(names))
            words = frozenset(word for name in axes for word in split_words(name))
            found += [(glob, words) for glob in _list(entry.get("cases"))]
    return found


def _list(value: Any) -> list[str]:  # noqa: ANN401 - as above
    if isinstance(value, str):
        return [value]
    return [one for one in value if isinstance(one, str)] if isinstance(value, Sequence) else []
