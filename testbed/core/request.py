"""What a run was asked for, kept in its folder from its start, so that it can be resumed.

``request.json`` is written before anything is built and again as more becomes known. It is ASCII:
file names whose bytes are no UTF-8 survive as escaped lone surrogates, as Python has them.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import Field, ValidationError

from testbed.core.plan import Plan
from testbed.core.strict_yaml import StrictModel, describe_invalid
from testbed.errors import UserError

REQUEST_VERSION: Final = 1


class RunRequest(StrictModel):
    """What to run; ``command`` is how the user put it, ``tree`` a kernel tree of their own.

    ``commit`` is a commit of ``tree`` to take for the tree as it lies there, and ``git`` a range of
    its commits to run as a series. ``image`` is a kernel that is built already, with its
    ``image_config``. ``workdir`` is the folder that relative names in ``plan`` start at.
    ``is_narrowed`` says that the user took some of the plan's topologies: then a test that none of
    them can host was not asked for. With ``each_patch`` the kernel after every patch is tested.
    """

    plan: Plan
    plan_name: str
    command: tuple[str, ...]
    workdir: str
    tree: str | None = None
    commit: str | None = None
    git: str | None = None
    image: str | None = None
    image_config: str | None = None
    is_narrowed: bool = False
    each_patch: bool = False


class SavedRun(StrictModel):
    """A run as its folder knows it.

    ``started`` is ISO 8601 in UTC. ``part_began_s`` is when the testbed last began to work on
    it, in seconds since the epoch, and ``spent_s`` how long it had worked on it before that.
    ``footing`` names all that the results rest on, each with an id that changes when it does; it
    is empty until the first test may run.
    """

    version: int = REQUEST_VERSION
    request: RunRequest
    started: str
    part_began_s: float = Field(strict=False)
    spent_s: float = Field(default=0.0, strict=False)
    footing: dict[str, str] = Field(default_factory=dict)


def dump_request(saved: SavedRun) -> str:
    """Return the text of ``request.json``."""
    return json.dumps(saved.model_dump(), indent=2) + "\n"


def parse_request(text: str, *, filename: str) -> SavedRun:
    """Read a ``request.json``; raises :class:`UserError` with one line where it is none."""
    try:
        data = json.loads(text)
    except ValueError as err:
        raise UserError(f"{filename}: not JSON: {err}") from err
    if not isinstance(data, dict) or data.get("version") != REQUEST_VERSION:
        raise UserError(
            f"{filename}: not as this version of the testbed writes it: start the run anew"
        )
    try:
        return SavedRun.model_validate(_freeze(data))
    except ValidationError as err:
        raise UserError(f"{filename}: {describe_invalid(err.errors()[0], SavedRun)}") from err


def find_changes(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names in ``now`` that ``before`` has with another id."""
    return tuple(name for name, value in now.items() if before.get(name, value) != value)


def _freeze(value: Any) -> Any:  # noqa: ANN401 - JSON may hold anything
    """Turn lists into tuples: strict models have tuples, JSON has only lists."""
    if isinstance(value, dict):
        return {key: _freeze(item) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(_freeze(item) for item in value)
    return value
