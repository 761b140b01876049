"""Writes the README's table of mutants from reports of `testbed selfcheck --json`.

    .venv/bin/python -m ci.mutant_table REPORT.json...

Of a mutant that is in several reports the last is told. Between the two marks of the README
everything is written anew; a mutant that no report knows ends it with an error.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import click

from ci.marked import rewrite
from testbed.core.mutant import Mutant
from testbed.core.selfcheck import MutantResult, Status, compute_score, load_report
from testbed.host.project import data_dir
from testbed.pipeline.selfcheck_job import load_mutants

BEGIN: Final = "<!-- mutants: written by ci/mutant_table.py -->"
END: Final = "<!-- end of mutants -->"
_MUTANTS: Final = "patches/selfcheck"


@click.command()
@click.argument(
    "reports", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
def main(*, reports: tuple[Path, ...]) -> None:
    """Write the table of the mutants in REPORTS, which --json of the selfcheck wrote."""
    results = {one.name: one for path in reports for one in load_report(path.read_bytes()).mutants}
    mutants = load_mutants(data_dir() / _MUTANTS)
    if missing := [one.name for one in mutants if one.name not in results]:
        raise click.ClickException(f"in none of the reports: {', '.join(missing)}")
    rewrite(data_dir() / "README.md", render(mutants, results), begin=BEGIN, end=END)


def render(mutants: Sequence[Mutant], results: Mapping[str, MutantResult]) -> Iterator[str]:
    """Return the lines: the counts, and a row a mutant."""
    told = [results[one.name] for one in mutants]
    counts = Counter(one.status for one in told)
    score = compute_score(told)
    yield ""
    yield (
        ", ".join(f"{counts[status]} {status}" for status in Status if counts[status])
        + ("" if score is None else f"; mutation score {100 * score:.4g} %")
        + "."
    )
    yield ""
    yield "<details><summary>Each mutant, and the test that killed it first</summary>"
    yield ""
    yield "| mutant | in | what is wrong | contract | came to | by |"
    yield "|---|---|---|---|---|---|"
    for mutant, result in zip(mutants, told, strict=True):
        items = ", ".join(map(str, mutant.contract))
        on = f" with {', '.join(mutant.builds_on)}" if mutant.builds_on else ""
        where = ", ".join(mutant.files) + on
        row = (mutant.name, where, mutant.subject, items, str(result.status), _tell_why(result))
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""
    yield "</details>"
    yield ""


def _tell_why(result: MutantResult) -> str:
    if result.kills:
        return f"`{result.kills[0].test}`"
    if result.status is Status.EQUIVALENT:
        return f"proof in the patch; {result.tests} tests passed"
    return result.reason or f"{result.tests} tests passed"


if __name__ == "__main__":
    sys.exit(main())
