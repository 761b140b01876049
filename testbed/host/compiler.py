"""The compiler as make is to call it."""

import shutil
from pathlib import Path
from typing import Final

from testbed.host.store import write_atomically

_SCRIPT: Final = Path(__file__).with_name("ccache_gcc.sh")


def install_compiler(cache_root: Path) -> str:
    """Return what to give make as CC: gcc, by way of ccache where that is installed.

    The script in between lies in the cache: kbuild keeps its path in every object's command line,
    and where that changes the object is made anew.
    """
    if shutil.which("ccache") is None:
        return "gcc"
    script = cache_root / "tools" / _SCRIPT.name
    text = _SCRIPT.read_text(encoding="utf-8")
    if not script.is_file() or script.read_text(encoding="utf-8") != text:
        script.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(script, text)
    return f"sh {script}"
