"""A cache, a toy source and a builder; patches and folders to try them with."""

import difflib
import hashlib
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from testbed.core.series import Series
from testbed.host.builder import Builder, BuildFailure, BuildRequest, Kernel, SpaceNeed
from testbed.host.series_dir import load_series
from testbed.host.store import Store

TREE: Final = Path(__file__).parent / "tree"
REPO: Final = Path(__file__).parents[3]
BASE: Final = ("base", "CONFIG_SMP=y\nCONFIG_NUMA=y\n")
NO_SPACE_NEEDED: Final = SpaceNeed(cold_mib=0, warm_mib=0)


@dataclass
class Rig:
    """A builder and what it said."""

    cache: Path
    tarballs: Path
    said: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return Store(self.cache, say=self.said.append)

    @property
    def work(self) -> Path:
        """The one folder of work that there is."""
        (folder,) = (path for path in (self.cache / "work").iterdir() if path.is_dir())
        return folder

    def request(
        self,
        *series: Series,
        fragments: Sequence[tuple[str, str]] = (BASE,),
        tree: Path | None = None,
    ) -> BuildRequest:
        return BuildRequest(
            source="debian:6.12", tree=tree, fragments=tuple(fragments), series=series, jobs=1
        )

    def try_build(
        self,
        *series: Series,
        fragments: Sequence[tuple[str, str]] = (BASE,),
        tree: Path | None = None,
    ) -> Kernel | BuildFailure:
        self.lines.clear()
        builder = Builder(
            self.store,
            say=self.said.append,
            on_progress=lambda _, line: self.lines.append(line),
            tarballs_dir=self.tarballs,
            space_need=NO_SPACE_NEEDED,
        )
        return builder.build(self.request(*series, fragments=fragments, tree=tree))

    def build(
        self,
        *series: Series,
        fragments: Sequence[tuple[str, str]] = (BASE,),
        tree: Path | None = None,
    ) -> Kernel:
        outcome = self.try_build(*series, fragments=fragments, tree=tree)
        assert isinstance(outcome, Kernel), outcome
        return outcome

    @property
    def compiled(self) -> list[str]:
        """What the last build compiled, by make's own words."""
        return [line.split()[1] for line in self.lines if line.startswith("  CC ")]


def pack_tree(tree: Path, tarballs: Path) -> Path:
    """Pack a tree as Debian's linux-source-6.12 is packed."""
    tarballs.mkdir(parents=True, exist_ok=True)
    path = tarballs / "linux-source-6.12.tar.xz"
    with tarfile.open(path, "w:xz", preset=0) as tar:
        tar.add(tree, arcname="linux-source-6.12")
    return path


def edit(name: str, old: str, new: str, *, tree: Path = TREE) -> str:
    """Return a git diff that replaces ``old`` with ``new`` in a file of the toy tree."""
    before = (tree / name).read_text()
    assert before.count(old) == 1, (name, old)
    return diff(name, before, before.replace(old, new))


def diff(name: str, before: str | None, after: str | None) -> str:
    """Return a git diff of one file; None where it is not there."""
    lines = difflib.unified_diff(
        (before or "").splitlines(keepends=True),
        (after or "").splitlines(keepends=True),
        "/dev/null" if before is None else f"a/{name}",
        "/dev/null" if after is None else f"b/{name}",
    )
    mode = {(True, False): "new file mode 100644\n", (False, True): "deleted file mode 100644\n"}
    head = mode.get((before is None, after is None), "")
    return f"diff --git a/{name} b/{name}\n{head}{''.join(lines)}"


def mail(subject: str, *diffs: str) -> str:
    """Return a patch as git format-patch writes it."""
    return (
        f"From 0123456789 Mon Sep 17 00:00:00 2001\nFrom: A <a@example.org>\n"
        f"Date: Sat, 1 Jan 2000 00:00:00 +0000\nSubject: [PATCH] {subject}\n\nWhy.\n---\n"
        f" 1 file changed\n\n{''.join(diffs)}-- \n2.39.5\n\n"
    )


def write_series(folder: Path, patches: Mapping[str, str], meta: str = "") -> Series:
    """Write a quilt folder and read it back."""
    folder.mkdir(parents=True)
    (folder / "series").write_text("".join(f"{name}\n" for name in patches))
    for name, text in patches.items():
        (folder / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    if meta:
        (folder / "series.yaml").write_text(meta)
    return load_series(folder)


def fingerprint(folder: Path) -> dict[str, tuple[str, int, int, int]]:
    """Return what every file is, to the time and the inode: all that make or a reader can see."""
    found = {}
    for path in sorted(folder.rglob("*")):
        info = path.lstat()
        if path.is_symlink():
            content = str(path.readlink())
        else:
            content = "" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
        times = (0, 0) if path.is_dir() else (info.st_mtime_ns, info.st_ino)
        found[str(path.relative_to(folder))] = (content, info.st_mode, *times)
    return found


def start_drive(
    *,
    cache: Path,
    tarballs: Path,
    series: Sequence[Path] = (),
    tree: Path | None = None,
    prelude: str = "",
    fill_at: str = "",
) -> subprocess.Popen[str]:
    """Start a testbed of its own that builds; ``prelude`` is shell that has the mounts made."""
    request: dict[str, Any] = {
        "cache": str(cache),
        "tarballs": str(tarballs),
        "series": [str(path) for path in series],
        "tree": str(tree) if tree else None,
        "fill_at": fill_at,
    }
    argv = [sys.executable, "-m", "testbed.tests.fake_linux.drive", json.dumps(request)]
    if prelude:
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        argv = ["unshare", "--mount", *user, "sh", "-ec", f'{prelude}\nexec "$@"', "sh", *argv]
    return subprocess.Popen(
        argv,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPO), "CCACHE_DISABLE": "1"},
    )


def await_line(process: subprocess.Popen[str], text: str) -> None:
    """Read what ``process`` prints up to a line with ``text``."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if text in line:
            return
    raise AssertionError(f"no line with {text!r} in:\n{''.join(seen)}")


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return the report that a drive ends with."""
    out, _ = process.communicate(timeout=60)
    reports = [line for line in out.splitlines() if line.startswith("report: ")]
    assert reports, out
    report: dict[str, Any] = json.loads(reports[-1].removeprefix("report: "))
    return report
