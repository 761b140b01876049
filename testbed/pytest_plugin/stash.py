"""The keys under which the plugin keeps its values on pytest's objects."""

from typing import Final

import pytest

from testbed.core.declared import Declared
from testbed.core.needs import Needs, Scope
from testbed.core.text import make_file_name
from testbed.host.guest_image import GuestImage
from testbed.pytest_plugin.cell import Cell, Wish
from testbed.pytest_plugin.evidence import Evidence

CELL_KEY: Final = pytest.StashKey[Cell]()
IMAGE_KEY: Final = pytest.StashKey[GuestImage]()
NEEDS_KEY: Final = pytest.StashKey[Needs]()
DECLARED_KEY: Final = pytest.StashKey[Declared]()
EVIDENCE_KEY: Final = pytest.StashKey[Evidence]()
SECONDS_KEY: Final = pytest.StashKey[float]()


def name_owner(item: pytest.Item) -> str:
    """Return who has the guest of ``item``: the test itself, or the file that shares one."""
    shared = item.stash[NEEDS_KEY].scope is Scope.FILE
    return item.nodeid.partition("::")[0] if shared else item.nodeid


def make_wish(item: pytest.Item) -> Wish:
    """Return the guest that ``item`` asks for."""
    owner = name_owner(item)
    return Wish(owner=owner, log_name=make_file_name(owner), start=item.stash[NEEDS_KEY].start)
