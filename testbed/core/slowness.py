"""How many times slower a kernel may be than a plain one, which time limits are made for."""

from collections.abc import Iterable
from typing import Final

# Checkers that make a kernel several times slower, and the factor that LTP has for any of them
# (tst_has_slow_kconfig(), lib/tst_kconfig.c).
_SLOW_OPTIONS: Final = frozenset({"KASAN", "KCSAN", "KMSAN", "PROVE_LOCKING", "DEBUG_PAGEALLOC"})
_SLOW_FACTOR: Final = 4


def find_slowness(kconfig: Iterable[str] | None) -> int:
    """Return the factor for a kernel with the options ``kconfig``, without ``CONFIG_``.

    It is 1 for one whose options are not known.
    """
    return 1 if kconfig is None or _SLOW_OPTIONS.isdisjoint(kconfig) else _SLOW_FACTOR
