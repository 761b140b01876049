import os
from pathlib import Path

import pytest

from testbed.host import proc
from testbed.host.eviction import bound
from testbed.host.footprint import measure
from testbed.host.store import Store
from testbed.tests.fake_linux.rig import (
    Rig,
    await_line,
    edit,
    finish,
    mail,
    start_drive,
    write_series,
)

MIB = 1 << 20


def test_what_was_evicted_is_built_again_and_is_the_same(rig: Rig) -> None:
    before = rig.build().image.read_bytes()

    done = bound(rig.store, 0)

    assert sorted(entry.kind for entry in done.evicted) == ["kernels", "work"]
    assert rig.build().image.read_bytes() == before


def test_a_build_keeps_its_folder_and_its_base(rig: Rig, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    change = edit(
        "mm/migrate.c", "#include <linux/mm.h>", f'#include <linux/mm.h>\n#include "{gate}"'
    )
    write_series(tmp_path / "gated", {"1.patch": mail("mm: wait", change)})
    rig.build()
    drive = start_drive(cache=rig.cache, tarballs=rig.tarballs, series=[tmp_path / "gated"])
    await_line(drive, "line:   CC      mm/migrate.o")

    done = bound(rig.store, 0)
    gate.write_bytes(b"")  # waits for the compiler to read it

    assert [entry.kind for entry in done.spared] == ["work"]
    assert [entry.kind for entry in done.evicted] == ["kernels"]
    assert finish(drive)["type"] == "Kernel"


def test_ccache_itself_trims_what_it_keeps(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = rig.cache / "ccache"
    monkeypatch.delenv("CCACHE_DISABLE")
    for number in range(48):
        source = tmp_path / f"{number}.c"
        numbers = ",".join(str(byte) for byte in os.urandom(50_000))
        source.write_text(f"unsigned char bytes{number}[] = {{{numbers}}};")
        compile_it = ["ccache", "gcc", "-c", str(source), "-o", str(tmp_path / "o")]
        proc.run(compile_it, env={"CCACHE_DIR": str(folder)})
    before_bytes = measure(folder).own_bytes
    assert before_bytes > 2 * MIB
    store = Store(rig.cache, say=print)

    assert bound(store, 2 * MIB).left_bytes <= 2 * MIB
    assert measure(folder).own_bytes > MIB / 2
    assert not (folder / "ccache.conf").exists()  # its own setting stays

    bound(store, 0)
    assert measure(folder).own_bytes < MIB
