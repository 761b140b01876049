"""From a request to a kernel: looked up by its content's key, or built.

What has a key that is in the cache is not built again, by nobody: a look-up touches no worktree
and starts no process.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from testbed.core.series import Patch
from testbed.errors import UserError
from testbed.host.checkpatch import CheckpatchResult
from testbed.host.held import hold_folder
from testbed.host.job import Job
from testbed.host.kbuild import Progress, check_path, identify_toolchain, read_compiler
from testbed.host.kernel import BuildFailure, BuildRequest, Identity, Kernel, load_kernel
from testbed.host.mirror import TreeChangedError
from testbed.host.objects import ObjectJob, ObjectOutcome, ObjectRequest, load_outcome
from testbed.host.patching import Applied
from testbed.host.source import TARBALLS_DIR, resolve_source
from testbed.host.store import Store
from testbed.host.workshop import KERNELS, Workshop

__all__ = ["BuildFailure", "BuildRequest", "Builder", "Kernel", "SpaceNeed", "read_compiler"]

_T = TypeVar("_T")

_WORK: Final = "work"
_MAX_SCANS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceNeed:
    """What the disk of the cache must have left before a build, in MiB.

    Measured with 6.12: 1.7 GiB for the source, 0.25 GiB for each build folder.
    """

    cold_mib: int = 3 * 1024
    warm_mib: int = 768


class Builder:
    """Builds kernels into ``store``.

    ``say`` gets single lines for the user; ``on_progress`` the number of files compiled so far
    and each line that make prints.
    """

    def __init__(
        self,
        store: Store,
        *,
        say: Callable[[str], None],
        on_progress: Progress | None = None,
        tarballs_dir: Path = TARBALLS_DIR,
        space_need: SpaceNeed | None = None,
    ) -> None:
        self._store = store
        self._say = say
        self._on_progress = on_progress
        self._tarballs_dir = tarballs_dir
        self._space_need = space_need or SpaceNeed()

    def find(self, request: BuildRequest) -> Kernel | None:
        """Return the kernel if it is in the cache; nothing is built."""
        return self._load(self._prepare(request).identity)

    def build(self, request: BuildRequest) -> Kernel | BuildFailure:
        """Return the kernel, from the cache or built now; one that does not build is a value.

        Raises :class:`SeriesError` for a patch that does not apply, :class:`KconfigError` for an
        option that does not land, :class:`InfraError` for what the machine did.
        """
        return self._with_job(request, lambda job: self._load(job.identity) or self._build(job))

    def compile(self, request: ObjectRequest) -> ObjectOutcome:
        """Compile single objects; what is known of the same request is told again.

        Raises what :meth:`build` raises, but for options that do not land: they are let go.
        """

        def work(job: Job) -> ObjectOutcome:
            wanted = ObjectJob(request=request, job=job)
            folder = self._store.find(_WORK, job.source.key)
            known = load_outcome(folder, wanted.digest) if folder else None
            if known is not None:
                return known
            with self._workshop(job) as workshop:
                return workshop.compile(wanted)

        return self._with_job(request.build, work)

    def apply(self, request: BuildRequest) -> tuple[Applied, ...]:
        """Try whether the series apply, and how; raises :class:`SeriesError` where one does not."""

        def work(job: Job) -> tuple[Applied, ...]:
            with self._workshop(job) as workshop:
                return workshop.apply(job)

        return self._with_job(request, work)

    def find_dependents(
        self, request: BuildRequest, paths: Sequence[str]
    ) -> dict[str, tuple[str, ...]]:
        """Return the objects of the base kernel that each of ``paths``, files, goes into."""

        def work(job: Job) -> dict[str, tuple[str, ...]]:
            with self._workshop(job) as workshop:
                return workshop.find_dependents(job, paths)

        return self._with_job(request, work)

    def check_patches(
        self, request: BuildRequest, patches: Sequence[Patch]
    ) -> tuple[CheckpatchResult, ...] | None:
        """Run the source's own checkpatch.pl on each patch; None where the source has none."""

        def work(job: Job) -> tuple[CheckpatchResult, ...] | None:
            with self._workshop(job) as workshop:
                return workshop.check_patches(job, patches)

        return self._with_job(request, work)

    def _with_job(self, request: BuildRequest, work: Callable[[Job], _T]) -> _T:
        """Do ``work`` for the request; anew where the user's tree changes while it is read."""
        for _ in range(_MAX_SCANS):
            job = self._prepare(request)
            try:
                return work(job)
            except TreeChangedError as err:
                self._say(f"{err} changed while it was being read: reading {request.tree} again")
        raise UserError(
            f"{request.tree} keeps changing while it is being read: build when it rests"
        )

    def _prepare(self, request: BuildRequest) -> Job:
        source = resolve_source(
            request.tree or request.source,
            store=self._store,
            tarballs_dir=self._tarballs_dir,
            commit=request.commit,
        )
        return Job(
            request=request,
            source=source,
            toolchain=identify_toolchain(self._store),
        )

    def _load(self, identity: Identity) -> Kernel | None:
        entry = self._store.find(KERNELS, identity.key)
        return None if entry is None else load_kernel(entry, identity)

    def _build(self, job: Job) -> Kernel | BuildFailure:
        for conflict in job.merged.conflicts:
            self._say(
                f"kconfig: CONFIG_{conflict.later.name}={conflict.later.value} of "
                f"{conflict.later.fragment} takes the place of ={conflict.earlier.value} of "
                f"{conflict.earlier.fragment}"
            )
        with self._workshop(job) as workshop:
            # Another run may have built it meanwhile.
            return self._load(job.identity) or workshop.build(job)

    @contextmanager
    def _workshop(self, job: Job) -> Iterator[Workshop]:
        """Hold the folder of the source against all others, and what works there."""
        check_path(self._store.root)
        key = job.source.key
        with self._store.lock(_WORK, key):
            folder = self._store.folder(_WORK, key)
            is_warm = (folder / "src").is_dir()
            need_mib = self._space_need.warm_mib if is_warm else self._space_need.cold_mib
            self._store.require_space(need_mib, what=f"building {job.source.title}")
            with self._store.blamed(), hold_folder(folder, say=self._say) as holder:
                yield Workshop(
                    folder,
                    holder=holder,
                    store=self._store,
                    say=self._say,
                    on_progress=self._on_progress,
                )
