import itertools
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from testbed.core.bisect_account import Bisected, Step, count_builds, dump_step
from testbed.core.bisection import Ending, Rules
from testbed.core.judge import Outcome
from testbed.core.series import Series, leave_out, take_patches
from testbed.host.builder import BuildFailure, Kernel
from testbed.pipeline.bisect import bisect_series, resume
from testbed.pipeline.bisect_apart import tell_apart
from testbed.report.bisect_text import render_series
from testbed.tests.fake_linux.rig import TREE, Rig, diff, mail, write_series
from testbed.tests.fake_linux.test_bisect import (
    COMMAND,
    SPEC,
    make_series,
    run_image,
    write_versions,
)

RULES: Final = Rules(failure_rate=1)
MARKER: Final = 'const char marker[] = "WRONG-NODE";\n'


def append(name: str, *texts: str) -> tuple[str, ...]:
    """Return diffs that put one text after the other at the end of a file."""
    files = [(TREE / name).read_text()]
    for text in texts:
        files.append(files[-1] + text)
    return tuple(diff(name, one, other) for one, other in itertools.pairwise(files))


def define(text: str) -> str:
    """Return a diff that puts ``text`` at the start of the header that all files include."""
    header = (TREE / "include/linux/mm.h").read_text()
    return diff("include/linux/mm.h", header, text + header)


def write_torn_series(folder: Path, *, marked_by: int) -> Series:
    """Write four patches: 2 uses what 3 brings, and one of the two puts the marker."""
    (marks,) = append("mm/migrate.c", MARKER)
    first, second = append("mm/mempolicy.c", "const int one;\n", "struct later kept;\n")
    third = define("struct later { int a; };\n")
    (fourth,) = append("init/main.c", "const int four;\n")
    with_mark = {2: (second, third + marks), 1: (second + marks, third)}
    used, brought = with_mark[marked_by - 1]
    texts = (first, used, brought, fourth)
    patches = {f"{n:04}-part.patch": mail(f"mm: part {n}", text) for n, text in enumerate(texts, 1)}
    return write_series(folder, patches)


def bisect(rig: Rig, series: Series, *, steps: tuple[Step, ...] = ()) -> Bisected:
    def build(count: int, without: tuple[int, ...] = (), /) -> Kernel | BuildFailure:
        return rig.try_build(*leave_out(take_patches((series,), count), without))

    kept: list[Step] = []
    found = bisect_series(
        len(series.patches),
        SPEC,
        build=build,
        run=run_image,
        keep=kept.append,
        rules=RULES,
        steps=steps,
    )
    told = tell_apart(found, SPEC, build=build, run=run_image, keep=kept.append, rules=RULES)
    assert told.steps == (*steps, *kept)
    return told


def test_the_suspect_that_fails_without_the_others_is_the_culprit(rig: Rig, tmp_path: Path) -> None:
    series = write_torn_series(tmp_path / "s", marked_by=3)

    bisected = bisect(rig, series)

    assert (bisected.answer.ending, bisected.answer.first, bisected.answer.last) == (
        Ending.FOUND,
        3,
        3,
    )
    (apart,) = [step for step in bisected.steps if step.without]
    assert (apart.index, apart.without, apart.outcome) == (3, (2,), Outcome.BAD)
    text = "\n".join(render_series(bisected, series.patches, command=COMMAND))
    assert text.startswith(f"patch 3 of 4: {SPEC.test} fails\n  3: 0003-part.patch: mm: part 3\n")
    assert "  patches 1 to 3 without 2: 8 of 8 runs: failed" in text
    assert "  patches 1 to 1" not in text
    assert count_builds(bisected.steps)[0] == 5


def test_a_suspect_that_passes_alone_clears_nobody(rig: Rig, tmp_path: Path) -> None:
    series = write_torn_series(tmp_path / "s", marked_by=2)

    bisected = bisect(rig, series)

    answer = bisected.answer
    assert (answer.ending, answer.first, answer.last) == (Ending.HIDDEN, 2, 3)
    apart = [step for step in bisected.steps if step.without]
    assert [(step.index, step.outcome) for step in apart] == [(3, Outcome.GOOD)]
    text = "\n".join(render_series(bisected, series.patches, command=COMMAND))
    assert "  patches 1 to 3 without 2: 8 of 8 runs: passed" in text


def test_a_suspect_that_needs_the_others_stays_with_them(rig: Rig, tmp_path: Path) -> None:
    series = make_series(tmp_path / "s", write_versions(culprit=2, broken=2, count=4))

    bisected = bisect(rig, series)

    answer = bisected.answer
    assert (answer.ending, answer.first, answer.last) == (Ending.HIDDEN, 2, 3)
    (apart,) = [step for step in bisected.steps if step.without]
    assert apart.outcome is Outcome.SKIP
    assert apart.reason.startswith("does not apply without the others: ")
    assert "0003-step.patch" in apart.reason


def test_what_was_seen_before_is_not_looked_at_again(rig: Rig, tmp_path: Path) -> None:
    series = write_torn_series(tmp_path / "s", marked_by=3)
    before = bisect(rig, series)

    again = bisect(rig, series, steps=before.steps)

    assert again == before
    assert resume(4, before.steps, rules=RULES) == resume(
        4, [step for step in before.steps if not step.without], rules=RULES
    )
    assert '"without":[2]' in dump_step(before.steps[-1])


@pytest.mark.parametrize(
    ("numbers", "left"), [((), "1234"), ((2,), "134"), ((1, 4), "23"), ((1, 2, 3, 4), "")]
)
def test_patches_are_left_out_by_their_numbers_through_all_series(
    tmp_path: Path, numbers: tuple[int, ...], left: str
) -> None:
    series = write_torn_series(tmp_path / "s", marked_by=3)
    stack = (
        replace(series, name="a", patches=series.patches[:1]),
        replace(series, name="b", patches=series.patches[1:]),
    )
    kept = leave_out(stack, numbers)
    assert "".join(patch.subject[-1] for one in kept for patch in one.patches) == left
    assert all(one.patches for one in kept)
