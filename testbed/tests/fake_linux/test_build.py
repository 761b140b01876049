import dataclasses
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

from testbed.errors import InfraError, KconfigError, UserError
from testbed.host.builder import Builder, BuildFailure, SpaceNeed
from testbed.tests.fake_linux.rig import (
    BASE,
    TREE,
    Rig,
    diff,
    edit,
    fingerprint,
    mail,
    write_series,
)

ALL_FILES = ["init/main.o", "mm/migrate.o", "mm/mempolicy.o"]
LIES_ABOUT_NODE = edit("mm/migrate.c", "page->nid = nid;", "page->nid = nid + 1;")


def test_a_kernel_is_built_and_kept_with_all_that_belongs_to_it(rig: Rig) -> None:
    kernel = rig.build()

    assert rig.compiled == ALL_FILES
    assert kernel.compiled_files == 3
    assert not kernel.is_cached
    assert kernel.release == "6.12.0"
    assert kernel.image.read_bytes().startswith(b"6.12.0 Thu Jan 1 00:00:00 UTC 1970 testbed\n")
    assert "CONFIG_NUMA=y" in kernel.config.read_text().splitlines()
    assert "  CC      mm/migrate.o" in kernel.log.read_text().splitlines()
    assert sorted(path.name for path in kernel.harness_dir.iterdir()) == [
        "kselftest.h",
        "kselftest_harness.h",
    ]
    assert [phase.name for phase in kernel.phases] == [
        "source",
        "apply",
        "objects",
        "config",
        "make",
    ]


def test_the_same_request_starts_no_process(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    first = rig.build()

    def refuse(*args: object, **_: object) -> NoReturn:
        raise AssertionError(f"a process was started: {args}")

    monkeypatch.setattr("testbed.host.proc.subprocess.Popen", refuse)
    again = rig.build()

    assert again == dataclasses.replace(first, is_cached=True, compiled_files=0)


def test_a_comment_or_the_order_of_fragments_makes_no_other_kernel(rig: Rig) -> None:
    first = rig.build(fragments=[("one", "CONFIG_SMP=y\n"), ("two", "CONFIG_NUMA=y\n")])
    again = rig.build(fragments=[("two", "# now\nCONFIG_NUMA=y\n"), ("one", "CONFIG_SMP=y\n")])

    assert again.key == first.key
    assert again.is_cached


def test_a_series_compiles_only_what_it_changes(rig: Rig, tmp_path: Path) -> None:
    base = rig.build()
    series = write_series(tmp_path / "s", {"1.patch": mail("mm: lie", LIES_ABOUT_NODE)})

    patched = rig.build(series)

    assert rig.compiled == ["mm/migrate.o"]
    assert patched.compiled_files == 1
    assert patched.image.read_bytes() != base.image.read_bytes()


def test_base_series_base_compiles_nothing_the_third_time(rig: Rig, tmp_path: Path) -> None:
    base = rig.build().image.read_bytes()
    header = edit("include/linux/mm.h", "\tint nid;", "\tint pad;\n\tint nid;")
    series = write_series(tmp_path / "s", {"1.patch": mail("mm: pad", header)})
    patched = rig.build(series).image.read_bytes()
    assert rig.compiled == ["mm/migrate.o", "mm/mempolicy.o"]
    rig.store.remove("kernels")

    third = rig.build()

    assert rig.compiled == []
    assert third.image.read_bytes() == base != patched


def test_an_edited_series_does_not_inherit_objects_of_the_last_edit(
    rig: Rig, tmp_path: Path
) -> None:
    rig.build()
    one = edit("mm/mempolicy.c", "return nid;", "return nid + 7;")
    rig.build(write_series(tmp_path / "a", {"1.patch": mail("x", one, LIES_ABOUT_NODE)}))
    only = write_series(tmp_path / "b", {"1.patch": mail("x", LIES_ABOUT_NODE)})

    after = rig.build(only)

    fresh = Rig(cache=tmp_path / "other", tarballs=rig.tarballs).build(only)
    assert after.key == fresh.key
    assert after.image.read_bytes() == fresh.image.read_bytes()


def test_a_series_on_an_empty_cache_builds_the_base_first(rig: Rig, tmp_path: Path) -> None:
    series = write_series(tmp_path / "s", {"1.patch": mail("mm: lie", LIES_ABOUT_NODE)})

    patched = rig.build(series)

    assert rig.compiled == [*ALL_FILES, "mm/migrate.o"]
    assert patched.compiled_files == 1
    assert rig.build().is_cached


def test_a_reworded_patch_builds_nothing(rig: Rig, tmp_path: Path) -> None:
    first = rig.build(write_series(tmp_path / "a", {"1.patch": mail("mm: lie", LIES_ABOUT_NODE)}))
    again = rig.build(write_series(tmp_path / "b", {"9.patch": mail("mm: fib", LIES_ABOUT_NODE)}))

    assert again.key == first.key
    assert again.is_cached


def test_another_configuration_compiles_only_what_it_concerns(rig: Rig) -> None:
    rig.build()
    rig.store.remove("kernels")

    with_mce = rig.build(fragments=[BASE, ("mce", "CONFIG_X86_MCE=y\nCONFIG_MEMORY_FAILURE=y\n")])

    assert "CONFIG_MEMORY_FAILURE=y" in with_mce.config.read_text().splitlines()
    rig.build()
    assert rig.compiled == []


def test_a_series_that_changes_kconfig_configures_anew(rig: Rig, tmp_path: Path) -> None:
    rig.build()
    kconfig = edit(
        "Kconfig", "config SMP\n", 'config WRONG_NODE\n\tbool "Wrong"\n\tdefault y\n\nconfig SMP\n'
    )
    use = edit("mm/migrate.c", "\tpage->nid = nid;", "\tpage->nid = nid + CONFIG_WRONG_NODE;")

    kernel = rig.build(write_series(tmp_path / "s", {"1.patch": mail("mm: new", kconfig, use)}))

    assert "CONFIG_WRONG_NODE=y" in kernel.config.read_text().splitlines()
    rig.store.remove("kernels")
    assert "WRONG_NODE" not in rig.build().config.read_text()


def test_a_kernel_that_does_not_compile_is_a_value_with_file_and_line(
    rig: Rig, tmp_path: Path
) -> None:
    rig.build()
    before = fingerprint(rig.work / "src")
    broken = edit("mm/migrate.c", "page->nid = nid;", "page->nid = nod;")
    series = write_series(tmp_path / "s", {"1.patch": mail("mm: typo", broken)})

    failure = rig.try_build(series)

    assert isinstance(failure, BuildFailure)
    assert failure.stage == "make"
    assert failure.first_error is not None
    assert (failure.first_error.file, failure.first_error.line) == ("mm/migrate.c", 11)
    assert failure.error.startswith("mm/migrate.c:11: ")
    assert "'nod' undeclared" in failure.error.replace("\u2018", "'").replace("\u2019", "'")
    assert "nod" in failure.log.read_text()
    assert fingerprint(rig.work / "src") == before
    assert rig.build().is_cached


def test_a_failing_build_is_tried_again_and_can_come_right(rig: Rig, tmp_path: Path) -> None:
    broken = edit("mm/migrate.c", "page->nid = nid;", "page->nid = nod;")
    series = write_series(tmp_path / "a", {"1.patch": mail("mm: typo", broken)})
    assert isinstance(rig.try_build(series), BuildFailure)

    mended = rig.build(write_series(tmp_path / "b", {"1.patch": mail("mm", LIES_ABOUT_NODE)}))

    assert mended.compiled_files == 1


def test_a_broken_kconfig_fails_at_the_stage_config(rig: Rig, tmp_path: Path) -> None:
    broken = edit("Makefile", "\t@: > .config", "\t@echo no such thing; exit 3")
    series = write_series(tmp_path / "s", {"1.patch": mail("kconfig: break", broken)})

    failure = rig.try_build(series)

    assert isinstance(failure, BuildFailure)
    assert failure.stage == "config"
    assert "no such thing" in failure.log.read_text()


def test_an_option_that_does_not_land_is_named_with_its_reason(rig: Rig) -> None:
    wanted = "CONFIG_MEMORY_FAILURE=y\nCONFIG_MIGRATON=y\n# CONFIG_SMP is not set\n"
    with pytest.raises(KconfigError) as caught:
        rig.build(fragments=[("want", f"{wanted}CONFIG_MODULES=y\n")])

    needs = "needs ARCH_SUPPORTS_MEMORY_FAILURE [=n], which is selected by X86_MCE [=n]"
    near = "no such option in this tree (did you mean MIGRATION?)"
    assert str(caught.value).splitlines() == [
        f"CONFIG_MEMORY_FAILURE=y did not land (it is not set): {needs}",
        f"CONFIG_MIGRATON=y did not land (it is not set): {near}",
    ]


def test_fragments_that_contradict_are_reported_and_the_later_wins(rig: Rig) -> None:
    kernel = rig.build(fragments=[BASE, ("up", "# CONFIG_NUMA is not set\n")])

    assert "kconfig: CONFIG_NUMA=n of up takes the place of =y of base" in rig.said
    assert "CONFIG_NUMA=y" not in kernel.config.read_text().splitlines()


def test_a_missing_package_is_named(rig: Rig) -> None:
    builder = Builder(rig.store, say=rig.said.append, tarballs_dir=rig.tarballs)
    request = dataclasses.replace(rig.request(), source="debian:6.1")

    with pytest.raises(InfraError, match=r"`apt-get install linux-source-6\.1` brings it"):
        builder.build(request)


def test_a_source_of_another_form_is_refused(rig: Rig) -> None:
    builder = Builder(rig.store, say=rig.said.append, tarballs_dir=rig.tarballs)
    request = dataclasses.replace(rig.request(), source="fedora:6.1")

    with pytest.raises(UserError, match=r"write debian:X\.Y"):
        builder.build(request)


def test_too_little_space_is_said_before_anything_is_made(rig: Rig) -> None:
    builder = Builder(
        rig.store,
        say=rig.said.append,
        tarballs_dir=rig.tarballs,
        space_need=SpaceNeed(cold_mib=2**40, warm_mib=0),
    )

    with pytest.raises(InfraError, match=r"needs about \d+ MiB.*TESTBED_CACHE=DIR"):
        builder.build(rig.request())
    assert not (rig.work / "src").exists()


def test_the_environment_does_not_reach_the_build(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = rig.build().image.read_bytes()
    rig.store.remove("kernels")
    rig.store.remove("work")
    for name, value in {"MAKEFLAGS": "--dry-run", "KBUILD_BUILD_USER": "me", "CC": "false"}.items():
        monkeypatch.setenv(name, value)

    assert rig.build().image.read_bytes() == plain


def test_a_cache_whose_path_make_cannot_take_is_refused(tmp_path: Path, tarballs: Path) -> None:
    rig = Rig(cache=tmp_path / "my cache", tarballs=tarballs)

    with pytest.raises(UserError, match="takes no ' ' in a path: set TESTBED_CACHE"):
        rig.build()


def test_a_cache_with_letters_that_are_not_ascii_works(tmp_path: Path, tarballs: Path) -> None:
    rig = Rig(cache=tmp_path / "größe-çava", tarballs=tarballs)
    folder = tmp_path / "meine Änderungen"

    rig.build(write_series(folder, {"1 x.patch".replace(" ", "-"): mail("x", LIES_ABOUT_NODE)}))

    assert rig.compiled[-1] == "mm/migrate.o"


def test_a_file_that_the_series_makes_is_gone_again(rig: Rig, tmp_path: Path) -> None:
    rig.build()
    before = fingerprint(rig.work / "src")
    new = diff("mm/deep/er/new.c", None, "int x;\n")
    gone = diff(
        "tools/testing/selftests/kselftest.h",
        (TREE / "tools/testing/selftests/kselftest.h").read_text(),
        None,
    )
    series = write_series(tmp_path / "s", {"1.patch": mail("mm: both", new, gone)})

    kernel = rig.build(series)

    assert [path.name for path in kernel.harness_dir.iterdir()] == ["kselftest_harness.h"]
    assert fingerprint(rig.work / "src") == before


def test_the_toy_is_built_by_a_plain_make_too(tmp_path: Path) -> None:
    for target in ("tinyconfig", "bzImage"):
        subprocess.run(
            ["make", "-C", str(TREE), f"O={tmp_path}", "CC=gcc", target],  # noqa: S607 - as a user
            check=True,
            capture_output=True,
        )
    assert (tmp_path / "arch/x86/boot/bzImage").is_file()
