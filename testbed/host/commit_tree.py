"""A commit of a git repository as a source: read with git's plumbing, nothing checked out.

The repository may be bare, a checkout, or a worktree linked to another. Only the object store is
read: checkout, index, refs and locks stay out of it, no hook and no filter runs, and objects that
a partial clone has left on its server are not fetched. Files are what the commit stores, without
the conversions of .gitattributes.
"""

import difflib
import re
import subprocess
import tempfile
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import IO, Final

from testbed.core.text import clean, shorten_middle
from testbed.errors import UserError
from testbed.host import proc
from testbed.host.git import GIT
from testbed.host.mirror import Entry, Scan, digest_kconfig

# Objects under their own names: git-replace(1) would put others in their place.
_GIT: Final = (*GIT, "--no-replace-objects")

_SHA: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_LISTED: Final = re.compile(
    rb"(?P<mode>[0-7]{6}) (?P<type>blob|commit) (?P<sha>[0-9a-f]{40,64})\t(?P<name>.+)", re.DOTALL
)
_HEADER: Final = re.compile(rb"(?P<sha>[0-9a-f]{40,64}) blob (?P<size>[0-9]+)\n")
_AMBIGUOUS: Final = re.compile(r"warning: refname '.*' is ambiguous")
_LINK: Final = "120000"  # gitformat-index(5), and tree entries alike: the mode's type bits
_SUBMODULE: Final = "160000"
_OWNER_EXECUTES: Final = 0o100
_NAME_BYTES: Final = 255  # NAME_MAX and PATH_MAX less its NUL (limits.h)
_LINK_BYTES: Final = 4095
_NO_NAMES: Final = frozenset({"", ".", "..", ".git"})
_SHORT_DIGITS: Final = 12  # as the kernel's Fixes: tags have it (submitting-patches.rst)
_SUBJECT_CHARS: Final = 100
_MAX_CLOSE: Final = 3
_KEPT_LISTINGS: Final = 2  # about 25 MB each


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where kernels lie in a repository: ``prefix`` is the folder in it, empty for the top.

    ``repository`` is the real path of what all worktrees of the repository share.
    """

    repository: Path
    prefix: str


def find_place(tree: Path) -> Place:
    """Return the repository that ``tree`` is, or lies in; raises :class:`UserError` without one."""
    if not tree.is_dir():
        raise UserError(f"{tree}: there is no such folder")
    done = _ask(tree, "rev-parse", "--path-format=absolute", "--git-common-dir", "--show-prefix")
    if done.returncode != 0:
        raise UserError(f"{tree}: is no git repository, so it has no commits: {_last_line(done)}")
    common, _, prefix = done.output.removesuffix("\n").partition("\n")
    return Place(repository=Path(common).resolve(), prefix=prefix.strip("\n").rstrip("/"))


def resolve_commit(tree: Path, rev: str) -> str:
    """Return the full hash of the commit that ``rev`` names in the repository ``tree``.

    ``rev`` is what git takes for one commit: a branch, tag, hash, ``HEAD~2`` (gitrevisions(7)).
    Raises :class:`UserError`, with the branches and tags that are named like it, for what is none.
    """
    find_place(tree)
    if not rev or rev.startswith("-") or not rev.isprintable():
        raise UserError(f"{clean(rev)!r} is no revision of git: give a branch, a tag or a hash")
    named = _ask(tree, "rev-parse", "--verify", rev)
    lines = named.output.splitlines()
    if any(_AMBIGUOUS.match(line) for line in lines):
        raise UserError(
            f"{tree}: {rev} is a branch and a tag: write refs/heads/{rev} or refs/tags/{rev}"
        )
    if named.returncode == 0 and lines and _SHA.fullmatch(lines[-1]):
        commit = _ask(tree, "rev-parse", "--verify", "--quiet", f"{lines[-1]}^{{commit}}")
        sha = commit.output.strip()
        if commit.returncode == 0 and _SHA.fullmatch(sha):
            return sha
    raise UserError(f"{tree}: has no commit {rev}{_hint(tree, rev)}")


def describe_commit(tree: Path, sha: str) -> str:
    """Return ``0123456789ab ("its subject")`` for a commit that is there."""
    # Not git log or git show: these run the program that gpg.program names where the
    # repository's configuration says log.showSignature.
    form = ("--no-commit-header", "--encoding=UTF-8", "--format=%s")
    done = _ask(tree, "rev-list", "--no-walk", *form, sha)
    if done.returncode != 0:
        raise _blame(tree, sha, done.output)
    subject = shorten_middle(clean(done.output).replace("\n", " ").strip(), width=_SUBJECT_CHARS)
    return f'{sha[:_SHORT_DIGITS]} ("{subject}")'


def resolve_tree(tree: Path, sha: str, *, prefix: str) -> str:
    """Return the hash of what the commit ``sha`` has, or has in the folder ``prefix``."""
    named = f"{sha}:{prefix}" if prefix else f"{sha}^{{tree}}"
    done = _ask(tree, "rev-parse", "--verify", "--quiet", named)
    found = done.output.strip()
    if done.returncode == 0 and _SHA.fullmatch(found):
        return found
    if prefix and not done.output:
        raise UserError(f"{tree}: commit {sha[:_SHORT_DIGITS]} has no folder {prefix}")
    raise _blame(tree, sha, done.output)


@lru_cache(maxsize=_KEPT_LISTINGS)
def list_tree(repository: Path, tree_sha: str) -> Scan:
    """Return what a tree object holds; ``sha`` of each entry is that of its blob.

    Raises :class:`UserError` for a submodule, for a name that is not UTF-8, and for names that no
    honest tree has (``..``, ``.git``, a file in a file): git itself lists what it is given.
    """
    entries: dict[str, Entry] = {}
    for record in sorted(_read_listing(repository, tree_sha).split(b"\0")):
        if record:
            name, entry = _read_record(record, repository)
            if name in entries:
                raise UserError(f"{repository}: tree {tree_sha} has {name!r} twice")
            entries[name] = entry
    _check_folders(entries, repository)
    entries = {name: entries[name] for name in sorted(entries)}
    return Scan(
        entries=MappingProxyType(entries), digest=tree_sha, kconfig_id=digest_kconfig(entries)
    )


def read_blobs(
    repository: Path, wanted: Mapping[str, Entry]
) -> Generator[tuple[str, bytes], None, None]:
    """Yield (name, content) for the entries of a tree object, in their order.

    One git answers for all of them. What it is asked lies in a file and not in a pipe: neither
    side ever waits for the other to read. Raises :class:`UserError` for an object that is missing.
    """
    with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as said:
        asked.writelines(f"{entry.sha}\n".encode() for entry in wanted.values())
        asked.seek(0)
        proc.find_tool("git")
        process = proc.start(
            [*_GIT, f"--git-dir={repository}", "cat-file", "--batch", "--buffer"],
            stdin=asked,
            stdout=subprocess.PIPE,
            stderr=said,
        )
        try:
            for name, entry in wanted.items():
                data = _read_blob(process, name, entry.sha, repository, said)
                if entry.is_link and (not 0 < len(data) <= _LINK_BYTES or b"\0" in data):
                    raise UserError(f"{repository}: {clean(name)}: is a symlink to no name at all")
                yield name, data
        finally:
            proc.end(process, grace_s=0.0)
            if process.stdout is not None:
                process.stdout.close()


def _read_blob(
    process: subprocess.Popen[bytes], name: str, sha: str, repository: Path, said: IO[bytes]
) -> bytes:
    """Read one answer of ``git cat-file --batch``: a line, the bytes, a line feed."""
    if process.stdout is None:
        raise ValueError("the process was started without a pipe")
    line = process.stdout.readline()
    header = _HEADER.fullmatch(line)
    if header is None or header["sha"].decode() != sha:
        said.seek(0)
        raise _blame(repository, name, (line + said.read()).decode(errors="replace"))
    size = int(header["size"])
    data = process.stdout.read(size + 1)
    if len(data) != size + 1:
        said.seek(0)
        raise _blame(repository, name, said.read().decode(errors="replace") or "it is cut short")
    return data[:-1]


def _read_listing(repository: Path, tree_sha: str) -> bytes:
    with tempfile.TemporaryFile() as said:
        proc.find_tool("git")
        process = proc.start(
            [*_GIT, f"--git-dir={repository}", "ls-tree", "-r", "-z", "--full-tree", tree_sha],
            stdout=subprocess.PIPE,
            stderr=said,
        )
        try:
            listing, _ = process.communicate()
        finally:
            proc.end(process, grace_s=0.0)
        if process.returncode != 0:
            said.seek(0)
            raise _blame(repository, tree_sha, said.read().decode(errors="replace"))
    return listing


def _read_record(record: bytes, repository: Path) -> tuple[str, Entry]:
    match = _LISTED.fullmatch(record)
    if match is None:
        raise UserError(f"{repository}: git lists what is no file: {_show(record)}")
    try:
        name = match["name"].decode()
    except UnicodeDecodeError as err:
        raise UserError(f"{repository}: the file name {_show(match['name'])} is not UTF-8") from err
    mode = match["mode"].decode()
    if mode == _SUBMODULE:
        raise UserError(
            f"{repository}: {clean(name)}: is a folder of another repository; a kernel tree has "
            "files and symlinks only"
        )
    if any(part.lower() in _NO_NAMES for part in name.split("/")):
        raise UserError(f"{repository}: {name!r} would lie outside the kernel tree")
    if max(map(len, match["name"].split(b"/"))) > _NAME_BYTES:
        raise UserError(f"{repository}: {_show(match['name'])} is too long for a file's name")
    is_link = mode == _LINK
    is_executable = not is_link and bool(int(mode, 8) & _OWNER_EXECUTES)
    return name, Entry(match["sha"].decode(), is_link, is_executable)


def _check_folders(entries: Mapping[str, Entry], repository: Path) -> None:
    """Raise where a file or symlink is also a folder of others."""
    folders = {name.rpartition("/")[0] for name in entries}
    pending = set(folders)
    while pending:
        pending = {name.rpartition("/")[0] for name in pending} - folders
        folders |= pending
    both = sorted(folders & entries.keys())
    if both:
        raise UserError(f"{repository}: {both[0]!r} is a file and a folder in one tree")


def _ask(tree: Path, *words: str) -> proc.Completed:
    proc.find_tool("git")
    return proc.run([*_GIT, "-C", str(tree), *words], check=False)


def _hint(tree: Path, rev: str) -> str:
    names = list(_list_refs(tree))
    close = difflib.get_close_matches(rev, names, n=_MAX_CLOSE)
    if close:
        return f": did you mean {' or '.join(clean(name) for name in close)}?"
    if _ask(tree, "rev-parse", "--is-shallow-repository").output.strip() == "true":
        return ": this clone is shallow, `git fetch --unshallow` brings what is older"
    return ": `git fetch` brings what is new"


def _list_refs(tree: Path) -> Iterator[str]:
    where = ("refs/heads", "refs/tags", "refs/remotes")
    done = _ask(tree, "for-each-ref", "--format=%(refname:short)", *where)
    yield from done.output.splitlines() if done.returncode == 0 else ()


def _blame(tree: Path, what: str, words: str) -> UserError:
    lines = [clean(line).strip() for line in words.splitlines() if line.strip()]
    said = f" (git: {shorten_middle(lines[-1], width=200)})" if lines else ""
    return UserError(
        f"{tree}: the objects of {clean(what)} are not all there{said}: a partial clone gets what "
        "it lacks when the commit is checked out; `git fsck` finds what is damaged"
    )


def _last_line(done: proc.Completed) -> str:
    return clean(done.output).strip().rpartition("\n")[2]


def _show(data: bytes) -> str:
    return shorten_middle(repr(data.decode(errors="replace")), width=200)
