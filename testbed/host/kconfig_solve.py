"""Which options would have to be set, and to what, for one more to be on.

Kconfig is no constraint language with a solver; what is done here is a search from the option
backwards, through what it depends on and what could select it. It proposes; whether a proposal
holds, :func:`testbed.host.kconfig_load.configure` says.
"""

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

import kconfiglib

from testbed.host.kconfig_load import Expr
from testbed.host.kconfig_origin import is_boolean, split

ON: Final = "y"
OFF: Final = "n"

_MAX_DEPTH: Final = 24
_ALTERNATIVE: Final = {kconfiglib.AND: False, kconfiglib.OR: True}

# What these open is not meant for a kernel that is run (init/Kconfig, 6.12).
_LAST_RESORT: Final = frozenset({"BROKEN", "COMPILE_TEST", "EXPERT", "MODULES"})
_LAST_RESORT_COST: Final = 20
_CONTRADICTION_COST: Final = 10

Wishes: TypeAlias = Mapping[str, str]
"""Option, without ``CONFIG_``, to ``y`` or ``n``."""


def propose(symbol: kconfiglib.Symbol, *, asked: Wishes) -> Wishes | None:
    """Return what would turn ``symbol`` on, as little as was found; None where nothing would.

    ``symbol`` is of a configured :class:`testbed.host.kconfig_load.Kconfig`; ``asked`` is what is
    asked for already: a proposal that contradicts it is taken only where there is no other.
    """
    return _Search(asked).reach(symbol, is_on=True)


class _Search:
    def __init__(self, asked: Wishes) -> None:
        self._asked = asked
        self._open: set[tuple[int, bool]] = set()
        self._known: dict[tuple[int, bool], Wishes | None] = {}

    def reach(self, expr: Expr, *, is_on: bool) -> Wishes | None:
        """Return what would make an expression other than n, or n; empty where it is so."""
        if bool(kconfiglib.expr_value(expr)) == is_on:
            return {}
        if isinstance(expr, tuple):
            return self._reach_compound(expr, is_on=is_on)
        key = (id(expr), is_on)
        if key in self._known:
            return self._known[key]
        if key in self._open or len(self._open) >= _MAX_DEPTH:
            return None
        self._open.add(key)
        if isinstance(expr, kconfiglib.Choice):
            found = self._join(_list_ways_in(expr), is_on=is_on)
        else:
            found = self._turn_on(expr) if is_on else self._turn_off(expr)
        self._open.remove(key)
        if found is not None or not self._open:  # a dead end may be so for this way here only
            self._known[key] = found
        return found

    def _reach_compound(self, expr: Expr, *, is_on: bool) -> Wishes | None:
        operator, *parts = expr
        if operator is kconfiglib.NOT:
            return self.reach(parts[0], is_on=not is_on)
        if operator not in _ALTERNATIVE:
            return self._reach_relation(operator, parts, is_on=is_on)
        if _ALTERNATIVE[operator] == is_on:
            return self._cheapest(self.reach(part, is_on=is_on) for part in parts)
        return self._join(parts, is_on=is_on)

    def _reach_relation(
        self,
        operator: int,
        parts: list[Expr],
        *,
        is_on: bool,
    ) -> Wishes | None:
        """Do it for ``A = y`` and its like; numbers and texts are left to the user."""
        symbol, value = parts
        if operator not in {kconfiglib.EQUAL, kconfiglib.UNEQUAL}:
            return None
        if not is_boolean(symbol) or value.str_value not in {ON, OFF}:
            return None
        wanted = (value.str_value == ON) == (operator is kconfiglib.EQUAL)
        return self.reach(symbol, is_on=wanted == is_on)

    def _turn_on(self, symbol: kconfiglib.Symbol) -> Wishes | None:
        if symbol.is_constant or not is_boolean(symbol):
            return None
        needed = split(symbol.direct_dep, kconfiglib.AND)
        asked = self._cheapest(
            self._join(needed, [node.prompt[1]], then={symbol.name: ON})
            for node in symbol.nodes
            if node.prompt
        )
        if asked is not None and self._cost(asked) < _LAST_RESORT_COST:
            return asked
        ways = [self.reach(part, is_on=True) for part in list_selectors(symbol)]
        ways += [self._join(needed, [value], [condition]) for value, condition in symbol.defaults]
        return self._cheapest([asked, *ways])

    def _turn_off(self, symbol: kconfiglib.Symbol) -> Wishes | None:
        if symbol.is_constant or not is_boolean(symbol):
            return None
        unselected = self._join(list_selectors(symbol), is_on=False)
        if unselected is None:
            return None
        if any(node.prompt for node in symbol.nodes):
            return self._merge([unselected, {symbol.name: OFF}])
        return self._merge([unselected, self.reach(symbol.direct_dep, is_on=False)])

    def _join(
        self, *exprs: Iterable[Expr], is_on: bool = True, then: Wishes | None = None
    ) -> Wishes | None:
        found = [self.reach(expr, is_on=is_on) for group in exprs for expr in group]
        return self._merge([*found, then or {}])

    def _merge(self, parts: Iterable[Wishes | None]) -> Wishes | None:
        merged: dict[str, str] = {}
        for part in parts:
            if part is None or any(
                merged.get(name, value) != value for name, value in part.items()
            ):
                return None
            merged.update(part)
        return merged

    def _cheapest(self, ways: Iterable[Wishes | None]) -> Wishes | None:
        return min((way for way in ways if way is not None), key=self._cost, default=None)

    def _cost(self, wishes: Wishes) -> int:
        contradictions = sum(self._asked.get(n, value) != value for n, value in wishes.items())
        odd = len(_LAST_RESORT & {name for name, value in wishes.items() if value == ON})
        return len(wishes) + _CONTRADICTION_COST * contradictions + _LAST_RESORT_COST * odd


def list_selectors(symbol: kconfiglib.Symbol) -> list[Expr]:
    """Return the expressions each of which selects ``symbol`` where it is on."""
    parts = split(symbol.rev_dep, kconfiglib.OR)
    return [part for part in parts if part is not symbol.kconfig.n]


def _list_ways_in(choice: kconfiglib.Choice) -> list[Expr]:
    return [choice.direct_dep, *(node.prompt[1] for node in choice.nodes if node.prompt)]
