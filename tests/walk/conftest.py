"""A yard on the session's emulator, empty for each walk."""

from collections.abc import Iterator

import pytest

from cli.local import clients
from jobyard.store import tables
from tests.walk.yard import Payloads, Yard, serving


@pytest.fixture(scope="session")
def endpoint(emulator: str) -> Iterator[str]:
    """The emulator with buckets and tables in it, the store bound to them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", clients.KEY)  # PynamoDB looks for them itself
        patch.setenv("AWS_SECRET_ACCESS_KEY", clients.KEY)
        _lay_out(emulator)
        yield emulator


def _lay_out(emulator: str) -> None:
    s3, ses = clients.client("s3", emulator), clients.client("sesv2", emulator)
    for bucket in ("intake", "work", "archive"):
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    ses.create_email_identity(EmailIdentity="jobyard@example.org")
    ses.create_configuration_set(ConfigurationSetName="jobyard")
    names = {noun: f"walk-{noun}" for noun in tables.MODELS}
    tables.bind(names, region=clients.REGION, host=emulator)
    for model in tables.MODELS.values():
        model.create_table(billing_mode="PAY_PER_REQUEST", wait=True)


@pytest.fixture
def payloads() -> Iterator[Payloads]:
    """A depositor's web server."""
    with serving() as server:
        yield server


@pytest.fixture
def yard(endpoint: str, payloads: Payloads) -> Yard:
    """A deployment whose clock stands at noon."""
    found = {name: clients.client(name, endpoint) for name in ("s3", "sesv2")}
    return Yard(endpoint, found, payloads)
