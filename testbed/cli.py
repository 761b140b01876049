"""The command line: the only place that prints and exits."""

import shlex
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn, get_args

import click
from rich.console import Console
from rich.text import Text

from testbed import __version__, doctor
from testbed.cli_options import (
    QUICK_PLAN,
    BreakAt,
    Cell,
    DebuggerArgs,
    Kernel,
    PlanFile,
    Run,
    RunsDir,
    Series,
    Source,
    Test,
    Topology,
    Tree,
    example,
)
from testbed.core.deterministic_argv import MAX_SEED
from testbed.core.plan import DEFAULT_SOURCE, Mode, Plan
from testbed.core.record import RunRecord
from testbed.core.request import RunRequest
from testbed.errors import TestbedError, UserError
from testbed.host import catalog
from testbed.host.boot import BootFailure
from testbed.host.project import cache_dir, data_dir
from testbed.host.run_dir import RunDir
from testbed.host.store import Store
from testbed.pipeline import debug as debugging
from testbed.pipeline import replay as replaying
from testbed.pipeline import run as full_run
from testbed.pipeline import single
from testbed.report.table import render_summary
from testbed.terminal import LiveView

_BUG: Final = 70  # EX_SOFTWARE, sysexits.h
_INTERRUPTED: Final = 130  # 128 + SIGINT, as shells report it
_WIDTH: Final = 100


@click.group(context_settings={"max_content_width": _WIDTH, "help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="testbed")
def cli() -> None:
    """Build patched kernels, boot them on NUMA machines, and say what regressed."""


@cli.command(
    epilog=example(
        "testbed run --plan ci/plans/quick.yaml --series my-series/",
        "testbed run --mode deterministic --seed 7 -k move_pages",
        "testbed run --resume latest",
    )
)
@PlanFile
@Series
@Source
@Tree
@click.option("--topology", "-t", "topologies", multiple=True, help="Only these topologies.")
@click.option("--select", "-k", metavar="EXPR", help="Only tests that match, as pytest -k does.")
@click.option("--no-series", is_flag=True, help="The base kernel alone, without a comparison.")
@click.option(
    "--mode", type=click.Choice(get_args(Mode)), help="How guests run.  [the plan's, or normal]"
)
@click.option(
    "--seed",
    type=click.IntRange(0, MAX_SEED),
    help="Deterministic mode: another seed, another interleaving; the same seed, the same run.",
)
@click.option("--vmcore", is_flag=True, help="Keep the memory of guests that crash or hang.")
@click.option(
    "--resume",
    metavar="RUN",
    help="Go on with a run that was cut short: its folder, its id, or `latest`.",
)
@RunsDir
def run(  # noqa: PLR0913 - one argument an option
    *,
    plan: Path | None,
    series: tuple[str, ...],
    source: str | None,
    tree: Path | None,
    topologies: tuple[str, ...],
    select: str | None,
    no_series: bool,
    mode: Mode | None,
    seed: int | None,
    vmcore: bool,
    resume: str | None,
    runs_dir: Path,
) -> int:
    """Build base and patched kernels, test both, compare, and write a report."""
    if resume is not None:
        if any((plan, series, source, tree, topologies, select, no_series, mode, seed, vmcore)):
            raise UserError("--resume goes alone: the run's folder has all that was asked for")
        return _resume(RunDir.find(runs_dir.absolute(), resume))
    if no_series and series:
        raise UserError("--no-series and --series exclude each other")
    name, chosen = _load_plan(plan)
    chosen = _override(
        chosen,
        series=series,
        source=source,
        topologies=topologies,
        select=select,
        vmcore=vmcore,
    )
    chosen = _choose_mode(chosen, mode=mode, seed=seed)
    if no_series:
        chosen = chosen.model_copy(update={"series": ()})
    request = RunRequest(
        plan=chosen,
        plan_name=name,
        command=_tell_command(),
        workdir=str(Path.cwd()),
        tree=str(tree) if tree else None,
        is_narrowed=bool(topologies) or chosen.mode == "deterministic",
    )
    console = _make_console()
    with LiveView(console) as view:
        record, folder = full_run.run(
            request, runs_dir=runs_dir.absolute(), store=_open_store(view), observer=view
        )
    return _tell_end(record, folder, console)


def _resume(run_dir: RunDir) -> int:
    console = _make_console()
    with LiveView(console) as view:
        record, folder = full_run.resume(run_dir, store=_open_store(view), observer=view)
    return _tell_end(record, folder, console)


def _tell_end(record: RunRecord, folder: Path, console: Console) -> int:
    console.print(render_summary(record))
    console.print(Text(f"report: {folder / 'report.html'}"), soft_wrap=True)
    return record.exit_code


@cli.command(epilog=example("testbed build --series patches/migrate-reasons"))
@PlanFile
@Series
@Source
@Tree
def build(
    *, plan: Path | None, series: tuple[str, ...], source: str | None, tree: Path | None
) -> int:
    """Build the base kernel, the patched one and the guest image; print where they are."""
    chosen = _override(_load_plan(plan)[1], series=series, source=source)
    console = _make_console()
    with LiveView(console) as view:
        built = single.build_all(chosen, tree=tree, store=_open_store(view), observer=view)
    for label, path in built.paths:
        console.print(Text(f"{label}: {path}"), soft_wrap=True)
    return built.exit_code


@cli.command(epilog=example("testbed boot -t three-nodes-hotplug", "testbed boot --kernel bzImage"))
@Kernel
@Topology
@Series
@Source
@Tree
def boot(
    *,
    kernel: Path | None,
    topology: str,
    series: tuple[str, ...],
    source: str | None,
    tree: Path | None,
) -> int:
    """Boot a kernel and open a shell in the guest; without --series the base kernel."""
    console = _make_console()
    chosen = _override(_load_plan(None)[1], source=source)
    chosen = chosen.model_copy(update={"series": series})
    with LiveView(console) as view:
        vm = single.boot_guest(
            chosen,
            kernel=kernel,
            tree=tree,
            topology=topology,
            store=_open_store(view),
            observer=view,
        )
    if isinstance(vm, BootFailure):
        console.print(Text(f"did not boot: {vm.crash.title}\nconsole: {vm.console}"))
        return 3
    try:
        console.print(Text("root shell in the guest; leave it with `exit` to end the guest"))
        return vm.guest.open_shell()
    finally:
        vm.close()


@cli.command(
    context_settings={"ignore_unknown_options": True},
    epilog=example("testbed test --kernel arch/x86/boot/bzImage -t two-nodes -- -k mbind -x"),
)
@Kernel
@Topology
@click.option(
    "--config",
    "kconfig",
    type=click.Path(exists=True, path_type=Path),
    help="The kernel's .config, so that tests know what it can do.",
)
@click.option("--features", default="", metavar="LIST", help="Features its series provide.")
@Source
@RunsDir
@click.argument("pytest_args", nargs=-1, type=click.UNPROCESSED)
def test(
    *,
    kernel: Path | None,
    topology: str,
    kconfig: Path | None,
    features: str,
    source: str | None,
    runs_dir: Path,
    pytest_args: tuple[str, ...],
) -> int:
    """Run the guest tests on a kernel image that is already built; the rest goes to pytest."""
    if kernel is None:
        raise UserError("--kernel FILE is missing: `testbed build` makes one and names it")
    with LiveView(_make_console()) as view:
        argv = single.prepare_tests(
            kernel=kernel.absolute(),
            kconfig=kconfig.absolute() if kconfig else None,
            topology=topology,
            features=tuple(filter(None, features.split(","))),
            source=source or DEFAULT_SOURCE,
            log_dir=runs_dir.absolute() / "test",
            store=_open_store(view),
            observer=view,
        )
    return single.call_pytest((*argv, *pytest_args))


@cli.command(
    context_settings={"ignore_unknown_options": True},
    epilog=example(
        "testbed debug latest migrate_pages.one_to_one -b migrate_pages",
        "testbed debug latest boot --gdb -- --batch -ex bt",
    ),
)
@Run
@Test
@Cell
@click.option("--gdb", "tool", flag_value="gdb", help="Run it again, with gdb on the guest.")
@click.option("--drgn", "tool", flag_value="drgn", help="Open the vmcore that it left.")
@BreakAt
@RunsDir
@DebuggerArgs
def debug(
    *,
    run: str,
    test: str,
    cell: str,
    tool: str | None,
    break_at: tuple[str, ...],
    runs_dir: Path,
    debugger_args: tuple[str, ...],
) -> int:
    """Debug a test of a finished run; words after -- go to the debugger.

    drgn on the vmcore where there is one and the kernel has debug info, else gdb on a guest in
    which the test runs again.
    """
    console = _make_console()
    with LiveView(console) as view:
        store = _open_store(view)
        target = debugging.find_target(runs_dir.absolute(), run, test, cell=cell, store=store)
        chosen = debugging.choose_tool(target, debugging.Tool(tool) if tool else None)
    if chosen is debugging.Tool.DRGN:
        return debugging.open_drgn(target, debugger_args)
    return debugging.open_gdb(target, debugger_args, break_at=break_at, store=store, say=click.echo)


@cli.command(
    epilog=example(
        "testbed replay latest move_pages.status_of_each_page",
        "testbed replay latest move_pages.many --gdb -b do_migrate_pages",
    )
)
@Run
@Test
@Cell
@click.option("--gdb", "with_gdb", is_flag=True, help="With gdb on the guest.")
@BreakAt
@RunsDir
def replay(
    *, run: str, test: str, cell: str, with_gdb: bool, break_at: tuple[str, ...], runs_dir: Path
) -> int:
    """Run one test of a finished run again: same kernel, same guest image, same machine.

    A deterministic run is the same again, seed and all, and compared with the first bit by bit.
    """
    with LiveView(_make_console()) as view:
        store = _open_store(view)
        target = debugging.find_target(runs_dir.absolute(), run, test, cell=cell, store=store)
    if with_gdb and target.mode == "deterministic":
        return replaying.replay_in_gdb(target, (), break_at=break_at, store=store, say=click.echo)
    if with_gdb:
        debugging.choose_tool(target, debugging.Tool.GDB)
        return debugging.open_gdb(target, (), break_at=break_at, store=store, say=click.echo)
    return replaying.replay(target, say=click.echo)


@cli.command(name="list", epilog=example("testbed list topologies"))
@click.argument("what", type=click.Choice(["topologies", "kconfigs", "series", "tests", "plans"]))
def list_(*, what: str) -> None:
    """List what there is to choose from."""
    for name, about in catalog.describe(what):
        click.echo(f"{name:<28} {about}".rstrip())


@cli.command(name="doctor", epilog=example("testbed doctor"))
def doctor_() -> int:
    """Say what is missing on this host, and the command that installs it."""
    report = doctor.examine(cache_dir())
    console = _make_console()
    console.print(doctor.render(report))
    return report.exit_code


@cli.command(epilog=example("testbed clean --kernels", "testbed clean --all"))
@click.option("--kernels", is_flag=True, help="Remove built kernels and guest images.")
@click.option("--work", is_flag=True, help="Remove warm source trees and build directories.")
@click.option("--all", "everything", is_flag=True, help="Remove the whole cache.")
def clean(*, kernels: bool, work: bool, everything: bool) -> None:
    """Show what the cache holds, or remove parts of it."""
    kinds = [
        *(("kernels", "guest-images", "states", "harness") if kernels or everything else ()),
        *(("work",) if work or everything else ()),
        *(("facts", "ccache") if everything else ()),
    ]
    store = Store(cache_dir(), say=click.echo)
    for kind in kinds:
        store.remove(kind)
    for usage in store.usage():
        click.echo(f"{usage.kind:<14} {usage.entries:5} entries {usage.size_mib:8.0f} MiB")
    click.echo(f"cache: {store.root}")


def _load_plan(path: Path | None) -> tuple[str, Plan]:
    path = path or data_dir() / QUICK_PLAN
    return path.stem, catalog.load_plan(path)


def _override(plan: Plan, **given: object) -> Plan:
    """Return ``plan`` with what the command line gave; what it left out stays the plan's."""
    return plan.model_copy(update={key: value for key, value in given.items() if value})


def _choose_mode(plan: Plan, *, mode: Mode | None, seed: int | None) -> Plan:
    """Apply --mode and --seed; a seed asks for deterministic mode."""
    if mode == "normal" and seed is not None:
        raise UserError("--seed goes with --mode deterministic")
    chosen = "deterministic" if seed is not None else mode or plan.mode
    kept = plan.seed if chosen == "deterministic" else 0
    return plan.model_copy(update={"mode": chosen, "seed": kept if seed is None else seed})


def _make_console() -> Console:
    """In a pipe there is no width to ask for: take the one that every table fits."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDTH)


def _tell_command() -> tuple[str, ...]:
    """Return the command as it was given; bytes that are no UTF-8 cannot be kept in JSON."""
    return tuple(word.encode(errors="replace").decode() for word in ("testbed", *sys.argv[1:]))


def _open_store(view: LiveView) -> Store:
    return Store(cache_dir(), say=view.say)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _tell_interrupted(cause: BaseException | None) -> str:
    kept = f"the cache {cache_dir()} (whole)"
    if isinstance(cause, full_run.RunInterruptedError):
        command = shlex.join(("testbed", "run", "--resume", str(cause.folder)))
        kept += f", and every test that had ended; `{command}` runs the rest"
    return f"\ninterrupted: every guest and build was ended; kept: {kept}"


def main() -> NoReturn:
    """Run the command line; every way out of the testbed is here."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background jobs ignore SIGINT
        signal.signal(number, _interrupt)
    try:
        sys.exit(cli.main(standalone_mode=False) or 0)
    except click.exceptions.Exit as err:
        sys.exit(err.exit_code)
    except click.Abort as err:
        click.echo(_tell_interrupted(err.__cause__), err=True)
        sys.exit(_INTERRUPTED)
    except click.ClickException as err:
        err.show()
        sys.exit(UserError.exit_code)
    except TestbedError as err:
        click.echo(f"testbed: {err}", err=True)
        sys.exit(err.exit_code)
    except Exception:  # noqa: BLE001 - the last stop: Python's own status, 1, means "regressed"
        traceback.print_exc()
        click.echo(
            f"testbed: a bug of the testbed, not of your kernel; it was called as:\n"
            f"  {shlex.join(sys.argv)}",
            err=True,
        )
        sys.exit(_BUG)
