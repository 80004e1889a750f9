"""boto3 clients for the emulator."""

import threading
from functools import cache
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

REGION = "us-east-1"
# The emulator's account and root key. They are valid nowhere else.
ACCOUNT = "000000000000"
KEY = "test"


# Ignore AWS_PROFILE: boto3 fails if the profile does not exist.
_NO_PROFILE = {"profile": (None, None, None, None)}


# A session reads and parses the services' descriptions once, but makes one client at a time.
_one_at_a_time = threading.Lock()


@cache
def session() -> Any:
    """The session of the emulator's root user, independent of the caller's AWS settings."""
    return boto3.session.Session(
        aws_access_key_id=KEY,
        aws_secret_access_key=KEY,
        region_name=REGION,
        botocore_session=botocore.session.Session(session_vars=_NO_PROFILE),
    )


def client(service: str, endpoint: str) -> Any:
    """A client of `service` on the emulator."""
    with _one_at_a_time:
        return session().client(
            service,
            endpoint_url=endpoint,
            config=Config(
                signature_version="s3v4" if service == "s3" else None,
                s3={"addressing_style": "path"},
                retries={"mode": "standard", "total_max_attempts": 3},
                connect_timeout=5,
                read_timeout=60,
                proxies={},
            ),
        )
