"""``testbed kconfig why``: why an option is set or not, and what would set it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias

import kconfiglib

from testbed.core.kconfig import (
    NOT_SET,
    Option,
    Version,
    format_options,
    merge_fragments,
    parse_fragment,
    read_values,
)
from testbed.core.outline import Point, format_point
from testbed.errors import KconfigError
from testbed.host import catalog
from testbed.host.kconfig_explain import Explainer, find_near_names, find_symbol
from testbed.host.kconfig_files import find_kconfig_files
from testbed.host.kconfig_load import Kconfig, choose_arch, configure, load_kconfig
from testbed.host.kconfig_origin import is_boolean, place
from testbed.host.kconfig_solve import propose
from testbed.host.source import Source
from testbed.host.store import Store

_WIDTH: Final = 100
_MAX_ROUNDS: Final = 4

Fragments: TypeAlias = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A configured tree: its Kconfig files, its options, and the ``.config`` that came of them."""

    kconfig: Kconfig
    src: Path
    options: Mapping[str, Option]
    config_text: str

    def has(self, name: str) -> bool:
        """Whether a boolean option is on as ``kconfig`` is set now."""
        return bool(self.kconfig.syms[name].tri_value)

    def try_with(self, more: Iterable[Option]) -> str:
        """Set ``kconfig`` to the options with ``more`` on top; return the ``.config``."""
        merged = {**self.options, **{option.name: option for option in more}}
        return configure(self.kconfig, self.src, merged.values())


def explain(
    option: str,
    *,
    fragments: Fragments,
    source: Source,
    store: Store,
    say: Callable[[str], None],
) -> tuple[str, ...]:
    """Return lines that say what ``option`` is under ``fragments`` in ``source``, and why.

    ``option`` may have ``CONFIG_`` in front and be in lower case; ``fragments`` are (name, text).
    What is suggested was tried. No line has more than 100 characters, where no word is longer.
    Raises :class:`KconfigError` for an option that the tree does not have, and for a tree whose
    Kconfig files cannot be read, with file and line.
    """
    merged = merge_fragments(fragments, version=source.version).options
    src = find_kconfig_files(source, store, say=say)
    kconfig = load_kconfig(src, version=source.version, arch=choose_arch(merged))
    name = option.strip().upper().removeprefix("CONFIG_")
    setting = Setting(
        kconfig=kconfig,
        src=src,
        options=MappingProxyType({option.name: option for option in merged}),
        config_text=configure(kconfig, src, merged),
    )
    others = [one for one in _load_known() if one[0] not in dict(fragments)]
    skipped = _list_skipped(name, [*fragments, *others], source)
    symbol = find_symbol(kconfig, name)
    if symbol is None:
        point = _explain_unknown(name, setting, source, skipped)
    else:
        told = Explainer(kconfig, setting.options).explain(symbol)
        with_ = ", ".join(fragment for fragment, _ in fragments) or "tinyconfig alone"
        point = Point(
            text=f"{_describe_value(symbol)}, in {source.title} with {with_}",
            points=(*told, *skipped, *_suggest(symbol, setting, others, source)),
        )
    return format_point(point, width=_WIDTH)


def _load_known() -> Fragments:
    return catalog.load_fragments(catalog.list_catalog().kconfigs)


def _list_skipped(name: str, fragments: Fragments, source: Source) -> tuple[Point, ...]:
    """Return a point for each line of ``fragments`` on the option that is for other releases."""
    release = _join_version(source.version)
    return tuple(
        Point(
            text=f"{place(option)} asks for it, but only {_describe_bound(option)}: "
            f"this is {release}"
        )
        for fragment, text in fragments
        for option in parse_fragment(text, name=fragment)
        if option.name.casefold() == name.casefold() and not option.is_for(source.version)
    )


def _explain_unknown(
    name: str, setting: Setting, source: Source, skipped: tuple[Point, ...]
) -> Point:
    text = f"CONFIG_{name}: {source.title} has no such option"
    if skipped:
        return Point(text=text, points=skipped)
    near = find_near_names(setting.kconfig, name)
    raise KconfigError(text + (f" (did you mean {' or '.join(near)}?)" if near else ""))


def _describe_value(symbol: kconfiglib.Symbol) -> str:
    line = str(symbol.config_string).strip()
    return line if line.startswith("CONFIG_") else f"CONFIG_{symbol.name} is not set"


def _suggest(
    symbol: kconfiglib.Symbol,
    setting: Setting,
    others: Fragments,
    source: Source,
) -> tuple[Point, ...]:
    """Return what would set an option that is off: fragments that do, and lines."""
    if not is_boolean(symbol) or symbol.tri_value:
        return ()
    wishes = _find_wishes(symbol, setting)
    points = [
        Point(text=f"the fragment {name} sets it (tried)")
        for name in _find_fragments(symbol.name, setting, others, source)
    ]
    if wishes is None and not points:
        points += [
            Point(text=f"the fragment {name} sets it (tried): it is for another ARCH of make")
            for name in _find_foreign(symbol.name, setting, others, source)
        ]
    if wishes is not None:
        points.append(_describe_wishes(wishes, setting))
    return tuple(points) or (Point(text="no lines of a fragment were found that would set it"),)


def _find_fragments(
    name: str, setting: Setting, others: Fragments, source: Source
) -> Iterator[str]:
    """Yield the fragments that set the option when they are laid on top."""
    for fragment in others:
        options = merge_fragments([fragment], version=source.version).options
        if any(option.name == name and option.value != NOT_SET for option in options):
            setting.try_with(options)
            if setting.has(name):
                yield fragment[0]


def _find_foreign(name: str, setting: Setting, others: Fragments, source: Source) -> Iterator[str]:
    """Yield the fragments that set the option by way of another architecture."""
    arch = choose_arch(setting.options.values())
    for fragment in others:
        options = merge_fragments([fragment], version=source.version).options
        if choose_arch(options) != arch:
            foreign = load_kconfig(setting.src, version=source.version, arch=choose_arch(options))
            there = replace(setting, kconfig=foreign)
            there.try_with(options)
            if there.has(name):
                yield fragment[0]


def _find_wishes(symbol: kconfiglib.Symbol, setting: Setting) -> dict[str, str] | None:
    """Return options that set ``symbol``, tried, none of which can be left out; or None."""
    wishes: dict[str, str] = {}
    for _ in range(_MAX_ROUNDS):
        asked = {name: option.value for name, option in setting.options.items()}
        more = propose(symbol, asked={**asked, **wishes})
        if not more or wishes.items() >= more.items():
            return None
        wishes.update(more)
        if _lands(symbol, wishes, setting):
            return _drop_needless(symbol, wishes, setting)
    return None


def _drop_needless(
    symbol: kconfiglib.Symbol, wishes: dict[str, str], setting: Setting
) -> dict[str, str]:
    kept = dict(wishes)
    for name in wishes:
        fewer = {other: value for other, value in kept.items() if other != name}
        if _lands(symbol, fewer, setting):
            kept = fewer
    return kept


def _lands(symbol: kconfiglib.Symbol, wishes: Mapping[str, str], setting: Setting) -> bool:
    setting.try_with(Option(name=name, value=value) for name, value in wishes.items())
    return bool(symbol.tri_value)


def _describe_wishes(wishes: Mapping[str, str], setting: Setting) -> Point:
    """Return the lines that set the option, and what they cost."""
    after = read_values(
        setting.try_with(
            Option(name=name, value=value) for name, value in wishes.items()
        ).splitlines()
    )
    lines = []
    for name in sorted(wishes):
        value = after.get(name, NOT_SET)  # m, where y cannot be had
        line = format_options([Option(name=name, value=value)]).strip()
        asked = setting.options.get(name)
        instead = f"  (in the place of {place(asked)})" if asked and asked.value != value else ""
        lines.append(Point(text=f"{line}{instead}"))
    before = read_values(setting.config_text.splitlines())
    lost = [
        f"{name} of {place(option)}"
        for name, option in setting.options.items()
        if name not in wishes
        and before.get(name, NOT_SET) == option.value != after.get(name, NOT_SET)
    ]
    if lost:
        lines.append(Point(text=f"which costs {', '.join(lost)}"))
    return Point(text="these lines of a fragment set it (tried)", points=tuple(lines))


def _describe_bound(option: Option) -> str:
    words = (("since", option.since), ("before", option.before))
    return " ".join(f"{word} {_join_version(bound)}" for word, bound in words if bound)


def _join_version(version: Version) -> str:
    return ".".join(map(str, version))
