"""Cpusets whose only node loses its memory, and gets it back.

What is asserted of the cpusets is cpuset_handle_hotplug() in kernel/cgroup/cpuset.c, 6.12, of the
pages do_migrate_range() in mm/memory_hotplug.c: offlining takes them to the nearest node that is
left, of whatever cpuset their process is.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import pytest
from hotplug_workload import DIMM_MIB, PAGES_PER_MIB

from testbed.core.topology import MEMORY_BLOCK_MIB
from testbed.host.guest import GuestProcess
from testbed.host.guest_memory import GuestMemory
from testbed.host.hotplug import Dimm, Hotplug
from testbed.host.vm import Vm
from testbed.pytest_plugin.evidence import Reporter

pytestmark = [
    pytest.mark.needs(
        nodes=3,
        empty_nodes=1,
        dimm_slots=2,
        kconfig=["CPUSETS", "MEMORY_HOTREMOVE", "ACPI_HOTPLUG_MEMORY"],
        timeout_s=120,
    ),
    pytest.mark.covers(contract=[18]),
]
_needs_v1 = pytest.mark.needs(
    nodes=3,
    empty_nodes=1,
    dimm_slots=2,
    kconfig=["CPUSETS", "CPUSETS_V1 since 6.12", "MEMORY_HOTREMOVE", "ACPI_HOTPLUG_MEMORY"],
    timeout_s=120,
)

_HELD_MIB: Final = 16
_PAGES: Final = _HELD_MIB * PAGES_PER_MIB
_DEADLINE_S: Final = 20.0
_AGAIN_S: Final = 0.05
_FOLLOW_US: Final = 50_000  # a file's growth wakes nobody; the second of `tail -f` adds up


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpusets:
    """A group ``outer`` and one in it, ``outer/in``, of cgroup v2 or of v1.

    ``effective`` is the name of the file with the mems in force.
    """

    vm: Vm
    root: str
    effective: str

    def set_mems(self, group: str, mems: str) -> None:
        """Write ``cpuset.mems`` of a group."""
        self.vm.run(f"echo {mems} > {self.root}/{group}/cpuset.mems")

    def read_mems(self, group: str) -> tuple[str, str]:
        """Return the mems of a group, as asked for and as in force."""
        folder = f"{self.root}/{group}"
        text = self.vm.run(f"cat {folder}/cpuset.mems {folder}/{self.effective}").stdout
        asked, in_force = text.splitlines()
        return asked, in_force

    def group_of(self, pid: int) -> str:
        """Return the group that a process is in."""
        return self.vm.run(f"cat /proc/{pid}/cpuset").stdout.strip()

    def mems_of(self, pid: int) -> str:
        """Return the nodes that a process may allocate on."""
        text = self.vm.run(f"grep Mems_allowed_list /proc/{pid}/status").stdout
        return text.split()[1]

    @contextmanager
    def hold(self, group: str) -> Iterator["Held"]:
        """Run a process in ``group`` that rewrites and verifies its pages; it must end well.

        Its answers go by way of a file. The buffers of a pipe cannot lie in ZONE_MOVABLE, and may
        not lie outside of the cpuset: a writer in one with such memory only would never end.
        """
        pid_file = "/tmp/held-pid"  # noqa: S108 - of the guest
        out = "$(mktemp /tmp/held-XXXXXX)"
        inner = (
            f"echo $$ > {pid_file} && echo $$ > {self.root}/{group}/cgroup.procs && "
            f"exec /tools/pagehold --mib {_HELD_MIB} --writer > $1"
        )
        command = (
            f"out={out}; (while cat; do usleep {_FOLLOW_US}; done) < $out & "
            f"sh -c '{inner}' sh $out <&0; status=$?; kill $!; exit $status"
        )
        with self.vm.guest.start(command) as process:
            assert process.read_json()["pages"] == _PAGES
            yield Held(process=process, pid=int(self.vm.run(f"cat {pid_file}").stdout))
            assert process.finish() == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A ``pagehold`` in a group, under no policy of its own."""

    process: GuestProcess
    pid: int

    def count_by_node(self) -> dict[int, int]:
        """Return where its pages are now: node to pages."""
        return {int(node): n for node, n in self.process.ask("where")["nodes"].items()}

    def assert_intact(self) -> None:
        """Verify every page, and that the writer has gone round since it was last asked."""
        found = self.process.ask("check")
        assert found["ok"] is True, f"content was lost: {found}"
        assert found["passes"] > 0, f"the writer stands still: {found}"


def _await(what: str, is_so: Callable[[], bool]) -> None:
    """Poll for what the kernel leaves to a work queue that nobody can wait for."""
    deadline = time.monotonic() + _DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline, f"not within {_DEADLINE_S:g} s: {what}"
        time.sleep(_AGAIN_S)


@pytest.fixture
def memory(vm: Vm) -> GuestMemory:
    """The guest's memory blocks, nodes and counters."""
    return GuestMemory(vm)


@pytest.fixture
def dimm(vm: Vm, hotplug: Hotplug) -> Iterator[Dimm]:
    """All memory of a node that had none: a DIMM, online in ZONE_MOVABLE.

    Another, offline on another node, is plugged behind it, so that its place in QEMU's memory is
    not taken again by a larger one. QEMU's TCG (7.2) keeps what it has translated there past the
    removal: a process whose text comes to lie there runs the text of another.
    """
    slots = [i for i, node in enumerate(vm.topology.nodes) if node.dimm_slots]
    empty = [node for node in slots if node in vm.topology.empty_nodes]
    plugged = hotplug.add_dimm(node=empty[0], size_mib=DIMM_MIB)
    hotplug.add_dimm(node=next(i for i in slots if i not in empty), size_mib=MEMORY_BLOCK_MIB)
    hotplug.online(plugged)
    yield plugged
    for left in hotplug.dimms:
        removal = hotplug.remove(left)
        assert removal.is_removed, removal.reason


@pytest.fixture
def v2(vm: Vm, dimm: Dimm) -> Iterator[Cpusets]:
    """Groups of cgroup v2; ``outer/in`` has the node of the DIMM only."""
    root = "/sys/fs/cgroup"
    vm.run(
        f"echo +cpuset > {root}/cgroup.subtree_control && mkdir {root}/outer && "
        f"echo +cpuset > {root}/outer/cgroup.subtree_control && mkdir {root}/outer/in"
    )
    yield Cpusets(vm=vm, root=root, effective="cpuset.mems.effective")
    _await("the groups are empty", lambda: _is_removed(vm, root))
    vm.run(f"echo -cpuset > {root}/cgroup.subtree_control")


@contextmanager
def _mount_v1(vm: Vm, options: str) -> Iterator[Cpusets]:
    root = "/tmp/cpusets"  # noqa: S108 - of the guest
    vm.run(
        f"mkdir {root} && mount -t cgroup -o {options} none {root} && "
        f"mkdir -p {root}/outer/in && cd {root} && "
        "cat cpuset.cpus > outer/cpuset.cpus && cat cpuset.cpus > outer/in/cpuset.cpus && "
        "echo 1 > outer/cpuset.memory_migrate && echo 1 > outer/in/cpuset.memory_migrate"
    )
    yield Cpusets(vm=vm, root=root, effective="cpuset.effective_mems")
    _await("the groups are empty", lambda: _is_removed(vm, root))
    vm.run(f"umount {root} && rmdir {root}")


def _is_removed(vm: Vm, root: str) -> bool:
    done = vm.run(f"rmdir {root}/outer/in {root}/outer 2>/dev/null; ls -d {root}/outer || true")
    return not done.stdout.startswith(root)


@pytest.fixture
def v1(vm: Vm, dimm: Dimm) -> Iterator[Cpusets]:
    """Groups of cgroup v1, with memory_migrate."""
    with _mount_v1(vm, "cpuset") as groups:
        yield groups


@pytest.fixture
def v1_as_v2(vm: Vm, dimm: Dimm) -> Iterator[Cpusets]:
    """Groups of cgroup v1 that is mounted to behave as v2 in this."""
    with _mount_v1(vm, "cpuset,cpuset_v2_mode") as groups:
        yield groups


def _take_away(how: str, dimm: Dimm, hotplug: Hotplug, memory: GuestMemory) -> None:
    if how == "offline":
        for block in dimm.blocks:
            memory.set_block(block, "offline")
    else:
        removal = hotplug.remove(dimm)
        assert removal.is_removed, removal.reason
    assert dimm.node not in memory.list_nodes("has_memory")


def _give_back(how: str, dimm: Dimm, hotplug: Hotplug) -> None:
    """Give the node memory again; where the DIMM was removed, another one, which is larger."""
    again = dimm if how == "offline" else hotplug.add_dimm(node=dimm.node, size_mib=2 * DIMM_MIB)
    hotplug.online(again)


def _report_at_home(report: Reporter, held: Held, node: int) -> None:
    report.placement(
        "in a cpuset of the plugged node",
        expected={node: _PAGES},
        seen=held.count_by_node(),
    )


def _assert_elsewhere(held: Held, node: int, memory: GuestMemory) -> dict[int, int]:
    """All pages are there, intact, and none on ``node``; where they are."""
    seen = held.count_by_node()
    assert node not in seen
    assert sum(seen.values()) == _PAGES
    held.assert_intact()
    _assert_conserved(memory)
    return seen


def _assert_conserved(memory: GuestMemory) -> None:
    assert memory.count_isolated_pages() == 0
    assert memory.count_isolated_blocks() == 0


@pytest.mark.parametrize("how", ["offline", "remove"])
@pytest.mark.parametrize("kind", ["v2", pytest.param("v1_as_v2", marks=_needs_v1)])
def test_falls_back_to_the_parents_mems_and_returns(
    request: pytest.FixtureRequest,
    kind: str,
    how: str,
    dimm: Dimm,
    hotplug: Hotplug,
    memory: GuestMemory,
    report: Reporter,
) -> None:
    groups: Cpusets = request.getfixturevalue(kind)
    node = dimm.node
    groups.set_mems("outer", f"1-2,{node}")
    groups.set_mems("outer/in", f"{node}")
    with groups.hold("outer/in") as held:
        _report_at_home(report, held, node)
        _take_away(how, dimm, hotplug, memory)

        assert groups.read_mems("outer") == (f"1-{node}", "1-2")
        assert groups.read_mems("outer/in") == (f"{node}", "1-2")
        assert groups.group_of(held.pid) == "/outer/in"
        assert groups.mems_of(held.pid) == "1-2"
        assert set(_assert_elsewhere(held, node, memory)) <= {1, 2}

        _give_back(how, dimm, hotplug)
        assert groups.read_mems("outer/in") == (f"{node}", f"{node}")
        assert groups.mems_of(held.pid) == f"{node}"
        # From the parent's mems, which were in force, to its own: queued, and not waited for.
        _await("its pages are back", lambda: held.count_by_node() == {node: _PAGES})
        held.assert_intact()
        _assert_conserved(memory)


def test_new_pages_keep_to_the_parents_mems(
    v2: Cpusets, dimm: Dimm, hotplug: Hotplug, memory: GuestMemory, report: Reporter
) -> None:
    node = dimm.node
    v2.set_mems("outer", f"1,{node}")
    v2.set_mems("outer/in", f"{node}")
    with v2.hold("outer/in") as held:
        _take_away("offline", dimm, hotplug, memory)
        assert v2.read_mems("outer/in") == (f"{node}", "1")
        with v2.hold("outer/in") as young:
            report.placement(
                "allocated in a cpuset whose own node is gone",
                expected={1: _PAGES},
                seen=young.count_by_node(),
            )
            young.assert_intact()
        # Offlining has no regard to cpusets: the pages are where it took them. A change of mems
        # finds them by way of a set that they are in.
        _assert_elsewhere(held, node, memory)
        v2.set_mems("outer", f"0-{node}")
        v2.set_mems("outer/in", "0-2")
        v2.set_mems("outer/in", "1")
        report.placement("after a change of mems", expected={1: _PAGES}, seen=held.count_by_node())
        held.assert_intact()
        _assert_conserved(memory)


@_needs_v1
@pytest.mark.parametrize("how", ["offline", "remove"])
def test_v1_is_emptied_and_its_processes_move_up(
    v1: Cpusets, how: str, dimm: Dimm, hotplug: Hotplug, memory: GuestMemory, report: Reporter
) -> None:
    node = dimm.node
    v1.set_mems("outer", f"1-2,{node}")
    v1.set_mems("outer/in", f"{node}")
    with v1.hold("outer/in") as held:
        _report_at_home(report, held, node)
        _take_away(how, dimm, hotplug, memory)

        assert v1.read_mems("outer") == ("1-2", "1-2")
        assert v1.read_mems("outer/in") == ("", "")
        # cpuset1_hotplug_update_tasks() leaves it to a work queue.
        _await("the process has moved up", lambda: v1.group_of(held.pid) == "/outer")
        assert v1.mems_of(held.pid) == "1-2"
        seen = _assert_elsewhere(held, node, memory)
        assert set(seen) <= {1, 2}

        # What a cpuset of v1 has lost does not come back.
        _give_back(how, dimm, hotplug)
        assert v1.read_mems("outer") == ("1-2", "1-2")
        assert v1.read_mems("outer/in") == ("", "")
        assert held.count_by_node() == seen
        held.assert_intact()


@_needs_v1
@pytest.mark.parametrize("how", ["offline", "remove"])
def test_v1_loses_the_node_and_its_processes_with_it(
    v1: Cpusets, how: str, dimm: Dimm, hotplug: Hotplug, memory: GuestMemory, report: Reporter
) -> None:
    """Nobody is moved up where nodes are left: those inside are to hear of it all the same."""
    node = dimm.node
    v1.set_mems("outer", f"{node}")
    with v1.hold("outer") as held:
        _report_at_home(report, held, node)
        v1.set_mems("outer", f"1-2,{node}")
        assert v1.mems_of(held.pid) == f"1-{node}"
        _take_away(how, dimm, hotplug, memory)

        assert v1.read_mems("outer") == ("1-2", "1-2")
        assert v1.group_of(held.pid) == "/outer"
        assert v1.mems_of(held.pid) == "1-2"
        seen = _assert_elsewhere(held, node, memory)

        # What a cpuset of v1 has lost does not come back.
        _give_back(how, dimm, hotplug)
        assert v1.mems_of(held.pid) == "1-2"
        assert held.count_by_node() == seen


@pytest.mark.parametrize("kind", ["v2", pytest.param("v1_as_v2", marks=_needs_v1)])
def test_mems_change_while_the_node_goes(
    request: pytest.FixtureRequest,
    kind: str,
    dimm: Dimm,
    hotplug: Hotplug,
    memory: GuestMemory,
    report: Reporter,
) -> None:
    groups: Cpusets = request.getfixturevalue(kind)
    node = dimm.node
    mems = f"{groups.root}/outer/in/cpuset.mems"
    groups.set_mems("outer", f"1-2,{node}")
    groups.set_mems("outer/in", f"{node}")
    # Until its input ends; both sets may be asked for, whether the node has memory or not.
    flip = (
        f"(while [ ! -e /tmp/stop ]; do echo 1 > {mems} && echo {node} > {mems} || exit 1; "
        "n=$((n + 1)); [ $n = 2 ] && echo '{\"turning\": true}'; done; "
        'echo "{\\"turns\\": $n}") & cat; touch /tmp/stop; wait $!'
    )
    with groups.hold("outer/in") as held:
        with groups.vm.guest.start(flip) as flipper:
            assert flipper.read_json()["turning"] is True
            _take_away("remove", dimm, hotplug, memory)
            assert flipper.finish() == 0
            assert flipper.read_json()["turns"] > 1
        assert groups.read_mems("outer/in") == (f"{node}", "1-2")
        assert groups.mems_of(held.pid) == "1-2"
        _assert_elsewhere(held, node, memory)

        groups.set_mems("outer", f"0-{node}")
        groups.set_mems("outer/in", "0-2")
        groups.set_mems("outer/in", "1")
        report.placement(
            "after a last change of mems", expected={1: _PAGES}, seen=held.count_by_node()
        )
        held.assert_intact()
        _assert_conserved(memory)
