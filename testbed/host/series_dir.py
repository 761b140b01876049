"""Series folders in quilt's form, read from the disk."""

from pathlib import Path
from typing import Final

from testbed.core.series import (
    Series,
    SeriesMeta,
    parse_patch,
    parse_series_file,
    parse_series_meta,
)
from testbed.errors import SeriesError
from testbed.host.project import data_dir

_META: Final = "series.yaml"


def load_series(path: Path) -> Series:
    """Read the series in the folder ``path``; without a series.yaml it asks for nothing.

    Raises :class:`SeriesError` with the file that is not what it should be, and
    :class:`PlanError` for a series.yaml that is not.
    """
    name = _name_series(path)
    filenames = parse_series_file(_read(path / "series"), filename=str(path / "series"))
    meta = path / _META
    return Series(
        name=name,
        patches=tuple(
            parse_patch(_read(path / filename), filename=str(path / filename))
            for filename in filenames
        ),
        meta=parse_series_meta(_read(meta), filename=str(meta))
        if meta.exists()
        else SeriesMeta(title=name, why="", base=()),
    )


def _name_series(path: Path) -> str:
    own = data_dir() / "patches"
    real = path.resolve()
    return str(real.relative_to(own)) if real.is_relative_to(own) else real.name


def _read(path: Path) -> str:
    """Return the text with its line ends as they are; bytes that are not UTF-8 survive."""
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as err:
        raise SeriesError(f"{path}: cannot be read: {err.strerror}") from err
