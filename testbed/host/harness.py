"""The kernel's own test harness, for kernels that came without their tree."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from testbed.core.plan import DEFAULT_SOURCE
from testbed.errors import UserError
from testbed.host import proc
from testbed.host.source import Tarball, resolve_source
from testbed.host.store import Store

KIND: Final = "harness"
HEADERS: Final = ("kselftest.h", "kselftest_harness.h")
_RUNS_ONE_CASE: Final = re.compile(r'getopt\(argc, argv, "[^"]*r:')
_FOLDER: Final = "tools/testing/selftests"


def find_harness(store: Store, source: str) -> Path:
    """Return a folder with the harness of ``debian:X.Y``, unpacked from its tarball once.

    A test program does not depend on the kernel that it runs on, so the harness of any kernel
    will do for a kernel image of the user's. Raises :class:`UserError` where the tarball has none.
    """
    tarball = resolve_source(source, store=store)
    if not isinstance(tarball, Tarball):
        raise UserError(f"source {source!r}: the harness is taken from debian:X.Y")
    with store.lock(KIND, tarball.key):
        if store.find(KIND, tarball.key) is None:
            with store.create(KIND, tarball.key) as folder:
                _unpack(tarball.path, folder)
    return store.folder(KIND, tarball.key)


def choose_harness(store: Store, own: Path, *, say: Callable[[str], None]) -> Path:
    """Return ``own``, the harness of a kernel's tree, or a newer one where it cannot run one case.

    Programs of an older harness, 6.1's for one, ignore the option ``-r`` and run all cases.
    """
    text = (own / HEADERS[1]).read_text(encoding="utf-8")
    if _RUNS_ONE_CASE.search(text):
        return own
    say(f"test harness: the tree's own cannot run a single case, taking that of {DEFAULT_SOURCE}")
    return find_harness(store, DEFAULT_SOURCE)


def _unpack(tarball: Path, folder: Path) -> None:
    depth = 1 + len(Path(_FOLDER).parts)
    names = [f"*/{_FOLDER}/{header}" for header in HEADERS]
    options = ["--wildcards", "--no-wildcards-match-slash", f"--strip-components={depth}"]
    argv = ["tar", "-xJf", str(tarball), "-C", str(folder), *options, *names]
    done = proc.run(argv, check=False)
    if done.returncode != 0:
        raise UserError(f"{tarball}: no {' and '.join(HEADERS)} in it: {done.output.strip()}")
