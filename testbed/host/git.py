"""git as a tool: no repository but the one that is meant, none of the user's configuration."""

from typing import Final

# What would make git look elsewhere than told, for instance in a hook that runs the testbed.
_LEADING_ASTRAY: Final = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
    "GIT_LITERAL_PATHSPECS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_TRACE",
)

GIT: Final = (
    "env",
    *(f"--unset={name}" for name in _LEADING_ASTRAY),
    "LC_ALL=C",
    "GIT_CONFIG_GLOBAL=/dev/null",
    "GIT_CONFIG_NOSYSTEM=1",
    "GIT_OPTIONAL_LOCKS=0",
    # Reading must not fetch into a partial clone of the user's.
    "GIT_NO_LAZY_FETCH=1",
    "GIT_ALLOW_PROTOCOL=none",
    "XDG_CONFIG_HOME=/nonexistent",
    "git",
    "-c",
    "safe.directory=*",
    "-c",
    "core.fsmonitor=false",
)
"""The start of a git command: no hidden ignore files, no hooks, an index that is only read."""
