"""Ranges of kernel versions, as in ``>=6.1,<6.7``.

A bound is compared in as many numbers as it has: 6.1.176 is ``<=6.1`` and ``==6.1``, and ``>6.1``
begins with 6.2. What follows a release's numbers (``-rc3``, a distribution's suffix) is not looked
at.
"""

import operator
import re
from collections.abc import Callable, Mapping
from typing import Final

_Version = tuple[int, ...]

_OPERATORS: Final[Mapping[str, Callable[[_Version, _Version], bool]]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
_BOUND: Final = re.compile(r"(?P<sign><=|>=|==|<|>)\s*(?P<version>\d{1,4}(?:\.\d{1,4}){1,2})")
_RELEASE: Final = re.compile(r"\d{1,4}(?:\.\d{1,4}){1,2}(?!\d)")


def check_range(text: str) -> str:
    """Return ``text``, with its blanks taken out; :class:`ValueError` where it is no range."""
    bounds = [_BOUND.fullmatch(part.strip()) for part in text.split(",")]
    if None in bounds:
        raise ValueError("bounds are written as in '<6.7' or '>=6.1,<6.7'")
    return "".join(text.split())


def is_in_range(release: str, text: str) -> bool:
    """Whether ``release`` (6.12.117, 6.7.0-rc1) lies within the range ``text``.

    A release that is not known, or is none, lies in no range.
    """
    found = _RELEASE.match(release)
    if found is None:
        return False
    version = _split(found[0])
    return all(_is_within(version, bound) for bound in check_range(text).split(","))


def _is_within(version: _Version, text: str) -> bool:
    bound = _BOUND.fullmatch(text)
    if bound is None:
        return False
    limit = _split(bound["version"])
    return _OPERATORS[bound["sign"]](_pad(version)[: len(limit)], limit)


def _split(version: str) -> _Version:
    return tuple(int(number) for number in version.split("."))


def _pad(version: _Version) -> _Version:
    """Return three numbers: 6.7 is 6.7.0."""
    return (*version, 0, 0)[:3]
