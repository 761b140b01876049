"""A testbed in a process of its own that builds the toy; what happens is printed line by line."""

import dataclasses
import json
import signal
import sys
from pathlib import Path
from typing import Any

from testbed.errors import TestbedError
from testbed.host.builder import Builder, BuildRequest
from testbed.host.series_dir import load_series
from testbed.host.store import Store
from testbed.tests.fake_linux.rig import BASE, NO_SPACE_NEEDED


def main() -> None:
    """Build what argv[1], JSON, asks for; the last line is ``report:`` and JSON."""
    # As the command line does it: a job that a shell starts in the background ignores SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    asked: dict[str, Any] = json.loads(sys.argv[1])
    cache = Path(asked["cache"])

    def on_progress(_compiled: int, line: str) -> None:
        _print(f"line: {line}")
        if asked["fill_at"] and asked["fill_at"] in line:
            _fill(cache / "filler")

    builder = Builder(
        Store(cache, say=lambda text: _print(f"say: {text}")),
        say=lambda text: _print(f"say: {text}"),
        on_progress=on_progress,
        tarballs_dir=Path(asked["tarballs"]),
        space_need=NO_SPACE_NEEDED,
    )
    request = BuildRequest(
        source="debian:6.12",
        tree=Path(asked["tree"]) if asked["tree"] else None,
        fragments=(BASE,),
        series=tuple(load_series(Path(path)) for path in asked["series"]),
        jobs=1,
    )
    try:
        _report(_describe(builder.build(request)))
    except TestbedError as err:
        _report(_describe_error(err, cache))
    if asked["fill_at"]:
        (cache / "filler").unlink()
        asked["fill_at"] = ""
        _report(_describe(builder.build(request)), name="again")


def _describe(outcome: Any) -> dict[str, Any]:  # noqa: ANN401 - a kernel or a failure
    return {
        "type": type(outcome).__name__,
        **{f.name: str(getattr(outcome, f.name)) for f in dataclasses.fields(outcome)},
    }


def _describe_error(err: TestbedError, cache: Path) -> dict[str, Any]:
    return {
        "type": type(err).__name__,
        "message": str(err),
        "left": sorted(str(path.relative_to(cache)) for path in cache.glob("*/.tmp-*")),
        "kernels": sorted(path.name for path in cache.glob("kernels/*")),
        "journals": sorted(str(path.relative_to(cache)) for path in cache.glob("work/*/journal")),
    }


def _fill(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("ab", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


def _report(data: dict[str, Any], name: str = "report") -> None:
    _print(f"{name}: {json.dumps(data)}")


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
