"""What a step touches: a payload server, S3 and the objects' records on moto."""

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from moto import mock_aws
from payload_server import PayloadServer

from jobyard.jobtypes.fetch import Fetch, Patience
from jobyard.jobtypes.touch import Touch
from jobyard.store import objects as recorded
from jobyard.store import tables

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

REGION = "eu-west-1"
WORK, ARCHIVE, ELSEWHERE = "jobyard-work", "jobyard-archive", "depositors-bucket"
QUICK = Patience(connect_s=2.0, answer_s=1.0, silence_s=1.0, window_s=1.0, slowest=1000)


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
    """A certificate of files.example, signed by itself, with its key."""
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
    with mock_aws():
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
    return client


@pytest.fixture
def s3(s3_client: "S3Client") -> Iterator["S3Client"]:
    """S3 with three empty buckets, which it leaves without a half upload."""
    yield s3_client
    for bucket in (WORK, ARCHIVE, ELSEWHERE):
        for found in s3_client.list_objects_v2(Bucket=bucket).get("Contents", []):
            s3_client.delete_object(Bucket=bucket, Key=found["Key"])
        half = s3_client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        for upload in half:
            s3_client.abort_multipart_upload(
                Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
            )


@pytest.fixture(scope="session")
def table_names(aws: None) -> dict[str, str]:
    """The objects' tables, made; the other nouns' names lead nowhere."""
    names = {noun: f"jobtypes-{noun}" for noun in tables.MODELS}
    with _bound(names):
        for model in (tables.ObjectItem, tables.IdentifierItem):
            model.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
    return names


@pytest.fixture(scope="module")
def store(table_names: dict[str, str]) -> Iterator[ModuleType]:
    with _bound(table_names):
        yield recorded


@pytest.fixture
def objects(store: ModuleType) -> Iterator[ModuleType]:
    """The store's objects, none yet."""
    yield store
    for model in (tables.ObjectItem, tables.IdentifierItem):
        for item in model.scan():
            item.delete()


@contextmanager
def _bound(names: dict[str, str]) -> Iterator[None]:
    """The store on these tables; afterwards on those that another room had bound it to."""
    meta = tables.ObjectItem.Meta
    before = {noun: model.Meta.table_name for noun, model in tables.MODELS.items()}
    where = getattr(meta, "region", None), getattr(meta, "host", None)
    tables.bind(names, region=REGION)
    yield
    if where[0]:
        tables.bind(before, region=where[0], host=where[1])


@pytest.fixture
def touch(s3: "S3Client", objects: ModuleType, payloads: PayloadServer) -> Iterator[Touch]:
    """What a step may touch, with ten minutes of time."""
    fetch = Fetch(frozenset({payloads.host}), lambda: datetime.now(UTC), patience=QUICK)
    end = time.monotonic() + 600
    yield Touch(
        s3=s3,
        work_bucket=WORK,
        archive_bucket=ARCHIVE,
        fetch=fetch,
        s3_sources=(f"{ELSEWHERE}/open",),
        objects=objects,
        now=lambda: datetime.now(UTC),
        remaining=lambda: end - time.monotonic(),
    )
    fetch.close()
