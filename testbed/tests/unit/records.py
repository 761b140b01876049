"""Made-up run records for the tests of what is computed from records and of the reports."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from testbed.core.compare import compare_cells
from testbed.core.exit_code import decide_exit
from testbed.core.gcov import FileReach, FunctionReach, UnreachedLine
from testbed.core.record import (
    SCHEMA_VERSION,
    CellRecord,
    HostFacts,
    KernelRecord,
    PatchRecord,
    Role,
    RunRecord,
    StepRecord,
)
from testbed.core.result import (
    Crash,
    LogFile,
    Metric,
    NodeCount,
    Placement,
    TestResult,
    Verdict,
)
from testbed.core.steps import find_culprits

TWO_NODES: Final = "numa2"
MEMORYLESS: Final = "numa3-memoryless"
TOPOLOGIES: Final = (TWO_NODES, MEMORYLESS)
SIDES: Final = (Role.BASE, Role.PATCHED)

MBIND: Final = "guest-tests/mempolicy/mbind.c"
MIGRATE: Final = "guest-tests/migrate/migrate_pages.c"
MOVE: Final = "guest-tests/migrate/move_pages.c"
CPUSET: Final = "guest-tests/cpuset/mems_change.c"
DIMM: Final = "guest-tests/hotplug/test_dimm.py"

TEST_IDS: Final = (
    f"{MBIND}::global.move_private",
    f"{MBIND}::global.move_shared_is_skipped",
    f"{MBIND}::global.move_all_shared",
    f"{MBIND}::global.strict_pinned_is_eio",
    f"{MIGRATE}::relative.three_nodes.keeps_offsets",
    f"{MIGRATE}::relative.three_nodes.unequal_weights_skip_nodes_already_in_the_target_set",
    f"{MIGRATE}::global.returns_pages_left_behind",
    f"{MOVE}::global.status_per_page",
    f"{MOVE}::global.bad_page_in_mid_array",
    f"{CPUSET}::v2.change_of_mems_migrates",
    f"{DIMM}::test_add_use_offline_remove",
    f"{DIMM}::test_offline_populated_movable[anon]",
    f"{DIMM}::test_offline_populated_movable[shmem]",
)

GONE_ID: Final = TEST_IDS[7]
LOST_ID: Final = TEST_IDS[8]
NEW_ID: Final = "guest-tests/series/wrong-node/stat.c::global.counter_is_there"

HOSTILE: Final = (
    "</script><script>alert(1)</script> [bold red]not markup[/bold red] [/] ]]> &amp; {{ 7 * 7 }} "
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b2J bell\x07 nul\x00 del\x7f \ud800 \u202eover \ufffe"
)

NULL_DEREFERENCE: Final = Crash(
    title="BUG: kernel NULL pointer dereference in migrate_folio_unmap",
    kind="oops",
    frames=(
        "migrate_folio_unmap",
        "migrate_pages_batch",
        "migrate_pages",
        "do_mbind",
        "x64_sys_call",
    ),
    excerpt=(
        "[    3.114159] BUG: kernel NULL pointer dereference, address: 0000000000000018\n"
        "[    3.114160] #PF: supervisor read access in kernel mode\n"
        "[    3.114163] Oops: Oops: 0000 [#1] PREEMPT SMP\n"
        "[    3.114170] RIP: 0010:migrate_folio_unmap+0x92/0x410\n"
        "[    3.114188] Call Trace:\n"
        "[    3.114190]  migrate_pages_batch+0x2c1/0xd30\n"
        "[    3.114192]  migrate_pages+0x3f1/0x6a0\n"
        "[    3.114194]  do_mbind+0x6a2/0x7e0\n"
    ),
)
BOOT_PANIC: Final = Crash(
    title="Kernel panic - not syncing: node 1 has no zonelist",
    kind="panic",
    frames=("panic", "build_all_zonelists", "start_kernel"),
    excerpt="[    0.004001] Kernel panic - not syncing: node 1 has no zonelist\n",
)


def make_kernel(role: Role = Role.BASE, *, failure: str = "") -> KernelRecord:
    """Return a kernel; the patched one carries the series wrong-node."""
    is_base = role is Role.BASE
    return KernelRecord(
        role=role,
        key=f"{'5f0c1d' if is_base else 'b81e77'}9a3e4471c2",
        source_id="debian:6.12.117-1",
        series=() if is_base else ("selfcheck/wrong-node",),
        patch_ids=() if is_base else ("9b1f0c33d7a0f7be1c2d4e5f60718293a4b5c6d7",),
        kconfig=("base", "numa", "hotplug"),
        kconfig_hash="c0ffee5d2b7a9418e3f6017d5a2b4c6e8f901234",
        release="" if failure else f"6.12.117-testbed{'' if is_base else '-wrong-node'}",
        build_seconds=241.3 if is_base else 8.4,
        is_cached=is_base,
        compiled_files=0 if is_base else 3,
        failure=failure,
        logs=(LogFile(kind="build", path=f"kernels/{role}/build.log"),),
    )


def make_test(
    test_id: str = TEST_IDS[0],
    verdict: Verdict = Verdict.PASSED,
    *,
    message: str = "",
    crash: Crash | None = None,
    metrics: Iterable[Metric] = (),
    placements: Iterable[Placement] = (),
    known: str = "",
) -> TestResult:
    """Return a result with logs as the plugin lays them out."""
    slug = "".join(c if c.isalnum() or c in "._-" else "-" for c in test_id)
    return TestResult(
        id=test_id,
        verdict=verdict,
        seconds=0.75,
        message=message,
        metrics=tuple(metrics),
        placements=tuple(placements),
        crash=crash,
        logs=(
            LogFile(kind="ktap", path=f"logs/{slug}.ktap"),
            LogFile(kind="console", path=f"logs/{slug}.console"),
        ),
        known=known,
    )


def make_cell(
    tests: Iterable[TestResult] = (),
    *,
    role: Role = Role.BASE,
    topology: str = TWO_NODES,
    boot_crash: Crash | None = None,
    failure: str = "",
) -> CellRecord:
    """Return a cell; with ``failure`` its kernel did not build."""
    return CellRecord(
        name=f"{role}-{topology}",
        kernel=make_kernel(role, failure=failure),
        topology=topology,
        seconds=31.5,
        tests=tuple(tests),
        boot_crash=boot_crash,
        logs=(LogFile(kind="console", path=f"cells/{role} {topology}/console.log"),),
    )


def make_run(cells: Sequence[CellRecord]) -> RunRecord:
    """Return the record of a run of ``cells``, compared and judged as a real one is."""
    comparison = compare_cells(
        [cell for cell in cells if cell.kernel.role is Role.BASE],
        [cell for cell in cells if cell.kernel.role is Role.PATCHED],
    )
    exit_code, exit_reason = decide_exit(cells, comparison)
    return RunRecord(
        schema_version=SCHEMA_VERSION,
        id="20250314-150926-wrong-node",
        tool_version="0.1.0",
        command=(
            "testbed",
            "run",
            "--plan",
            "ci/plans/quick.yaml",
            "--series",
            "selfcheck/wrong-node",
        ),
        plan="ci/plans/quick.yaml",
        started="2025-03-14T15:09:26+00:00",
        seconds=96.2,
        host=HostFacts(
            cores=2,
            memory_mib=24_576,
            system="Debian GNU/Linux 12 (bookworm)",
            accel="tcg",
            accel_reason="/dev/kvm is there, but a guest did not boot with it in 10 s",
            qemu_version="7.2.19",
            compiler="gcc (Debian 12.2.0-14) 12.2.0",
            python_version="3.11.2",
        ),
        cells=tuple(cells),
        comparison=comparison,
        exit_code=exit_code,
        exit_reason=exit_reason,
    )


def make_placement(
    seen_node: int, *, what: str = "private anon after mbind(MOVE)", pages: int = 16
) -> Placement:
    """Return a placement that expected all of the pages on node 1."""
    return Placement(
        what=what,
        expected=(NodeCount(node=1, pages=pages),),
        seen=(NodeCount(node=seen_node, pages=pages),),
    )


def wrong_node_run() -> RunRecord:
    """Return a run in which pages land on the wrong node, a test crashes, and more."""
    return make_run(
        [
            make_cell(_usual_tests(role), role=role, topology=topology)
            for topology in TOPOLOGIES
            for role in SIDES
        ]
    )


def known_run() -> RunRecord:
    """Return a run of a kernel that fails as declared, and passes what it is declared to fail."""
    why, gone = "the status of the zero page is another (5d4af6195c87)", "long mended (6.2)"
    tests = [
        make_test(TEST_IDS[0]),
        make_test(TEST_IDS[7], Verdict.KNOWN, message=f"known: {why}\n0 == 1", known=why),
        make_test(TEST_IDS[9], known=gone, message=f"expected to fail: {gone}"),
    ]
    return make_run([make_cell(tests, role=role, topology=t) for t in TOPOLOGIES for role in SIDES])


def clean_run() -> RunRecord:
    """Return a run in which every test passes on both kernels."""
    tests = [make_test(test_id) for test_id in TEST_IDS]
    return make_run([make_cell(tests, role=role, topology=t) for t in TOPOLOGIES for role in SIDES])


def single_kernel_run() -> RunRecord:
    """Return a run of one kernel alone, so without a comparison, in which a test fails."""
    message = "the pages were to be on node 1"
    tests = [make_test(test_id) for test_id in TEST_IDS[1:]]
    wrong = make_test(TEST_IDS[0], Verdict.FAILED, message=message, placements=[make_placement(0)])
    return make_run([make_cell([wrong, *tests])])


def reached_run() -> RunRecord:
    """Return a run that tells which lines of a source ran; one line did not, for no reason."""
    lines = (
        UnreachedLine(number=61, text="goto <out>;", why="Memory never runs out here."),
        UnreachedLine(number=64, text="BUG();"),
    )
    functions = (
        FunctionReach(
            name="isolate", first_line=40, lines=9, lines_reached=9, branches=0, branches_reached=0
        ),
        FunctionReach(
            name="move_to_new_folio",
            first_line=60,
            lines=11,
            lines_reached=9,
            branches=4,
            branches_reached=3,
            unreached=lines,
        ),
    )
    return replace(clean_run(), reach=(FileReach(path="mm/migrate.c", functions=functions),))


def boot_failure_run() -> RunRecord:
    """Return a run in which the patched kernel panics at boot on one of two topologies."""
    cells = [
        make_cell([make_test(i) for i in TEST_IDS], role=role, topology=topology)
        for topology in TOPOLOGIES
        for role in SIDES
    ]
    unbooted = [
        make_test(i, Verdict.BOOT_FAILED, message=BOOT_PANIC.title, crash=BOOT_PANIC)
        for i in TEST_IDS
    ]
    cells[-1] = make_cell(unbooted, role=Role.PATCHED, topology=MEMORYLESS, boot_crash=BOOT_PANIC)
    return make_run(cells)


def build_failure_run() -> RunRecord:
    """Return a run in which the patched kernel does not compile."""
    failure = "mm/migrate.c:1187:9: error: implicit declaration of function 'folio_mvoe'"
    cells = []
    for topology in TOPOLOGIES:
        cells.append(make_cell([make_test(i) for i in TEST_IDS], topology=topology))
        unbuilt = [make_test(i, Verdict.BUILD_FAILED, message=failure) for i in TEST_IDS]
        cells.append(make_cell(unbuilt, role=Role.PATCHED, topology=topology, failure=failure))
    return make_run(cells)


def stepped_run() -> RunRecord:
    """Return a run that tested each of five patches: the second fails a test, the third mends it.

    The fourth does not build; from the fifth on, or from there, another test fails.
    """
    patches = tuple(
        PatchRecord(number=n, filename=f"{n:04}-mm-part.patch", subject=f"mm/migrate: part {n}")
        for n in range(1, 6)
    )
    failure = "mm/migrate.c:2436:24: error: implicit declaration of function 'folio_mvoe'"
    bad = {2: {TEST_IDS[0]: Verdict.FAILED}, 5: {TEST_IDS[1]: Verdict.CRASHED}}
    roles = {0: Role.BASE, **dict.fromkeys((1, 2, 3), Role.STEP), 5: Role.PATCHED}
    columns = {
        number: tuple(
            make_cell(
                [make_test(i, bad.get(number, {}).get(i, Verdict.PASSED)) for i in TEST_IDS],
                role=role,
                topology=topology,
            )
            for topology in TOPOLOGIES
        )
        for number, role in roles.items()
    }
    steps = tuple(
        StepRecord(
            patch=patches[n - 1],
            kernel=make_kernel(Role.STEP, failure="" if n in columns else failure),
            cells=columns.get(n, ()),
        )
        for n in range(1, 5)
    )
    culprits = find_culprits(columns[0], steps, columns[5], patches=patches)
    run = make_run([*columns[0], *columns[5]])
    exit_code, exit_reason = decide_exit(run.cells, run.comparison, steps=steps, culprits=culprits)
    return replace(
        run,
        patches=patches,
        steps=steps,
        culprits=culprits,
        exit_code=exit_code,
        exit_reason=exit_reason,
    )


def hostile_run(*, long_message_chars: int = 100_000) -> RunRecord:
    """Return a run all of whose free text is hostile, one message of it very long."""
    crash = Crash(title=HOSTILE, kind=HOSTILE, frames=(HOSTILE,), excerpt=HOSTILE)
    cells = []
    for role, verdict in ((Role.BASE, Verdict.PASSED), (Role.PATCHED, Verdict.CRASHED)):
        hostile = make_test(
            f"{MBIND}::{HOSTILE}",
            verdict,
            message=HOSTILE,
            crash=crash,
            metrics=[Metric(name=HOSTILE, value=float("nan"), unit=HOSTILE)],
            placements=[make_placement(0, what=HOSTILE)],
        )
        long = make_test(f"{MBIND}::global.long", verdict, message="A" * long_message_chars)
        cells.append(make_cell([hostile, long], role=role, topology=HOSTILE))
    return make_run(cells)


def _usual_tests(role: Role) -> list[TestResult]:
    if role is Role.BASE:
        return [_BASE_RESULTS.get(i, make_test(i)) for i in TEST_IDS]
    ids = (*(i for i in TEST_IDS if i != GONE_ID), NEW_ID)
    return [_PATCHED_RESULTS.get(i, make_test(i)) for i in ids]


_OTHER_PLACEMENT: Final = make_placement(1, what="the other mapping, which was not asked to move")
_STILL_FAILING: Final = make_test(
    TEST_IDS[5],
    Verdict.FAILED,
    message="# guest-tests/migrate/migrate_pages.c:142: 3 pages moved that should have stayed",
    placements=[
        Placement(
            what="anon spread over nodes 0-2 after {0-2}->{1,2}",
            expected=(NodeCount(node=1, pages=32), NodeCount(node=2, pages=16)),
            seen=(
                NodeCount(node=0, pages=3),
                NodeCount(node=1, pages=29),
                NodeCount(node=2, pages=14),
                NodeCount(node=-1, pages=2),
            ),
        )
    ],
)
_BASE_RESULTS: Final = {
    test.id: test
    for test in (
        make_test(
            TEST_IDS[0],
            placements=[make_placement(1), _OTHER_PLACEMENT],
            metrics=[Metric(name="mbind_move", value=12.5, unit="us/page")],
        ),
        make_test(
            TEST_IDS[2], metrics=[Metric(name="mbind_move_all", value=14.02, unit="us/page")]
        ),
        _STILL_FAILING,
        make_test(
            TEST_IDS[6],
            Verdict.FAILED,
            message="# guest-tests/migrate/migrate_pages.c:88: Expected left (4) == returned (0)",
        ),
        make_test(TEST_IDS[9], metrics=[Metric(name="rebind", value=1804.0, unit="us")]),
        make_test(TEST_IDS[11], metrics=[Metric(name="offline_block", value=0.1402, unit="s")]),
        make_test(TEST_IDS[12], Verdict.SKIPPED, message="no shmem on this topology"),
    )
}
_PATCHED_RESULTS: Final = {
    test.id: test
    for test in (
        make_test(
            TEST_IDS[0],
            Verdict.FAILED,
            message=(
                "# guest-tests/mempolicy/mbind.c:97: Expected node_of_every_page(map, 16) == 1\n"
                "# move_private: Test terminated by assertion"
            ),
            placements=[make_placement(0), _OTHER_PLACEMENT],
            metrics=[Metric(name="mbind_move", value=13.1, unit="us/page")],
        ),
        make_test(
            TEST_IDS[2],
            Verdict.CRASHED,
            message="the guest stopped answering after the call",
            crash=NULL_DEREFERENCE,
        ),
        make_test(
            LOST_ID, Verdict.LOST, message="QEMU ended with status 1: no space left on device"
        ),
        _STILL_FAILING,
        make_test(TEST_IDS[9], metrics=[Metric(name="rebind", value=1203.5, unit="us")]),
        make_test(TEST_IDS[11], metrics=[Metric(name="offline_block", value=0.1402, unit="s")]),
        make_test(TEST_IDS[12], Verdict.SKIPPED, message="no shmem on this topology"),
    )
}
