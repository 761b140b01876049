"""One kernel without a comparison: build it, boot it, or run tests on it."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from testbed.core.kasan_shadow import make_room_for_shadow
from testbed.core.request import RunRequest
from testbed.core.wishes import add_wishes
from testbed.errors import UserError
from testbed.host import catalog, proc
from testbed.host.accel import choose_accel
from testbed.host.admission import open_admission
from testbed.host.boot import BootFailure, boot
from testbed.host.builder import BuildFailure, Kernel
from testbed.host.cells import CellJob, build_pytest_argv
from testbed.host.guest_image import GuestImage, build_guest_image
from testbed.host.harness import choose_harness, find_harness
from testbed.host.qemu import BootRequest
from testbed.host.store import Store
from testbed.host.vm import Vm
from testbed.pipeline.kernels import BuiltKernel, build_kernels, resolve_request
from testbed.pipeline.observer import Observer

_KERNEL_FAILED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifacts:
    """What `testbed build` made: (label, path) for each file or folder."""

    paths: tuple[tuple[str, Path], ...]
    exit_code: int


def build_all(request: RunRequest, *, store: Store, observer: Observer) -> Artifacts:
    """Build the kernels of ``request`` and the guest image that goes with them."""
    built = _build(request, store=store, observer=observer)
    kernels = [(k.label, k.outcome) for k in built if isinstance(k.outcome, Kernel)]
    paths = [
        (f"{label} {what}", path)
        for label, kernel in kernels
        for what, path in (("kernel", kernel.image), (".config", kernel.config))
    ]
    if len(kernels) < len(built):
        return Artifacts(paths=tuple(paths), exit_code=_KERNEL_FAILED)
    harness = choose_harness(store, kernels[0][1].harness_dir, say=observer.say)
    image = build_guest_image(store, harness, say=observer.say)
    return Artifacts(paths=(*paths, ("guest image", image.folder)), exit_code=0)


def boot_guest(
    request: RunRequest, *, kernel: Path | None, topology: str, store: Store, observer: Observer
) -> Vm | BootFailure:
    """Boot ``kernel``, or where it is None the last one that ``request`` builds."""
    machine = catalog.load_topology(topology)
    if kernel is None:
        newest = _build(request, store=store, observer=observer)[-1].outcome
        if isinstance(newest, BuildFailure):
            raise UserError(f"nothing to boot: the kernel does not build: {newest.error}")
        kernel = newest.image
        options = catalog.read_enabled_options(newest.config)
        machine = make_room_for_shadow(machine, options)
        harness = choose_harness(store, newest.harness_dir, say=observer.say)
    else:
        harness = find_harness(store, request.plan.source)
    image = build_guest_image(store, harness, say=observer.say)
    accel = _probe(store, kernel, image, observer)
    log_dir = Path(tempfile.mkdtemp(prefix="testbed-boot-"))
    observer.say(f"logs: {log_dir}")
    return boot(
        BootRequest(
            kernel=kernel,
            initrd=image.initrd,
            topology=machine,
            accel=accel,
            log_dir=log_dir,
            admission=open_admission(store.root, say=observer.say),
        )
    )


def _build(request: RunRequest, *, store: Store, observer: Observer) -> tuple[BuiltKernel, ...]:
    stack, ground = resolve_request(request, say=observer.say)
    plan = add_wishes(request.plan, [series.meta for series in stack])
    return build_kernels(
        plan,
        stack,
        ground=ground,
        each_patch=request.each_patch,
        store=store,
        observer=observer,
    )


def prepare_tests(  # noqa: PLR0913 - the options of `testbed test`
    *,
    kernel: Path,
    kconfig: Path | None,
    topology: str,
    features: tuple[str, ...],
    source: str,
    log_dir: Path,
    store: Store,
    observer: Observer,
) -> tuple[str, ...]:
    """Return the pytest command line that runs the guest tests on a kernel image."""
    catalog.load_topology(topology)
    image = build_guest_image(store, find_harness(store, source), say=observer.say)
    accel = _probe(store, kernel, image, observer)
    job = CellJob(
        name=f"{kernel.name}-{topology}",
        folder=log_dir,
        kernel=kernel,
        kernel_config=kconfig,
        image=image,
        topology=topology,
        accel=accel,
        features=features,
        tests=(),
        select="",
    )
    return build_pytest_argv(job)


def call_pytest(argv: tuple[str, ...]) -> int:
    """Run pytest on the terminal, in the folder of the guest tests; return its status.

    Paths that the user adds are thus what the tests' ids start with: ``mempolicy/mbind.c``.
    """
    root = catalog.guest_tests_dir()
    return proc.run_on_terminal(argv, cwd=root, env={"PYTHONDONTWRITEBYTECODE": "1"})


def _probe(store: Store, kernel: Path, image: GuestImage, observer: Observer) -> str:
    with tempfile.TemporaryDirectory(prefix="testbed-probe-") as folder:
        accel = choose_accel(store, kernel, image, log_dir=Path(folder), say=observer.say)
    observer.say(f"accelerator: {accel.name} ({accel.reason})")
    return accel.name
