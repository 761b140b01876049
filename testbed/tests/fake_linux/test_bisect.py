import itertools
import random
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import pytest

from testbed.core.bisect_account import (
    Bisected,
    Inquiry,
    Step,
    check_inquiry,
    count_builds,
    dump_inquiry,
    dump_step,
    load_account,
)
from testbed.core.bisection import Ending, Rules
from testbed.core.judge import CrashSpec, JudgeSpec, Outcome, TestSpec
from testbed.core.result import Crash, TestResult, Verdict
from testbed.core.series import Series, parse_patch, take_patches
from testbed.errors import InfraError, KconfigError, UserError
from testbed.host.builder import BuildFailure, Kernel
from testbed.host.git_bisect import GitBisect
from testbed.pipeline.bisect import bisect_commits, bisect_series
from testbed.report.bisect_text import (
    choose_select,
    describe_step,
    render_commits,
    render_series,
)
from testbed.tests.fake_linux.rig import TREE, Rig, diff, mail, write_series
from testbed.tests.unit.records import HOSTILE

COUNT: Final = 16
NEVER: Final = 99
TEST_ID: Final = "migrate/node.c::node.is_right"
SPEC: Final = TestSpec(test=TEST_ID)
COMMAND: Final = ("testbed", "run", "--series", "my series", "-k", choose_select(TEST_ID))
FILE: Final = "mm/mempolicy.c"
OOPS: Final = Crash(title="BUG: oops in policy_node", kind="oops", frames=(), excerpt="")


def write_versions(*, culprit: int, broken: int = NEVER, count: int = COUNT) -> list[str]:
    """Return a file as the base and each patch have it; the one after ``broken`` mends it."""
    base = (TREE / FILE).read_text()
    versions = [base]
    for number in range(1, count + 1):
        lines = [f'const char patch_{at}[] = "patch {at}";\n' for at in range(1, number + 1)]
        if number >= culprit:
            lines.append('const char marker[] = "WRONG-NODE";\n')
        if number == broken:
            lines.append("this is no C;\n")
        versions.append(base + "".join(lines))
    return versions


def make_series(folder: Path, versions: Sequence[str]) -> Series:
    pairs = itertools.pairwise(versions)
    return write_series(
        folder,
        {
            f"{number:04}-step.patch": mail(f"mm: step {number}", diff(FILE, before, after))
            for number, (before, after) in enumerate(pairs, start=1)
        },
    )


def run_image(kernel: Kernel, times: int) -> list[TestResult]:
    """Run the "test": a kernel whose image has the marker puts pages on the wrong node."""
    is_wrong = b"WRONG-NODE" in kernel.image.read_bytes()
    message = "wanted on node 1,\nis on node 0" if is_wrong else ""
    verdict = Verdict.FAILED if is_wrong else Verdict.PASSED
    return [TestResult(id=TEST_ID, verdict=verdict, seconds=0, message=message)] * times


@dataclass
class Bench:
    """A bisection of a series on the toy tree, and what was built and kept in it."""

    rig: Rig
    series: Series
    built: list[int] = field(default_factory=list)
    kept: list[Step] = field(default_factory=list)

    def build(self, count: int, /) -> Kernel | BuildFailure:
        outcome = self.rig.try_build(*take_patches((self.series,), count))
        if isinstance(outcome, BuildFailure) or not outcome.is_cached:
            self.built.append(count)
        return outcome

    def bisect(self, *, steps: Sequence[Step] = (), rules: Rules | None = None) -> Bisected:
        return bisect_series(
            len(self.series.patches),
            SPEC,
            build=self.build,
            run=run_image,
            keep=self.kept.append,
            rules=rules,
            steps=steps,
        )


@pytest.mark.parametrize("culprit", [1, 6, 11, 16])
def test_the_patch_that_put_the_marker_is_found_in_five_builds(
    rig: Rig, tmp_path: Path, culprit: int
) -> None:
    rig.build()
    bench = Bench(rig, make_series(tmp_path / "s", write_versions(culprit=culprit)))

    bisected = bench.bisect()

    answer = bisected.answer
    assert (answer.ending, answer.first, answer.last) == (Ending.FOUND, culprit, culprit)
    assert len(bench.built) <= 5
    assert count_builds(bisected.steps) == (len(bench.built), len(bench.built))
    assert tuple(bench.kept) == bisected.steps
    base = [step for step in bisected.steps if step.index == 0]
    assert all(step.is_cached and step.outcome is Outcome.GOOD for step in base)


def test_a_patch_that_does_not_compile_is_skipped_and_named(rig: Rig, tmp_path: Path) -> None:
    versions = write_versions(culprit=8, broken=8)
    line = versions[8].splitlines().index("this is no C;") + 1
    series = make_series(tmp_path / "s", versions)

    bisected = Bench(rig, series).bisect()

    answer = bisected.answer
    assert (answer.ending, answer.first, answer.last) == (Ending.HIDDEN, 8, 9)
    assert answer.probability >= 0.99
    (skipped,) = [step for step in bisected.steps if step.index == 8]
    assert (skipped.outcome, skipped.kernel) == (Outcome.SKIP, "")
    assert skipped.reason.startswith(f"does not build: mm/mempolicy.c:{line}: ")
    text = "\n".join(render_series(bisected, series.patches, command=COMMAND))
    assert text.startswith(f"patches 8 to 9 of 16: {TEST_ID} fails\n")
    assert f"patches 1 to 8: {skipped.reason}" in text


def test_a_patch_that_does_not_compile_elsewhere_hides_nothing(rig: Rig, tmp_path: Path) -> None:
    bench = Bench(rig, make_series(tmp_path / "s", write_versions(culprit=11, broken=8)))

    answer = bench.bisect().answer

    assert (answer.ending, answer.first) == (Ending.FOUND, 11)
    assert 8 in bench.built


def test_the_answer_names_patch_evidence_cost_and_the_command_that_shows_it(
    rig: Rig, tmp_path: Path
) -> None:
    rig.build()
    bench = Bench(rig, make_series(tmp_path / "s", write_versions(culprit=11)))

    bisected = bench.bisect(rules=Rules(failure_rate=1))

    lines = render_series(bisected, bench.series.patches, command=COMMAND)
    assert lines[:-2] == (
        f"patch 11 of 16: {TEST_ID} fails",
        "  11: 0011-step.patch: mm: step 11",
        "  patches 1 to 11: 1 of 1 run: failed: wanted on node 1,",
        "    wanted on node 1,",
        "    is on node 0",
        "  patches 1 to 10: 1 of 1 run: passed",
    )
    assert lines[-2].startswith("  confidence 99.99 %; 5 kernels, 5 built in ")
    assert lines[-2].endswith("; 6 runs")
    assert lines[-1] == "  to see it: testbed run --series 'my series' -k node.is_right"
    long = render_series(bisected, bench.series.patches, command=[*COMMAND, "x" * 999])
    assert long[-1] == f"{lines[-1]} {'x' * 999}"
    told = [describe_step(step, total=COUNT) for step in bisected.steps]
    assert told[0].startswith("all 16 patches: built in ")
    assert told[0].endswith(": bad: 1 of 1 run: failed: wanted on node 1, (patches 1 to 16 left)")
    assert told[1] == "base: from the cache: good: 1 of 1 run: passed (patches 1 to 16 left)"
    assert told[-1].endswith("(patch 11 left)")


def test_a_bisection_that_was_killed_goes_on_from_its_account(rig: Rig, tmp_path: Path) -> None:
    series = make_series(tmp_path / "s", write_versions(culprit=6))
    whole = Bench(rig, series).bisect()
    assert len(whole.steps) >= 6
    inquiry = Inquiry(base="debian:6.12", parts=("a", "b"), symptom=SPEC.title)

    for done in range(len(whole.steps) + 1):
        text = dump_inquiry(inquiry) + "".join(dump_step(step) for step in whole.steps[:done])
        account = load_account(f'{text}{{"index": 3, "com', filename="bisect.jsonl")
        check_inquiry(account.inquiry, inquiry)
        assert account.steps == whole.steps[:done]
        bench = Bench(rig, series)

        rest = bench.bisect(steps=account.steps)

        assert rest.answer == whole.answer
        assert bench.built == []
        assert [step.index for step in bench.kept] == [one.index for one in whole.steps[done:]]


def test_an_account_of_something_else_is_refused() -> None:
    inquiry = Inquiry(base="debian:6.12", parts=("a", "b"), symptom="x")

    with pytest.raises(UserError, match=r"has changed since \(parts, rules\)"):
        check_inquiry(inquiry, replace(inquiry, parts=("a",), rules=Rules(confidence=0.9)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("{}\n", "not the account of a bisection"),
        ("what\n", "not the account of a bisection"),
        (
            dump_inquiry(Inquiry(base="", parts=(), symptom="", version=99)),
            "written by another version",
        ),
        (dump_inquiry(Inquiry(base="", parts=(), symptom="")) + '{"x": 1}\n', "not the account"),
    ],
)
def test_a_file_that_is_no_account_is_named(text: str, message: str) -> None:
    with pytest.raises(UserError, match=f"bisect.jsonl: {message}"):
        load_account(text, filename="bisect.jsonl")


# From here on kernels are not built: the base's stands for all, under a key for each.


@dataclass
class Bare:
    """A bisection whose kernels and tests are made up; ``verdict`` judges kernel k."""

    kernel: Kernel
    verdict: Callable[[int], Verdict]
    spec: JudgeSpec = SPEC
    runs: int = 0
    crash: Crash | None = None
    asked: list[int] = field(default_factory=list)

    def build(self, count: int, /) -> Kernel | BuildFailure:
        self.asked.append(count)
        return replace(self.kernel, key=f"kernel {count}")

    def run(self, kernel: Kernel, /, times: int) -> list[TestResult]:
        number = int(kernel.key.split()[1])
        self.runs += times
        verdicts = [self.verdict(number) for _ in range(times)]
        bad = {Verdict.CRASHED, Verdict.BOOT_FAILED}
        return [
            TestResult(id=TEST_ID, verdict=v, seconds=0, crash=self.crash if v in bad else None)
            for v in verdicts
        ]

    def bisect(self, rules: Rules | None = None) -> Bisected:
        return bisect_series(
            COUNT, self.spec, build=self.build, run=self.run, keep=lambda _: None, rules=rules
        )


@pytest.fixture
def kernel(rig: Rig) -> Kernel:
    return rig.build()


def judge_from(culprit: int, bad: Verdict) -> Callable[[int], Verdict]:
    return lambda number: bad if number >= culprit else Verdict.PASSED


def test_a_flaky_test_is_repeated_until_the_answer_is_certain(kernel: Kernel) -> None:
    dice = random.Random(11)  # noqa: S311 - it is to be the same each time
    bare = Bare(
        kernel,
        lambda k: Verdict.FAILED if k >= 6 and dice.random() < 0.4 else Verdict.PASSED,
    )

    bisected = bare.bisect()

    assert (bisected.answer.first, bisected.answer.last) == (6, 6)
    assert bisected.answer.probability >= 0.99
    assert bare.runs > 30
    assert len(bisected.steps) > len(bare.asked) == len(set(bare.asked))


@pytest.mark.parametrize(
    ("verdict", "ending", "advice"),
    [
        (judge_from(NEVER, Verdict.FAILED), Ending.NEVER_FAILS, "a higher --max-runs"),
        (judge_from(0, Verdict.FAILED), Ending.BASE_FAILS, "what is to blame is older"),
        (judge_from(COUNT, Verdict.SKIPPED), Ending.TIP_UNUSABLE, "mend the bad end"),
        (
            lambda k: Verdict.FAILED if k else Verdict.SKIPPED,
            Ending.BASE_UNUSABLE,
            "take a good end that",
        ),
    ],
)
def test_an_end_that_is_not_as_it_should_be_is_told_with_what_to_do(
    kernel: Kernel, verdict: Callable[[int], Verdict], ending: Ending, advice: str
) -> None:
    bisected = Bare(kernel, verdict).bisect()

    assert bisected.answer.ending is ending
    lines = render_series(bisected, (), command=COMMAND)
    assert lines[0].endswith(f": {TEST_ID} fails")
    assert advice in lines[-1]


def test_what_cannot_be_is_told(kernel: Kernel) -> None:
    bare = Bare(kernel, judge_from(5, Verdict.FAILED))
    seen = Step(
        index=COUNT,
        kernel="kernel 16",
        is_cached=True,
        build_seconds=0,
        outcome=Outcome.BAD,
        failures=1,
        passes=1,
        reason="failed",
    )

    bisected = bisect_series(
        COUNT,
        SPEC,
        build=bare.build,
        run=bare.run,
        keep=lambda _: None,
        rules=Rules(failure_rate=1),
        steps=[seen],
    )

    assert (bisected.answer.ending, bare.runs) == (Ending.CONTRADICTED, 0)
    lines = render_series(bisected, (), command=COMMAND)
    assert lines[0] == f"contradictory: what was said to fail each time did not: {TEST_ID} fails"
    assert lines[1] == "  all 16 patches: 1 of 2 runs: failed"
    assert "bisect it in normal mode" in lines[-1]


def test_what_a_guest_or_a_patch_says_reaches_no_terminal_as_it_is(kernel: Kernel) -> None:
    bisected = Bare(kernel, judge_from(16, Verdict.FAILED)).bisect()
    steps = tuple(replace(one, reason=HOSTILE, message=HOSTILE * 99) for one in bisected.steps)
    patch = parse_patch(mail("x", diff(FILE, "a\n", "b\n")), filename="x.patch")
    hostile = replace(patch, subject=HOSTILE, filename=f"{HOSTILE}.patch")

    lines = render_series(
        replace(bisected, steps=steps, symptom=HOSTILE), [hostile] * COUNT, command=[HOSTILE]
    )
    told = [*lines, *(describe_step(step, total=COUNT) for step in steps)]

    for line in told:
        line.encode()
        assert not set(line) & set("\n\r\x00\x07\x1b\x7f\x9b\u202e")
        assert len(line) < 400


def test_a_series_that_breaks_the_boot_is_bisected_by_the_boot(kernel: Kernel) -> None:
    bare = Bare(kernel, judge_from(13, Verdict.BOOT_FAILED), crash=OOPS)

    bisected = bare.bisect()

    assert (bisected.answer.ending, bisected.answer.first) == (Ending.FOUND, 13)
    assert bisected.symptom == "the kernel does not boot"


def test_a_kernel_in_between_that_does_not_boot_says_nothing_of_the_test(kernel: Kernel) -> None:
    def judge(number: int) -> Verdict:
        if number == 8:
            return Verdict.BOOT_FAILED
        return Verdict.FAILED if number >= 12 else Verdict.PASSED

    bisected = Bare(kernel, judge).bisect()

    assert (bisected.answer.ending, bisected.answer.first) == (Ending.FOUND, 12)
    assert [step.outcome for step in bisected.steps if step.index == 8] == [Outcome.SKIP]


def test_a_crash_is_bisected_by_its_title(kernel: Kernel) -> None:
    spec = CrashSpec(pattern="BUG: oops in *")

    bisected = Bare(kernel, judge_from(3, Verdict.CRASHED), spec=spec, crash=OOPS).bisect()

    assert (bisected.answer.first, bisected.symptom) == (3, "crash BUG: oops in *")


def test_a_test_that_is_lost_is_run_again_and_three_times_is_the_hosts_fault(
    kernel: Kernel,
) -> None:
    bare = Bare(kernel, judge_from(5, Verdict.FAILED))
    judge, calls = bare.verdict, iter(range(10_000))
    bare.verdict = lambda k: Verdict.LOST if next(calls) < 16 else judge(k)
    assert bare.bisect().answer.first == 5

    with pytest.raises(InfraError, match=r"24 runs, and none that counts: lost"):
        Bare(kernel, lambda _: Verdict.LOST).bisect()


def test_an_option_that_a_later_patch_brings_makes_a_skip(kernel: Kernel) -> None:
    bare = Bare(kernel, judge_from(14, Verdict.FAILED))

    def build(count: int, /) -> Kernel | BuildFailure:
        if 1 <= count < 10:
            raise KconfigError("CONFIG_NEW=y did not land: no such option in this tree")
        return bare.build(count)

    bisected = bisect_series(COUNT, SPEC, build=build, run=bare.run, keep=lambda _: None)

    assert (bisected.answer.ending, bisected.answer.first) == (Ending.FOUND, 14)
    reasons = [step.reason for step in bisected.steps if step.index == 8]
    assert reasons == [
        "cannot be configured: CONFIG_NEW=y did not land: no such option in this tree"
    ]


# The commits of a tree.


@pytest.fixture
def history(tmp_path: Path) -> tuple[Path, list[str]]:
    """A repository of the user's, a commit a version of the toy; the eighth does not build."""
    tree = Path(shutil.copytree(TREE, tmp_path / "linux", symlinks=True))
    git(tree, "init", "-q", "-b", "main")
    commits = []
    for number, text in enumerate(write_versions(culprit=6, broken=8, count=12)):
        (tree / FILE).write_text(text)
        git(tree, "add", "-A")
        git(tree, "commit", "-q", "--allow-empty", "-m", f"mm: step {number}")
        commits.append(git(tree, "rev-parse", "HEAD"))
    return tree, commits


def git(tree: Path, *words: str) -> str:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", "-C", str(tree), *who, *words],  # noqa: S607 - as a user
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@dataclass
class CommitBench:
    """Commits of the toy tree that are exported, built and run."""

    rig: Rig
    tree: Path
    export: Path
    built: list[str] = field(default_factory=list)
    kept: list[Step] = field(default_factory=list)

    def build(self, commit: str, /) -> Kernel | BuildFailure:
        self.export.mkdir(exist_ok=True)
        git(self.tree, "--work-tree", str(self.export), "checkout", "-q", "-f", commit, "--", ".")
        outcome = self.rig.try_build(tree=self.export)
        if isinstance(outcome, BuildFailure) or not outcome.is_cached:
            self.built.append(commit)
        return outcome


def test_the_first_bad_commit_is_found_built_and_described(
    rig: Rig, tmp_path: Path, history: tuple[Path, list[str]]
) -> None:
    tree, commits = history
    bench = CommitBench(rig, tree, tmp_path / "export")
    search = GitBisect(tree, bad=commits[-1], good=commits[0], folder=tmp_path / "own")

    bisected = bisect_commits(
        search, SPEC, build=bench.build, run=run_image, keep=bench.kept.append
    )

    assert bisected.answer.ending is Ending.FOUND
    assert bisected.commits == (commits[6],)
    assert bisected.answer.probability >= 0.99
    assert bench.built[:2] == [commits[-1], commits[0]]
    assert len(bench.built) <= 2 + 5
    assert tuple(bench.kept) == bisected.steps
    described = {commits[6]: f"{commits[6][:12]} mm: step 6"}
    lines = render_commits(bisected, described, command=COMMAND)
    assert lines[0] == f"first bad commit: {TEST_ID} fails"
    assert lines[1] == f"  {commits[6][:12]} mm: step 6"
    assert lines[2].startswith(f"  {commits[6][:12]}: ")
    assert describe_step(bisected.steps[0], total=0).startswith(f"{commits[-1][:12]}: built in ")

    again = CommitBench(rig, tree, tmp_path / "export")
    second = GitBisect(tree, bad=commits[-1], good=commits[0], folder=tmp_path / "second")
    rest = bisect_commits(
        second,
        SPEC,
        build=again.build,
        run=run_image,
        keep=again.kept.append,
        steps=bisected.steps[:4],
    )
    assert (rest.answer, rest.commits) == (bisected.answer, bisected.commits)
    assert rest.steps == (*bisected.steps[:4], *again.kept)
    assert len(again.kept) == len(bisected.steps) - 4


@dataclass
class BareCommits:
    """A bisection of commits whose kernels and tests are made up."""

    kernel: Kernel
    tree: Path
    commits: list[str]
    verdict: Callable[[int], Verdict]
    skipped: frozenset[int] = frozenset()

    def build(self, commit: str, /) -> Kernel | BuildFailure:
        number = self.commits.index(commit)
        if number in self.skipped:
            raise KconfigError(f"no configuration at {number}")
        return replace(self.kernel, key=f"kernel {number}")

    def run(self, kernel: Kernel, /, times: int) -> list[TestResult]:
        number = int(kernel.key.split()[1])
        verdicts = [self.verdict(number) for _ in range(times)]
        return [TestResult(id=TEST_ID, verdict=verdict, seconds=0) for verdict in verdicts]

    def bisect(self, folder: Path, *, good: int = 0, bad: int = -1) -> Bisected:
        search = GitBisect(self.tree, bad=self.commits[bad], good=self.commits[good], folder=folder)
        return bisect_commits(search, SPEC, build=self.build, run=self.run, keep=lambda _: None)


def test_commits_are_bisected_by_a_flaky_test(
    kernel: Kernel, tmp_path: Path, history: tuple[Path, list[str]]
) -> None:
    dice = random.Random(5)  # noqa: S311 - it is to be the same each time
    bare = BareCommits(
        kernel,
        *history,
        verdict=lambda k: Verdict.FAILED if k >= 9 and dice.random() < 0.4 else Verdict.PASSED,
    )

    found = [bare.bisect(tmp_path / f"own {number}") for number in range(5)]

    assert [one.commits for one in found] == [(bare.commits[9],)] * 5
    assert all(one.answer.probability >= 0.99 for one in found)


def test_commits_that_cannot_be_tried_are_told_with_their_reasons(
    kernel: Kernel, tmp_path: Path, history: tuple[Path, list[str]]
) -> None:
    skipped = frozenset({4, 5})
    bare = BareCommits(kernel, *history, judge_from(5, Verdict.FAILED), skipped=skipped)

    bisected = bare.bisect(tmp_path / "own")

    assert bisected.answer.ending is Ending.HIDDEN
    assert set(bisected.commits) == {bare.commits[number] for number in (4, 5, 6)}
    lines = render_commits(bisected, {}, command=COMMAND)
    assert lines[0] == f"the first bad one of these commits: {TEST_ID} fails"
    assert f"  {bare.commits[4][:12]}: cannot be configured: no configuration at 4" in lines


@pytest.mark.parametrize(
    ("verdict", "ending"),
    [
        (judge_from(NEVER, Verdict.FAILED), Ending.NEVER_FAILS),
        (judge_from(0, Verdict.FAILED), Ending.BASE_FAILS),
        (judge_from(12, Verdict.SKIPPED), Ending.TIP_UNUSABLE),
        (lambda k: Verdict.FAILED if k else Verdict.SKIPPED, Ending.BASE_UNUSABLE),
    ],
)
def test_a_good_or_bad_commit_that_is_not_so_ends_the_search(
    kernel: Kernel,
    tmp_path: Path,
    history: tuple[Path, list[str]],
    verdict: Callable[[int], Verdict],
    ending: Ending,
) -> None:
    bisected = BareCommits(kernel, *history, verdict).bisect(tmp_path / "own")

    assert bisected.answer.ending is ending
    assert {step.commit for step in bisected.steps} <= {history[1][0], history[1][-1]}
    assert render_commits(bisected, {}, command=COMMAND)[0].endswith(f": {TEST_ID} fails")


def test_a_good_commit_that_was_mended_on_its_branch_is_told(
    kernel: Kernel, tmp_path: Path, history: tuple[Path, list[str]]
) -> None:
    tree, commits = history
    git(tree, "checkout", "-q", "-b", "stable", commits[6])
    git(tree, "commit", "-q", "--allow-empty", "-m", "mended")
    every = [*commits, git(tree, "rev-parse", "HEAD")]
    bare = BareCommits(kernel, tree, every, lambda k: judge_from(3, Verdict.FAILED)(k % 13))

    bisected = bare.bisect(tmp_path / "own", bad=12, good=13)

    assert bisected.answer.ending is Ending.MERGE_BASE_BAD
    lines = render_commits(bisected, {commits[6]: "where they part"}, command=COMMAND)
    assert lines[1] == "  where they part"
    assert lines[-1].startswith("  something on the way to the good commit mends it")


@pytest.mark.parametrize(
    ("test", "select"),
    [
        (TEST_ID, "node.is_right"),
        ("hotplug/test_dimm.py::test_add[anon-1]", "test_add[anon-1]"),
        ("a/b.c::x y,longer", "longer"),
        ("", ""),
    ],
)
def test_a_test_is_selected_by_what_pytest_takes(test: str, select: str) -> None:
    assert choose_select(test) == select
