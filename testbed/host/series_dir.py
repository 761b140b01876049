"""Series in folders, read from the disk: quilt's, and what ``git format-patch`` writes."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Final

from testbed.core.series import Series, parse_series_file, parse_series_meta
from testbed.errors import SeriesError
from testbed.host.project import data_dir
from testbed.host.series_mail import (
    Mail,
    make_mail,
    make_series,
    read_patch_bytes,
    read_patch_text,
    sort_patches,
)

_META: Final = "series.yaml"
_LIST: Final = "series"
_FORMATTED: Final = re.compile(r"(?:v(?P<version>\d+)-)?(?P<number>\d+)-.*")
_SECOND_MAIL: Final = re.compile(r"\nFrom [0-9a-f]{40} Mon Sep 17 00:00:00 2001\n")


def is_series_folder(path: Path) -> bool:
    """Tell whether ``path`` is a folder with quilt's ``series`` file, or with ``*.patch`` files."""
    return (path / _LIST).is_file() or next(path.glob("*.patch"), None) is not None


def load_series(path: Path) -> Series:
    """Read the series in the folder ``path``; without a series.yaml it asks for nothing.

    A ``series`` file says the order; without one the names of the ``*.patch`` files do. Raises
    :class:`SeriesError` with the file that is not what it should be, and :class:`PlanError` for a
    series.yaml that is not.
    """
    name = _name_series(path)
    listing = path / _LIST
    if listing.is_file() or next(path.glob("*.patch"), None) is None:
        text = _read_text(listing)
        names = [str(path / one) for one in parse_series_file(text, filename=str(listing))]
        texts = [_read_one(Path(one)) for one in names]
        series = make_series(_find_cover(path), texts, names=names, name=name)
    else:
        series = _load_formatted(path, name=name)
    meta = path / _META
    if not meta.exists():
        return series
    asked = parse_series_meta(_read_text(meta), filename=str(meta))
    return replace(series, meta=asked, title=asked.title)


def load_formatted(files: dict[str, str], *, where: str, name: str) -> Series:
    """Read a series of ``git format-patch``'s files: their texts by their names.

    Of several versions (``v2-0001-...``) the newest is taken. Raises :class:`SeriesError`.
    """
    versions = sorted({_read_version(one) for one in files})
    mails = {
        one: make_mail(files[one]) for one in sorted(files) if _read_version(one) == versions[-1]
    }
    covers = [mail for mail in mails.values() if mail.is_cover]
    patches = {one: mail for one, mail in mails.items() if not mail.is_cover}
    if not patches:
        raise SeriesError(f"{where}: holds no patch")
    _check_numbers(tuple(patches.values()), where=where)
    notes = (
        (f"{where}: holds v{', v'.join(map(str, versions))}; v{versions[-1]} is taken",)
        if len(versions) > 1
        else ()
    )
    return make_series(
        covers,
        [mail.text for mail in patches.values()],
        names=[f"{where}/{one}" for one in patches],
        name=name,
        notes=notes,
    )


def _load_formatted(path: Path, *, name: str) -> Series:
    files = {file.name: _read_one(file) for file in path.glob("*.patch")}
    return load_formatted(files, where=str(path), name=name)


def _check_numbers(patches: tuple[Mail, ...], *, where: str) -> None:
    """Refuse a gap; the order is the file names'. Patches of several series are none's gap."""
    if len({mail.tags.total for mail in patches}) == 1:
        sort_patches(patches, where=where)


def _find_cover(path: Path) -> list[Mail]:
    covers = sorted(path.glob("0000-cover-letter.patch"))
    return [make_mail(read_patch_text(cover)) for cover in covers]


def _read_version(filename: str) -> int:
    match = _FORMATTED.fullmatch(filename)
    return int(match["version"] or 1) if match else 1


def _read_one(path: Path) -> str:
    text = read_patch_text(path)
    if _SECOND_MAIL.search(text):
        raise SeriesError(
            f"{path}: holds more than one mail of git format-patch: give the file itself"
        )
    return text


def _name_series(path: Path) -> str:
    own = data_dir() / "patches"
    real = path.resolve()
    return str(real.relative_to(own)) if real.is_relative_to(own) else real.name


def _read_text(path: Path) -> str:
    return read_patch_bytes(path).decode("utf-8", "surrogateescape")
