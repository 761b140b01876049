"""One source's folder, in which its kernels are built, one after the other."""

import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from testbed.core.build_log import find_first_error
from testbed.core.kconfig import find_unmet, read_values
from testbed.core.series import Patch
from testbed.core.text import split_lines
from testbed.errors import KconfigError
from testbed.host.checkpatch import CheckpatchResult, has_checkpatch, run_checkpatch
from testbed.host.dependents import find_dependents
from testbed.host.held import Holder, Outcome
from testbed.host.job import Job
from testbed.host.kbuild import Kbuild, Progress
from testbed.host.kconfig_tree import explain_unmet
from testbed.host.kernel import BuildFailure, Kernel, Phase, Product, keep_kernel, load_kernel
from testbed.host.objects import OBJECTS, ObjectJob, ObjectOutcome, keep_outcome
from testbed.host.out_dir import OutDir
from testbed.host.patching import Applied
from testbed.host.store import Store
from testbed.host.worktree import Worktree

KERNELS: Final = "kernels"
_FULL_BYTES: Final = 1 << 20
_HARNESS: Final = "tools/testing/selftests"
_MAX_OBJECT_FOLDERS: Final = 12  # 10 MB each: as many as a check has configurations, and some
_ON: Final = frozenset({"y", "m"})


class Workshop:
    """Builds in ``folder``; the caller holds its lock, and ``holder`` runs what writes there."""

    def __init__(
        self,
        folder: Path,
        *,
        holder: Holder,
        store: Store,
        say: Callable[[str], None],
        on_progress: Progress | None,
    ) -> None:
        self._folder = folder
        self._holder = holder
        self._store = store
        self._say = say
        self._on_progress = on_progress
        self._worktree = Worktree(folder, holder=holder, say=say)
        self._out = OutDir(folder)

    def build(self, job: Job) -> Kernel | BuildFailure:
        """Build one kernel and keep it; the source is then as it was.

        Raises what :meth:`testbed.host.builder.Builder.build` raises, and
        :class:`testbed.host.mirror.TreeChangedError`.
        """
        clock = _Clock()
        with clock.phase("source"):
            self._worktree.recover()
            self._worktree.populate(job.source)
        if job.request.series and not self._out.has_base(job.purpose):
            self._build_base_first(job)
        try:
            return self._build_patched(job, clock)
        except KeyboardInterrupt:
            self._say(
                f"interrupted: the source is as it was, what was compiled stays in {self._folder}"
            )
            raise

    def apply(self, job: Job) -> tuple[Applied, ...]:
        """Apply the series and take it back; raises :class:`testbed.errors.SeriesError`."""
        self._worktree.recover()
        self._worktree.populate(job.source)
        with self._worktree.applied(job.request.series, release=job.release) as applied:
            return applied

    def check_patches(
        self, job: Job, patches: Sequence[Patch]
    ) -> tuple[CheckpatchResult, ...] | None:
        """Run the source's checkpatch.pl on each patch; None where the source has none."""
        self._worktree.recover()
        self._worktree.populate(job.source)
        src = self._worktree.src
        if not has_checkpatch(src):
            return None
        return tuple(
            run_checkpatch(patch, src=src, scratch=self._folder, holder=self._holder)
            for patch in patches
        )

    def find_dependents(self, job: Job, paths: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return the objects of the base kernel that each of ``paths`` goes into.

        Where the base's objects are gone, it is built; where it does not build, what is there
        tells.
        """
        out = self._out.find_base(job.purpose)
        if out is None:
            self.build(job.without_series())
            out = self._out.find_base(job.purpose) or self._out.path
        return find_dependents(out, src=self._worktree.src, paths=paths)

    def compile(self, wanted: ObjectJob) -> ObjectOutcome:
        """Compile single objects, with the series applied, in a folder of their own; keep it."""
        job = wanted.job
        self._worktree.recover()
        self._worktree.populate(job.source)
        objects = self._folder / OBJECTS
        objects.mkdir(exist_ok=True)
        log = objects / "make.log"
        log.write_bytes(b"")
        folder = OutDir(objects, max_parked=_MAX_OBJECT_FOLDERS)
        with ExitStack() as stack:
            stack.enter_context(self._worktree.applied(job.request.series, release=job.release))
            folder.enter(wanted.purpose)
            folder.begin(wanted.purpose)
            try:
                outcome = self._compile(wanted, folder.path, log)
            finally:
                if not self._holder.was_killed:
                    folder.end(wanted.purpose)
        keep_outcome(outcome, self._folder, wanted.digest)
        return outcome

    def _compile(self, wanted: ObjectJob, out: Path, log: Path) -> ObjectOutcome:
        request = wanted.request
        kbuild = Kbuild(
            src=self._worktree.src,
            out=out,
            holder=self._holder,
            log=log,
            cache_root=self._store.root,
            arch=request.arch,
        )
        jobs, skipped = wanted.job.request.jobs, 0
        built: tuple[str, ...] = ()
        options = wanted.job.merged.options
        outcome = kbuild.configure(options, inputs=wanted.config_inputs)
        if outcome.returncode == 0:
            outcome, built = kbuild.list_built(request.targets, flags=request.flags, jobs=jobs)
        if outcome.returncode == 0:
            skipped = log.stat().st_size
            if built:
                made = kbuild.compile(
                    built, flags=request.flags, jobs=jobs, on_progress=self._on_progress
                )
                outcome = made.outcome
        prefix = f"{self._worktree.src}/"
        lines = split_lines(log.read_bytes()[skipped:])
        return ObjectOutcome(
            returncode=outcome.returncode,
            built=built,
            lines=tuple(line.replace(prefix, "") for line in lines),
            options_on=_read_options(kbuild.config),
        )

    def _build_base_first(self, job: Job) -> None:
        """Build the kernel without the series: this and every later edit start from its objects."""
        self._say("building the base kernel first: the series starts from its objects")
        try:
            outcome = self.build(job.without_series())
        except KconfigError as err:
            self._say(f"no base kernel with these options: {str(err).splitlines()[0]}")
        else:
            if isinstance(outcome, BuildFailure):
                self._say(f"the base kernel does not build: {outcome.error}")

    def _build_patched(self, job: Job, clock: "_Clock") -> Kernel | BuildFailure:
        log = self._folder / "logs" / f"{job.identity.key}.log"
        log.parent.mkdir(exist_ok=True)
        log.write_bytes(b"")
        with ExitStack() as stack:
            with clock.phase("apply"):
                stack.enter_context(self._worktree.applied(job.request.series, release=job.release))
            with clock.phase("objects"):
                self._out.enter(job.purpose)
            self._out.begin(job.purpose)
            try:
                return self._make(job, clock, log)
            finally:
                if not self._holder.was_killed:
                    self._out.end(job.purpose)

    def _make(self, job: Job, clock: "_Clock", log: Path) -> Kernel | BuildFailure:
        kbuild = Kbuild(
            src=self._worktree.src,
            out=self._out.path,
            holder=self._holder,
            log=log,
            cache_root=self._store.root,
        )
        with clock.phase("config"):
            outcome = kbuild.configure(job.merged.options, inputs=job.config_inputs)
        if outcome.returncode != 0:
            return self._describe_failure(job, clock, log, outcome=outcome, stage="config")
        self._check_options(job, kbuild)
        with clock.phase("make"):
            made = kbuild.build(jobs=job.request.jobs, on_progress=self._on_progress)
        if made.outcome.returncode != 0:
            failure = self._describe_failure(job, clock, log, outcome=made.outcome, stage="make")
            return replace(failure, compiled_files=made.compiled_files)
        product = Product(
            image=kbuild.image,
            config=kbuild.config,
            log=log,
            source_dir=self._worktree.src,
            harness_dir=self._worktree.src / _HARNESS,
            release=kbuild.read_release(),
            build_seconds=clock.seconds,
            phases=clock.phases,
        )
        key = job.identity.key
        with self._store.create(KERNELS, key) as fresh:
            keep_kernel(product, fresh)
        log.unlink()
        entry = self._store.folder(KERNELS, key)
        return load_kernel(entry, job.identity, compiled_files=made.compiled_files)

    def _check_options(self, job: Job, kbuild: Kbuild) -> None:
        text = kbuild.config.read_text(encoding="utf-8", errors="surrogateescape")
        unmet = find_unmet(job.merged.options, text)
        if unmet:
            reasons = explain_unmet(
                unmet, src=self._worktree.src, config=kbuild.config, version=job.source.version
            )
            raise KconfigError("\n".join(reasons))

    def _describe_failure(
        self, job: Job, clock: "_Clock", log: Path, *, outcome: Outcome, stage: str
    ) -> BuildFailure:
        # Not every tool says why it could not write: dash's echo tells of an "I/O error".
        if shutil.disk_usage(self._folder).free < _FULL_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        first = find_first_error(split_lines(log.read_bytes()), tree=str(self._worktree.src))
        return BuildFailure(
            **asdict(job.identity),
            stage=stage,
            error=str(first) if first else _find_last_words(outcome),
            first_error=first,
            log=log,
            build_seconds=clock.seconds,
            compiled_files=0,
        )


class _Clock:
    """Times the steps of one build."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._phases: list[Phase] = []

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._phases.append(Phase(name=name, seconds=round(time.monotonic() - began, 3)))

    @property
    def phases(self) -> tuple[Phase, ...]:
        return tuple(self._phases)

    @property
    def seconds(self) -> float:
        return round(time.monotonic() - self._began, 3)


def _read_options(config: Path) -> frozenset[str]:
    """Return the options that are on, as y or m; none where there is no .config."""
    if not config.is_file():
        return frozenset()
    text = config.read_text(encoding="utf-8", errors="surrogateescape")
    return frozenset(name for name, value in read_values(text.splitlines()).items() if value in _ON)


def _find_last_words(outcome: Outcome) -> str:
    lines = [line for line in outcome.tail if line.strip()]
    return lines[-1].strip() if lines else f"make ended with status {outcome.returncode}"
