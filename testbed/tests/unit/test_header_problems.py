import pytest

from testbed.core.patch_header import read_base_commit, read_header, read_tags
from testbed.core.series import find_header_problems, parse_patch

DIFF = "diff --git a/mm/x.c b/mm/x.c\n--- a/mm/x.c\n+++ b/mm/x.c\n@@ -1 +1 @@\n-a\n+b\n"
GOOD = f"""\
From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001
From: =?UTF-8?q?J=C3=B6rg=20Doe?= <J@example.org>
Date: Sat, 1 Jan 2000 00:00:00 +0000
Subject: [PATCH v2 1/3] mm/migrate: say why

Because nobody knows.

Fixes: 0123456789ab ("mm: a change (of sorts)")
Reviewed-by: R <r@example.org>
Signed-off-by: Jörg Doe <j@example.org>
---
 mm/x.c | 2 +-

{DIFF}-- \n2.39.5

"""


def find_problems(text: str) -> list[str]:
    return list(find_header_problems(parse_patch(text, filename="p")))


def test_a_good_header_has_no_problem() -> None:
    assert find_problems(GOOD) == []
    patch = parse_patch(GOOD, filename="p")
    assert patch.fixes == ('0123456789ab ("mm: a change (of sorts)")',)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("Subject: [PATCH v2 1/3] mm/migrate: say why\n", "", "no Subject: write `Subject: "),
        ("mm/migrate: say why", "", "no Subject: write `Subject: "),
        ("mm/migrate: say why", "Say why", "Subject 'Say why': begin it with the subsystem"),
        ("From: =?UTF-8?q?J=C3=B6rg=20Doe?= <J@example.org>\n", "", "no author: write `From: "),
        ("=?UTF-8?q?J=C3=B6rg=20Doe?= <J@example.org>", "joe", "From 'joe': write `From: Name"),
        ("Because nobody knows.\n\n", "", "no description: say why"),
        ("Signed-off-by: Jörg Doe <j@example.org>\n", "", "no Signed-off-by: `git commit "),
        (
            "Signed-off-by: Jörg Doe <j@example.org>",
            "Signed-off-by: Other <o@example.org>",
            "Signed-off-by is of Other <o@example.org>, not of the author, Jörg Doe <J@example.o",
        ),
        ("Sat, 1 Jan 2000 00:00:00 +0000", "yesterday", "Date 'yesterday' cannot be read: write"),
        ("Sat, 1 Jan 2000 00:00:00", "Sat, 41 Jan 2000 00:00:00", "Date 'Sat, 41 Jan 2000 "),
        (
            'Fixes: 0123456789ab ("mm: a change (of sorts)")',
            "Fixes: abc (foo)",
            "Fixes: tag 'abc (foo)': write Fixes: <12 digits of the commit> (\"<subject>\")",
        ),
        ("Fixes: 0123456789ab", "Fixes: 0123456789a", "Fixes: tag '0123456789a (\"mm: "),
        ("Fixes: 0123456789ab", "Fixes: 0123456789xy", "Fixes: tag '0123456789xy (\"mm: "),
        ("Fixes: 0123456789ab", "fixes: commit 0123456789ab", "Fixes: tag 'commit 0123456789ab "),
        ("(of sorts)", "\n  (of sorts)", "Fixes: tag '0123456789ab (\"mm: a change': write"),
    ],
)
def test_what_is_sent_back_at_sight_is_one_line(old: str, new: str, problem: str) -> None:
    assert GOOD.count(old) == 1

    (line,) = find_problems(GOOD.replace(old, new))

    assert line.startswith(problem)
    assert "\n" not in line


@pytest.mark.parametrize(
    "title",
    [
        "mm: x",
        "mm, oom: x",
        "x86/mm: x",
        "net: phy: x",
        "drm/i915/gt: x",
        "perf tools: x",
        "dt-bindings: x",
        "tools/testing/selftests: x",
        'Revert "mm: x"',
    ],
)
def test_a_subsystem_is_known(title: str) -> None:
    assert find_problems(GOOD.replace("mm/migrate: say why", title)) == []


def test_another_address_of_the_author_signs_too() -> None:
    assert find_problems(GOOD.replace("<j@example.org>", "<j@elsewhere.example>")) == []


def test_a_bare_diff_lacks_all_of_it() -> None:
    patch = parse_patch(DIFF, filename="p.diff")

    assert (patch.subject, patch.author, patch.header) == ("p.diff", "", "")
    assert [line.split(":")[0] for line in find_header_problems(patch)] == [
        "no Subject",
        "no author",
        "no description",
        "no Signed-off-by",
    ]


def test_prose_before_a_diff_is_no_mail() -> None:
    patch = parse_patch(f"Just a few words.\nSubject: of a kind\n\n{DIFF}", filename="p")

    assert (patch.subject, patch.author) == ("p", "")


def test_a_from_in_the_message_is_the_author() -> None:
    text = GOOD.replace("\nBecause", "\nFrom: Real <real@example.org>\n\nBecause")

    assert parse_patch(text, filename="p").author == "Real <real@example.org>"
    assert find_problems(text)[0].startswith("Signed-off-by is of Jörg Doe")


def test_what_would_upset_a_terminal_is_taken_out() -> None:
    text = GOOD.replace("say why", "=?UTF-8?q?say=1B[2J_why=0A?=")

    assert parse_patch(text, filename="p").subject == "mm/migrate: say why"


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("[PATCH] mm: x", ("mm: x", 1, None, None, False)),
        ("[PATCH v3 02/17] mm: x", ("mm: x", 3, 2, 17, False)),
        ("[RFC PATCH 0/4] mm: x", ("mm: x", 1, 0, 4, False)),
        ("[RFC][PATCH V2 1/4] mm: x", ("mm: x", 2, 1, 4, False)),
        ("[PATCH 6.12.y 1/4] mm: x", ("mm: x", 1, 1, 4, False)),
        ("Re: [PATCH v2 1/4] mm: x", ("mm: x", 2, 1, 4, True)),
        ("mm: [half] done 1/2", ("mm: [half] done 1/2", 1, None, None, False)),
        ("[PATCH net/next] mm: x", ("mm: x", 1, None, None, False)),
        ("", ("", 1, None, None, False)),
    ],
)
def test_the_tags_of_a_subject_are_read(
    subject: str, expected: tuple[str, int, int | None, int | None, bool]
) -> None:
    tags = read_tags(subject)

    assert (tags.title, tags.version, tags.number, tags.total, tags.is_reply) == expected


@pytest.mark.parametrize(
    ("text", "commit"),
    [
        (f"x\n\nbase-commit: {'ab' * 20}\n-- \n2.39\n", "ab" * 20),
        (f"+base-commit: {'ab' * 20}\n", ""),
        ("base-commit: abc\n", ""),
    ],
)
def test_the_base_commit_is_read(text: str, commit: str) -> None:
    assert read_base_commit(text) == commit


@pytest.mark.parametrize(
    "text",
    [
        "Subject: =?nosuch?b?////?= =?utf-8?q?\n\tFrom: <<>\n\n",
        'From: "\x00 <@>,,;:\nDate: =?\nSubject:\n',
        "\n\n\n",
        "From \nFrom: \udce9\udcff <x@y>\nSubject: \udce9=?utf-8?q?=E9?=\n\nbody \udce9",
        "Subject: é\udce9\n\n",
        "Subject: " + "=?utf-8?q?" * 50,
        "Subject: " + "a " * 500_000,
        "---\n---\n",
    ],
)
def test_any_header_can_be_read(text: str) -> None:
    header = read_header(text)

    for value in (header.subject, header.author, header.date):
        assert "\n" not in value
        value.encode()
