"""From a patch to a kernel image, against make itself."""

import os
import sys
from pathlib import Path
from typing import Final

from ci.bench_job import write_new_series
from ci.bench_row import Row
from ci.bench_scratch import make_kernel, open_scratch, open_store, require
from testbed.host import proc
from testbed.host.builder import Kernel
from testbed.host.project import cache_dir

_RUNS: Final = 5
_OVERHEAD_LIMIT: Final = 1.2
_OBJECT: Final = "mm/mempolicy.o"  # of the file that the new series changes


def bench_pipeline() -> tuple[Row, ...]:
    """Measure a new one-file series in mm/ against make, and the way back to the base."""
    with open_scratch() as folder:
        kernel, _ = make_kernel(open_store())
        builds, backs, makes = [], [], []
        tree = _WarmTree(folder / "out", kernel)
        for _ in range(_RUNS):
            series = write_new_series(folder)
            builds.append(_build("--series", str(series)))
            makes.append(tree.make_again())
            backs.append(_build("--no-series"))
    return (
        Row(
            name="patch",
            what="new one-file series, command to bzImage",
            samples=tuple(builds),
            versus="make, that file changed in a warm tree",
            reference=tuple(makes),
            ratio_limit=_OVERHEAD_LIMIT,
        ),
        Row(
            name="back",
            what="back to the base, command to bzImage",
            samples=tuple(backs),
            versus="make, that file changed in a warm tree",
            reference=tuple(makes),
        ),
    )


class _WarmTree:
    """A build folder of make's own, for the same source and configuration."""

    def __init__(self, out: Path, kernel: Kernel) -> None:
        (source,) = (path for path in (cache_dir() / "work").glob("linux-source-6.12*/src"))
        self._out = out
        out.mkdir()
        (out / ".config").write_bytes(kernel.config.read_bytes())
        self._make = ["make", "-s", "-C", str(source), f"O={out}", "CC=ccache gcc"]
        self._make += ["HOSTCC=ccache gcc", "LOCALVERSION=", f"-j{os.cpu_count()}"]
        env = {"CCACHE_DIR": str(cache_dir() / "ccache"), "CCACHE_DEPEND": "1"}
        proc.run([*self._make, "olddefconfig"], env=env)
        proc.run([*self._make, "bzImage"], env=env)

    def make_again(self) -> float:
        """Return the seconds that make needs for one file and the image, without ccache."""
        (self._out / _OBJECT).unlink()
        done = proc.run([*self._make, "bzImage"], env={"CCACHE_DISABLE": "1"})
        require((self._out / _OBJECT).is_file(), f"{_OBJECT} was not made")
        return done.seconds


def _build(*arguments: str) -> float:
    return proc.run([sys.executable, "-m", "testbed", "build", *arguments]).seconds
