"""The pytest plugin: C tests and Python tests, run in a guest, judged with its console in view.

Without ``--kernel`` the plugin does nothing, so that it can live beside any other test suite.
"""

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final

import pytest

from testbed.core.applicability import (
    explain_unhosted,
    find_missing_features,
    find_missing_options,
)
from testbed.core.events import BOOT_TEST, Collected, Finished, NotApplicable, Started
from testbed.core.needs import Needs, Scope, allow_time, parse_marker_needs
from testbed.core.placement import explain_placed
from testbed.core.result import LogFile, TestResult, Verdict
from testbed.core.text import clean, make_file_name
from testbed.errors import PlanError, UserError
from testbed.host.bzimage import find_release
from testbed.host.catalog import NO_SUITES
from testbed.host.guest import Guest
from testbed.host.hotplug import Hotplug
from testbed.host.vm import Vm
from testbed.pytest_plugin.alone import announce_boot_alone
from testbed.pytest_plugin.cell import Cell
from testbed.pytest_plugin.declaring import MARKERS, declare, find_known, write_declared
from testbed.pytest_plugin.evidence import Evidence, Reporter
from testbed.pytest_plugin.items import CTestCase, CTestFile
from testbed.pytest_plugin.judge import CaseFailedError, Ending, excuse, judge_exception
from testbed.pytest_plugin.options import (
    add_options,
    make_cell,
    read_finished,
    read_image,
    read_option,
    read_placement,
)
from testbed.pytest_plugin.stash import (
    CELL_KEY,
    EVIDENCE_KEY,
    IMAGE_KEY,
    NEEDS_KEY,
    SECONDS_KEY,
    make_wish,
)
from testbed.pytest_plugin.watch import check_taint, read_taint, watch

_ENDING_KEY: Final = pytest.StashKey[Ending]()
_WORTH_A_VMCORE: Final = frozenset({Verdict.CRASHED, Verdict.TIMED_OUT})
_HARMLESS: Final = frozenset({Verdict.PASSED, Verdict.SKIPPED})


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the plugin's options."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Set up the cell when a kernel was named."""
    for line in MARKERS:
        config.addinivalue_line("markers", line)
    try:
        if read_option(config, "--declared") is not None:
            config.option.collectonly = True
            config.stash[IMAGE_KEY] = read_image(config)
        elif read_option(config, "--kernel") is not None:
            config.stash[CELL_KEY] = make_cell(config)
            config.stash[IMAGE_KEY] = config.stash[CELL_KEY].config.image
    except UserError as err:
        raise pytest.UsageError(str(err)) from err


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the guest."""
    cell = config.stash.get(CELL_KEY, None)
    if cell is not None:
        cell.discard_vm()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect C tests: all ``.c`` files but those of folders that hold none."""
    if IMAGE_KEY not in parent.config.stash or file_path.suffix != ".c":
        return None
    if not NO_SUITES.isdisjoint(file_path.relative_to(parent.config.rootpath).parts):
        return None
    return CTestFile.from_parent(parent, path=file_path)


@pytest.hookimpl(trylast=True)  # after -k and -m, whose choice is not to be called lost
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Drop what this topology cannot host; say what will run."""
    if IMAGE_KEY in config.stash:
        for item in items:
            declare(item)
    if file := read_option(config, "--declared"):
        write_declared(Path(file), items)
    cell = config.stash.get(CELL_KEY, None)
    if cell is None:
        return
    placement, before = read_placement(config)
    unhosted: list[NotApplicable] = []
    hosted: list[pytest.Item] = []
    for item in items:
        item.stash[EVIDENCE_KEY] = Evidence()
        needs = item.stash.get(NEEDS_KEY, None) or _read_markers(item)
        needs = item.stash[NEEDS_KEY] = allow_time(needs, slowness=cell.config.slowness)
        reason = explain_unhosted(needs, cell.config.topology)
        reason = reason or explain_placed(needs, placement, before)
        if cell.is_deterministic and not isinstance(item, CTestCase):
            reason = "has a part on the host: to a deterministic guest nothing is said"
        if reason:
            unhosted.append(NotApplicable(id=item.nodeid, reason=reason))
        else:
            hosted.append(item)
    ids = tuple(item.nodeid for item in hosted)
    if _is_first_worker(config):
        planned = (BOOT_TEST, *ids) if ids else ()
        cell.sink.emit(Collected(ids=planned, not_applicable=tuple(unhosted)))
    finished = read_finished(config)
    kept = [item for item in hosted if item.nodeid not in finished]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist's, which tells that tests can be dealt out
def pytest_collection_finish(session: pytest.Session) -> None:
    """Boot, once for the cell, before the first test asks for a guest."""
    cell = session.config.stash.get(CELL_KEY, None)
    if cell is None or not session.items or session.config.option.collectonly:
        return
    if _is_first_worker(session.config):
        is_reported = BOOT_TEST in read_finished(session.config)
        if cell.is_deterministic:
            announce_boot_alone(cell, is_reported=is_reported)
        else:
            cell.announce_boot(is_reported=is_reported)


def _is_first_worker(config: pytest.Config) -> bool:
    """Whether this process speaks for the cell: of pytest-xdist's workers, the first does."""
    return _name_worker(config) == "gw0"


def _name_worker(config: pytest.Config) -> str:
    """Return the name of pytest-xdist's worker; without any, that of the first."""
    worker: dict[str, str] = getattr(config, "workerinput", {"workerid": "gw0"})
    return worker["workerid"]


def _read_markers(item: pytest.Item) -> Needs:
    """Return what the markers ``needs`` of module, test and parameter say, the closest last."""
    said: dict[str, object] = {}
    for marker in reversed(list(item.iter_markers("needs"))):
        said |= marker.kwargs
    try:
        return parse_marker_needs(said, filename=item.nodeid)
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
    ending = _get_ending(item)
    is_harmless = ending.verdict in _HARMLESS
    if not is_harmless:
        _keep_console(cell, item, mark)
        if ending.verdict in _WORTH_A_VMCORE and (vmcore := cell.take_vmcore()):
            item.stash[EVIDENCE_KEY].logs.append(LogFile(kind="vmcore", path=vmcore))
    cell.add_counters(_name_worker(item.config))
    cell.sink.emit(Finished(result=_make_result(item, ending)))
    if not is_harmless or cell.is_expired or item.stash[NEEDS_KEY].scope is Scope.TEST:
        cell.discard_vm()
    return outcome


def _make_result(item: pytest.Item, ending: Ending) -> TestResult:
    evidence = item.stash[EVIDENCE_KEY]
    return TestResult(
        id=item.nodeid,
        verdict=ending.verdict,
        seconds=round(_get_seconds(item), 3),
        message=clean(ending.message),
        metrics=tuple(evidence.metrics),
        placements=tuple(evidence.placements),
        crash=ending.crash,
        logs=tuple(evidence.logs),
        known=_tell_known(item, ending),
    )


def _get_ending(item: pytest.Item) -> Ending:
    """Return how a test has ended that is over; one that passed may have been expected to fail."""
    ending: Ending | None = item.stash.get(_ENDING_KEY, None)
    if ending is not None:
        return ending
    known = find_known(item)
    message = f"passed, though it was expected to fail: {known}" if known else ""
    return Ending(verdict=Verdict.PASSED, message=message)


def _tell_known(item: pytest.Item, ending: Ending) -> str:
    """Return what is declared of a test, where its end has to do with it."""
    known = find_known(item) if ending.verdict in {Verdict.KNOWN, Verdict.PASSED} else None
    return str(known) if known else ""


def _get_seconds(item: pytest.Item) -> float:
    """Return how long the call phase took; 0 where it was not come to."""
    seconds: float = item.stash.get(SECONDS_KEY, 0.0)
    return seconds


def _keep_console(cell: Cell, item: pytest.Item, mark: int) -> None:
    """Keep what the console said during the test, next to the whole log of the guest."""
    if cell.running_vm is None:
        return
    name = f"{make_file_name(item.nodeid)}.test.console.log"
    lines = cell.running_vm.console.lines_since(mark)
    evidence = item.stash[EVIDENCE_KEY]
    evidence.keep("console", lines, path=cell.config.log_dir / name)
    if cell.running_vm.console.mark():  # an empty log is removed with its guest
        evidence.logs.append(LogFile(kind="whole console", path=cell.console_log))


def _find_missing(needs: Needs, cell: Cell) -> tuple[str, ...]:
    """Return the options that the kernel lacks; its image is read where any does."""
    config = cell.config
    if not find_missing_options(needs, config.kconfig):
        return ()
    return find_missing_options(needs, config.kconfig, release=find_release(config.kernel))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Stop a test that this kernel cannot pass before a guest is started for it.

    The guest comes first, for it may have to wait for room; what fixtures do then has a deadline.
    """
    cell = item.config.stash.get(CELL_KEY, None)
    if cell is None:
        return (yield)
    needs = item.stash[NEEDS_KEY]
    if missing := find_missing_features(needs, cell.config.features):
        pytest.skip(f"needs a series that provides {', '.join(missing)}")
    if options := _find_missing(needs, cell):
        raise CaseFailedError(
            Verdict.FAILED,
            f"needs {', '.join('CONFIG_' + name for name in options)}, "
            "which this kernel was built without: add a fragment of kconfigs/ to the plan",
        )
    evidence = item.stash[EVIDENCE_KEY]
    is_python = not isinstance(item, CTestCase)
    if is_python and {"vm", "guest", "hotplug"} & set(getattr(item, "fixturenames", ())):
        with watch(cell, name=item.nodeid, evidence=evidence, hears_out=False):
            cell.lend_vm(make_wish(item))
    timeout_s = needs.timeout_s if is_python else None
    with watch(cell, name=item.nodeid, evidence=evidence, timeout_s=timeout_s, hears_out=False):
        yield
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Judge the test by the console too: an oops outranks every "ok" printed before it."""
    cell = item.config.stash.get(CELL_KEY, None)
    if cell is None:
        return (yield)
    needs, evidence = item.stash[NEEDS_KEY], item.stash[EVIDENCE_KEY]
    # A deterministic run has deadlines of its own, in the guest's time.
    timeout_s = None if cell.is_deterministic else needs.timeout_s
    with watch(cell, name=item.nodeid, evidence=evidence, timeout_s=timeout_s):
        try:
            yield
        except pytest.skip.Exception:
            _check_python_taint(cell, item)
            raise
        _check_python_taint(cell, item)
    return None


def _check_python_taint(cell: Cell, item: pytest.Item) -> None:
    """Compare the taint with that of the boot; a C case tells it itself."""
    if not isinstance(item, CTestCase) and cell.running_vm is not None:
        check_taint(before=cell.boot_taint, after=read_taint(cell.running_vm))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Watch what a test's fixtures do at its end, as its call was watched."""
    cell = item.config.stash.get(CELL_KEY, None)
    if cell is None:
        return (yield)
    # A C case has nothing to clean up, and of a guest that a test failed in no more is asked.
    hears_out = not isinstance(item, CTestCase) and _is_open(item)
    with watch(
        cell,
        name=item.nodeid,
        evidence=item.stash[EVIDENCE_KEY],
        timeout_s=item.stash[NEEDS_KEY].timeout_s,
        hears_out=hears_out,
    ):
        yield
        if hears_out:
            _check_python_taint(cell, item)
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note how each phase ended, and give JUnit the properties of the result."""
    if CELL_KEY not in item.config.stash:
        return (yield)
    report = yield
    if call.when == "call":
        item.stash[SECONDS_KEY] = call.duration
    if call.excinfo is not None and _is_open(item):
        ending = judge_exception(call.excinfo.value, shown=report.longreprtext)
        if call.when == "call":
            ending = excuse(ending, call.excinfo.value, find_known(item))
        item.stash[_ENDING_KEY] = ending
        if ending.verdict is Verdict.KNOWN:  # pytest's own word for it: XFAIL
            report.outcome = "skipped"
            report.wasxfail = ending.message.partition("\n")[0]
    if call.when == "teardown":
        report.user_properties += _list_properties(item)
    return report


def _is_open(item: pytest.Item) -> bool:
    """Whether a worse end may still come: none has been noted, or one that is excused."""
    ending: Ending | None = item.stash.get(_ENDING_KEY, None)
    return ending is None or ending.verdict is Verdict.KNOWN


def _list_properties(item: pytest.Item) -> Iterator[tuple[str, object]]:
    """Yield what JUnit is to know of a test that has ended."""
    ending = _get_ending(item)
    yield "verdict", str(ending.verdict)
    if ending.crash is not None:
        yield "crash", ending.crash.title
    for metric in item.stash[EVIDENCE_KEY].metrics:
        yield f"metric:{metric.name}", f"{metric.value} {metric.unit}"


@pytest.fixture
def vm(request: pytest.FixtureRequest) -> Vm:
    """The running machine: restored for this test, unless its needs say otherwise."""
    return _get_cell(request).lend_vm(make_wish(request.node))


@pytest.fixture
def guest(vm: Vm) -> Guest:
    """The guest of ``vm``, over SSH."""
    return vm.guest


@pytest.fixture
def hotplug(request: pytest.FixtureRequest, vm: Vm) -> Iterator[Hotplug]:
    """Memory hotplug of ``vm``; a guest whose memory it changed is not used for another test."""
    plugged = Hotplug(vm)
    yield plugged
    if not plugged.is_as_booted:
        _get_cell(request).is_expired = True


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Reporter:
    """The way to record metrics, placements and texts."""
    return Reporter(
        request.node.stash[EVIDENCE_KEY],
        name=request.node.nodeid,
        folder=_get_cell(request).config.log_dir,
    )


def _get_cell(request: pytest.FixtureRequest) -> Cell:
    cell = request.config.stash.get(CELL_KEY, None)
    if cell is None:
        raise UserError("guest tests need a kernel: run them with `testbed test --kernel FILE`")
    return cell
