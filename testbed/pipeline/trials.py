"""The same test many times on one kernel: what a bisection asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from testbed.core.assemble import collect_results
from testbed.core.capacity import count_guests, need_of
from testbed.core.events import BOOT_TEST
from testbed.core.judge import JudgeSpec
from testbed.core.plan import Plan
from testbed.core.result import TestResult
from testbed.host import catalog
from testbed.host.accel import choose_accel
from testbed.host.admission import measure_host
from testbed.host.builder import Kernel
from testbed.host.cells import CellJob, CellOutcome, run_cells
from testbed.host.facts import count_cores
from testbed.host.guest_image import GuestImage, build_guest_image
from testbed.host.harness import choose_harness
from testbed.host.store import Store
from testbed.pipeline.observer import Observer


@dataclass(kw_only=True)
class Trials:
    """Runs what ``spec`` judges by; logs go to ``folder``. Each run has a fresh guest.

    ``provided`` are the features of each kernel, by its key.
    """

    plan: Plan
    spec: JudgeSpec
    topology: str
    folder: Path
    store: Store
    observer: Observer
    provided: Mapping[str, tuple[str, ...]]
    _ground: tuple[GuestImage, str] | None = field(default=None, init=False)
    _count: int = field(default=0, init=False)

    def run(self, kernel: Kernel, /, times: int) -> tuple[TestResult, ...]:
        """Return the results of ``times`` runs, as many at once as the host has room for.

        A kernel that does not boot has a result for every test that was planned, or that one.
        """
        image, accel = self._prepare(kernel)
        jobs = [self._make_job(kernel, image, accel) for _ in range(times)]
        need = need_of(catalog.load_topology(self.topology))
        at_once = min(count_cores(), count_guests(measure_host(), need))
        # A run that fails is what is looked for: the step that it is part of tells it.
        outcomes = run_cells(jobs, parallel=at_once, on_event=lambda *_: None)
        return tuple(result for outcome in outcomes for result in _list_results(outcome))

    def _prepare(self, kernel: Kernel) -> tuple[GuestImage, str]:
        """Choose what all runs share by the first kernel that there is."""
        if self._ground is None:
            harness = choose_harness(self.store, kernel.harness_dir, say=self.observer.say)
            image = build_guest_image(self.store, harness, say=self.observer.say)
            accel = choose_accel(
                self.store,
                kernel.image,
                image,
                log_dir=self.folder / "probe",
                say=self.observer.say,
            )
            self._ground = image, accel.name
        return self._ground

    def _make_job(self, kernel: Kernel, image: GuestImage, accel: str) -> CellJob:
        self._count += 1
        name = f"run-{self._count:04}-{kernel.key[:12]}"
        file, is_whole, case = self.spec.test.rpartition("::")
        return CellJob(
            name=name,
            folder=self.folder / name,
            kernel=kernel.image,
            kernel_config=kernel.config,
            image=image,
            topology=self.topology,
            accel=accel,
            features=self.provided.get(kernel.key, ()),
            tests=(file,) if is_whole and "/" in file else self.plan.tests,
            select=case or self.plan.select,
            marks="" if case else self.plan.marks,
            mode=self.plan.mode,
            seed=self.plan.seed,
        )


def _list_results(outcome: CellOutcome) -> Sequence[TestResult]:
    """Leave out the boot test, which is in every run, where there are others."""
    results = collect_results(outcome.events)
    return [result for result in results if result.id != BOOT_TEST] or results
