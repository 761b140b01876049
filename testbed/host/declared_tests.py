"""What the guest tests declare of themselves, as pytest collects them; none is run."""

import sys
import tempfile
from pathlib import Path
from typing import Final

from testbed.core.declared import DeclaredTest, load_tests
from testbed.errors import UserError
from testbed.host import proc
from testbed.host.catalog import guest_tests_dir
from testbed.host.guest_image import GuestImage

_TIMEOUT_S: Final = 120
_TAIL_LINES: Final = 15


def read_declared(image: GuestImage) -> tuple[DeclaredTest, ...]:
    """Return all guest tests: the C cases as the programs in ``image`` list them, the Python tests.

    Raises :class:`UserError` with pytest's words where a declaration is not as it should be.
    """
    root = guest_tests_dir()
    with tempfile.TemporaryDirectory(prefix="testbed-declared-") as folder:
        file = Path(folder) / "declared.json"
        options = {
            "--rootdir": root,
            "-c": root / "pytest.ini",
            "--guest-image": image.folder,
            "--declared": file,
        }
        argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q"]
        argv += [str(word) for option in options.items() for word in option]
        done = proc.run(
            [*argv, str(root)],
            check=False,
            cwd=root,
            env={"PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "100"},
            timeout_s=_TIMEOUT_S,
        )
        if done.returncode != 0:
            tail = "\n".join(done.output.splitlines()[-_TAIL_LINES:])
            raise UserError(f"the guest tests cannot be collected:\n{tail}")
        return load_tests(file.read_text(encoding="utf-8"))
