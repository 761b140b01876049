"""b4: fetches a thread from the kernel's archives, and tells the newest series in one.

It gets a home of its own, so that neither the user's settings nor their cache have a part in it;
what it is to do is said on its command line (b4 0.16, ``b4 am --help``).
"""

import sys
from collections.abc import Sequence
from email.parser import BytesHeaderParser
from email.policy import compat32
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import quote

from testbed.core.text import clean, shorten_middle
from testbed.errors import InfraError, SeriesError
from testbed.host.git import GIT
from testbed.host.proc import Completed, run

_FETCH_S: Final = 180.0
_CHOOSE_S: Final = 120.0
_OUT: Final = "chosen"
_POSTMARK: Final = b"From git@z Thu Jan  1 00:00:00 1970\n"  # b4.save_git_am_mbox
_SHOWN_LINES: Final = 2
_SHOWN_CHARS: Final = 300
_LORE: Final = "https://lore.kernel.org/all"
# Who signed a mail is not asked: that would want keys and the DNS.
_QUIETLY: Final = ("--no-interactive", "--no-stdin", "-c", "b4.attestation-policy=off")
# What b4 0.16 says of an archive that did answer.
_NO_SUCH_MAIL: Final = ("No messages found", "Server returned an error: 404")


def fetch_thread(message_id: str, *, archive: str = _LORE) -> bytes:
    """Return the thread of a mail as an mbox, from a public-inbox at ``archive``.

    Raises :class:`SeriesError` where the archive has no such mail, :class:`InfraError` when it
    cannot be reached.
    """
    with TemporaryDirectory(prefix="testbed-b4-") as name:
        folder = Path(name).resolve()
        argv = [
            *("-c", f"b4.midmask={archive}/%s", "mbox", "--no-cache"),
            *("-o", str(folder), "-n", "thread", "--", message_id),
        ]
        try:
            outcome = _run_b4(argv, folder=folder, timeout_s=_FETCH_S)
        except InfraError as err:
            raise InfraError(f"{err}\n{_describe_by_hand(message_id, archive)}") from err
        found = sorted(folder.glob("thread*"))
        if outcome.returncode == 0 and found:
            return found[0].read_bytes()
    if any(text in outcome.output for text in _NO_SUCH_MAIL):
        raise SeriesError(f"{archive} has no mail <{message_id}>")
    raise InfraError(
        f"<{message_id}> cannot be fetched from {archive}: no network, or no answer.\n"
        f"{_describe_by_hand(message_id, archive)}\n  b4 said: {_shorten(outcome)}"
    )


def choose_newest(mbox: Path, *, where: str) -> tuple[str, ...]:
    """Return the message ids of the newest series in ``mbox``, in the order of its patches.

    Works without a network. Raises :class:`SeriesError`, calling the file ``where``, when there
    is none.
    """
    with TemporaryDirectory(prefix="testbed-b4-") as name:
        folder = Path(name).resolve()
        argv = [
            *("--offline-mode", "am", "--no-cache", "--no-add-trailers", "--no-partial-reroll"),
            *("--no-cover", "--allow-unicode-control-chars"),
            *("-o", str(folder), "-n", _OUT, "-m", str(mbox.resolve())),
        ]
        outcome = _run_b4(argv, folder=folder, timeout_s=_CHOOSE_S)
        made = folder / f"{_OUT}.mbx"
        mails = made.read_bytes().split(_POSTMARK)[1:] if made.is_file() else []
        chosen = tuple(one for mail in mails if (one := _read_message_id(mail)))
    if outcome.returncode != 0 or not chosen:
        raise SeriesError(
            f"{where}: b4 finds no series in it; it said: {_shorten(outcome)}\n"
            "  Keep only the mails of one version in the file"
        )
    return chosen


def _run_b4(argv: Sequence[str], *, folder: Path, timeout_s: float) -> Completed:
    home = folder / "home"
    home.mkdir()
    beside = Path(sys.executable).with_name("b4")
    b4 = str(beside) if beside.is_file() else "b4"
    return run(
        [*GIT[: GIT.index("git")], b4, *_QUIETLY, *argv],
        cwd=home,
        env={
            "HOME": str(home),
            "XDG_CACHE_HOME": str(home / "cache"),
            "XDG_DATA_HOME": str(home / "data"),
            "GIT_CEILING_DIRECTORIES": str(folder),
        },
        timeout_s=timeout_s,
        check=False,
    )


def _read_message_id(mail: bytes) -> str:
    return str(BytesHeaderParser(policy=compat32).parsebytes(mail).get("Message-Id", "")).strip(
        "<> "
    )


def _describe_by_hand(message_id: str, archive: str) -> str:
    return (
        f"  Download {archive}/{quote(message_id, safe='@')}/t.mbox.gz by other means, "
        "and give that file in its place"
    )


def _shorten(outcome: Completed) -> str:
    lines = [clean(line).strip() for line in outcome.output.splitlines()]
    last = " / ".join([line for line in lines if line][-_SHOWN_LINES:])
    return shorten_middle(last, width=_SHOWN_CHARS) or "nothing"
