"""Commands that judge a series: what is wrong with it, and which patch is to blame."""

from dataclasses import replace
from pathlib import Path

import click
from rich.text import Text

from testbed.cli.asked import Asked, make_request, takes_kernels
from testbed.cli.options import RunsDir, example
from testbed.cli.screen import make_console, open_store
from testbed.core.bisect_account import Step
from testbed.core.bisection import Ending, Rules
from testbed.core.check import Stage, decide_exit
from testbed.core.judge import parse_spec
from testbed.core.series import list_patches
from testbed.errors import UserError
from testbed.host.catalog import load_topology
from testbed.pipeline import check as checking
from testbed.pipeline.bisect_job import BisectEnd, BisectRequest
from testbed.pipeline.bisect_job import bisect as carry_out
from testbed.pipeline.kernels import resolve_request
from testbed.report.bisect_text import (
    choose_select,
    describe_step,
    render_commits,
    render_series,
)
from testbed.report.check_table import render_check
from testbed.terminal import LiveView

_ANSWERED = frozenset({Ending.FOUND, Ending.HIDDEN})


@click.command(
    epilog=example(
        "testbed check my-series/",
        "testbed check --series 20260101.1234-1-dev@example.org",
        "testbed check --tree ~/linux --git origin/master..my-branch --only builds --only warnings",
    )
)
@click.argument("named", metavar="[SERIES]...", nargs=-1)
@takes_kernels
@click.option(
    "--only",
    multiple=True,
    type=click.Choice([str(stage) for stage in Stage]),
    help="Only these looks; repeatable.",
)
def check(*, asked: Asked, named: tuple[str, ...], only: tuple[str, ...]) -> int:
    """Look at a series before anything boots: what a maintainer would send back.

    Does it apply, does every patch build, warn, follow the kernel's style? SERIES is what --series
    takes.
    """
    request = make_request(replace(asked, series=(*named, *asked.series)))
    console = make_console()
    with LiveView(console) as view:
        stack, ground = resolve_request(request, say=view.say)
        if not stack:
            raise UserError("nothing to check: give --series or --git")
        report = checking.check(
            stack,
            plan=request.plan,
            tree=ground.tree,
            commit=ground.commit,
            store=open_store(view),
            observer=view,
            only=only or checking.ALL_STAGES,
        )
    console.print(render_check(report), crop=False)
    return decide_exit(report)


@click.command(
    epilog=example(
        "testbed bisect --series my-series/ --test move_pages.query",
        "testbed bisect --series my-series/ --metric 'move_pages.many:move_pages > 30'",
        "testbed bisect --tree ~/linux --good v6.11 --bad v6.12 --crash 'WARNING in *'",
    )
)
@takes_kernels
@click.option("--test", default="", metavar="ID", help="Bad is a kernel on which this test fails.")
@click.option("--metric", default="", metavar="'TEST:NAME > N'", help="Bad is a number beyond N.")
@click.option("--crash", default="", metavar="TITLE", help="Bad is this crash; `*`, or /regex/.")
@click.option("--good", metavar="REV", help="Bisect the commits of --tree, from this good one ...")
@click.option("--bad", metavar="REV", help="... to this bad one.  [HEAD]")
@click.option("--path", "paths", multiple=True, help="Only commits that touch this path.")
@click.option("--topology", "-t", default="", help="The machine to judge on.  [the plan's first]")
@click.option(
    "--confidence",
    type=click.FloatRange(0.5, 1, max_open=True),
    default=Rules().confidence,
    show_default=True,
    help="How certain the answer must be; a flaky test is repeated until it is.",
)
@click.option("--max-runs", type=click.IntRange(1), default=Rules().max_runs, show_default=True)
@click.option(
    "--resume",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Go on with a bisection of the same that was cut short: its folder.",
)
@RunsDir
def bisect(  # noqa: PLR0913 - one argument an option
    *,
    asked: Asked,
    test: str,
    metric: str,
    crash: str,
    good: str | None,
    bad: str | None,
    paths: tuple[str, ...],
    topology: str,
    confidence: float,
    max_runs: int,
    resume: Path | None,
    runs_dir: Path,
) -> int:
    """Find the patch of a series, or the commit of a tree, that broke a test."""
    is_of_commits = good is not None or bad is not None
    if is_of_commits and (asked.series or asked.git or asked.commit):
        raise UserError("--good and --bad are commits: leave --series, --git and --commit out")
    if odd := [path for path in paths if Path(path).is_absolute() or ".." in Path(path).parts]:
        raise UserError(f"--path {odd[0]}: write a path of the tree, such as mm/migrate.c")
    request = make_request(asked, has_default_series=not is_of_commits)
    machine = topology or request.plan.topologies[0]
    load_topology(machine)
    wanted = BisectRequest(
        run=request,
        spec=parse_spec(test=test, metric=metric, crash=crash),
        rules=Rules(
            confidence=confidence,
            # Every run of a kernel is then the same.
            failure_rate=1.0 if request.plan.mode == "deterministic" else None,
            batch_runs=min(Rules().batch_runs, max_runs),
            max_runs=max_runs,
        ),
        topology=machine,
        good=good,
        bad=bad,
        paths=paths,
        resume=resume,
    )
    console = make_console()
    with LiveView(console) as view:

        def tell(step: Step, *, total: int) -> None:
            view.say(describe_step(step, total=total))

        end = carry_out(
            wanted,
            runs_dir=runs_dir.absolute(),
            store=open_store(view),
            observer=view,
            on_step=tell,
        )
    for line in _render(end, wanted, asked):
        console.print(Text(line), soft_wrap=True)
    console.print(Text(f"account: {end.folder}"), soft_wrap=True)
    return 0 if end.bisected.answer.ending in _ANSWERED else 1


def _render(end: BisectEnd, wanted: BisectRequest, asked: Asked) -> tuple[str, ...]:
    """Return the answer in lines, with the command that shows the failure."""
    plan = wanted.run.plan
    options: tuple[tuple[str, object], ...] = (
        ("--plan", asked.plan),
        ("--source", asked.source),
        ("--tree", asked.tree),
        ("-t", wanted.topology),
        ("-k", choose_select(wanted.spec.test)),
        ("--mode", plan.mode if plan.mode != "normal" else ""),
    )
    command = ["testbed", "run", *(str(w) for option in options if option[1] for w in option)]
    command += [word for name in asked.fragments for word in ("--kconfig", name)]
    if end.stack:
        command += ["--git", asked.git] if asked.git else []
        command += ["--commit", asked.commit] if asked.commit else []
        # Those of the plan are its own, unless the command line names others.
        command += [word for name in asked.series for word in ("--series", name)]
        return render_series(end.bisected, list_patches(end.stack), command=command)
    commits = end.bisected.commits
    command += ["--no-series", "--commit", commits[0]] if commits else []
    return render_commits(end.bisected, dict(end.described), command=command)
