"""The stages of a check that compile single objects: warnings, options, variants, sparse."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from testbed.core.build_log import find_first_error
from testbed.core.check import (
    FindingKind,
    VariantCheck,
    changes_code,
    choose_spread,
    list_included,
    list_sources,
    name_object,
)
from testbed.core.compiler_warnings import CompilerMessage, find_new, parse_messages
from testbed.core.kconfig import NOT_SET, parse_fragment
from testbed.core.patch_kconfig import find_added_options
from testbed.host.kbuild import identify_checker
from testbed.host.objects import ObjectOutcome
from testbed.pipeline.check_bench import W1, Bench, Draft, Variant, attribute

_CHECKER: Final = "sparse"
_SPARSE: Final = ("C=2", f"CHECK={_CHECKER}")
_ORDINARY: Final = "an ordinary build prints it too"
_MAX_TOLD: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What the compilers said of one state."""

    warnings: tuple[CompilerMessage, ...]
    errors: tuple[CompilerMessage, ...]

    @classmethod
    def read(cls, outcome: ObjectOutcome) -> "_Said":
        messages = parse_messages(outcome.lines)
        errors = tuple(one for one in messages if one.is_error)
        if outcome.returncode and not errors and (first := find_first_error(outcome.lines)):
            errors = (
                CompilerMessage(
                    file=first.file, line=first.line, message=first.message, flag="", is_error=True
                ),
            )
        return cls(warnings=tuple(one for one in messages if not one.is_error), errors=errors)


def check_warnings(bench: Bench, draft: Draft) -> None:
    """Compare the warnings after each patch with those before it, at W=1."""
    targets = choose_targets(bench, draft)
    if not targets:
        draft.note("warnings: the patches touch no file that is compiled")
        return
    base = bench.compile(0, targets)
    _tell_unbuilt(bench, draft, base)
    before, since = _Said.read(base), 0
    for number, patch in enumerate(bench.patches, start=1):
        if not changes_code(patch):
            draft.put(replace(draft.row(number), warnings=0))
            continue
        after = _Said.read(bench.compile(number, targets))
        if worse := find_new(before.errors, after.errors):
            draft.note(f"warnings: not compared after patch {number}, where {worse[0]}")
            continue
        new = find_new(before.warnings, after.warnings)
        draft.put(replace(draft.row(number), warnings=len(new)))
        _tell_warnings(bench, draft, new, targets=targets, number=number, since=since)
        before, since = after, number


def choose_targets(bench: Bench, draft: Draft) -> tuple[str, ...]:
    """Return the objects to compile: of touched files, and of some that include touched headers."""
    own = {name_object(name) for name in list_sources(bench.patches)}
    included = list_included(bench.patches)
    if not included:
        return tuple(sorted(own))
    found = bench.make_builder("base").find_dependents(bench.request_at(0), included)
    indirect = sorted({name for names in found.values() for name in names} - own)
    chosen = choose_spread(indirect, near=sorted(own), limit=bench.max_includers)
    if indirect:
        share = f"{len(chosen)} of " if len(chosen) < len(indirect) else ""
        draft.note(
            f"warnings: besides the touched files ({len(own)}), {share}{len(indirect)} that "
            "include one (header or not) are compiled"
        )
    return tuple(sorted([*own, *chosen]))


def _tell_unbuilt(bench: Bench, draft: Draft, base: ObjectOutcome) -> None:
    """Name the touched files that the plan's own configuration leaves out."""
    last = bench.compile(len(bench.patches), base_targets(bench))
    left_out = [name for name in base_targets(bench) if name not in (*last.built, *base.built)]
    if left_out and last.returncode == 0:
        shown = ", ".join(name.removesuffix(".o") + ".c" for name in left_out[:_MAX_TOLD])
        draft.note(f"not built with the plan's kconfig, and so not compiled: {shown}")


def base_targets(bench: Bench) -> tuple[str, ...]:
    """Return the objects of the touched files alone."""
    return tuple(name_object(name) for name in list_sources(bench.patches))


def _tell_warnings(
    bench: Bench,
    draft: Draft,
    new: Sequence[CompilerMessage],
    *,
    targets: Sequence[str],
    number: int,
    since: int,
) -> None:
    if not new:
        return
    named = {name_object(one.file) for one in new if one.file.endswith(".c")}
    is_plain = all(one.file.endswith(".c") and name_object(one.file) in targets for one in new)
    ordinary = bench.compile(number, sorted(named) if is_plain else targets, flags=())
    keys = {one.key for one in parse_messages(ordinary.lines)}
    for one in new:
        words = [_ORDINARY if one.key in keys else "at W=1"]
        if since != number - 1:
            words.append(f"compared with patch {since}" if since else "compared with the base")
        draft.find(FindingKind.WARNING, str(one), number=number, detail="; ".join(words))


def check_options(bench: Bench, draft: Draft) -> None:
    """Tell the options that a patch adds and that the kernel with all patches has not on."""
    added = {
        name: number
        for number, patch in enumerate(bench.patches, start=1)
        for name in find_added_options(patch)
    }
    if not added:
        return
    on = bench.compile(len(bench.patches), ()).options_on
    for name, number in added.items():
        if name not in on:
            draft.find(
                FindingKind.KCONFIG,
                f"CONFIG_{name} is added, and no fragment enables it: what it guards was not "
                "compiled",
                number=number,
                is_blocking=False,
            )


def check_variants(bench: Bench, draft: Draft) -> None:
    """Compile the touched files in other configurations, with the series and without."""
    targets = base_targets(bench)
    if not targets:
        draft.note("variants: the patches touch no file that is compiled")
        return
    known = _find_plain_news(bench, targets)
    for variant in bench.variants:
        bench.say(f"variant {variant.name}")
        _check_variant(bench, draft, variant, targets=targets, known=known)


def _find_plain_news(bench: Bench, targets: Sequence[str]) -> frozenset[tuple[str, str]]:
    """Return what the series brings in the plan's own configuration: it is told of already."""
    before, after = (_Said.read(bench.compile(count, targets)) for count in _ends(bench))
    news = (
        *find_new(before.errors, after.errors),
        *find_new(before.warnings, after.warnings),
    )
    return frozenset(one.key for one in news)


def _check_variant(
    bench: Bench,
    draft: Draft,
    variant: Variant,
    *,
    targets: Sequence[str],
    known: Collection[tuple[str, str]],
) -> None:
    first, last = (bench.compile(count, targets, variant=variant) for count in _ends(bench))
    for option in _find_defiant(variant, last.options_on):
        draft.note(f"{variant.name}: CONFIG_{option} stays on, whatever the fragment says")
    before, after = _Said.read(first), _Said.read(last)
    new = [
        one
        for one in (
            *find_new(before.errors, after.errors),
            *find_new(before.warnings, after.warnings),
        )
        if one.key not in known
    ]
    for one in new:
        what = "does not compile" if one.is_error else "a new warning"
        draft.find(
            FindingKind.VARIANT,
            f"{variant.name}: {what}: {one}",
            number=attribute(one, bench.patches),
        )
    told = len(before.errors) + len(before.warnings)
    draft.variants.append(
        VariantCheck(
            name=variant.name,
            files=len(last.built),
            not_built=tuple(
                f"{name.removesuffix('.o')}.c" for name in targets if name not in last.built
            )
            if last.built or last.returncode == 0
            else (),
            known=told,
            findings=len(new),
            trouble=_tell_trouble(first, before) if first.returncode and not first.built else "",
        )
    )


def _find_defiant(variant: Variant, options_on: Collection[str]) -> list[str]:
    """Return the options that the variant turns off and that are on nevertheless."""
    options = (
        option for name, text in variant.fragments for option in parse_fragment(text, name=name)
    )
    return sorted(one.name for one in options if one.value == NOT_SET and one.name in options_on)


def _tell_trouble(outcome: ObjectOutcome, said: _Said) -> str:
    """Return why nothing could be compiled on the base."""
    words = str(said.errors[0]) if said.errors else "; ".join(outcome.lines[-1:])
    return f"the base cannot be configured or prepared: {words}"


def check_sparse(bench: Bench, draft: Draft) -> None:
    """Run sparse on the touched files, with the series and without."""
    targets = base_targets(bench)
    checker = identify_checker(_CHECKER)
    if not checker:
        draft.note("sparse: not installed (`apt-get install sparse`), so not run")
        return
    if not targets:
        return
    before, after = (
        _of_sparse(bench.compile(count, targets, flags=_SPARSE, checker=checker))
        for count in _ends(bench)
    )
    compilers = {one.key for one in _of_compiler(bench, targets)}
    for one in find_new(before, after):
        if one.key not in compilers:
            draft.find(
                FindingKind.SPARSE,
                str(one),
                number=attribute(one, bench.patches),
                is_blocking=False,  # it is often wrong, about locks above all
            )


def _of_sparse(outcome: ObjectOutcome) -> tuple[CompilerMessage, ...]:
    """Return the messages that can be sparse's: it names no flag."""
    return tuple(one for one in parse_messages(outcome.lines) if not one.flag)


def _of_compiler(bench: Bench, targets: Sequence[str]) -> Iterable[CompilerMessage]:
    return parse_messages(bench.compile(len(bench.patches), targets, flags=W1).lines)


def _ends(bench: Bench) -> tuple[int, int]:
    return 0, len(bench.patches)
