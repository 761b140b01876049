"""A suite of guest tests run as pytest runs it, in a process and with states of its own."""

import os
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from junitparser import JUnitXml

from testbed.core.events import Event, Finished, read_events
from testbed.core.result import TestResult
from testbed.host import catalog, cpio, proc
from testbed.host.accel import Accel
from testbed.host.builder import Builder, BuildRequest, Kernel
from testbed.host.event_file import EVENTS_FILE
from testbed.host.guest_image import GuestImage
from testbed.host.project import data_dir
from testbed.host.series_dir import load_series
from testbed.host.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a suite runs on; ``topology`` is a name or a file."""

    kernel: Kernel
    image: GuestImage
    accel: Accel
    topology: str = "two-nodes"


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRun:
    """What came of a run: its ``results`` by the last part of the test's id.

    ``times_s`` are whole tests, with the start of their guests and what fixtures do at the end.
    """

    events: tuple[Event, ...]
    logs: Path
    cache: Path
    output: str
    seconds: float
    times_s: Mapping[str, float]

    @property
    def results(self) -> dict[str, TestResult]:
        found = [event.result for event in self.events if isinstance(event, Finished)]
        return {result.id.rpartition("::")[2]: result for result in found}

    def read_dump(self, test: str) -> str:
        """Return the watchdog's dump that is attached to the result of ``test``."""
        (name,) = [log.path for log in self.results[test].logs if log.kind == "watchdog dump"]
        return (self.logs / name).read_text(encoding="utf-8")


def run_suite(
    folder: Path,
    files: Mapping[str, str],
    machine: Machine,
    *,
    options: tuple[str, ...] = (),
    cache: Path | None = None,
) -> SuiteRun:
    """Write ``files`` (name to text) to ``folder`` and run them; states are kept in ``cache``."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n", encoding="utf-8")
    logs = folder / "logs"
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", "pytest.ini", "."]
    argv += ["--kernel", str(machine.kernel.image), "--kernel-config", str(machine.kernel.config)]
    argv += ["--guest-image", str(machine.image.folder), "--topology", machine.topology]
    argv += [
        "--accel",
        machine.accel.name,
        "--log-dir",
        str(logs),
        "--junitxml",
        "junit.xml",
        *options,
    ]
    cache = cache or folder / "cache"
    began = time.monotonic()
    done = proc.run(
        argv,
        cwd=folder,
        check=False,
        timeout_s=300,
        env={"TESTBED_CACHE": str(cache)},
    )
    seconds = time.monotonic() - began
    assert done.returncode in {0, 1}, done.output
    lines = (logs / EVENTS_FILE).read_text(encoding="utf-8").splitlines()
    return SuiteRun(
        events=read_events(lines),
        logs=logs,
        cache=cache,
        output=done.output,
        seconds=round(seconds, 1),
        times_s=_read_times(folder / "junit.xml"),
    )


def _read_times(junit: Path) -> dict[str, float]:
    cases = [case for suite in JUnitXml.fromfile(str(junit)) for case in suite]
    return {str(case.name): float(case.time) for case in cases}


def build_broken(store: Store) -> Kernel:
    """Return the base kernel of the quick plan with a way to break it."""
    plan = catalog.load_plan(data_dir() / "ci/plans/quick.yaml")
    wanted = BuildRequest(
        source=plan.source,
        fragments=catalog.load_fragments(plan.kconfig),
        series=(load_series(data_dir() / "testbed/tests/series/break-on-request"),),
        jobs=os.cpu_count() or 1,
    )
    built = Builder(store, say=print).build(wanted)
    assert isinstance(built, Kernel), built
    return built


def extend_image(folder: Path, image: GuestImage, kernel: Kernel, name: str) -> GuestImage:
    """Return ``image`` with the C test ``name`` (suite/test.c) of ``folder`` in it as well.

    The kernel unpacks one archive after another (early-userspace/buffer-format.rst, 6.12).
    """
    source = folder / "source"
    shutil.copytree(data_dir() / "guest-tests/lib", source / "lib")
    shutil.copy(data_dir() / "guest-tests/Makefile", source)
    (source / name).parent.mkdir()
    shutil.copy(folder / name, source / name)
    made = folder / "made"
    argv = ["make", "--no-print-directory", f"-j{os.cpu_count() or 1}", "-C", str(source)]
    proc.run([*argv, f"O={made}", f"HARNESS={kernel.harness_dir}"])
    program = Path(name).with_suffix("")
    for root in (folder / "more/tests", folder / "image/programs/tests"):
        (root / program).parent.mkdir(parents=True)
        shutil.copy(made / "tests" / program, root / program)
    cpio.pack(folder / "more", folder / "more.cpio")
    whole = folder / "image/initrd.cpio"
    whole.write_bytes(image.initrd.read_bytes() + (folder / "more.cpio").read_bytes())
    return GuestImage(key="extended", folder=folder / "image")
