"""Strict YAML: text to a validated model, or one line that says what is wrong with it."""

from collections.abc import Hashable
from typing import Any, Final, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from testbed.errors import PlanError

_SHOWN_VALUE_CHARS: Final = 60


class StrictModel(BaseModel):
    """Base of what is read from YAML: frozen, unknown keys refused, ``5`` is no string."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Model = TypeVar("Model", bound=StrictModel)


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice, where PyYAML silently keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"key {key!r} is given twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def parse_yaml(text: str, model: type[Model], *, filename: str) -> Model:
    """Validate the YAML ``text`` as a ``model``.

    YAML lists may stand for tuples. Raises :class:`PlanError` with one line that names the file,
    the key, the value and what is allowed.
    """
    try:
        data = yaml.load(text, Loader=_Loader)  # noqa: S506 - _Loader is a SafeLoader
    except yaml.MarkedYAMLError as err:
        raise PlanError(_describe_syntax(text, err, filename)) from err
    except yaml.YAMLError as err:
        raise PlanError(f"{filename}: not YAML: {' '.join(str(err).split())}") from err
    if not isinstance(data, dict):
        raise PlanError(f"{filename}: expected keys and values, found {_show(data)}")
    try:
        return model.model_validate(_freeze(data))
    except ValidationError as err:
        raise PlanError(f"{filename}: {describe_invalid(err.errors()[0], model)}") from err


def _freeze(value: Any) -> Any:  # noqa: ANN401 - YAML may hold anything
    """Turn lists into tuples: strict models have tuples, YAML has only lists."""
    if isinstance(value, dict):
        return {key: _freeze(item) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(_freeze(item) for item in value)
    return value


def _describe_syntax(text: str, err: yaml.MarkedYAMLError, filename: str) -> str:
    mark = err.problem_mark
    if mark is None:
        return f"{filename}: not YAML: {err.problem}"
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    hint = "; YAML is indented with spaces, this line has a tab" if "\t" in line else ""
    return f"{filename}:{mark.line + 1}:{mark.column + 1}: not YAML: {err.problem}{hint}"


def describe_invalid(error: ErrorDetails, model: type[BaseModel]) -> str:
    """Return what is wrong with one key, in one line: key, value, what is allowed."""
    loc = error["loc"]
    where = _format_location(loc)
    if error["type"] == "extra_forbidden":
        return f"unknown key {where!r}; allowed here: {', '.join(_allowed_keys(model, loc[:-1]))}"
    if error["type"] == "missing":
        return f"key {where!r} is missing"
    reason = error["msg"].removeprefix("Value error, ")
    if not where:
        return reason
    return f"key {where!r}: {_show(error['input'])} will not do: {reason}"


def _format_location(loc: tuple[int | str, ...]) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _allowed_keys(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Return the keys of the model that ``loc`` leads to, through tuples and optionals."""
    for part in loc:
        field = model.model_fields.get(str(part))
        if field is None:
            continue
        inner = _find_model(field.annotation)
        if inner is not None:
            model = inner
    return [field.alias or name for name, field in model.model_fields.items()]


def _find_model(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - a type expression
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for arg in get_args(annotation) if (m := _find_model(arg))), None)


def _show(value: Any) -> str:  # noqa: ANN401 - YAML may hold anything
    text = repr(value)
    return text if len(text) <= _SHOWN_VALUE_CHARS else text[: _SHOWN_VALUE_CHARS - 3] + "..."
