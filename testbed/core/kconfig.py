"""Kconfig fragments: what a kernel's configuration is asked to be, and whether it came to that.

A fragment has the form of a ``.config``: ``CONFIG_X=y``, ``# CONFIG_X is not set``, other
comments and empty lines. One thing is added: a line may end in ``# since X.Y`` or
``# before X.Y`` where an option came or went with a release, and then counts only for the
kernels that have it.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from testbed.errors import KconfigError

NOT_SET: Final = "n"

_SET: Final = re.compile(r'CONFIG_(?P<name>\w+)=(?P<value>"(?:[^"\\]|\\.)*"|[^\s"#]+)')
_UNSET: Final = re.compile(r"# CONFIG_(?P<name>\w+) is not set")
_BOUND: Final = re.compile(r"#\s*(?P<word>since|before)\s+(?P<major>\d+)\.(?P<minor>\d+)")
_LOOKS_LIKE_OPTION: Final = re.compile(r"#?\s*CONFIG_\w+")
_FORMS: Final = (
    "CONFIG_X=value or `# CONFIG_X is not set`, with `# since X.Y` or `# before X.Y` behind it"
)

Version: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One line of a fragment; ``name`` is without ``CONFIG_``, ``value`` is ``n`` for "not set".

    ``since`` and ``before`` bound the kernels that have the option (before is exclusive).
    """

    name: str
    value: str
    fragment: str = ""
    line: int = 0
    since: Version | None = None
    before: Version | None = None

    def is_for(self, version: Version) -> bool:
        """Whether a kernel of this release has the option."""
        return (self.since is None or self.since <= version) and (
            self.before is None or version < self.before
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Two fragments that ask for different values; the ``later`` one wins."""

    earlier: Option
    later: Option


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """Fragments laid on top of each other: ``options`` sorted by name, each once."""

    options: tuple[Option, ...]
    conflicts: tuple[Conflict, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmet:
    """An option that came out other than it was asked for; ``got`` is None where it is not set."""

    option: str
    wanted: str
    got: str | None


def parse_fragment(text: str, *, name: str) -> tuple[Option, ...]:
    """Return the options of the fragment called ``name``.

    Raises :class:`KconfigError` with the line for what is no option, and for an option given
    twice with different values (for kernels that one release can be).
    """
    options: list[Option] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        option = _parse_line(raw.strip(), fragment=name, number=number)
        if option is None:
            continue
        for other in options:
            if (
                other.name == option.name
                and other.value != option.value
                and _overlap(other, option)
            ):
                raise KconfigError(
                    f"{name}:{number}: CONFIG_{option.name}={option.value} contradicts line "
                    f"{other.line}, CONFIG_{other.name}={other.value}"
                )
        options.append(option)
    return tuple(options)


def merge_fragments(fragments: Iterable[tuple[str, str]], *, version: Version) -> Merged:
    """Lay (name, text) fragments on top of each other for a kernel of this release.

    The later fragment wins; where that changes what an earlier one asked for, it is reported.
    """
    merged: dict[str, Option] = {}
    conflicts: list[Conflict] = []
    for name, text in fragments:
        for option in parse_fragment(text, name=name):
            if not option.is_for(version):
                continue
            earlier = merged.get(option.name)
            if earlier is not None and earlier.value != option.value:
                conflicts.append(Conflict(earlier=earlier, later=option))
            merged[option.name] = option
    return Merged(options=tuple(merged[key] for key in sorted(merged)), conflicts=tuple(conflicts))


def format_options(options: Iterable[Option]) -> str:
    """Return the options in the form of a ``.config``."""
    return "".join(f"{_format_option(option)}\n" for option in options)


def hash_options(options: Iterable[Option]) -> str:
    """Return the SHA-256 of what is asked for; comments and order do not count."""
    text = format_options(sorted(options, key=lambda option: option.name))
    return hashlib.sha256(text.encode()).hexdigest()


def find_unmet(requested: Iterable[Option], config_text: str) -> tuple[Unmet, ...]:
    """Return the requested options that the final ``.config`` has otherwise, sorted by name."""
    got = read_values(config_text.splitlines())
    unmet = [
        Unmet(option=option.name, wanted=option.value, got=got.get(option.name))
        for option in requested
        if got.get(option.name, NOT_SET) != option.value
    ]
    return tuple(sorted(unmet, key=lambda item: item.option))


def read_values(lines: Iterable[str]) -> dict[str, str]:
    """Return name (without ``CONFIG_``) to value of the options that a ``.config`` sets."""
    matches = (_SET.match(line) for line in lines)
    return {match["name"]: match["value"] for match in matches if match}


def _parse_line(text: str, *, fragment: str, number: int) -> Option | None:
    match = _SET.match(text) or _UNSET.match(text)
    if match is None:
        if not text or (text.startswith("#") and not _LOOKS_LIKE_OPTION.match(text)):
            return None
        raise KconfigError(f"{fragment}:{number}: {text!r} is no option: write {_FORMS}")
    rest = text[match.end() :].strip()
    bound = _BOUND.fullmatch(rest)
    if rest and bound is None:
        raise KconfigError(f"{fragment}:{number}: {rest!r} after the option: write {_FORMS}")
    release = (int(bound["major"]), int(bound["minor"])) if bound else None
    return Option(
        name=match["name"],
        value=match.groupdict().get("value") or NOT_SET,
        fragment=fragment,
        line=number,
        since=release if bound and bound["word"] == "since" else None,
        before=release if bound and bound["word"] == "before" else None,
    )


def _overlap(one: Option, other: Option) -> bool:
    """Whether some release has both lines."""
    since = max((o.since for o in (one, other) if o.since), default=(0, 0))
    before = min((o.before for o in (one, other) if o.before), default=None)
    return before is None or since < before


def _format_option(option: Option) -> str:
    if option.value == NOT_SET:
        return f"# CONFIG_{option.name} is not set"
    return f"CONFIG_{option.name}={option.value}"
