"""virtio-mem: memory of a node that the host makes larger and smaller while the guest runs.

The host asks for a size; the guest's driver plugs or unplugs until it is reached, block by block.
The driver gives what it can: unplugging stops short at memory that cannot be moved, and no event
says so. What the driver then does is to start a timer for its next try, and that can be seen.
"""

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from testbed.core.numa_argv import name_virtio_mem
from testbed.errors import UserError
from testbed.host.guest_memory import GuestMemory, check_landed
from testbed.host.memory_device import BYTES_PER_MIB, await_event, query_memory_device
from testbed.host.qmp import QmpEvent
from testbed.host.vm import Vm

_TIMEOUT_S: Final = 30.0
# QEMU sends one MEMORY_DEVICE_SIZE_CHANGE a second and device: the first at once, then the last of
# each second (monitor_qapi_event_conf in monitor/monitor.c, 7.2). So the last word on a resize
# comes at most a second late; a guest that is silent for longer is asked whether it has given up.
_SILENCE_S: Final = 1.5
_TAKEN_BACK: Final = "the guest's driver reached the size and went back from it"
_ONLINE_POLICIES: Final = ("offline", "online", "online_kernel", "online_movable")

_TIMERS: Final = "cat /proc/timer_list"
_RETRY_TIMER: Final = "virtio_mem_timer_expired"  # drivers/virtio/virtio_mem.c, 6.12
_EXPIRY: Final = re.compile(r"# expires at (\d+)-")
# virtio_mem_run_wq() runs on system_freezable_wq; a worker's name has a plus while it does
# (wq_worker_comm() in kernel/workqueue.c, 6.12). The driver asks QEMU for the last block before it
# adds it to Linux, and removes a block from Linux after QEMU has had it back.
_AWAIT_DRIVER: Final = (
    "while cat /proc/[0-9]*/comm 2>/dev/null | grep -q '+events_freezable$'; do :; done"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resize:
    """How a resize ended: the device has ``size_mib``, which may not be what was asked for.

    ``blocks`` are its memory blocks in the guest now, each of which may be filled in part;
    ``reason`` says why the guest stopped short, empty where it did not.
    """

    requested_mib: int
    size_mib: int
    blocks: tuple[int, ...]
    reason: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether the device has the size that was asked for."""
        return self.size_mib == self.requested_mib


class VirtioMem:
    """The virtio-mem device at position ``number`` of the topology of ``vm``."""

    def __init__(self, vm: Vm, number: int) -> None:
        self._vm = vm
        self._memory = GuestMemory(vm)
        self._asked = vm.topology.virtio_mem[number]
        self.id = name_virtio_mem(number)

    @property
    def node(self) -> int:
        """The node that its memory belongs to."""
        return self._asked.node

    @property
    def max_mib(self) -> int:
        """What it can grow to."""
        return self._asked.max_mib

    @property
    def size_mib(self) -> int:
        """What it has now."""
        return query_memory_device(self._vm.qmp, self.id).size_mib

    @property
    def is_as_booted(self) -> bool:
        """Whether it has the size again that the topology asks for at boot."""
        return self.size_mib == self._asked.requested_mib

    def resize(
        self, size_mib: int, *, online: str = "offline", timeout_s: float = _TIMEOUT_S
    ) -> Resize:
        """Ask the guest for ``size_mib`` of memory and wait for what it makes of it.

        ``online`` is what becomes of new memory blocks meanwhile, as written to
        ``auto_online_blocks``: ``offline`` (until someone onlines them), ``online_movable``,
        ``online_kernel``, ``online``; what was set before is set again at the end. While 1 GiB is
        offline the driver adds no more (VIRTIO_MEM_DEFAULT_OFFLINE_THRESHOLD, 6.12), so growth
        beyond that needs one of the others. Old blocks stay as they are.

        A size that is not reached is a value, not an error: when the driver gives up for now (it
        tries again after 50 s at the earliest), or past ``timeout_s``. A resize that ends takes at
        most a second longer than the guest did; giving up is seen within 1.5 s.

        Raises :class:`UserError` for a size or a policy that cannot be, :class:`AssertionError`
        when memory is on another node than the device's, :class:`GuestLostError` at QEMU's end.
        """
        self._check_request(size_mib, online)
        with self._onlining(online):
            reason = self._ask(size_mib, timeout_s)
        device = query_memory_device(self._vm.qmp, self.id)
        nodes = self._memory.read_block_nodes()
        blocks = tuple(block for block in device.blocks if block in nodes)
        check_landed(f"{self.id} of {device.size_mib} MiB", nodes, node=self.node, blocks=blocks)
        return Resize(
            requested_mib=size_mib,
            size_mib=device.size_mib,
            blocks=blocks,
            reason="" if device.size_mib == size_mib else reason or _TAKEN_BACK,
        )

    def _check_request(self, size_mib: int, online: str) -> None:
        block_mib = self._asked.block_mib
        if not 0 <= size_mib <= self.max_mib or size_mib % block_mib:
            raise UserError(
                f"{self.id} cannot have {size_mib} MiB: ask for a multiple of {block_mib}, at most "
                f"{self.max_mib} (virtio_mem of the topology {self._vm.topology.name})"
            )
        if online not in _ONLINE_POLICIES:
            raise UserError(f"online={online!r}: allowed are {', '.join(_ONLINE_POLICIES)}")

    @contextmanager
    def _onlining(self, policy: str) -> Iterator[None]:
        before = self._memory.read_auto_online()
        self._memory.set_auto_online(policy)
        yield  # what is raised here means that the guest no longer answers
        self._memory.set_auto_online(before)

    def _ask(self, size_mib: int, timeout_s: float) -> str:
        """Ask for a size and wait for its end; return why it ended short, where it did."""
        qmp = self._vm.qmp
        deadline = time.monotonic() + timeout_s
        old_tries = self._find_tries()
        qmp.execute(
            "qom-set",
            path=f"/machine/peripheral/{self.id}",
            property="requested-size",
            value=size_mib * BYTES_PER_MIB,
        )
        while True:
            mark = qmp.mark()
            if self.size_mib == size_mib:
                self._vm.run(_AWAIT_DRIVER)
                return ""
            left = deadline - time.monotonic()
            if left <= 0:
                return f"the guest's driver did not end within {timeout_s:g} s"
            silence_s = min(left, _SILENCE_S)
            event = await_event(qmp, self._is_resize, since=mark, timeout_s=silence_s)
            if event is None and self._find_tries() - old_tries:
                self._vm.run(_AWAIT_DRIVER)
                return "the guest's driver gave up for now and will try again"

    def _is_resize(self, event: QmpEvent) -> bool:
        return event.name == "MEMORY_DEVICE_SIZE_CHANGE" and event.data.get("id") == self.id

    def _find_tries(self) -> frozenset[int]:
        return find_tries(self._vm.run(_TIMERS).stdout.splitlines())


def find_tries(lines: Iterable[str]) -> frozenset[int]:
    """Return when virtio-mem drivers that gave up will try again, from /proc/timer_list.

    In nanoseconds of the guest's CLOCK_MONOTONIC. A try is told from another by its time, so that
    one of an earlier resize, or of another device, is not taken for one of this.
    """
    tries: set[int] = set()
    is_retry = False
    for line in lines:
        if is_retry and (expiry := _EXPIRY.search(line)):
            tries.add(int(expiry[1]))
        is_retry = _RETRY_TIMER in line
    return frozenset(tries)
