"""Who gave an option its value: a fragment, another option, a default, tinyconfig."""

from collections.abc import Iterable, Mapping
from typing import Final

import kconfiglib

from testbed.core.kconfig import NOT_SET, Option
from testbed.host.kconfig_load import Expr

_MAX_NAMES: Final = 3
_TRISTATE: Final = ("n", "m", "y")
_BOOLEAN: Final = frozenset({kconfiglib.BOOL, kconfiglib.TRISTATE})
_UNASKED: Final = "nothing asks for it, and"


def tell_origin(symbol: kconfiglib.Symbol, asked: Mapping[str, Option]) -> str:
    """Return in half a sentence why ``symbol``, configured, is what it is.

    ``asked`` is what fragments ask for, by name.
    """
    option = asked.get(symbol.name)
    if not is_boolean(symbol):
        return _tell_value(symbol, option)
    return _tell_on(symbol, option) if symbol.tri_value else _tell_off(symbol, option)


def _tell_on(symbol: kconfiglib.Symbol, option: Option | None) -> str:
    by = list_setting(symbol.rev_dep)
    selected = f"selected by {join_some(map(show, by), word='and')}"
    if option is None or option.value == NOT_SET:
        against = f"{place(option)} turns it off in vain: " if option else ""
        return f"{against}{selected if by else _tell_unasked(symbol)}"
    if by:
        return f"{place(option)} asks for it; it is {selected} too"
    if not symbol.visibility:
        return f"{_tell_unasked(symbol)}; {place(option)} asks for it too"
    return f"{place(option)} asks for it"


def _tell_unasked(symbol: kconfiglib.Symbol) -> str:
    """Return why a symbol is on that nothing asks for or selects."""
    if symbol.choice is not None:
        return "it is what its choice has taken"
    if symbol.visibility and symbol.user_value:
        return "tinyconfig sets it"
    implied = list_setting(symbol.weak_rev_dep)
    if implied:
        return f"implied by {join_some(map(show, implied), word='and')}"
    return _tell_default(symbol)


def _tell_off(symbol: kconfiglib.Symbol, option: Option | None) -> str:
    if option is not None and option.value == NOT_SET:
        return f"{place(option)} turns it off"
    conditions = [node.prompt[1] for node in symbol.nodes if node.prompt]
    rules = (
        (not kconfiglib.expr_value(symbol.direct_dep), "its dependencies are not met"),
        (not conditions, "it has no prompt, and nothing that would set it is on"),
        (
            not any(map(kconfiglib.expr_value, conditions)),
            "its prompt is not shown, and its default is n",
        ),
        (symbol.choice is not None, "its choice has taken another"),
        (option is not None, "the tree's Kconfig says no reason"),
        (symbol.user_value is not None, f"{_UNASKED} tinyconfig turns off what nothing asks for"),
    )
    reason = next((text for is_so, text in rules if is_so), f"{_UNASKED} its default is n")
    return f"{place(option)} asks for it in vain: {reason}" if option else reason


def _tell_value(symbol: kconfiglib.Symbol, option: Option | None) -> str:
    in_vain = f"{place(option)} asks for {option.value} in vain" if option else ""
    if not kconfiglib.expr_value(symbol.direct_dep):
        return ": ".join(filter(None, [in_vain, "its dependencies are not met"]))
    if option is not None:
        lands = option.value.strip('"') == symbol.str_value
        return f"{place(option)} asks for it" if lands else in_vain
    if symbol.visibility and symbol.user_value is not None:
        return "tinyconfig sets it"
    return _tell_default(symbol)


def _tell_default(symbol: kconfiglib.Symbol) -> str:
    for node in symbol.nodes:
        # The condition as it is written: the other has all dependencies of the option in it.
        pairs = zip(node.defaults, node.orig_defaults, strict=True)
        for (value, condition), (_, written) in pairs:
            if kconfiglib.expr_value(condition):
                return f"{show_default(value, written)}, {locate(node)}"
    return "it has no default that applies"


def is_boolean(symbol: kconfiglib.Symbol) -> bool:
    """Whether an option is on or off, or a module, and no number or text."""
    return symbol.orig_type in _BOOLEAN


def list_setting(reverse: Expr) -> list[Expr]:
    """Return those parts of a symbol's ``rev_dep`` or ``weak_rev_dep`` that are on."""
    return [part for part in split(reverse, kconfiglib.OR) if kconfiglib.expr_value(part)]


def split(expr: Expr, operator: int) -> list[Expr]:
    """Return the parts of a conjunction (``kconfiglib.AND``) or an alternative (``OR``)."""
    return list(kconfiglib.split_expr(expr, operator))


def show(expr: Expr) -> str:
    """Return an expression and its value."""
    text = str(kconfiglib.expr_str(expr))
    if isinstance(expr, kconfiglib.Symbol):
        if expr.is_constant:
            return text
        if not is_boolean(expr) and expr.nodes:
            return f"{text} [={expr.str_value}]"
    value = _TRISTATE[kconfiglib.expr_value(expr)]
    return f"({text}) [={value}]" if " " in text else f"{text} [={value}]"


def show_default(value: Expr, condition: Expr) -> str:
    """Return a default, and its condition where it has one."""
    is_bound = not (isinstance(condition, kconfiglib.Symbol) and condition.is_constant)
    return f"default {show(value)}" + (f" if {show(condition)}" if is_bound else "")


def join_some(texts: Iterable[str], *, word: str) -> str:
    """Return the first few of ``texts``, and how many more there are."""
    texts = list(texts)
    more = [f"{len(texts) - _MAX_NAMES} more"] if len(texts) > _MAX_NAMES else []
    return f" {word} ".join([*texts[:_MAX_NAMES], *more])


def locate(node: kconfiglib.MenuNode) -> str:
    """Return the file, relative to the tree, and the line of a definition."""
    return f"{node.filename}:{node.linenr}"


def place(option: Option) -> str:
    """Return the fragment and the line that ask for an option."""
    return f"{option.fragment}:{option.line}"
