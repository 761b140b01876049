"""Commands that look into a run of the past."""

from pathlib import Path

import click

from testbed.cli.options import BreakAt, Cell, DebuggerArgs, Run, RunsDir, Test, example
from testbed.cli.screen import make_console, open_store
from testbed.pipeline import debug as debugging
from testbed.pipeline import replay as replaying
from testbed.terminal import LiveView


@click.command(
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
    console = make_console()
    with LiveView(console) as view:
        store = open_store(view)
        target = debugging.find_target(runs_dir.absolute(), run, test, cell=cell, store=store)
        chosen = debugging.choose_tool(target, debugging.Tool(tool) if tool else None)
    if chosen is debugging.Tool.DRGN:
        return debugging.open_drgn(target, debugger_args)
    return debugging.open_gdb(target, debugger_args, break_at=break_at, store=store, say=click.echo)


@click.command(
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
    with LiveView(make_console()) as view:
        store = open_store(view)
        target = debugging.find_target(runs_dir.absolute(), run, test, cell=cell, store=store)
    if with_gdb and target.mode == "deterministic":
        return replaying.replay_in_gdb(target, (), break_at=break_at, store=store, say=click.echo)
    if with_gdb:
        debugging.choose_tool(target, debugging.Tool.GDB)
        return debugging.open_gdb(target, (), break_at=break_at, store=store, say=click.echo)
    return replaying.replay(target, say=click.echo)
