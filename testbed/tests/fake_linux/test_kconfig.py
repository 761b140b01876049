import subprocess
import tarfile
from pathlib import Path

import pytest

from testbed.errors import InfraError, KconfigError
from testbed.host.source import Source, resolve_source
from testbed.pipeline.kconfig_why import explain
from testbed.tests.fake_linux.rig import BASE, TREE, Rig, fingerprint

MCE = ("mce", "CONFIG_MEMORY_FAILURE=y\n")


def why(rig: Rig, option: str, *fragments: tuple[str, str], source: Source | None = None) -> str:
    chosen = source or resolve_source("debian:6.12", store=rig.store, tarballs_dir=rig.tarballs)
    lines = explain(
        option, fragments=fragments, source=chosen, store=rig.store, say=rig.said.append
    )
    assert all(len(line) <= 100 for line in lines)
    return "\n".join(lines)


def test_an_option_that_did_not_land_is_explained_down_to_the_lines_that_set_it(rig: Rig) -> None:
    source = resolve_source("debian:6.12", store=rig.store, tarballs_dir=rig.tarballs)

    assert (
        why(rig, "MEMORY_FAILURE", BASE, MCE, source=source)
        == f"""\
CONFIG_MEMORY_FAILURE is not set, in {source.title} with base, mce
  bool "Memory failure", Kconfig:26
  mce:1 asks for it in vain: its dependencies are not met
    ARCH_SUPPORTS_MEMORY_FAILURE [=n] Kconfig:23: it has no prompt, and nothing that would set it is
        on
      selected by X86_MCE [=n]
  these lines of a fragment set it (tried)
    CONFIG_X86_MCE=y"""
    )


def test_what_is_suggested_lands_in_a_build(rig: Rig) -> None:
    *_, suggestion = why(rig, "MEMORY_FAILURE", BASE, MCE).splitlines()

    kernel = rig.build(fragments=[BASE, MCE, ("suggested", f"{suggestion.strip()}\n")])

    assert "CONFIG_MEMORY_FAILURE=y" in kernel.config.read_text().splitlines()


def test_what_a_suggestion_would_cost_is_said(rig: Rig) -> None:
    text = why(rig, "NUMA", ("small", "# CONFIG_SMP is not set\n"))

    assert "    CONFIG_SMP=y  (in the place of small:1)" in text.splitlines()


def test_a_fragment_of_the_project_that_sets_it_is_named(rig: Rig) -> None:
    text = why(rig, "NUMA", ("own", "CONFIG_SMP=y\n"))

    assert "  the fragment numa sets it (tried)" in text.splitlines()


@pytest.mark.parametrize("name", ["CONFIG_NUMA", "numa", "config_numa", " NUMA "])
def test_a_name_may_be_written_as_people_write_it(rig: Rig, name: str) -> None:
    assert why(rig, name, BASE).startswith("CONFIG_NUMA=y, in linux-source-6.12")


def test_an_unknown_option_is_an_error_with_its_neighbours(rig: Rig) -> None:
    with pytest.raises(KconfigError, match=r"no such option \(did you mean MIGRATION\?\)"):
        why(rig, "MIGRATON", BASE)


def test_a_line_for_other_releases_is_told(rig: Rig) -> None:
    old = ("old", "# what was\nCONFIG_SLOB=y  # before 6.4\nCONFIG_NUMA=y  # since 6.13\n")

    head, line = why(rig, "slob", BASE, old).splitlines()

    assert head.startswith("CONFIG_SLOB: linux-source-6.12")
    assert head.endswith(" has no such option")
    assert line == "  old:2 asks for it, but only before 6.4: this is 6.12"
    assert "  old:3 asks for it, but only since 6.13: this is 6.12" in why(rig, "NUMA", old)


def test_the_kconfig_files_are_unpacked_once_and_no_source_for_it(rig: Rig) -> None:
    why(rig, "NUMA", BASE)
    why(rig, "SMP", BASE)

    (said,) = rig.said
    assert said.startswith("taking the Kconfig files out of linux-source-6.12")
    assert not (rig.cache / "work").exists()


def test_a_tree_of_the_users_is_read_where_it_is_and_not_written(rig: Rig, tree: Path) -> None:
    with (tree / "Kconfig").open("a") as file:
        file.write('\nconfig MINE\n\tbool "Of my \x1b[31mown\x1b[0m"\n')
    before = fingerprint(tree)

    text = why(rig, "MINE", BASE, source=resolve_source(tree, store=rig.store))

    assert '  bool "Of my own", Kconfig:34' in text.splitlines()
    assert fingerprint(tree) == before


def test_a_commit_is_read_as_it_is_and_not_as_the_checkout_is(rig: Rig, tree: Path) -> None:
    git = ["git", "-C", str(tree), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "toy"]):
        subprocess.run([*git, *words], check=True)
    (tree / "Kconfig").write_text("this is no Kconfig\n")
    source = resolve_source(tree, store=rig.store, commit="HEAD")

    assert "  base:2 asks for it" in why(rig, "NUMA", BASE, source=source).splitlines()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("\tdepend on SMP\n", r"Kconfig:34: .*could(?: not|n't) parse"),
        ('source "no/such/Kconfig"\n', r"Kconfig:34: .*no/such/Kconfig"),
        (
            "config A\n\tbool\n\tdepends on B\n\nconfig B\n\tbool\n\tdepends on A\n",
            "loop.*Kconfig:3[48]",
        ),
    ],
)
def test_a_kconfig_that_cannot_be_read_is_named_with_file_and_line(
    rig: Rig, tree: Path, line: str, reason: str
) -> None:
    with (tree / "Kconfig").open("a") as file:
        file.write(f"\n{line}")

    with pytest.raises(KconfigError, match=f"the tree's Kconfig cannot be read: (?s:.*){reason}"):
        why(rig, "NUMA", BASE, source=resolve_source(tree, store=rig.store))


def test_a_tarball_without_kconfig_files_is_refused(rig: Rig, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "linux-source-6.12.tar.xz", "w:xz") as tar:
        tar.add(TREE / "mm", arcname="linux-source-6.12/mm")
    source = resolve_source("debian:6.12", store=rig.store, tarballs_dir=tmp_path)

    with pytest.raises(InfraError, match="no Kconfig files in it"):
        why(rig, "NUMA", BASE, source=source)
    assert not (rig.cache / "kconfig" / source.key).exists()
