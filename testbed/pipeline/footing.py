"""What the results of a run rest on, so that a resumed run does not mix two kernels in one."""

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from testbed import __version__
from testbed.core.request import SavedRun, find_changes
from testbed.core.topology import Topology
from testbed.errors import UserError
from testbed.host.catalog import guest_tests_dir
from testbed.host.guest_image import GuestImage
from testbed.pipeline.kernels import BuiltKernel


def name_kernels(built: Sequence[BuiltKernel]) -> dict[str, str]:
    """Return the key of each kernel; it changes with the source, its patches and its options."""
    return {f"{one.label} kernel": one.outcome.key for one in built}


def name_machines(
    topologies: Sequence[Topology], *, image: GuestImage, accel: str, qemu_version: str
) -> dict[str, str]:
    """Return an id for each thing but the kernels that a result depends on."""
    return {
        "guest image": image.key,
        "Python guest tests": _digest_python_tests(),
        "accelerator": accel,
        "QEMU": qemu_version,
        "testbed": __version__,
        **{f"topology {one.name}": _digest(one.model_dump_json().encode()) for one in topologies},
    }


def check_footing(saved: SavedRun, now: Mapping[str, str], *, folder: Path) -> None:
    """Raise :class:`UserError` where anything in ``now`` is not what the run was begun on."""
    if changed := find_changes(saved.footing, now):
        raise UserError(
            f"{folder}: cannot be resumed, since its first tests were run with another "
            f"{', '.join(changed)}: start it anew with `{shlex.join(saved.request.command)}`"
        )


def _digest_python_tests() -> str:
    root = guest_tests_dir()
    files = sorted(root.rglob("*.py"))
    names = (f"{path.relative_to(root)} {_digest(path.read_bytes())}\n" for path in files)
    return _digest("".join(names).encode(errors="surrogateescape"))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
