"""The machine room with real guests: booting, talking, plugging, crashing, hanging, dying."""

import os
import selectors
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from testbed.core.topology import Node, Topology
from testbed.errors import GuestLostError, InfraError
from testbed.host import catalog, proc
from testbed.host.accel import Accel
from testbed.host.builder import Kernel
from testbed.host.guest_result import GuestCommandError, GuestTimeoutError
from testbed.host.guest_image import GuestImage, build_guest_image
from testbed.host.guest_memory import GuestMemory
from testbed.host.hotplug import Hotplug
from testbed.host.store import Store
from testbed.host.boot import BootFailure, boot
from testbed.host.qemu import BootRequest
from testbed.host.vm import Vm
from testbed.host.watchdog import question

Boot = Callable[..., Vm | BootFailure]


@pytest.fixture
def boot_it(kernel: Kernel, image: GuestImage, accel: Accel, tmp_path: Path) -> Iterator[Boot]:
    """Boot a guest with the given changes to the request; it is ended with the test."""
    running: list[Vm] = []

    def boot_changed(**changes: Any) -> Vm | BootFailure:  # noqa: ANN401 - fields of BootRequest
        request = BootRequest(
            kernel=kernel.image,
            initrd=image.initrd,
            topology=catalog.load_topology("two-nodes"),
            accel=accel.name,
            log_dir=tmp_path / "logs",
        )
        outcome = boot(replace(request, **changes))
        if isinstance(outcome, Vm):
            running.append(outcome)
        return outcome

    yield boot_changed
    for vm in running:
        vm.close()


def must_boot(outcome: Vm | BootFailure) -> Vm:
    assert isinstance(outcome, Vm), outcome
    return outcome


@pytest.mark.parametrize("name", catalog.list_catalog().topologies)
def test_the_guest_sees_the_topology_and_no_warning(boot_it: Boot, name: str) -> None:
    topology = catalog.load_topology(name)
    vm = must_boot(boot_it(topology=topology))
    memory = GuestMemory(vm.guest)
    assert memory.list_nodes("has_memory") == frozenset(topology.memory_nodes)
    assert vm.guest.read_file("/proc/sys/kernel/tainted").strip() == "0"
    assert int(vm.run("nproc").stdout) == topology.cpus
    for source, row in enumerate(topology.distances):
        if topology.nodes[source].memory_mib:
            text = vm.guest.read_file(f"/sys/devices/system/node/node{source}/distance")
            online = [i for i, n in enumerate(topology.nodes) if n.cpus or n.memory_mib]
            assert [int(d) for d in text.split()] == [row[i] for i in online]
    assert vm.crashes() == ()


def test_the_guest_image_is_the_same_byte_for_byte(image: GuestImage, kernel: Kernel) -> None:
    with tempfile.TemporaryDirectory() as folder:
        other = build_guest_image(Store(Path(folder), say=print), kernel.harness_dir, say=print)
        assert other.key == image.key
        assert other.folder != image.folder
        assert other.initrd.read_bytes() == image.initrd.read_bytes()


def test_commands_report_output_status_and_time(boot_it: Boot) -> None:
    guest = must_boot(boot_it()).guest
    assert guest.run("echo out; echo err >&2; exit 3", check=False).status == 3
    with pytest.raises(GuestCommandError, match="status 7 from 'echo no; exit 7'"):
        guest.run("echo no; exit 7")
    with pytest.raises(GuestTimeoutError, match=r"no end of 'sleep 60' after 0\.5 s"):
        guest.run("sleep 60", timeout_s=0.5)
    assert guest.run("echo still here").stdout == "still here\n"


def test_a_guest_cannot_reach_the_host(boot_it: Boot) -> None:
    guest = must_boot(boot_it()).guest
    # 10.0.2.2 is the host as slirp shows it; the SSH server's own port proves nc works at all.
    assert guest.run("nc -w 2 127.0.0.1 22 </dev/null | head -c 3").stdout == "SSH"
    for port in (22, 53, 80):
        assert guest.run(f"nc -w 2 10.0.2.2 {port} </dev/null", check=False).status != 0


def test_a_dimm_comes_and_goes(boot_it: Boot) -> None:
    vm = must_boot(boot_it(topology=catalog.load_topology("three-nodes-hotplug")))
    memory, hotplug = GuestMemory(vm.guest), Hotplug(vm)
    assert 3 not in memory.list_nodes()
    dimm = hotplug.add_dimm(node=3, size_mib=256)
    for block in dimm.blocks:
        memory.set_block(block, "online_movable")
    assert memory.read_totals_kib()[3] == 256 * 1024
    assert hotplug.remove(dimm).is_removed
    assert 3 not in memory.list_nodes()


def test_a_kernel_that_panics_at_boot_is_a_value_with_a_title(boot_it: Boot) -> None:
    outcome = boot_it(cmdline=("rdinit=/nowhere",))
    assert isinstance(outcome, BootFailure)
    assert outcome.crash.kind == "panic"
    assert outcome.crash.title.startswith("Kernel panic: VFS: Unable to mount root fs")
    assert "Kernel panic - not syncing" in outcome.console.read_text()


def test_a_guest_that_never_answers_is_given_up_with_its_last_words(boot_it: Boot) -> None:
    topology = catalog.load_topology("two-nodes").model_copy(update={"boot_timeout_s": 8.0})
    outcome = boot_it(topology=topology, cmdline=("rdinit=/bin/cat",))
    assert isinstance(outcome, BootFailure)
    assert outcome.crash.kind == "no boot"
    assert "no answer from the guest after 8 s; the console's last line:" in outcome.crash.title


def test_a_crash_is_seen_on_the_console(boot_it: Boot) -> None:
    vm = must_boot(boot_it())
    with pytest.raises(GuestLostError):
        vm.guest.run("echo c > /proc/sysrq-trigger", timeout_s=30)
    vm.settle()
    (crash,) = vm.crashes()
    assert crash.title == "Kernel panic: sysrq triggered crash"


def test_a_hung_guest_tells_what_it_does(boot_it: Boot) -> None:
    vm = must_boot(boot_it())
    with pytest.raises(GuestTimeoutError):
        vm.guest.run("cat /dev/zero > /dev/null", timeout_s=1)
    said = "\n".join(question(vm))
    assert "Show backtrace of all active CPUs" in said
    assert "Mem-Info" in said


def test_a_killed_qemu_is_the_hosts_fault(boot_it: Boot) -> None:
    vm = must_boot(boot_it())
    os.kill(vm.pid, signal.SIGKILL)
    assert vm.console.wait_closed(10)
    with pytest.raises(InfraError):
        vm.guest.run("true", timeout_s=10)
    with pytest.raises(InfraError):
        vm.qmp.execute("query-status")
    assert vm.crashes() == ()


def test_an_option_that_qemu_refuses_is_told_in_its_words(boot_it: Boot) -> None:
    huge = Topology(name="huge", nodes=(Node(cpus=1, memory_mib=1 << 40),))
    with pytest.raises(InfraError, match="QEMU did not start"):
        boot_it(topology=huge)


def test_no_qemu_survives_the_testbed(
    kernel: Kernel, image: GuestImage, accel: Accel, tmp_path: Path
) -> None:
    script = f"""
import os, signal, sys
from pathlib import Path
from testbed.host import catalog
from testbed.host.boot import boot
from testbed.host.qemu import BootRequest
vm = boot(BootRequest(kernel=Path({str(kernel.image)!r}), initrd=Path({str(image.initrd)!r}),
    topology=catalog.load_topology("two-nodes"), accel={accel.name!r},
    log_dir=Path({str(tmp_path)!r})))
print(vm.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = proc.run([sys.executable, "-c", script], check=False, timeout_s=120)
    assert done.returncode == -signal.SIGKILL
    qemu = int(done.output.split()[-1])
    with pytest.raises(ProcessLookupError):
        _wait_gone(qemu)


def _wait_gone(pid: int) -> None:
    """Raise ProcessLookupError once ``pid`` is gone; return if it outlives 10 s."""
    fd = os.pidfd_open(pid)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(fd, selectors.EVENT_READ)
            if selector.select(timeout=10):
                raise ProcessLookupError(pid)
    finally:
        os.close(fd)
