"""The command that tests the tests."""

from pathlib import Path
from typing import Final

import click
from rich.text import Text

from testbed.cli.asked import Asked, make_request
from testbed.cli.options import Commit, RunsDir, Source, Tree, example
from testbed.cli.screen import WIDTH, make_console, open_store
from testbed.core.selfcheck import MutantResult, SelfcheckReport, dump_report
from testbed.errors import InfraError, UserError
from testbed.host.project import data_dir
from testbed.pipeline import selfcheck_job
from testbed.report.selfcheck_table import (
    describe_mutant,
    render_selfcheck,
    render_selfcheck_text,
)
from testbed.terminal import LiveView

_PLAN: Final = "ci/plans/selfcheck.yaml"
_MUTANTS: Final = "patches/selfcheck"


@click.command(
    epilog=example(
        "testbed selfcheck",
        "testbed selfcheck --mutants my-mutants/ -k move_pages",
        "testbed selfcheck --mutant 'mbind-*' --all-tests",
        "testbed selfcheck --resume latest",
    )
)
@click.option(
    "--plan", type=click.Path(dir_okay=False, path_type=Path), help=f"The plan.  [{_PLAN}]"
)
@Source
@Tree
@Commit
@click.option(
    "--mutants",
    type=click.Path(path_type=Path),
    help=f"A folder of patches, each a kernel with one fault.  [{_MUTANTS}]",
)
@click.option("--mutant", "only", multiple=True, metavar="GLOB", help="Only mutants of this name.")
@click.option("--topology", "-t", "topologies", multiple=True, help="Only these topologies.")
@click.option("--select", "-k", metavar="EXPR", help="Only tests that match, as pytest -k does.")
@click.option("--all-tests", is_flag=True, help="Name every test that kills, not the first alone.")
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="The report too."
)
@click.option(
    "--resume",
    metavar="RUN",
    help="Go on with one that was cut short, with the same options: folder, id, or `latest`.",
)
@RunsDir
def selfcheck(  # noqa: PLR0913 - one argument an option
    *,
    plan: Path | None,
    source: str | None,
    tree: Path | None,
    commit: str | None,
    mutants: Path | None,
    only: tuple[str, ...],
    topologies: tuple[str, ...],
    select: str | None,
    all_tests: bool,
    json_file: Path | None,
    resume: str | None,
    runs_dir: Path,
) -> int:
    """Test the tests: they shall fail on kernels that are known to be broken.

    Each mutant is a patch with one fault. It is built and the tests are run on it, those first that
    may see it: one that passes on the base and fails on the mutant, twice, kills it. What survives
    is a fault that no test looks at.
    """
    if json_file is not None and not json_file.absolute().parent.is_dir():
        raise UserError(f"--json {json_file}: there is no folder {json_file.absolute().parent}")
    asked = Asked(plan=plan or data_dir() / _PLAN, source=source, tree=tree, commit=commit)
    request = make_request(asked, has_default_series=False, topologies=topologies, select=select)
    request = request.model_copy(update={"is_narrowed": bool(topologies)})
    wanted = selfcheck_job.SelfcheckRequest(
        run=request,
        mutants=mutants or data_dir() / _MUTANTS,
        only=only,
        all_tests=all_tests,
        resume=selfcheck_job.find_account(runs_dir.absolute(), resume) if resume else None,
    )
    console = make_console()
    with LiveView(console) as view:

        def tell(result: MutantResult, *, number: int, total: int) -> None:
            view.say(describe_mutant(result, number=number, total=total))

        report, folder = selfcheck_job.selfcheck(
            wanted,
            runs_dir=runs_dir.absolute(),
            store=open_store(view),
            observer=view,
            on_mutant=tell,
            render=lambda report: render_selfcheck_text(report, width=WIDTH),
        )
    if json_file is not None:
        _write(json_file, report)
    console.print(render_selfcheck(report), crop=False)
    console.print(Text(f"report: {folder / selfcheck_job.REPORT_FILE}"), soft_wrap=True)
    return report.exit_code


def _write(path: Path, report: SelfcheckReport) -> None:
    try:
        path.write_text(dump_report(report), encoding="utf-8")
    except OSError as err:
        raise InfraError(f"{path}: cannot be written: {err.strerror}") from err
