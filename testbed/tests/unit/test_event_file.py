"""The events of a cell on the disk: followed as they come, and mended after a kill."""

import os
import stat
from pathlib import Path

import pytest

from testbed.core.events import Started, dump_event
from testbed.errors import InfraError
from testbed.host.event_file import EventFile, drain, open_wake

A, B = Started(id="a"), Started(id="b")


def test_a_line_is_read_once_and_only_when_it_is_whole(tmp_path: Path) -> None:
    events = EventFile(tmp_path / "events.jsonl")
    assert events.read_new() == ()
    line = dump_event(B)
    with events.path.open("w") as file:
        file.write(dump_event(A) + line[:10])
        file.flush()
        assert events.read_new() == (A,)
        assert events.read_new() == ()
        file.write(line[10:])
    assert events.read_new() == (B,)
    assert list(events.events) == [A, B]


def test_a_torn_line_is_cut_off_and_the_date_of_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(dump_event(A) + dump_event(B)[:-5])
    os.utime(path, (1000, 1000))
    events = EventFile(path)
    events.cut_torn_line()
    assert path.read_text() == dump_event(A)
    assert events.last_write_s() == 1000
    events.append(B)
    assert events.read_new() == (A, B)


@pytest.mark.parametrize("content", ["", dump_event(A)])
def test_a_whole_file_is_not_touched(content: str, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(content)
    os.utime(path, (1000, 1000))
    EventFile(path).cut_torn_line()
    assert path.read_text() == content
    assert path.stat().st_mtime == 1000


def test_a_file_that_is_not_there_is_as_one_without_events(tmp_path: Path) -> None:
    events = EventFile(tmp_path / "events.jsonl")
    events.cut_torn_line()
    assert events.last_write_s() == 0
    assert not events.path.exists()


def test_a_line_that_is_no_event_is_one_clear_message(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(dump_event(A)[:9] + dump_event(B))
    with pytest.raises(InfraError, match=r"events\.jsonl: has a line that is no event"):
        EventFile(path).read_new()


def test_the_fifo_takes_the_place_of_one_that_was_left_and_is_gone_after(tmp_path: Path) -> None:
    path = tmp_path / "wake"
    path.write_text("left by a killed run")
    with open_wake(path) as fd:
        assert stat.S_ISFIFO(path.lstat().st_mode)
        drain(fd)  # empty: does not block
        writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        os.write(writer, b"\0" * 5)
        os.close(writer)
        drain(fd)
        with pytest.raises(BlockingIOError):
            os.read(fd, 1)  # empty, and no end of file though no writer is left
    assert not path.exists()


def test_a_folder_that_takes_no_fifo_is_one_clear_message(tmp_path: Path) -> None:
    with (
        pytest.raises(InfraError, match=r"no FIFO can be made there: .*--runs-dir"),
        open_wake(tmp_path / "missing/wake"),
    ):
        pass
