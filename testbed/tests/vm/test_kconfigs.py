"""The project's fragments on the real sources, and what is computed against what make makes."""

import subprocess
from functools import cache
from pathlib import Path

import pytest

from testbed.core.kconfig import Merged, find_unmet, format_options, merge_fragments, read_values
from testbed.host import catalog
from testbed.host.kconfig_files import find_kconfig_files
from testbed.host.kconfig_load import Kconfig, choose_arch, configure, load_kconfig
from testbed.host.project import data_dir
from testbed.host.source import TARBALLS_DIR, resolve_source
from testbed.host.store import Store

VERSIONS = ((6, 12), (6, 1))
ADDITIVE = tuple(
    name
    for name in catalog.list_catalog().kconfigs
    if not name.startswith("no-") and name not in {"base", "32bit"}
)
REDUCING = tuple(name for name in catalog.list_catalog().kconfigs if name.startswith("no-"))
NEEDS = {"fault-injection": ("hotplug",)}
TESTED = catalog.load_plan(data_dir() / "ci/plans/quick.yaml").kconfig


class Source:
    """A source's Kconfig files, each architecture read once."""

    def __init__(self, version: tuple[int, int], store: Store) -> None:
        self.version = version
        source = resolve_source(f"debian:{version[0]}.{version[1]}", store=store)
        self.src = find_kconfig_files(source, store, say=print)
        self._load = cache(self._load_anew)

    def merge(self, *names: str) -> Merged:
        return merge_fragments(catalog.load_fragments(names), version=self.version)

    def configure(self, *names: str) -> str:
        options = self.merge(*names).options
        return configure(self._load(choose_arch(options)), self.src, options)

    def make(self, out: Path, *names: str) -> str:
        argv = ["make", "-s", "-C", str(self.src), f"O={out}", "ARCH=x86_64"]
        subprocess.run([*argv, "tinyconfig"], check=True)
        with (out / ".config").open("a") as file:
            file.write(format_options(self.merge(*names).options))
        subprocess.run([*argv, "olddefconfig"], check=True)
        return (out / ".config").read_text()

    def _load_anew(self, arch: str) -> Kconfig:
        return load_kconfig(self.src, version=self.version, arch=arch)


@pytest.fixture(scope="module", params=VERSIONS, ids=lambda version: f"{version[0]}.{version[1]}")
def source(request: pytest.FixtureRequest, store: Store) -> Source:
    major, minor = request.param
    if (
        request.param != VERSIONS[0]
        and not (TARBALLS_DIR / f"linux-source-{major}.{minor}.tar.xz").is_file()
    ):
        pytest.skip(f"the package linux-source-{major}.{minor} is not installed")
    return Source(request.param, store)


@pytest.mark.parametrize("name", ["base", *ADDITIVE])
def test_a_fragment_lands_on_top_of_base(source: Source, name: str) -> None:
    names = tuple(dict.fromkeys(("base", *NEEDS.get(name, ()), name)))

    assert find_unmet(source.merge(*names).options, source.configure(*names)) == ()


def test_all_fragments_that_add_land_together(source: Source) -> None:
    names = ("base", *ADDITIVE)

    assert find_unmet(source.merge(*names).options, source.configure(*names)) == ()


@pytest.mark.parametrize("name", REDUCING)
def test_what_a_fragment_takes_away_is_gone(source: Source, name: str) -> None:
    before = read_values(source.configure(*TESTED).splitlines())
    after = read_values(source.configure(*TESTED, name).splitlines())

    own = source.merge(name).options
    assert any(option.name in before for option in own)
    assert [option.name for option in own if option.name in after] == []


def test_32bit_is_32bit_with_high_memory(source: Source) -> None:
    values = read_values(source.configure("base", "32bit").splitlines())

    assert values.get("X86_32") == values.get("HIGHMEM") == "y"
    assert "64BIT" not in values


@pytest.mark.parametrize(
    "names",
    [
        ("base", *ADDITIVE),
        (*TESTED, "no-migration", "no-swap"),
    ],
    ids=["all that add", "some taken away"],
)
def test_what_is_computed_is_what_make_makes(
    source: Source, tmp_path: Path, names: tuple[str, ...]
) -> None:
    computed = read_values(source.configure(*names).splitlines())
    made = read_values(source.make(tmp_path, *names).splitlines())

    assert computed == made
