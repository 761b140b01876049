"""Message ids and the places on the web where their mails are: what names a thread."""

import re
from typing import Final
from urllib.parse import unquote, urlsplit

from testbed.errors import UserError

_ARCHIVES: Final = ("lore.kernel.org", "patch.msgid.link", "msgid.link")
_ID: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.][^\s<>@\"\\]*@[^\s<>@\"\\/]+")


def parse_message_id(spec: str) -> str | None:
    """Return the message id that ``spec`` names, without brackets; None if it names none.

    ``<x@y>``, ``x@y`` and ``mid:x@y`` do, and the address of a mail in the kernel's archives.
    Raises :class:`UserError` for an address elsewhere, or of no mail.
    """
    if "://" in spec or spec.startswith(tuple(f"{host}/" for host in _ARCHIVES)):
        return _parse_address(spec)
    text = spec.strip().removeprefix("mid:").removeprefix("<").removesuffix(">")
    return text if text.isprintable() and _ID.fullmatch(text) else None


def _parse_address(spec: str) -> str:
    address = urlsplit(spec if "://" in spec else f"https://{spec}")
    if address.scheme not in {"http", "https"} or address.hostname not in _ARCHIVES:
        raise UserError(
            f"{spec}: not an archive that is known: {', '.join(_ARCHIVES)}. Download the thread as "
            "an mbox and give the file"
        )
    for part in address.path.split("/"):
        text = unquote(part)
        if text.isprintable() and _ID.fullmatch(text):
            return text
    raise UserError(f"{spec}: names no mail: its address ends in a message id, as .../all/<id>/")
