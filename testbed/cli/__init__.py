"""The command line: the only room that prints and exits."""

from testbed.cli.main import cli, main

__all__ = ["cli", "main"]
