"""A test's needs are read strictly: whatever is not understood is an error that says where."""

from pathlib import Path

import pytest

from testbed.core.needs import (
    FileNeeds,
    Needs,
    allow_time,
    list_options,
    parse_marker_needs,
    parse_needs,
)
from testbed.errors import PlanError
from testbed.host.catalog import NO_SUITES
from testbed.host.project import data_dir

FULL = """\
// SPDX-License-Identifier: GPL-2.0-only
/* Another comment. */
/*
 * mbind(2): where pages go.
 *
 * testbed:
 *   nodes: 2                 # nodes that have memory at boot
 *   dimm_slots: 1
 *   virtio_mem: 2
 *   swap_mib: 64
 *   tiers: 2
 *   kconfig: [NUMA, MIGRATION]
 *   features: [migrate-reasons]
 *   timeout_s: 20
 *   cases:
 *     global.three_nodes: {nodes: 3, kconfig: [KSM, NUMA]}
 *     mbind.shared.slow: {timeout_s: 120.5, features: [other], dimm_slots: 0, tiers: 1}
 */
#include <numaif.h>
/* testbed: not this one */
"""


def parse(*lines: str) -> FileNeeds:
    text = "".join(f" * {line}\n" for line in lines)
    return parse_needs(f"/*\n * A test.\n{text} */\n", filename="mbind.c")


def error_of(*lines: str) -> str:
    with pytest.raises(PlanError) as caught:
        parse(*lines)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_file_and_its_cases() -> None:
    needs = parse_needs(FULL, filename="mbind.c")
    common = Needs(
        nodes=2,
        dimm_slots=1,
        virtio_mem=2,
        swap_mib=64,
        tiers=2,
        kconfig=("NUMA", "MIGRATION"),
        features=("migrate-reasons",),
        timeout_s=20.0,
    )
    assert needs.common == needs.for_case("global.other") == common
    assert needs.for_case("global.three_nodes") == common.model_copy(
        update={"nodes": 3, "kconfig": ("NUMA", "MIGRATION", "KSM")}
    )
    assert needs.for_case("mbind.shared.slow") == common.model_copy(
        update={
            "timeout_s": 120.5,
            "features": ("migrate-reasons", "other"),
            "dimm_slots": 0,
            "tiers": 1,
        }
    )


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("prefix", [" * ", "   ", "* ", " *  "])
def test_form_of_the_comment_does_not_matter(end: str, prefix: str) -> None:
    lines = ["/*", f"{prefix}testbed:", f"{prefix}  nodes: 3", " */", "int x;"]
    assert parse_needs(end.join(lines), filename="a.c").common == Needs(nodes=3)


def test_no_keys_are_the_defaults() -> None:
    assert parse("testbed: {}").common == Needs()


@pytest.mark.parametrize(
    "source",
    [
        "",
        "int main(void) { return 0; }",
        "/* A test. */\nint x;",
        "// testbed:\n//   nodes: 2\nint x;",
        "int x;\n/*\n * testbed:\n *   nodes: 2\n */",
        "/* never ends\n * testbed:\n *   nodes: 2\n",
        "/* about the testbed: nothing */",
    ],
)
def test_file_without_a_block_is_told_what_to_write(source: str) -> None:
    with pytest.raises(PlanError, match=r"^a\.c: the top comment has no line 'testbed:'.*nodes: 2"):
        parse_needs(source, filename="a.c")


@pytest.mark.parametrize(
    ("lines", "parts"),
    [
        (
            ["testbed:", "  node: 2"],
            ["testbed.node", "allowed here: nodes, memoryless, empty_nodes", "cases"],
        ),
        (["testbed:", "  nodes: two"], ["testbed.nodes", "'two'", "integer"]),
        (["testbed:", "  nodes: 2.5"], ["testbed.nodes", "2.5"]),
        (["testbed:", "  nodes: yes"], ["testbed.nodes", "True"]),
        (["testbed:", "  nodes: 0"], ["testbed.nodes", "0", "greater than or equal to 1"]),
        (["testbed:", "  nodes: 65"], ["testbed.nodes", "65"]),
        (["testbed:", "  dimm_slots: -1"], ["testbed.dimm_slots", "-1"]),
        (["testbed:", "  virtio_mem: 17"], ["testbed.virtio_mem", "17", "16"]),
        (["testbed:", "  swap_mib: 1G"], ["testbed.swap_mib", "'1G'", "integer"]),
        (["testbed:", "  tiers: 0"], ["testbed.tiers", "greater than or equal to 1"]),
        (["testbed:", "  kconfig: NUMA"], ["testbed.kconfig", "'NUMA'"]),
        (["testbed:", "  kconfig: [CONFIG_NUMA]"], ["testbed.kconfig[0]", "without CONFIG_: NUMA"]),
        (["testbed:", "  kconfig: [NUMA=y]"], ["testbed.kconfig[0]", "'NUMA=y'"]),
        (["testbed:", "  kconfig: [NUMA, no]"], ["testbed.kconfig[1]", "False"]),
        (["testbed:", "  features: [Big One]"], ["testbed.features[0]", "'Big One'"]),
        (["testbed:", "  timeout_s: 0"], ["testbed.timeout_s", "greater than 0"]),
        (["testbed:", "  timeout_s: '20'"], ["testbed.timeout_s", "'20'"]),
        (["testbed:", "  timeout_s: .nan"], ["testbed.timeout_s", "nan"]),
        (["testbed:", "  timeout_s: 20000"], ["testbed.timeout_s", "3600"]),
        (["testbed:", "  cases: {global.x: {node: 3}}"], ["testbed.cases.global.x.node", "nodes"]),
        (["testbed:", "  cases: {global.x: {nodes: a}}"], ["testbed.cases.global.x.nodes", "'a'"]),
        (["testbed:", "  cases: {x: {nodes: 3}}"], ["testbed.cases.x", "pattern"]),
        (["testbed:", "  cases: [global.x]"], ["testbed.cases", "global.x"]),
        (["testbed:", "  nodes: 2", "  nodes: 3"], ["mbind.c:5", "given twice"]),
        (["testbed:", "  nodes: [2"], ["mbind.c:", "not YAML"]),
        (["testbed:", "\tnodes: 2"], ["mbind.c:4", "tab"]),
        (["testbed:", "nodes: 2"], ["testbed", "None"]),
        (["testbed: {}", "nodes: 2"], ["'nodes'", "allowed here: testbed"]),
        (["testbed:"], ["testbed", "None"]),
        (["testbed: 5"], ["testbed", "5"]),
        (["testbed:", "  nodes: 2", "", "testbed:", "  nodes: 3"], ["two lines 'testbed:'"]),
    ],
)
def test_what_is_not_understood_is_one_line_that_says_where(
    lines: list[str], parts: list[str]
) -> None:
    message = error_of(*lines)
    assert message.startswith("mbind.c")
    for part in parts:
        assert part in message


def test_case_that_does_not_exist_is_an_error() -> None:
    needs = parse("testbed:", "  cases: {global.a: {nodes: 2}, global.thre: {nodes: 3}}")
    needs.check_cases(["global.a", "global.thre", "global.b"])
    with pytest.raises(PlanError) as caught:
        needs.check_cases(["global.a", "global.three"])
    assert str(caught.value) == (
        "mbind.c: key 'testbed.cases': 'global.thre' is no case of this file; "
        "its cases: global.a, global.three"
    )
    with pytest.raises(PlanError, match=r"its cases: none$"):
        needs.check_cases([])


def test_cases_may_be_meant_by_a_glob_and_the_last_has_the_last_word() -> None:
    needs = parse(
        "testbed:",
        "  nodes: 2",
        '  cases: {"v1.*": {nodes: 3, kconfig: [CPUSETS_V1]}, v1.four: {nodes: 4}}',
    )
    assert needs.for_case("v1.three").nodes == 3
    assert needs.for_case("v1.four").nodes == 4
    assert needs.for_case("v1.four").kconfig == ("CPUSETS_V1",)
    assert needs.for_case("v2.three").nodes == 2
    with pytest.raises(PlanError, match=r"'v1\.\*' is no case of this file"):
        needs.check_cases(["v1.four.x", "v2.three"][1:])


@pytest.mark.parametrize(
    ("release", "wanted"),
    [
        ("6.12.117", ("NUMA", "CPUSETS_V1")),
        ("6.13.0-rc1", ("NUMA", "CPUSETS_V1")),
        ("", ("NUMA", "CPUSETS_V1")),
        ("6.11.9", ("NUMA",)),
        ("6.1.176", ("NUMA",)),
    ],
)
def test_an_option_is_asked_of_the_kernels_that_can_have_it(
    release: str, wanted: tuple[str, ...]
) -> None:
    needs = Needs(kconfig=("NUMA", "CPUSETS_V1 since 6.12"))
    assert list_options(needs, release=release) == wanted


def test_marker_of_a_python_test() -> None:
    keywords = {
        "nodes": 2,
        "dimm_slots": 1,
        "kconfig": ["NUMA"],
        "features": ("a",),
        "timeout_s": 9,
    }
    assert parse_marker_needs(keywords, filename="test_a.py::b") == Needs(
        nodes=2, dimm_slots=1, kconfig=("NUMA",), features=("a",), timeout_s=9.0
    )
    assert parse_marker_needs({}, filename="test_a.py::b") == Needs()
    with pytest.raises(
        PlanError, match=r"^test_a\.py::b: marker 'needs': unknown key 'node'; allowed here: nodes"
    ):
        parse_marker_needs({"node": 2}, filename="test_a.py::b")


GUEST_TESTS = data_dir() / "guest-tests"
PROGRAMS = sorted(
    path
    for path in GUEST_TESTS.rglob("*.c")
    if path.relative_to(GUEST_TESTS).parts[0] not in NO_SUITES
)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_every_c_test_of_this_project_says_what_the_kernel_must_have(path: Path) -> None:
    assert parse_needs(path.read_text(encoding="utf-8"), filename=path.name).common.kconfig


def test_a_case_has_more_time_on_a_slow_kernel() -> None:
    assert allow_time(Needs(nodes=2, timeout_s=30), slowness=4) == Needs(nodes=2, timeout_s=120)
