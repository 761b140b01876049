"""The options and arguments that commands share, each declared once."""

from pathlib import Path
from typing import Final

import click

from testbed.core.plan import DEFAULT_SOURCE

QUICK_PLAN: Final = "ci/plans/quick.yaml"

Series = click.option(
    "--series",
    "-s",
    multiple=True,
    metavar="SERIES",
    help="A folder, an mbox, a patch, a message id or lore URL; several are stacked.",
)
Git = click.option(
    "--git", metavar="RANGE", help="Commits of --tree as a series: BASE..TIP, or a branch."
)
Commit = click.option(
    "--commit", metavar="REV", help="A commit of --tree in place of what lies there."
)
NoSeries = click.option("--no-series", is_flag=True, help="The base kernel alone.")
Source = click.option(
    "--source", metavar="SPEC", help=f"Kernel source, debian:VERSION.  [default: {DEFAULT_SOURCE}]"
)
Tree = click.option(
    "--tree",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A kernel tree of your own, git or unpacked; it is never written to.",
)
Fragments = click.option(
    "--kconfig",
    "fragments",
    multiple=True,
    metavar="NAME",
    help="A kconfig fragment besides the plan's, such as kasan; repeatable.",
)
PlanFile = click.option(
    "--plan", type=click.Path(dir_okay=False, path_type=Path), help=f"The plan.  [{QUICK_PLAN}]"
)
Topology = click.option(
    "--topology", "-t", default="two-nodes", show_default=True, help="The machine to boot."
)
Kernel = click.option(
    "--kernel",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A kernel image (bzImage) that is already built.",
)
Config = click.option(
    "--config",
    "kconfig",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The .config of --kernel, so that tests know what it can do.",
)

RunsDir = click.option(
    "--runs-dir",
    default="runs",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Where logs and reports go.",
)

Run = click.argument("run", metavar="RUN")
Test = click.argument("test", metavar="TEST")
Cell = click.option("--cell", default="", metavar="NAME", help="Which cell, if it ran on several.")
BreakAt = click.option(
    "--break-at", "-b", multiple=True, metavar="FUNCTION", help="Stop gdb here too; repeatable."
)
DebuggerArgs = click.argument("debugger_args", nargs=-1, type=click.UNPROCESSED)


def example(*lines: str) -> str:
    """Return an epilog that click prints as it stands."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)
