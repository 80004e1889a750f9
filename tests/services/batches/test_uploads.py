"""An uploaded stream is stored completely or not at all, and in memory only."""

import random
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from jobyard.services.batches.uploads import PART_BYTES, MultipartUpload
from tests.call_interceptor import Answer, Call, CallInterceptor, Listener
from tests.harness import Clients

MIB = 1024 * 1024


class Noting(Listener):
    """Counts the calls of S3, and the sizes of its parts."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.parts: list[int] = []

    def prepare(self, call: Call) -> None:
        self.calls[call.operation] += 1
        if call.operation == "UploadPart":
            self.parts.append(len(call.parameters["Body"]))


@pytest.fixture
def s3(aws_clients: Clients, aws_semantics: CallInterceptor) -> Any:
    return aws_clients.s3


@pytest.fixture
def noting(s3: Any, aws_semantics: CallInterceptor) -> Iterator[Noting]:
    listener = Noting()
    with aws_semantics.listening(listener):
        yield listener


def some(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def read(s3: Any, key: str) -> bytes:
    body: bytes = s3.get_object(Bucket="work", Key=key)["Body"].read()
    return body


def unfinished(s3: Any) -> list[str]:
    found = s3.list_multipart_uploads(Bucket="work").get("Uploads", [])
    return [each["Key"] for each in found]


def write(s3: Any, key: str, content: bytes, step: int = 100_003) -> Any:
    with MultipartUpload(s3, "work", key) as upload:
        for at in range(0, len(content), step):
            upload.write(content[at : at + step])
        return upload.finish()


@pytest.mark.parametrize("size", [0, 1, PART_BYTES - 1])
def test_what_is_small_is_one_call(s3: Any, noting: Noting, size: int) -> None:
    written = write(s3, "up/small", some(size))

    assert noting.calls == {"PutObject": 1}
    assert written.size == size
    assert read(s3, "up/small") == some(size)


@pytest.mark.parametrize("size", [PART_BYTES, 3 * PART_BYTES + 17])
def test_a_large_upload_has_parts_that_s3_accepts(s3: Any, noting: Noting, size: int) -> None:
    written = write(s3, "up/large", some(size))

    assert noting.calls["PutObject"] == 0
    assert all(5 * MIB <= part < PART_BYTES + MIB for part in noting.parts[:-1])
    assert written.size == size
    assert read(s3, "up/large") == some(size)
    assert unfinished(s3) == []


def test_what_fails_leaves_nothing(s3: Any) -> None:
    def blocks() -> Iterator[bytes]:
        yield some(2 * PART_BYTES)
        raise ValueError("half of it")

    with pytest.raises(ValueError, match="half"), MultipartUpload(s3, "work", "up/half") as upload:
        deque(map(upload.write, blocks()), 0)

    assert unfinished(s3) == []
    assert "Contents" not in s3.list_objects_v2(Bucket="work", Prefix="up/half")


def test_what_is_not_finished_leaves_what_was_there(s3: Any) -> None:
    write(s3, "up/before", b"whole")

    with MultipartUpload(s3, "work", "up/before") as upload:
        upload.write(some(2 * PART_BYTES))

    assert read(s3, "up/before") == b"whole"
    assert unfinished(s3) == []


def test_the_key_is_asked_for_when_it_is_needed(s3: Any) -> None:
    keys = iter(["up/late"])
    with MultipartUpload(s3, "work", lambda: next(keys)) as upload:
        upload.write(some(PART_BYTES))
        upload.write(b"end")
        assert upload.finish().key == "up/late"


class LosingTheAnswer(Listener):
    """The first completion is done and its answer lost; the client tries again."""

    def __init__(self, s3: Any, interceptor: CallInterceptor) -> None:
        self._s3, self._interceptor = s3, interceptor

    def before(self, call: Call) -> Answer | None:
        if call.operation == "CompleteMultipartUpload":
            with self._interceptor.muted():
                self._s3.complete_multipart_upload(**call.parameters)
            return Answer.error(404, "NoSuchUpload", "The upload is no more")
        return None


def test_a_completion_whose_answer_was_lost_is_one(s3: Any, aws_semantics: CallInterceptor) -> None:
    with aws_semantics.listening(LosingTheAnswer(s3, aws_semantics)):
        written = write(s3, "up/lost", some(PART_BYTES + 1))

    assert written.size == PART_BYTES + 1
    assert written.version == s3.head_object(Bucket="work", Key="up/lost")["VersionId"]


class Silent(Listener):
    """A completion gets no answer."""

    def before(self, call: Call) -> Answer | None:
        if call.operation == "CompleteMultipartUpload":
            raise ReadTimeoutError(endpoint_url="https://s3.example.org")
        return None


def test_a_completion_without_an_answer_fails_and_leaves_nothing(
    s3: Any, aws_semantics: CallInterceptor
) -> None:
    with aws_semantics.listening(Silent()), pytest.raises(ReadTimeoutError):
        write(s3, "up/silent", some(PART_BYTES + 1))

    assert unfinished(s3) == []


def test_slices_are_put_together_whatever_their_sizes(s3: Any, noting: Noting) -> None:
    sizes = [3, 6 * MIB, 0, 5 * MIB, 5 * MIB - 1, 9 * MIB, 9 * MIB, 1]
    slices = [write(s3, f"up/slice-{n}", some(size, n)) for n, size in enumerate(sizes)]
    noting.parts.clear()

    with MultipartUpload(s3, "work", "up/together") as together:
        for each in slices:
            together.add(each)
        together.write(b"the end")
        written = together.finish()

    expected = b"".join(some(size, n) for n, size in enumerate(sizes)) + b"the end"
    assert read(s3, "up/together") == expected
    assert written.size == len(expected)
    assert noting.calls["UploadPartCopy"] > 0


@pytest.mark.parametrize("size", [10, 6 * MIB])
def test_the_exact_version_of_a_slice_is_used(s3: Any, size: int) -> None:
    first = write(s3, "up/twice", some(size, 1))
    write(s3, "up/twice", some(size, 2))

    with MultipartUpload(s3, "work", "up/of-the-first") as together:
        together.add(first)
        together.finish()

    assert read(s3, "up/of-the-first") == some(size, 1)
