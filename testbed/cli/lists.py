"""Commands that tell what there is, what is missing, and why."""

import click

from testbed import doctor as examination
from testbed.cli.asked import Asked, make_request, takes_kernels
from testbed.cli.options import example
from testbed.cli.screen import make_console, open_store
from testbed.host import catalog
from testbed.host.project import cache_dir
from testbed.host.source import resolve_source
from testbed.pipeline.kconfig_why import explain
from testbed.pipeline.kernels import resolve_request
from testbed.terminal import LiveView


@click.command(name="list", epilog=example("testbed list topologies"))
@click.argument("what", type=click.Choice(["topologies", "kconfigs", "series", "tests", "plans"]))
def list_(*, what: str) -> None:
    """List what there is to choose from."""
    for name, about in catalog.describe(what):
        click.echo(f"{name:<28} {about}".rstrip())


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
