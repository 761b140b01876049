"""The C tests as pytest items: one file a collector, one case an item."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from testbed.core.case_command import TAINT_LINE, make_case_command
from testbed.core.declared import Declared
from testbed.core.ktap import judge_case, parse_ktap
from testbed.core.needs import Needs, parse_needs
from testbed.core.plain_failure import is_plain_failure
from testbed.core.result import Verdict
from testbed.core.text import make_file_name, split_lines
from testbed.errors import PlanError
from testbed.host.catalog import load_coverage
from testbed.host.guest_image import list_cases
from testbed.host.port import PortResult
from testbed.pytest_plugin.alone import run_case
from testbed.pytest_plugin.cell import Cell, CellBootFailedError
from testbed.pytest_plugin.judge import CaseFailedError
from testbed.pytest_plugin.stash import (
    CELL_KEY,
    DECLARED_KEY,
    EVIDENCE_KEY,
    IMAGE_KEY,
    NEEDS_KEY,
    make_wish,
)
from testbed.pytest_plugin.watch import check_taint

if TYPE_CHECKING:  # pytest has no public names for these
    from _pytest._code.code import TerminalRepr, TracebackStyle


_NOTHING: Final = Declared()


class CTestFile(pytest.File):
    """A C test program; its needs are read from its source, its cases from the program."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield an item a case. Raises pytest's own error for a bad needs block, in one line."""
        try:
            yield from self._collect()
        except PlanError as err:
            raise self.CollectError(str(err)) from err

    def _collect(self) -> Iterator[pytest.Item]:
        relative = self.path.relative_to(self.config.rootpath)
        needs = parse_needs(self.path.read_text(encoding="utf-8"), filename=str(relative))
        program = relative.with_suffix("")
        cases = list_cases(self.config.stash[IMAGE_KEY].tests_dir / program)
        needs.check_cases(cases)
        for case in cases:
            declared = needs.declare(case)
            if declared != _NOTHING:
                load_coverage().check(declared, filename=str(relative))
            yield CTestCase.from_parent(
                self,
                name=case,
                program=f"/tests/{program}",
                needs=needs.for_case(case),
                declared=declared,
            )


class CTestCase(pytest.Item):
    """One case of a C test program."""

    def __init__(
        self,
        *,
        name: str,
        parent: pytest.Collector,
        program: str,
        needs: Needs,
        declared: Declared,
    ) -> None:
        super().__init__(name=name, parent=parent)
        self.program = program
        self.stash[NEEDS_KEY] = needs
        self.stash[DECLARED_KEY] = declared
        if declared.is_quick:
            self.add_marker(pytest.mark.quick)

    def setup(self) -> None:
        """Take a guest, so that its start is no part of the case's time."""
        cell = self.config.stash[CELL_KEY]
        if not cell.is_deterministic:
            cell.lend_vm(make_wish(self))
        elif failure := cell.read_failure():
            raise CellBootFailedError(failure)

    def runtest(self) -> None:
        """Run the case in the guest and judge what it printed."""
        cell = self.config.stash[CELL_KEY]
        done = self._run(cell)
        lines = split_lines(done.output)
        transcript = [line for line in lines if not line.startswith(TAINT_LINE)]
        self._keep(cell, transcript)
        run = parse_ktap(transcript)
        evidence = self.stash[EVIDENCE_KEY]
        evidence.metrics += [metric for case in run.cases for metric in case.metrics]
        evidence.placements += [seen for case in run.cases for seen in case.placements]
        verdict, message = judge_case(run, self.name, exit_status=done.status)
        _check_taint(lines)
        if verdict is Verdict.SKIPPED:
            raise CaseFailedError(
                Verdict.FAILED, f"the case skipped itself although its needs are met: {message}"
            )
        if verdict is not Verdict.PASSED:
            is_plain = is_plain_failure(run, self.name, exit_status=done.status)
            raise CaseFailedError(verdict, message, is_plain=is_plain)

    def _run(self, cell: Cell) -> PortResult:
        needs = self.stash[NEEDS_KEY]
        command = make_case_command(self.program, self.name, slowness=cell.config.slowness)
        if cell.is_deterministic:
            return run_case(
                cell,
                command,
                needs=needs,
                log_name=make_file_name(self.nodeid),
                evidence=self.stash[EVIDENCE_KEY],
            )
        vm = cell.lend_vm(make_wish(self))
        return vm.port.run(command, timeout_s=needs.timeout_s)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Tell pytest where the case is from."""
        return self.path, None, self.name

    def repr_failure(
        self,
        excinfo: pytest.ExceptionInfo[BaseException],
        style: "TracebackStyle | None" = None,
    ) -> "str | TerminalRepr":
        """Show what the case said: a traceback of the plugin would tell nothing."""
        if isinstance(excinfo.value, AssertionError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def _keep(self, cell: Cell, lines: list[str]) -> None:
        name = f"{make_file_name(self.nodeid)}.ktap"
        self.stash[EVIDENCE_KEY].keep("ktap", lines, path=cell.config.log_dir / name)


def _check_taint(lines: tuple[str, ...]) -> None:
    """Compare the taint before the case with that after it."""
    taints = [line.removeprefix(TAINT_LINE) for line in lines if line.startswith(TAINT_LINE)]
    if len(taints) < 2 or not (taints[0].isdigit() and taints[-1].isdigit()):  # noqa: PLR2004 - before, after
        raise CaseFailedError(Verdict.FAILED, "the case ended before it could be judged")
    check_taint(before=int(taints[0]), after=int(taints[-1]))
