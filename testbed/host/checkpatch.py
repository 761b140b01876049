"""The kernel's own scripts/checkpatch.pl, as the source has it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from testbed.core.checkpatch import CheckpatchMessage, parse_checkpatch
from testbed.core.series import Patch
from testbed.core.text import clean
from testbed.host.held import Holder
from testbed.host.proc import find_tool

SCRIPT: Final = "scripts/checkpatch.pl"
_OPTIONS: Final = (
    "--terse",
    "--show-types",
    "--showfile",
    "--strict",
    "--no-summary",
    "--color=never",
)
# checkpatch reads .checkpatch.conf of the home folder too, and takes what git knows for a source.
_ENVIRONMENT: Final = ("env", "HOME=/nonexistent", "GIT_DIR=/nonexistent", "LC_ALL=C")
_SHOWN_TAIL: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpatchResult:
    """What checkpatch said of one patch; ``trouble`` is told where it came to no end of its own."""

    messages: tuple[CheckpatchMessage, ...]
    trouble: str = ""


def has_checkpatch(src: Path) -> bool:
    """Whether the source below ``src`` comes with the script."""
    return (src / SCRIPT).is_file()


def run_checkpatch(patch: Patch, *, src: Path, scratch: Path, holder: Holder) -> CheckpatchResult:
    """Run it on ``patch``; ``scratch`` is a folder for the patch's text.

    Its status is 1 where it has anything to say, and more where it failed (main loop, 6.12).
    """
    file = scratch / "checkpatch.patch"
    file.write_bytes(patch.text.encode("utf-8", "surrogateescape"))
    lines: list[str] = []
    perl = str(find_tool("perl"))
    try:
        outcome = holder.run(
            [*_ENVIRONMENT, perl, SCRIPT, "--root=.", *_OPTIONS, str(file)],
            cwd=src,
            on_line=lines.append,
        )
    finally:
        file.unlink(missing_ok=True)
    messages = parse_checkpatch(lines)
    if outcome.returncode == 0 or messages:
        return CheckpatchResult(messages=messages)
    words = "; ".join(clean(line) for line in outcome.tail[-_SHOWN_TAIL:])
    return CheckpatchResult(
        messages=(), trouble=f"{SCRIPT} ended with status {outcome.returncode}: {words}"
    )
