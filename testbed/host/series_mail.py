"""Patches that come as mails: git takes the mails apart, b4 tells the newest series of a thread.

Transfer encodings, charsets, RFC 2047, ``From:`` lines in the message and scissors are the
business of git-mailsplit(1) and git-mailinfo(1), as under ``git am``. The patches are taken as
they were sent: what others answered changes nothing in them.
"""

import gzip
import re
import zlib
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from email.policy import compat32
from pathlib import Path
from subprocess import TimeoutExpired
from tempfile import TemporaryDirectory
from typing import Final

from testbed.core.patch import parse_patch
from testbed.core.patch_header import SubjectTags, read_base_commit, read_header, read_tags
from testbed.core.series import Series, SeriesMeta
from testbed.core.text import clean
from testbed.errors import InfraError, SeriesError
from testbed.host import proc
from testbed.host.b4 import choose_newest
from testbed.host.git import GIT

_MAX_BYTES: Final = 64 * 1024 * 1024
_MAX_MAILS: Final = 1000
_SPLIT_S: Final = 60.0
_GZIP_MAGIC: Final = b"\x1f\x8b"
_PUBLIC_INBOX: Final = b"From mboxrd@z "  # what lore's and b4's mboxes begin with
_GIT: Final = (*GIT, "--git-dir=/nonexistent")
_FIELD: Final = re.compile(rb"(?:From .*\n)?[A-Za-z][A-Za-z0-9-]*:")
_DIFF: Final = re.compile(r"^diff --git |^--- .+\n\+\+\+ ", re.MULTILINE)
_SLUG_CHARS: Final = 52  # as git format-patch's names, to the letter or so
_NOT_IN_SLUGS: Final = re.compile(r"[^A-Za-z0-9._]+")
# What a diff in the text of a mail may be wrapped in; other patches are read as they are.
_WRAPPED: Final = re.compile(
    rb"^content-transfer-encoding:\s*(?:quoted-printable|base64)|^content-type:\s*multipart/",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A mail as git reads it: ``text`` is that of a patch, if it has one.

    ``message_id`` is without brackets, empty for a mail without one.
    """

    text: str
    tags: SubjectTags
    message_id: str
    date: str
    has_diff: bool

    @property
    def is_cover(self) -> bool:
        """Whether it is the cover letter of a series."""
        return self.tags.number == 0 and not self.has_diff and not self.tags.is_reply

    @property
    def place(self) -> str:
        """Which patch of its series it is: ``2/7``; its title when it does not say."""
        return f"{self.tags.number}/{self.tags.total}" if self.tags.total else self.tags.title


def read_patch_bytes(path: Path) -> bytes:
    """Return what is in a file of patches, unpacked if gzip packed it; 64 MiB at most.

    Raises :class:`SeriesError`.
    """
    try:
        with path.open("rb") as file:
            is_packed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
            file.seek(0)
            data = (gzip.GzipFile(fileobj=file) if is_packed else file).read(_MAX_BYTES + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as err:
        raise SeriesError(f"{path}: a damaged gzip file: {err}") from err
    except OSError as err:
        raise SeriesError(f"{path}: cannot be read: {err.strerror}") from err
    if len(data) > _MAX_BYTES:
        raise SeriesError(
            f"{path}: more than {_MAX_BYTES >> 20} MiB: keep only the mails of the series in it"
        )
    return data


def read_patch_text(path: Path) -> str:
    """Return the text of a file that holds one patch; bytes that are not UTF-8 survive.

    Line ends stay as they are. A mail whose text is encoded is decoded.
    """
    data = read_patch_bytes(path)
    if _FIELD.match(data) and _WRAPPED.search(data.partition(b"\n\n")[0].replace(b"\r", b"")):
        with TemporaryDirectory(prefix="testbed-mail-") as name:
            mail = Path(name) / "mail"
            mail.write_bytes(data)
            return _read_mail(mail, where=str(path)).text
    return _decode(data)


def load_mails(data: bytes, *, where: str, name: str) -> Series:
    """Read the series in an mbox, a mail or a bare diff; messages call it ``where``.

    Of several versions the newest is taken. Raises :class:`SeriesError` for a patch of ``n/m``
    that is missing, and for what :func:`parse_patch` refuses.
    """
    data = data.removeprefix(BOM_UTF8).lstrip(b"\r\n")
    if not _FIELD.match(data):
        patch = parse_patch(_decode(data), filename=where)
        return make_series([], [patch.text], names=[where], name=name)
    with TemporaryDirectory(prefix="testbed-mail-") as folder:
        mbox = Path(folder) / "mbox"
        mbox.write_bytes(data)
        mails = tuple(_split(mbox, where=where))
        patches, notes = _pick(mails, mbox, where=where)
    version = patches[0].tags.version
    covers = [mail for mail in mails if mail.is_cover and mail.tags.version == version]
    names = [where] if len(mails) == 1 else [f"{where}/{_name_patch(one)}" for one in patches]
    texts = [mail.text for mail in patches]
    return make_series(covers[-1:], texts, names=names, name=name, notes=notes)


def make_mail(text: str, *, message_id: str = "") -> Mail:
    """Return the mail with ``text``, which git has read or written."""
    header = read_header(text)
    return Mail(
        text=text,
        tags=read_tags(header.subject),
        message_id=message_id,
        date=header.date,
        has_diff=_DIFF.search(text) is not None,
    )


def make_series(
    covers: Sequence[Mail],
    texts: Sequence[str],
    *,
    names: Sequence[str],
    name: str,
    notes: tuple[str, ...] = (),
) -> Series:
    """Return the series called ``name`` of patches with these ``texts`` and file ``names``.

    ``covers`` are its cover letter, if it has one.
    """
    patches = tuple(
        parse_patch(text, filename=where) for text, where in zip(texts, names, strict=True)
    )
    sent = [*(cover.text for cover in covers), *texts]
    alone = patches[0].subject if len(patches) == 1 and patches[0].author else ""
    title = covers[0].tags.title if covers else alone
    why = "\n".join(read_header(covers[0].text).body) if covers else ""
    return Series(
        name=name,
        patches=patches,
        meta=SeriesMeta(title=title or name, why=clean(why), base=()),
        title=title,
        base_commit=next(filter(None, map(read_base_commit, sent)), ""),
        notes=notes,
    )


def sort_patches(patches: Sequence[Mail], *, where: str) -> tuple[Mail, ...]:
    """Return ``patches`` in the order of their ``n/m``; raises :class:`SeriesError` for a gap.

    Without any ``n/m`` they stay as they are, as does one patch alone.
    """
    numbers = [mail.tags.number for mail in patches if mail.tags.number is not None]
    if not numbers or len(patches) == 1:
        return tuple(patches)
    totals = {mail.tags.total for mail in patches}
    if None in totals:
        stray = next(mail for mail in patches if mail.tags.total is None)
        raise SeriesError(
            f"{where}: {clean(stray.tags.title)!r} has no n/m in its subject, others have: "
            "keep only the mails of one series"
        )
    if len(totals) > 1:
        several = ", ".join(sorted(mail.place for mail in patches))
        raise SeriesError(f"{where}: holds several series ({several}): keep the mails of one")
    total = max(one for one in totals if one is not None)
    missing = [f"{number}/{total}" for number in range(1, total + 1) if number not in numbers]
    if missing:
        several = "es" if len(missing) > 1 else ""
        raise SeriesError(
            f"patch{several} {', '.join(missing)} {'are' if several else 'is'} missing in {where}"
        )
    if len(numbers) != total:
        odd = ", ".join(mail.place for mail in patches)
        raise SeriesError(f"{where}: these make no series of {total} patches: {odd}")
    return tuple(sorted(patches, key=lambda mail: mail.tags.number or 0))


def _split(mbox: Path, *, where: str) -> Iterator[Mail]:
    folder = mbox.with_name("mails")
    folder.mkdir()
    with mbox.open("rb") as opened:
        quoting = ["--mboxrd"] if opened.read(len(_PUBLIC_INBOX)) == _PUBLIC_INBOX else []
    argv = [*_GIT, "mailsplit", "-b", *quoting, "-d5", f"-o{folder}", str(mbox)]
    outcome = proc.run(argv, cwd=folder, timeout_s=_SPLIT_S, check=False)
    if outcome.returncode != 0:
        raise SeriesError(f"{where}: git cannot take it apart: {clean(outcome.output).strip()}")
    files = sorted(folder.iterdir())
    if len(files) > _MAX_MAILS:
        raise SeriesError(
            f"{where}: {len(files)} mails, more than {_MAX_MAILS}: keep those of the series"
        )
    for file in files:
        head = _decode(file.read_bytes()).partition("\n\n")[0]
        mail = make_mail(head, message_id=_read_message_id(file))
        is_answer = mail.tags.is_reply and len(files) > 1
        yield mail if is_answer else _read_mail(file, where=where)


def _read_mail(file: Path, *, where: str) -> Mail:
    """Have git decode the mail in ``file``."""
    message, patch, said = (file.with_name(f"{file.name}.{part}") for part in ("msg", "diff", "is"))
    # To UTF-8 it converts by itself; git 2.39 does not when told to by --encoding.
    argv = ["mailinfo", "-k", "--scissors", str(message), str(patch)]
    with file.open("rb") as stdin, said.open("wb") as stdout:
        process = proc.start([*_GIT, *argv], cwd=file.parent, stdin=stdin, stdout=stdout)
        try:
            status = process.wait(_SPLIT_S)
        except TimeoutExpired as err:
            raise InfraError(f"{where}: git mailinfo came to no end in {_SPLIT_S:g} s") from err
        finally:
            proc.end(process)
    info = _decode(said.read_bytes())
    if status != 0:
        raise SeriesError(f"{where}: git cannot read a mail of it: {clean(info).strip()}")
    fields = [line.partition(": ")[::2] for line in info.split("\n")]
    known = dict(reversed(fields))
    author = f"{known.get('Author', '')} <{known['Email']}>" if "Email" in known else ""
    # With -k a subject may take several lines (mailinfo.c, output_header_lines).
    subject = " ".join(value for key, value in fields if key == "Subject").strip()
    head = {"From": author, "Date": known.get("Date"), "Subject": subject}
    text = "".join(f"{key}: {value}\n" for key, value in head.items() if value)
    body = _decode(message.read_bytes() + patch.read_bytes())
    return make_mail(f"{text}\n{body}", message_id=_read_message_id(file))


def _read_message_id(file: Path) -> str:
    mail = BytesHeaderParser(policy=compat32).parsebytes(file.read_bytes())
    return str(mail.get("Message-ID", "")).strip().removeprefix("<").removesuffix(">")


def _pick(
    mails: Sequence[Mail], mbox: Path, *, where: str
) -> tuple[tuple[Mail, ...], tuple[str, ...]]:
    """Return the patches of the newest series in their order, and what is to be said of that."""
    patches = [mail for mail in mails if mail.has_diff and not mail.tags.is_reply]
    if len(mails) == 1:
        patches = [mail for mail in mails if mail.has_diff]
    if not patches:
        raise SeriesError(f"{where}: holds no patch")
    others = [mail for mail in mails if not mail.has_diff and not mail.is_cover]
    if _is_plain(patches) and (not others or len(patches) == 1):
        chosen = patches
    elif all(mail.message_id for mail in mails):  # b4 takes no mail without
        known = {mail.message_id: mail for mail in mails if mail.has_diff}
        chosen = [known[one] for one in choose_newest(mbox, where=where) if one in known]
    else:
        chosen = _take_newest(patches)
    if not chosen:
        raise SeriesError(f"{where}: b4 finds no series in it: keep the mails of one version")
    return sort_patches(chosen, where=where), tuple(_tell_choice(patches, chosen, where=where))


def _is_plain(patches: Sequence[Mail]) -> bool:
    """Tell whether there is nothing to choose: one version, each number once or none at all."""
    numbers = [mail.tags.number for mail in patches]
    is_counted = any(number is not None for number in numbers)
    return len({mail.tags.version for mail in patches}) == 1 and not (
        is_counted and len(set(numbers)) < len(numbers)
    )


def _take_newest(patches: Sequence[Mail]) -> list[Mail]:
    """Return the patches of the highest version; of one that is there twice, the last."""
    newest = max(mail.tags.version for mail in patches)
    found = [mail for mail in patches if mail.tags.version == newest]
    if all(mail.tags.number is None for mail in found):
        return found
    return list({mail.place: mail for mail in found}.values())


def _tell_choice(patches: Sequence[Mail], chosen: Sequence[Mail], *, where: str) -> Iterator[str]:
    versions = sorted({mail.tags.version for mail in patches})
    taken = chosen[0].tags.version
    if len(versions) > 1:
        listed = ", ".join(f"v{version}" for version in versions)
        yield f"{where}: {listed} are in it; v{taken} is taken"
    counts = Counter(mail.place for mail in patches if mail.tags.version == taken)
    for mail in chosen:
        if mail.tags.number is not None and counts[mail.place] > 1:
            yield (
                f"{where}: patch {mail.place} is in it {counts[mail.place]} times; "
                f"the one of {mail.date or 'no date'} is taken"
            )
    if len(chosen) == 1 and chosen[0].tags.total not in (None, 1):
        yield f"{where}: patch {chosen[0].place} is taken alone, without the others"


def _name_patch(mail: Mail) -> str:
    """Return a file name for a patch, as git format-patch makes it."""
    slug = _NOT_IN_SLUGS.sub("-", mail.tags.title)[:_SLUG_CHARS].strip("-.")
    return f"{mail.tags.number or 1:04}-{slug or 'patch'}.patch"


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
