"""The head of a patch: who wrote it, when, and what the message says.

A patch is a mail (git-format-patch(1)), or begins as one (quilt), or is a bare diff. Whatever the
text holds, reading it never fails: what is not there is empty.
"""

import re
from dataclasses import dataclass
from email import policy
from email.parser import HeaderParser
from itertools import dropwhile
from typing import Final

from testbed.core.text import clean

_FIELD: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]*:")
_IN_BODY: Final = re.compile(r"(?P<key>From|Subject|Date): *(?P<value>.*)")  # git-am(1), DISCUSSION
_MAX_CHARS: Final = 2000  # of a field; email takes a second for a hundred times as many
_READ: Final = ("from", "subject", "date")
_BRACKETS: Final = re.compile(r"\s*\[(?P<tags>[^\]]*)\]\s*")
_REPLY: Final = re.compile(r"(?:re|aw|fwd?):\s*", re.IGNORECASE)
_VERSION: Final = re.compile(r"\bv(?P<version>[0-9]{1,3})\b", re.IGNORECASE)
_COUNT: Final = re.compile(r"(?<![\w/])(?P<number>[0-9]{1,4})/(?P<total>[0-9]{1,4})(?![\w/])")
_FIXES: Final = re.compile(r"fixes:\s*(?P<value>.*)", re.IGNORECASE)
_BASE_COMMIT: Final = re.compile(r"^base-commit: *([0-9a-f]{40}|[0-9a-f]{64})\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchHeader:
    """The head of a patch; ``subject`` still has its ``[PATCH 1/2]``, ``body`` ends at ``---``."""

    subject: str
    author: str
    date: str
    body: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectTags:
    """What a subject says besides its ``title``: ``[PATCH v3 2/7]``, and whether it answers.

    ``number`` is 0 for a cover letter; with no ``n/m`` it is None, as is ``total``.
    """

    title: str
    version: int
    number: int | None
    total: int | None
    is_reply: bool


def read_header(text: str) -> PatchHeader:
    """Read what stands before a diff; a ``From:`` that begins the message outranks the mail's."""
    lines = text.split("\n")
    if lines and lines[0].startswith("From "):
        del lines[0]
    lines = list(dropwhile(_is_blank, lines))
    head = _count_head_lines(lines)
    mail = HeaderParser(policy=policy.compat32).parsestr("\n".join(lines[:head]))
    # Raw: email itself takes no header in which UTF-8 stands beside bytes that are none.
    raw = reversed(list(mail.raw_items()))
    known = {key.lower(): _decode(str(value)) for key, value in raw if key.lower() in _READ}
    body = list(dropwhile(_is_blank, lines[head:]))
    for number, line in enumerate(body):
        field = _IN_BODY.match(line)
        if field is None:
            # Without a blank line after them they are prose, as git has it.
            if number and _is_blank(line):
                known |= _read_in_body(body[:number])
                body = list(dropwhile(_is_blank, body[number:]))
            break
    return PatchHeader(
        subject=known.get("subject", ""),
        author=known.get("from", ""),
        date=known.get("date", ""),
        body=_cut_notes(body),
    )


def read_tags(subject: str) -> SubjectTags:
    """Split ``[PATCH v3 2/7] mm: fix it`` into its parts; no ``vN`` is version 1."""
    rest = subject.strip()
    is_reply = False
    tags = ""
    while True:
        if answer := _REPLY.match(rest):
            is_reply = True
            rest = rest[answer.end() :]
        elif brackets := _BRACKETS.match(rest):
            tags += f" {brackets['tags']}"
            rest = rest[brackets.end() :]
        else:
            break
    version = _VERSION.search(tags)
    count = _COUNT.search(tags)
    return SubjectTags(
        title=rest,
        version=int(version["version"]) if version else 1,
        number=int(count["number"]) if count else None,
        total=int(count["total"]) if count else None,
        is_reply=is_reply,
    )


def read_fixes(body: tuple[str, ...]) -> tuple[str, ...]:
    """Return what follows each ``Fixes:`` of a message, as it stands there."""
    found = (_FIXES.match(line) for line in body)
    return tuple(clean(match["value"].strip()) for match in found if match)


def read_base_commit(text: str) -> str:
    """Return the commit of ``base-commit:`` (git-format-patch(1)) in a mail; empty without one."""
    match = _BASE_COMMIT.search(text)
    return match[1] if match else ""


def _is_blank(line: str) -> bool:
    return not line.strip()


def _count_head_lines(lines: list[str]) -> int:
    """Return how many lines are fields of a mail; 0 where the text begins with prose."""
    for number, line in enumerate(lines):
        is_folded = number > 0 and line[:1] in (" ", "\t") and not _is_blank(line)
        if not is_folded and not _FIELD.match(line):
            return number if _is_blank(line) else 0
    return len(lines)


def _decode(value: str) -> str:
    """Decode RFC 2047's words, unfold, and take out what would upset a terminal."""
    folded = " ".join(value[:_MAX_CHARS].split())
    decoded = str(policy.default.header_factory("Subject", folded))
    return " ".join(clean(decoded).split())


def _read_in_body(lines: list[str]) -> dict[str, str]:
    fields = (_IN_BODY.match(line) for line in lines)
    return {field["key"].lower(): _decode(field["value"]) for field in fields if field}


def _cut_notes(body: list[str]) -> tuple[str, ...]:
    """Return the message without what follows ``---``, and without blank lines around it."""
    lines = [line.rstrip() for line in body]
    if "---" in lines:
        del lines[lines.index("---") :]
    return tuple("\n".join(lines).strip("\n").split("\n")) if any(lines) else ()
