"""The target's memory goes offline in the middle of a call: before, during and after it.

A call of move_pages(2) is held half-way by userfaultfd(2), at an entry of its array of nodes: some
pages have moved then, others are isolated and wait for their turn. Offlining, in turn, goes on for
as long as a page of the block is held (offline_pages() in mm/memory_hotplug.c, 6.12, tries until a
signal comes), and meanwhile there is no free page in it. So neither is a matter of luck.

Every page is to be where it was, on the target, or where offlining has taken it from there; no
status may say that a page has moved that has not; nothing is lost, nobody is killed.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from errno import EINVAL, EIO, ENODEV, ENOMEM
from signal import SIGINT
from typing import Any, Final

import pytest

from testbed.core.topology import MEMORY_BLOCK_MIB
from testbed.host.guest import GuestProcess
from testbed.host.guest_memory import GuestMemory
from testbed.host.hotplug import Dimm, Hotplug
from testbed.host.vm import Vm
from testbed.pytest_plugin.evidence import Reporter

pytestmark = [
    pytest.mark.needs(
        nodes=2,
        empty_nodes=1,
        dimm_slots=1,
        kconfig=["MEMORY_HOTREMOVE", "ACPI_HOTPLUG_MEMORY", "PROC_PAGE_MONITOR", "USERFAULTFD"],
        timeout_s=90,
    ),
    pytest.mark.covers(contract=[16]),
]

# Of /tools/movehold: it stops at this entry, and the page at FIRST goes to another node.
_STOP: Final = 1024
_FIRST: Final = 256
_PAGES: Final = 2048
_HOME: Final = 0
_OTHER: Final = 1
_PAGEBLOCKS: Final = MEMORY_BLOCK_MIB // 2
_DEADLINE_S: Final = 20.0
_AGAIN_S: Final = 0.02

Runs = list[list[int | None]]


class Held:
    """A ``movehold``: pages on the first node, and the calls that move them."""

    def __init__(self, process: GuestProcess) -> None:
        self._process = process

    def ask(self, request: str) -> dict[str, Any]:
        """Return the answer to a request."""
        answer = self._process.ask(request)
        assert "error" not in answer, f"{request}: {answer}"
        return answer

    def do(self, request: str) -> int:
        """Return the result of a call."""
        return int(self.ask(request)["result"])

    def move(self, node: int, first: int = 0, count: int = _PAGES) -> dict[str, Any]:
        """Return what move_pages(2) says of the call, and of the pages."""
        return self.ask(f"move {first} {count} {node}")

    def where(self) -> Runs:
        """Return where the pages are: a node, and how many in a row are there."""
        runs: Runs = self.ask("where")["where"]
        return runs

    def count_on(self, node: int) -> int:
        """Return how many pages are on ``node``."""
        return sum(count or 0 for place, count in self.where() if place == node)

    def verify(self, taken_away: int = 0) -> None:
        """Verify content, state and frames; the first ``taken_away`` may have any frame."""
        assert self.ask(f"verify {taken_away}")["problem"] == ""


@pytest.fixture
def memory(vm: Vm) -> GuestMemory:
    """The guest's memory blocks, nodes and counters."""
    return GuestMemory(vm)


@pytest.fixture
def dimm(vm: Vm, hotplug: Hotplug, memory: GuestMemory) -> Iterator[Dimm]:
    """All memory of a node that had none: a memory block, online in ZONE_MOVABLE.

    That nothing holds a page of it at the end shows in that it can be removed.
    """
    slots = [i for i, node in enumerate(vm.topology.nodes) if node.dimm_slots]
    empty = next(i for i in slots if i in vm.topology.empty_nodes)
    plugged = hotplug.add_dimm(node=empty, size_mib=MEMORY_BLOCK_MIB)
    hotplug.online(plugged)
    assert memory.read_zones(plugged.blocks[0]) == ("Movable",)
    yield plugged
    removal = hotplug.remove(plugged)
    assert removal.is_removed, removal.reason


@pytest.fixture
def held(vm: Vm, dimm: Dimm, memory: GuestMemory) -> Iterator[Held]:
    """The pages, and that nothing has leaked and nobody was killed when they are done with."""
    before = memory.read_vmstat()
    command = f"/tools/movehold --pages {_PAGES} --bind {_HOME}"
    with vm.guest.start(command) as process:
        assert process.read_json() == {"ready": True, "pages": _PAGES}
        yield Held(process)
        assert memory.count_isolated_pages() == 0
        assert memory.count_isolated_blocks() == 0
        assert process.finish() == 0
    assert memory.read_vmstat()["oom_kill"] == before["oom_kill"]


def _await(what: str, is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline, f"not within {_DEADLINE_S:g} s: {what}"
        time.sleep(_AGAIN_S)


def _grown(memory: GuestMemory, before: dict[str, int], names: Sequence[str]) -> tuple[int, ...]:
    after = memory.read_vmstat()
    return tuple(after[name] - before[name] for name in names)


def _hold_half_way(held: Held, memory: GuestMemory, node: int) -> None:
    """Stop a call that moves all pages to ``node`` when some have, and some are isolated."""
    assert held.do(f"hold {node} {_OTHER}") == 0
    assert held.where() == [[node, _FIRST], [_OTHER, 1], [_HOME, _PAGES - _FIRST - 1]]
    assert memory.count_isolated_pages() == _STOP - _FIRST - 1


# What a call has said of the pages that had moved when it failed; of the rest it says nothing.
def _told(node: int) -> Runs:
    return [[node, _FIRST], [_OTHER, 1], [None, _PAGES - _FIRST - 1]]


def _assert_there_is_no_node(held: Held, node: int) -> None:
    """Every call refuses ``node``, and nothing moves."""
    where = held.where()
    assert held.move(node) == {"result": -ENODEV, "status": [[None, _PAGES]]}
    assert held.do(f"bind {node}") == -EINVAL
    assert held.do(f"migrate {_HOME} {node}") == -EINVAL
    assert held.where() == where
    held.verify()


def _assert_all_moves(held: Held, node: int, report: Reporter) -> None:
    """With the memory online again a quiet call moves all pages."""
    assert held.move(node) == {"result": 0, "status": [[node, _PAGES]]}
    report.placement(
        "after it came online again",
        expected={node: _PAGES},
        seen={node: held.count_on(node)},
    )
    held.verify()


def _assert_taken_away(held: Held, node: int) -> None:
    """No page is on ``node``; those that were are on any other, the rest is where it was."""
    where = held.where()
    assert node not in [place for place, _ in where]
    assert sum(count or 0 for _, count in where) == _PAGES
    assert where[-1][0] == _HOME
    assert held.count_on(_OTHER) >= 1


@pytest.mark.covers(
    interface=["move_pages-set"], backing=["anon-private"], condition=["target-memoryless"]
)
def test_offline_while_a_call_is_half_way(
    held: Held, dimm: Dimm, memory: GuestMemory, report: Reporter
) -> None:
    node = dimm.node
    before = memory.read_vmstat()
    _hold_half_way(held, memory, node)

    memory.set_block(dimm.blocks[0], "offline")

    assert memory.read_block(dimm.blocks[0]) == "offline"
    assert node not in memory.list_nodes("has_memory")
    # Isolated pages of another node are none of its business.
    assert memory.count_isolated_pages() == _STOP - _FIRST - 1
    _assert_taken_away(held, node)

    # The rest of the array names a node without memory; what was isolated goes back.
    assert held.ask("go") == {"result": -ENODEV, "status": _told(node)}
    _assert_taken_away(held, node)
    # Those that moved there and away again, the one to another node, and the first that could not.
    counted = _grown(memory, before, ("pgmigrate_success", "pgmigrate_fail"))
    assert counted == (2 * _FIRST + 1, 1)
    held.verify(_FIRST)
    _assert_there_is_no_node(held, node)

    memory.set_block(dimm.blocks[0], "online_movable")
    _assert_all_moves(held, node, report)


def test_offline_and_online_while_a_call_is_half_way(
    held: Held, dimm: Dimm, memory: GuestMemory, report: Reporter
) -> None:
    node = dimm.node
    _hold_half_way(held, memory, node)

    memory.set_block(dimm.blocks[0], "offline")
    memory.set_block(dimm.blocks[0], "online_movable")

    # What was told of the first pages was so when it was told.
    assert held.ask("go") == {
        "result": 0,
        "status": [[node, _FIRST], [_OTHER, 1], [node, _PAGES - _FIRST - 1]],
    }
    assert held.count_on(node) == _PAGES - _FIRST - 1
    assert held.where()[-1] == [node, _PAGES - _FIRST - 1]
    held.verify(_FIRST)
    _assert_all_moves(held, node, report)


@contextmanager
def _going_offline(vm: Vm, dimm: Dimm, memory: GuestMemory) -> Iterator[GuestProcess]:
    """Begin to offline a block that cannot go yet, since a page of it is held.

    The process says its pid, and in the end the status of its write.
    """
    state = f"/sys/devices/system/memory/memory{dimm.blocks[0]}/state"
    write = f"echo '{{\"pid\": '$$'}}'; exec printf offline > {state}"
    command = f"sh -c {_quote(write)} 2>/dev/null; echo '{{\"status\": '$?'}}'"
    with vm.guest.start(command) as process:
        _await("its free pages are isolated", lambda: _is_isolated(dimm, memory))
        yield process


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _is_isolated(dimm: Dimm, memory: GuestMemory) -> bool:
    is_going = memory.read_block(dimm.blocks[0]) == "going-offline"
    return is_going and memory.count_isolated_blocks() == _PAGEBLOCKS


def _assert_there_is_no_room(held: Held, node: int) -> None:
    """The node still has memory, but no page that could be had."""
    rest = _PAGES - 1
    assert held.move(node, 1, rest) == {"result": -ENOMEM, "status": [[None, rest]]}
    assert held.do(f"bind {node}") == -EIO
    assert held.do("unbind") == 0
    assert held.do(f"migrate {_HOME} {node}") == -ENOMEM
    # The page that is held is in and out of the page table: offlining tries it again and again.
    assert held.where()[-1] == [_HOME, rest]


@pytest.mark.covers(
    interface=["move_pages-set", "mbind-move-strict", "migrate_pages-self"],
    backing=["anon-private"],
    condition=["target-full"],
)
def test_calls_while_it_goes_offline(
    vm: Vm, held: Held, dimm: Dimm, memory: GuestMemory, report: Reporter
) -> None:
    node = dimm.node
    assert held.move(node, 0, 1)["result"] == 0
    assert held.do("pin 0") == 0
    held.verify()
    with _going_offline(vm, dimm, memory) as offlining:
        assert node in memory.list_nodes("has_memory")
        _assert_there_is_no_room(held, node)

        assert held.do("unpin") == 0
        assert offlining.read_json()["pid"] > 1
        assert offlining.read_json() == {"status": 0}

    assert memory.read_block(dimm.blocks[0]) == "offline"
    assert held.count_on(node) == 0
    held.verify(1)
    _assert_there_is_no_node(held, node)
    memory.set_block(dimm.blocks[0], "online_movable")
    _assert_all_moves(held, node, report)


def test_offline_begins_half_way_and_is_given_up(
    vm: Vm, held: Held, dimm: Dimm, memory: GuestMemory, report: Reporter
) -> None:
    node = dimm.node
    _hold_half_way(held, memory, node)
    assert held.do("pin 0") == 0
    with _going_offline(vm, dimm, memory) as offlining:
        _await("all but the pinned page have left", lambda: held.count_on(node) == 1)

        # Where it goes on the node has memory, and none of it is to be had.
        assert held.ask("go") == {"result": -ENOMEM, "status": _told(node)}
        assert held.count_on(_HOME) >= _PAGES - _FIRST - 1

        pid = offlining.read_json()["pid"]
        vm.run(f"kill -INT {pid}")
        assert offlining.read_json() == {"status": 128 + SIGINT}

    assert memory.read_block(dimm.blocks[0]) == "online"
    assert memory.count_isolated_blocks() == 0
    held.verify(_FIRST)
    assert held.move(node, 1, _PAGES - 1) == {"result": 0, "status": [[node, _PAGES - 1]]}
    assert held.do("unpin") == 0
    held.verify()
    memory.set_block(dimm.blocks[0], "offline")
    assert held.count_on(node) == 0
    held.verify(_PAGES)
    memory.set_block(dimm.blocks[0], "online_movable")
    _assert_all_moves(held, node, report)
