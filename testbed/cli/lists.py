"""Commands that tell what there is, what is missing, and why."""

import click

from testbed import doctor as examination
from testbed.cli.asked import Asked, make_request, takes_kernels
from testbed.cli.options import example
from testbed.cli.screen import make_console, open_store
from testbed.core.coverage_json import dump_coverage
from testbed.errors import UserError
from testbed.host import catalog
from testbed.host.project import cache_dir
from testbed.host.source import resolve_source
from testbed.pipeline.coverage import measure_coverage
from testbed.pipeline.kconfig_why import explain
from testbed.pipeline.kernels import resolve_request
from testbed.report.coverage import render_coverage
from testbed.terminal import LiveView


@click.command(
    name="list", epilog=example("testbed list topologies", "testbed list tests --coverage --open")
)
@click.argument("what", type=click.Choice(["topologies", "kconfigs", "series", "tests", "plans"]))
@click.option("--coverage", is_flag=True, help="Of tests: what they assert, and what is open.")
@click.option("--open", "names_open", is_flag=True, help="Name what is open.")
@click.option("--json", "is_json", is_flag=True, help="The coverage as JSON.")
def list_(*, what: str, coverage: bool, names_open: bool, is_json: bool) -> int:
    """List what there is to choose from.

    With --coverage, 1 where a test asserts what guest-tests/coverage.yaml calls impossible.
    """
    if coverage and what != "tests":
        raise UserError(f"--coverage is of tests: `testbed list tests --coverage`, not {what}")
    if (names_open or is_json) and not coverage:
        raise UserError("--open and --json go with --coverage")
    if coverage:
        return _tell_coverage(names_open=names_open, is_json=is_json)
    for name, about in catalog.describe(what):
        click.echo(f"{name:<28} {about}".rstrip())
    return 0


def _tell_coverage(*, names_open: bool, is_json: bool) -> int:
    with LiveView(make_console(is_stderr=is_json)) as view:
        report = measure_coverage(store=open_store(view), say=view.say)
    if is_json:
        click.echo(dump_coverage(report), nl=False)
    else:
        make_console().print(render_coverage(report, names_open=names_open))
    return 1 if report.contradictions else 0


@click.command(epilog=example("testbed doctor"))
def doctor() -> int:
    """Say what is missing on this host, and the command that installs it."""
    report = examination.examine(cache_dir())
    console = make_console()
    console.print(examination.render(report))
    return report.exit_code


@click.group(epilog=example("testbed kconfig why MEMORY_HOTREMOVE"))
def kconfig() -> None:
    """Ask about a kernel's configuration."""


@kconfig.command(
    epilog=example(
        "testbed kconfig why MEMORY_HOTREMOVE",
        "testbed kconfig why PAGE_TABLE_CHECK --kconfig base,debug --source debian:6.1",
    )
)
@click.argument("option")
@click.option("--kconfig", "fragments", metavar="LIST", help="Fragments, by commas.  [the plan's]")
@takes_kernels
def why(*, option: str, fragments: str | None, asked: Asked) -> int:
    """Say what OPTION is under the fragments, and why: by whom it is set, or what it lacks."""
    request = make_request(asked, has_default_series=False)
    names = tuple(filter(None, (fragments or "").split(","))) or request.plan.kconfig
    console = make_console()
    with LiveView(console) as view:
        store = open_store(view)
        _, ground = resolve_request(request, say=view.say)
        lines = explain(
            option,
            fragments=catalog.load_fragments(names),
            source=resolve_source(
                ground.tree or request.plan.source, store=store, commit=ground.commit
            ),
            store=store,
            say=view.say,
        )
    for line in lines:
        click.echo(line)
    return 0
