"""Measures the claims of the README: a row each, with its target, met or not.

What is bounded by a ratio is compared with something measured in the same call, so that a slow
machine shows on both sides. Nothing here fails on a number: `ci/test` does not run it.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from ci import bench_job, bench_pipeline, bench_vm
from ci.bench_row import Row, render
from testbed.errors import TestbedError

BENCHES: Final[dict[str, Callable[[], tuple[Row, ...]]]] = {
    "warm": bench_job.bench_warm,
    "series": bench_job.bench_series,
    "pipeline": bench_pipeline.bench_pipeline,
    "vm": bench_vm.bench_vm,
    "parallel": bench_vm.bench_parallel,
    "deterministic": bench_vm.bench_deterministic,
    "cold": bench_job.bench_cold,
}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(tuple(BENCHES)))
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the rows there.")
def main(*, names: tuple[str, ...], json_file: Path | None) -> None:
    """Measure the claims called NAMES, or all of them, and print a row for each."""
    try:
        rows = tuple(row for name in names or BENCHES for row in BENCHES[name]())
    except TestbedError as err:
        raise click.ClickException(str(err)) from err
    Console(width=None if sys.stdout.isatty() else 180).print(render(rows))
    if json_file is not None:
        values = [
            {**asdict(row), "median": row.median, "ratio": row.ratio, "is_met": row.is_met}
            for row in rows
        ]
        json_file.write_text(json.dumps(values, indent=2) + "\n")


if __name__ == "__main__":
    main()
