"""The command line: its errors are one line, its exit codes are the documented ones."""

import os
import pty
import sys
from pathlib import Path

import pytest

from testbed.cli import cli
from testbed.cli.asked import Asked, make_request
from testbed.host import proc

PLAN = "kconfig: [base]\ntopologies: [two-nodes]\ntests: [migrate]\n"
COMMANDS = tuple(cli.commands)


def call(*arguments: str, folder: Path, **env: str) -> proc.Completed:
    return proc.run(
        [sys.executable, "-m", "testbed", *arguments],
        cwd=folder,
        env={"TESTBED_CACHE": str(folder / "cache"), **env},
        check=False,
        timeout_s=60,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example(command: str, tmp_path: Path) -> None:
    done = call(command, "--help", folder=tmp_path)
    assert done.returncode == 0
    assert f"Example:\n    testbed {command}" in done.output


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (PLAN + "parallell: 2\n", "unknown key 'parallell'; allowed here: about, source"),
        (PLAN + "parallel: two\n", "key 'parallel': 'two' will not do"),
        (PLAN.replace("two-nodes", "tow-nodes"), "is no topology (did you mean two-nodes?)"),
        (PLAN + "series: [patches/none]\n", "'patches/none' is no series"),
        (PLAN + "series:\n\t- x\n", "this line has a tab"),
        (PLAN.replace("[base]", "[bass]"), "'bass' is no kconfig fragment (did you mean base?)"),
    ],
)
def test_a_bad_plan_is_one_line_and_exit_2(plan: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "Plan mit ä.yaml"
    file.write_text(plan)
    done = call("run", "--plan", str(file), folder=tmp_path)
    assert done.returncode == 2
    assert done.output.startswith(f"testbed: {file}:")
    assert said in done.output
    assert done.output.count("\n") == 1
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "runs").exists()


def test_an_unknown_series_or_topology_on_the_command_line_is_exit_2(tmp_path: Path) -> None:
    done = call("run", "--series", "nowhere", folder=tmp_path)
    assert (done.returncode, done.output.count("\n")) == (2, 1)
    assert "'nowhere' is no series" in done.output
    done = call("run", "-t", "ten-nodes", folder=tmp_path)
    assert (done.returncode, done.output.count("\n")) == (2, 1)
    assert "'ten-nodes' is no topology" in done.output
    done = call("run", "--kconfig", "kasann", folder=tmp_path)
    assert (done.returncode, done.output.count("\n")) == (2, 1)
    assert "'kasann' is no kconfig fragment (did you mean kasan?)" in done.output


def test_a_fragment_of_the_command_line_goes_behind_the_plan_s(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(PLAN)
    asked = Asked(plan=tmp_path / "plan.yaml", fragments=("kasan", "base"))
    assert make_request(asked).plan.kconfig == ("base", "kasan")


@pytest.mark.parametrize(
    "others",
    [
        ["-k", "mbind"],
        ["-m", "quick"],
        ["--no-series"],
        ["-t", "two-nodes"],
        ["--source", "debian:6.1"],
    ],
)
def test_resume_goes_alone(others: list[str], tmp_path: Path) -> None:
    done = call("run", "--resume", "latest", *others, folder=tmp_path)
    assert (done.returncode, done.output.count("\n")) == (2, 1)
    assert done.output.startswith("testbed: --resume goes alone: ")


@pytest.mark.parametrize("name", ["latest", "20260314-120000-quick"])
def test_a_run_that_is_not_there_cannot_be_resumed(name: str, tmp_path: Path) -> None:
    done = call("run", "--resume", name, folder=tmp_path)
    assert (done.returncode, done.output.count("\n")) == (2, 1)
    assert "no run to resume" in done.output


def test_a_run_that_is_finished_cannot_be_resumed(tmp_path: Path) -> None:
    folder = tmp_path / "runs/20260314-120000-quick"
    folder.mkdir(parents=True)
    for name in ("request.json", "record.json"):
        (folder / name).write_text("{}")
    done = call("run", "--resume", "latest", folder=tmp_path)
    assert (done.returncode, done.output.count("\n")) == (2, 1)
    assert done.output == f"testbed: {folder}: this run is finished: there is nothing to resume\n"


def test_an_unknown_option_is_exit_2(tmp_path: Path) -> None:
    assert call("run", "--fast", folder=tmp_path).returncode == 2


def test_a_missing_qemu_is_exit_69_before_anything_is_built(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("setpriv", "sh", "git"):
        (tools / name).symlink_to(proc.find_tool(name))
    done = call("run", folder=tmp_path, PATH=str(tools))
    assert done.returncode == 69
    assert "qemu-system-x86_64 is not installed: `testbed doctor`" in done.output
    assert not (tmp_path / "cache/work").exists()


def test_a_patch_that_leaves_the_tree_is_exit_2(tmp_path: Path) -> None:
    series = tmp_path / "hostile"
    series.mkdir()
    (series / "series").write_text("0001-x.patch\n")
    (series / "0001-x.patch").write_text(
        "From: x\nSubject: [PATCH] x\n\n---\n"
        "diff --git a/../../outside b/../../outside\nnew file mode 100644\n"
        "--- /dev/null\n+++ b/../../outside\n@@ -0,0 +1 @@\n+gotcha\n-- \n2.39.5\n"
    )
    done = call("run", "--series", str(series), folder=tmp_path)
    assert done.returncode == 2
    assert "0001-x.patch" in done.output
    assert "../../outside" in done.output
    assert not (tmp_path / "cache/work").exists()


def test_a_reader_that_goes_away_is_no_bug(tmp_path: Path) -> None:
    command = f"{sys.executable} -m testbed list tests | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = proc.run(["bash", "-c", command], cwd=tmp_path, env=dict(os.environ))
    assert "a bug of the testbed" not in done.output


def test_an_error_brings_no_escape_sequence_to_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "series").write_text("a\x1b[31mb.patch\na\x1b[31mb.patch\n")
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen, os.fdopen(theirs, "wb") as terminal:
        command = [sys.executable, "-m", "testbed", "check", "--series", str(tmp_path)]
        process = proc.start(command, cwd=tmp_path, stdout=terminal, stderr=terminal)
        said = b""
        while b"listed twice" not in said:
            said += screen.read(1 << 12)
        assert process.wait(30) == 2
    assert b"b.patch is listed twice" in said
    assert b"\x1b[31m" not in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("series", "--coverage"), "testbed: --coverage is of tests: `testbed list tests --cov"),
        (("tests", "--open"), "testbed: --open and --json go with --coverage"),
        (("tests", "--json"), "testbed: --open and --json go with --coverage"),
    ],
)
def test_coverage_is_of_tests(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = call("list", *words, folder=tmp_path)
    assert (done.returncode, done.output.count("\n")) == (2, 1)
    assert done.output.startswith(said)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--mutants", "nowhere"], "nowhere: no such folder; --mutants is one of *.patch files"),
        (["--mutants", "."], "holds no mutant: neither a *.patch file nor a series' folder"),
        (["--mutant", "no-such-*"], "--mutant no-such-*: none is called so; there are: "),
        (["--commit", "v6.12"], "are about a tree of yours: add --tree DIR"),
        (["--resume", "latest"], "no selfcheck to resume: none under "),
        (["--json", "no/such/file"], "--json no/such/file: there is no folder "),
        (["-t", "ten-nodes"], "'ten-nodes' is no topology"),
    ],
)
def test_a_selfcheck_that_cannot_be_is_one_line_and_exit_2(
    options: list[str], said: str, tmp_path: Path
) -> None:
    done = call("selfcheck", *options, folder=tmp_path)
    assert (done.returncode, done.output.count("\n")) == (2, 1)
    assert said in done.output
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "runs").exists()
