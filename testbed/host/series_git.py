"""A series that is a range of commits in a git tree of the user's, which is only read."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from testbed.core.series import Series
from testbed.core.text import clean
from testbed.errors import SeriesError, UserError
from testbed.host import proc
from testbed.host.commit_tree import resolve_commit
from testbed.host.git import GIT
from testbed.host.series_dir import load_formatted

_SHA: Final = re.compile(r"^[0-9a-f]{40}(?:[0-9a-f]{24})?$", re.MULTILINE)
_MAX_COMMITS: Final = 1000
_SHOWN_MERGES: Final = 3
_TRUNKS: Final = ("main", "master", "origin/main", "origin/master")
_TIMEOUT_S: Final = 120.0
# Whatever the tree's own configuration says, the patches are plain ones (git-config(1), format.*
# and diff.*; what has no option is set).
_PLAIN: Final = (
    *("-c", "format.attach=", "-c", "format.mboxrd=false"),
    *("-c", "diff.suppressBlankEmpty=false", "-c", "diff.noprefix=false"),
)
_FORMAT: Final = (
    *("--no-signature", "--no-cover-letter", "--no-signoff", "--no-thread", "--no-to", "--no-cc"),
    *("--no-add-header", "--no-from", "--no-notes", "--no-attach", "--no-numbered"),
    *("--subject-prefix=PATCH", "--suffix=.patch", "--encoding=UTF-8", "--no-color"),
    *("--no-ext-diff", "--no-textconv", "--no-relative", "--src-prefix=a/", "--dst-prefix=b/"),
    *("--full-index", "-M", "-U3", "--inter-hunk-context=0", "-O/dev/null", "--stat", "-p"),
    *("--submodule=short", "--ignore-submodules=none", "--quiet"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Range:
    """Two commits, by their full ids: the range's patches are made on ``base``."""

    base: str
    tip: str


def load_range(text: str, *, tree: Path) -> Series:
    """Read the commits ``BASE..TIP`` of the git tree ``tree`` as a series.

    A branch, or any commit, stands for what it has on top of its upstream, or else of main or
    master. ``base_commit`` is BASE in full, or where TIP left it if BASE has gone on since. Raises
    :class:`UserError` for a range that names nothing, :class:`SeriesError` for one that is empty
    or has merges.
    """
    if not (tree.is_dir() and _ask(tree, "rev-parse", "--git-dir")):
        raise UserError(f"{tree}: is no git tree: --git wants one, with --tree")
    base, tip = _split_range(text, tree)
    found = _Range(base=_find_fork(base, tip, tree=tree, text=text), tip=tip)
    notes = (
        (f"{text}: {base[:12]} has gone on; the commits since {found.base[:12]} are taken",)
        if found.base != base
        else ()
    )
    commits = _list_commits(found, tree=tree, text=text)
    files = _format(found, tree=tree)
    if len(files) < len(commits):
        notes = (*notes, f"{text}: {len(commits) - len(files)} commits without a change left out")
    if not files:
        raise SeriesError(f"{text}: its commits change nothing")
    series = load_formatted(files, where=text, name=text)
    return replace(series, base_commit=found.base, notes=notes)


def _split_range(text: str, tree: Path) -> tuple[str, str]:
    """Return the commits that the ends of a range are."""
    if "..." in text:
        raise UserError(f"{text}: write BASE..TIP, with two dots")
    if ".." not in text:
        tip = resolve_commit(tree, text)
        return _find_trunk(text, tip, tree=tree), tip
    base, _, tip = text.partition("..")
    if not base:
        raise UserError(f"{text}: write BASE..TIP: the commit before the first one is missing")
    return resolve_commit(tree, base), resolve_commit(tree, tip or "HEAD")


def _find_trunk(name: str, tip: str, *, tree: Path) -> str:
    """Return where the branch ``name`` left its upstream, or else main or master."""
    for trunk in (f"{name}@{{upstream}}", *_TRUNKS):
        commit = _ask(
            tree, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{trunk}^{{commit}}"
        )
        fork = commit and _ask(tree, "merge-base", commit, tip)
        if fork and fork != tip:
            return fork
    raise UserError(
        f"{clean(name)}: has nothing on top of an upstream, main or master: write "
        f"BASE..{clean(name)}, BASE being the commit before its first one"
    )


def _find_fork(base: str, tip: str, *, tree: Path, text: str) -> str:
    fork = _ask(tree, "merge-base", base, tip)
    if not fork:
        raise SeriesError(f"{text}: the two have no commit in common")
    return fork


def _list_commits(found: _Range, *, tree: Path, text: str) -> tuple[str, ...]:
    span = f"{found.base}..{found.tip}"
    merges = _git(tree, "log", "--merges", "--format=%h (%s)", span, "--").output.splitlines()
    if merges:
        several = ", ".join(clean(line) for line in merges[:_SHOWN_MERGES])
        more = f" and {len(merges) - _SHOWN_MERGES} more" if len(merges) > _SHOWN_MERGES else ""
        raise SeriesError(
            f"{text}: has merges, which are no patches: {several}{more}. Rebase it, or give a "
            "part without them"
        )
    commits = tuple(_SHA.findall(_git(tree, "rev-list", span, "--").output))
    if not commits:
        raise SeriesError(f"{text}: no commits: is it the right way round?")
    if len(commits) > _MAX_COMMITS:
        raise SeriesError(f"{text}: {len(commits)} commits, more than {_MAX_COMMITS}")
    return commits


def _format(found: _Range, *, tree: Path) -> dict[str, str]:
    with TemporaryDirectory(prefix="testbed-range-") as name:
        folder = Path(name)
        _git(tree, *_PLAIN, "format-patch", *_FORMAT, "-o", name, f"{found.base}..{found.tip}")
        return {
            file.name: file.read_bytes().decode("utf-8", "surrogateescape")
            for file in sorted(folder.iterdir())
            if file.stat().st_size  # of a commit without a change there is an empty file
        }


def _ask(tree: Path, *args: str) -> str:
    """Return the commit (or the folder) that git answers with; empty where there is none."""
    outcome = _git(tree, *args, check=False)
    if outcome.returncode != 0:
        return ""
    shas: list[str] = _SHA.findall(outcome.output)
    return shas[-1] if shas else outcome.output.strip()


def _git(tree: Path, *args: str, check: bool = True) -> proc.Completed:
    return proc.run([*GIT, "-C", str(tree.absolute()), *args], timeout_s=_TIMEOUT_S, check=check)
