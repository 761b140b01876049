"""The C tests as pytest items: one file a collector, one case an item."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from testbed.core.ktap import judge_case, parse_ktap
from testbed.core.needs import Needs, parse_needs
from testbed.core.result import LogFile, Verdict
from testbed.core.text import make_file_name, split_lines
from testbed.host.guest_image import list_cases
from testbed.pytest_plugin.cell import Cell
from testbed.pytest_plugin.judge import CaseFailedError
from testbed.pytest_plugin.stash import CELL_KEY, EVIDENCE_KEY, NEEDS_KEY, make_wish
from testbed.pytest_plugin.watch import check_taint

if TYPE_CHECKING:  # pytest has no public names for these
    from _pytest._code.code import TerminalRepr, TracebackStyle

_TAINT_LINE: Final = "# @taint "


class CTestFile(pytest.File):
    """A C test program; its needs are read from its source, its cases from the program."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield an item a case. Raises :class:`testbed.errors.PlanError` for a bad needs block."""
        cell = self.config.stash[CELL_KEY]
        relative = self.path.relative_to(self.config.rootpath)
        needs = parse_needs(self.path.read_text(encoding="utf-8"), filename=str(relative))
        program = relative.with_suffix("")
        cases = list_cases(cell.config.image.tests_dir / program)
        needs.check_cases(cases)
        for case in cases:
            yield CTestCase.from_parent(
                self, name=case, program=f"/tests/{program}", needs=needs.for_case(case)
            )


class CTestCase(pytest.Item):
    """One case of a C test program."""

    def __init__(self, *, name: str, parent: pytest.Collector, program: str, needs: Needs) -> None:
        super().__init__(name=name, parent=parent)
        self.program = program
        self.stash[NEEDS_KEY] = needs

    def setup(self) -> None:
        """Take a guest, so that its start is no part of the case's time."""
        self.config.stash[CELL_KEY].lend_vm(make_wish(self))

    def runtest(self) -> None:
        """Run the case in the guest and judge what it printed."""
        cell = self.config.stash[CELL_KEY]
        needs = self.stash[NEEDS_KEY]
        command = (
            f"{shlex.quote(self.program)} -r {shlex.quote(self.name)}; status=$?; "
            f'echo; echo "{_TAINT_LINE}$(cat /proc/sys/kernel/tainted)"; exit $status'
        )
        vm = cell.lend_vm(make_wish(self))
        done = vm.port.run(command, timeout_s=needs.timeout_s)
        lines = split_lines(done.output)
        transcript = [line for line in lines if not line.startswith(_TAINT_LINE)]
        self._keep(cell, transcript)
        run = parse_ktap(transcript)
        evidence = self.stash[EVIDENCE_KEY]
        evidence.metrics += [metric for case in run.cases for metric in case.metrics]
        evidence.placements += [seen for case in run.cases for seen in case.placements]
        verdict, message = judge_case(run, self.name, exit_status=done.status)
        _check_taint(cell, lines)
        if verdict is Verdict.SKIPPED:
            raise CaseFailedError(
                Verdict.FAILED, f"the case skipped itself although its needs are met: {message}"
            )
        if verdict is not Verdict.PASSED:
            raise CaseFailedError(verdict, message)

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
        (cell.config.log_dir / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.stash[EVIDENCE_KEY].logs.append(LogFile(kind="ktap", path=name))


def _check_taint(cell: Cell, lines: tuple[str, ...]) -> None:
    taints = [line.removeprefix(_TAINT_LINE) for line in lines if line.startswith(_TAINT_LINE)]
    if not taints or not taints[-1].isdigit():
        raise CaseFailedError(Verdict.FAILED, "the case ended before it could be judged")
    check_taint(cell, int(taints[-1]))
