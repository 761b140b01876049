"""The machine as a guest sees it, and how that differs from the topology that was asked for.

:data:`FACTS_SCRIPT` is run in the guest, :func:`parse_seen` reads what it prints and
:func:`compare_machine` says what is not as it should be, before any test relies on it.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from testbed.core.text import clean, shorten_middle
from testbed.core.topology import Topology

_NODE: Final = "/sys/devices/system/node"
_END: Final = "facts: end"

# One process, since an exec costs an emulated guest milliseconds. The patterns take the files of
# one value, the node's MemTotal out of its meminfo, the swap devices out of /proc/swaps, and the
# empty list of a node without CPUs. Files that a kernel does not have are left out (-s).
FACTS_SCRIPT: Final = f"""\
grep -sH -e '^[0-9/]' -e '^$' -e MemTotal: \
/sys/devices/system/cpu/online {_NODE}/possible {_NODE}/online \
{_NODE}/node*/cpulist {_NODE}/node*/distance {_NODE}/node*/meminfo \
{_NODE}/node*/access0/initiators/read_latency {_NODE}/node*/access0/initiators/read_bandwidth \
/sys/devices/virtual/memory_tiering/memory_tier*/nodelist \
/sys/bus/virtio/devices/*/device /proc/swaps
echo '{_END}'
"""

_VIRTIO_ID_MEM: Final = 24  # virtio 1.2, 5: device types

# MemTotal is what the page allocator manages, less than the firmware gave. In proportion: the
# memmap (64 bytes a page), page_owner's page_ext (about as much), KASAN's shadow (an eighth, where
# the topology does not tell of it), a sixth together. Fixed: the kernel's image (up to 50 MiB with
# KASAN), hash tables; and, where memory may lie above 4 GiB, the 64 MiB of swiotlb on some node
# (pci_swiotlb_detect() in arch/x86/kernel/pci-dma.c, 6.12). A node that is missing is found all
# the same, and memory that went elsewhere, since no node may have more than was asked for.
_RESERVED_SHARE: Final = 0.2
_RESERVED_MIB: Final = 64
_SWIOTLB_MIB: Final = 64
_LOW_MEMORY_MIB: Final = 2048  # q35 and pc of QEMU 7.2 put at least as much below 4 GiB
_KIB_PER_MIB: Final = 1024
_SWAP_HEADER_KIB: Final = 4  # the first page of a swap area: mm/swapfile.c, 6.12

# Far above what a guest of 64 nodes says, far below what would hurt the host.
_MAX_LINES: Final = 4096
_MAX_LINE_CHARS: Final = 4096
_MAX_NUMBER: Final = 4095  # of a node or a CPU
_MAX_DIFFERENCES: Final = 40
_SHOWN_CHARS: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenNode:
    """An online node. ``distances`` are to the online nodes, in their order.

    ``latency_ns`` and ``bandwidth_mib_s`` are of access from the nearest initiator, None where the
    firmware has not told or the kernel does not say.
    """

    number: int
    cpus: tuple[int, ...] = ()
    memory_kib: int = 0
    distances: tuple[int, ...] = ()
    latency_ns: int | None = None
    bandwidth_mib_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenMachine:
    """What the guest told. ``tiers`` are the nodes of the memory tiers, the fastest first.

    ``unreadable`` says why nothing else is known; empty when the facts could be read.
    """

    cpus: tuple[int, ...] = ()
    possible: tuple[int, ...] = ()
    nodes: tuple[SeenNode, ...] = ()
    tiers: tuple[tuple[int, ...], ...] = ()
    swaps_kib: tuple[int, ...] = ()
    virtio_mems: int = 0
    unreadable: str = ""

    @property
    def online(self) -> tuple[int, ...]:
        """The nodes that are online."""
        return tuple(node.number for node in self.nodes)


class _UnreadableError(ValueError):
    """The guest's facts are not what the script prints."""


def _read_list(text: str) -> tuple[int, ...]:
    """Read a list such as ``0-2,5`` (bitmap_parselist(), lib/bitmap-str.c, 6.12)."""
    numbers: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        if int(last or first) > _MAX_NUMBER:
            raise _UnreadableError(f"the number {last or first} in a list")
        numbers |= set(range(int(first), int(last or first) + 1))
    return tuple(sorted(numbers))


def _read_numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split())


def _read_number(text: str) -> tuple[int, ...]:
    return (int(text),)


def _read_hex(text: str) -> tuple[int, ...]:
    return (int(text, 16),)


_Read = Callable[[str], tuple[int, ...]]
_LIST: Final = r"((?:\d{1,5}(?:-\d{1,5})?(?:,|$))*)"
_NUMBER: Final = r"(\d{1,15})"

# What a line is a fact of; a pattern has the number of the node, tier or device, and the value.
_FACTS: Final[tuple[tuple[str, re.Pattern[str], _Read], ...]] = tuple(
    (kind, re.compile(pattern, re.ASCII), read)
    for kind, pattern, read in (
        ("cpus", rf"/sys/devices/system/cpu/online():{_LIST}", _read_list),
        ("possible", rf"{_NODE}/possible():{_LIST}", _read_list),
        ("online", rf"{_NODE}/online():{_LIST}", _read_list),
        ("node cpus", rf"{_NODE}/node(\d{{1,4}})/cpulist:{_LIST}", _read_list),
        (
            "distances",
            rf"{_NODE}/node(\d{{1,4}})/distance:(\d{{1,3}}(?: \d{{1,3}})*)",
            _read_numbers,
        ),
        (
            "memory",
            rf"{_NODE}/node(\d{{1,4}})/meminfo:Node \d+ MemTotal: +{_NUMBER} kB",
            _read_number,
        ),
        (
            "latency",
            rf"{_NODE}/node(\d{{1,4}})/access0/initiators/read_latency:{_NUMBER}",
            _read_number,
        ),
        (
            "bandwidth",
            rf"{_NODE}/node(\d{{1,4}})/access0/initiators/read_bandwidth:{_NUMBER}",
            _read_number,
        ),
        (
            "tier",
            rf"/sys/devices/virtual/memory_tiering/memory_tier(\d{{1,9}})/nodelist:{_LIST}",
            _read_list,
        ),
        (
            "virtio",
            r"/sys/bus/virtio/devices/virtio(\d{1,4})/device:0x([0-9a-f]{4})",
            _read_hex,
        ),
        (
            "swap",
            rf"/proc/swaps():/\S+\s+(?:partition|file)\s+{_NUMBER}\s+\d+\s+-?\d+",
            _read_number,
        ),
    )
)

_Facts = dict[str, dict[int, tuple[int, ...]]]


def parse_seen(lines: Iterable[str]) -> SeenMachine:
    """Read the output of :data:`FACTS_SCRIPT`.

    Never raises: a guest may say anything. What is not what the script prints ends up as
    ``unreadable``, and no more than a few thousand lines are taken.
    """
    try:
        facts = _read_facts(lines)
    except _UnreadableError as err:
        return SeenMachine(unreadable=str(err))
    return SeenMachine(
        cpus=facts["cpus"].get(0, ()),
        possible=facts["possible"].get(0, ()),
        nodes=tuple(_make_node(number, facts) for number in facts["online"].get(0, ())),
        tiers=tuple(nodes for _, nodes in sorted(facts["tier"].items())),
        swaps_kib=tuple(size for (size,) in facts["swap"].values()),
        virtio_mems=sum(device == (_VIRTIO_ID_MEM,) for device in facts["virtio"].values()),
    )


def _read_facts(lines: Iterable[str]) -> _Facts:
    facts: _Facts = {kind: {} for kind, _, _ in _FACTS}
    for line in islice(lines, _MAX_LINES):
        text = line.rstrip("\r\n")
        if text == _END:
            return facts
        kind, number, value = _read_fact(text)
        found = facts[kind]
        key = len(found) if kind == "swap" else number
        if key in found:
            raise _UnreadableError(f"told twice: {_show(text)}")
        found[key] = value
    raise _UnreadableError(f"no line {_END!r} among the first {_MAX_LINES}")


def _read_fact(text: str) -> tuple[str, int, tuple[int, ...]]:
    if len(text) > _MAX_LINE_CHARS:
        raise _UnreadableError(f"a line of {len(text)} characters: {_show(text)}")
    for kind, pattern, read in _FACTS:
        match = pattern.fullmatch(text)
        if match:
            return kind, int(match[1] or 0), read(match[2])
    raise _UnreadableError(f"an unknown line: {_show(text)}")


def _show(text: str) -> str:
    return repr(shorten_middle(clean(text), width=_SHOWN_CHARS))


def _make_node(number: int, facts: _Facts) -> SeenNode:
    return SeenNode(
        number=number,
        cpus=facts["node cpus"].get(number, ()),
        memory_kib=facts["memory"].get(number, (0,))[0],
        distances=facts["distances"].get(number, ()),
        latency_ns=facts["latency"].get(number, (None,))[0],
        bandwidth_mib_s=facts["bandwidth"].get(number, (None,))[0],
    )


def compare_machine(topology: Topology, seen: SeenMachine) -> tuple[str, ...]:
    """Return how the machine that the guest sees differs from ``topology``, a sentence each.

    Empty when it is the machine that was asked for. Memory may be less than asked for by what a
    kernel keeps to itself. Latencies, bandwidths and tiers count where the topology has an HMAT.
    """
    if seen.unreadable:
        return (f"the guest's facts cannot be read: {seen.unreadable}",)
    found = [
        *_compare_sets(topology, seen),
        *_compare_nodes(topology, seen),
        *_compare_distances(topology, seen),
        *_compare_hmat(topology, seen),
        *_compare_devices(topology, seen),
    ]
    if len(found) > _MAX_DIFFERENCES:
        found[_MAX_DIFFERENCES:] = [f"and {len(found) - _MAX_DIFFERENCES} more differences"]
    return tuple(found)


def format_list(numbers: Iterable[int]) -> str:
    """Return sorted ``numbers`` as sysfs would, ``0-2,5``; "none" for no numbers."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs) or "none"


def _compare_sets(topology: Topology, seen: SeenMachine) -> Iterator[str]:
    every = range(len(topology.nodes))
    # What a virtio-mem device has at boot brings an empty node up, once the driver got to it.
    pending = {device.node for device in topology.virtio_mem if device.requested_mib}
    absent = set(topology.empty_nodes) - (pending & set(seen.online))
    lists = (
        ("CPUs", range(topology.cpus), seen.cpus),
        ("nodes", (number for number in every if number not in absent), seen.online),
        ("nodes that may come up", every, seen.possible),
    )
    for what, asked, found in lists:
        yield from _compare(what, format_list(asked), format_list(found))


def _compare_nodes(topology: Topology, seen: SeenMachine) -> Iterator[str]:
    nodes = {node.number: node for node in seen.nodes}
    # All that can be plugged has addresses above 4 GiB, however little it is.
    is_high = bool(topology.max_memory_mib) or topology.boot_memory_mib > _LOW_MEMORY_MIB
    reserved_mib = _RESERVED_MIB + (_SWIOTLB_MIB if is_high else 0)
    for number, asked in enumerate(topology.nodes):
        node = nodes.pop(number, SeenNode(number=number))
        yield from _compare(
            f"CPUs of node {number}",
            format_list(topology.list_cpus(number)),
            format_list(node.cpus),
        )
        plugged = sum(d.requested_mib for d in topology.virtio_mem if d.node == number)
        shadow_mib = topology.shadow_mib if number == topology.memory_nodes[0] else 0
        least_mib = (asked.memory_mib - shadow_mib) * (1 - _RESERVED_SHARE) - reserved_mib
        is_enough = node.memory_kib > 0 and node.memory_kib >= least_mib * _KIB_PER_MIB
        is_too_much = node.memory_kib > (asked.memory_mib + plugged) * _KIB_PER_MIB
        if is_too_much or (asked.memory_mib and not is_enough):
            yield (
                f"node {number}: {asked.memory_mib} MiB asked for, "
                f"{node.memory_kib // _KIB_PER_MIB} MiB seen"
            )
    for number, node in nodes.items():
        yield f"node {number}: not asked for, {node.memory_kib // _KIB_PER_MIB} MiB seen"


def _compare_distances(topology: Topology, seen: SeenMachine) -> Iterator[str]:
    for node in seen.nodes:
        source = node.number
        if len(node.distances) != len(seen.nodes):
            yield (
                f"distances of node {source}: {len(seen.nodes)} expected, one for each online "
                f"node, {len(node.distances)} seen"
            )
            continue
        for target, distance in zip(seen.online, node.distances, strict=True):
            if max(source, target) < len(topology.nodes):
                asked = topology.distance(source, target)
                yield from _compare(f"distance {source}->{target}", str(asked), str(distance))


def _compare_hmat(topology: Topology, seen: SeenMachine) -> Iterator[str]:
    if topology.hmat is None:
        return
    for node in seen.nodes:
        source = (
            topology.find_initiator(node.number) if node.number in topology.memory_nodes else None
        )
        if source is None:
            continue
        for what, unit, table, found in (
            ("latency", "ns", topology.hmat.latency_ns, node.latency_ns),
            ("bandwidth", "MiB/s", topology.hmat.bandwidth_mib_s, node.bandwidth_mib_s),
        ):
            yield from _compare(
                f"{what} of node {node.number} from node {source}",
                f"{table[source][node.number]} {unit}",
                "none" if found is None else f"{found} {unit}",
            )
    yield from _compare(
        "memory tiers, the fastest first",
        _format_tiers(tuple(sorted(tier)) for tier in topology.hmat.tiers),
        _format_tiers(seen.tiers),
    )


def _format_tiers(tiers: Iterable[tuple[int, ...]]) -> str:
    return " ".join(f"[{format_list(tier)}]" for tier in tiers) or "none"


def _compare_devices(topology: Topology, seen: SeenMachine) -> Iterator[str]:
    asked = sorted(size * _KIB_PER_MIB - _SWAP_HEADER_KIB for size in topology.swap_mib)
    yield from _compare("swap", _format_sizes(asked), _format_sizes(sorted(seen.swaps_kib)))
    yield from _compare("virtio-mem devices", str(len(topology.virtio_mem)), str(seen.virtio_mems))


def _format_sizes(sizes_kib: Iterable[int]) -> str:
    return " + ".join(f"{size} KiB" for size in sizes_kib) or "none"


def _compare(what: str, asked: str, seen: str) -> Iterator[str]:
    if asked != seen:
        yield f"{what}: {asked} asked for, {seen} seen"
