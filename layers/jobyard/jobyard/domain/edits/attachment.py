"""Attachments: files that data custodians add to the package of an edit job.

A custodian is nobody in the user pool. They get a mail with a link for one attachment, and upload a
file or decline. A planner may do it for them.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from jobyard.domain.edits.team import MAX_EMAIL_BYTES
from jobyard.domain.errors import BadRequest, InvalidTransition, LinkNotValid
from jobyard.domain.mail_addresses import addresses
from jobyard.domain.text import FILENAME_BYTES, NAME_BYTES, clean_fields

LINK_TIME = timedelta(days=14)  # how long the link in a mail is valid; source: DEC 3-8
MAX_ATTACHMENTS = 20  # of an edit job
MAX_REQUEST_BYTES = 200  # of what is asked for, and of why it is declined
MAX_SENDS = 20  # mails about one attachment
ATTACHMENT_BYTES = 512 * 1024 * 1024  # of one file


class AttachmentState(StrEnum):
    """What a custodian answered."""

    REQUESTED = "requested"
    UPLOADED = "uploaded"
    DECLINED = "declined"


@dataclass(frozen=True)
class Attachment:
    """A file that a custodian is asked for. `index` counts those of an edit job from 1.

    `sends` counts the mails with a link: only the last link is valid, until `expires_at`. `key`,
    `size` (bytes) and `digest` (SHA-256 in hexadecimal) are of the uploaded file, `reason` is of
    who declined. `answered_by` is the custodian or the planner who answered.
    """

    index: int
    custodian: str
    email: str
    description: str
    state: AttachmentState = AttachmentState.REQUESTED
    sends: int = 0
    expires_at: datetime | None = None
    answered_at: datetime | None = None
    answered_by: str = ""
    filename: str = ""
    key: str = ""
    size: int = 0
    digest: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        clean_fields(
            self,
            custodian=NAME_BYTES,
            email=MAX_EMAIL_BYTES,
            description=MAX_REQUEST_BYTES,
            answered_by=NAME_BYTES,
            filename=FILENAME_BYTES,
            reason=MAX_REQUEST_BYTES,
        )

    @property
    def is_open(self) -> bool:
        """Whether its custodian has not answered."""
        return self.state is AttachmentState.REQUESTED

    def sent(self, now: datetime) -> "Attachment":
        """The attachment after a mail with a new link. The links before it are not valid any more.

        Raises:
            InvalidTransition: its custodian has answered, or had too many mails.
        """
        self.check_open()
        if self.sends >= MAX_SENDS:
            raise InvalidTransition(
                f"attachment {self.index} was requested {MAX_SENDS} times: upload it for "
                f"{self.custodian}, or decline it"
            )
        return replace(self, sends=self.sends + 1, expires_at=now + LINK_TIME)

    def check_link(self, sends: int, now: datetime) -> None:
        """Check that the link of mail number `sends` is still valid.

        Raises:
            LinkNotValid: a newer mail has replaced it, it has expired, or it was used.
        """
        if not self.is_open:
            raise LinkNotValid(self._answer)
        if sends != self.sends:
            raise LinkNotValid("a newer mail has replaced this link: use the link in it")
        if self.expires_at is None or now >= self.expires_at:
            raise LinkNotValid("this link has expired: ask the planner to send another one")

    def check_open(self) -> None:
        """Check that nobody has answered.

        Raises:
            InvalidTransition: somebody has; the message says who and what.
        """
        if not self.is_open:
            raise InvalidTransition(self._answer)

    @property
    def _answer(self) -> str:
        """Who answered, and what."""
        return (
            f"attachment {self.index} is {self.state}, by {self.answered_by}; "
            "it can be answered once"
        )


def request_attachment(
    attachments: tuple[Attachment, ...], custodian: str, email: str, description: str
) -> tuple[Attachment, ...]:
    """The attachments of an edit job with one more.

    Raises:
        BadRequest: a text is missing, the address is none, or there are too many.
    """
    if len(attachments) >= MAX_ATTACHMENTS:
        raise BadRequest(f"an edit job has up to {MAX_ATTACHMENTS} attachments")
    if not custodian.strip() or not description.strip():
        raise BadRequest("an attachment needs the name of its custodian, and a description")
    found = addresses(email)
    if len(found.valid) != 1 or found.invalid:
        raise BadRequest(f"{email!r:.300} is not one e-mail address")
    index = max((each.index for each in attachments), default=0) + 1
    return (*attachments, Attachment(index, custodian, found.valid[0], description))
