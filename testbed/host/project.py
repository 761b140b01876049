"""Where the project's own files and the user's cache lie."""

import os
from pathlib import Path


def data_dir() -> Path:
    """Return the folder that holds kconfigs/, guest-tests/, patches/ and ci/.

    In a checkout that is its top; an installed wheel carries the same folders inside the package.
    """
    package = Path(__file__).resolve().parent.parent
    carried = package / "_data"
    return carried if carried.is_dir() else package.parent


def cache_dir() -> Path:
    """Return the cache: ``$TESTBED_CACHE``, or ``testbed`` in the XDG cache folder."""
    if chosen := os.environ.get("TESTBED_CACHE"):
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "testbed"
