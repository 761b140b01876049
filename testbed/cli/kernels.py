"""Commands that build kernels, boot them, and test them."""

from pathlib import Path
from typing import get_args

import click
from rich.console import Console
from rich.text import Text

from testbed.cli.asked import Asked, choose_mode, make_request, takes_kernels
from testbed.cli.options import Config, Kernel, NoSeries, RunsDir, Source, Topology, example
from testbed.cli.screen import make_console, open_store
from testbed.core.deterministic_argv import MAX_SEED
from testbed.core.plan import DEFAULT_SOURCE, Mode
from testbed.core.record import RunRecord
from testbed.errors import UserError
from testbed.host.boot import BootFailure
from testbed.host.run_dir import RunDir
from testbed.pipeline import run as full_run
from testbed.pipeline import single
from testbed.report.table import render_summary
from testbed.terminal import LiveView


@click.command(
    epilog=example(
        "testbed run --plan ci/plans/quick.yaml --series my-series/",
        "testbed run --tree ~/linux --git origin/master..my-branch --each-patch",
        "testbed run --mode deterministic --seed 7 -k move_pages",
        "testbed run --no-series -m quick",
        "testbed run --resume latest",
    )
)
@takes_kernels
@click.option("--topology", "-t", "topologies", multiple=True, help="Only these topologies.")
@click.option("--select", "-k", metavar="EXPR", help="Only tests that match, as pytest -k does.")
@click.option("--marks", "-m", metavar="EXPR", help="Only tests with such marks, as quick.")
@NoSeries
@click.option("--each-patch", is_flag=True, help="Test the kernel after every patch.")
@Kernel
@Config
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
    asked: Asked,
    topologies: tuple[str, ...],
    select: str | None,
    marks: str | None,
    no_series: bool,
    each_patch: bool,
    kernel: Path | None,
    kconfig: Path | None,
    mode: Mode | None,
    seed: int | None,
    vmcore: bool,
    resume: str | None,
    runs_dir: Path,
) -> int:
    """Build base and patched kernels, test both, compare, and write a report.

    With --kernel nothing is built: that kernel alone is tested.
    """
    if resume is not None:
        others = (topologies, select, marks, no_series, each_patch, kernel, kconfig, mode, seed)
        if asked.is_anything or any(others) or vmcore:
            raise UserError("--resume goes alone: the run's folder has all that was asked for")
        return _resume(RunDir.find(runs_dir.absolute(), resume))
    if no_series and (asked.series or asked.git):
        raise UserError("--no-series excludes --series and --git")
    if each_patch and (no_series or kernel):
        raise UserError("--each-patch goes with patches: give --series or --git")
    if kernel and (asked.series or asked.git or asked.tree or asked.source or asked.fragments):
        raise UserError(
            "--kernel is built already: no --series, --git, --tree, --source, --kconfig with it"
        )
    if kconfig and not kernel:
        raise UserError("--config is the .config of --kernel: give both")
    request = make_request(
        asked,
        has_default_series=not (no_series or kernel),
        topologies=topologies,
        select=select,
        marks=marks,
        vmcore=vmcore,
    )
    plan = choose_mode(request.plan, mode=mode, seed=seed)
    request = request.model_copy(
        update={
            "plan": plan,
            "is_narrowed": bool(topologies) or plan.mode == "deterministic",
            "each_patch": each_patch,
            "image": str(kernel) if kernel else None,
            "image_config": str(kconfig) if kconfig else None,
        }
    )
    console = make_console()
    with LiveView(console) as view:
        record, folder = full_run.run(
            request, runs_dir=runs_dir.absolute(), store=open_store(view), observer=view
        )
    return _tell_end(record, folder, console)


def _resume(run_dir: RunDir) -> int:
    console = make_console()
    with LiveView(console) as view:
        record, folder = full_run.resume(run_dir, store=open_store(view), observer=view)
    return _tell_end(record, folder, console)


def _tell_end(record: RunRecord, folder: Path, console: Console) -> int:
    console.print(render_summary(record), crop=False)
    console.print(Text(f"report: {folder / 'report.html'}"), soft_wrap=True)
    return record.exit_code


@click.command(epilog=example("testbed build --series patches/migrate-reasons"))
@takes_kernels
@NoSeries
def build(*, asked: Asked, no_series: bool) -> int:
    """Build the base kernel, the patched one and the guest image; print where they are."""
    request = make_request(asked, has_default_series=not no_series)
    console = make_console()
    with LiveView(console) as view:
        built = single.build_all(request, store=open_store(view), observer=view)
    for label, path in built.paths:
        console.print(Text(f"{label}: {path}"), soft_wrap=True)
    return built.exit_code


@click.command(
    epilog=example("testbed boot -t three-nodes-hotplug", "testbed boot --kernel bzImage")
)
@takes_kernels
@Kernel
@Topology
def boot(*, asked: Asked, kernel: Path | None, topology: str) -> int:
    """Boot a kernel and open a shell in the guest; without --series the base kernel."""
    request = make_request(asked, has_default_series=asked.plan is not None)
    console = make_console()
    with LiveView(console) as view:
        vm = single.boot_guest(
            request, kernel=kernel, topology=topology, store=open_store(view), observer=view
        )
    if isinstance(vm, BootFailure):
        console.print(Text(f"did not boot: {vm.crash.title}\nconsole: {vm.console}"))
        return 3
    try:
        console.print(Text("root shell in the guest; leave it with `exit` to end the guest"))
        return vm.guest.open_shell()
    finally:
        vm.close()


@click.command(
    context_settings={"ignore_unknown_options": True},
    epilog=example("testbed test --kernel arch/x86/boot/bzImage -t two-nodes -- -k mbind -x"),
)
@Kernel
@Topology
@Config
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
    with LiveView(make_console()) as view:
        store = open_store(view)  # it holds what pytest is to use
        argv = single.prepare_tests(
            kernel=kernel.absolute(),
            kconfig=kconfig.absolute() if kconfig else None,
            topology=topology,
            features=tuple(filter(None, features.split(","))),
            source=source or DEFAULT_SOURCE,
            log_dir=runs_dir.absolute() / "test",
            store=store,
            observer=view,
        )
    return single.call_pytest((*argv, *pytest_args))
