"""The workload of the hotplug tests: memory with a known content, verified all along."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from testbed.host.guest import Guest, GuestProcess

DIMM_MIB: Final = 256
WORKLOAD_MIB: Final = 48
PAGES_PER_MIB: Final = 256


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
