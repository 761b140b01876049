"""One test of a run once more; in deterministic mode, whether it was the same again."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from testbed.core.capacity import need_of
from testbed.core.case_command import limit_guest_time, make_case_command
from testbed.core.events import BOOT_TEST
from testbed.core.needs import allow_time, parse_needs
from testbed.errors import UserError
from testbed.host import catalog, debugger
from testbed.host.admission import open_admission
from testbed.host.deterministic import AloneRequest, start_alone
from testbed.host.store import Store
from testbed.pipeline.debug import Target, build_replay_argv, load_topology
from testbed.pipeline.single import call_pytest

_COMPARED: Final = frozenset({"ktap", "console"})


def replay(target: Target, *, say: Callable[[str], None]) -> int:
    """Run the test of ``target`` again, judged as in the run; pytest's status.

    A deterministic run is compared with the first, byte for byte; 1 where it differs.
    """
    log_dir = Path(tempfile.mkdtemp(prefix="testbed-replay-"))
    say(f"logs: {log_dir}")
    status = call_pytest(build_replay_argv(target, log_dir=log_dir))
    if target.mode != "deterministic":
        return status
    logs = [log for log in target.found.test.logs if log.kind in _COMPARED]
    differing = [log.path for log in logs if not _is_same(target.run / log.path, log_dir)]
    if differing or not logs:
        say(f"NOT the same as in the run: {', '.join(differing) or 'it left no logs'}")
        return status or 1
    say(f"the same as in the run, bit for bit: {', '.join(log.path for log in logs)}")
    return status


def replay_in_gdb(
    target: Target,
    args: Sequence[str],
    *,
    break_at: Sequence[str],
    store: Store,
    say: Callable[[str], None],
) -> int:
    """Run a deterministic case of ``target`` again with gdb on it from its boot; gdb's status."""
    if target.program is None:
        raise UserError(f"{target.found.test.id} is no C case: see `testbed boot` for {BOOT_TEST}")
    debugger.find_gdb()
    program, case = target.program
    source = catalog.guest_tests_dir() / f"{target.found.test.id.partition('::')[0]}"
    needs = parse_needs(source.read_text(encoding="utf-8"), filename=str(source)).for_case(case)
    timeout_s = allow_time(needs, slowness=target.slowness).timeout_s
    command = make_case_command(program, case, slowness=target.slowness)
    log_dir = Path(tempfile.mkdtemp(prefix="testbed-replay-"))
    say(f"logs: {log_dir}; the guest waits at its first instruction")
    topology = load_topology(target)
    with (
        tempfile.TemporaryDirectory(prefix="testbed-gdb-") as folder,
        open_admission(store.root, say=say).acquire(need_of(topology)),
    ):
        request = AloneRequest(
            kernel=target.kernel.image,
            initrd=target.image.initrd,
            topology=topology,
            commands=limit_guest_time(command, timeout_s),
            log_dir=log_dir,
            seed=target.seed,
            timeout_s=None,
            gdb=Path(folder) / "gdb",
        )
        run = start_alone(request)
        try:
            argv = debugger.build_gdb_argv(
                vmlinux=target.kernel.vmlinux,
                stub=Path(folder) / "gdb",
                break_at=break_at,
                args=args,
            )
            return debugger.run_debugger(argv)
        finally:
            run.close()


def _is_same(then: Path, log_dir: Path) -> bool:
    now = log_dir / then.name
    return now.is_file() and then.is_file() and now.read_bytes() == then.read_bytes()
