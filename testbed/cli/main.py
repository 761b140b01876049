"""The commands together, and every way out of the testbed."""

import shlex
import signal
import sys
import traceback
from types import FrameType
from typing import Final, NoReturn

import click

from testbed import __version__
from testbed.cli import cache, kernels, lists, past, selfcheck, series
from testbed.cli.screen import WIDTH
from testbed.core.text import clean
from testbed.errors import TestbedError, UserError
from testbed.host.project import cache_dir
from testbed.pipeline.run import RunInterruptedError

_BUG: Final = 70  # EX_SOFTWARE, sysexits.h
_INTERRUPTED: Final = 130  # 128 + SIGINT, as shells report it


@click.group(context_settings={"max_content_width": WIDTH, "help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="testbed")
def cli() -> None:
    """Build patched kernels, boot them on NUMA machines, and say what regressed."""


for _command in (
    *(kernels.run, kernels.build, kernels.boot, kernels.test),
    *(series.check, series.bisect, selfcheck.selfcheck),
    *(past.debug, past.replay),
    *(lists.list_, lists.kconfig, lists.doctor, cache.clean),
):
    cli.add_command(_command)


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
        click.echo(f"testbed: {clean(str(err))}", err=True)
        sys.exit(err.exit_code)
    except Exception:  # noqa: BLE001 - the last stop: Python's own status, 1, means "regressed"
        traceback.print_exc()
        click.echo(
            f"testbed: a bug of the testbed, not of your kernel; it was called as:\n"
            f"  {shlex.join(sys.argv)}",
            err=True,
        )
        sys.exit(_BUG)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _tell_interrupted(cause: BaseException | None) -> str:
    kept = f"the cache {cache_dir()} (whole)"
    if isinstance(cause, RunInterruptedError):
        command = shlex.join(cause.command)
        kept += f", and every test that had ended; `{command}` runs the rest"
    return f"\ninterrupted: every guest and build was ended; kept: {kept}"
