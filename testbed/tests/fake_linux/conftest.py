import shutil
from pathlib import Path

import pytest

from testbed.tests.fake_linux.rig import TREE, Rig, pack_tree


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
