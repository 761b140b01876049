import base64
import gzip
import quopri
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from testbed.core.message_id import parse_message_id
from testbed.errors import InfraError, SeriesError, UserError
from testbed.host import series_mail
from testbed.host.b4 import fetch_thread
from testbed.host.catalog import load_plan
from testbed.host.project import data_dir
from testbed.host.series_spec import load_series_spec

BASE = "0123456789" * 4
PUBLIC_INBOX = "From mboxrd@z Thu Jan  1 00:00:00 1970\n"


def make_diff(new: str = "b", path: str = "mm/x.c") -> str:
    return (
        f"diff --git a/{path} b/{path}\nindex 1111111..2222222 100644\n--- a/{path}\n"
        f"+++ b/{path}\n@@ -1,2 +1,2 @@\n-a\n+{new}\n c\n"
    )


def make_mail(
    subject: str,
    *,
    diff: str = "",
    body: str = "Why.\n",
    message_id: str = "",
    answers: str = "",
    extra: str = "",
    postmark: str = "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\n",
) -> str:
    head = f"From: A B <a@example.org>\nDate: Sat, 1 Jan 2000 00:00:00 +0000\n{extra}"
    if message_id:
        head += f"Message-ID: <{message_id}@example.org>\n"
    if answers:
        head += f"In-Reply-To: <{answers}@example.org>\nReferences: <{answers}@example.org>\n"
    tail = f"\nSigned-off-by: A B <a@example.org>\n---\n mm/x.c | 2 +-\n\n{diff}" if diff else ""
    return f"{postmark}{head}Subject: {subject}\n\n{body}{tail}-- \n2.39.5\n\n"


def make_patch(subject: str, new: str = "b", **parts: str) -> str:
    return make_mail(subject, diff=make_diff(new), **parts)


def make_thread() -> str:
    """Make a thread with two versions, the second in the wrong order, and with answers."""
    mark = partial(make_mail, postmark=PUBLIC_INBOX)
    return "".join(
        [
            mark("[PATCH 0/2] mm: first try", message_id="a0"),
            mark("[PATCH 1/2] mm: one", diff=make_diff("old1"), message_id="a1", answers="a0"),
            mark("[PATCH 2/2] mm: two", diff=make_diff("old2"), message_id="a2", answers="a0"),
            mark(
                "Re: [PATCH 1/2] mm: one",
                body="> Why.\nReviewed-by: A B <a@example.org>\n",
                message_id="r1",
                answers="a1",
            ),
            mark("[PATCH v2 2/2] mm: two", diff=make_diff("new2"), message_id="b2", answers="b0"),
            mark("[PATCH v2 1/2] mm: one", diff=make_diff("new1"), message_id="b1", answers="b0"),
            mark(
                "[PATCH v2 0/2] mm: second try",
                body=f"All is better.\n\nbase-commit: {BASE}\n",
                message_id="b0",
                answers="a0",
            ),
            mark(
                "Re: [PATCH v2 1/2] mm: one",
                body="> Why.\nSomething like this?\n\n" + make_diff("other"),
                message_id="r2",
                answers="b1",
            ),
        ]
    )


def write(path: Path, text: str) -> str:
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return str(path)


def test_a_patch_of_git_is_a_series(tmp_path: Path) -> None:
    spec = write(tmp_path / "0001-mm.patch", make_patch("[PATCH] mm: one"))

    series = load_series_spec(spec)

    (patch,) = series.patches
    assert (series.name, series.title, series.base_commit) == ("0001-mm", "mm: one", "")
    assert (patch.filename, patch.subject, patch.author) == (spec, "mm: one", "A B <a@example.org>")
    assert patch.header.startswith("From: A B <a@example.org>\nDate: Sat, 1 Jan 2000 ")
    assert "Signed-off-by: A B <a@example.org>\n---\n mm/x.c | 2 +-\n" in patch.text
    assert (series.meta.base, series.meta.kconfig, series.notes) == ((), (), ())


@pytest.mark.parametrize("name", ["x.diff", "x.patch", "patch"])
def test_a_bare_diff_is_a_series_without_a_title(tmp_path: Path, name: str) -> None:
    series = load_series_spec(write(tmp_path / name, make_diff()))

    assert series.title == ""
    assert series.patches[0].text == make_diff()
    assert series.patches[0].touched == ("mm/x.c",)


def test_an_mbox_of_git_is_put_in_order(tmp_path: Path) -> None:
    mbox = "".join(
        [
            make_patch("[PATCH 2/2] mm: two", "second"),
            make_mail(
                "[PATCH 0/2] mm: both", body=f"They belong\ntogether.\n\nbase-commit: {BASE}\n"
            ),
            make_patch("[PATCH 1/2] mm: one", "first", body='Why.\n\nFixes: 0123456789ab ("x")\n'),
        ]
    )

    series = load_series_spec(write(tmp_path / "t.mbox", mbox))

    assert [patch.subject for patch in series.patches] == ["mm: one", "mm: two"]
    assert [Path(patch.filename).name for patch in series.patches] == [
        "0001-mm-one.patch",
        "0002-mm-two.patch",
    ]
    assert (series.name, series.title, series.base_commit) == ("t", "mm: both", BASE)
    assert series.meta.why.startswith("They belong\ntogether.\n")
    assert series.patches[0].fixes == ('0123456789ab ("x")',)


def test_the_base_commit_may_stand_under_a_patch(tmp_path: Path) -> None:
    text = make_patch("[PATCH] mm: one").replace("-- \n", f"\nbase-commit: {BASE}\n-- \n")

    assert load_series_spec(write(tmp_path / "p.patch", text)).base_commit == BASE


def test_mails_without_numbers_stay_in_their_order(tmp_path: Path) -> None:
    mbox = make_patch("[PATCH] mm: b") + make_patch("[PATCH] mm: a")

    series = load_series_spec(write(tmp_path / "t.mbox", mbox))

    assert [patch.subject for patch in series.patches] == ["mm: b", "mm: a"]


@pytest.mark.parametrize("name", ["t.mbox", "t.mbox.gz"])
def test_of_a_thread_the_newest_version_is_taken_as_it_was_sent(tmp_path: Path, name: str) -> None:
    data = make_thread().encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)

    series = load_series_spec(str(tmp_path / name))

    assert [patch.subject for patch in series.patches] == ["mm: one", "mm: two"]
    assert ["+new1" in series.patches[0].text, "+new2" in series.patches[1].text] == [True, True]
    assert not any("Reviewed-by" in patch.text for patch in series.patches)
    assert (series.title, series.base_commit) == ("mm: second try", BASE)
    assert series.notes == (f"{tmp_path / name}: v1, v2 are in it; v2 is taken",)


def test_bytes_of_a_thread_that_are_no_utf8_survive(tmp_path: Path) -> None:
    text = make_thread().replace("+new1", "+n\udce9w")

    series = load_series_spec(write(tmp_path / "t.mbox", text))

    assert "\n+n\udce9w\n" in series.patches[0].text


def test_of_versions_without_message_ids_the_highest_is_taken(tmp_path: Path) -> None:
    mbox = (
        make_patch("[PATCH v3 1/2] mm: one", "v3")
        + make_patch("[PATCH v3 2/2] mm: two")
        + make_patch("[PATCH v2] mm: one", "v2")
    )

    series = load_series_spec(write(tmp_path / "t.mbox", mbox))

    assert "+v3\n" in series.patches[0].text
    assert len(series.patches) == 2
    assert series.notes == (f"{tmp_path}/t.mbox: v2, v3 are in it; v3 is taken",)


def test_an_answer_without_a_message_id_does_no_harm(tmp_path: Path) -> None:
    text = make_thread().replace("Message-ID: <r1@example.org>\n", "")

    series = load_series_spec(write(tmp_path / "t.mbox", text))

    assert ["+new1" in series.patches[0].text, "+new2" in series.patches[1].text] == [True, True]


def test_a_patch_that_is_there_twice_is_told(tmp_path: Path) -> None:
    mbox = (
        make_patch("[PATCH 1/2] mm: one", "first")
        + make_patch("[PATCH 2/2] mm: two")
        + make_patch("[PATCH 1/2] mm: one", "again")
    )

    series = load_series_spec(write(tmp_path / "t.mbox", mbox))

    assert "+again\n" in series.patches[0].text
    (note,) = series.notes
    assert note == (
        f"{tmp_path}/t.mbox: patch 1/2 is in it 2 times; "
        "the one of Sat, 1 Jan 2000 00:00:00 +0000 is taken"
    )


def test_a_patch_of_several_that_is_given_alone_is_told(tmp_path: Path) -> None:
    series = load_series_spec(write(tmp_path / "p.eml", make_patch("[PATCH 2/7] mm: two")))

    assert series.notes == (f"{tmp_path}/p.eml: patch 2/7 is taken alone, without the others",)


def test_an_answer_that_is_given_alone_is_taken(tmp_path: Path) -> None:
    series = load_series_spec(write(tmp_path / "p.eml", make_patch("Re: [PATCH] mm: one")))

    assert series.patches[0].subject == "mm: one"


def test_what_a_mail_wraps_a_patch_in_is_taken_off(tmp_path: Path) -> None:
    body = f"Größe.\n---\n mm/x.c | 2 +-\n\n{make_diff('ü')}-- \n2.39.5\n".encode()
    latin = body.decode().encode("latin-1")
    head = (
        "From: =?ISO-8859-1?Q?J=F6rg?= <j@example.org>\n"
        "Subject: [PATCH] mm: =?UTF-8?B?R3LDtsOfZQ==?=\n"
        "MIME-Version: 1.0\nContent-Type: text/plain; charset={}\n"
        "Content-Transfer-Encoding: {}\n\n"
    )
    mails = {
        "quoted": head.format("utf-8", "quoted-printable").encode() + quopri.encodestring(body),
        "base64": head.format("utf-8", "base64").encode() + base64.encodebytes(body),
        "latin": head.format("iso-8859-1", "8bit").encode() + latin,
        "crlf": head.format("utf-8", "8bit").replace("\n", "\r\n").encode()
        + body.replace(b"\n", b"\r\n"),
    }
    for name, data in mails.items():
        (tmp_path / name).write_bytes(data)

        (patch,) = load_series_spec(str(tmp_path / name)).patches

        assert (patch.subject, patch.author) == ("mm: Größe", "Jörg <j@example.org>"), name
        assert "\n\nGröße.\n---\n" in patch.text, name
        # git leaves the content of files in the bytes that were sent
        assert ("\n+\udcfc\n" if name == "latin" else "\n+ü\n") in patch.text, name


def test_an_encoded_patch_in_a_quilt_folder_is_decoded(tmp_path: Path) -> None:
    body = base64.encodebytes(f"Why.\n---\n{make_diff()}".encode()).decode()
    write(tmp_path / "1.patch", f"Subject: mm: x\nContent-Transfer-Encoding: base64\n\n{body}")
    write(tmp_path / "series", "1.patch\n")

    assert load_series_spec(str(tmp_path)).patches[0].touched == ("mm/x.c",)


def test_a_mail_that_git_does_not_come_to_an_end_with_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "1.patch", "Subject: mm: x\nContent-Transfer-Encoding: base64\n\n")
    write(tmp_path / "series", "1.patch\n")
    monkeypatch.setattr(series_mail, "_SPLIT_S", 0.1)
    monkeypatch.setattr(series_mail, "_GIT", ("/bin/sh", "-c", "exec sleep 60"))

    with pytest.raises(InfraError, match=r"1\.patch: git mailinfo came to no end in 0\.1 s"):
        load_series_spec(str(tmp_path))


@pytest.mark.parametrize(
    ("body", "author", "subject"),
    [
        ("From: Real <r@example.org>\n\nWhy.\n", "Real <r@example.org>", "mm: one"),
        ("Hello.\n\n-- >8 --\nSubject: mm: cut\n\nWhy.\n", "A B <a@example.org>", "mm: cut"),
    ],
)
def test_what_git_am_reads_in_the_message_is_read(
    tmp_path: Path, body: str, author: str, subject: str
) -> None:
    spec = write(tmp_path / "p.eml", make_patch("[PATCH] mm: one", body=body))

    (patch,) = load_series_spec(spec).patches

    assert (patch.author, patch.subject) == (author, subject)
    assert "Hello" not in patch.text


def test_a_quoted_from_of_a_public_inbox_is_unquoted(tmp_path: Path) -> None:
    body = ">From here on it is clear.\n"
    spec = write(tmp_path / "p.mbox", make_patch("[PATCH] mm: x", body=body, postmark=PUBLIC_INBOX))

    assert "\n\nFrom here on it is clear.\n" in load_series_spec(spec).patches[0].text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            make_patch("[PATCH 1/4] mm: one") + make_patch("[PATCH 3/4] mm: three"),
            "patches 2/4, 4/4 are missing in FILE",
        ),
        (
            make_patch("[PATCH 1/3] mm: one") + make_patch("[PATCH 2/3] mm: two"),
            "patch 3/3 is missing in FILE",
        ),
        (
            make_thread().replace("Subject: [PATCH v2 2/2]", "Subject: [PATCH v2 1/2]"),
            "patch 2/2 is missing in FILE",
        ),
        (
            make_patch("[PATCH 1/2] mm: one") + make_patch("[PATCH 2/3] mm: two"),
            "FILE: holds several series (1/2, 2/3): keep the mails of one",
        ),
        (
            make_patch("[PATCH 1/2] mm: one") + make_patch("[PATCH] mm: two"),
            "FILE: 'mm: two' has no n/m in its subject, others have: keep only the mails of one",
        ),
        (
            make_patch("[PATCH 1/1] mm: one") + make_patch("[PATCH 2/1] mm: two"),
            "FILE: these make no series of 1 patches: 1/1, 2/1",
        ),
        (make_mail("[PATCH 0/2] mm: both"), "FILE: holds no patch"),
        (make_mail("Hello"), "FILE: holds no patch"),
        ("", "FILE: holds no diff"),
        ("some words\n", "FILE: holds no diff"),
        (make_diff().replace("\n", "\r\n"), "FILE: has CRLF line ends throughout"),
        (
            make_mail("[PATCH] mm: x", diff=make_diff(path="../x")),
            "FILE: a/../x: would write outside the kernel tree",
        ),
        (
            make_patch("[PATCH] mm: x", extra="Content-Type: text/plain; charset=nosuch\n").replace(
                "Why", "\udce9"
            ),
            "FILE: git cannot read a mail of it: ",
        ),
        ("\x1f\udc8bnonsense", "FILE: a damaged gzip file: "),
    ],
)
def test_a_file_that_will_not_do_is_refused_by_name(
    tmp_path: Path, text: str, message: str
) -> None:
    spec = write(tmp_path / "t.mbox", text)

    with pytest.raises(SeriesError) as caught:
        load_series_spec(spec)

    assert str(caught.value).startswith(message.replace("FILE", spec))


def test_a_file_is_read_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_mail, "_MAX_BYTES", 2 << 20)
    (tmp_path / "t.mbox.gz").write_bytes(gzip.compress(bytes(3 << 20)))

    with pytest.raises(SeriesError, match=r"t\.mbox\.gz: more than 2 MiB: keep only the mails"):
        load_series_spec(str(tmp_path / "t.mbox.gz"))


def test_mails_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_mail, "_MAX_MAILS", 2)
    spec = write(tmp_path / "t.mbox", make_patch("[PATCH] mm: one") * 3)

    with pytest.raises(SeriesError, match=r"t\.mbox: 3 mails, more than 2: keep those of the"):
        load_series_spec(spec)


def test_a_folder_of_git_is_read_by_its_names(tmp_path: Path) -> None:
    write(tmp_path / "0000-cover-letter.patch", make_mail("[PATCH 0/2] mm: both"))
    write(tmp_path / "0001-one.patch", make_patch("[PATCH 1/2] mm: one"))
    write(tmp_path / "0002-two.patch", make_patch("[PATCH 2/2] mm: two"))
    write(tmp_path / "README", "Not a patch.\n")

    series = load_series_spec(str(tmp_path))

    assert (series.name, series.title) == (tmp_path.name, "mm: both")
    assert [patch.filename for patch in series.patches] == [
        str(tmp_path / "0001-one.patch"),
        str(tmp_path / "0002-two.patch"),
    ]


def test_of_two_versions_in_a_folder_the_newer_is_taken(tmp_path: Path) -> None:
    write(tmp_path / "0001-one.patch", make_patch("[PATCH] mm: one", "v1"))
    write(tmp_path / "v10-0001-one.patch", make_patch("[PATCH v10] mm: one", "v10"))
    write(tmp_path / "v9-0001-one.patch", make_patch("[PATCH v9] mm: one", "v9"))

    series = load_series_spec(str(tmp_path))

    assert [patch.filename for patch in series.patches] == [str(tmp_path / "v10-0001-one.patch")]
    assert series.notes == (f"{tmp_path}: holds v1, v9, v10; v10 is taken",)


def test_a_folder_with_patches_of_several_series_is_taken_whole(tmp_path: Path) -> None:
    write(tmp_path / "0001-a.patch", make_patch("[PATCH 1/2] mm: one"))
    write(tmp_path / "0002-b.patch", make_patch("[PATCH] mm: two"))
    write(tmp_path / "series.yaml", "title: Both\nwhy: w\nbase: ['6.12']\n")

    series = load_series_spec(str(tmp_path))

    assert (series.title, series.meta.base, len(series.patches)) == ("Both", ("6.12",), 2)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {
                "0001-a.patch": make_patch("[PATCH 1/3] mm: one"),
                "0003-b.patch": make_patch("[PATCH 3/3] mm: three"),
            },
            "patch 2/3 is missing in DIR",
        ),
        ({"0000-cover-letter.patch": make_mail("[PATCH 0/1] x")}, "DIR: holds no patch"),
        ({"a.patch": make_patch("[PATCH] mm: a") * 2}, "DIR/a.patch: holds more than one mail"),
        ({"a.patch": "nothing\n"}, "DIR/a.patch: holds no diff"),
        ({"series": "a.patch\n"}, "DIR/a.patch: cannot be read: No such file or directory"),
    ],
)
def test_a_folder_that_will_not_do_is_refused_by_name(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    for name, text in files.items():
        write(tmp_path / name, text)

    with pytest.raises(SeriesError) as caught:
        load_series_spec(str(tmp_path))

    assert str(caught.value).startswith(message.replace("DIR", str(tmp_path)))


@pytest.mark.parametrize("name", ["patches/migrate-reasons", "migrate-reasons"])
def test_the_projects_own_series_go_by_their_names(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    series = load_series_spec(name)

    assert series.name == "migrate-reasons"
    assert series.title == series.meta.title
    assert len(series.patches) == len(
        (data_dir() / "patches" / series.name / "series").read_text().split()
    )


@pytest.mark.parametrize("spec", ["nosuch", "", "--option", "x@", "/nowhere/x.mbox"])
def test_what_is_no_series_is_told_what_can_be_given(spec: str) -> None:
    with pytest.raises(UserError) as caught:
        load_series_spec(spec)

    for kind in (".patch", ".mbox.gz", "message id", "lore.kernel.org", "patches/migrate-reasons"):
        assert kind in str(caught.value)


def test_an_empty_folder_is_no_series(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no series"):
        load_series_spec(str(tmp_path))


@pytest.mark.parametrize(
    ("spec", "message_id"),
    [
        ("x.y-1@example.org", "x.y-1@example.org"),
        ("<x@y>", "x@y"),
        ("mid:x@y", "x@y"),
        ("https://lore.kernel.org/linux-mm/x%2By@example.org/", "x+y@example.org"),
        ("https://lore.kernel.org/all/x@example.org/T/#u", "x@example.org"),
        ("https://lore.kernel.org/r/x@example.org", "x@example.org"),
        ("http://patch.msgid.link/x@example.org", "x@example.org"),
        ("lore.kernel.org/all/x@example.org/t.mbox.gz", "x@example.org"),
        ("-x@y", None),
        ("a b@y", None),
        ("x\x1b@y", None),
        ("x@y/z", None),
        ("patches/x", None),
    ],
)
def test_a_message_id_is_known_when_seen(spec: str, message_id: str | None) -> None:
    assert parse_message_id(spec) == message_id


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("https://example.org/x@y/", "not an archive that is known: lore.kernel.org, patch."),
        ("https://lore.kernel.org@example.org/x@y/", "not an archive that is known"),
        ("file:///etc/x@y", "not an archive that is known"),
        ("https://lore.kernel.org/linux-mm/", "names no mail"),
        ("https://lore.kernel.org/all/--help%40x%20y/", "names no mail"),
    ],
)
def test_an_address_of_no_mail_is_refused(spec: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_series_spec(spec)


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        pass


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[str]:
    """A public-inbox of one thread, served on this host."""
    folder = tmp_path / "www/all/b0@example.org"
    folder.mkdir(parents=True)
    (folder / "t.mbox.gz").write_bytes(gzip.compress(make_thread().encode()))
    handler = partial(_QuietHandler, directory=str(tmp_path / "www"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/all"
        server.shutdown()
        thread.join()


def test_a_thread_is_fetched_whole(archive: str, tmp_path: Path) -> None:
    data = fetch_thread("b0@example.org", archive=archive)

    series = series_mail.load_mails(data, where="b0@example.org", name="b0")
    assert data.count(b"\nMessage-ID: ") == 8
    assert [patch.filename for patch in series.patches] == [
        "b0@example.org/0001-mm-one.patch",
        "b0@example.org/0002-mm-two.patch",
    ]


def test_a_mail_that_the_archive_has_not_is_the_users_to_mend(archive: str) -> None:
    with pytest.raises(SeriesError, match="/all has no mail <nosuch@"):
        fetch_thread("nosuch@example.org", archive=archive)


def test_without_a_network_the_way_round_is_told() -> None:
    with pytest.raises(InfraError) as caught:
        fetch_thread("x+1@example.org", archive="http://127.0.0.1:1/all")

    lines = str(caught.value).splitlines()
    assert lines[0] == (
        "<x+1@example.org> cannot be fetched from http://127.0.0.1:1/all: no network, or no answer."
    )
    assert "Download http://127.0.0.1:1/all/x%2B1@example.org/t.mbox.gz by other" in lines[1]


def test_a_plan_may_name_any_kind_of_series(tmp_path: Path) -> None:
    spec = write(tmp_path / "p.patch", make_patch("[PATCH] mm: x"))
    plan = tmp_path / "plan.yaml"
    text = "kconfig: [base]\ntopologies: [two-nodes]\ntests: [migrate]\nseries: "

    plan.write_text(f"{text}['{spec}', 'x@example.org', patches/migrate-reasons]\n")
    assert load_plan(plan).series == (spec, "x@example.org", "patches/migrate-reasons")

    plan.write_text(f"{text}[patches/migrate-reason]\n")
    with pytest.raises(UserError, match="did you mean patches/migrate-reasons"):
        load_plan(plan)
