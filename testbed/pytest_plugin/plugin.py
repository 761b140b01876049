"""The pytest plugin: C tests and Python tests, run in a guest, judged with its console in view.

Without ``--kernel`` the plugin does nothing, so that it can live beside any other test suite.
"""

import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final

import pytest

from testbed.core.applicability import (
    explain_unhosted,
    find_missing_features,
    find_missing_options,
)
from testbed.core.events import Collected, Finished, NotApplicable, Started
from testbed.core.needs import Needs, parse_marker_needs
from testbed.core.result import LogFile, TestResult, Verdict
from testbed.errors import GuestLostError, PlanError, UserError
from testbed.host import catalog
from testbed.host.guest import Guest, GuestTimeoutError
from testbed.host.guest_image import load_guest_image
from testbed.host.hotplug import Hotplug
from testbed.host.vm import Vm
from testbed.pytest_plugin.cell import BOOT_TEST, Cell, CellConfig, EventSink, KernelCrashedError
from testbed.pytest_plugin.deadline import limit_seconds
from testbed.pytest_plugin.evidence import Evidence, Reporter
from testbed.pytest_plugin.items import CaseFailedError, CTestCase, CTestFile
from testbed.pytest_plugin.judge import Ending, judge_exception
from testbed.pytest_plugin.stash import CELL_KEY, EVIDENCE_KEY, NEEDS_KEY, SECONDS_KEY

_ENDING_KEY: Final = pytest.StashKey[Ending]()
_GRACE_S: Final = 10.0  # a C case that overruns is told by the command's own deadline first
_HARMLESS: Final = frozenset({Verdict.PASSED, Verdict.SKIPPED})

_OPTIONS: Final = (
    ("--kernel", "the kernel image (bzImage) to boot; without it the plugin is off"),
    ("--kernel-config", "the .config that the kernel was built with"),
    ("--topology", "the machine to boot it on: a name that `testbed list topologies` shows"),
    ("--guest-image", "a folder made by `testbed build`, with initrd and test programs"),
    ("--accel", "tcg or kvm; the testbed probes it and passes it here"),
    ("--features", "comma-separated features that the kernel's series provides"),
    ("--log-dir", "where console logs, transcripts and events.jsonl go"),
    ("--events-fd", "an inherited descriptor that events are also written to"),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the plugin's options."""
    group = parser.getgroup("testbed", "kernel under test")
    for name, text in _OPTIONS:
        group.addoption(name, dest=_dest(name), metavar="VALUE", help=text)


def _dest(option: str) -> str:
    return "testbed_" + option.removeprefix("--").replace("-", "_")


def pytest_configure(config: pytest.Config) -> None:
    """Set up the cell when a kernel was named."""
    config.addinivalue_line(
        "markers",
        "needs(nodes=, dimm_slots=, kconfig=, features=, timeout_s=): what a guest test needs",
    )
    if config.getoption(_dest("--kernel")) is None:
        return
    try:
        config.stash[CELL_KEY] = _make_cell(config)
    except UserError as err:
        raise pytest.UsageError(str(err)) from err


def _make_cell(config: pytest.Config) -> Cell:
    def option(name: str) -> str | None:
        value: str | None = config.getoption(_dest(name))
        return value

    required = {name: option(name) for name in ("--kernel", "--topology", "--guest-image")}
    missing = [name for name, value in required.items() if not value]
    if missing:
        raise UserError(
            f"{', '.join(missing)} must go with --kernel; `testbed test` gives them all"
        )
    log_dir = Path(option("--log-dir") or "testbed-logs").absolute()
    log_dir.mkdir(parents=True, exist_ok=True)
    kconfig = option("--kernel-config")
    fd = option("--events-fd")
    cell_config = CellConfig(
        kernel=Path(str(required["--kernel"])).absolute(),
        image=load_guest_image(Path(str(required["--guest-image"])).absolute()),
        topology=catalog.load_topology(str(required["--topology"])),
        accel=option("--accel") or "tcg",
        log_dir=log_dir,
        features=frozenset(filter(None, (option("--features") or "").split(","))),
        kconfig=catalog.read_enabled_options(Path(kconfig)) if kconfig else None,
    )
    sink = EventSink(path=log_dir / "events.jsonl", fd=int(fd) if fd else None)
    return Cell(config=cell_config, sink=sink)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the guest."""
    cell = config.stash.get(CELL_KEY, None)
    if cell is not None:
        cell.discard_vm()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect C tests: all ``.c`` files but those that are shared by tests."""
    if CELL_KEY not in parent.config.stash or file_path.suffix != ".c":
        return None
    if {"lib", "tools"} & set(file_path.relative_to(parent.config.rootpath).parts):
        return None
    return CTestFile.from_parent(parent, path=file_path)


@pytest.hookimpl(trylast=True)  # after -k and -m, whose choice is not to be called lost
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Drop what this topology cannot host; say what will run."""
    cell = config.stash.get(CELL_KEY, None)
    if cell is None:
        return
    unhosted: list[NotApplicable] = []
    hosted: list[pytest.Item] = []
    for item in items:
        item.stash[EVIDENCE_KEY] = Evidence()
        needs = item.stash.setdefault(NEEDS_KEY, _read_marker(item))
        reason = explain_unhosted(needs, cell.config.topology)
        if reason:
            unhosted.append(NotApplicable(id=item.nodeid, reason=reason))
        else:
            hosted.append(item)
    config.hook.pytest_deselected(items=[i for i in items if i not in hosted])
    items[:] = hosted
    ids = tuple(item.nodeid for item in hosted)
    cell.sink.emit(Collected(ids=(BOOT_TEST, *ids) if ids else (), not_applicable=tuple(unhosted)))


def _read_marker(item: pytest.Item) -> Needs:
    marker = item.get_closest_marker("needs")
    try:
        return parse_marker_needs(marker.kwargs if marker else {}, filename=item.nodeid)
    except PlanError as err:
        raise pytest.UsageError(str(err)) from err


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Announce the test, run it, tell how it ended; a guest it failed in is not used again."""
    cell = item.config.stash.get(CELL_KEY, None)
    if cell is None:
        return (yield)
    cell.sink.emit(Started(id=item.nodeid))
    mark = cell.running_vm.console.mark() if cell.running_vm else 0
    outcome = yield
    ending = item.stash.get(_ENDING_KEY, Ending(verdict=Verdict.PASSED))
    if ending.verdict not in _HARMLESS:
        _keep_console(cell, item, mark)
    cell.sink.emit(Finished(result=_make_result(item, ending)))
    if ending.verdict not in _HARMLESS:
        cell.discard_vm()
    return outcome


def _make_result(item: pytest.Item, ending: Ending) -> TestResult:
    evidence = item.stash[EVIDENCE_KEY]
    return TestResult(
        id=item.nodeid,
        verdict=ending.verdict,
        seconds=round(_get_seconds(item), 3),
        message=ending.message,
        metrics=tuple(evidence.metrics),
        placements=tuple(evidence.placements),
        crash=ending.crash,
        logs=tuple(evidence.logs),
    )


def _get_seconds(item: pytest.Item) -> float:
    """Return how long the call phase took; 0 where it was not come to."""
    seconds: float = item.stash.get(SECONDS_KEY, 0.0)
    return seconds


def _keep_console(cell: Cell, item: pytest.Item, mark: int) -> None:
    """Keep what the console said during the test, next to the whole log of the guest."""
    if cell.running_vm is None:
        return
    slug = "".join(c if c.isalnum() or c in "._-" else "-" for c in item.nodeid)
    name = f"{slug}.console.log"
    lines = cell.running_vm.console.lines_since(mark)
    (cell.config.log_dir / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    logs = item.stash[EVIDENCE_KEY].logs
    logs.append(LogFile(kind="console", path=name))
    logs.append(LogFile(kind="whole console", path=cell.console_log))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Stop a test that this kernel cannot pass before a guest is booted for it."""
    cell = item.config.stash.get(CELL_KEY, None)
    if cell is None:
        return
    needs = item.stash[NEEDS_KEY]
    if missing := find_missing_features(needs, cell.config.features):
        pytest.skip(f"needs a series that provides {', '.join(missing)}")
    if options := find_missing_options(needs, cell.config.kconfig):
        raise CaseFailedError(
            Verdict.FAILED,
            f"needs {', '.join('CONFIG_' + name for name in options)}, "
            "which this kernel was built without: add a fragment of kconfigs/ to the plan",
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Judge the test by the console too: an oops outranks every "ok" printed before it."""
    cell = item.config.stash.get(CELL_KEY, None)
    if cell is None:
        return (yield)
    try:
        with limit_seconds(item.stash[NEEDS_KEY].timeout_s + _GRACE_S):
            yield
            if not isinstance(item, CTestCase) and cell.running_vm is not None:
                _check_taint(cell)
    except GuestTimeoutError:
        if cell.running_vm is not None:
            cell.running_vm.dump_state()
        raise
    except GuestLostError:
        if cell.running_vm is not None:
            cell.running_vm.settle()
        raise
    finally:
        crash = cell.take_new_crash()
        if crash is not None and not isinstance(sys.exception(), KeyboardInterrupt):
            raise KernelCrashedError(crash)


def _check_taint(cell: Cell) -> None:
    taint = cell.read_taint()
    if cell.has_warned(taint):
        raise CaseFailedError(Verdict.FAILED, f"the kernel is tainted ({taint}): it warned")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note how each phase ended, and give JUnit the properties of the result."""
    if CELL_KEY not in item.config.stash:
        return (yield)
    if call.when == "teardown":
        ending = item.stash.get(_ENDING_KEY, Ending(verdict=Verdict.PASSED))
        item.user_properties.append(("verdict", str(ending.verdict)))
        if ending.crash is not None:
            item.user_properties.append(("crash", ending.crash.title))
        for metric in item.stash[EVIDENCE_KEY].metrics:
            item.user_properties.append((f"metric:{metric.name}", f"{metric.value} {metric.unit}"))
    report = yield
    if call.when == "call":
        item.stash[SECONDS_KEY] = call.duration
    if call.excinfo is not None and _ENDING_KEY not in item.stash:
        item.stash[_ENDING_KEY] = judge_exception(call.excinfo.value, shown=report.longreprtext)
    return report


@pytest.fixture
def vm(request: pytest.FixtureRequest) -> Vm:
    """The running machine; a fresh one if the last was lost or harmed."""
    return _get_cell(request).get_vm()


@pytest.fixture
def guest(vm: Vm) -> Guest:
    """The guest of ``vm``, over SSH."""
    return vm.guest


@pytest.fixture
def hotplug(request: pytest.FixtureRequest, vm: Vm) -> Iterator[Hotplug]:
    """Memory hotplug of ``vm``; a guest that keeps a DIMM is not used for another test."""
    plugged = Hotplug(vm)
    yield plugged
    if plugged.dimms:
        _get_cell(request).discard_vm()


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Reporter:
    """The way to record metrics and placements."""
    return Reporter(request.node.stash[EVIDENCE_KEY])


def _get_cell(request: pytest.FixtureRequest) -> Cell:
    cell = request.config.stash.get(CELL_KEY, None)
    if cell is None:
        raise UserError("guest tests need a kernel: run them with `testbed test --kernel FILE`")
    return cell
