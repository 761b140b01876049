"""The objects that `testbed check` compiles: warnings, variants, sparse."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.core.check import (
    FindingKind,
    Stage,
    decide_exit,
)
from testbed.host.builder import Builder
from testbed.host.objects import ObjectRequest
from testbed.pipeline.check import check_bench, load_variants
from testbed.pipeline.check_bench import Variant
from testbed.tests.fake_linux.check_rig import (
    RENAME,
    UNUSED_PARAMETER,
    UNUSED_VARIABLE,
    check,
    mail,
    make_bench,
    only_finding,
    write,
)
from testbed.tests.fake_linux.rig import (
    NO_SPACE_NEEDED,
    Rig,
    diff,
    edit,
    fingerprint,
)


@pytest.mark.parametrize(
    ("change", "title", "detail"),
    [
        (
            UNUSED_VARIABLE,
            "mm/mempolicy.c:6: unused variable 'unused' [-Wunused-variable]",
            "an ordinary build prints it too",
        ),
        (
            UNUSED_PARAMETER,
            "mm/migrate.c:9: unused parameter 'nid' [-Wunused-parameter]",
            "at W=1",
        ),
    ],
    ids=["ordinary", "W=1 alone"],
)
def test_a_new_warning_is_told_with_its_patch_and_its_gravity(
    rig: Rig, tmp_path: Path, change: str, title: str, detail: str
) -> None:
    harmless = edit("init/main.c", "return 0;", "return 00;")
    series = write(tmp_path / "s", mail("mm: harmless", harmless), mail("mm: warns", change))

    report = check(rig, series)

    finding = only_finding(report)
    assert finding.kind is FindingKind.WARNING
    assert (finding.patch_number, finding.title, finding.detail) == (2, title, detail)
    assert [row.warnings for row in report.patches] == [0, 1]
    assert decide_exit(report) == 1


def test_a_warning_that_the_base_has_is_no_news_when_it_moves(
    rig: Rig, tmp_path: Path, tree: Path
) -> None:
    file = tree / "mm/migrate.c"
    file.write_text(file.read_text().replace("\tpage->nid = nid;", "\tpage->nid = 0;"))
    moved = edit("mm/migrate.c", "// Toy page migration.", "// Toy page\n// migration.", tree=tree)

    report = check(rig, write(tmp_path / "s", mail("mm/migrate: x", moved)), tree=tree)

    assert report.findings == ()
    assert report.patches[0].warnings == 0


def test_a_warning_in_a_file_that_only_includes_what_is_touched_is_found(
    rig: Rig, tmp_path: Path
) -> None:
    narrower = edit("include/linux/mm.h", "\tint nid;", "\tunsigned int nid;")

    report = check(rig, write(tmp_path / "s", mail("mm: unsigned", narrower)))

    finding = only_finding(report)
    assert finding.title.startswith("mm/migrate.c:6: comparison of unsigned expression in '>= 0'")
    assert (finding.kind, finding.patch_number) == (FindingKind.WARNING, 1)
    assert (
        "warnings: besides the touched files (0), 2 that include one (header or not) are compiled"
        in report.notes
    )


def test_includers_are_bounded_and_that_is_said(rig: Rig, tmp_path: Path) -> None:
    change = edit("include/linux/mm.h", "\tint nid;", "\tint nid;\n\tint pad;")
    bench = make_bench(rig, write(tmp_path / "s", mail("mm: pad", change)))

    report = check_bench(replace(bench, max_includers=1), only={Stage.WARNINGS})

    assert any("1 of 2 that include one" in note for note in report.notes)


def test_a_warning_in_a_new_file_is_found(rig: Rig, tmp_path: Path) -> None:
    new = diff("mm/fresh.c", None, "static int unused_here;\n")
    built = edit("Makefile", "mm/migrate.o $(if", "mm/migrate.o mm/fresh.o $(if")

    report = check(rig, write(tmp_path / "s", mail("mm: fresh", new, built)))

    assert only_finding(report).title.startswith("mm/fresh.c:1: 'unused_here' defined but not used")


def test_a_touched_file_that_is_not_built_is_named_and_not_counted(
    rig: Rig, tmp_path: Path
) -> None:
    new = diff("mm/fresh.c", None, "static int unused_here;\n")

    report = check(rig, write(tmp_path / "s", mail("mm: fresh", new)))

    assert report.findings == ()
    assert "not built with the plan's kconfig, and so not compiled: mm/fresh.c" in report.notes


def test_a_file_whose_name_make_would_run_is_not_given_to_it(rig: Rig, tmp_path: Path) -> None:
    name = "mm/$(shell${IFS}touch${IFS}pwned).c"
    series = write(tmp_path / "s", mail("mm: evil", diff(name, None, "int x;\n")))

    report = check(rig, series, only={Stage.WARNINGS, Stage.VARIANTS})

    assert report.findings == ()
    assert any("not built with the plan's kconfig" in note for note in report.notes)
    assert not list(tmp_path.rglob("pwned"))


def test_a_series_of_prose_compiles_nothing(rig: Rig, tmp_path: Path) -> None:
    rig.build()
    prose = diff("Documentation/x.rst", None, "Words.\n")

    report = check(
        rig, write(tmp_path / "s", mail("doc: x", prose)), only={Stage.WARNINGS, Stage.VARIANTS}
    )

    assert rig.compiled == []
    assert report.notes == (
        "warnings: the patches touch no file that is compiled",
        "variants: the patches touch no file that is compiled",
    )


def test_a_variant_that_no_longer_compiles_is_found(rig: Rig, tmp_path: Path) -> None:
    """Only with NUMA there is a declaration; without it the base compiles the file as well."""
    guarded = edit(
        "include/linux/mm.h",
        "int policy_node(int nid);",
        "#ifdef CONFIG_NUMA\nint policy_node(int nid);\n#endif",
    )
    use = edit("mm/migrate.c", "page->nid = nid;", "page->nid = policy_node(nid);")

    report = check(rig, write(tmp_path / "s", mail("mm: guard", guarded), mail("mm: use", use)))

    finding = only_finding(report)
    assert finding.kind is FindingKind.VARIANT
    assert finding.patch_number == 2
    assert finding.title.startswith(
        "!NUMA: a new warning: mm/migrate.c:11: implicit declaration of function 'policy_node'"
    )
    numa, i386 = report.variants
    assert (numa.findings, numa.known, i386.findings) == (1, 0, 0)
    assert decide_exit(report) == 1


def test_a_failure_on_32_bits_is_found(rig: Rig, tmp_path: Path) -> None:
    check_size = edit(
        "mm/migrate.c",
        "#include <linux/mm.h>",
        '#include <linux/mm.h>\n_Static_assert(sizeof(long) == 8, "long is long");',
    )

    report = check(rig, write(tmp_path / "s", mail("mm/migrate: assume", check_size)))

    finding = only_finding(report)
    assert finding.title.startswith("32-bit: does not compile: mm/migrate.c:3: error: static ")
    assert [(one.name, one.findings) for one in report.variants] == [("!NUMA", 0), ("32-bit", 1)]


def test_what_is_broken_without_the_series_is_told_and_not_counted(
    rig: Rig, tmp_path: Path, tree: Path
) -> None:
    file = tree / "mm/migrate.c"
    file.write_text(f'{file.read_text()}_Static_assert(sizeof(long) == 8, "long is long");\n')
    change = edit("mm/migrate.c", "nid >= 0;", "nid > -1;", tree=tree)

    report = check(rig, write(tmp_path / "s", mail("mm/migrate: x", change)), tree=tree)

    assert report.findings == ()
    _numa, i386 = report.variants
    assert (i386.known, i386.findings) == (1, 0)


def test_a_file_that_is_off_in_a_variant_is_not_counted_as_checked(
    rig: Rig, tmp_path: Path
) -> None:
    change = edit("mm/mempolicy.c", "return nid;", "return nid + 0;")

    report = check(rig, write(tmp_path / "s", mail("mm/mempolicy: x", change)))

    numa, i386 = report.variants
    assert (numa.files, numa.not_built) == (0, ("mm/mempolicy.c",))
    assert (i386.files, i386.not_built) == (1, ())


def test_what_is_found_in_the_plans_own_configuration_is_not_told_again_for_each_variant(
    rig: Rig, tmp_path: Path
) -> None:
    report = check(rig, write(tmp_path / "s", mail("mm/migrate: warns", UNUSED_PARAMETER)))

    assert only_finding(report).kind is FindingKind.WARNING


def test_a_variant_whose_option_stays_on_is_told(rig: Rig, tmp_path: Path) -> None:
    bench = make_bench(rig, write(tmp_path / "s", mail("mm/migrate: x", RENAME)))
    stubborn = Variant(
        name="!MEMORY_FAILURE",
        fragments=(("x", "CONFIG_X86_MCE=y\n# CONFIG_ARCH_SUPPORTS_MEMORY_FAILURE is not set\n"),),
    )

    report = check_bench(replace(bench, variants=(stubborn,)), only={Stage.VARIANTS})

    assert report.notes == (
        "!MEMORY_FAILURE: CONFIG_ARCH_SUPPORTS_MEMORY_FAILURE stays on, whatever the fragment says",
    )


@pytest.fixture
def sparse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A toy of sparse: it knows one thing."""
    program = tmp_path / "bin/sparse"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\nfor file; do :; done\n"
        'grep -n __user "$file" | sed "s|^\\([0-9]*\\):.*|$file:\\1:1: warning: user|" >&2\n'
    )
    program.chmod(0o755)
    path = f"{program.parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    monkeypatch.setenv("PATH", path)
    return program


def test_sparse_is_run_where_it_is_installed(rig: Rig, tmp_path: Path, sparse: Path) -> None:
    change = edit("mm/migrate.c", "nid >= 0;", "nid >= 0; // __user")
    series = write(tmp_path / "s", mail("mm/migrate: x", change))

    report = check(rig, series, only={Stage.SPARSE})

    finding = only_finding(report)
    assert (finding.kind, finding.patch_number) == (FindingKind.SPARSE, 1)
    assert finding.title == "mm/migrate.c:6: user"
    assert decide_exit(report) == 0


def test_what_sparse_says_of_the_base_is_no_news(
    rig: Rig, tmp_path: Path, tree: Path, sparse: Path
) -> None:
    file = tree / "mm/migrate.c"
    file.write_text(f"{file.read_text()}// __user\n")
    change = edit("mm/migrate.c", "nid >= 0;", "nid >\n\t\t-1;", tree=tree)

    report = check(
        rig, write(tmp_path / "s", mail("mm/migrate: x", change)), only={Stage.SPARSE}, tree=tree
    )

    assert report.findings == ()


def test_another_sparse_is_asked_again(rig: Rig, tmp_path: Path, sparse: Path) -> None:
    change = edit("mm/migrate.c", "nid >= 0;", "nid >= 0; // __user")
    series = write(tmp_path / "s", mail("mm/migrate: x", change))
    check(rig, series, only={Stage.SPARSE})
    sparse.write_text("#!/bin/sh\n")

    assert check(rig, series, only={Stage.SPARSE}).findings == ()


def test_a_missing_sparse_is_said_once(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testbed.pipeline.check_objects.identify_checker", lambda _name: "")

    report = check(rig, write(tmp_path / "s", mail("mm/migrate: x", RENAME)), only={Stage.SPARSE})

    assert report.notes == ("sparse: not installed (`apt-get install sparse`), so not run",)


def test_objects_of_a_state_never_mix_with_those_of_another(rig: Rig, tmp_path: Path) -> None:
    """Objects of the base after those of a series: what the series said must not be told."""
    bench = make_bench(rig, write(tmp_path / "s", mail("mm/mempolicy: x", UNUSED_VARIABLE)))
    targets = ("mm/mempolicy.o",)
    builder = bench.make_builder("x")
    patched = builder.compile(ObjectRequest(build=bench.request_at(1), targets=targets))
    shutil.rmtree(rig.work / "objects/outcomes")

    base = builder.compile(ObjectRequest(build=bench.request_at(0), targets=targets))

    assert any("unused" in line for line in patched.lines)
    assert not any("unused" in line for line in base.lines)
    assert (patched.built, base.built) == (targets, targets)


def test_ctrl_c_while_objects_are_compiled_leaves_the_source_as_it_was(
    rig: Rig, tmp_path: Path
) -> None:
    bench = make_bench(rig, write(tmp_path / "s", mail("mm/mempolicy: x", UNUSED_VARIABLE)))
    request = ObjectRequest(build=bench.request_at(1), targets=("mm/mempolicy.o",))
    rig.build()
    before = fingerprint(rig.work / "src")

    def interrupt(_compiled: int, line: str) -> None:
        if "CC" in line:
            raise KeyboardInterrupt

    interrupted = Builder(
        rig.store,
        say=rig.said.append,
        on_progress=interrupt,
        tarballs_dir=rig.tarballs,
        space_need=NO_SPACE_NEEDED,
    )
    with pytest.raises(KeyboardInterrupt):
        interrupted.compile(request)

    assert fingerprint(rig.work / "src") == before
    after = bench.make_builder("x").compile(request)
    assert not after.is_cached
    assert any("unused" in line for line in after.lines)


def test_each_variant_turns_off_what_it_is_called_by() -> None:
    variants = {one.name: one for one in load_variants()}

    for name in ("NUMA", "MIGRATION", "MEMORY_HOTPLUG", "SWAP"):
        ((_, text),) = variants[f"!{name}"].fragments
        assert f"# CONFIG_{name} is not set" in text.splitlines()
        assert variants[f"!{name}"].arch == "x86_64"
    assert variants["32-bit"].arch == "i386"


def test_only_the_wanted_objects_are_compiled_and_each_says_its_word_again(
    rig: Rig, tmp_path: Path
) -> None:
    bench = make_bench(rig, write(tmp_path / "s", mail("mm/mempolicy: x", UNUSED_VARIABLE)))
    request = ObjectRequest(build=bench.request_at(1), targets=("mm/mempolicy.o",))
    builder = bench.make_builder("x")
    first = builder.compile(request)
    shutil.rmtree(rig.work / "objects/outcomes")
    rig.lines.clear()

    again = builder.compile(request)

    assert rig.compiled == ["mm/mempolicy.o"]
    assert again == first
    assert not again.is_cached
    rig.lines.clear()
    assert builder.compile(request) == replace(again, is_cached=True)
    assert rig.compiled == []
