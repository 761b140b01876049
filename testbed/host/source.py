"""Kernel sources: Debian's tarballs, a tree of the user's, a commit; each has its content's id."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from testbed.core.kconfig import Version
from testbed.errors import InfraError, UserError
from testbed.host import commit_tree
from testbed.host.mirror import Reader, Scan, read_files, scan_tree
from testbed.host.proc import run
from testbed.host.store import Store

TARBALLS_DIR: Final = Path("/usr/src")

_DEBIAN: Final = re.compile(r"debian:(?P<major>\d+)\.(?P<minor>\d+)")
_MAKEFILE: Final = re.compile(r"^(VERSION|PATCHLEVEL)\s*=\s*(\d+)\s*$", re.MULTILINE)
_OF_A_KERNEL: Final = ("Makefile", "Kbuild", "Kconfig")
_KEY_CHARS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Tarball:
    """A packed source. ``id`` changes with the bytes of the tarball.

    ``key`` names the folder that it is worked on in; ``package_version`` is Debian's, empty where
    no package is known.
    """

    id: str
    key: str
    title: str
    version: Version
    path: Path
    package_version: str

    @property
    def kconfig_id(self) -> str:
        """Changes at least when a Kconfig file of the source does."""
        return self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scanned:
    """A source whose files are known one by one; ``path`` is where they are read from."""

    id: str
    key: str
    title: str
    version: Version
    path: Path
    scan: Scan

    @property
    def kconfig_id(self) -> str:
        """Changes at least when a Kconfig file of the source does."""
        return self.scan.kconfig_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree(_Scanned):
    """A tree of the user's, as it was when it was read; ``id`` is a digest of its content."""

    @property
    def read(self) -> Reader:
        """How the files that ``scan`` lists are read from ``path``."""
        return read_files


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit(_Scanned):
    """A commit of the git repository ``path``; ``id`` is the hash of its content, git's own.

    Two commits with one content are one source. ``key`` is the repository's: its commits are
    worked on in one folder, and going from one to the next rewrites what differs. ``sha`` is the
    commit's full hash.
    """

    sha: str

    @property
    def read(self) -> Reader:
        """How the files that ``scan`` lists are read from ``path``."""
        return commit_tree.read_blobs


Source: TypeAlias = Tarball | Tree | Commit


def resolve_source(
    spec: str | Path,
    *,
    store: Store,
    tarballs_dir: Path = TARBALLS_DIR,
    commit: str | None = None,
) -> Source:
    """Return the source that ``spec`` names: ``debian:X.Y``, or a folder given as a path.

    With ``commit``, a revision, the folder is a git repository, bare or not, and what counts is
    that commit and not what is checked out. Raises :class:`UserError` for what is no such thing,
    :class:`InfraError` where Debian's package is not installed.
    """
    if isinstance(spec, Path):
        if commit is not None:
            return _resolve_commit(spec, commit)
        return _resolve_tree(spec, store=store)
    if commit is not None:
        raise UserError(f"commit {commit!r}: of which repository? say --tree DIR too")
    match = _DEBIAN.fullmatch(spec)
    if match is None:
        raise UserError(
            f"source {spec!r}: write debian:X.Y for the package linux-source-X.Y, "
            "or give a tree of your own with --tree DIR"
        )
    release = f"{match['major']}.{match['minor']}"
    return _resolve_tarball(
        tarballs_dir / f"linux-source-{release}.tar.xz",
        package=f"linux-source-{release}",
        version=(int(match["major"]), int(match["minor"])),
        store=store,
    )


def _resolve_tarball(path: Path, *, package: str, version: Version, store: Store) -> Tarball:
    try:
        stat = path.stat()
    except FileNotFoundError as err:
        raise InfraError(f"{path} is not there: `apt-get install {package}` brings it") from err
    seen = {"path": str(path), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    name = f"tarball-{_short_hash(str(path))}"
    fact = store.read_fact(name)
    if {key: fact.get(key) for key in seen} != seen:
        fact = {
            **seen,
            "sha256": _hash_file(path),
            "package_version": _find_package_version(package),
        }
        store.write_fact(name, fact)
    sha = str(fact["sha256"])
    return Tarball(
        id=f"{package}-{sha[:_KEY_CHARS]}",
        key=f"{package}-{sha[:_KEY_CHARS]}",
        title=f"{package} {fact['package_version']}".strip(),
        version=version,
        path=path,
        package_version=str(fact["package_version"]),
    )


def _resolve_tree(path: Path, *, store: Store) -> Tree:
    missing = [name for name in _OF_A_KERNEL if not (path / name).is_file()]
    if missing:
        raise UserError(f"{path} is no kernel tree: it has no {', '.join(missing)}")
    real = path.resolve()
    key = f"tree-{_short_hash(str(real))}"
    scan = scan_tree(real, store=store, fact=key)
    return Tree(
        id=f"tree-{scan.digest}",
        key=key,
        title=str(path),
        version=_read_version((real / "Makefile").read_bytes(), makefile=str(real / "Makefile")),
        path=real,
        scan=scan,
    )


def _resolve_commit(tree: Path, rev: str) -> Commit:
    place = commit_tree.find_place(tree)
    sha = commit_tree.resolve_commit(tree, rev)
    content = commit_tree.resolve_tree(tree, sha, prefix=place.prefix)
    scan = commit_tree.list_tree(place.repository, content)
    described = f"{tree.resolve().name} {commit_tree.describe_commit(tree, sha)}"
    files = {name for name, entry in scan.entries.items() if not entry.is_link}
    missing = [name for name in _OF_A_KERNEL if name not in files]
    if missing:
        raise UserError(f"{described}: is no kernel tree: it has no {', '.join(missing)}")
    makefile = {"Makefile": scan.entries["Makefile"]}
    ((_, text),) = commit_tree.read_blobs(place.repository, makefile)
    return Commit(
        id=f"git-{content}",
        key=f"git-{_short_hash(f'{place.repository}:{place.prefix}')}",
        title=described,
        version=_read_version(text, makefile=f"{described}: Makefile"),
        path=place.repository,
        scan=scan,
        sha=sha,
    )


def _read_version(text: bytes, *, makefile: str) -> Version:
    found = dict(_MAKEFILE.findall(text.decode(errors="replace")))
    if set(found) != {"VERSION", "PATCHLEVEL"}:
        raise UserError(f"{makefile}: says no VERSION and PATCHLEVEL: is this a kernel tree?")
    return int(found["VERSION"]), int(found["PATCHLEVEL"])


def _find_package_version(package: str) -> str:
    """Return the version of an installed Debian package; empty where dpkg does not know it."""
    try:
        done = run(["dpkg-query", "-W", "-f", "${Version}", package], check=False)
    except InfraError:
        return ""
    return done.output.strip() if done.returncode == 0 else ""


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:_KEY_CHARS]
