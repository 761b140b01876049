"""Markers: what a guest test tells the host besides pass and fail, one JSON object a line.

::

    @metric {"name": "mbind_move", "value": 12.5, "unit": "us/page"}
    @placement {"what": "anon after mbind(MOVE)", "expected": {"1": 16}, "seen": {"0": 16}}
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from pydantic import Field, ValidationError

from testbed.core.result import Metric, NodeCount, Placement
from testbed.core.strict_yaml import StrictModel

Text = Annotated[str, Field(min_length=1, max_length=200)]
# Node -1 stands for pages that are not present; MAX_NUMNODES is at most 1024 on x86
# (CONFIG_NODES_SHIFT, arch/x86/Kconfig, 6.12).
NodeKey = Annotated[str, Field(pattern=r"^(-1|0|[1-9][0-9]{0,2}|10[01][0-9]|102[0-3])$")]
Pages = Annotated[int, Field(ge=0, lt=2**63)]

_MARKER: Final = re.compile(r"@(?P<kind>\w+) (?P<json>\{.*\})$")


class MarkerError(ValueError):
    """A marker line that is not what it should be; ``str()`` says why in one line."""


class _Metric(StrictModel):
    name: Text
    value: float = Field(allow_inf_nan=False)
    unit: Text


class _Placement(StrictModel):
    what: Text
    expected: dict[NodeKey, Pages] = Field(min_length=1)
    seen: dict[NodeKey, Pages]


def parse_marker(text: str) -> Metric | Placement:
    """Read the marker ``text`` (it begins with ``@``); raises :class:`MarkerError`."""
    match = _MARKER.match(text)
    kind = match["kind"] if match else ""
    if match is None or kind not in _READERS:
        raise MarkerError(f"neither {' nor '.join(f'@{name} {{...}}' for name in _READERS)}")
    try:
        data = json.loads(
            match["json"], object_pairs_hook=_refuse_twins, parse_constant=_refuse_constant
        )
        return _READERS[kind](data)
    except ValidationError as err:
        first = err.errors()[0]
        where = ".".join("".join(str(part).split()) for part in first["loc"])
        raise MarkerError(f"malformed @{kind}: {where}: {first['msg']}") from err
    except (ValueError, OverflowError, RecursionError) as err:
        raise MarkerError(f"malformed @{kind}: {err}") from err


def _read_metric(data: object) -> Metric:
    model = _Metric.model_validate(data)
    return Metric(name=model.name, value=model.value, unit=model.unit)


def _read_placement(data: object) -> Placement:
    model = _Placement.model_validate(data)
    return Placement(
        what=model.what, expected=_sort_counts(model.expected), seen=_sort_counts(model.seen)
    )


_READERS: Final[Mapping[str, Callable[[object], Metric | Placement]]] = {
    "metric": _read_metric,
    "placement": _read_placement,
}


def _sort_counts(counts: Mapping[str, int]) -> tuple[NodeCount, ...]:
    pairs = sorted((int(node), pages) for node, pages in counts.items())
    return tuple(NodeCount(node=node, pages=pages) for node, pages in pairs)


def _refuse_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise ValueError("a key is given twice")
    return dict(pairs)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")
