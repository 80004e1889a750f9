"""A yard on the session's emulator, empty for each walk."""

from collections.abc import Iterator

import pytest

from cli.local import clients
from tests.walk.yard import Payloads, Yard, serving


@pytest.fixture(scope="session")
def endpoint(bound: str) -> str:
    """The emulator with buckets and tables in it, the store bound to them."""
    s3, ses = clients.client("s3", bound), clients.client("sesv2", bound)
    for bucket in ("intake", "work", "archive"):
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    ses.create_email_identity(EmailIdentity="jobyard@example.org")
    ses.create_configuration_set(ConfigurationSetName="jobyard")
    return bound


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
