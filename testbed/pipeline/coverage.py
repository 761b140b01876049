"""How far the guest tests cover what there is to cover."""

from collections.abc import Callable

from testbed.core.coverage import CoverageReport, compute_coverage
from testbed.core.plan import DEFAULT_SOURCE
from testbed.host.catalog import load_coverage
from testbed.host.declared_tests import read_declared
from testbed.host.guest_image import build_guest_image
from testbed.host.harness import find_harness
from testbed.host.store import Store


def measure_coverage(*, store: Store, say: Callable[[str], None]) -> CoverageReport:
    """Return what all guest tests declare, set against what there is to cover.

    The names of the cases are the compiled programs' own, so that a guest image is built where the
    present tests have none yet; no guest is started, and no kernel is needed.
    """
    image = build_guest_image(store, find_harness(store, DEFAULT_SOURCE), say=say)
    return compute_coverage(load_coverage(), read_declared(image))
