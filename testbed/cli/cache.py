"""The command that keeps the cache."""

import time

import click

from testbed.cli.options import example
from testbed.core.eviction import describe, format_age, parse_size
from testbed.errors import UserError
from testbed.host.eviction import bound, preview
from testbed.host.project import cache_dir
from testbed.host.store import Store


@click.command(epilog=example("testbed clean --keep 20G --dry-run", "testbed clean --kernels"))
@click.option(
    "--keep", metavar="SIZE", help="Remove what was used least lately until SIZE is left."
)
@click.option("--dry-run", is_flag=True, help="With --keep: say what would go, remove nothing.")
@click.option("--kernels", is_flag=True, help="Remove built kernels and guest images.")
@click.option("--work", is_flag=True, help="Remove warm source trees and build directories.")
@click.option("--all", "everything", is_flag=True, help="Remove the whole cache.")
def clean(*, keep: str | None, dry_run: bool, kernels: bool, work: bool, everything: bool) -> None:
    """Show what the cache holds, or remove parts of it; what a run uses stays."""
    if dry_run and keep is None:
        raise UserError("--dry-run goes with --keep SIZE")
    if keep is not None and (kernels or work or everything):
        raise UserError("--keep goes alone: it chooses from the whole cache")
    store = Store(cache_dir(), say=click.echo)
    if keep is not None:
        done = (preview if dry_run else bound)(store, parse_size(keep))
        for line in describe(done, now_ns=time.time_ns()):
            click.echo(line)
        return
    kinds = [
        *(("kernels", "guest-images", "states", "harness") if kernels or everything else ()),
        *(("work",) if work or everything else ()),
        *(("facts", "ccache") if everything else ()),
    ]
    for kind in kinds:
        for key in store.remove(kind):
            click.echo(f"in use, so kept: {kind}/{key}")
    for usage in store.usage():
        used = "" if usage.used_ns is None else format_age(usage.used_ns, now_ns=time.time_ns())
        line = f"{usage.kind:<14} {usage.entries:5} entries {usage.size_mib:8.0f} MiB  {used}"
        click.echo(line.rstrip())
    click.echo(f"cache: {store.root}")
