from collections.abc import Mapping
from pathlib import Path

import pytest

from testbed.core.kconfig import Option, parse_fragment
from testbed.core.outline import Point, format_point
from testbed.host.kconfig_explain import Explainer, find_near_names, find_symbol
from testbed.host.kconfig_load import Kconfig, choose_arch, configure
from testbed.host.kconfig_solve import propose

KCONFIG = """\
mainmenu "Toy"

config MODULES
	bool "Modules"
	modules

config SMP
	bool "Processors"

config NUMA
	bool "Nodes"
	depends on SMP

config MIGRATION
	bool "Page migration"
	default y
	depends on NUMA || COMPACTION

config COMPACTION
	bool "Compaction"
	select MIGRATION
	depends on !TINY

config TINY
	bool "Tiny"

config HOTREMOVE
	bool "Hot remove"
	depends on MIGRATION && HOTPLUG

config HOTPLUG
	bool

config ACPI
	bool "ACPI"
	depends on SMP
	select HOTPLUG

config DEVICE
	tristate "A device"
	depends on m

choice
	prompt "Checker"
	depends on NUMA

config CHECK_FAST
	bool "Fast"

config CHECK_FULL
	bool "Full"

endchoice

config SHIFT
	int "Shift"
	range 1 10
	default 6
	depends on NUMA

config WIDE
	bool "Wide"
	depends on SHIFT > 8

config HIDDEN
	bool "Hidden" if EXPERT
	default y if SMP

config EXPERT
	bool "Expert"

config NEVER
	bool
	depends on SMP

config UNREACHABLE
	bool "Unreachable"
	depends on NEVER

config OFFERED
	bool "Offered"
	depends on MISSING

config NEWCOMER
	bool "Newcomer"
	depends on SMP
"""
CHOICE = 'one of the choice "Checker", Kconfig:43, which has taken'
UNASKED = "nothing asks for it, and tinyconfig turns off what nothing asks for"


class Toy:
    """A configured toy; no process is run for it."""

    def __init__(self, folder: Path) -> None:
        (folder / "Kconfig").write_text(KCONFIG)
        self.src = folder
        self.kconfig = Kconfig("Kconfig", warn=False)  # relative: found by srctree
        self.asked: dict[str, Option] = {}

    def set(self, text: str) -> str:
        self.asked = {option.name: option for option in parse_fragment(text, name="frag")}
        return configure(self.kconfig, self.src, self.asked.values())

    def explain(self, name: str) -> list[str]:
        points = Explainer(self.kconfig, self.asked).explain(self.kconfig.syms[name])
        return [line.strip() for point in points for line in format_point(point, width=200)]

    def propose(self, name: str) -> Mapping[str, str] | None:
        asked = {option.name: option.value for option in self.asked.values()}
        return propose(self.kconfig.syms[name], asked=asked)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    monkeypatch.setenv("srctree", str(tmp_path))
    return Toy(tmp_path)


def test_a_configuration_starts_from_nothing_and_has_what_follows_from_the_options(
    toy: Toy,
) -> None:
    config = toy.set("CONFIG_SMP=y\nCONFIG_NUMA=y\nCONFIG_ACPI=y\n").splitlines()

    # MIGRATION could not be asked for in tinyconfig: make, too, gives it its default now.
    on = {"CONFIG_SMP=y", "CONFIG_NUMA=y", "CONFIG_MIGRATION=y", "CONFIG_HOTPLUG=y"}
    assert on <= set(config)
    assert "# CONFIG_TINY is not set" in config
    assert "CONFIG_SHIFT=6" in config


def test_a_second_configuration_knows_nothing_of_the_first(toy: Toy) -> None:
    first = toy.set("CONFIG_SMP=y\n")
    toy.set("CONFIG_SMP=y\nCONFIG_NUMA=y\nCONFIG_CHECK_FULL=y\nCONFIG_SHIFT=3\n")

    assert toy.set("CONFIG_SMP=y\n") == first


@pytest.mark.parametrize(
    ("fragment", "option", "line"),
    [
        ("CONFIG_SMP=y", "SMP", "frag:1 asks for it"),
        ("# CONFIG_SMP is not set", "SMP", "frag:1 turns it off"),
        ("", "SMP", UNASKED),
        ("CONFIG_SMP=y", "NEWCOMER", "nothing asks for it, and its default is n"),
        ("", "NUMA", "its dependencies are not met"),
        ("CONFIG_NUMA=y", "NUMA", "frag:1 asks for it in vain: its dependencies are not met"),
        ("CONFIG_SMP=y\nCONFIG_ACPI=y", "HOTPLUG", "selected by (ACPI && SMP) [=y]"),
        (
            "CONFIG_SMP=y\nCONFIG_ACPI=y\nCONFIG_HOTPLUG=y",
            "HOTPLUG",
            "frag:3 asks for it; it is selected by (ACPI && SMP) [=y] too",
        ),
        (
            "CONFIG_COMPACTION=y\n# CONFIG_MIGRATION is not set",
            "MIGRATION",
            "frag:2 turns it off in vain: selected by (COMPACTION && !TINY) [=y]",
        ),
        (
            "CONFIG_SMP=y\nCONFIG_NUMA=y",
            "MIGRATION",
            "default y, Kconfig:14",
        ),
        ("CONFIG_SMP=y", "HIDDEN", "default y if SMP [=y], Kconfig:65"),
        ("", "HIDDEN", "its prompt is not shown, and its default is n"),
        ("", "HOTPLUG", "it has no prompt, and nothing that would set it is on"),
        ("CONFIG_SMP=y", "NEVER", "nothing sets it on this architecture"),
        (
            "CONFIG_SMP=y\nCONFIG_NUMA=y",
            "CHECK_FULL",
            f"{CHOICE} CHECK_FAST",
        ),
        (
            "CONFIG_SMP=y\nCONFIG_NUMA=y\nCONFIG_CHECK_FULL=y",
            "CHECK_FAST",
            f"{CHOICE} CHECK_FULL (frag:3 asks for it)",
        ),
        ("", "CHECK_FULL", 'its choice is shut: "Checker", Kconfig:43'),
        ("CONFIG_SMP=y\nCONFIG_NUMA=y", "SHIFT", "its range is 1 to 10"),
        ("CONFIG_SMP=y\nCONFIG_NUMA=y\nCONFIG_SHIFT=99", "SHIFT", "frag:3 asks for 99 in vain"),
        ("CONFIG_SMP=y\nCONFIG_NUMA=y\nCONFIG_SHIFT=3", "SHIFT", "frag:3 asks for it"),
        ("CONFIG_SHIFT=3", "SHIFT", "frag:1 asks for 3 in vain: its dependencies are not met"),
        ("CONFIG_SMP=y\nCONFIG_NUMA=y", "WIDE", "(SHIFT > 8) [=n], SHIFT is 6"),
        ("CONFIG_TINY=y", "COMPACTION", "not TINY [=y] Kconfig:24: frag:1 asks for it"),
        ("", "OFFERED", "MISSING [=n]: this tree does not define it"),
        ("", "MIGRATION", "would be selected by (COMPACTION && !TINY) [=n]"),
    ],
)
def test_each_reason_has_its_words(toy: Toy, fragment: str, option: str, line: str) -> None:
    toy.set(fragment)

    assert line in toy.explain(option)


def test_a_dependency_is_followed_to_the_bottom_and_told_once(toy: Toy) -> None:
    toy.set("# CONFIG_SMP is not set\n")

    assert toy.explain("HOTREMOVE") == [
        'bool "Hot remove", Kconfig:27',
        "its dependencies are not met",
        "MIGRATION [=n] Kconfig:14: its dependencies are not met",
        "one of these",
        "NUMA [=n] Kconfig:10: its dependencies are not met",
        "SMP [=n] Kconfig:7: frag:1 turns it off",
        f"COMPACTION [=n] Kconfig:19: {UNASKED}",
        "HOTPLUG [=n] Kconfig:31: it has no prompt, and nothing that would set it is on",
        "selected by (ACPI && SMP) [=n]",
    ]


@pytest.mark.parametrize(
    ("fragment", "option", "wishes"),
    [
        ("CONFIG_SMP=y", "NUMA", {"NUMA": "y"}),
        ("", "NUMA", {"NUMA": "y", "SMP": "y"}),
        ("", "MIGRATION", {"MIGRATION": "y", "COMPACTION": "y"}),
        ("CONFIG_SMP=y", "HOTPLUG", {"ACPI": "y"}),
        ("CONFIG_TINY=y", "COMPACTION", {"COMPACTION": "y", "TINY": "n"}),
        ("CONFIG_SMP=y", "CHECK_FULL", {"CHECK_FULL": "y", "NUMA": "y"}),
        ("", "HIDDEN", {"SMP": "y"}),
        ("", "DEVICE", {"DEVICE": "y", "MODULES": "y"}),
        ("CONFIG_SMP=y", "UNREACHABLE", None),
        ("CONFIG_SMP=y\nCONFIG_NUMA=y", "WIDE", None),
        ("", "OFFERED", None),
    ],
)
def test_what_would_set_an_option_is_found(
    toy: Toy, fragment: str, option: str, wishes: Mapping[str, str] | None
) -> None:
    toy.set(fragment)

    assert toy.propose(option) == wishes


def test_a_way_that_contradicts_a_fragment_is_the_last_to_be_taken(toy: Toy) -> None:
    toy.set("# CONFIG_COMPACTION is not set\n")

    assert toy.propose("MIGRATION") == {"MIGRATION": "y", "NUMA": "y", "SMP": "y"}


def test_a_name_is_found_in_lower_case_and_a_wrong_one_has_neighbours(toy: Toy) -> None:
    found = find_symbol(toy.kconfig, "numa")

    assert found is not None
    assert found.name == "NUMA"
    assert find_symbol(toy.kconfig, "MISSING") is None
    assert find_near_names(toy.kconfig, "MIGRATON") == ("MIGRATION",)
    assert find_near_names(toy.kconfig, "ZZZZ") == ()


def test_64bit_off_needs_another_arch() -> None:
    assert choose_arch(parse_fragment("# CONFIG_64BIT is not set\n", name="x")) == "i386"
    assert choose_arch(parse_fragment("CONFIG_64BIT=y\n", name="x")) == "x86_64"


def test_points_are_indented_wrapped_and_cleaned() -> None:
    point = Point(
        text="head \x1b[31mred",
        points=(
            Point(text="word " * 12, points=(Point(text="deep"),)),
            Point(text="a" * 70),
        ),
    )

    assert format_point(point, width=50) == (
        "head red",
        "  word word word word word word word word word",
        "      word word word",
        "    deep",
        "  " + "a" * 70,
    )
