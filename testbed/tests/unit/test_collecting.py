"""How guest tests are collected: what they declare becomes markers, and can be asked for."""

import sys
from pathlib import Path

import pytest

from testbed.core.declared import CoverageCell, Declared, DeclaredTest, load_tests
from testbed.host import proc
from testbed.host.project import data_dir

C_TEST = """\
/*
 * A test.
 *
 * testbed:
 *   kconfig: [NUMA]
 *   quick: [mbind.move]
 *   contract: {5: ["mbind.*"]}
 *   promises: {addresses-kept: [mbind.move]}
 *   covers:
 *     - {cases: mbind.hole, interface: mbind-move, backing: thp, condition: hole}
 *   known:
 *     - {cases: "*.hole", kernels: "<6.7", why: it is another, commit: 5d4af6195c87}
 */
"""
PY_TEST = """\
import pytest


@pytest.mark.quick
@pytest.mark.covers(interface="mbind-move", backing=["thp", "ksm"], condition="quiet")
@pytest.mark.covers(contract=[9], promises="steps-in-order")
@pytest.mark.known(kernels=">=6.1", why="it is so", commit="6.1")
def test_b():
    raise AssertionError("not to be run")


def test_c():
    raise AssertionError("not to be run")
"""
# What kselftest_harness.h prints for -l, as testbed.core.case_list describes it.
LISTING = "{:<20} {:<25} {}\\n".format
PROGRAM = "#!/bin/sh\nprintf '" + LISTING("mbind", "", "move") + LISTING("", "", "hole") + "'\n"


class Suite:
    """A folder of guest tests, and an image with their programs."""

    def __init__(self, folder: Path) -> None:
        self.tests, self.image = folder / "tests", folder / "image"
        programs = self.image / "programs/tests/mempolicy"
        programs.mkdir(parents=True)
        (self.image / "initrd.cpio").write_bytes(b"")
        (programs / "mbind").write_text(PROGRAM)
        (programs / "mbind").chmod(0o755)
        (self.tests / "mempolicy").mkdir(parents=True)
        (self.tests / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
        self.write(C_TEST, PY_TEST)
        self.declared = folder / "declared.json"

    def write(self, c_test: str, py_test: str) -> None:
        (self.tests / "mempolicy/mbind.c").write_text(c_test)
        (self.tests / "test_a.py").write_text(py_test)

    def collect(self, *options: str) -> proc.Completed:
        argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-c", "pytest.ini"]
        argv += ["--guest-image", str(self.image), "--declared", str(self.declared)]
        env = {"PYTHONPATH": str(data_dir()), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}
        return proc.run([*argv, *options], cwd=self.tests, env=env, check=False, timeout_s=60)

    def read(self) -> dict[str, DeclaredTest]:
        return {test.id: test for test in load_tests(self.declared.read_text())}


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(tmp_path)


def test_what_is_declared_is_told_and_nothing_is_run(suite: Suite) -> None:
    done = suite.collect()
    assert done.returncode == 0, done.output
    tests = suite.read()
    assert list(tests) == [
        "mempolicy/mbind.c::mbind.move",
        "mempolicy/mbind.c::mbind.hole",
        "test_a.py::test_b",
        "test_a.py::test_c",
    ]
    move, hole, b, c = (test.declared for test in tests.values())
    assert (move.is_quick, move.contract, move.promises) == (True, (5,), ("addresses-kept",))
    assert (hole.is_quick, hole.contract, hole.promises) == (False, (5,), ())
    assert hole.cells == {
        CoverageCell(interface="mbind-move", backing="thp", condition="hole"),
    }
    assert [str(known) for known in hole.known] == ["it is another (5d4af6195c87)"]
    assert (b.is_quick, b.contract, b.promises) == (True, (9,), ("steps-in-order",))
    assert {cell.backing for cell in b.cells} == {"thp", "ksm"}
    assert b.find_known("6.12.117") is not None
    assert c == Declared()


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        (("-m", "quick"), ["mempolicy/mbind.c::mbind.move", "test_a.py::test_b"]),
        (("-m", "not quick"), ["mempolicy/mbind.c::mbind.hole", "test_a.py::test_c"]),
        (("-m", "quick", "-k", "mbind"), ["mempolicy/mbind.c::mbind.move"]),
    ],
)
def test_quick_is_a_mark_of_pytests(
    suite: Suite, options: tuple[str, ...], chosen: list[str]
) -> None:
    assert suite.collect(*options).returncode == 0
    assert list(suite.read()) == chosen


@pytest.mark.parametrize(
    ("c_test", "py_test", "said"),
    [
        (
            C_TEST.replace("quick: [mbind.move]", "quick: [mbind.mvoe]"),
            PY_TEST,
            "mempolicy/mbind.c: key 'testbed.quick[0]': 'mbind.mvoe' fits no case of this file",
        ),
        (
            C_TEST.replace("interface: mbind-move", "interface: mbind"),
            PY_TEST,
            "mempolicy/mbind.c: key 'interface': 'mbind' will not do; allowed: mbind-move, ",
        ),
        (
            C_TEST.replace("{5:", "{50:"),
            PY_TEST,
            "mempolicy/mbind.c: key 'contract': 50 will not do; allowed: 1, 2, ",
        ),
        (
            C_TEST,
            PY_TEST.replace("steps-in-order", "steps"),
            "test_a.py::test_b: key 'promises': 'steps' will not do; allowed: addresses-kept",
        ),
        (
            C_TEST,
            PY_TEST.replace(">=6.1", "6.1"),
            "test_a.py::test_b: marker 'known': key 'kernels': '6.1' will not do: bounds are",
        ),
        (C_TEST, PY_TEST.replace("mark.quick", "mark.quik"), "'quik' not found in `markers`"),
    ],
)
def test_a_wrong_declaration_is_told_in_a_line(
    suite: Suite, c_test: str, py_test: str, said: str
) -> None:
    suite.write(c_test, py_test)
    done = suite.collect()
    assert done.returncode != 0
    assert any(said in line for line in done.output.splitlines()), done.output
    assert "Traceback" not in done.output


def test_a_test_that_is_asked_what_it_declares_needs_an_image(suite: Suite) -> None:
    done = suite.collect("--guest-image", "")
    assert done.returncode == 4
    assert "--guest-image must go with --declared" in done.output
