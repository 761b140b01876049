"""What there is to choose from: topologies, kconfig fragments, series, tests, plans."""

import functools
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Final

from testbed.core.coverage import Coverage, parse_coverage
from testbed.core.kconfig import read_values
from testbed.core.message_id import parse_message_id
from testbed.core.modules import DEVICE_MODULES
from testbed.core.plan import Catalog, Plan, check_each, check_names, parse_plan
from testbed.core.series import Series
from testbed.core.topology import Topology, parse_topology
from testbed.errors import UserError
from testbed.host.project import data_dir
from testbed.host.series_dir import is_series_folder, load_series

NO_SUITES: Final = frozenset({"lib", "tools", "topologies", "known-issues"})
"""The folders of guest-tests whose C files are no tests."""


def guest_tests_dir() -> Path:
    """Return the folder of the guest tests."""
    return data_dir() / "guest-tests"


@functools.cache
def load_coverage() -> Coverage:
    """Return what there is for the guest tests to cover."""
    path = guest_tests_dir() / "coverage.yaml"
    return parse_coverage(read_text(path), filename=str(path))


def list_catalog() -> Catalog:
    """Return the names of all that comes with the project."""
    root = data_dir()
    return Catalog(
        kconfigs=_list_stems(root / "kconfigs", ".config"),
        series=tuple(
            str(path.parent.relative_to(root))
            for path in sorted((root / "patches").rglob("series"))
        ),
        topologies=_list_stems(guest_tests_dir() / "topologies", ".yaml"),
        tests=_list_tests(),
    )


def read_text(path: Path) -> str:
    """Return the text of a file that the user named; raises :class:`UserError`."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        reason = err.strerror if isinstance(err, OSError) else "it is not UTF-8 text"
        raise UserError(f"{path}: cannot be read: {reason}") from err


def load_plan(path: Path) -> Plan:
    """Read a plan and check the names in it, but for series of the user's own or from the web."""
    plan = parse_plan(read_text(path), filename=str(path))
    catalog = list_catalog()
    own = tuple(name for name in plan.series if _is_elsewhere(name))
    check_names(plan, replace(catalog, series=(*catalog.series, *own)), filename=str(path))
    return plan


def _is_elsewhere(name: str) -> bool:
    """Tell whether a series is none of the project's, but a folder, a file or a mail's id."""
    path = Path(name)
    return path.is_file() or is_series_folder(path) or parse_message_id(name) is not None


def check_wishes(series: Series) -> None:
    """Raise :class:`PlanError` for a name in a series.yaml that nothing here has."""
    known, meta = list_catalog(), series.meta
    for key, names, allowed in (
        ("kconfig", meta.kconfig, known.kconfigs),
        ("topologies", meta.topologies, known.topologies),
        ("tests", meta.tests, known.tests),
        ("guards", meta.guards, known.tests),
    ):
        check_each(names, allowed, key=key, filename=f"{series.name}/series.yaml")


def load_topology(name: str) -> Topology:
    """Return the topology called ``name``, or the one in the file of that path."""
    own = Path(name)
    if own.suffix == ".yaml":
        return parse_topology(read_text(own), filename=name, name=own.stem)
    check_each([name], list_catalog().topologies, key="topologies", filename="command line")
    path = guest_tests_dir() / "topologies" / f"{name}.yaml"
    return parse_topology(read_text(path), filename=str(path), name=name)


def find_series(name: str) -> Path:
    """Return the folder of a series: a path, or a name relative to the project."""
    for folder in (Path(name), data_dir() / name, data_dir() / "patches" / name):
        if is_series_folder(folder):
            return folder
    known = ", ".join(list_catalog().series) or "none"
    raise UserError(
        f"{name!r} is no series. Give a folder with a `series` file or with *.patch files, a file "
        "(.patch, .diff, .eml, .mbox, .mbox.gz), a message id (x@y), a mail's address on "
        f"lore.kernel.org, or one that comes along: {known}"
    )


def load_fragments(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return (name, text) of the kconfig fragments called ``names``."""
    check_each(names, list_catalog().kconfigs, key="kconfig", filename="command line")
    folder = data_dir() / "kconfigs"
    return tuple((name, read_text(folder / f"{name}.config")) for name in names)


def read_enabled_options(config: Path) -> frozenset[str]:
    """Return the options that are on in a .config, without their ``CONFIG_``.

    A module is not: none is loaded in a guest but the drivers of its devices.
    """
    values = read_values(read_text(config).splitlines())
    return frozenset(n for n, value in values.items() if value != "m" or n in DEVICE_MODULES)


def _list_stems(folder: Path, suffix: str) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in folder.glob(f"*{suffix}")))


def _list_tests() -> tuple[str, ...]:
    """Return suites and test files, as paths under guest-tests."""
    root = guest_tests_dir()
    files = [
        path.relative_to(root)
        for pattern in ("*.c", "test_*.py")
        for path in root.rglob(pattern)
        if path.relative_to(root).parts[0] not in NO_SUITES
    ]
    suites = {parent for file in files for parent in file.parents if parent != Path()}
    return tuple(sorted(str(path) for path in {*files, *suites}))


def describe(what: str) -> tuple[tuple[str, str], ...]:
    """Return (name, what it is for) of all topologies, kconfigs, series, tests or plans."""
    return _DESCRIBERS[what]()


def _describe_topologies() -> tuple[tuple[str, str], ...]:
    return tuple((name, load_topology(name).about) for name in list_catalog().topologies)


def _describe_kconfigs() -> tuple[tuple[str, str], ...]:
    fragments = load_fragments(list_catalog().kconfigs)
    return tuple(
        (name, _first_sentence(text).removeprefix(f"{name}: ")) for name, text in fragments
    )


def _describe_series() -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, load_series(data_dir() / name).meta.title) for name in list_catalog().series
    )


def _describe_tests() -> tuple[tuple[str, str], ...]:
    root = guest_tests_dir()
    return tuple(
        (name, _first_sentence(read_text(root / name)))
        for name in list_catalog().tests
        if (root / name).is_file()
    )


def _describe_plans() -> tuple[tuple[str, str], ...]:
    plans = sorted((data_dir() / "ci/plans").glob("*.yaml"))
    return tuple((str(path.relative_to(data_dir())), load_plan(path).about) for path in plans)


_DESCRIBERS: Final = {
    "topologies": _describe_topologies,
    "kconfigs": _describe_kconfigs,
    "series": _describe_series,
    "tests": _describe_tests,
    "plans": _describe_plans,
}


def _first_sentence(text: str) -> str:
    """Return the first sentence of the comment or docstring at the top of a file."""
    prose = (line.strip(' */"#') for line in text.splitlines() if not line.startswith("//"))
    paragraph = itertools.takewhile(bool, itertools.dropwhile(lambda line: not line, prose))
    sentence = " ".join(paragraph).split(". ")[0]
    return sentence.removesuffix(".")
