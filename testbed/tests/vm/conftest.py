"""Real kernels for the tests of the machine room: built once, from the user's cache."""

import pytest

from testbed.host import catalog
from testbed.host.accel import Accel, choose_accel
from testbed.host.builder import Kernel
from testbed.host.guest_image import GuestImage, build_guest_image
from testbed.host.project import cache_dir, data_dir
from testbed.host.store import Store
from testbed.pipeline.kernels import Ground, build_kernels


class Quiet:
    """An observer that prints to pytest's captured output."""

    def say(self, line: str) -> None:
        print(line)

    def building(self, what: str, compiled: int, line: str) -> None:
        """Say nothing: the build's log has it."""

    def cell_event(self, cell: str, event: object) -> None:
        """Say nothing: no cell is run through this observer."""


@pytest.fixture(scope="session")
def store() -> Store:
    return Store(cache_dir(), say=print)


@pytest.fixture(scope="session")
def kernel(store: Store) -> Kernel:
    """The base kernel of the quick plan."""
    plan = catalog.load_plan(data_dir() / "ci/plans/quick.yaml")
    (built,) = build_kernels(plan, (), ground=Ground(), store=store, observer=Quiet())
    assert isinstance(built.outcome, Kernel), built.outcome
    return built.outcome


@pytest.fixture(scope="session")
def image(store: Store, kernel: Kernel) -> GuestImage:
    return build_guest_image(store, kernel.harness_dir, say=print)


@pytest.fixture(scope="session")
def accel(
    store: Store, kernel: Kernel, image: GuestImage, tmp_path_factory: pytest.TempPathFactory
) -> Accel:
    log_dir = tmp_path_factory.mktemp("probe")
    return choose_accel(store, kernel.image, image, log_dir=log_dir, say=print)
