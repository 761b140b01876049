"""The keys under which the plugin keeps its values on pytest's objects."""

from typing import Final

import pytest

from testbed.core.needs import Needs
from testbed.pytest_plugin.cell import Cell
from testbed.pytest_plugin.evidence import Evidence

CELL_KEY: Final = pytest.StashKey[Cell]()
NEEDS_KEY: Final = pytest.StashKey[Needs]()
EVIDENCE_KEY: Final = pytest.StashKey[Evidence]()
SECONDS_KEY: Final = pytest.StashKey[float]()
CONSOLE_MARK_KEY: Final = pytest.StashKey[int]()
