import pytest

from testbed.core.file_diff import split_file_diffs

HEAD = "Subject: x\n\nSee below.\n---\n a | 2 +-\n\n"
BODY = "@@ -3,3 +3,3 @@ int f(void)\n one\n-two\n+TWO\n three\n"
NAMES = "--- a/mm/a.c\n+++ b/mm/a.c\n"
INDEX = "index 0123456789ab..ba9876543210 100644\n"


def test_a_diff_is_written_for_a_file_with_a_plain_name() -> None:
    (found,) = split_file_diffs(
        f"{HEAD}diff --git a/mm/a.c b/mm/a.c\n{INDEX}{NAMES}{BODY}-- \n2.3\n\n"
    )

    assert found.names == {"mm/a.c"}
    assert found.text == ("--- a/file\n+++ b/file\n@@ -3,3 +3,3 @@\n one\n-two\n+TWO\n three\n")
    assert found.starts == (3,)
    assert found.context == 1
    assert found.base == "0123456789ab"
    assert found.obstacle == ""


def test_a_diff_without_a_line_of_gits_has_no_base() -> None:
    (found,) = split_file_diffs(
        f"{HEAD}--- linux.orig/mm/a.c\t2024-01-01\n+++ linux/mm/a.c\n{BODY}"
    )

    assert found.names == {"mm/a.c"}
    assert found.base == found.obstacle == ""


def test_a_file_that_is_named_twice_is_one_diff() -> None:
    later = BODY.replace("-3,3 +3,3", "-30,3 +30,3")
    one = f"diff --git a/mm/a.c b/mm/a.c\n{NAMES}"

    (found,) = split_file_diffs(f"{one}{BODY}{one}{later}")

    assert found.starts == (3, 30)


def test_a_line_end_that_is_missing_stays_missing() -> None:
    body = "@@ -3,2 +3,2 @@\n one\n-two\n\\ No newline at end of file\n+TWO\n"

    (found,) = split_file_diffs(f"diff --git a/mm/a.c b/mm/a.c\n{NAMES}{body}")

    assert found.text.endswith("-two\n\\ No newline at end of file\n+TWO\n")


@pytest.mark.parametrize(
    ("body", "context"),
    [
        ("@@ -1,3 +1,3 @@\n-one\n+ONE\n two\n three\n", 2),
        ("@@ -1,1 +1,1 @@\n-one\n+ONE\n", 0),
        ("@@ -1,3 +1,2 @@\n one\n-two\n three\n@@ -9,3 +8,4 @@\n a\n b\n c\n+d\n", 1),
    ],
)
def test_the_context_is_the_least_that_a_hunk_has_on_its_better_side(
    body: str, context: int
) -> None:
    (found,) = split_file_diffs(f"diff --git a/mm/a.c b/mm/a.c\n{NAMES}{body}")

    assert found.context == context


@pytest.mark.parametrize(
    ("text", "obstacle"),
    [
        (
            "a/x b/y\nsimilarity index 90%\nrename from x\nrename to y\n--- a/x\n+++ b/y\n",
            "renamed",
        ),
        ("a/x b/y\nsimilarity index 90%\ncopy from x\ncopy to y\n--- a/x\n+++ b/y\n", "copied"),
        ("a/x b/x\nold mode 100644\nnew mode 100755\n--- a/x\n+++ b/x\n", "given another mode"),
        ("a/x b/x\nnew file mode 100644\n--- /dev/null\n+++ b/x\n", "made"),
        ("a/x b/x\ndeleted file mode 100644\n--- a/x\n+++ /dev/null\n", "removed"),
        ("a/x b/x\nindex 0123456..1234567 120000\n--- a/x\n+++ b/x\n", "a symlink"),
    ],
)
def test_what_else_is_done_to_a_file_is_told(text: str, obstacle: str) -> None:
    (found,) = split_file_diffs(f"diff --git {text}{BODY}")

    assert found.obstacle == obstacle


@pytest.mark.parametrize("text", ["", "no diff\n", f"{NAMES}@@ -3,3 +3,3 @@\n one\n"])
def test_what_is_no_diff_has_none(text: str) -> None:
    assert split_file_diffs(text) == ()


@pytest.mark.parametrize("index", ["index 01234..--help\n", "index ..1\n", "index -e..12345\n"])
def test_only_a_hash_is_a_base(index: str) -> None:
    (found,) = split_file_diffs(f"diff --git a/mm/a.c b/mm/a.c\n{index}{NAMES}{BODY}")

    assert found.base == ""
