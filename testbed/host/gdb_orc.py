"""Backtraces of the kernel in gdb, also where it was built without debug info.

gdb runs this file in its own Python. Such a kernel has neither frame pointers nor DWARF, by which
gdb would find the callers, but the tables that its own stack dumps go by: ORC (struct orc_entry and
unwind_next_frame() in arch/x86, 6.12 and 6.1). They are read from the guest's memory.
"""

import bisect
import re
import struct
from typing import Any, Final, NamedTuple

import gdb  # type: ignore[import-untyped]  # only gdb has it
from gdb.unwinder import Unwinder, register_unwinder  # type: ignore[import-untyped]

_WORD_MASK: Final = (1 << 64) - 1
_LAST_USER_ADDRESS: Final = 1 << 63
_ENTRY: Final = struct.Struct("<hhH")
_WORD: Final = struct.Struct("<Q")
_CALL, _REGS, _REGS_PARTIAL = range(3)
_STOP: Final = -1
# Since 6.4, which is when .orc_header came, two types stand before "call".
_TYPES: Final = {0: _STOP, 1: _STOP, 2: _CALL, 3: _REGS, 4: _REGS_PARTIAL}
_PREV_SP: Final = 1
_REGISTERS: Final = {2: "rdx", 3: "rdi", 4: "rbp", 5: "rsp", 6: "r10", 7: "r13"}
_BP_INDIRECT: Final = 8
_SP_INDIRECT: Final = 9
_RBP: Final = 4
# struct pt_regs (arch/x86/include/asm/ptrace.h): where it has what an exception found.
_REGS_RBP, _REGS_RIP, _REGS_CS, _REGS_RSP, _REGS_END = 32, 128, 136, 152, 168
_OFFSET: Final = re.compile(r"^\S+ \+ (\d+) in section")


class _Row(NamedTuple):
    sp_offset: int
    bp_offset: int
    sp_reg: int
    bp_reg: int
    kind: int


class _FrameId(NamedTuple):
    sp: Any
    pc: Any


class _Orc(Unwinder):  # type: ignore[misc]  # gdb has no types
    """Finds the caller of each frame of the kernel."""

    def __init__(self) -> None:
        super().__init__("orc")
        self._ips: list[int] = []
        self._rows = b""
        self._is_recent = True
        self._interrupted: set[int] = set()

    def __call__(self, frame: Any) -> Any:  # noqa: ANN401 - gdb has no types
        pc = _read_register(frame, "rip")
        if pc < _LAST_USER_ADDRESS:
            return None
        registers = {"rip": pc, "rsp": _read_register(frame, "rsp")}
        registers["rbp"] = _read_register(frame, "rbp")
        is_exact = frame.level() == 0 or registers["rsp"] in self._interrupted
        try:
            row = self._find(pc, is_exact=is_exact)
            if row is None:
                return None
            name = _REGISTERS.get(row.sp_reg, "rsp")
            registers.setdefault(name, _read_register(frame, name))
            return self._unwind(frame, row, registers)
        except gdb.error:  # memory that is not there, a register that was not saved
            return None

    def _find(self, pc: int, *, is_exact: bool) -> _Row | None:
        """Return the row for ``pc``; a return address counts to the call before it."""
        if not self._ips:
            self._load()
        index = bisect.bisect_right(self._ips, pc if is_exact else pc - 1) - 1
        if index < 0:
            return None
        sp_offset, bp_offset, bits = _ENTRY.unpack_from(self._rows, index * _ENTRY.size)
        kind = _TYPES.get(bits >> 8 & 7, _STOP) if self._is_recent else _read_old_kind(bits >> 8)
        return _Row(sp_offset, bp_offset, bits & 15, bits >> 4 & 15, kind)

    def _load(self) -> None:
        start, stop = _address("__start_orc_unwind_ip"), _address("__stop_orc_unwind_ip")
        count = (stop - start) // 4
        offsets = struct.unpack(f"<{count}i", _read(start, 4 * count))
        self._ips = [(start + 4 * n + offset) & _WORD_MASK for n, offset in enumerate(offsets)]
        self._rows = _read(_address("__start_orc_unwind"), _ENTRY.size * count)
        try:
            _address("__start_orc_header")
        except gdb.error:
            self._is_recent = False

    def _unwind(self, frame: Any, row: _Row, registers: dict[str, int]) -> Any:  # noqa: ANN401 - as above
        cfa = registers["rsp"]
        caller = {"rip": 0, "rsp": cfa, "rbp": 0}  # at rip 0 gdb ends a backtrace
        if row.kind != _STOP:
            cfa = _find_cfa(row, registers)
            caller = _find_caller(row, cfa, registers)
            if row.kind != _CALL:
                self._interrupted.add(caller["rsp"])
        value = gdb.Value
        word = frame.read_register("rsp").type
        frame_id = _FrameId(value(cfa).cast(word), value(_find_start(registers["rip"])).cast(word))
        info = frame.create_unwind_info(frame_id)
        for name, number in caller.items():
            info.add_saved_register(name, value(number).cast(frame.read_register(name).type))
        return info


def _read_register(frame: Any, name: str) -> int:  # noqa: ANN401 - as above
    return int(frame.read_register(name)) & _WORD_MASK


def _find_cfa(row: _Row, registers: dict[str, int]) -> int:
    """Return the caller's stack pointer, or where the registers of an exception were put."""
    if row.sp_reg == _BP_INDIRECT:
        return _read_word(registers["rbp"] + row.sp_offset)
    if row.sp_reg == _SP_INDIRECT:
        return _read_word(registers["rsp"]) + row.sp_offset
    return (registers[_REGISTERS[row.sp_reg]] + row.sp_offset) & _WORD_MASK


def _find_caller(row: _Row, cfa: int, registers: dict[str, int]) -> dict[str, int]:
    if row.kind == _CALL:
        caller = {"rip": _read_word(cfa - 8), "rsp": cfa, "rbp": registers["rbp"]}
        if row.bp_reg == _PREV_SP:
            caller["rbp"] = _read_word(cfa + row.bp_offset)
        elif row.bp_reg == _RBP:
            caller["rbp"] = _read_word(registers["rbp"] + row.bp_offset)
        return caller
    # "Partial" registers begin with the instruction pointer.
    regs = cfa if row.kind == _REGS else cfa - _REGS_RIP
    if _read_word(regs + _REGS_CS) & 3:  # it came from user space
        return {"rip": 0, "rsp": regs + _REGS_END, "rbp": 0}
    return {
        "rip": _read_word(regs + _REGS_RIP),
        "rsp": _read_word(regs + _REGS_RSP),
        "rbp": _read_word(regs + _REGS_RBP) if row.kind == _REGS else registers["rbp"],
    }


def _find_start(pc: int) -> int:
    """Return where the function at ``pc`` begins: by that gdb knows a frame again."""
    offset = _OFFSET.match(gdb.execute(f"info symbol {pc:#x}", to_string=True))
    return pc - int(offset[1]) if offset else pc


def _read_old_kind(bits: int) -> int:
    """Before 6.4: two bits of type, then one for the end of the stack."""
    return _STOP if bits & 4 else bits & 3


def _address(symbol: str) -> int:
    return int(gdb.parse_and_eval(f"(unsigned long)&{symbol}"))


def _read(address: int, size: int) -> bytes:
    return bytes(gdb.selected_inferior().read_memory(address, size))


def _read_word(address: int) -> int:
    word: int = _WORD.unpack(_read(address & _WORD_MASK, _WORD.size))[0]
    return word


register_unwinder(None, _Orc(), replace=True)
