"""The machine room with real guests: booting, talking, plugging, crashing, hanging, dying."""

import os
import selectors
import signal
import socket
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
from testbed.host.accel import Accel, read_qemu_version
from testbed.host.boot import BootFailure, boot
from testbed.host.builder import Kernel
from testbed.host.guest_image import GuestImage, build_guest_image
from testbed.host.guest_memory import GuestMemory
from testbed.host.guest_result import GuestCommandError, GuestTimeoutError
from testbed.host.qemu import BootRequest
from testbed.host.snapshot import SavedState, Snapshots, name_parts
from testbed.host.store import Store
from testbed.host.vm import Vm
from testbed.host.watchdog import question

Boot = Callable[..., Vm | BootFailure]
Restore = Callable[[], Vm]


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


@pytest.fixture
def restore_it(
    kernel: Kernel, image: GuestImage, accel: Accel, store: Store, tmp_path: Path
) -> Iterator[Restore]:
    """Restore a guest from the saved state of two-nodes; it is ended with the test."""
    running: list[Vm] = []
    request = BootRequest(
        kernel=kernel.image,
        initrd=image.initrd,
        topology=catalog.load_topology("two-nodes"),
        accel=accel.name,
        log_dir=tmp_path / "logs",
    )
    parts = name_parts(image=image.key, qemu_version=read_qemu_version(), accel=accel.name)

    def restore() -> Vm:
        snapshots = Snapshots(store, request, parts=parts, say=print)
        state = snapshots.get()
        assert isinstance(state, SavedState), state
        running.append(snapshots.restore(state, log_name="restored"))
        return running[-1]

    yield restore
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


@pytest.mark.parametrize("address", ["10.0.2.2", "10.0.2.3"])
def test_a_guest_cannot_reach_the_host(restore_it: Restore, address: str) -> None:
    """Neither the host as slirp shows it, nor the name server that it would offer."""
    guest = restore_it().guest
    # The guest's own SSH server proves that nc works at all.
    assert guest.run("nc -w 2 127.0.0.1 22 </dev/null | head -c 3").stdout == "SSH"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()  # somebody would answer
        server.settimeout(0)
        for target in (port, 22, 53, 80):
            said = guest.run(f"nc -w 2 {address} {target} </dev/null", check=False)
            assert said.status != 0, target
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("kind", ["booted", "restored"])
def test_qemu_has_no_rights_and_listens_on_loopback_alone(
    boot_it: Boot, restore_it: Restore, kind: str
) -> None:
    vm = must_boot(boot_it()) if kind == "booted" else restore_it()
    assert vm.guest.run("echo in use").stdout == "in use\n"
    status = read_status(vm.pid)
    if os.geteuid() == 0:
        assert status["Uid"].split() == ["65534"] * 4
        assert status["Gid"].split() == ["65534"] * 4
        assert status["Groups"].split() == []
    for capabilities in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
        assert int(status[capabilities], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"  # a filter
    assert list_listening(vm.pid) == {("tcp", "127.0.0.1")}


def read_status(pid: int) -> dict[str, str]:
    """Return proc_pid_status(5)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def list_listening(pid: int) -> set[tuple[str, str]]:
    """Return the protocols and addresses on which a process takes what others send it."""
    targets = [str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir()]
    own = {name[len("socket:[") : -1] for name in targets if name.startswith("socket:[")}
    assert own
    found = set()
    for protocol in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
        for line in Path(f"/proc/net/{protocol}").read_text().splitlines()[1:]:
            fields = line.split()
            local, state, inode = fields[1], fields[3], fields[9]
            # proc_pid_net(5): 0A is listening; a datagram socket takes what comes in any state
            if inode in own and (state == "0A" or "tcp" not in protocol):
                address = bytes.fromhex(local.partition(":")[0])[::-1]
                shown = socket.inet_ntoa(address) if len(address) == 4 else address.hex()
                found.add((protocol, shown))
    return found


def test_a_guest_that_sees_another_machine_has_not_booted(boot_it: Boot) -> None:
    outcome = boot_it(cmdline=("numa=off",))
    assert isinstance(outcome, BootFailure)
    assert outcome.crash.kind == "machine"
    assert outcome.crash.title.startswith("the guest sees another machine than two-nodes: ")
    assert "node 1" in outcome.crash.excerpt


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
    account = question(vm)
    said = "\n".join(account.lines)
    assert account.qemu_answers
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


STARTS = {
    "booted": "vm = boot(request)",
    "restored": """
snapshots = Snapshots(Store(cache_dir(), say=str), request, parts={parts!r}, say=str)
vm = snapshots.restore(snapshots.get(), log_name="restored")
""",
}


@pytest.mark.parametrize("kind", STARTS)
def test_no_qemu_survives_the_testbed(
    kernel: Kernel, image: GuestImage, accel: Accel, tmp_path: Path, kind: str
) -> None:
    parts = name_parts(image=image.key, qemu_version=read_qemu_version(), accel=accel.name)
    script = f"""
import os, signal
from pathlib import Path
from testbed.host import catalog
from testbed.host.boot import boot
from testbed.host.project import cache_dir
from testbed.host.qemu import BootRequest
from testbed.host.snapshot import SavedState, Snapshots
from testbed.host.snapshot import Snapshots
from testbed.host.store import Store
request = BootRequest(kernel=Path({str(kernel.image)!r}), initrd=Path({str(image.initrd)!r}),
    topology=catalog.load_topology("two-nodes"), accel={accel.name!r},
    log_dir=Path({str(tmp_path)!r}))
{STARTS[kind].format(parts=parts)}
vm.run("true")
print(vm.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = proc.run([sys.executable, "-c", script], check=False, timeout_s=120)
    assert done.returncode == -signal.SIGKILL, done.output
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
