import pytest

from testbed.core.kconfig import (
    Unmet,
    find_unmet,
    format_options,
    hash_options,
    merge_fragments,
    parse_fragment,
    read_values,
)
from testbed.errors import KconfigError
from testbed.host.project import data_dir

FRAGMENT = """\
# numa: what it is for.

CONFIG_NUMA=y
CONFIG_NODES_SHIFT=6
CONFIG_LOCALVERSION="-a # \\"b\\""
# CONFIG_EXPERT is not set
CONFIG_MEMCG_V1=y  # since 6.11
# CONFIG_EMBEDDED is not set  # before 6.6
"""


def test_all_forms_of_an_option_are_read() -> None:
    options = parse_fragment(FRAGMENT, name="numa")

    assert [(o.name, o.value, o.line, o.since, o.before) for o in options] == [
        ("NUMA", "y", 3, None, None),
        ("NODES_SHIFT", "6", 4, None, None),
        ("LOCALVERSION", '"-a # \\"b\\""', 5, None, None),
        ("EXPERT", "n", 6, None, None),
        ("MEMCG_V1", "y", 7, (6, 11), None),
        ("EMBEDDED", "n", 8, None, (6, 6)),
    ]


def test_what_is_read_is_written_the_same() -> None:
    merged = merge_fragments([("numa", FRAGMENT)], version=(6, 12))

    assert format_options(merged.options) == (
        "# CONFIG_EXPERT is not set\n"
        'CONFIG_LOCALVERSION="-a # \\"b\\""\n'
        "CONFIG_MEMCG_V1=y\n"
        "CONFIG_NODES_SHIFT=6\n"
        "CONFIG_NUMA=y\n"
    )


@pytest.mark.parametrize(
    ("version", "names"),
    [
        ((6, 1), {"EMBEDDED"}),
        ((6, 6), set()),
        ((6, 10), set()),
        ((6, 11), {"MEMCG_V1"}),
        ((7, 0), {"MEMCG_V1"}),
    ],
)
def test_bounds_keep_an_option_to_its_releases(version: tuple[int, int], names: set[str]) -> None:
    merged = merge_fragments([("numa", FRAGMENT)], version=version)

    assert {option.name for option in merged.options} & {"EMBEDDED", "MEMCG_V1"} == names


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("CONFIG_NUMA", "'CONFIG_NUMA' is no option"),
        ("CONFIG_NUMA = y", "'CONFIG_NUMA = y' is no option"),
        ("CONFIG_NUMA=", "'CONFIG_NUMA=' is no option"),
        ("NUMA=y", "'NUMA=y' is no option"),
        (
            "#CONFIG_NUMA is not set",
            "is no option: write CONFIG_X=value or `# CONFIG_X is not set`",
        ),
        ("# CONFIG_NUMA=y", "is no option"),
        ("CONFIG_NUMA=y # because", "'# because' after the option"),
        ("CONFIG_NUMA=y # since 6", "'# since 6' after the option"),
        ("CONFIG_NUMA=y z", "'z' after the option"),
        ("# CONFIG_NUMA is not set any more", "'any more' after the option"),
    ],
)
def test_a_line_that_is_neither_option_nor_comment_is_refused(line: str, message: str) -> None:
    with pytest.raises(KconfigError) as caught:
        parse_fragment(f"# top\n{line}\n", name="mine")

    assert str(caught.value).startswith("mine:2: ")
    assert message in str(caught.value)


def test_a_fragment_that_contradicts_itself_is_refused() -> None:
    text = "CONFIG_NUMA=y\n\n# CONFIG_NUMA is not set\n"
    message = r"^mine:3: CONFIG_NUMA=n contradicts line 1, CONFIG_NUMA=y$"

    with pytest.raises(KconfigError, match=message):
        parse_fragment(text, name="mine")


def test_values_for_different_releases_are_no_contradiction() -> None:
    text = "CONFIG_X=4  # before 6.6\nCONFIG_X=5  # since 6.6\n"

    assert len(parse_fragment(text, name="mine")) == 2
    for version, value in (((6, 5), "4"), ((6, 6), "5")):
        (option,) = merge_fragments([("mine", text)], version=version).options
        assert option.value == value


def test_the_later_fragment_wins_and_is_reported() -> None:
    fragments = [("a", "CONFIG_X=y\nCONFIG_Y=y\n"), ("b", "CONFIG_Y=y\n# CONFIG_X is not set\n")]

    merged = merge_fragments(fragments, version=(6, 12))

    assert [(o.name, o.value) for o in merged.options] == [("X", "n"), ("Y", "y")]
    (conflict,) = merged.conflicts
    assert (conflict.earlier.fragment, conflict.earlier.value) == ("a", "y")
    assert (conflict.later.fragment, conflict.later.line, conflict.later.value) == ("b", 2, "n")


def test_the_hash_is_of_what_is_asked_for() -> None:
    def hash_text(text: str) -> str:
        return hash_options(parse_fragment(text, name="x"))

    assert hash_text("CONFIG_A=y\nCONFIG_B=y\n") == hash_text("# why\nCONFIG_B=y\nCONFIG_A=y\n")
    assert hash_text("CONFIG_A=y\n") != hash_text("# CONFIG_A is not set\n")


def test_what_did_not_land_is_found() -> None:
    requested = parse_fragment(
        "CONFIG_A=y\nCONFIG_B=y\n# CONFIG_C is not set\n# CONFIG_D is not set\n"
        '# CONFIG_E is not set\nCONFIG_F="x"\nCONFIG_G=0x10\nCONFIG_H=y\n',
        name="x",
    )
    config = (
        "CONFIG_A=y\nCONFIG_C=y\n# CONFIG_D is not set\n"
        'CONFIG_F="x"\nCONFIG_G=0x20\nCONFIG_HH=y\nCONFIG_H=m\n'
    )

    assert find_unmet(requested, config) == (
        Unmet(option="B", wanted="y", got=None),
        Unmet(option="C", wanted="n", got="y"),
        Unmet(option="G", wanted="0x10", got="0x20"),
        Unmet(option="H", wanted="y", got="m"),
    )


def test_the_projects_fragments_are_sound_and_agree() -> None:
    fragments = [
        (path.stem, path.read_text()) for path in sorted((data_dir() / "kconfigs").glob("*.config"))
    ]
    additive = [one for one in fragments if not one[0].startswith("no-") and one[0] != "32bit"]

    for version in ((6, 1), (6, 12)):
        merged = merge_fragments(additive, version=version)
        assert merged.conflicts == ()
        assert {"NUMA", "MEMORY_HOTREMOVE", "CPUSETS"} <= {o.name for o in merged.options}
    for name, text in fragments:
        assert text.startswith(f"# {name}: "), f"{name} does not say what it is for"


def test_the_values_of_a_config_are_read_without_those_not_set() -> None:
    lines = [
        "#",
        "# Automatically generated",
        "CONFIG_A=y",
        "# CONFIG_B is not set",
        "",
        'CONFIG_C=""',
    ]

    assert read_values(lines) == {"A": "y", "C": '""'}
