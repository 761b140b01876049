"""The plugin's options, and the cell that they describe."""

from pathlib import Path
from typing import Final, cast, get_args

import pytest

from testbed.core.events import Noted
from testbed.core.kasan_shadow import make_room_for_shadow
from testbed.core.placement import Placement
from testbed.core.plan import Mode
from testbed.core.topology import Topology
from testbed.errors import UserError
from testbed.host import catalog
from testbed.host.accel import read_qemu_version
from testbed.host.event_file import EVENTS_FILE
from testbed.host.guest_image import GuestImage, load_guest_image
from testbed.host.project import cache_dir
from testbed.host.store import Store
from testbed.pytest_plugin.cell import Cell, CellConfig, EventSink

_OPTIONS: Final = (
    ("--kernel", "the kernel image (bzImage) to boot; without it the plugin is off"),
    ("--kernel-config", "the .config that the kernel was built with"),
    ("--topology", "the machine to boot it on: a name that `testbed list topologies` shows"),
    ("--guest-image", "a folder made by `testbed build`, with initrd and test programs"),
    ("--accel", "tcg or kvm; the testbed probes it and passes it here"),
    ("--mode", "normal or deterministic: each case in a boot of its own, the same bits each time"),
    ("--seed", "of deterministic mode: another seed, other random numbers, other interleavings"),
    ("--before", "comma-separated topologies: a test that one of them can host runs there instead"),
    ("--here", "comma-separated features: tests that need one run here in any case"),
    ("--elsewhere", "comma-separated features: tests that need one run on other topologies"),
    ("--vmcore", "yes: keep the memory of a guest that crashes or hangs"),
    ("--gcov", "comma-separated sources of the kernel whose counters are collected"),
    ("--features", "comma-separated features that the kernel's series provides"),
    ("--log-dir", "where console logs, transcripts and events.jsonl go"),
    ("--events-wake", "a FIFO that gets a byte for every event in events.jsonl"),
    ("--declared", "a file to be written with what each test declares, as JSON; nothing is run"),
    ("--finished", "a file with the ids of tests that are not to be run again, one a line"),
)


def add_options(parser: pytest.Parser) -> None:
    """Declare the plugin's options."""
    group = parser.getgroup("testbed", "kernel under test")
    for name, text in _OPTIONS:
        group.addoption(name, dest=_dest(name), metavar="VALUE", help=text)


def read_option(config: pytest.Config, name: str) -> str | None:
    """Return the value of an option of ours, None where it was not given."""
    value: str | None = config.getoption(_dest(name))
    return value


def read_finished(config: pytest.Config) -> frozenset[str]:
    """Return the ids of the tests that an earlier part of the run has finished."""
    path = read_option(config, "--finished")
    return frozenset(catalog.read_text(Path(path)).splitlines()) if path else frozenset()


def read_placement(config: pytest.Config) -> tuple[Placement, tuple[Topology, ...]]:
    """Return what is left to other topologies, and those that have the first choice of tests."""
    placement = Placement(*(_split(config, name) for name in ("--before", "--here", "--elsewhere")))
    return placement, tuple(catalog.load_topology(name) for name in placement.before)


def read_image(config: pytest.Config) -> GuestImage:
    """Return the guest image that was named; raises :class:`UserError`."""
    folder = read_option(config, "--guest-image")
    if not folder:
        raise UserError("--guest-image must go with --declared")
    return load_guest_image(Path(folder).absolute())


def make_cell(config: pytest.Config) -> Cell:
    """Return the cell that the options describe; raises :class:`UserError`."""
    required = {
        name: read_option(config, name) for name in ("--kernel", "--topology", "--guest-image")
    }
    missing = [name for name, value in required.items() if not value]
    if missing:
        raise UserError(
            f"{', '.join(missing)} must go with --kernel; `testbed test` gives them all"
        )
    log_dir = Path(read_option(config, "--log-dir") or "testbed-logs").absolute()
    log_dir.mkdir(parents=True, exist_ok=True)
    file = read_option(config, "--kernel-config")
    kconfig = catalog.read_enabled_options(Path(file)) if file else None
    machine = catalog.load_topology(str(required["--topology"]))
    wake = read_option(config, "--events-wake")
    cell_config = CellConfig(
        kernel=Path(str(required["--kernel"])).absolute(),
        image=load_guest_image(Path(str(required["--guest-image"])).absolute()),
        topology=make_room_for_shadow(machine, kconfig),
        accel=read_option(config, "--accel") or "tcg",
        qemu_version=read_qemu_version(),
        log_dir=log_dir,
        features=frozenset(_split(config, "--features")),
        mode=_read_mode(config),
        seed=int(read_option(config, "--seed") or 0),
        keeps_vmcore=read_option(config, "--vmcore") == "yes",
        gcov=_split(config, "--gcov"),
        kconfig=kconfig,
    )
    sink = EventSink(path=log_dir / EVENTS_FILE, wake=Path(wake) if wake else None)

    def note(line: str) -> None:
        sink.emit(Noted(line=line))

    store = Store(cache_dir(), say=note)
    for path in (cell_config.kernel, cell_config.image.folder):
        store.hold(path)
    return Cell(config=cell_config, sink=sink, store=store, say=note)


def _read_mode(config: pytest.Config) -> Mode:
    mode = read_option(config, "--mode") or "normal"
    if mode not in get_args(Mode):
        raise UserError(f"--mode {mode}: allowed: {', '.join(get_args(Mode))}")
    return cast("Mode", mode)


def _split(config: pytest.Config, name: str) -> tuple[str, ...]:
    return tuple(filter(None, (read_option(config, name) or "").split(",")))


def _dest(option: str) -> str:
    return "testbed_" + option.removeprefix("--").replace("-", "_")
