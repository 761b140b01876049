"""Why an option did not land, by the Kconfig files of the tree itself."""

from collections.abc import Sequence
from pathlib import Path

import kconfiglib

from testbed.core.kconfig import NOT_SET, Unmet, Version
from testbed.errors import KconfigError
from testbed.host.kconfig_explain import find_near_names
from testbed.host.kconfig_load import Expr, Kconfig, load_kconfig
from testbed.host.kconfig_origin import is_boolean, join_some, list_setting, show, split
from testbed.host.kconfig_solve import list_selectors


def explain_unmet(
    unmet: Sequence[Unmet], *, src: Path, config: Path, version: Version
) -> tuple[str, ...]:
    """Return one line for each of ``unmet``: the option, what it became, and why.

    ``config`` is the ``.config`` that they did not land in. Takes about 2 s on a kernel.
    """
    try:
        kconfig = load_kconfig(src, version=version)
    except KconfigError as err:
        return tuple(f"{_describe(item)} (why is not known: {err})" for item in unmet)
    kconfig.load_config(str(config))
    return tuple(f"{_describe(item)}: {_explain(kconfig, item)}" for item in unmet)


def _describe(item: Unmet) -> str:
    got = "it is not set" if item.got is None else f"it is {item.got}"
    wanted = f"CONFIG_{item.option}={item.wanted}"
    return f"{wanted} did not land ({got})"


def _explain(kconfig: Kconfig, item: Unmet) -> str:
    symbol = kconfig.syms.get(item.option)
    if symbol is None or not symbol.nodes:
        near = find_near_names(kconfig, item.option)
        hint = f" (did you mean {' or '.join(near)}?)" if near else ""
        return f"no such option in this tree{hint}"
    if not is_boolean(symbol):
        return _explain_value(symbol)
    if item.wanted == NOT_SET or _rank(item.wanted) < _rank(item.got or NOT_SET):
        return _explain_forced(symbol)
    return _explain_off(symbol, item.wanted)


def _explain_off(symbol: kconfiglib.Symbol, wanted: str) -> str:
    unmet = _find_false(symbol.direct_dep)
    if unmet:
        return f"needs {_join(unmet)}"
    prompts = [node.prompt for node in symbol.nodes if node.prompt]
    if not prompts:
        selectors = _describe_selectors(symbol)
        return f"it cannot be asked for, it is {selectors or 'set by the tree itself'}"
    hidden = _find_false(prompts[0][1])
    if hidden:
        return f"it can be chosen only with {_join(hidden)}"
    if symbol.choice is not None and symbol.choice.selection is not symbol:
        chosen = symbol.choice.selection
        return f"of this choice, {chosen.name if chosen else 'none'} is taken"
    if wanted == "m":
        return "nothing can be a module where MODULES [=n]"
    return "the tree's Kconfig says no reason"


def _explain_forced(symbol: kconfiglib.Symbol) -> str:
    if symbol.choice is not None and symbol.choice.selection is symbol:
        return "it is what its choice falls back to: ask for another one of the choice"
    selectors = list_setting(symbol.rev_dep)
    if selectors:
        return f"it is selected by {_join(selectors)}"
    hidden = [_find_false(node.prompt[1]) for node in symbol.nodes if node.prompt]
    if hidden and hidden[0]:
        return f"it can be turned off only with {_join(hidden[0])}"
    return "it cannot be turned off: the tree sets it by itself"


def _explain_value(symbol: kconfiglib.Symbol) -> str:
    unmet = _find_false(symbol.direct_dep)
    if unmet:
        return f"needs {_join(unmet)}"
    ranges = [
        f"{low.str_value} to {high.str_value}"
        for low, high, condition in symbol.ranges
        if kconfiglib.expr_value(condition)
    ]
    return f"its range is {ranges[0]}" if ranges else "the tree sets it by itself"


def _find_false(expr: Expr) -> list[Expr]:
    """Return those parts of a conjunction that are off; for a choice, what keeps it shut."""
    found = []
    for part in split(expr, kconfiglib.AND):
        if kconfiglib.expr_value(part) == 0:
            inner = _find_false(part.direct_dep) if isinstance(part, kconfiglib.Choice) else []
            found += inner or [part]
    return found


def _describe_selectors(symbol: kconfiglib.Symbol) -> str:
    """Return what would have to be on for something to select ``symbol``."""
    ways = [" and ".join(map(show, _find_false(way) or [way])) for way in list_selectors(symbol)]
    return f"selected by {join_some(ways, word='or')}" if ways else ""


def _join(exprs: Sequence[Expr]) -> str:
    return join_some(map(_show, exprs), word="and")


def _show(expr: Expr) -> str:
    """Return the expression, its value, and for a symbol nobody can set what selects it."""
    shown = show(expr)
    if isinstance(expr, kconfiglib.Symbol) and expr.nodes and not any(n.prompt for n in expr.nodes):
        selectors = _describe_selectors(expr)
        return f"{shown}, which is {selectors}" if selectors else shown
    return shown


def _rank(value: str) -> int:
    return int(kconfiglib.STR_TO_TRI.get(value, 0))
