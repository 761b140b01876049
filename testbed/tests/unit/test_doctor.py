"""The doctor: its list of packages, and what it makes of a host."""

import io
from pathlib import Path

from rich.console import Console

from testbed import doctor
from testbed.doctor import Check, Examination
from testbed.host.project import data_dir


def show(examination: Examination) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(doctor.render(examination))
    return console.export_text()


def test_the_list_of_packages_is_read_without_its_comments() -> None:
    assert doctor.parse_package_list("# why\nflex  flex # lexer\n\nlibelf-dev /usr/x.h\n") == (
        ("flex", "flex"),
        ("libelf-dev", "/usr/x.h"),
    )


def test_every_package_of_the_project_has_a_witness() -> None:
    entries = doctor.parse_package_list((data_dir() / "ci/debian-packages.txt").read_text())
    assert {"qemu-system-x86", "linux-source-6.12", "dropbear-bin"} <= {name for name, _ in entries}


def test_what_is_missing_is_named_with_the_command_that_installs_it() -> None:
    examination = Examination(
        checks=(
            Check(what="flex", is_fine=False, detail="no flex", package="flex"),
            Check(what="bison", is_fine=True, detail="/usr/bin/bison", package="bison"),
        )
    )
    assert examination.exit_code == 69
    assert "apt-get install --no-install-recommends flex" in show(examination)


def test_a_cache_that_is_a_file_is_not_fine(tmp_path: Path) -> None:
    blocked = tmp_path / "cache"
    blocked.write_text("")
    checks = {check.what: check for check in doctor.examine(blocked).checks}
    assert not checks["cache"].is_fine
    assert "cannot be written" in checks["cache"].detail
    assert doctor.examine(tmp_path / "other").checks[0].what
