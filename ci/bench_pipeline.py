"""From a patch to a kernel image, against make itself."""

import os
import sys
import time
from typing import Final

from ci.bench_job import write_new_series
from ci.bench_row import Row
from ci.bench_scratch import Quiet, make_kernel, open_scratch, open_store, require
from testbed.host import catalog, proc
from testbed.host.builder import BuildRequest
from testbed.host.facts import count_cores
from testbed.host.held import hold_folder
from testbed.host.job import Job
from testbed.host.kbuild import Kbuild, identify_toolchain
from testbed.host.out_dir import OutDir
from testbed.host.project import data_dir
from testbed.host.source import resolve_source

_RUNS: Final = 5
_OVERHEAD_LIMIT: Final = 1.2
_OBJECT: Final = "mm/mempolicy.o"  # of the file that the new series changes


def bench_pipeline() -> tuple[Row, ...]:
    """Measure a new one-file series in mm/ against make, and the way back to the base."""
    with open_scratch() as folder:
        make_kernel(open_store())
        builds, backs, makes = [], [], []
        tree = _WarmTree()
        for _ in range(_RUNS):
            series = write_new_series(folder)
            builds.append(_build("--series", str(series), said="files compiled"))
            makes.append(tree.make_again())
            backs.append(_build("--no-series", said="no compiler run"))
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
    """The base's own build folder, in which make alone is run."""

    def __init__(self) -> None:
        self._store = open_store()
        plan = catalog.load_plan(data_dir() / "ci/plans/quick.yaml")
        request = BuildRequest(
            source=plan.source, fragments=catalog.load_fragments(plan.kconfig), jobs=count_cores()
        )
        source = resolve_source(plan.source, store=self._store)
        self._job = Job(request=request, source=source, toolchain=identify_toolchain(self._store))

    def make_again(self) -> float:
        """Return the seconds that make needs for one changed file and the image, without ccache."""
        key = self._job.source.key
        folder = self._store.folder("work", key)
        with self._store.lock("work", key), hold_folder(folder, say=Quiet().say) as holder:
            out = OutDir(folder)
            out.enter(self._job.purpose)
            (out.path / _OBJECT).unlink()
            kbuild = Kbuild(
                src=folder / "src",
                out=out.path,
                holder=holder,
                log=folder / "logs" / "bench.log",
                cache_root=self._store.root,
            )
            os.environ["CCACHE_DISABLE"] = "1"  # make's environment has all of ccache's variables
            began = time.monotonic()
            try:
                made = kbuild.build(jobs=self._job.request.jobs, on_progress=None)
            finally:
                del os.environ["CCACHE_DISABLE"]
            seconds = time.monotonic() - began
            require(made.outcome.returncode == 0, "make fails")
            require((out.path / _OBJECT).is_file(), f"{_OBJECT} was not made")
        return seconds


def _build(*arguments: str, said: str) -> float:
    done = proc.run([sys.executable, "-m", "testbed", "build", *arguments])
    require(said in done.output, f"{said!r} was not said:\n{done.output}")
    return done.seconds
