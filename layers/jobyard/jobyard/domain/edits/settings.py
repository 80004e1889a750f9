"""What an administrator sets for the edit jobs of a type on a dataset."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from jobyard.domain.errors import BadRequest
from jobyard.domain.ids import is_name

MAX_LATEST = 50  # properties whose latest value counts
MAX_BATCH_BYTES = 2_048  # of a URL or the name of a function
_FLAGS = ("quarantine", "embargo", "read_only", "inherited_fails", "grow_extent", "mails")
_FUNCTION = re.compile(r"[A-Za-z0-9-_:]{1,256}")


@dataclass(frozen=True)
class EditSettings:
    """The settings of a type of edit jobs on a dataset.

    quarantine: a person reviews valid changes before they are committed. The planner of a job may
        decide otherwise.
    embargo: a person reviews a package before its worker may download it.
    latest: the properties whose latest value counts, instead of a conflict.
    batch: the URL, or the name of the Lambda function, that edits instead of a worker; "" if
        workers edit.
    read_only: workers only look at the features; there is no upload.
    inherited_fails: a defect that a feature had already fails the validation too.
    reviewers: the team whose reviewers review; "" for the reviewers of the job's own team.
    grow_extent: the extent grows to hold whole features.
    mails: workers, reviewers and planners get mails. Those to custodians are always sent.
    """

    quarantine: bool = False
    embargo: bool = False
    latest: tuple[str, ...] = ()
    batch: str = ""
    read_only: bool = False
    inherited_fails: bool = False
    reviewers: str = ""
    grow_extent: bool = False
    mails: bool = True

    def __post_init__(self) -> None:
        if len(self.latest) > MAX_LATEST:
            raise BadRequest(f"latest: up to {MAX_LATEST} properties, not {len(self.latest)}")
        if self.batch and self.read_only:
            raise BadRequest("batch: nothing edits a type that is read_only")
        if self.batch and not _is_batch_target(self.batch):
            raise BadRequest("batch: a URL, or the name of a Lambda function")
        if self.reviewers and not is_name(self.reviewers):
            raise BadRequest("reviewers: the name of a team")

    def document(self) -> dict[str, Any]:
        """The settings as JSON."""
        return {**asdict(self), "latest": [*self.latest]}


def settings_of(document: Mapping[str, Any]) -> EditSettings:
    """The settings in a document, as `EditSettings.document` gives one; what is left out is as
    in a new `EditSettings`.

    Raises:
        BadRequest: a field is unknown or wrong; the message says which, and what is allowed.
    """
    known = EditSettings.__dataclass_fields__
    if unknown := sorted(document.keys() - known.keys()):
        raise BadRequest(f"{unknown[0]!r} is no setting; there are {', '.join(known)}")
    for name in _FLAGS:
        if not isinstance(document.get(name, False), bool):
            raise BadRequest(f"{name}: true or false")
    for name in ("batch", "reviewers"):
        if not isinstance(document.get(name, ""), str):
            raise BadRequest(f"{name}: a text")
    latest = document.get("latest", ())
    if not isinstance(latest, list | tuple) or not all(
        isinstance(each, str) and 0 < len(each) <= 256 for each in latest
    ):
        raise BadRequest("latest: a list of names of properties")
    return EditSettings(**{**document, "latest": tuple(dict.fromkeys(latest))})


def _is_batch_target(text: str) -> bool:
    is_url = text.startswith(("https://", "http://")) and len(text.encode()) <= MAX_BATCH_BYTES
    return is_url or _FUNCTION.fullmatch(text) is not None
