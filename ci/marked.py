"""Parts of a document that a script writes: what stands between two marks."""

from collections.abc import Iterable
from pathlib import Path

import click


def rewrite(path: Path, lines: Iterable[str], *, begin: str, end: str) -> None:
    """Write ``lines`` between the marks in the file; a mark that is not there is an error."""
    head, found, rest = path.read_text(encoding="utf-8").partition(begin)
    _, found_end, tail = rest.partition(end)
    if not found or not found_end:
        raise click.ClickException(f"{path} lacks {begin} or {end}")
    written = "\n".join(lines)
    path.write_text(f"{head}{begin}\n{written}\n{end}{tail}", encoding="utf-8")
