"""Options that a series adds itself: for its own kernels, from the patch on that brings them."""

from pathlib import Path
from typing import Final

import pytest

from testbed.core.series import Series, take_patches
from testbed.errors import KconfigError
from testbed.tests.fake_linux.rig import TREE, Rig, diff, edit, mail, write_series

META: Final = "title: t\nwhy: w\nbase: ['6.12']\noptions: [NEW_WAY=y]\n"
OPTION: Final = '\nconfig NEW_WAY\n\tbool "A new way"\n'


def make_series(folder: Path, *, meta: str = META) -> Series:
    kconfig = (TREE / "Kconfig").read_text()
    patches = {
        "1.patch": mail(
            "mm: nothing yet", edit("mm/migrate.c", "page->nid = nid;", "page->nid=nid;")
        ),
        "2.patch": mail("mm: a new way", diff("Kconfig", kconfig, kconfig + OPTION)),
    }
    return write_series(folder, patches, meta)


def read_config(rig: Rig, *series: Series) -> list[str]:
    return rig.build(*series).config.read_text().splitlines()


def test_an_option_of_the_series_is_on_in_its_kernel_and_unknown_to_the_base(
    rig: Rig, tmp_path: Path
) -> None:
    series = make_series(tmp_path / "s")

    assert "CONFIG_NEW_WAY=y" in read_config(rig, series)
    assert not any("NEW_WAY" in line for line in read_config(rig))


def test_before_the_patch_that_brings_it_the_option_is_not_asked_for(
    rig: Rig, tmp_path: Path
) -> None:
    stack = (make_series(tmp_path / "s"),)

    first, whole = take_patches(stack, 1), take_patches(stack, 2)

    assert [one.meta.options for one in (*first, *whole)] == [(), ("NEW_WAY=y",)]
    assert not any("NEW_WAY" in line for line in read_config(rig, *first))
    assert "CONFIG_NEW_WAY=y" in read_config(rig, *whole)


def test_an_option_that_no_patch_brings_is_named(rig: Rig, tmp_path: Path) -> None:
    series = make_series(tmp_path / "s", meta=META.replace("NEW_WAY", "NO_WAY"))

    with pytest.raises(KconfigError, match=r"CONFIG_NO_WAY=y did not land .*no such option"):
        rig.build(series)


def test_the_base_objects_are_where_the_series_starts_from(rig: Rig, tmp_path: Path) -> None:
    rig.build()
    rig.build(make_series(tmp_path / "s"))
    assert rig.said == [line for line in rig.said if "no base kernel" not in line]

    rig.build()
    assert rig.compiled == []
