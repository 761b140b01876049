"""The README's table tells what came of each mutant that there is, and that all were killed."""

import re
from typing import Final

from testbed.core.mutant import Mutant
from testbed.host.project import data_dir
from testbed.pipeline.selfcheck_job import load_mutants

BEGIN: Final = "<!-- mutants: written by ci/mutant_table.py -->"
END: Final = "<!-- end of mutants -->"
_ROW: Final = re.compile(r"^\| (?P<name>[\w-]+) \|.* \| (?P<status>[\w ]+) \| .+ \|$")


def read_table() -> dict[str, str]:
    """Give the mutants of the README and what came of each."""
    text = (data_dir() / "README.md").read_text(encoding="utf-8")
    lines = text.partition(BEGIN)[2].partition(END)[0].splitlines()
    rows = [match for line in lines if (match := _ROW.match(line))]
    return {row["name"]: row["status"] for row in rows if row["name"] != "mutant"}


def wanted(mutant: Mutant) -> str:
    return "equivalent" if mutant.equivalent else "killed"


def test_each_mutant_is_told_and_was_killed_or_is_proven_equivalent() -> None:
    mutants = load_mutants(data_dir() / "patches/selfcheck")
    assert read_table() == {mutant.name: wanted(mutant) for mutant in mutants}
