"""What tests declare of themselves, on pytest's objects."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

from testbed.core.declared import DeclaredTest, Known, dump_tests, parse_markers
from testbed.errors import PlanError
from testbed.host.bzimage import find_release
from testbed.host.catalog import load_coverage
from testbed.host.store import write_atomically
from testbed.pytest_plugin.stash import CELL_KEY, DECLARED_KEY

_KNOWN_KEY: Final = pytest.StashKey[Known | None]()

MARKERS: Final = (
    (
        "needs(nodes=, memoryless=, empty_nodes=, dimm_slots=, virtio_mem=, swap_mib=, tiers=, "
        "kconfig=, features=, timeout_s=, scope=, start=): what a guest test needs"
    ),
    "quick: cheap and central: one of those that are run first",
    "covers(interface=, backing=, condition=, contract=, promises=): what a guest test asserts",
    "known(kernels=, why=, commit=): an issue of some kernels, for which a guest test fails there",
)
"""The markers of guest tests, as pytest is told of them."""


def declare(item: pytest.Item) -> None:
    """Note what the markers of a Python test declare; a C case has been told by its file."""
    if DECLARED_KEY in item.stash:
        return
    covers = [marker.kwargs for marker in item.iter_markers("covers")]
    try:
        declared = parse_markers(
            covers,
            (marker.kwargs for marker in item.iter_markers("known")),
            is_quick=item.get_closest_marker("quick") is not None,
            filename=item.nodeid,
        )
        if covers:
            load_coverage().check(declared, filename=item.nodeid)
    except PlanError as err:
        raise pytest.UsageError(str(err)) from err
    item.stash[DECLARED_KEY] = declared


def find_known(item: pytest.Item) -> Known | None:
    """Return the issue for which a test is declared to fail on the kernel of its cell."""
    if _KNOWN_KEY not in item.stash:
        declared = item.stash[DECLARED_KEY]
        kernel = item.config.stash[CELL_KEY].config.kernel
        # The image is read for those alone that declare something.
        item.stash[_KNOWN_KEY] = (
            declared.find_known(find_release(kernel)) if declared.known else None
        )
    return item.stash[_KNOWN_KEY]


def write_declared(path: Path, items: Iterable[pytest.Item]) -> None:
    """Write what ``items`` declare, for :func:`testbed.core.declared.load_tests`."""
    tests = (DeclaredTest(id=item.nodeid, declared=item.stash[DECLARED_KEY]) for item in items)
    write_atomically(path, dump_tests(tests))
