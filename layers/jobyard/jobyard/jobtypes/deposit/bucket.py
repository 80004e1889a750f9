"""S3 operations that return a value for an expected error, where boto3 raises."""

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

# Browsers never run this type. The server of an object sets the real one (docs/aws.md 51).
CONTENT_TYPE = "application/octet-stream"

_RACES = 5  # tries when S3 answers 409, because other writers write the same key


def is_refused_write(error: ClientError) -> bool:
    """Whether S3 refused a conditional write because the key exists (412) or is being written
    (409).

    Also if the upload is gone: the response to the first try was lost, and botocore tried again.
    """
    return _status(error) in {409, 412} or error.response["Error"].get("Code") == "NoSuchUpload"


def exists(s3: "S3Client", bucket: str, key: str) -> bool:
    """Whether the object exists. If not, S3 answers 404, or 403 without permission to list."""
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if _status(error) in {403, 404}:
            return False
        raise
    return True


def read(s3: "S3Client", bucket: str, key: str) -> bytes | None:
    """The bytes of a small object; None if it does not exist."""
    try:
        body: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if _status(error) in {403, 404}:
            return None
        raise
    return body


def put_new(s3: "S3Client", bucket: str, key: str, body: bytes | bytearray) -> bool:
    """Write an object unless the key exists. Returns False if it does."""
    for race in range(1, _RACES + 1):
        try:
            s3.put_object(
                Bucket=bucket, Key=key, Body=body, ContentType=CONTENT_TYPE, IfNoneMatch="*"
            )
        except ClientError as error:
            if _status(error) == 412:
                return False
            if _status(error) != 409 or race == _RACES:
                raise
        else:
            break
    return True


def remove_all(s3: "S3Client", bucket: str, prefix: str) -> None:
    """Remove all objects under a prefix."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        keys: list[ObjectIdentifierTypeDef] = [
            {"Key": found["Key"]} for found in page.get("Contents", [])
        ]
        if keys:
            s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})


def _status(error: ClientError) -> int:
    status: int = error.response["ResponseMetadata"]["HTTPStatusCode"]
    return status
