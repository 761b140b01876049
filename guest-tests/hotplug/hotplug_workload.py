"""What lies on plugged memory: a workload with a known content, and memory of the kernel's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from testbed.host.guest import Guest, GuestProcess
from testbed.host.vm import Vm

DIMM_MIB: Final = 256
WORKLOAD_MIB: Final = 48
PAGES_PER_MIB: Final = 256
KIB_PER_MIB: Final = 1024

_CPUSET: Final = "/sys/fs/cgroup/kernel-memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A ``pagehold`` in the guest, whose writer rewrites and verifies its pages without a pause."""

    process: GuestProcess

    @classmethod
    @contextmanager
    def start(cls, guest: Guest, *, node: int) -> Iterator["Workload"]:
        """Run a workload whose memory is bound to ``node``; it must end well."""
        command = f"/tools/pagehold --mib {WORKLOAD_MIB} --bind {node} --writer"
        with guest.start(command) as process:
            ready = process.read_json()
            assert ready["ready"] is True, ready
            assert ready["pages"] == WORKLOAD_MIB * PAGES_PER_MIB, ready
            yield cls(process=process)
            assert process.finish() == 0

    def count_by_node(self) -> dict[int, int]:
        """Return where its pages are now: node to pages."""
        return {int(node): n for node, n in self.process.ask("where")["nodes"].items()}

    def count_by_block(self) -> dict[int, int]:
        """Return how many of its pages lie in which memory block, by their PFNs."""
        return {int(block): n for block, n in self.process.ask("blocks")["blocks"].items()}

    def assert_intact(self) -> None:
        """Verify every page, and that the writer has gone round since it was last asked."""
        found = self.process.ask("check")
        assert found["ok"] is True, f"content was lost: {found}"
        assert found["bad"] == 0, found
        assert found["passes"] > 0, f"the writer stands still: {found}"


def hold_kernel_memory(vm: Vm, *, node: int) -> None:
    """Leave a process in the guest whose kernel stack and page tables are on ``node``.

    Such pages cannot be moved. A cpuset binds them, which no policy of a mapping does. When this
    returns they are allocated: the fork did it. Where the node has memory in ZONE_NORMAL, they are
    in that zone.
    """
    vm.run(
        f"echo +cpuset > /sys/fs/cgroup/cgroup.subtree_control; mkdir {_CPUSET} && "
        f"echo {node} > {_CPUSET}/cpuset.mems && echo 0 > {_CPUSET}/cgroup.procs && "
        "{ sleep 1000 & } >/dev/null 2>&1"
    )
