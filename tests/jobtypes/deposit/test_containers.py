import bz2
import gzip
import io
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job_type import Fail, Snooze
from jobyard.jobtypes.deposit import container_limits
from jobyard.jobtypes.deposit.containers import Container
from jobyard.jobtypes.deposit.content import Staged
from jobyard.jobtypes.deposit.member import Member
from jobyard.jobtypes.deposit.refusal import Refused
from jobyard.jobtypes.deposit.staged_reader import StagedReader
from jobyard.jobtypes.step_context import StorageContext
from tests.jobtypes.deposit.deposits import content_key, drive, held, step_input
from tests.jobtypes.payload_server import PayloadServer

FILES = {"a.txt": b"alpha", "folder/b.bin": bytes(range(256)) * 5000, "empty": b""}


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", method) as archive:
        archive.mkdir("folder")
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return into.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w") as archive:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return into.getvalue()


def tar_member(name: str, kind: bytes = tarfile.REGTYPE, **fields: Any) -> bytes:
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.type = kind
        for field, value in fields.items():
            setattr(info, field, value)
        archive.addfile(info)
    return into.getvalue()


def staged(name: str, content: bytes, context: StorageContext) -> Container:
    """The container in the work bucket."""
    put = context.s3.put_object(Bucket=context.work_bucket, Key="staging/c", Body=content)
    reader = StagedReader(
        context.s3,
        context.work_bucket,
        Staged("staging/c", put["ETag"], len(content), {}),
        context.remaining,
    )
    return Container(name, len(content), reader, context.remaining)


def found_in(name: str, content: bytes, context: StorageContext) -> dict[str, bytes]:
    """The members found in a container, which is staged for it."""
    container = staged(name, content, context)
    return {member.name: b"".join(member.blocks) for member in container.members()}


def refused(name: str, content: bytes, context: StorageContext) -> Refused:
    with pytest.raises(Refused) as caught:
        found_in(name, content, context)
    return caught.value


CONTAINERS: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "x.zip": zipped,
    "X.ZIP": lambda files: zipped(files, zipfile.ZIP_STORED),
    "x.tar": tarred,
    "x.tar.gz": lambda files: gzip.compress(tarred(files)),
    "x.tar.bz2": lambda files: bz2.compress(tarred(files)),
    "x.bz2": lambda files: bz2.compress(tarred(files)),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_kind_of_container_gives_its_files_and_not_its_folders(
    context: StorageContext, name: str
) -> None:
    assert found_in(name, CONTAINERS[name](FILES), context) == FILES


def test_a_bzip2_of_one_file_is_that_file(context: StorageContext) -> None:
    assert found_in("maps/map.tif.bz2", bz2.compress(b"abc"), context) == {"map.tif": b"abc"}


def test_a_gzip_in_several_parts_is_read_to_its_end(context: StorageContext) -> None:
    whole = tarred(FILES)
    parts = gzip.compress(whole[:700]) + gzip.compress(whole[700:])

    assert found_in("x.tar.gz", parts, context) == FILES


@pytest.mark.parametrize("name", CONTAINERS)
def test_members_that_nobody_reads_are_passed_over(context: StorageContext, name: str) -> None:
    content = CONTAINERS[name](FILES)
    container = staged(name, content, context)

    assert [member.name for member in container.members()] == list(FILES)


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_becomes_one_object_of_its_members(
    context: StorageContext, payloads: PayloadServer, name: str
) -> None:
    url = payloads.serve(f"/{name}", CONTAINERS[name](FILES))

    done = drive(step_input({"kind": "container", "url": url, "name": name}), context)

    assert done.ended_well, done.outcomes
    assert done.step_input.data["files"] == 3
    archive = held(context, context.archive_bucket)
    assert all(archive[content_key(content)] == content for content in FILES.values())
    assert len(archive) == 4  # the container itself is not kept
    assert held(context, context.work_bucket) == {}


def test_a_large_container_with_a_large_member_is_unpacked(
    context: StorageContext, payloads: PayloadServer
) -> None:
    files = {"big": b"0123456789abcdef" * 600_000, "small": b"x"}
    url = payloads.serve("/x.zip", zipped(files, zipfile.ZIP_STORED))

    done = drive(step_input({"kind": "container", "url": url, "name": "x.zip"}), context)

    assert done.ended_well
    assert held(context, context.archive_bucket)[content_key(files["big"])] == files["big"]


def test_unpacking_continues_where_it_stopped(
    context: StorageContext, payloads: PayloadServer
) -> None:
    files = {f"{n}.txt": b"%d" % n for n in range(50)}
    url = payloads.serve("/x.tar", tarred(files))
    puts: list[str] = []
    stop_at = [40]

    def count(params: dict[str, Any], **_: Any) -> None:
        puts.append(params["Key"])

    context.s3.meta.events.register("provide-client-params.s3.PutObject", count)
    limited = replace(context, remaining=lambda: 600.0 if len(puts) < stop_at[0] else 5.0)
    try:
        driven = drive(step_input({"kind": "container", "url": url, "name": "x.tar"}), limited)
        waited, first = driven.last, len(puts)
        stop_at[0] = 10_000
        driven.run_remaining(limited)
    finally:
        context.s3.meta.events.unregister("provide-client-params.s3.PutObject", count)

    assert isinstance(waited, Snooze)
    assert driven.ended_well
    assert driven.step_input.data["files"] == 50
    assert len(puts) - first < 20
    assert payloads.requested("GET") == ["/x.tar"]


# Refusals

BAD_NAMES = [
    "../x",
    "a/../../x",
    "/etc/passwd",
    "C:/x",
    "C:\\x",
    "..\\x",
    "\\x",
    "a\x01b",
    "a\nb",
    ".",
    "a" * 256,
    "/".join(["a" * 200] * 6),
]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("kind", ["x.zip", "x.tar"])
def test_a_name_that_leaves_its_folder_is_refused(
    context: StorageContext, kind: str, name: str
) -> None:
    content = CONTAINERS[kind]({"fine": b"", name: b"x"})

    assert refused(kind, content, context).code is Failure.CONTAINER_LIMIT


@pytest.mark.parametrize(
    ("name", "kept"), [("./a/b", "a/b"), ("a//b", "a/b"), ("naïve\u3000é.txt", "naïve\u3000é.txt")]
)
def test_a_name_is_kept_in_its_plain_form(context: StorageContext, name: str, kept: str) -> None:
    assert found_in("x.tar", tarred({name: b"x"}), context) == {kept: b"x"}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_refused(context: StorageContext) -> None:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive:
        archive.writestr("a", b"1")
        archive.writestr("a", b"2")

    assert refused("x.zip", into.getvalue(), context).code is Failure.CONTAINER_LIMIT
    twice = tarred({"a": b"1", "./a": b"2"})
    assert refused("x.tar", twice, context).code is Failure.CONTAINER_LIMIT


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (tarfile.SYMTYPE, {"linkname": "/etc/passwd"}),
        (tarfile.LNKTYPE, {"linkname": "a"}),
        (tarfile.CHRTYPE, {}),
        (tarfile.BLKTYPE, {}),
        (tarfile.FIFOTYPE, {}),
        (tarfile.GNUTYPE_SPARSE, {}),
    ],
)
def test_a_tar_member_that_is_no_plain_file_is_refused(
    context: StorageContext, kind: bytes, fields: dict[str, str]
) -> None:
    assert refused("x.tar", tar_member("a", kind, **fields), context).code is Failure.BAD_CONTAINER


def test_a_link_in_a_zip_is_refused(context: StorageContext) -> None:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive:
        info = zipfile.ZipInfo("a")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")

    assert refused("x.zip", into.getvalue(), context).code is Failure.BAD_CONTAINER


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_packed_by_a_method_without_bounds_is_refused(
    context: StorageContext, method: int
) -> None:
    content = zipped({"a": b"x" * 100}, method)

    assert refused("x.zip", content, context).code is Failure.BAD_CONTAINER


def test_an_encrypted_zip_is_refused(context: StorageContext) -> None:
    content = bytearray(zipped({"a": b"x"}))
    for signature, flags_at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.rindex(signature) + flags_at
        content[at] |= 1

    refusal = refused("x.zip", bytes(content), context)

    assert refusal.code is Failure.BAD_CONTAINER
    assert "encrypted" in refusal.message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.zip", b""),
        ("x.zip", b"no zip at all"),
        ("x.zip", zipped({})),
        ("x.zip", zipped(FILES)[:-30]),
        ("x.tar", b""),
        ("x.tar", b"no tar at all" * 100),
        ("x.tar", tarred({})),
        ("x.tar", tarred({"a": b"x" * 2000})[:1024]),
        ("x.tar", tarred({"a": b"x"})[:1536]),  # cut off between a member and the end mark
        ("x.tar", tarred({"a": b"x"})[:1536] + b"rubbish!" * 64),
        ("x.tar.gz", tarred(FILES)),
        ("x.tar.gz", gzip.compress(tarred(FILES))[:-9]),
        ("x.tar.gz", gzip.compress(tarred(FILES))[:-8] + b"12345678"),
        ("x.bz2", b"BZh9 but no bzip2"),
        ("x.tar.bz2", bz2.compress(tarred(FILES))[:-9]),
        ("x.rar", b"Rar!"),
    ],
)
def test_a_broken_container_is_refused(context: StorageContext, name: str, content: bytes) -> None:
    assert refused(name, content, context).code is Failure.BAD_CONTAINER


def test_a_zip_whose_member_is_not_what_its_checksum_says_is_refused(
    context: StorageContext,
) -> None:
    content = bytearray(zipped({"a": b"x" * 1000}, zipfile.ZIP_STORED))
    content[content.index(b"xxxx")] = ord("y")

    assert refused("x.zip", bytes(content), context).code is Failure.BAD_CONTAINER


# Bombs


def _read_through(found: Iterator[Member]) -> None:
    for member in found:
        for _ in member.blocks:
            pass


@pytest.mark.turns(2)
@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz", "x.tar.bz2", "x.bz2"])
def test_a_bomb_is_refused_by_its_ratio_in_bounded_memory(
    context: StorageContext, name: str
) -> None:
    content = CONTAINERS[name]({"bomb": bytes(80 * 1024**2)})
    container = staged(name, content, context)
    tracemalloc.start()

    with pytest.raises(Refused) as caught:
        _read_through(container.members())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert caught.value.code is Failure.CONTAINER_LIMIT
    assert peak < 40 * 1024**2


def test_a_tar_whose_names_are_a_bomb_is_refused_in_bounded_memory(context: StorageContext) -> None:
    header = tarfile.TarInfo("././@LongLink")
    header.type = tarfile.GNUTYPE_LONGNAME
    header.size = 60 * 1024**2
    content = gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + b"a" * header.size, 1)
    tracemalloc.start()

    refusal = refused("x.tar.gz", content, context)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert refusal.code is Failure.CONTAINER_LIMIT
    assert peak < 40 * 1024**2


def test_a_zip_whose_member_is_shorter_than_it_claims_is_refused(context: StorageContext) -> None:
    content = bytearray(zipped({"a": b"x"}, zipfile.ZIP_STORED))
    at = content.rindex(b"PK\x01\x02") + 24
    content[at : at + 4] = struct.pack("<L", 4_000_000)

    assert refused("x.zip", bytes(content), context).code is Failure.BAD_CONTAINER


def test_too_many_files_are_refused(context: StorageContext) -> None:
    content = zipped({str(n): b"" for n in range(container_limits.MAX_FILES + 1)})

    assert refused("x.zip", content, context).code is Failure.CONTAINER_LIMIT


def test_a_zip_with_a_directory_too_long_to_hold_is_refused(context: StorageContext) -> None:
    content = zipped({"a" * 200 + str(n): b"" for n in range(17_500)}, zipfile.ZIP_STORED)

    assert refused("x.zip", content, context).code is Failure.CONTAINER_LIMIT


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    name=st.sampled_from(sorted(CONTAINERS)),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
    cut=st.floats(0.3, 1),
)
def test_however_a_container_is_broken_it_is_refused_or_read(
    context: StorageContext, name: str, changes: list[tuple[float, int]], cut: float
) -> None:
    content = bytearray(CONTAINERS[name]({"a.txt": b"alpha" * 50, "b/c": b"x" * 700}))
    for where, value in changes:
        content[int(where * len(content))] = value

    try:
        found = found_in(name, bytes(content[: int(cut * len(content)) or 1]), context)
    except Refused as refusal:
        assert refusal.code in {Failure.BAD_CONTAINER, Failure.CONTAINER_LIMIT}  # noqa: PT017
    else:
        assert found


def test_what_unpacks_badly_stores_no_object(
    context: StorageContext, payloads: PayloadServer
) -> None:
    url = payloads.serve("/x.tar", tarred({"a": b"1"})[:1536])

    driven = drive(step_input({"kind": "container", "url": url, "name": "x.tar"}), context)

    assert isinstance(driven.last, Fail)
    assert (driven.last.code, driven.last.retryable) == (Failure.BAD_CONTAINER, False)
    assert not [key for key in held(context, context.archive_bucket) if key.startswith("objects/")]


LONG = 4 * 1024**2  # bytes of a window


@pytest.mark.turns(4)
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.tar.gz", b"\x1f\x8b\x08\x08" + bytes(5) + b"\xff" + b"n" * 2 * LONG),
        ("x.tar.gz", gzip.compress(tarred(FILES)) + bytes(2 * LONG)),
        ("x.tar.gz", gzip.compress(b"") * (LONG // 10)),
        ("x.tar.bz2", bz2.compress(b"") * (LONG // 7)),
    ],
    ids=["an endless name", "zeros at the end", "empty parts", "empty parts of bzip2"],
)
def test_what_packs_nothing_takes_no_longer_than_the_worker_has(
    context: StorageContext, name: str, content: bytes
) -> None:
    """A library reads on and on in it, by itself, and no member comes."""
    place = [0]
    short = replace(context, remaining=lambda: 600.0 if place[0] < LONG else 5.0)
    container = staged(name, content, short)
    reader = container.reader

    def fetched(start: int, fetch: Callable[[int], bytes] = reader._fetched) -> bytes:
        place[0] = start
        return fetch(start)

    reader._fetched = fetched  # type: ignore[method-assign]
    with pytest.raises(Refused) as caught:
        list(container.members())

    assert caught.value.code is Failure.TIMEOUT
    assert reader.tell() == LONG


def test_a_skipped_member_that_unpacks_to_much_takes_no_longer(
    context: StorageContext,
) -> None:
    """As on a retry, when the files that are there already are not asked for again."""
    content = gzip.compress(tarred({"zeros": bytes(32 * 1024**2)}))
    left = iter([600.0] * 10)
    container = staged("x.tar.gz", content, replace(context, remaining=lambda: next(left, 5.0)))

    with pytest.raises(Refused) as caught:
        list(container.members())

    assert caught.value.code is Failure.TIMEOUT
    assert container._limits.unpacked_bytes < 16 * 1024**2
