"""The context of a step: a payload server, S3 and the objects' records on moto."""

import inspect
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, cast

import boto3
import pytest
from botocore.config import Config
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import tests.tables
from jobyard.jobtypes.http_client import HttpClient, Timeouts
from jobyard.jobtypes.step_context import StorageContext
from jobyard.store import objects as recorded
from jobyard.store import tables
from tests.jobtypes.deposit.deposits import empty, forget_objects
from tests.jobtypes.payload_server import PayloadServer
from tests.moto_aws import moto_aws
from tests.open_collections import an_open_collection

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

REGION: Final = "eu-west-1"
WORK, ARCHIVE, ELSEWHERE = "jobyard-work", "jobyard-archive", "depositors-bucket"
# For servers that answer: a busy machine may take a while to run them.
PATIENT = Timeouts(connect_s=60.0, response_s=60.0, silence_s=60.0, window_s=60.0)


@pytest.fixture(scope="session")
def payload_server() -> Iterator[PayloadServer]:
    with PayloadServer() as server:
        yield server


@pytest.fixture
def payloads(payload_server: PayloadServer) -> Iterator[PayloadServer]:
    yield payload_server
    payload_server.forget()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of files.example, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "files.example")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("files.example")]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "files.pem"
    path.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[PayloadServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with PayloadServer(context) as server:
        yield server


@pytest.fixture
def trusting(certificate: Path) -> Callable[[], ssl.SSLContext]:
    return lambda: ssl.create_default_context(cafile=str(certificate))


@pytest.fixture(scope="session")
def aws() -> Iterator[None]:
    with moto_aws():
        yield


@pytest.fixture(scope="session")
def s3_client(aws: None) -> "S3Client":
    client: S3Client = boto3.client(
        "s3", region_name=REGION, config=Config(retries={"mode": "standard", "max_attempts": 1})
    )
    for bucket in (WORK, ARCHIVE, ELSEWHERE):
        client.create_bucket(
            Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
    return cast("S3Client", _OneAtATime(client))


class _OneAtATime:
    """A client that several threads may use, although moto's S3 is not thread-safe."""

    def __init__(self, client: "S3Client") -> None:
        self._client = client
        self._turn = RLock()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        is_call = inspect.ismethod(found) and name != "get_paginator"
        return self._taking_turns(found) if is_call else found

    def _taking_turns(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def in_turn(**parameters: Any) -> Any:
            with self._turn:
                return call(**parameters)

        return in_turn


@pytest.fixture
def s3(s3_client: "S3Client") -> Iterator["S3Client"]:
    """S3 with three empty buckets, and no unfinished uploads after a test."""
    yield s3_client
    for bucket in (WORK, ARCHIVE, ELSEWHERE):
        empty(s3_client, bucket)
        half = s3_client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        for upload in half:
            s3_client.abort_multipart_upload(
                Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
            )


@pytest.fixture(scope="session")
def bound(aws: None) -> dict[str, dict[str, Any]]:
    """The store bound to tables for objects only."""
    before = tests.tables.binding()
    tables.bind({noun: f"jobtypes-{noun}" for noun in tables.MODELS}, region=REGION)
    for model in (tables.ObjectItem, tables.IdentifierItem):
        model.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
    mine = tests.tables.binding()
    tests.tables.rebind(before)
    return mine


@pytest.fixture
def objects(bound: dict[str, dict[str, Any]]) -> Iterator[ModuleType]:
    """The store's objects, none at first."""
    with tests.tables.borrowed(bound):
        yield recorded
        forget_objects()


@pytest.fixture
def context(
    s3: "S3Client", objects: ModuleType, payloads: PayloadServer
) -> Iterator[StorageContext]:
    """The context of a step, with ten minutes of time."""
    fetch = HttpClient(frozenset({payloads.host}), lambda: datetime.now(UTC), timeouts=PATIENT)
    end = time.monotonic() + 600
    yield StorageContext(
        s3=s3,
        work_bucket=WORK,
        archive_bucket=ARCHIVE,
        http=fetch,
        s3_sources=(f"{ELSEWHERE}/open",),
        objects=objects,
        collection=lambda: an_open_collection("maps"),
        now=lambda: datetime.now(UTC),
        remaining=lambda: end - time.monotonic(),
    )
    fetch.close()
