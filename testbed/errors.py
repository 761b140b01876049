"""The exceptions of the testbed, and the exit codes they stand for.

A kernel that misbehaves is a verdict (:mod:`testbed.core.result`), never an exception.
What is raised is either the user's to mend or the machine's::

    TestbedError
    |-- UserError                exit 2: the request cannot be carried out as it was made
    |   |-- PlanError            a YAML file: its name, the key, the value, what is allowed
    |   |-- SeriesError          a patch does not apply: the patch, the file, the hunk
    |   `-- KconfigError         an option did not land: what it became, the unmet dependency
    `-- InfraError               exit 69: the host let us down (no QEMU, a full disk)
        |-- CommandError         a command failed: argv, status, the tail of its output
        `-- GuestLostError       a guest stopped answering while it was being talked to

Anything else that escapes is a bug of the testbed (exit 70).
"""

from collections.abc import Sequence
from typing import ClassVar


class TestbedError(Exception):
    """Base of all expected errors; ``str()`` is one message that says what to do next."""

    __test__: ClassVar[bool] = False  # pytest would take the class name for a test's
    exit_code: ClassVar[int] = 70


class UserError(TestbedError):
    """The request cannot be carried out as it was made."""

    exit_code = 2


class PlanError(UserError):
    """A YAML file of the user's is not what it should be."""


class SeriesError(UserError):
    """A patch series cannot be read or does not apply."""


class KconfigError(UserError):
    """An option that was asked for is not in the final .config."""


class InfraError(TestbedError):
    """The host, not the kernel under test, is at fault."""

    exit_code = 69


class CommandError(InfraError):
    """A command that the testbed relies on failed.

    ``argv`` and ``returncode`` are the command's; ``tail`` is the end of what it printed.
    """

    def __init__(self, argv: Sequence[str], returncode: int, tail: str) -> None:
        self.argv = tuple(argv)
        self.returncode = returncode
        self.tail = tail
        shown = " ".join(self.argv)
        super().__init__(f"command failed with status {returncode}: {shown}\n{tail}".rstrip())


class GuestLostError(InfraError):
    """The guest no longer answers; its console says why, if anything does."""
