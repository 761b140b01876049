"""What the kernel prints when it breaks: tables of first lines, and of frames that tell nothing.

The titles are those that syzbot gives, as far as it knows the report; the formats are those of
6.12 (6.1 has "general protection fault" and the other traps without "Oops: ").
"""

import re
from dataclasses import dataclass
from typing import Final

SYMBOL: Final = r"(?P<function>[A-Za-z_][\w.]*)\+0x[0-9a-f]+"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """The first line of a report.

    ``title`` is a format of the groups of ``regex``; `` in <function>`` is added to it where
    ``names_function``. ``kind`` goes into :class:`testbed.core.result.Crash`.
    """

    regex: re.Pattern[str]
    kind: str
    title: str
    names_function: bool = True
    has_trace: bool = True
    needs_stamp: bool = False


def _make(
    regex: str,
    kind: str,
    title: str,
    *,
    names_function: bool = True,
    has_trace: bool = True,
    needs_stamp: bool = False,
) -> Pattern:
    return Pattern(
        regex=re.compile(regex),
        kind=kind,
        title=title,
        names_function=names_function,
        has_trace=has_trace,
        needs_stamp=needs_stamp,
    )


_TRAP: Final = r"(?:Oops: )?"
_OOPS_END: Final = r": [0-9a-f]{4} \[#\d+\]"
_AT: Final = rf"(?: in {SYMBOL})?"

# The first that matches counts.
PATTERNS: Final = (
    # Memory checkers: mm/kasan/report.c, mm/kfence/report.c, mm/kmsan/report.c,
    # kernel/kcsan/report.c, lib/ubsan.c, mm/slub.c, mm/page_poison.c, mm/usercopy.c
    _make(rf"BUG: KASAN: (?P<what>[\w-]+){_AT}", "kasan", "KASAN: {what}{access}"),
    _make(rf"BUG: KFENCE: (?P<what>[\w-]+(?: \w+)?){_AT}", "kfence", "KFENCE: {what}"),
    _make(rf"BUG: KMSAN: (?P<what>[\w-]+){_AT}", "kmsan", "KMSAN: {what}"),
    _make(r"BUG: KCSAN: (?P<what>[\w-]+) in (?P<function>\w+)", "kcsan", "KCSAN: {what}"),
    _make(r"UBSAN: (?P<what>[\w -]+) in \S+:\d+:\d+", "ubsan", "UBSAN: {what}"),
    _make(r"BUG (?P<cache>\S+) \([^)]*\): (?P<what>[\w -]+)", "slub", "SLUB: {what} ({cache})"),
    _make(
        r"pagealloc: (?P<what>memory corruption|single bit error)",
        "page_poison",
        "pagealloc: {what}",
    ),
    _make(
        r"usercopy: Kernel memory (?:exposure|overwrite) attempt detected ",
        "bug",
        "BUG: bad usercopy",
    ),
    # Traps: arch/x86/mm/fault.c, arch/x86/kernel/traps.c, arch/x86/kernel/dumpstack.c
    _make(
        r"BUG: (?:unable to handle )?kernel NULL pointer dereference",
        "oops",
        "BUG: unable to handle kernel NULL pointer dereference",
    ),
    _make(
        r"BUG: unable to handle (?:page fault|kernel paging request)",
        "oops",
        "BUG: unable to handle kernel paging request",
    ),
    _make(rf"{_TRAP}general protection fault\b", "oops", "general protection fault"),
    _make(rf"{_TRAP}divide error{_OOPS_END}", "oops", "divide error"),
    _make(r"kernel BUG at ", "bug", "kernel BUG"),
    _make(rf"{_TRAP}invalid opcode{_OOPS_END}", "oops", "invalid opcode"),
    _make(
        rf"(?:traps: )?PANIC: double fault|{_TRAP}double fault{_OOPS_END}", "oops", "double fault"
    ),
    _make(
        rf"BUG: (?:\w+ )?stack guard page was hit|{_TRAP}stack guard page{_OOPS_END}",
        "oops",
        "BUG: stack guard page was hit",
    ),
    _make(rf"Oops: (?!Oops:)(?P<what>[\w #/,-]+?){_OOPS_END}", "oops", "Oops: {what}"),
    _make(rf"(?:Oops|int3|stack segment|segment not present){_OOPS_END}", "oops", "Oops"),
    _make(r"Oops: Oops: ", "oops", "Oops"),
    _make(
        r"PANIC: early exception (?P<what>0x\w+)",
        "panic",
        "early exception {what}",
        names_function=False,
        has_trace=False,
    ),
    _make(r"unchecked MSR access error: ", "warning", "unchecked MSR access error"),
    # Corruption that is found by checks: lib/list_debug.c, mm/page_alloc.c, mm/memory.c,
    # mm/filemap.c, kernel/fork.c, lib/refcount.c
    _make(r"list_(?:add|del) (?:corruption|double add)", "bug", "list corruption"),
    _make(r"refcount_t: ", "warning", "WARNING: refcount bug"),
    _make(r"BUG: Bad page state in process ", "bug", "BUG: bad page state"),
    _make(r"BUG: Bad page map in process ", "bug", "BUG: bad page map"),
    _make(r"BUG: Bad page cache in process ", "bug", "BUG: bad page cache"),
    _make(
        r"BUG: Bad rss-counter state mm:\S+ type:(?P<what>\w+)",
        "bug",
        "BUG: bad rss-counter state of {what}",
        names_function=False,
        has_trace=False,
    ),
    _make(
        r"BUG: non-zero pgtables_bytes on freeing mm",
        "bug",
        "BUG: non-zero pgtables_bytes on freeing mm",
        names_function=False,
        has_trace=False,
    ),
    # kernel/panic.c; 6.18 puts the CPU and the task at the end of the line
    _make(
        rf"WARNING: (?:CPU: \d+ PID: \d+ )?(?:\S+:\d+ )?at (?:\S+:\d+ )?{SYMBOL}",
        "warning",
        "WARNING",
    ),
    # Locking: kernel/locking/lockdep.c, kernel/locking/spinlock_debug.c, kernel/sched/core.c
    _make(
        r"WARNING: possible (?:circular|recursive) locking|WARNING: possible irq lock inversion"
        r"|WARNING: \S+-safe -> \S+-unsafe lock order",
        "lockdep",
        "possible deadlock",
    ),
    _make(r"WARNING: inconsistent lock state", "lockdep", "inconsistent lock state"),
    _make(
        r"WARNING: (?P<what>bad unlock balance|held lock freed|bad contention"
        r"|Nested lock was not taken|suspicious RCU usage)",
        "lockdep",
        "WARNING: {what}",
    ),
    _make(
        r"WARNING: lock held when returning to user space",
        "lockdep",
        "WARNING: lock held when returning to user space",
        names_function=False,
        has_trace=False,
    ),
    _make(r"WARNING: .+/\d+ still has locks held!", "lockdep", "WARNING: still has locks held"),
    _make(r"\[ BUG: Invalid wait context \]", "lockdep", "BUG: invalid wait context"),
    _make(
        r"INFO: trying to register non-static key",
        "lockdep",
        "INFO: trying to register non-static key",
    ),
    _make(
        r"BUG: sleeping function called from invalid context",
        "bug",
        "BUG: sleeping function called from invalid context",
    ),
    _make(r"BUG: scheduling while atomic: ", "bug", "BUG: scheduling while atomic"),
    _make(
        r"BUG: using (?P<what>\S+) in preemptible", "bug", "BUG: using {what} in preemptible code"
    ),
    _make(
        r"BUG: (?P<lock>spinlock|rwlock) (?P<what>[\w -]+?) on CPU#", "bug", "BUG: {lock} {what}"
    ),
    # Watchdogs: kernel/watchdog.c, kernel/hung_task.c, kernel/rcu/tree_stall.h, tree_exp.h
    _make(r"(?:watchdog: )?BUG: soft lockup - CPU#", "lockup", "BUG: soft lockup"),
    _make(r"(?:NMI )?watchdog: Watchdog detected hard LOCKUP", "lockup", "BUG: hard lockup"),
    _make(
        r"INFO: task .+:\d+ blocked (?:in I/O wait )?for more than ", "hung_task", "INFO: task hung"
    ),
    _make(
        r"(?:rcu: )?INFO: \S+ (?:self-)?detected (?:expedited )?stalls?\b",
        "rcu_stall",
        "INFO: rcu detected stall",
    ),
    _make(
        r"BUG: workqueue lockup",
        "lockup",
        "BUG: workqueue lockup",
        names_function=False,
        has_trace=False,
    ),
    # What the tables do not know, but the kernel calls a bug. User space says that too.
    _make(
        r"BUG: (?!Bad page \w+: \d+ messages suppressed|MAX_)(?P<what>.{3,})",
        "bug",
        "BUG: {what}",
        names_function=False,
        needs_stamp=True,
    ),
)

# A line without any of these is no first line of a report: most lines need no further look.
HINT: Final = re.compile(
    r"BUG|WARNING: |INFO: |SAN: |Oops|PANIC|panic|fault|error|LOCKUP|refcount_t|list_"
    r"|int3|opcode|segment|oom-killer|ut of memory|pagealloc|usercopy"
)

PANIC: Final = re.compile(r"Kernel panic - not syncing: (?P<what>.*)")
OOM_START: Final = re.compile(r".+ invoked oom-killer: ")
# __oom_kill_process(), mm/oom_kill.c. A memory cgroup's OOM is its limit's doing.
OOM_KILL: Final = re.compile(
    r"(?P<memcg>Memory cgroup o|O)ut of memory(?: \(\w+\))?"
    r": Killed process \d+ \((?P<victim>.*?)\) "
)
OOM_PANIC: Final = re.compile(r"System is deadlocked on memory|Out of memory: ")

# Panics that only follow up on a report: the oops, the warning or the lockup is what went wrong.
AFTERMATH: Final = re.compile(
    r"Fatal exception|.*panic_on_warn set|softlockup: hung tasks|Hard LOCKUP"
    r"|hung_task: blocked tasks|RCU Stall|Aiee, killing interrupt handler!"
    r"|Attempted to kill the idle task!|Oopsed too often|Oops failed to kill thread"
)
# init dies of an oops of its own, and after a mere warning for reasons of its own.
INIT_DIED: Final = re.compile(r"Attempted to kill init!")
FATAL_KINDS: Final = frozenset({"oops", "bug", "kasan"})
# Printed again and again while the same thing goes on.
REPEATING_KINDS: Final = frozenset({"lockup", "hung_task", "rcu_stall"})

# Texts that differ between two runs of the same crash, and what they become in a title.
NOISE: Final = (
    (re.compile(r"\+0x[0-9a-f]+/0x[0-9a-f]+"), ""),
    (re.compile(r"\(____ptrval____\)|\b(?:0x)?[0-9a-f]{12,16}\b"), "ADDR"),
    (re.compile(r"\b(?P<task>[\w/:.-]+)\[\d+\]"), r"\g<task>"),
    (re.compile(r"\b(?P<task>[\w.-]+)/\d+\b"), r"\g<task>"),
    (re.compile(r"\b(?P<what>[Cc][Pp][Uu])[ #:]*\d+"), r"\g<what>"),
    (re.compile(r"\b(?P<what>pid|PID)[ :=]*\d+"), r"\g<what>"),
    (re.compile(r"\b(?P<what>pfn|pfn:|mm:|pte:|pmd:)\s*[0-9a-f]+\b"), r"\g<what>"),
    (re.compile(r"(?<=No working init found\.).*"), ""),
    (re.compile(r"\s+"), " "),
)

# Frames of the reporting itself; they are dropped from the inner end of a trace.
MACHINERY: Final = re.compile(
    r"""
    dump_stack(_lvl)? | show_(stack|regs|trace)\w* | dump_header | dump_page | dump_cpu_task
    | nmi_\w*backtrace\w* | \w*trigger_\w*backtrace\w* | sched_show_task | watchdog\w*
    | panic | vpanic | nmi_panic | check_panic_on_warn | __warn\w* | warn_slowpath\w*
    | report_bug\w* | handle_bug | fixup_bug | (asm_)?exc_\w+ | do_error_trap | do_trap
    | (__)?die\w* | oops_end | page_fault_oops | (__)?bad_area\w* | kernelmode_fixup_or_oops
    | (__)?kasan_\w+ | __asan_\w+ | print_(report|address_description\w*) | end_report
    | kfence_\w+ | (__)?kmsan_\w+ | __msan_\w+ | kcsan_\w+ | __tsan_\w+ | (__)?ubsan_\w+
    | lockdep_rcu_suspicious | print_(circular|deadlock|usage|irq_inversion|bad_irq)_\w+
    | print_unlock_imbalance_bug\w* | print_freed_lock_bug | print_lock_invalid_wait_context
    | print_held_locks_bug | check_(noncircular|prevs?_add|deadlock|irq_usage|wait_context)
    | validate_chain | mark_lock\w* | mark_usage | __lock_(acquire|release) | lock_(acquire|release)
    | register_lock_class | assign_lock_key | spin_(bug|dump) | rcu_dump_cpu_stacks
    | __might_(resched|sleep|fault) | __schedule_bug | check_preemption_disabled
    | rcu_sched_clock_irq | __?debug_smp_processor_id | bad_page | print_bad_pte | print_cpu_stall
    | (__)?list_(add|del_entry)_valid\w* | refcount_warn_saturate
    | usercopy_abort | __check_(heap_object|object_size) | (__)?fortify_(panic|report)
    | __kernel_unpoison_pages | object_err | slab_(err|bug|pad_check) | print_(trailer|tracking)
    | check_(object|bytes_and_report)
    """,
    re.VERBOSE,
)
# Frames that every caller shares: kept in the trace, but a title names who called them.
PRIMITIVES: Final = re.compile(
    r"""
    mem(cpy|set|move|cmp)\w* | __mem\w+ | str(n?len|n?cpy|n?cmp|scpy)\w* | rep_\w+
    | _?copy_(to|from)_user\w* | k[vz]?free\w* | __?k[vz]?malloc\w* | kmem_cache_\w+
    | _{0,3}slab_\w+ | free_to_partial_list | \w+_debug_processing | do_slab_free | get_partial\w*
    | refcount_\w+ | kref_\w+ | free_page_is_bad | free_unref_\w+
    | _{0,2}(raw_)?(spin|read|write)_(un|try)?lock\w* | (__)?mutex_(un)?lock\w*
    | (down|up)_(read|write)\w* | rwsem_\w+ | rt_mutex_\w+ | list_\w+ | find_\w+_bit | native_\w+
    | (__)?schedule\w* | preempt_schedule\w* | __cond_resched
    """,
    re.VERBOSE,
)
# Where a task that hangs sleeps; whoever made it wait is farther out.
_WAITS: Final = re.compile(
    r"io_schedule\w* | \w*wait\w* | \w*_lock\w* | \w*completion\w* | \w*msleep\w*", re.VERBOSE
)
# A page that was written to while it was free is found out by whoever is given it next.
_ALLOCATION: Final = re.compile(
    r"post_alloc_hook | prep_new_page | get_page_from_freelist | \w*alloc_pages\w*"
    r" | (__)?get_free_pages\w* | \w*folio_alloc\w* | \w*alloc_folio\w*",
    re.VERBOSE,
)
SKIPPED_BY_KIND: Final = {"hung_task": (_WAITS,), "page_poison": (_ALLOCATION,)}
