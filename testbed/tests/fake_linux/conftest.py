import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.host.held import Holder, hold_folder
from testbed.tests.fake_linux.rig import TREE, Rig, pack_tree
from testbed.tests.fake_linux.small_tree import ALPHABET, History, Tree, text


@pytest.fixture(autouse=True)
def no_ccache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every compiler run is to be seen."""
    monkeypatch.setenv("CCACHE_DISABLE", "1")


@pytest.fixture(scope="session")
def tarballs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tarballs")
    pack_tree(TREE, folder)
    return folder


@pytest.fixture
def rig(tmp_path: Path, tarballs: Path) -> Rig:
    return Rig(cache=tmp_path / "cache", tarballs=tarballs)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree of the user's own, not under git."""
    return Path(shutil.copytree(TREE, tmp_path / "my-linux", symlinks=True))


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Holder]:
    (tmp_path / "work").mkdir()
    with hold_folder(tmp_path / "work", say=print) as found:
        yield found


@pytest.fixture
def small(tmp_path: Path, holder: Holder) -> Tree:
    tree = Tree(tmp_path / "work", holder)
    tree.write("mm/a.c", text(ALPHABET))
    return tree


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history")


@pytest.fixture
def known(tmp_path: Path, holder: Holder, history: History) -> Tree:
    """A tree whose repository has what patches were made for."""
    tree = Tree(tmp_path / "work", holder, objects=history.path)
    tree.write("mm/a.c", text(ALPHABET))
    return tree
