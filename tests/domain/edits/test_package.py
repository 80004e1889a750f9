"""Packages are zips that can be checked; what is uploaded as a zip is not trusted."""

import io
import stat
import zipfile
from collections.abc import Callable
from hashlib import sha256

import pytest

from jobyard.domain.edits.package import (
    CHECKSUMS_FILE,
    FEATURES_FILE,
    PackageFile,
    attachment_name,
    check_package,
    package_id_of,
    uploaded_blocks,
    write_package,
)
from jobyard.domain.edits.work import Package
from jobyard.domain.errors import BadRequest


def read(content: bytes) -> bytes:
    """What is read of an uploaded file."""
    return b"".join(uploaded_blocks(io.BytesIO(content), FEATURES_FILE))


def zipped(*entries: tuple[zipfile.ZipInfo | str, bytes]) -> bytes:
    """A zip with the file that is wanted, and with other entries."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(FEATURES_FILE, b"{}")
        for entry, content in entries:
            archive.writestr(entry, content)
    return stream.getvalue()


def entry(name: str, **fields: object) -> zipfile.ZipInfo:
    """A header with some fields changed."""
    info = zipfile.ZipInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def test_the_same_files_give_the_same_package_whose_checksums_hold() -> None:
    def written() -> bytes:
        stream = io.BytesIO()
        write_package(
            stream, [PackageFile(FEATURES_FILE, [b"a", b"b"]), PackageFile("job.json", [b""])]
        )
        return stream.getvalue()

    archive = zipfile.ZipFile(io.BytesIO(written()))

    assert written() == written()
    assert {each.date_time for each in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    lines = archive.read(CHECKSUMS_FILE).decode().splitlines()
    assert lines == [
        f"{sha256(archive.read(name)).hexdigest()}  {name}" for name in (FEATURES_FILE, "job.json")
    ]


def test_a_package_has_no_two_files_of_one_name() -> None:
    with pytest.raises(ValueError, match="one file named"):
        write_package(io.BytesIO(), [PackageFile("a", []), PackageFile("a", [])])


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("plan.pdf", "attachments/03-plan.pdf"),
        ("../../etc/passwd", "attachments/03-passwd"),
        ("C:\\x\\a:b.txt", "attachments/03-a_b.txt"),
        ("..", "attachments/03-file"),
    ],
)
def test_the_name_of_an_attachment_leads_nowhere_else(filename: str, name: str) -> None:
    assert attachment_name(3, filename) == name


def test_an_upload_for_another_job_is_refused_and_names_both() -> None:
    """A client may upload a package of another project: opengisch/QField issue 6668."""
    package = Package(package_id_of("e1", 2, 1), "key", "", 1)

    with pytest.raises(BadRequest, match=r"of job e2, not of e1"):
        check_package(package_id_of("e2", 2, 1), "e1", package)
    with pytest.raises(BadRequest, match=r"it has e1\.2\.1 now"):
        check_package(package_id_of("e1", 1, 1), "e1", package)
    check_package("e1.2.1", "e1", package)


def test_a_file_that_is_no_zip_is_read_as_it_is_and_of_a_zip_what_is_wanted() -> None:
    assert read(b'{"type": 1}') == b'{"type": 1}'
    assert read(zipped(("notes/readme.txt", b"x"))) == b"{}"


def _encrypted(content: bytes) -> bytes:
    at = content.index(b"PK\x01\x02") + 8
    return content[:at] + bytes([content[at] | 1]) + content[at + 1 :]


def _overlapping(content: bytes) -> bytes:
    first = content.index(b"PK\x01\x02")
    second = content.index(b"PK\x01\x02", first + 1)
    return content[: second + 42] + content[first + 42 : first + 46] + content[second + 46 :]


def _garbled(content: bytes) -> bytes:
    start = 30 + len(FEATURES_FILE)  # of what is compressed: a block of a type that does not exist
    return content[:start] + b"\xff" + content[start + 1 :]


LINK = (stat.S_IFLNK | 0o777) << 16


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: zipped(("../x", b"")), "leads out"),
        (lambda: zipped(("a/../../x", b"")), "leads out"),
        (lambda: zipped(("/etc/x", b"")), "absolute"),
        (lambda: zipped((entry("x", filename="a\\b", orig_filename="a\\b"), b"")), "backslash"),
        (lambda: zipped(("C:/x", b"")), "absolute"),
        (lambda: zipped(("nul", b"")), "Windows reserves"),
        (lambda: zipped((entry("x", external_attr=LINK), b"/etc/passwd")), "link"),
        (lambda: zipped(("Features.GeoJSON", b"")), "two files named"),
        (lambda: zipped(("bomb", b"\0" * 70 * 1024**2)), "unpacked it has"),
        (lambda: zipped((entry("x", compress_type=zipfile.ZIP_LZMA), b"")), "another method"),
        (lambda: zipped(*((str(each), b"") for each in range(1_001))), "more than 1,000"),
        (lambda: _encrypted(zipped()), "encrypted"),
        (lambda: _overlapping(zipped(("x", b""))), "share the same bytes"),
        (lambda: zipped()[:-30], "damaged"),
        (lambda: zipped()[:40], "damaged"),
        (lambda: _garbled(zipped()), "damaged"),
        (lambda: b"PK\x05\x06" + b"\0" * 18, "no file"),
    ],
)
def test_a_hostile_zip_is_refused(make: Callable[[], bytes], message: str) -> None:
    """Ways to write elsewhere or to fill a disk."""
    with pytest.raises(BadRequest, match=message):
        read(make())
