"""What all measurements share: a folder to work in, kernels, and the word for "cannot"."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from testbed.host import catalog
from testbed.host.builder import Kernel
from testbed.host.guest_image import GuestImage, build_guest_image
from testbed.host.project import cache_dir, data_dir
from testbed.host.store import Store
from testbed.pipeline.kernels import Ground, build_kernels


class Quiet:
    """An observer that keeps the table alone on the output."""

    def say(self, line: str) -> None:
        """Tell it on stderr."""
        click.echo(line, err=True)

    def building(self, what: str, compiled: int, line: str) -> None:
        """Tell nothing."""

    def cell_event(self, cell: str, event: object) -> None:
        """Tell nothing."""


@contextmanager
def open_scratch() -> Iterator[Path]:
    """Give a folder that is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="testbed-bench-", dir=os.environ.get("TMPDIR")) as name:
        yield Path(name)


def require(condition: bool, what: str) -> None:  # noqa: FBT001 - an assertion in words
    """End the measurement unless ``condition`` holds."""
    if not condition:
        raise click.ClickException(f"nothing can be measured: {what}")


def open_store() -> Store:
    """Return the user's cache."""
    return Store(cache_dir(), say=Quiet().say)


def make_kernel(store: Store) -> tuple[Kernel, GuestImage]:
    """Return the base kernel of the quick plan, and the guest image."""
    plan = catalog.load_plan(data_dir() / "ci/plans/quick.yaml")
    (built,) = build_kernels(plan, (), ground=Ground(), store=store, observer=Quiet())
    if not isinstance(built.outcome, Kernel):
        raise click.ClickException(f"the base kernel does not build: {built.outcome.error}")
    return built.outcome, build_guest_image(store, built.outcome.harness_dir, say=Quiet().say)
