"""Files of targets that people upload: the form to upload one with, and reading it as a stream."""

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from jobyard.domain.campaigns.targets import CampaignTarget, TargetReader
from jobyard.domain.campaigns.targets_file import (
    TARGETS_BYTES,
    TargetsFile,
    check_own_key,
    targets_key,
)
from jobyard.domain.errors import InvalidCampaign, InvalidRule
from jobyard.domain.manifests.findings import BoundedFindings, Finding
from jobyard.services.access import authorize
from jobyard.services.context import CommandContext
from jobyard.services.settings import Settings
from jobyard.services.upload_form import UploadForm, presigned_form

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_SHOWN = 100  # findings of a level in a response
_MISSING = frozenset({"NoSuchKey", "NoSuchVersion", "404", "405"})  # 405: a delete marker
_BLOCK = 1024 * 1024
_FIELD = "targets_file"


def targets_upload(filename: str, context: CommandContext) -> tuple[str, UploadForm]:
    """The key to start a campaign with, and the form to upload a file of targets to it.

    The same request sent again gets the same key.

    Raises:
        Forbidden: the actor may not start campaigns.
    """
    authorize(context.actor, "campaign", "start")
    key = targets_key(context.actor.sub, context.key, filename)
    form = presigned_form(context.s3, context.settings, key, TARGETS_BYTES, context.now())
    return key, form


def find_upload(key: str, sub: str, s3: "S3Client", settings: Settings) -> TargetsFile:
    """The file that the person with the id `sub` uploaded to `key`, in its current version.

    Raises:
        InvalidCampaign: the key is not one of theirs, there is no file, or it is too large.
    """
    check_own_key(key, sub)
    try:
        found = s3.head_object(Bucket=settings.intake_bucket, Key=key)
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in _MISSING:
            raise
        raise _refused(f"no file was uploaded to {key!r:.300}") from error
    if found["ContentLength"] > TARGETS_BYTES:
        raise _refused(f"the file is larger than {TARGETS_BYTES:,} bytes")
    return TargetsFile(key, found["VersionId"], found["ContentLength"])


def _refused(allowed: str) -> InvalidCampaign:
    return InvalidCampaign([InvalidRule(_FIELD, allowed)])


class UploadedTargets:
    """One pass over a file of targets. Iterate over it once for its targets, in file order.

    `warnings` are complete after that. The iteration ends with InvalidCampaign if the file has an
    error or was removed; then discard the targets.
    """

    def __init__(self, file: TargetsFile, s3: "S3Client", settings: Settings) -> None:
        self._file, self._s3, self._settings = file, s3, settings
        self._kept = BoundedFindings(MAX_SHOWN)
        self._errors: list[InvalidRule] = []
        self.warnings: list[str] = []

    def __iter__(self) -> Iterator[CampaignTarget]:
        reading = TargetReader(self._blocks(), filename=self._file.filename)
        for targets, findings in reading:
            self._note(findings)
            if reading.errors > MAX_SHOWN:
                allowed = f"only the first {MAX_SHOWN} errors are listed"
                raise InvalidCampaign([*self._errors, InvalidRule(_FIELD, allowed)])
            if not reading.errors:
                yield from targets
        if reading.errors:
            raise InvalidCampaign(self._errors)
        self.warnings += (f"{_FIELD}: {each.message}" for each in self._kept.rest())

    def _note(self, findings: list[Finding]) -> None:
        for each in self._kept.take(findings):
            where = each.position if each.line else "the file"
            if each.level == "error":
                self._errors.append(InvalidRule(_FIELD, f"{where}: {each.message} ({each.code})"))
            else:
                self.warnings.append(f"{_FIELD}: {where}: {each.message}")

    def _blocks(self) -> Iterator[bytes]:
        try:
            body = self._s3.get_object(
                Bucket=self._settings.intake_bucket,
                Key=self._file.key,
                VersionId=self._file.version_id,
            )["Body"]
        except self._s3.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in _MISSING:
                raise
            raise _refused("the file was removed before it was read") from error
        yield from islice(body.iter_chunks(_BLOCK), 1 + TARGETS_BYTES // _BLOCK)
