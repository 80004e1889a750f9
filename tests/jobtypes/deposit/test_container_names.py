"""Names in containers as common tools write them, and the remarks about members left out."""

import struct
import tarfile
import tracemalloc
import zlib
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job_type import Done
from jobyard.jobtypes.deposit import DEPOSIT, container_limits
from jobyard.jobtypes.step_context import StorageContext
from tests.jobtypes.deposit.deposits import drive, held, step_input
from tests.jobtypes.deposit.test_containers import found_in, refused, staged, tar_member, tarred
from tests.jobtypes.payload_server import PayloadServer

ON_FAT, ON_UNIX = 0, 3


def zip_of(
    *members: tuple[bytes, bytes],
    made_on: int = ON_UNIX,
    flags: int = 0,
    extra: bytes = b"",
    attributes: int = 0,
    member_count: int | None = None,
) -> bytes:
    """A zip of stored members with names in bytes; its end record has `member_count`."""
    files, directory, at = [], [], 0
    for name, content in members:
        sizes = [len(content), len(content), len(name), len(extra)]
        about = struct.pack("<HHHHHLLLHH", 20, flags, 0, 0, 33, zlib.crc32(content), *sizes)
        files.append(b"PK\x03\x04" + about + name + extra + content)
        rest = struct.pack("<HHHLL", 0, 0, 0, attributes, at)
        directory.append(b"PK\x01\x02" + bytes([20, made_on]) + about + rest + name + extra)
        at += len(files[-1])
    count = min(len(members) if member_count is None else member_count, 0xFFFF)
    end = struct.pack("<HHHHLLH", 0, 0, count, count, sum(map(len, directory)), at, 0)
    return b"".join((*files, *directory, b"PK\x05\x06", end))


def remarked(name: str, content: bytes, context: StorageContext) -> tuple[list[str], str]:
    """The names in a container, and the remarks about it."""
    container = staged(name, content, context)
    names = [member.name for member in container.members()]
    return names, container.remarks


# Zips


@pytest.mark.parametrize("made_on", [ON_FAT, 6, 10, 11, 14, ON_UNIX])
def test_backslashes_of_windows_are_folders(context: StorageContext, made_on: int) -> None:
    content = zip_of(
        (b"letters\\", b""),
        (b"letters\\1901\\", b""),
        (b"letters\\1901\\may.txt", b"x"),
        made_on=made_on,
    )

    names, remarks = remarked("x.zip", content, context)

    assert names == ["letters/1901/may.txt"]
    assert remarks == "read backslashes as folders: letters\\ and 2 more"


def test_a_backslash_of_unix_is_a_letter_that_windows_does_not_have(
    context: StorageContext,
) -> None:
    names, remarks = remarked("x.zip", zip_of((b"a\\b", b"x")), context)

    assert names == ["a\\b"]
    assert remarks == "Windows does not allow \\ in a name: a\\b"


@pytest.mark.parametrize("made_on", [ON_FAT, 6, 10, 11, 14])
def test_backslashes_of_windows_need_no_folder_of_their_own(
    context: StorageContext, made_on: int
) -> None:
    names, _ = remarked("x.zip", zip_of((b"a\\b", b"x"), made_on=made_on), context)

    assert names == ["a/b"]


def test_an_empty_zip_has_no_file_in_it(context: StorageContext) -> None:
    assert refused("x.zip", zip_of(), context).message == "x.zip has no file in it"


def test_a_file_that_is_also_a_folder_ignoring_case_gets_a_remark(
    context: StorageContext,
) -> None:
    members = ((b"Photos", b"1"), (b"Photos-old", b"2"), (b"photos/one.jpg", b"3"))

    names, remarks = remarked("x.zip", zip_of(*members), context)

    assert names == ["Photos", "Photos-old", "photos/one.jpg"]
    assert remarks == (
        "a file and a folder on a disk that ignores case or composition: Photos and photos/one.jpg"
    )


@pytest.mark.parametrize("made_on", [ON_FAT, ON_UNIX])
def test_names_that_are_utf8_are_utf8_whatever_the_flag_says(
    context: StorageContext, made_on: int
) -> None:
    content = zip_of(("résumé.txt".encode(), b"1"), ("日本.txt".encode(), b"2"), made_on=made_on)

    assert remarked("x.zip", content, context) == (["résumé.txt", "日本.txt"], "")


def test_names_that_are_not_utf8_are_what_the_format_says_with_a_remark(
    context: StorageContext,
) -> None:
    names, remarks = remarked("x.zip", zip_of((b"r\x82sum\x82.txt", b"1")), context)

    assert names == ["résumé.txt"]
    assert remarks == "read a name as code page 437, as it is not UTF-8: résumé.txt"


def test_a_name_flagged_as_utf8_that_is_not_is_refused(context: StorageContext) -> None:
    assert refused("x.zip", zip_of((b"\xff", b""), flags=0x800), context).code is (
        Failure.BAD_CONTAINER
    )


@pytest.mark.parametrize(("of", "name"), [(b"caf?.txt", "café.txt"), (b"other", "caf?.txt")])
def test_the_unicode_path_counts_where_it_is_of_this_name(
    context: StorageContext, of: bytes, name: str
) -> None:
    path = b"\x01" + struct.pack("<L", zlib.crc32(of)) + "café.txt".encode()
    other = struct.pack("<HH", 0x5455, 3) + b"\x01\x02\x03"
    extra = other + struct.pack("<HH", 0x7075, len(path)) + path

    names, _ = remarked("x.zip", zip_of((b"caf?.txt", b"1"), extra=extra), context)

    assert names == [name]


def test_what_only_a_mac_knows_is_left_out_with_a_remark(context: StorageContext) -> None:
    content = zip_of(
        ("U\u0308bersicht/".encode(), b""),
        ("U\u0308bersicht/Cafe\u0301.txt".encode(), b"a picture"),
        (b"__MACOSX/", b""),
        ("__MACOSX/U\u0308bersicht/._Cafe\u0301.txt".encode(), b"fork"),
        (b"__MACOSX/own.txt", b"kept: the name alone is no reason"),
    )

    names, remarks = remarked("x.zip", content, context)

    assert names == ["U\u0308bersicht/Cafe\u0301.txt", "__MACOSX/own.txt"]
    assert remarks == (
        "left out the macOS attributes of a file: __MACOSX/U\u0308bersicht/._Cafe\u0301.txt"
    )


def test_a_member_without_a_name_is_refused(context: StorageContext) -> None:
    refusal = refused("x.zip", zip_of((b"", b"x")), context)

    assert (refusal.code, refusal.message) == (
        Failure.BAD_CONTAINER,
        "it has a member without a name",
    )


@pytest.mark.parametrize("attributes", [0o040755 << 16, 0])
def test_a_folder_with_content_is_refused(context: StorageContext, attributes: int) -> None:
    name = b"a" if attributes else b"a/"

    refusal = refused("x.zip", zip_of((name, b"x"), attributes=attributes), context)

    assert "is a folder with content" in refusal.message


def test_a_folder_by_its_attributes_alone_is_no_file(context: StorageContext) -> None:
    content = zip_of((b"a", b""), (b"b", b""), attributes=0x10, made_on=ON_FAT)

    assert refused("x.zip", content, context).message == "x.zip has no file in it"


@pytest.mark.parametrize("member_count", [1, None])
def test_a_directory_of_too_many_headers_is_refused_before_it_is_read(
    context: StorageContext, member_count: int | None
) -> None:
    content = zip_of(*[(b"", b"")] * 80_000, member_count=member_count)
    container = staged("x.zip", content, context)
    tracemalloc.start()

    with pytest.raises(container_limits.Refused) as caught:
        list(container.members())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert caught.value.code is Failure.CONTAINER_LIMIT
    assert peak < 30 * 1024**2  # the window of StagedReader, and no object for a header


# Tars


def gnu_header(name: bytes, kind: bytes, size: int, *, prefix: bytes = b"") -> bytes:
    """A header in GNU tar's own format, with `prefix` where ustar has the first part of a name."""
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, size
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[:100] = name.ljust(100, b"\0")
    header[345 : 345 + len(prefix)] = prefix
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def gnu_tar(*members: tuple[bytes, bytes, bytes, bytes]) -> bytes:
    """A tar of members: name, type, content, and the prefix of the header."""
    parts = [
        gnu_header(name, kind, len(content), prefix=prefix)
        + content.ljust(-(-len(content) // 512) * 512, b"\0")
        for name, kind, content, prefix in members
    ]
    return b"".join(parts) + bytes(1024)


TIMES = b"15303065526\x0015303065553\0"


def test_times_in_an_incremental_header_are_no_part_of_the_name(context: StorageContext) -> None:
    content = gnu_tar(
        (b"letters/", b"D", b"Yindex.txt\0\0", TIMES),
        (b"letters/index.txt", b"0", b"one", TIMES),
        (b"letters/1901/may.txt", b"0", b"two", b"\x80" + bytes(11)),
    )

    assert found_in("x.tar", content, context) == {
        "letters/index.txt": b"one",
        "letters/1901/may.txt": b"two",
    }


def test_a_prefix_that_is_no_time_is_a_prefix(context: StorageContext) -> None:
    content = gnu_tar((b"may.txt", b"0", b"x", b"letters/1901"))

    assert found_in("x.tar", content, context) == {"letters/1901/may.txt": b"x"}


def test_a_label_is_left_out_with_a_remark(context: StorageContext) -> None:
    content = gnu_tar((b"Tape 7", b"V", b"", b""), (b"a.txt", b"0", b"x", b""))

    assert remarked("x.tar", content, context) == (["a.txt"], "left out the tar's label: Tape 7")


def test_a_file_that_begins_in_another_volume_is_refused(context: StorageContext) -> None:
    refusal = refused("x.tar", gnu_tar((b"a.txt", b"M", b"rest", b"")), context)

    assert "another volume" in refusal.message


@pytest.mark.parametrize("kind", ["x.tar", "x.tar.gz"])
def test_folders_are_counted(context: StorageContext, kind: str) -> None:
    header = gnu_header(b"folder/", b"5", 0)
    content = header * (container_limits.MAX_HEADERS + 1) + bytes(1024)
    packed = zlib.compress(content, wbits=31) if kind == "x.tar.gz" else content

    refusal = refused(kind, packed, context)

    assert refusal.code is Failure.CONTAINER_LIMIT
    assert "files and folders" in refusal.message


def pax(records: bytes) -> bytes:
    """A tar of one file with these attributes."""
    return (
        gnu_header(b"pax", b"x", len(records))
        + records.ljust(-(-len(records) // 512) * 512, b"\0")
        + gnu_header(b"short", b"0", 1)
        + b"x".ljust(512, b"\0")
        + bytes(1024)
    )


def test_attributes_give_a_member_its_name(context: StorageContext) -> None:
    path = "long/naïve.txt"
    record = f" path={path}\n".encode()
    record = b"%d" % (len(record) + 2) + record

    assert found_in("x.tar", pax(record), context) == {path: b"x"}


@pytest.mark.parametrize(
    "records", [b"9" * 1000, b"0 a=b\n", b"6 a=b", b"7 a=b\n", b"x", b"5 ab\n"]
)
def test_invalid_attributes_are_refused(context: StorageContext, records: bytes) -> None:
    assert refused("x.tar", pax(records), context).code is Failure.BAD_CONTAINER


def test_a_million_digits_are_read_as_any_attribute(context: StorageContext) -> None:
    record = b"%d comment=%b\n" % (1_000_017, b"9" * 1_000_000)

    assert found_in("x.tar", pax(record), context) == {"short": b"x"}


# Both


@pytest.mark.parametrize(
    "names",
    [
        ["a", "a/b.txt"],
        ["a/b.txt", "a"],
        ["a/b", "a-b", "a"],
        ["x/y/z", "x/y.txt", "x/y"],
    ],
)
@pytest.mark.parametrize("kind", ["x.zip", "x.tar"])
def test_a_file_where_a_folder_has_to_be_is_refused(
    context: StorageContext, kind: str, names: list[str]
) -> None:
    content = (
        zip_of(*[(name.encode(), b"x") for name in names])
        if kind == "x.zip"
        else tarred(dict.fromkeys(names, b"x"))
    )

    refusal = refused(kind, content, context)

    assert refusal.code is Failure.CONTAINER_LIMIT
    assert refusal.message.endswith("is a file and a folder")


def test_a_file_named_like_an_empty_folder_is_refused(context: StorageContext) -> None:
    content = zip_of((b"photos/", b""), (b"photos", b"x"))

    assert "photos is a file and a folder" in refused("x.zip", content, context).message


@given(names=st.sets(st.text("ab/-. ", min_size=1, max_size=8), min_size=1, max_size=12))
def test_files_and_folders_collide_as_on_a_disk(names: set[str]) -> None:
    kept = {container_limits.safe_name(name) for name in names if _is_plain(name)}
    on_disk = any(one != other and other.startswith(f"{one}/") for one in kept for other in kept)
    found = container_limits.ContainerLimits(0, lambda: 900.0)
    for name in sorted(kept):
        found.admit(name)

    if on_disk:
        with pytest.raises(container_limits.Refused):
            found.check_names()
    else:
        found.check_names()


def _is_plain(name: str) -> bool:
    try:
        container_limits.safe_name(name)
    except container_limits.Refused:
        return False
    return True


def test_names_that_some_disk_cannot_hold_are_remarked(context: StorageContext) -> None:
    names = ["Readme.txt", "README.TXT", "CON", "b/C:x", "a.", "caf\u00e9", "cafe\u0301"]

    found, remarks = remarked("x.tar", tarred(dict.fromkeys(names, b"x")), context)

    assert sorted(found) == sorted(names)
    assert "ignores case or composition: README.TXT and Readme.txt and 1 more" in remarks
    assert "Windows reserves the name CON for a device: CON" in remarks
    assert "Windows does not allow : in a name: b/C:x" in remarks
    assert "ends in a dot or a space: a." in remarks


def test_a_carriage_return_in_a_name_is_kept_with_a_remark(context: StorageContext) -> None:
    found, remarks = remarked("x.tar", tarred({"Icon\r": b""}), context)

    assert found == ["Icon\r"]
    assert remarks.endswith("Windows does not allow control characters in a name: Icon\ufffd")


def test_empty_folders_are_left_out_with_a_remark(context: StorageContext) -> None:
    content = zip_of((b"a/", b""), (b"a/b/", b""), (b"c/", b""), (b"c/d.txt", b"x"), (b"e/", b""))

    assert remarked("x.zip", content, context) == (
        ["c/d.txt"],
        "left out an empty folder: a/b/ and 1 more",
    )


def test_a_tar_of_other_than_utf8_names_is_refused_in_words_that_can_be_stored(
    context: StorageContext,
) -> None:
    content = gnu_tar((b"caf\xe9", b"0", b"x", b""))

    assert refused("x.tar", content, context).message == "the name caf\ufffd is not UTF-8"
    link = tar_member("bad\udcff\udcfe", tarfile.SYMTYPE, linkname="x")
    refused("x.tar", link, context).message.encode()


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(name=st.binary(max_size=30), made_on=st.sampled_from([0, 3, 10, 19]), kind=st.integers(0, 1))
def test_whatever_a_name_is_it_is_kept_or_refused_in_plain_words(
    context: StorageContext, name: bytes, made_on: int, kind: int
) -> None:
    content = (
        gnu_tar((name[:99], b"0", b"x", b"")) if kind else zip_of((name, b"x"), made_on=made_on)
    )
    try:
        names, remarks = remarked("x.tar" if kind else "x.zip", content, context)
    except container_limits.Refused as refusal:
        remarks, names = refusal.message, []
    "".join((remarks, *names)).encode()
    assert len(remarks.splitlines()) <= 1


# In a deposit


def test_remarks_are_reported_by_the_step_that_unpacks(
    context: StorageContext, payloads: PayloadServer
) -> None:
    url = payloads.serve("/x.zip", zip_of((b"a.txt", b"x"), (b"b/", b"")))

    done = drive(step_input({"kind": "container", "url": url, "name": "x.zip"}), context)

    unpacked = done.outcomes["downloading"]
    assert isinstance(unpacked, Done)
    assert unpacked.message == "left out an empty folder: b/"
    assert held(context, context.work_bucket) == {}


def test_remarks_survive_the_death_of_their_worker(
    context: StorageContext, payloads: PayloadServer
) -> None:
    url = payloads.serve("/x.zip", zip_of((b"a.txt", b"x"), (b"b/", b"")))
    one = step_input({"kind": "container", "url": url, "name": "x.zip"})
    downloading = dict(DEPOSIT.steps)["downloading"]
    downloading(one, context)  # and its worker dies before it has written the result

    again = downloading(one, context)

    assert isinstance(again, Done)
    assert again.message == "left out an empty folder: b/"
    assert payloads.requested("GET") == ["/x.zip"]


def test_a_container_without_end_stops_when_the_workers_time_is_up(context: StorageContext) -> None:
    left = iter([900.0] * 52 + [1.0] * 100)  # a window, a block and 50 headers
    content = gnu_header(b"folder/", b"5", 0) * 100 + bytes(1024)
    container = staged("x.tar", content, replace(context, remaining=lambda: next(left)))

    with pytest.raises(container_limits.Refused) as caught:
        list(container.members())

    assert caught.value.code is Failure.TIMEOUT
    assert container._limits.headers == 51
