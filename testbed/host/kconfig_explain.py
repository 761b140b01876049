"""Why an option is what it is, told by the tree's own Kconfig files, down to the bottom."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Final

import kconfiglib

from testbed.core.kconfig import NOT_SET, Option
from testbed.core.outline import Point
from testbed.host.kconfig_load import Expr, Kconfig
from testbed.host.kconfig_origin import (
    is_boolean,
    join_some,
    list_setting,
    locate,
    place,
    show,
    show_default,
    split,
    tell_origin,
)
from testbed.host.kconfig_solve import list_selectors

_MAX_DEPTH: Final = 8
_MAX_SHOWN: Final = 4
_MAX_NEAR: Final = 3
_NOT_THERE: Final = "n: the compiler or a script was asked for something and says no"


class Explainer:
    """Explains one option of a configured ``kconfig``; ``asked`` is what fragments ask for.

    An option on the way that was explained once is only named after that.
    """

    def __init__(self, kconfig: Kconfig, asked: Mapping[str, Option]) -> None:
        self._kconfig = kconfig
        self._asked = asked
        self._told: set[str] = set()

    def explain(self, symbol: kconfiglib.Symbol) -> tuple[Point, ...]:
        """Return where ``symbol`` is defined, why it is what it is, and what it hangs on."""
        self._told.add(symbol.name)
        origin = tell_origin(symbol, self._asked)
        return (
            *(Point(text=_describe_node(node)) for node in symbol.nodes),
            Point(text=origin, points=self._list_reasons(symbol, 1)),
            *self._list_facts(symbol),
        )

    def _list_facts(self, symbol: kconfiglib.Symbol) -> tuple[Point, ...]:
        """Return what there is to know besides: what is met, the choice, the range, selectors."""
        facts = []
        parts = split(symbol.direct_dep, kconfiglib.AND)
        met = [show(part) for part in parts if kconfiglib.expr_value(part)]
        if symbol.direct_dep is not self._kconfig.y and met:
            facts.append(f"dependencies that are met: {', '.join(dict.fromkeys(met))}")
        if symbol.choice is not None:
            facts.append(self._describe_choice(symbol.choice))
        ranges = [pair for *pair, condition in symbol.ranges if kconfiglib.expr_value(condition)]
        if ranges:
            facts.append(f"its range is {ranges[0][0].str_value} to {ranges[0][1].str_value}")
        selectors = list_selectors(symbol)
        if selectors and not symbol.tri_value and any(node.prompt for node in symbol.nodes):
            facts.append(f"would be selected by {join_some(map(show, selectors), word='or')}")
        return tuple(Point(text=text) for text in facts)

    def _list_reasons(self, symbol: kconfiglib.Symbol, depth: int) -> tuple[Point, ...]:
        """Return what keeps ``symbol`` off, or on."""
        if is_boolean(symbol) and symbol.tri_value:
            return self._list_askers(symbol, depth)
        off = self._list_off(symbol.direct_dep, depth)
        if off:
            return off
        conditions = [node.prompt[1] for node in symbol.nodes if node.prompt]
        if conditions and not any(map(kconfiglib.expr_value, conditions)):
            return self._list_off(conditions[0], depth)
        if not conditions and is_boolean(symbol):
            return self._list_setters(symbol)
        return ()

    def _list_askers(self, symbol: kconfiglib.Symbol, depth: int) -> tuple[Point, ...]:
        """Return who turned on what selects a symbol that no fragment asks for."""
        option = self._asked.get(symbol.name)
        if option is not None and option.value != NOT_SET:
            return ()
        first = [split(part, kconfiglib.AND)[0] for part in list_setting(symbol.rev_dep)]
        return tuple(
            self._describe(one, depth)
            for one in first[:_MAX_SHOWN]
            if isinstance(one, kconfiglib.Symbol) and one.name not in self._told
        )

    def _list_off(self, expr: Expr, depth: int) -> tuple[Point, ...]:
        """Return a point on each part of a conjunction that is n."""
        off = [part for part in split(expr, kconfiglib.AND) if not kconfiglib.expr_value(part)]
        once = {kconfiglib.expr_str(part): part for part in off}
        return tuple(self._explain(part, depth) for part in once.values())

    def _explain(self, expr: Expr, depth: int) -> Point:
        """Return a point on a part that is n and should not be."""
        if isinstance(expr, kconfiglib.Choice):
            conditions = [node.prompt[1] for node in expr.nodes if node.prompt]
            shut = self._list_off(expr.direct_dep, depth + 1) or tuple(
                point for one in conditions for point in self._list_off(one, depth + 1)
            )
            return Point(text=f"its choice is shut: {_name_choice(expr)}", points=shut)
        if isinstance(expr, kconfiglib.Symbol):
            return self._describe(expr, depth)
        if expr[0] == kconfiglib.OR:
            return self._explain_ways(split(expr, kconfiglib.OR), depth)
        if expr[0] == kconfiglib.AND:
            off = self._list_off(expr, depth + 1)
            return off[0] if len(off) == 1 else Point(text="all of these", points=off)
        if expr[0] == kconfiglib.NOT and isinstance(expr[1], kconfiglib.Symbol):
            inner = self._describe(expr[1], depth)
            return Point(text=f"not {inner.text}", points=inner.points)
        known = [one for one in expr[1:] if isinstance(one, kconfiglib.Symbol) and one.nodes]
        values = "".join(f", {one.name} is {one.str_value or 'empty'}" for one in known)
        return Point(text=f"{show(expr)}{values}")

    def _explain_ways(self, ways: Sequence[Expr], depth: int) -> Point:
        points = [self._explain(way, depth + 1) for way in ways[:_MAX_SHOWN]]
        rest = len(ways) - len(points)
        if rest:
            points.append(Point(text=f"or one of {rest} more"))
        return Point(text="one of these", points=tuple(points))

    def _describe(self, symbol: kconfiglib.Symbol, depth: int) -> Point:
        """Return a point on a symbol that another one hangs on."""
        if symbol.is_constant:
            return Point(text=_NOT_THERE if symbol.str_value == NOT_SET else show(symbol))
        if not symbol.nodes:
            return Point(text=f"{show(symbol)}: this tree does not define it")
        if symbol.name in self._told:
            return Point(text=f"{show(symbol)} (see above)")
        self._told.add(symbol.name)
        origin = tell_origin(symbol, self._asked)
        return Point(
            text=f"{show(symbol)} {locate(symbol.nodes[0])}: {origin}",
            points=self._list_reasons(symbol, depth + 1) if depth < _MAX_DEPTH else (),
        )

    def _list_setters(self, symbol: kconfiglib.Symbol) -> tuple[Point, ...]:
        """Return what would set a symbol without a prompt."""
        points = []
        selectors = list_selectors(symbol)
        if selectors:
            points.append(Point(text=f"selected by {join_some(map(show, selectors), word='or')}"))
        points += [
            Point(text=show_default(value, condition))
            for node in symbol.nodes
            for value, condition in node.orig_defaults
            if value is not self._kconfig.n
        ][:_MAX_SHOWN]
        return tuple(points) or (Point(text="nothing sets it on this architecture"),)

    def _describe_choice(self, choice: kconfiglib.Choice) -> str:
        taken = choice.selection
        option = None if taken is None else self._asked.get(taken.name)
        name = "none" if taken is None else taken.name
        why = f" ({place(option)} asks for it)" if option and option.value != NOT_SET else ""
        return f"one of the choice {_name_choice(choice)}, which has taken {name}{why}"


def find_symbol(kconfig: Kconfig, name: str) -> kconfiglib.Symbol | None:
    """Return the symbol called ``name``, in upper or lower case; None where none is defined."""
    found = kconfig.syms.get(name)
    if found is not None and found.nodes:
        return found
    folded = name.casefold()
    same = (s for s in kconfig.unique_defined_syms if s.name.casefold() == folded)
    return next(same, None)


def find_near_names(kconfig: Kconfig, name: str) -> tuple[str, ...]:
    """Return up to three names of options that ``name`` may have been meant to be."""
    names = {symbol.name.upper(): symbol.name for symbol in kconfig.unique_defined_syms}
    near = difflib.get_close_matches(name.upper(), names, n=_MAX_NEAR, cutoff=0.7)
    return tuple(names[one] for one in near)


def _describe_node(node: kconfiglib.MenuNode) -> str:
    kind = kconfiglib.TYPE_TO_STR[node.item.orig_type]
    prompt = f'"{node.prompt[0]}"' if node.prompt else "without a prompt"
    return f"{kind} {prompt}, {locate(node)}"


def _name_choice(choice: kconfiglib.Choice) -> str:
    prompts = [node.prompt[0] for node in choice.nodes if node.prompt]
    name = f'"{prompts[0]}"' if prompts else "without a prompt"
    return f"{name}, {locate(choice.nodes[0])}"
