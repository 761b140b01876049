"""What a maintainer would send a patch back for at sight, before reading the diff.

The rules are those of Documentation/process/submitting-patches.rst (6.12).
"""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

from testbed.core.patch import Patch
from testbed.core.patch_header import PatchHeader, read_fixes, read_header, read_tags
from testbed.core.text import clean

# As in "mm: x", "mm/migrate: x", "x86/mm, kvm: x", "perf tools: x" and 'Revert "mm: x"'.
_PREFIXED: Final = re.compile(r'(?:Revert\s+"+)*(?:[\w./+*{}()-]+,?\s+){0,2}[\w./+*{}(),-]+:\s+\S')
_WELL_FORMED_FIXES: Final = re.compile(r'[0-9a-f]{12,40} \("\S.*"\)')
_TRAILER: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]*(?:-by|-to)?: \S")
_SIGNATURE: Final = re.compile(r"signed-off-by:\s*(?P<who>.*)", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"(?P<name>.*?)\s*<(?P<email>[^<>\s]+@[^<>\s]+)>")


def find_header_problems(patch: Patch) -> tuple[str, ...]:
    """Return what is wrong with the head of ``patch``, a line each; nothing for a good one."""
    header = read_header(patch.header)
    return tuple(line for check in _CHECKS for line in check(header))


def _check_subject(header: PatchHeader) -> Iterator[str]:
    title = read_tags(header.subject).title
    if not title:
        yield "no Subject: write `Subject: [PATCH] subsystem: what it does`"
    elif not _PREFIXED.match(title):
        yield f"Subject {title!r}: begin it with the subsystem, as in `mm/migrate: ...`"


def _check_author(header: PatchHeader) -> Iterator[str]:
    if not header.author:
        yield "no author: write `From: Name <address>`"
    elif not _ADDRESS.fullmatch(header.author):
        yield f"From {header.author!r}: write `From: Name <address>`"


def _check_date(header: PatchHeader) -> Iterator[str]:
    if header.date and _parse_date(header.date) is None:
        yield (
            f"Date {header.date!r} cannot be read: write it as `git format-patch` does, "
            "`Sat, 1 Jan 2000 00:00:00 +0000`"
        )


def _check_body(header: PatchHeader) -> Iterator[str]:
    if not any(line.strip() and not _TRAILER.match(line) for line in header.body):
        yield "no description: say why the change is wanted, above the tags"


def _check_signature(header: PatchHeader) -> Iterator[str]:
    signatures = [match["who"].strip() for line in header.body if (match := _SIGNATURE.match(line))]
    if not signatures:
        yield "no Signed-off-by: `git commit --amend -s` adds it"
    elif _ADDRESS.fullmatch(header.author) and not any(
        _is_same(header.author, who) for who in signatures
    ):
        yield (
            f"Signed-off-by is of {clean(', '.join(signatures))}, not of the author, "
            f"{header.author}: the author has to sign off"
        )


def _check_fixes(header: PatchHeader) -> Iterator[str]:
    for value in read_fixes(header.body):
        if not _WELL_FORMED_FIXES.fullmatch(value):
            yield f'Fixes: tag {value!r}: write Fixes: <12 digits of the commit> ("<subject>")'


_CHECKS: Final[tuple[Callable[[PatchHeader], Iterator[str]], ...]] = (
    _check_subject,
    _check_author,
    _check_date,
    _check_body,
    _check_signature,
    _check_fixes,
)


def _parse_date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None


def _is_same(author: str, signer: str) -> bool:
    """Tell whether both are one person: the same address, or the same name (checkpatch.pl)."""
    one, other = (_ADDRESS.fullmatch(who) for who in (author, signer))
    if one is None or other is None:
        return author.casefold() == signer.casefold()
    names = [match["name"].strip('" ').casefold() for match in (one, other)]
    return one["email"].casefold() == other["email"].casefold() or (
        names[0] == names[1] and names[0] != ""
    )
