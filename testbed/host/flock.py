"""Locks on files and folders themselves, flock(2): they end with the last process that has them."""

import fcntl
import os
from pathlib import Path


def lock_folder(path: Path, operation: int) -> int | None:
    """Return a descriptor that holds the lock of the folder at ``path``.

    ``operation`` is flock(2)'s. None where another holds it (with LOCK_NB), there is no folder, or
    it is there no longer when the lock is free.
    """
    return _lock(path, os.O_RDONLY | os.O_DIRECTORY, operation)


def lock_file(path: Path, operation: int) -> int | None:
    """Return a descriptor that holds the lock of the file at ``path``, as :func:`lock_folder`."""
    return _lock(path, os.O_RDWR | os.O_NOFOLLOW, operation)


def _lock(path: Path, flags: int, operation: int) -> int | None:
    try:
        fd = os.open(path, flags)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(fd, operation)
        if os.path.samestat(os.fstat(fd), path.stat()):
            return fd
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None
