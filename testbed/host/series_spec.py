"""Where a series can come from, and how each is given."""

from pathlib import Path

from testbed.core.message_id import parse_message_id
from testbed.core.series import Series
from testbed.errors import UserError
from testbed.host import catalog
from testbed.host.b4 import fetch_thread
from testbed.host.series_dir import is_series_folder, load_series
from testbed.host.series_git import load_range
from testbed.host.series_mail import load_mails, read_patch_bytes

__all__ = ["load_range", "load_series_spec"]


def load_series_spec(spec: str) -> Series:
    """Read the series that ``spec`` names: a folder, a file, a name of the project's, a mail.

    A folder has a quilt ``series`` file, or ``*.patch`` files alone; a file is a patch, a mail or
    an mbox; a mail is given by its message id or its address on lore.kernel.org, and stands for its
    thread. What lies on the disk comes first. Raises :class:`UserError`, and :class:`InfraError`
    where a thread cannot be fetched.
    """
    path = Path(spec)
    if path.is_file():
        return load_mails(read_patch_bytes(path), where=spec, name=_name_file(path))
    if is_series_folder(path):
        return load_series(path)
    message_id = parse_message_id(spec)
    if message_id is not None:
        return load_mails(fetch_thread(message_id), where=message_id, name=message_id)
    if path.is_dir() or not path.exists():
        return load_series(catalog.find_series(spec))
    raise UserError(f"{spec}: neither a file nor a folder")


def _name_file(path: Path) -> str:
    """Return the name of a file without what says its kind: ``t.mbox.gz`` is ``t``."""
    return path.name.removesuffix(".gz").rpartition(".")[0] or path.name
