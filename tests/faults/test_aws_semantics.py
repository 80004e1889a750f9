"""Each listener takes effect: without it, the emulator would be more lenient than AWS."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from cli.local import clients
from jobyard.store import tables
from tests.call_interceptor import Call, CallInterceptor
from tests.faults.aws_semantics import (
    Capacity,
    Conflict,
    Conflicting,
    Refusing,
    Sizes,
    Stale,
    bare_reserved,
    key_names,
    size_of,
)
from tests.faults.injection import Fault, FunctionDied, Injector, Point, faults_of
from tests.faults.scenario import ScenarioRunner
from tests.harness import Clients, Harness

INSERT = "INSERT INTO \"test-jobs\" VALUE {'chunk_id': ?, 'position': ?, 's': ?, 'v': ?, 'b': ?}"
_numbers = iter(range(10**6))


@pytest.fixture
def chunk() -> str:
    """A chunk that no other test uses."""
    return f"strict-{next(_numbers)}#0"


@pytest.fixture
def dynamodb(aws_semantics: CallInterceptor) -> Any:
    """The store's client."""
    return tables.client()


@pytest.fixture
def raw(store_endpoint: str) -> Any:
    """A client without listeners."""
    return clients.client("dynamodb", store_endpoint)


def insert(chunk: str, position: int = 0) -> dict[str, Any]:
    values = [{"S": chunk}, {"N": str(position)}, {"S": "running"}, {"N": "1"}, {"S": "{}"}]
    return {"Statement": INSERT, "Parameters": values}


def put_chunk(client: Any, number: int, version: int = 1) -> None:
    key = {"batch_id": {"S": "strict"}, "chunk": {"N": str(number)}}
    client.put_item(TableName="test-chunks", Item=key | {"version": {"N": str(version)}})


def batch(client: Any, *statements: dict[str, Any]) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = client.batch_execute_statement(Statements=[*statements])[
        "Responses"
    ]
    return answers


def codes(answers: list[dict[str, Any]]) -> list[str]:
    return [answer.get("Error", {}).get("Code", "") for answer in answers]


def stored(raw: Any, chunk: str) -> list[str]:
    found = raw.query(
        TableName="test-jobs",
        KeyConditionExpression="chunk_id = :c",
        ExpressionAttributeValues={":c": {"S": chunk}},
    )
    return [item["position"]["N"] for item in found["Items"]]


def test_a_refused_statement_hands_back_no_item(dynamodb: Any, raw: Any, chunk: str) -> None:
    batch(dynamodb, insert(chunk))
    again = {
        "Statement": 'UPDATE "test-jobs" SET "v" = ? WHERE "chunk_id" = ? AND "position" = ?'
        ' AND "v" = ?',
        "Parameters": [{"N": "3"}, {"S": chunk}, {"N": "0"}, {"N": "2"}],
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }

    (kind,), (aws_semantics,) = batch(raw, again), batch(dynamodb, again)

    assert kind["Error"]["Code"] == aws_semantics["Error"]["Code"] == "ConditionalCheckFailed"
    assert "Item" in kind["Error"] or "Item" in kind
    assert "Item" not in aws_semantics["Error"]
    assert "Item" not in aws_semantics


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        (lambda chunk: [insert(chunk), insert(chunk)], "duplicates"),
        (lambda chunk: [insert(chunk, n) for n in range(26)], "less than or equal to 25"),
        (
            lambda chunk: [
                insert(chunk),
                {
                    "Statement": 'SELECT * FROM "test-jobs" WHERE "chunk_id" = ?'
                    ' AND "position" = ?',
                    "Parameters": [{"S": chunk}, {"N": "1"}],
                },
            ],
            "Mixed read and write",
        ),
        (
            lambda chunk: [{**insert(chunk), "Statement": INSERT + " " * 8192}],
            "less than or equal to 8192",
        ),
    ],
    ids=["names an item twice", "has 26 statements", "reads and writes", "is too long"],
)
def test_a_batch_of_statements_is_refused_that(
    statements: Any, words: str, dynamodb: Any, raw: Any, chunk: str
) -> None:
    with pytest.raises(ClientError, match=words):
        batch(dynamodb, *statements(chunk))

    assert stored(raw, chunk) == []


def test_a_reserved_word_has_to_be_quoted(dynamodb: Any, raw: Any, chunk: str) -> None:
    bare = {
        "Statement": 'UPDATE "test-jobs" SET state = ? WHERE "chunk_id" = ? AND "position" = ?',
        "Parameters": [{"S": "x"}, {"S": chunk}, {"N": "7"}],
    }
    assert bare_reserved(bare["Statement"]) == ["state"]
    assert bare_reserved(INSERT) == []

    answers = batch(dynamodb, insert(chunk), bare, insert(chunk, 1))

    assert codes(answers) == ["", "ValidationError", ""]
    assert stored(raw, chunk) == ["0", "1"]


@pytest.mark.parametrize(("applied", "kept"), [(True, ["0", "1", "2", "3"]), (False, ["0", "2"])])
def test_each_second_statement_is_answered_with_an_error(
    applied: bool,
    kept: list[str],
    dynamodb: Any,
    raw: Any,
    aws_semantics: CallInterceptor,
    chunk: str,
) -> None:
    profile = Refusing("InternalServerError", applied=applied, every=2)
    with aws_semantics.listening(profile):
        answers = batch(dynamodb, *(insert(chunk, n) for n in range(4)))

    assert codes(answers) == ["", "InternalServerError", "", "InternalServerError"]
    assert stored(raw, chunk) == kept
    assert profile.hits == 2


def test_a_batch_of_which_every_statement_is_refused_is_not_sent(
    dynamodb: Any, raw: Any, aws_semantics: CallInterceptor, chunk: str
) -> None:
    with aws_semantics.listening(Refusing("ThrottlingError", applied=False, every=1)):
        answers = batch(dynamodb, insert(chunk), insert(chunk, 1))

    assert codes(answers) == ["ThrottlingError", "ThrottlingError"]
    assert stored(raw, chunk) == []


def test_every_second_transaction_is_cancelled_for_a_conflict(
    dynamodb: Any, aws_semantics: CallInterceptor
) -> None:
    key = {"batch_id": {"S": "strict"}, "chunk": {"N": "8"}}
    put = {"Put": {"TableName": "test-chunks", "Item": key}}
    with aws_semantics.listening(Conflicting()):
        with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as cancelled:
            dynamodb.transact_write_items(TransactItems=[put])
        dynamodb.transact_write_items(TransactItems=[put])

    assert [each["Code"] for each in cancelled.value.response["CancellationReasons"]] == [
        "TransactionConflict"
    ]


def test_an_eventually_consistent_read_lacks_three_writes(
    dynamodb: Any, raw: Any, aws_semantics: CallInterceptor
) -> None:
    query = {
        "TableName": "test-chunks",
        "KeyConditionExpression": "batch_id = :b",
        "ExpressionAttributeValues": {":b": {"S": "strict"}},
    }

    def versions(*, strong: bool = False) -> list[str]:
        found = dynamodb.query(**query, ConsistentRead=strong)["Items"]
        return [each["version"]["N"] for each in found if each["chunk"]["N"] == "7"]

    keys = {"test-chunks": key_names()["test-chunks"]}
    with Stale(raw, keys).copying() as stale, aws_semantics.listening(stale):
        for version in range(1, 6):
            put_chunk(dynamodb, 7, version)

        assert versions(strong=True) == ["5"]
        assert versions() == ["2"]
        stale.catch_up()
        assert versions() == ["5"]


def test_an_index_lacks_the_last_three_writes(harness: Harness, raw: Any) -> None:
    keys = {"test-batches": key_names()["test-batches"]}
    with Stale(raw, keys).copying() as stale, harness.interceptor.listening(stale):
        event = harness.upload("nonsense", name="x.checkm", collection="maps")
        harness.open({"input": event, "execution": "x"})

        assert harness.batch(harness.batch_id_of(event)).batch.state == "reporting"
        assert tables.client().scan(TableName="test-batches")["Items"] == []
        with pytest.raises(AssertionError, match="test-jobs is not strong"):
            tables.client().scan(TableName="test-jobs")
        assert stale.hits > 0


def test_a_table_limits_its_write_rate(
    dynamodb: Any, raw: Any, aws_semantics: CallInterceptor
) -> None:
    seconds = [0.0]
    profile = Capacity(key_names(), table=6, key=4, clock=lambda: seconds[0])
    one, other = (f"strict-{next(_numbers)}#0" for _ in range(2))
    with aws_semantics.listening(profile):
        of_a_key = codes(batch(dynamodb, *(insert(one, n) for n in range(5))))
        of_the_table = codes(batch(dynamodb, *(insert(other, n) for n in range(3))))
        seconds[0] = 0.5
        later = codes(batch(dynamodb, insert(one, 4), insert(other, 2)))

    assert of_a_key == ["", "", "", "", "ThrottlingError"]
    assert of_the_table == ["", "", "ThrottlingError"]
    assert later == ["", ""]
    assert profile.units["test-jobs"] == 8


def test_the_sizes_of_what_is_written_are_seen(
    dynamodb: Any, aws_semantics: CallInterceptor, chunk: str
) -> None:
    sizes = Sizes()
    with aws_semantics.listening(sizes):
        batch(dynamodb, insert(chunk))
        put_chunk(dynamodb, 123)

    # chunk_id, its 10 or 11 characters; position and 0; s, running; v and 1; b and {}
    assert sizes.largest["test-jobs"] == 8 + len(chunk) + 8 + 2 + 1 + 7 + 1 + 2 + 1 + 2
    assert sizes.largest["test-chunks"] == 8 + 6 + 5 + 3 + 7 + 2
    assert size_of({"m": {"M": {"a": {"L": [{"S": "é"}]}}}}) == 1 + 3 + 1 + 1 + 3 + 1 + 2


# S3


@pytest.mark.parametrize("operation", ["head_object", "get_object"])
def test_without_the_right_to_list_a_missing_object_is_forbidden(
    operation: str, aws_clients: Clients, interceptor: CallInterceptor
) -> None:
    answers = {}
    for role in ("IngestRole", "ExecuteRole"):
        interceptor.role = role
        try:
            with pytest.raises(ClientError) as missing:
                getattr(aws_clients.s3, operation)(Bucket="intake", Key="nothing")
        finally:
            interceptor.role = ""
        answers[role] = missing.value.response["ResponseMetadata"]["HTTPStatusCode"]

    assert answers == {"IngestRole": 404, "ExecuteRole": 403}


def test_a_copy_over_what_is_there_is_refused_when_it_is_to_be_new(aws_clients: Clients) -> None:
    for key in ("from", "taken"):
        aws_clients.s3.put_object(Bucket="work", Key=key, Body=b"x")
    copy = {"Bucket": "work", "CopySource": {"Bucket": "work", "Key": "from"}, "IfNoneMatch": "*"}

    with pytest.raises(ClientError, match="PreconditionFailed"):
        aws_clients.s3.copy_object(Key="taken", **copy)
    aws_clients.s3.copy_object(Key=f"free-{next(_numbers)}", **copy)


def _upload(s3: Any, *sizes: int, **condition: str) -> dict[str, Any]:
    """A multipart upload with parts of these sizes."""
    of = {"Bucket": "work", "Key": f"parts-{next(_numbers)}"}
    of["UploadId"] = s3.create_multipart_upload(**of)["UploadId"]
    parts = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(**of, PartNumber=number, Body=b"x" * size)["ETag"],
        }
        for number, size in enumerate(sizes, start=1)
    ]
    try:
        answer: dict[str, Any] = s3.complete_multipart_upload(
            **of, MultipartUpload={"Parts": parts}, **condition
        )
    except ClientError:
        s3.abort_multipart_upload(**of)  # the bucket is shared: other tests check for leftovers
        raise
    return answer


def test_parts_but_the_last_have_five_megabytes(aws_clients: Clients) -> None:
    with pytest.raises(ClientError, match="EntityTooSmall"):
        _upload(aws_clients.s3, 1000, 1000)

    assert _upload(aws_clients.s3, 5 * 1024**2, 1000)["ETag"].strip('"').endswith("-2")


def test_functions_must_ask_that_nothing_in_the_archive_is_overwritten(
    aws_clients: Clients, aws_semantics: CallInterceptor
) -> None:
    put = {"Bucket": "archive", "Key": f"once-{next(_numbers)}", "Body": b"x"}

    aws_semantics.role = "ExecuteRole"
    try:
        with pytest.raises(ClientError, match="explicit deny"):
            aws_clients.s3.put_object(**put)
        aws_clients.s3.put_object(**put, IfNoneMatch="*")
    finally:
        aws_semantics.role = ""


def test_one_completion_meets_another_writer(
    aws_clients: Clients, interceptor: CallInterceptor
) -> None:
    with interceptor.listening(Conflict()):
        with pytest.raises(ClientError, match="ConditionalRequestConflict"):
            _upload(aws_clients.s3, 10, IfNoneMatch="*")
        _upload(aws_clients.s3, 10, IfNoneMatch="*")


# Injection


@pytest.fixture
def inject(harness: Harness) -> Any:
    """Put an object by a call that fails. Returns what was raised, and whether it exists."""

    def put(fault: Fault) -> tuple[str, bool]:
        key = f"fault-{next(_numbers)}"
        injector = Injector({Point("s3", "PutObject", f"work/{key}", 1): fault})
        raised = ""
        with harness.interceptor.listening(injector), injector.watching():
            try:
                injector.trigger(lambda: harness.s3.put_object(Bucket="work", Key=key, Body=b"x"))
            except Exception as error:
                raised = f"{type(error).__name__}: {error}"
            if injector.dead:
                with pytest.raises(FunctionDied):
                    harness.s3.head_object(Bucket="work", Key=key)
        assert len(injector.injected) == 1
        exists = "Contents" in harness.s3.list_objects_v2(Bucket="work", Prefix=key)
        return raised, exists

    return put


@pytest.mark.parametrize(
    ("number", "raised", "there"),
    [
        (0, "InternalError", False),
        (1, "ReadTimeoutError", True),
        (2, "SlowDown", False),
        (3, "Died", False),
        (4, "Died", True),
        (5, "", True),
    ],
)
def test_an_injected_fault(number: int, raised: str, there: bool, inject: Any) -> None:
    fault = faults_of(Point("s3", "PutObject", "", 1))[number]

    error, exists = inject(fault)

    assert raised in error
    assert bool(raised) == bool(error)
    assert exists is there


def test_a_batch_that_is_reported_twice_would_be_seen(runner: ScenarioRunner) -> None:
    """The ends of runs differ when one mail is sent that should not be."""
    baseline = runner.run()
    send = next(point for point in baseline.points if point.operation == "SendEmail")

    def send_another(injector: Injector, call: Call) -> None:
        with injector.ignoring():
            runner.harness.ses.send_email(**call.parameters)

    result = runner.run({send: Fault("sends another mail", prepare=send_another)})

    assert len(result.end["mails"]) == len(baseline.end["mails"]) + 1
