"""Each issue that a guest test declares is written down, and each written down is declared."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from testbed.core.needs import parse_needs
from testbed.host import catalog

ROOT: Final = catalog.guest_tests_dir()
FOLDER: Final = ROOT / "known-issues"
PARTS: Final = ("Kernels", "What happens", "Reproducer", "Source", "Status")
UNDECLARED: Final = "No test declares it"

_NAMED: Final = re.compile(r"^known-issues/([a-z0-9-]+\.md)\b")
_LINK: Final = re.compile(r"^\| \[([a-z0-9-]+)\]\(\1\.md\) \|.*\| ([\w/., ]+) \|$", re.MULTILINE)
_PART: Final = re.compile(r"^- \*\*([^*]+)\*\*:\s+(?!- )\S", re.MULTILINE)


def list_commits() -> Iterator[tuple[str, str]]:
    """Give (test file, ``commit``) of every declaration of the guest tests."""
    for name in catalog.list_catalog().tests:
        path = ROOT / name
        if path.suffix == ".c":
            declared = parse_needs(path.read_text(encoding="utf-8"), filename=name).declared
            yield from ((name, known.commit) for known in declared.known)
        elif path.suffix == ".py":
            yield from ((name, commit) for commit in list_marker_commits(path))


def list_marker_commits(path: Path) -> Iterator[str]:
    """Give ``commit`` of every ``pytest.mark.known(...)`` in a Python test."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.known":
            keywords = {keyword.arg: keyword.value for keyword in node.keywords}
            yield ast.literal_eval(keywords["commit"])


DECLARED: Final = tuple(list_commits())
ISSUES: Final = tuple(sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md"))


def find_declaring(issue: str) -> set[str]:
    """Return the test files that declare the issue written down in that file."""
    named = ((name, _NAMED.match(commit)) for name, commit in DECLARED)
    return {name for name, match in named if match is not None and match[1] == issue}


def test_there_are_declarations_in_c_and_in_python() -> None:
    assert {Path(name).suffix for name, _ in DECLARED} == {".c", ".py"}


@pytest.mark.parametrize(("name", "commit"), DECLARED)
def test_a_declaration_names_a_file_that_is_there(name: str, commit: str) -> None:
    match = _NAMED.match(commit)
    assert match is not None, f"{name}: 'commit: {commit}' does not begin with known-issues/*.md"
    assert (FOLDER / match[1]).is_file(), f"{name}: there is no known-issues/{match[1]}"


@pytest.mark.parametrize("issue", ISSUES, ids=lambda path: path.stem)
def test_an_issue_is_declared_or_says_that_it_is_not(issue: Path) -> None:
    says_none = UNDECLARED in " ".join(issue.read_text(encoding="utf-8").split())
    assert bool(find_declaring(issue.name)) != says_none


@pytest.mark.parametrize("issue", ISSUES, ids=lambda path: path.stem)
def test_an_issue_has_its_parts_in_order(issue: Path) -> None:
    text = issue.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert tuple(_PART.findall(text)) == PARTS


def test_the_table_lists_each_issue_and_who_declares_it() -> None:
    rows = _LINK.findall((FOLDER / "README.md").read_text(encoding="utf-8"))
    told = {stem: set() if tests == "none" else set(tests.split(", ")) for stem, tests in rows}
    assert len(rows) == len(told)
    assert told == {issue.stem: find_declaring(issue.name) for issue in ISSUES}
