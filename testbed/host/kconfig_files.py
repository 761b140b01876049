"""Where a source's Kconfig files can be read, without waiting for what is built in its folder."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from testbed.core.text import clean
from testbed.errors import InfraError
from testbed.host import proc
from testbed.host.mirror import configures, sync_mirror
from testbed.host.source import Commit, Source, Tarball, Tree
from testbed.host.store import Store

KIND: Final = "kconfig"
_SRC: Final = "src"

# As testbed.host.mirror.configures says it; `make tinyconfig` too needs no more than these.
_PATTERNS: Final = ("*/Kconfig*", "*/*.config", "*/Makefile", "*/Kbuild", "linux*/scripts/*")


def find_kconfig_files(source: Source, store: Store, *, say: Callable[[str], None]) -> Path:
    """Return a folder that has what configures ``source``, unpacked once where it is packed.

    A tree of the user's is read where it is. Raises :class:`InfraError` for a tarball that
    cannot be unpacked.
    """
    if isinstance(source, Tree):
        return source.path
    key = source.key if isinstance(source, Tarball) else f"git-{source.kconfig_id}"
    with store.lock(KIND, key):
        if store.find(KIND, key) is None:
            say(f"taking the Kconfig files out of {source.title} (once)")
            with store.create(KIND, key) as folder:
                _fill(source, folder)
    return store.folder(KIND, key) / _SRC


def _fill(source: Tarball | Commit, folder: Path) -> None:
    src = folder / _SRC
    if isinstance(source, Tarball):
        src.mkdir()
        _unpack(source.path, src)
        return
    entries = {name: entry for name, entry in source.scan.entries.items() if configures(name)}
    wanted = replace(source.scan, entries=MappingProxyType(entries))
    manifest = folder / "manifest.json"
    sync_mirror(wanted, top=source.path, mirror=src, manifest=manifest, read=source.read)


def _unpack(tarball: Path, folder: Path) -> None:
    options = ["--wildcards", "--strip-components=1", "--no-same-owner"]
    done = proc.run(
        ["tar", "-xJf", str(tarball), "-C", str(folder), *options, *_PATTERNS], check=False
    )
    # tar says so too where a pattern matches nothing: what counts is that there is a Kconfig.
    if not (folder / "Kconfig").is_file():
        raise InfraError(f"{tarball}: no Kconfig files in it: {clean(done.output).strip()}")
