"""The folder of a run: where its record, report and logs go."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Final

from testbed.errors import InfraError, UserError

REQUEST_FILE: Final = "request.json"
RECORD_FILE: Final = "record.json"
REPORT_FILE: Final = "report.html"
JUNIT_FILE: Final = "junit.xml"
LATEST: Final = "latest"


@dataclass(frozen=True, slots=True)
class RunDir:
    """``runs/<id>``; the id is the time of the start in UTC and the plan's name."""

    path: Path

    @classmethod
    def create(cls, runs_dir: Path, *, started: datetime, name: str) -> "RunDir":
        """Make a folder of its own for a run, also when two start in the same second."""
        stem = f"{started:%Y%m%d-%H%M%S}-{name}"
        try:
            runs_dir.mkdir(parents=True, exist_ok=True)
            for number in count(1):
                path = runs_dir / (stem if number == 1 else f"{stem}-{number}")
                try:
                    path.mkdir()
                except FileExistsError:
                    continue
                return cls(path)
        except OSError as err:
            raise InfraError(f"{runs_dir}: no run can be kept there: {err.strerror}") from err
        raise AssertionError("count() ended")

    @classmethod
    def find(cls, runs_dir: Path, name: str) -> "RunDir":
        """Return the run that ``name`` tells: ``latest``, a folder, or an id below ``runs_dir``.

        ``latest`` is the run that was started last, ended or not. Raises :class:`UserError` where
        there is none, or where the folder is not one of a run that can be resumed.
        """
        if name == LATEST:
            started = sorted(path.parent for path in runs_dir.glob(f"*/{REQUEST_FILE}"))
            own = [path for path in started if not path.is_symlink()]
            if not own:
                raise UserError(f"no run to resume: none under {runs_dir} has a {REQUEST_FILE}")
            return cls(own[-1])
        for path in (Path(name).absolute(), runs_dir / name):
            if (path / REQUEST_FILE).is_file():
                return cls(path.resolve())
        raise UserError(
            f"{name!r} is no run to resume: there is no {REQUEST_FILE} in {Path(name).absolute()} "
            f"nor in {runs_dir / name}"
        )

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the folder while the block runs; a lock of this kind ends with its process.

        Raises :class:`UserError` where another testbed holds it.
        """
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as err:
                raise UserError(
                    f"{self.path}: another testbed is at work on this run: let it end, or end it"
                ) from err
            yield
        finally:
            os.close(fd)

    @property
    def is_finished(self) -> bool:
        """Whether the run has its record."""
        return (self.path / RECORD_FILE).exists()

    def last_write_s(self) -> float:
        """Return when anything in the run's folder was last written, in seconds since the epoch."""
        return max(path.lstat().st_mtime for path in (self.path, *self.path.rglob("*")))

    def cell_folder(self, cell: str) -> Path:
        """Return the folder of a cell's logs; it is not made here."""
        return self.path / self.cell_name(cell)

    @staticmethod
    def cell_name(cell: str) -> str:
        """Return the folder of a cell's logs, relative to the run's."""
        return f"cells/{cell}"

    def write(self, name: str, text: str) -> None:
        """Write a file whole or not at all; lone surrogates in ``text`` are replaced.

        Raises :class:`InfraError` for a disk that is full or cannot be written.
        """
        target = self.path / name
        fresh = target.with_name(f".{target.name}.new")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(text, encoding="utf-8", errors="replace")
            fresh.replace(target)
        except OSError as err:
            with contextlib.suppress(OSError):
                fresh.unlink()
            raise InfraError(f"{target}: cannot be written: {err.strerror}") from err

    def read(self, name: str) -> str:
        """Return the text of a log, or nothing where it was not written."""
        path = self.path / name
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""

    def point_latest(self) -> None:
        """Let ``runs/latest`` lead here."""
        link = self.path.parent / f".latest-{self.path.name}"
        link.symlink_to(self.path.name, target_is_directory=True)
        os.replace(link, self.path.parent / LATEST)  # noqa: PTH105 - Path.replace follows no link, but this says so
